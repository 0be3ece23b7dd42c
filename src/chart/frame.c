#include "chart/frame.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "chart/words.h"

static const double MARGIN = 16;
static const double LABEL_WIDTH_MAX = 170;
static const double SWATCH = 20;
static const double LABEL_HEIGHT = 15;

static struct type quiet(struct canvas *c, enum align align)
{
	return (struct type){TYPE_SMALL, false, c->colours->quiet_text, align, 1};
}

struct area frame_begin(struct canvas *c, const struct chart *chart)
{
	struct area all = {0, 0, c->width, c->height};
	struct type title = {TYPE_TITLE, true, c->colours->text, ALIGN_LEFT, 2};
	struct type subtitle = {TYPE_TEXT, false, c->colours->quiet_text, ALIGN_LEFT, 1};
	double width = c->width - 2 * MARGIN;
	double y = 10;

	canvas_box(c, all, c->colours->background, 1);
	y += canvas_text(c, MARGIN, y, width, chart->title, title) + 2;
	if (!str_empty(chart->subtitle))
		y += canvas_text(c, MARGIN, y, width, chart->subtitle, subtitle);
	return (struct area){MARGIN, y + 8, c->width - MARGIN, c->height - 8};
}

void frame_empty(struct canvas *c, struct area body, const char *why)
{
	struct type big = {TYPE_TITLE, true, c->colours->quiet_text, ALIGN_CENTRE, 1};
	struct type small = {TYPE_TEXT, false, c->colours->quiet_text, ALIGN_CENTRE, 4};
	double middle = (body.top + body.bottom) / 2;
	double width = body.right - body.left;

	cairo_rectangle(c->cr, body.left, body.top, width, body.bottom - body.top);
	canvas_stroke(c, c->colours->grid, 1, DASH_LONG);
	canvas_text(c, body.left + 20, middle - 30, width - 40, "No data", big);
	canvas_text(c, body.left + 20, middle - 6, width - 40, why, small);
}

/* Differences of larger numbers are no longer finite. */
static const double AXIS_MOST = 1e300;

struct axis axis_of(const char *unit, double low, double high, int wanted)
{
	low = fmax(low, -AXIS_MOST);
	high = fmin(high, AXIS_MOST);
	struct axis a = {.unit = unit_for(unit, fmax(fabs(low), fabs(high)))};

	/* room above, so that nothing touches the edge */
	a.scale.low = low >= 0 ? 0 : low * 1.05;
	a.scale.high = high > 0 ? high * 1.05 : a.scale.low < 0 ? 0 : a.unit.factor;
	a.ticks = ticks_nice(a.scale.low, a.scale.high, wanted, a.unit.factor);
	return a;
}

double axis_width(struct canvas *c, const struct axis *a)
{
	double widest = 0;

	for (size_t n = 0; n < a->ticks.count; n++) {
		char *text = unit_tick(c->mem, &a->unit, a->ticks.at[n], a->ticks.step);
		widest = fmax(widest, canvas_text_width(c, text, quiet(c, ALIGN_RIGHT)));
	}
	return widest + 8;
}

void frame_values(struct canvas *c, struct area plot, const struct axis *y)
{
	for (size_t n = 0; n < y->ticks.count; n++) {
		double at = scale_at(&y->scale, y->ticks.at[n]);
		char *text = unit_tick(c->mem, &y->unit, y->ticks.at[n], y->ticks.step);
		canvas_line(c, plot.left, at, plot.right, at, c->colours->grid, 1, DASH_NONE);
		canvas_text(c, plot.left - 78, at - 7, 72, text, quiet(c, ALIGN_RIGHT));
	}
}

void frame_values_below(struct canvas *c, struct area plot, const struct axis *x, const char *name)
{
	for (size_t n = 0; n < x->ticks.count; n++) {
		double at = scale_at(&x->scale, x->ticks.at[n]);
		char *text = unit_tick(c->mem, &x->unit, x->ticks.at[n],
				       x->scale.logarithmic ? x->ticks.at[n] : x->ticks.step);
		canvas_line(c, at, plot.bottom, at, plot.bottom + 4, c->colours->quiet_text, 1,
			    DASH_NONE);
		canvas_text(c, at - 40, plot.bottom + 5, 80, text, quiet(c, ALIGN_CENTRE));
	}
	canvas_line(c, plot.left, plot.bottom, plot.right, plot.bottom, c->colours->quiet_text, 1,
		    DASH_NONE);
	canvas_text(c, plot.left, plot.bottom + 20, plot.right - plot.left, name,
		    quiet(c, ALIGN_CENTRE));
}

