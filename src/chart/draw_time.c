/* What happens over time: lines, bars, stacked bars, and panels of lines under each other. */
#include "chart/draw.h"

#include <math.h>

#include "base/mem.h"
#include "base/str.h"
#include "chart/downsample.h"
#include "chart/frame.h"

/* Tracks beyond these are thin and neutral: their names would not fit beside the plot. */
static size_t named_max(const struct chart *chart)
{
	return chart->panel_count >= 3 ? 2 : chart->panel_count == 2 ? 4 : PALETTE_SERIES;
}

struct pane {
	const struct panel *panel;
	struct area plot;
	struct axis y;
	struct label *labels;
	size_t label_count;
};

static bool is_stacked(const struct chart *chart)
{
	return chart->kind == CHART_LOG_VOLUME;
}

static bool has_bars(const struct chart *chart)
{
	return chart->kind == CHART_LOG_VOLUME || chart->kind == CHART_BARS;
}

/* Levels of a log have colours that mean something; hatches tell them apart without. */
static uint32_t stack_ink(const struct canvas *c, size_t track)
{
	const uint32_t inks[] = {c->colours->alarm, c->colours->warning, c->colours->series[0],
				 c->colours->neutral, c->colours->neutral};

	return inks[track < 5 ? track : 4];
}

static int stack_hatch(size_t track)
{
	static const int HATCHES[] = {HATCH_RISING, HATCH_FALLING, HATCH_NONE, HATCH_NONE,
				      HATCH_RISING};

	return HATCHES[track < 5 ? track : 4];
}

static uint32_t line_ink(const struct canvas *c, const struct chart *chart, const struct track *t,
			 size_t nth)
{
	return t->role != TRACK_DATA || nth >= named_max(chart) ? c->colours->neutral
								: c->colours->series[nth];
}

static enum dash line_dash(const struct chart *chart, const struct track *t, size_t nth)
{
	static const enum dash DASHES[PALETTE_SERIES] = {DASH_NONE,  DASH_LONG,	 DASH_DOTS,
							 DASH_MIXED, DASH_SHORT, DASH_NONE};

	return t->role != TRACK_DATA	 ? DASH_SHORT
	       : nth >= named_max(chart) ? DASH_NONE
					 : DASHES[nth];
}

/* The range of all tracks; of a stack, of the sums. */
static void range_of(const struct chart *chart, const struct panel *p, double *low, double *high)
{
	for (size_t t = 0; t < p->track_count; t++) {
		const struct track *track = &p->tracks[t];
		for (size_t n = 0; n < track->count; n++) {
			double sum = is_stacked(chart) ? 0 : track->y[n];
			for (size_t o = 0; is_stacked(chart) && o <= t; o++)
				sum += p->tracks[o].y[n];
			if (!isfinite(sum))
				continue;
			*low = fmin(*low, sum);
			*high = fmax(*high, sum);
		}
	}
}

static double last_value(const struct track *t)
{
	for (size_t n = t->count; n > 0; n--)
		if (isfinite(t->y[n - 1]))
			return t->y[n - 1];
	return NAN;
}

/* Names of the tracks; `y` holds the value until the plot is placed. */
static void name_tracks(struct canvas *c, const struct chart *chart, struct pane *pane)
{
	const struct panel *p = pane->panel;
	size_t nth = 0;
	size_t unnamed = 0;

	pane->labels = NEW_ARRAY(c->mem, struct label, p->track_count + 1);
	if (chart->kind == CHART_BARS)
		return;
	for (size_t t = 0; t < p->track_count; t++) {
		const struct track *track = &p->tracks[t];
		size_t at = track->role == TRACK_DATA ? nth++ : t;
		struct label l = {last_value(track),
				  track->name,
				  line_ink(c, chart, track, at),
				  SWATCH_LINE,
				  line_dash(chart, track, at),
				  HATCH_NONE,
				  false};
		if (is_stacked(chart)) {
			l.swatch = SWATCH_BOX;
			l.ink = stack_ink(c, t);
			l.hatch = stack_hatch(t);
		}
		bool named = isfinite(l.y) && track->name != NULL &&
			     (track->role != TRACK_DATA || at < named_max(chart));
		if (named)
			pane->labels[pane->label_count++] = l;
		unnamed += !named && track->role == TRACK_DATA && at >= named_max(chart);
	}
	if (unnamed > 0)
		pane->labels[pane->label_count++] =
			(struct label){0,
				       str_fmt(c->mem, "%zu more", unnamed),
				       c->colours->neutral,
				       SWATCH_LINE,
				       DASH_NONE,
				       HATCH_NONE,
				       true};
}

