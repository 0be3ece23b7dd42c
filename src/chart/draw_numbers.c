/* What has no axis of time: memory against CPU, the distribution of latency, classes, before and
 * after. */
#include "chart/draw.h"

#include <math.h>

#include "base/mem.h"
#include "base/str.h"
#include "chart/frame.h"

enum { BELOW_NAMED = 38 }; /* numbers and the axis's name */

static void place(struct axis *x, struct axis *y, struct area plot)
{
	x->scale.from = plot.left;
	x->scale.to = plot.right;
	y->scale.from = plot.bottom;
	y->scale.to = plot.top;
}

static char *axis_name(struct canvas *c, const char *name, const struct axis *x)
{
	return str_fmt(c->mem, "%s%s", unit_heading(c->mem, name, &x->unit),
		       x->scale.logarithmic ? " (logarithmic)" : "");
}

static void range(const struct panel *p, double *high_x, double *high_y)
{
	for (size_t t = 0; t < p->track_count; t++) {
		const struct track *track = &p->tracks[t];
		for (size_t n = 0; n < track->count; n++) {
			if (isfinite(track->x[n]) && isfinite(track->y[n])) {
				*high_x = fmax(*high_x, track->x[n]);
				*high_y = fmax(*high_y, track->y[n]);
			}
		}
	}
}

static void draw_cloud(struct canvas *c, const struct track *t, const struct axis *x,
		       const struct axis *y, struct label *label)
{
	bool second = label->swatch == SWATCH_TRIANGLE;

	for (size_t n = 0; n < t->count; n++)
		if (isfinite(t->x[n]) && isfinite(t->y[n]))
			canvas_point(c, scale_at(&x->scale, t->x[n]), scale_at(&y->scale, t->y[n]),
				     second ? 3.6 : 3.2, label->ink,
				     second ? SHAPE_TRIANGLE : SHAPE_CIRCLE);
}

static void draw_fit(struct canvas *c, const struct track *t, const struct axis *x,
		     const struct axis *y, struct area plot)
{
	cairo_save(c->cr);
	cairo_rectangle(c->cr, plot.left, plot.top, plot.right - plot.left, plot.bottom - plot.top);
	cairo_clip(c->cr);
	for (size_t n = 1; n < t->count; n++)
		canvas_line(c, scale_at(&x->scale, t->x[n - 1]), scale_at(&y->scale, t->y[n - 1]),
			    scale_at(&x->scale, t->x[n]), scale_at(&y->scale, t->y[n]),
			    c->colours->text, 1.5, DASH_LONG);
	cairo_restore(c->cr);
}

static struct label *scatter_labels(struct canvas *c, const struct panel *p, double top)
{
	struct label *labels = NEW_ARRAY(c->mem, struct label, p->track_count + 1);
	size_t nth = 0;

	for (size_t t = 0; t < p->track_count; t++) {
		struct label *l = &labels[t];
		*l = (struct label){.y = top + 10 + 18 * (double)t, .text = p->tracks[t].name};
		if (p->tracks[t].role == TRACK_FIT) {
			l->swatch = SWATCH_LINE;
			l->dash = DASH_LONG;
			l->ink = c->colours->text;
		} else {
			l->swatch = nth == 0 ? SWATCH_CIRCLE : SWATCH_TRIANGLE;
			l->ink = nth == 0 ? c->colours->series[0] : c->colours->alarm;
			nth++;
		}
	}
	return labels;
}

void draw_scatter(struct canvas *c, const struct chart *chart, struct area body)
{
	const struct panel *p = &chart->panels[0];
	struct label *labels = scatter_labels(c, p, body.top + FRAME_ROW);
	double high_x = 0;
	double high_y = 0;
	struct area plot = body;

	range(p, &high_x, &high_y);
	struct axis x = axis_of(chart->x_unit, 0, high_x, 7);
	struct axis y = axis_of(p->unit, 0, high_y, 5);
	plot.left += axis_width(c, &y);
	plot.right -= frame_labels_width(c, labels, p->track_count);
	plot.top += FRAME_ROW + 4;
	plot.bottom -= BELOW_NAMED;
	place(&x, &y, plot);
	frame_heading(c, plot, p->name, &y.unit);
	frame_values(c, plot, &y);
	for (size_t t = 0; t < p->track_count; t++) {
		if (p->tracks[t].role == TRACK_FIT)
			draw_fit(c, &p->tracks[t], &x, &y, plot);
		else
			draw_cloud(c, &p->tracks[t], &x, &y, &labels[t]);
	}
	frame_values_below(c, plot, &x, axis_name(c, chart->x_name, &x));
	frame_labels(c, plot, labels, p->track_count);
}