static const double DAY_MS = 86400e3;

static char *tick_text(void *mem, double at, double step)
{
	double into_day = fmod(at, DAY_MS);

	if (step >= DAY_MS || into_day == 0)
		return words_date(mem, at);
	if (step < 60e3)
		return str_fmt(mem, "%s:%02d", words_time(mem, at, at),
			       (int)(fmod(at, 60e3) / 1000));
	return words_time(mem, at, at);
}

void frame_times(struct canvas *c, struct area plot, const struct scale *x)
{
	struct ticks t = ticks_time(x->low, x->high, (int)((plot.right - plot.left) / 62) + 1);
	bool one_day = floor(x->low / DAY_MS) == floor(x->high / DAY_MS);
	char *note = str_fmt(c->mem, "UTC %.4s", words_day(c->mem, x->high)); /* the year */

	for (size_t n = 0; n < t.count; n++) {
		double at = scale_at(x, t.at[n]);
		char *text = tick_text(c->mem, t.at[n], t.step);
		canvas_line(c, at, plot.bottom, at, plot.bottom + 4, c->colours->quiet_text, 1,
			    DASH_NONE);
		canvas_text(c, at - 40, plot.bottom + 5, 80, text, quiet(c, ALIGN_CENTRE));
	}
	canvas_line(c, plot.left, plot.bottom, plot.right, plot.bottom, c->colours->quiet_text, 1,
		    DASH_NONE);
	if (one_day)
		note = str_fmt(c->mem, "UTC %s", words_day(c->mem, x->low));
	canvas_text(c, plot.right + 4, plot.bottom + 5, c->width - MARGIN - plot.right - 4 + 8,
		    note, quiet(c, ALIGN_RIGHT));
}

void frame_heading(struct canvas *c, struct area plot, const char *name, const struct unit *unit)
{
	struct type type = {TYPE_SMALL, false, c->colours->quiet_text, ALIGN_LEFT, 1};

	canvas_text(c, MARGIN, plot.top - FRAME_ROW - 3, plot.right - MARGIN,
		    unit_heading(c->mem, name, unit), type);
}

static uint32_t mark_ink(struct canvas *c, enum mark_role role)
{
	switch (role) {
	case MARK_ALERT: return c->colours->alarm;
	case MARK_REMEDY: return c->colours->series[1];
	case MARK_SURGE: return c->colours->series[2];
	case MARK_QUANTILE: break;
	}
	return c->colours->text;
}

static enum dash mark_dash(enum mark_role role)
{
	static const enum dash DASHES[] = {[MARK_ALERT] = DASH_NONE,
					   [MARK_REMEDY] = DASH_LONG,
					   [MARK_SURGE] = DASH_SHORT,
					   [MARK_QUANTILE] = DASH_SHORT};

	return DASHES[role];
}

enum { ROWS_MAX = 4 };

/* Where each label stands: the lowest row in which it covers no label to its left or right. */
struct standing {
	double left, right;
	size_t row;
};

static struct standing *stand(struct canvas *c, const struct chart *chart, const struct scale *x,
			      size_t *rows)
{
	struct standing *all = NEW_ARRAY(c->mem, struct standing, chart->mark_count + 1);

	*rows = 0;
	for (size_t n = 0; n < chart->mark_count; n++) {
		struct type type = {TYPE_SMALL, true, 0, ALIGN_CENTRE, 1};
		double width = fmin(260, canvas_text_width(c, chart->marks[n].label, type) + 2);
		double at = scale_at(x, chart->marks[n].x);
		struct standing *s = &all[n];
		s->left = fmax(MARGIN, fmin(at - width / 2, c->width - MARGIN - width));
		s->right = s->left + width;
		for (size_t o = 0; o < n; o++)
			if (all[o].row == s->row && all[o].left < s->right + 6 &&
			    s->left < all[o].right + 6 && s->row + 1 < ROWS_MAX) {
				s->row++;
				o = (size_t)-1; /* again, against the next row */
			}
		if (s->row + 1 > *rows)
			*rows = s->row + 1;
	}
	return all;
}