static void draw_line(struct canvas *c, const struct track *t, const struct scale *x,
		      const struct scale *y, uint32_t ink, double width, enum dash dash)
{
	size_t columns = (size_t)(fabs(x->to - x->from) * c->device) + 1;
	struct points p = downsample(c->mem, t->x, t->y, t->count, x->low, x->high, columns);
	bool open = false;

	for (size_t n = 0; n < p.count; n++) {
		if (!isfinite(p.y[n])) {
			open = false;
			continue;
		}
		double at_x = scale_at(x, p.x[n]);
		double at_y = scale_at(y, p.y[n]);
		bool alone = !open && (n + 1 == p.count || !isfinite(p.y[n + 1]));
		if (open)
			cairo_line_to(c->cr, at_x, at_y);
		else
			cairo_move_to(c->cr, at_x, at_y);
		if (alone) /* between two gaps no line begins: a short one, so that it is seen */
			cairo_line_to(c->cr, at_x + 1.5, at_y);
		open = true;
	}
	canvas_stroke(c, ink, width, dash);
	talloc_free(p.x);
	talloc_free(p.y);
}

static void draw_lines(struct canvas *c, const struct chart *chart, const struct pane *pane,
		       const struct scale *x)
{
	const struct panel *p = pane->panel;
	size_t data = 0;

	for (size_t t = 0; t < p->track_count; t++)
		data += p->tracks[t].role == TRACK_DATA;
	cairo_save(c->cr);
	/* a little more than the plot, for the width of the lines */
	cairo_rectangle(c->cr, pane->plot.left, pane->plot.top - 2,
			pane->plot.right - pane->plot.left + 2,
			pane->plot.bottom - pane->plot.top + 4);
	cairo_clip(c->cr);
	/* the first is the most important: it is drawn last, over the others */
	for (size_t t = p->track_count; t > 0; t--) {
		const struct track *track = &p->tracks[t - 1];
		size_t nth = track->role == TRACK_DATA ? --data : t - 1;
		bool thin = track->role == TRACK_DATA && nth >= named_max(chart);
		draw_line(c, track, x, &pane->y.scale, line_ink(c, chart, track, nth),
			  thin ? 0.8 : 2, line_dash(chart, track, nth));
	}
	cairo_restore(c->cr);
}

/* When the surge began, or INFINITY. */
static double surge_of(const struct chart *chart)
{
	for (size_t n = 0; n < chart->mark_count; n++)
		if (chart->marks[n].role == MARK_SURGE)
			return chart->marks[n].x;
	return INFINITY;
}

static struct area bar_area(const struct track *t, size_t n, const struct scale *x)
{
	double left = scale_at(x, fmax(t->x[n], x->low));
	double right = scale_at(x, fmin(t->x_end[n], x->high));
	double gap = fmin(1, (right - left) / 5);

	return (struct area){left + gap / 2, 0, right - gap / 2, 0};
}

static void draw_bars(struct canvas *c, const struct chart *chart, const struct pane *pane,
		      const struct scale *x)
{
	const struct track *t = &pane->panel->tracks[0];
	double surge = surge_of(chart);

	for (size_t n = 0; n < t->count; n++) {
		struct area a = bar_area(t, n, x);
		if (!isfinite(t->y[n]) || a.right <= a.left)
			continue;
		a.top = scale_at(&pane->y.scale, t->y[n]);
		a.bottom = scale_at(&pane->y.scale, 0);
		canvas_box(c, a, c->colours->series[0],
			   t->x_end[n] > surge || isinf(surge) ? 1 : 0.5);
	}
}