static struct axis latency_axis(const struct chart *chart, const struct track *t)
{
	double low = t->x[0];
	double high = t->x_end[t->count - 1];
	struct axis a = {.unit = unit_for(chart->x_unit, high)};

	/* the unit of the middle: ends of a wide range are in none that suits both */
	if (chart->x_logarithmic)
		a.unit = unit_for(chart->x_unit, sqrt(low * high));
	a.scale = (struct scale){.low = low, .high = high, .logarithmic = chart->x_logarithmic};
	a.ticks = chart->x_logarithmic ? ticks_logarithmic(low, high, 9, a.unit.factor)
				       : ticks_nice(low, high, 7, a.unit.factor);
	return a;
}

void draw_latency(struct canvas *c, const struct chart *chart, struct area body)
{
	const struct panel *p = &chart->panels[0];
	const struct track *t = &p->tracks[0];
	double ignored = 0;
	double high = 0;
	struct area plot = body;

	range(p, &ignored, &high);
	struct axis x = latency_axis(chart, t);
	struct axis y = axis_of(p->unit, 0, high, 5);
	plot.left += fmax(24, axis_width(c, &y));
	plot.right -= 8;
	plot.bottom -= BELOW_NAMED;
	place(&x, &y, plot);
	double rows = (double)frame_mark_rows(c, chart, &x.scale) * FRAME_ROW;
	plot.top += rows + FRAME_ROW + 4;
	place(&x, &y, plot);
	frame_heading(c, plot, p->name, &y.unit);
	frame_values(c, plot, &y);
	for (size_t n = 0; n < t->count; n++) {
		struct area bar = {scale_at(&x.scale, t->x[n]) + 0.5, scale_at(&y.scale, t->y[n]),
				   scale_at(&x.scale, t->x_end[n]) - 0.5, plot.bottom};
		if (t->y[n] > 0)
			canvas_box(c, bar, c->colours->series[0], 0.75);
	}
	frame_values_below(c, plot, &x, axis_name(c, chart->x_name, &x));
	frame_marks(c, chart, plot, &x.scale, body.top + rows);
}

static double largest_of(const struct chart *chart)
{
	double largest = 1;

	for (size_t n = 0; n < chart->share_count; n++)
		largest = fmax(largest, chart->shares[n].count);
	return largest;
}

static double total_of(const struct chart *chart)
{
	double total = 0;

	for (size_t n = 0; n < chart->share_count; n++)
		total += chart->shares[n].count;
	return total;
}

/* Length shows the share, and both numbers stand behind the bar: nothing must be guessed from an
 * angle. */
void draw_classes(struct canvas *c, const struct chart *chart, struct area body)
{
	double total = total_of(chart);
	double largest = largest_of(chart);
	double each = fmin(54, (body.bottom - body.top) / (double)chart->share_count);
	double names = 0;

	for (size_t n = 0; n < chart->share_count; n++)
		names = fmax(names, canvas_text_width(c, chart->shares[n].name,
						      (struct type){TYPE_TEXT, n == 0, 0, 0, 1}));
	names = fmin(names + 4, 280);
	struct area bars = {body.left + names + 10, body.top, body.right - 120, body.bottom};
	for (size_t n = 0; n < chart->share_count; n++) {
		const struct share *s = &chart->shares[n];
		double y = body.top + each * (double)n;
		double length = (bars.right - bars.left) * s->count / largest;
		struct type name = {TYPE_TEXT, n == 0, c->colours->text, ALIGN_RIGHT, 1};
		struct type figure = {TYPE_TEXT, n == 0, c->colours->text, ALIGN_LEFT, 1};
		struct area bar = {bars.left, y + each * 0.15, bars.left + fmax(1, length),
				   y + each * 0.85};
		canvas_box(c, bar,
			   s->rest  ? c->colours->neutral
			   : n == 0 ? c->colours->alarm
				    : c->colours->series[0],
			   1);
		if (s->rest)
			canvas_hatch(c, bar, c->colours->background, HATCH_RISING);
		canvas_text(c, body.left, y + each / 2 - 8, names, s->name, name);
		canvas_text(c, bar.right + 8, y + each / 2 - 8, body.right - bar.right - 8,
			    str_fmt(c->mem, "%.0f (%.0f %%)", s->count, 100 * s->count / total),
			    figure);
	}
	canvas_line(c, bars.left, body.top, bars.left, body.top + each * (double)chart->share_count,
		    c->colours->quiet_text, 1, DASH_NONE);
}