size_t frame_mark_rows(struct canvas *c, const struct chart *chart, const struct scale *x)
{
	size_t rows = 0;

	stand(c, chart, x, &rows);
	return rows;
}

void frame_marks(struct canvas *c, const struct chart *chart, struct area plot,
		 const struct scale *x, double labels_bottom)
{
	size_t rows = 0;
	const struct standing *all = stand(c, chart, x, &rows);

	for (size_t n = 0; n < chart->mark_count; n++) {
		const struct mark *m = &chart->marks[n];
		uint32_t ink = mark_ink(c, m->role);
		double at = scale_at(x, m->x);
		double top = labels_bottom - (double)all[n].row * FRAME_ROW;
		struct type type = {TYPE_SMALL, true, ink, ALIGN_CENTRE, 1};
		if (at < plot.left - 0.5 || at > plot.right + 0.5)
			continue;
		bool on_bars = chart->kind == CHART_BARS || chart->kind == CHART_LOG_VOLUME;
		if (on_bars) /* told from them by an edge in the background's colour */
			canvas_line(c, at, top, at, plot.bottom, c->colours->background, 3.5,
				    DASH_NONE);
		canvas_line(c, at, top, at, plot.bottom, ink, m->role == MARK_ALERT ? 2 : 1.5,
			    mark_dash(m->role));
		canvas_text(c, all[n].left, top - FRAME_ROW, all[n].right - all[n].left, m->label,
			    type);
	}
}

double frame_labels_width(struct canvas *c, const struct label *labels, size_t count)
{
	double widest = 0;

	for (size_t n = 0; n < count; n++) {
		struct type type = {TYPE_SMALL, false, 0, ALIGN_LEFT, 1};
		widest = fmax(widest, canvas_text_width(c, labels[n].text, type));
	}
	return fmin(widest + 1, LABEL_WIDTH_MAX) + SWATCH + 10;
}

static int by_height(const void *a, const void *b)
{
	const struct label *one = a;
	const struct label *other = b;

	return (one->y > other->y) - (one->y < other->y);
}

static void spread_labels(struct area plot, struct label *labels, size_t count)
{
	double floor_y = plot.bottom - LABEL_HEIGHT / 2;

	qsort(labels, count, sizeof(*labels), by_height);
	for (size_t n = 0; n < count; n++) {
		double least = n == 0 ? plot.top : labels[n - 1].y + LABEL_HEIGHT;
		labels[n].y = fmax(labels[n].y, least);
	}
	for (size_t n = count; n > 0 && labels[n - 1].y > floor_y; n--) {
		labels[n - 1].y = floor_y;
		floor_y -= LABEL_HEIGHT;
	}
}

static void draw_swatch(struct canvas *c, double x, const struct label *l)
{
	struct area box = {x, l->y - 5, x + SWATCH - 6, l->y + 5};

	switch (l->swatch) {
	case SWATCH_LINE:
		canvas_line(c, x, l->y, x + SWATCH - 5, l->y, l->ink, l->thin ? 1 : 2.2, l->dash);
		break;
	case SWATCH_BOX:
		canvas_box(c, box, l->ink, 1);
		canvas_hatch(c, box, c->colours->background, l->hatch);
		break;
	case SWATCH_CIRCLE: canvas_point(c, x + 7, l->y, 4, l->ink, SHAPE_CIRCLE); break;
	case SWATCH_TRIANGLE: canvas_point(c, x + 7, l->y, 4.5, l->ink, SHAPE_TRIANGLE); break;
	case SWATCH_NONE: break;
	}
}

void frame_labels(struct canvas *c, struct area plot, struct label *labels, size_t count)
{
	spread_labels(plot, labels, count);
	for (size_t n = 0; n < count; n++) {
		struct type type = {TYPE_SMALL, false, c->colours->text, ALIGN_LEFT, 1};
		double x = plot.right + 8;
		draw_swatch(c, x, &labels[n]);
		canvas_text(c, x + SWATCH, labels[n].y - 7, c->width - 6 - x - SWATCH,
			    labels[n].text, type);
	}
}