static void draw_stack(struct canvas *c, const struct pane *pane, const struct scale *x)
{
	const struct panel *p = pane->panel;

	for (size_t n = 0; p->track_count > 0 && n < p->tracks[0].count; n++) {
		double sum = 0;
		struct area a = bar_area(&p->tracks[0], n, x);
		for (size_t t = 0; t < p->track_count; t++) {
			double value = p->tracks[t].y[n];
			if (!(value > 0) || a.right <= a.left)
				continue;
			a.bottom = scale_at(&pane->y.scale, sum);
			sum += value;
			a.top = scale_at(&pane->y.scale, sum);
			canvas_box(c, a, stack_ink(c, t), 1);
			canvas_hatch(c, a, c->colours->background, stack_hatch(t));
			canvas_line(c, a.left, a.top, a.right, a.top, c->colours->background, 0.6,
				    DASH_NONE);
		}
	}
}

/* From the alert until something was done about it, or to the end. */
static void tint_alert(struct canvas *c, const struct chart *chart, struct area plot,
		       const struct scale *x)
{
	struct area a = plot;

	a.left = plot.right;
	for (size_t n = 0; n < chart->mark_count; n++) {
		double at = fmax(plot.left, scale_at(x, chart->marks[n].x));
		if (chart->marks[n].role == MARK_ALERT)
			a.left = at;
		if (chart->marks[n].role == MARK_REMEDY)
			a.right = fmin(a.right, at);
	}
	if (a.left < a.right)
		canvas_box(c, a, c->colours->alarm, 0.07);
}

static void draw_pane(struct canvas *c, const struct chart *chart, struct pane *pane,
		      const struct scale *x)
{
	pane->y.scale.from = pane->plot.bottom;
	pane->y.scale.to = pane->plot.top;
	tint_alert(c, chart, pane->plot, x);
	frame_values(c, pane->plot, &pane->y);
	if (is_stacked(chart))
		draw_stack(c, pane, x);
	else if (has_bars(chart))
		draw_bars(c, chart, pane, x);
	else
		draw_lines(c, chart, pane, x);
	for (size_t n = 0; n < pane->label_count; n++)
		/* a stack's names stand in its order, the lowest part lowest */
		pane->labels[n].y = is_stacked(chart) ? pane->plot.bottom - 10 - 18 * (double)n
						      : scale_at(&pane->y.scale, pane->labels[n].y);
	frame_labels(c, pane->plot, pane->labels, pane->label_count);
}

static struct pane *panes_of(struct canvas *c, const struct chart *chart, struct area *plot)
{
	struct pane *panes = NEW_ARRAY(c->mem, struct pane, chart->panel_count);
	double names = FRAME_NOTE;
	double numbers = 24;

	for (size_t n = 0; n < chart->panel_count; n++) {
		struct pane *p = &panes[n];
		double low = 0;
		double high = 0;
		p->panel = &chart->panels[n];
		range_of(chart, p->panel, &low, &high);
		p->y = axis_of(p->panel->unit, low, high, chart->panel_count > 1 ? 3 : 5);
		name_tracks(c, chart, p);
		names = fmax(names, frame_labels_width(c, p->labels, p->label_count));
		numbers = fmax(numbers, axis_width(c, &p->y));
	}
	plot->left += numbers;
	plot->right -= names;
	plot->bottom -= FRAME_BELOW;
	return panes;
}

void draw_over_time(struct canvas *c, const struct chart *chart, struct area body)
{
	struct area plot = body;
	struct pane *panes = panes_of(c, chart, &plot);
	struct scale x = {.low = (double)chart->window.start_ms,
			  .high = (double)chart->window.end_ms,
			  .from = plot.left,
			  .to = plot.right};
	double rows = (double)frame_mark_rows(c, chart, &x) * FRAME_ROW;
	double each = (plot.bottom - plot.top - rows) / (double)chart->panel_count;

	for (size_t n = 0; n < chart->panel_count; n++) {
		panes[n].plot = plot;
		panes[n].plot.top = plot.top + rows + each * (double)n + FRAME_ROW + 4;
		panes[n].plot.bottom = plot.top + rows + each * (double)(n + 1) -
				       (n + 1 < chart->panel_count ? 4 : 0);
		frame_heading(c, panes[n].plot, panes[n].panel->name, &panes[n].y.unit);
		draw_pane(c, chart, &panes[n], &x);
	}
	frame_times(c, plot, &x);
	frame_marks(c, chart, plot, &x, plot.top + rows);
}