static char *change_text(struct canvas *c, const struct pair *p)
{
	double percent = 100 * (p->after - p->before) / fabs(p->before);

	if (!isfinite(percent))
		return str_dup(c->mem, "");
	if (fabs(percent) < 0.5)
		return str_dup(c->mem, "unchanged");
	return str_fmt(c->mem, "%s%.0f %%", percent > 0 ? "+" : "\u2212", fabs(percent));
}

struct columns {
	double name, bar, bar_end, change;
};

static void draw_amount(struct canvas *c, const char *text, double value, double largest,
			struct columns at, struct area row, bool after)
{
	struct type figure = {TYPE_TEXT, after, c->colours->text, ALIGN_LEFT, 1};
	double middle = (row.top + row.bottom) / 2;
	double length = !isfinite(value) ? 0 : (at.bar_end - at.bar) * fabs(value) / largest;
	struct area bar = {at.bar, row.top, at.bar + fmax(1, length), row.bottom};

	canvas_box(c, bar, after ? c->colours->series[0] : c->colours->neutral, after ? 1 : 0.7);
	if (!after)
		canvas_hatch(c, bar, c->colours->background, HATCH_RISING);
	canvas_text(c, bar.right + 6, middle - 8, at.change - bar.right - 8,
		    str_fmt(c->mem, "%s %s", after ? "after:" : "before:", text), figure);
}

/* Both values of a row in one unit, where the smaller is then not all zeros. */
static char *amount_text(struct canvas *c, const struct pair *p, double value, double high)
{
	struct unit u = unit_for(p->unit, high);

	if (!isfinite(value) || (value != 0 && fabs(value) < u.factor / 20))
		return unit_text(c->mem, p->unit, value);
	return str_fmt(c->mem, "%s%s%s", unit_number(c->mem, &u, value),
		       *u.suffix == '/' ? "" : " ", u.suffix);
}

/* Every measure has a scale of its own, from zero to its larger value: bars compare before with
 * after, not one measure with another. */
void draw_comparison(struct canvas *c, const struct chart *chart, struct area body)
{
	double each = fmin(64, (body.bottom - body.top) / (double)chart->pair_count);
	struct columns at = {body.left, body.left + 130, body.right - 230, body.right - 76};

	for (size_t n = 0; n < chart->pair_count; n++) {
		const struct pair *p = &chart->pairs[n];
		double y = body.top + each * (double)n;
		double middle = y + each / 2;
		double high = fmax(isfinite(p->before) ? fabs(p->before) : 0,
				   isfinite(p->after) ? fabs(p->after) : 0);
		struct area first = {0, y + each * 0.10, 0, middle - 1};
		struct area second = {0, middle + 1, 0, y + each * 0.90};
		struct type name = {TYPE_TEXT, true, c->colours->text, ALIGN_LEFT, 1};
		struct type change = {TYPE_TITLE, true, c->colours->text, ALIGN_RIGHT, 1};
		canvas_text(c, at.name, middle - 8, at.bar - at.name - 8, p->name, name);
		draw_amount(c, amount_text(c, p, p->before, high), p->before, high > 0 ? high : 1,
			    at, first, false);
		draw_amount(c, amount_text(c, p, p->after, high), p->after, high > 0 ? high : 1, at,
			    second, true);
		canvas_text(c, at.change, middle - 10, body.right - at.change, change_text(c, p),
			    change);
		if (n > 0)
			canvas_line(c, body.left, y, body.right, y, c->colours->grid, 1, DASH_NONE);
	}
}
