/* CPU over time, memory against CPU, requests, and the three on one axis. */
#include "chart/gallery_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "chart/unit.h"
#include "chart/words.h"

enum { NAME_POINTS = 60, BARS_MAX = 72, GRID_MAX = 20000, SERIES_MAX = 50 };

/* A limit this many times above all values would press them flat: it is said in words only. */
static const double LIMIT_SHOWN = 4;

/* With what the source said of the queries that failed. */
static void absent(struct making *m, enum chart_kind kind, const char *what)
{
	const char *why = m->e->asked[SOURCE_METRICS].why;

	gallery_note(m, kind, str_empty(why) ? what : str_fmt(m->mem, "%s (%s)", what, why));
}

static double peak_of(const struct series *s)
{
	double peak = -INFINITY;

	for (size_t n = 0; n < s->count; n++)
		if (isfinite(s->values[n]))
			peak = fmax(peak, s->values[n]);
	return peak;
}

struct ranked {
	const struct series *series;
	double peak;
};

static int by_peak(const void *a, const void *b)
{
	const struct ranked *one = a;
	const struct ranked *other = b;

	if (one->peak != other->peak)
		return one->peak > other->peak ? -1 : 1;
	return strcmp(one->series->object, other->series->object);
}

/* The role's series that have a value, the highest first. */
static struct ranked *ranked_of(struct making *m, enum series_role role, size_t *count)
{
	struct ranked *all = NEW_ARRAY(m->mem, struct ranked, m->e->series_count + 1);

	*count = 0;
	for (size_t n = 0; n < m->e->series_count; n++) {
		const struct series *s = &m->e->series[n];
		double peak = peak_of(s);
		if (s->role == role && isfinite(peak))
			all[(*count)++] = (struct ranked){s, peak};
	}
	qsort(all, *count, sizeof(*all), by_peak);
	return all;
}

static struct track track_of(void *mem, const struct series *s, const char *name)
{
	double *x = NEW_ARRAY(mem, double, s->count + 1);

	for (size_t n = 0; n < s->count; n++)
		x[n] = (double)s->start_ms + (double)n * (double)s->step_ms;
	return (struct track){
		words_clean(mem, name, NAME_POINTS), TRACK_DATA, s->count, x, NULL, s->values};
}

/* The lowest limit of the role: what is hit first. */
static double limit_of(const struct making *m, enum series_role role)
{
	double lowest = INFINITY;

	for (size_t n = 0; n < m->e->series_count; n++) {
		const struct series *s = &m->e->series[n];
		for (size_t v = 0; s->role == role && v < s->count; v++)
			if (isfinite(s->values[v]) && s->values[v] > 0)
				lowest = fmin(lowest, s->values[v]);
	}
	return lowest;
}

static struct track limit_track(struct making *m, double limit, const char *unit)
{
	double *x = NEW_ARRAY(m->mem, double, 2);
	double *y = NEW_ARRAY(m->mem, double, 2);

	x[0] = (double)m->e->window.start_ms;
	x[1] = (double)m->e->window.end_ms;
	y[0] = y[1] = limit;
	return (struct track){str_fmt(m->mem, "limit %s", unit_text(m->mem, unit, limit)),
			      TRACK_LIMIT,
			      2,
			      x,
			      NULL,
			      y};
}

/* What a panel needs to know of a role. */
struct measure {
	const char *name;
	enum series_role role, limit; /* limit = SERIES_ROLE_COUNT: none */
};

static const struct measure CPU = {"CPU", SERIES_CPU, SERIES_CPU_LIMIT};
static const struct measure MEMORY = {"Memory", SERIES_MEMORY, SERIES_MEMORY_LIMIT};
static const struct measure REQUESTS = {"Requests", SERIES_REQUESTS, SERIES_ROLE_COUNT};

/* Two series of one object, or two long names with one beginning, are told apart by a number. */
static const char *unique_name(void *mem, const struct panel *p, const char *name)
{
	size_t same = 0;

	for (size_t n = 0; n < p->track_count; n++)
		same += str_eq(p->tracks[n].name, name);
	for (size_t n = 0; same > 0 && n < p->track_count; n++)
		same += str_eq(p->tracks[n].name, str_fmt(mem, "%s (%zu)", name, same + 1));
	return same == 0 ? name : str_fmt(mem, "%s (%zu)", name, same + 1);
}

static struct panel panel_of(struct making *m, const struct measure *what, const struct ranked *all,
			     size_t count)
{
	const char *unit = series_role_unit(what->role);
	struct panel p = {what->name, unit, NEW_ARRAY(m->mem, struct track, count + 2), 0};
	double limit = what->limit == SERIES_ROLE_COUNT ? INFINITY : limit_of(m, what->limit);

	for (size_t n = 0; n < count && n < SERIES_MAX; n++) {
		struct track t = track_of(m->mem, all[n].series, all[n].series->object);
		t.name = unique_name(m->mem, &p, t.name);
		p.tracks[p.track_count++] = t;
	}
	if (count > 0 && limit <= all[0].peak * LIMIT_SHOWN)
		p.tracks[p.track_count++] = limit_track(m, limit, unit);
	return p;
}

static double time_at(const struct series *s, size_t n)
{
	return (double)s->start_ms + (double)n * (double)s->step_ms;
}

/* What a remedy did is no part of what went wrong. */
static size_t until_remedy(const struct making *m, const struct series *s)
{
	size_t n = 0;

	while (n < s->count &&
	       (m->wish->remedied_ms <= 0 || time_at(s, n) < (double)m->wish->remedied_ms))
		n++;
	return n;
}

/* "CPU rose from 0.41 to 1.8 cores at 10:41, 5 min before the alert" */
static char *course_text(struct making *m, const char *name, const struct series *s)
{
	const char *unit = series_role_unit(s->role);
	size_t count = until_remedy(m, s);
	struct trend t = trend_of(s->values, count);
	double length = (double)s->step_ms * ((double)count - 1);

	if (t.course == COURSE_STEP)
		return str_fmt(m->mem, "%s %s from %s at %s", name,
			       t.after > t.before ? "rose" : "fell",
			       gallery_range(m->mem, unit, t.before, t.after),
			       gallery_when(m, time_at(s, t.at)));
	if (t.course == COURSE_RAMP)
		return str_fmt(m->mem, "%s %s steadily from %s in %s", name,
			       t.after > t.before ? "grew" : "fell",
			       gallery_range(m->mem, unit, fmax(0, t.before), fmax(0, t.after)),
			       words_length(m->mem, length));
	if (t.course == COURSE_HELD && t.lowest < t.median / 1.5)
		return str_fmt(m->mem, "%s varied from %s without a lasting change", name,
			       gallery_range(m->mem, unit, t.lowest, t.highest));
	if (t.course == COURSE_HELD && t.highest > 1.5 * t.median)
		return str_fmt(m->mem, "%s stayed near %s, with peaks up to %s", name,
			       unit_text(m->mem, unit, t.median),
			       unit_text(m->mem, unit, t.highest));
	return str_fmt(m->mem, "%s held at %s (%s)", name, unit_text(m->mem, unit, t.median),
		       gallery_range(m->mem, unit, t.lowest, t.highest));
}

static char *figures_text(struct making *m, const char *name, const struct series *s)
{
	const char *unit = series_role_unit(s->role);
	struct trend t = trend_of(s->values, s->count);

	return str_fmt(m->mem, "%s of %s: lowest %s, median %s, highest %s.", name,
		       words_clean(m->mem, s->object, NAME_POINTS),
		       unit_text(m->mem, unit, t.lowest), unit_text(m->mem, unit, t.median),
		       unit_text(m->mem, unit, t.highest));
}

static void make_line(struct making *m)
{
	size_t count = 0;
	struct ranked *all = ranked_of(m, CPU.role, &count);
	double limit = limit_of(m, CPU.limit);

	if (count == 0) {
		absent(m, CHART_LINE, "no series of CPU came back");
		return;
	}
	struct chart *c = gallery_add(m, CHART_LINE, true);
	c->panels = NEW(m->mem, struct panel);
	c->panels[0] = panel_of(m, &CPU, all, count);
	c->panel_count = 1;
	const char *bound = isfinite(limit)
				    ? str_fmt(m->mem, "limit %s", unit_text(m->mem, "cores", limit))
				    : "no limit";
	const char *highest = words_clean(m->mem, all[0].series->object, 40);
	const char *shown = bound;
	if (count > SERIES_MAX)
		shown = str_fmt(m->mem, "the highest %d of %zu, first %s, %s", SERIES_MAX, count,
				highest, bound);
	else if (count > 1)
		shown = str_fmt(m->mem, "highest on %s, %s", highest, bound);
	gallery_words(m, c, course_text(m, "CPU", all[0].series), shown,
		      str_fmt(m->mem, "%s %zu lines, %s.", figures_text(m, "CPU", all[0].series),
			      count, bound));
}

/* Memory's value at CPU's moments; the grids may differ by less than half a step. */
static double value_at(const struct series *s, double ms)
{
	double n = round((ms - (double)s->start_ms) / (double)s->step_ms);

	return n >= 0 && n < (double)s->count ? s->values[(size_t)n] : NAN;
}

static const struct series *same_object(const struct ranked *all, size_t count, const char *object)
{
	for (size_t n = 0; n < count; n++)
		if (str_eq(all[n].series->object, object))
			return all[n].series;
	return NULL;
}

static char *relation_text(struct making *m, const struct correlation *r)
{
	const char *text = "Memory and CPU are related weakly";

	if (isnan(r->r))
		return str_dup(m->mem, "Memory against CPU: one of them did not vary, so no "
				       "correlation can be told");
	if (fabs(r->r) < 0.3)
		text = "Memory did not follow CPU";
	else if (r->r >= 0.7)
		text = "Memory rose and fell with CPU";
	else if (r->r <= -0.7)
		text = "Memory fell as CPU rose";
	return str_fmt(m->mem, "%s (r = %.2f, %zu samples)", text, r->r, r->count);
}

/* One track for the samples before the alert, one since, one for the line. */
static void scatter_tracks(struct making *m, struct panel *p, const struct series *cpu,
			   const double *memory, const struct correlation *r)
{
	double *before = NEW_ARRAY(m->mem, double, cpu->count + 1);
	double *since = NEW_ARRAY(m->mem, double, cpu->count + 1);
	double *ends = NEW_ARRAY(m->mem, double, 2);
	double *fitted = NEW_ARRAY(m->mem, double, 2);

	ends[0] = INFINITY;
	ends[1] = -INFINITY;
	for (size_t n = 0; n < cpu->count; n++) {
		bool late = time_at(cpu, n) >= (double)m->e->window.alert_ms;
		before[n] = late ? NAN : memory[n];
		since[n] = late ? memory[n] : NAN;
		if (isfinite(cpu->values[n]) && isfinite(memory[n])) {
			ends[0] = fmin(ends[0], cpu->values[n]);
			ends[1] = fmax(ends[1], cpu->values[n]);
		}
	}
	p->tracks[0] = (struct track){"before the alert", TRACK_DATA, cpu->count,
				      cpu->values,	  NULL,	      before};
	p->tracks[1] =
		(struct track){"since the alert", TRACK_DATA, cpu->count, cpu->values, NULL, since};
	p->track_count = 2;
	if (isnan(r->r))
		return;
	for (int n = 0; n < 2; n++)
		fitted[n] = r->intercept + r->slope * ends[n];
	p->tracks[p->track_count++] = (struct track){
		str_fmt(m->mem, "fitted, r = %.2f", r->r), TRACK_FIT, 2, ends, NULL, fitted};
}

static void make_scatter(struct making *m)
{
	size_t cpus = 0;
	size_t memories = 0;
	struct ranked *cpu = ranked_of(m, SERIES_CPU, &cpus);
	struct ranked *memory = ranked_of(m, SERIES_MEMORY, &memories);
	const struct series *x = NULL;
	size_t at = 0;

	for (; at < memories && x == NULL; at++)
		x = same_object(cpu, cpus, memory[at].series->object);
	if (x == NULL) {
		absent(m, CHART_SCATTER, "no object has both CPU and memory");
		return;
	}
	double *y = NEW_ARRAY(m->mem, double, x->count + 1);
	for (size_t n = 0; n < x->count; n++)
		y[n] = value_at(memory[at - 1].series, time_at(x, n));
	struct correlation r = scatter_correlation(x->values, y, x->count);
	struct chart *c = gallery_add(m, CHART_SCATTER, false);
	c->x_name = "CPU";
	c->x_unit = "cores";
	c->panels = NEW(m->mem, struct panel);
	c->panels[0] = (struct panel){"Memory", "bytes", NEW_ARRAY(m->mem, struct track, 3), 0};
	c->panel_count = 1;
	scatter_tracks(m, c->panels, x, y, &r);
	const char *why = isnan(r.r) ? ""
				     : str_fmt(m->mem, "the line adds %s for each core.",
					       unit_text(m->mem, "bytes", r.slope));
	gallery_words(m, c, relation_text(m, &r), "memory against CPU", why);
}

/* All objects together; a moment at which none has a value stays a gap. */
static struct series *sum_of(struct making *m, const struct ranked *all, size_t count)
{
	struct series *sum = NEW(m->mem, struct series);
	double *values = NEW_ARRAY(m->mem, double, all[0].series->count + 1);

	*sum = *all[0].series;
	for (size_t n = 0; n < sum->count; n++) {
		values[n] = NAN;
		for (size_t s = 0; s < count; s++) {
			double one = value_at(all[s].series, time_at(sum, n));
			if (isfinite(one))
				values[n] = isnan(values[n]) ? one : values[n] + one;
		}
	}
	sum->values = values;
	return sum;
}

/* Means of equal parts of time, so many as can be told apart. */
static struct track bars_of(struct making *m, const struct series *s)
{
	double bin = fmax((double)s->step_ms, gallery_bin(&m->e->window, BARS_MAX));
	double first = floor(time_at(s, 0) / bin) * bin;
	size_t bars = (size_t)((time_at(s, s->count) - first) / bin) + 1;
	double *x = NEW_ARRAY(m->mem, double, bars + 1);
	double *end = NEW_ARRAY(m->mem, double, bars + 1);
	double *y = NEW_ARRAY(m->mem, double, bars + 1);
	double *counted = NEW_ARRAY(m->mem, double, bars + 1);

	for (size_t n = 0; n < s->count; n++) {
		size_t at = (size_t)((time_at(s, n) - first) / bin);
		if (at < bars && isfinite(s->values[n])) {
			y[at] += s->values[n];
			counted[at]++;
		}
	}
	for (size_t n = 0; n < bars; n++) {
		x[n] = first + bin * (double)n;
		end[n] = x[n] + bin;
		y[n] = counted[n] > 0 ? y[n] / counted[n] : NAN;
	}
	return (struct track){"requests", TRACK_DATA, bars, x, end, y};
}

static void make_bars(struct making *m)
{
	size_t count = 0;
	struct ranked *all = ranked_of(m, REQUESTS.role, &count);

	if (count == 0) {
		absent(m, CHART_BARS, "no series of requests came back");
		return;
	}
	struct series *sum = sum_of(m, all, count);
	struct trend t = trend_of(sum->values, until_remedy(m, sum));
	struct chart *c = gallery_add(m, CHART_BARS, true);
	c->panels = NEW(m->mem, struct panel);
	c->panels[0] = (struct panel){"Requests", "1/s", NEW(m->mem, struct track), 1};
	c->panel_count = 1;
	c->panels[0].tracks[0] = bars_of(m, sum);
	if (t.course == COURSE_STEP && t.after > t.before) {
		double at = time_at(sum, t.at);
		gallery_mark(m, c, MARK_SURGE, at,
			     str_fmt(m->mem, "surge %s",
				     words_time(m->mem, at, (double)m->e->window.end_ms)));
	}
	gallery_words(m, c, course_text(m, "Requests", sum), "", figures_text(m, "Requests", sum));
}

/* One that changed at a moment. */
struct change {
	const char *name;
	double at;
	bool up;
};

static int by_time(const void *a, const void *b)
{
	double one = ((const struct change *)a)->at;
	double other = ((const struct change *)b)->at;

	return (one > other) - (one < other);
}

/* What changed, in the order in which it did: "Requests rose at 10:36, CPU at 10:37, memory at
 * 10:40". */
static char *order_text(struct making *m, const struct measure *const *what,
			const struct series *const *series, size_t count)
{
	struct change *changes = NEW_ARRAY(m->mem, struct change, count);
	char *text = str_dup(m->mem, "");
	size_t used = 0;

	for (size_t n = 0; n < count; n++) {
		struct trend t = trend_of(series[n]->values, until_remedy(m, series[n]));
		if (t.course == COURSE_STEP)
			changes[used++] = (struct change){what[n]->name, time_at(series[n], t.at),
							  t.after > t.before};
	}
	for (size_t n = 0; n < count && used == 0; n++)
		str_add(&text, "%s%s",
			n == 0		 ? ""
			: n + 1 == count ? " and "
					 : ", ",
			gallery_inside(m->mem, what[n]->name, n > 0));
	if (used == 0)
		return str_fmt(m->mem, "%s did not change at one moment", text);
	qsort(changes, used, sizeof(*changes), by_time);
	for (size_t n = 0; n < used; n++) {
		const struct change *c = &changes[n];
		bool same = n > 0 && changes[n - 1].up == c->up;
		str_add(&text, "%s%s%s at %s", n == 0 ? "" : ", ",
			gallery_inside(m->mem, c->name, n > 0),
			same	? ""
			: c->up ? " rose"
				: " fell",
			words_time(m->mem, c->at, (double)m->e->window.alert_ms));
	}
	return text;
}

static void make_panels(struct making *m)
{
	static const struct measure *const MEASURES[] = {&REQUESTS, &CPU, &MEMORY};
	const struct measure *found[3];
	const struct series *first[3];
	struct panel *panels = NEW_ARRAY(m->mem, struct panel, 3);
	char *figures = str_dup(m->mem, "");
	size_t used = 0;

	for (size_t n = 0; n < 3; n++) {
		size_t count = 0;
		struct ranked *all = ranked_of(m, MEASURES[n]->role, &count);
		if (count == 0)
			continue;
		panels[used] = panel_of(m, MEASURES[n], all, count);
		found[used] = MEASURES[n];
		first[used++] = all[0].series;
		str_add(&figures, "%s ", figures_text(m, MEASURES[n]->name, all[0].series));
	}
	if (used < 2) {
		absent(m, CHART_PANELS, "fewer than two of CPU, memory and requests came back");
		return;
	}
	struct chart *c = gallery_add(m, CHART_PANELS, true);
	c->panels = panels;
	c->panel_count = used;
	gallery_words(m, c, order_text(m, found, first, used), "", figures);
}

void gallery_metrics(struct making *m)
{
	const char *why = gallery_missing(m, SOURCE_METRICS);

	if (why == NULL || m->e->series_count > 0) {
		make_line(m);
		make_scatter(m);
		make_bars(m);
		make_panels(m);
		return;
	}
	for (int kind = CHART_LINE; kind <= CHART_PANELS; kind++)
		gallery_note(m, (enum chart_kind)kind, why);
}

/* At each moment the sum, or the largest, of all objects: a remedy may have replaced the object
 * itself. */
static double *joined(struct making *m, const struct ranked *all, size_t count, bool summed,
		      struct series *grid)
{
	const struct window *w = &m->e->window;

	*grid = *all[0].series;
	grid->start_ms = w->start_ms;
	double length = (double)w->end_ms - (double)w->start_ms;
	grid->step_ms = (int64_t)fmax((double)grid->step_ms, length / GRID_MAX);
	grid->count = (size_t)(length / (double)grid->step_ms) + 1;
	double *values = NEW_ARRAY(m->mem, double, grid->count + 1);
	for (size_t n = 0; n < grid->count; n++) {
		values[n] = NAN;
		for (size_t s = 0; s < count; s++) {
			double one = value_at(all[s].series, time_at(grid, n));
			if (isfinite(one) && isfinite(values[n]))
				one = summed ? one + values[n] : fmax(one, values[n]);
			values[n] = isfinite(one) ? one : values[n];
		}
	}
	return values;
}

static double median_between(struct making *m, const struct series *grid, const double *values,
			     double from, double to)
{
	double *part = NEW_ARRAY(m->mem, double, grid->count + 1);
	size_t used = 0;

	for (size_t n = 0; n < grid->count; n++)
		if (time_at(grid, n) >= from && time_at(grid, n) < to)
			part[used++] = values[n];
	double *sorted = sorted_copy(m->mem, part, used, &used);
	return quantile(sorted, used, 0.5);
}

static const struct compared {
	const char *name;
	enum series_role role;
	bool summed;
} COMPARED[] = {{"CPU", SERIES_CPU, false},	     {"Memory", SERIES_MEMORY, false},
		{"Requests", SERIES_REQUESTS, true}, {"Errors", SERIES_ERRORS, true},
		{"Latency", SERIES_LATENCY, false},  {"Throttled", SERIES_THROTTLED, false}};

enum { COMPARED_COUNT = sizeof(COMPARED) / sizeof(COMPARED[0]) };

static void compare(struct making *m, struct chart *c, const struct compared *what)
{
	size_t count = 0;
	struct ranked *all = ranked_of(m, what->role, &count);
	struct series grid;
	double remedy = (double)m->wish->remedied_ms;
	/* the alert's own time; with none before the remedy, all that was */
	double from = m->e->window.alert_ms < m->wish->remedied_ms ? (double)m->e->window.alert_ms
								   : -INFINITY;

	if (count == 0)
		return;
	double *values = joined(m, all, count, what->summed, &grid);
	struct pair p = {what->name, series_role_unit(what->role),
			 median_between(m, &grid, values, from, remedy),
			 median_between(m, &grid, values, remedy, INFINITY), NAN};
	if (isfinite(p.before) && isfinite(p.after))
		c->pairs[c->pair_count++] = p;
}

static double change_of(const struct pair *p)
{
	double change = (p->after - p->before) / fabs(p->before);

	return isnan(change) ? 0 : change; /* from nothing to something is more than any share */
}

static double size_of(const struct pair *p)
{
	return fabs(change_of(p));
}

/* "by 99 %", or "from 0". */
static char *by_how_much(void *mem, const struct pair *p)
{
	return isfinite(change_of(p)) ? str_fmt(mem, "by %.0f %%", 100 * size_of(p))
				      : str_dup(mem, "from 0");
}

/* The two that changed most. */
static char *comparison_title(struct making *m, const struct chart *c)
{
	const struct pair *most = &c->pairs[0];
	const struct pair *second = NULL;
	char *when = words_time(m->mem, (double)m->wish->remedied_ms, (double)m->e->window.end_ms);

	for (size_t n = 1; n < c->pair_count; n++) {
		const struct pair *p = &c->pairs[n];
		if (size_of(p) > size_of(most)) {
			second = most;
			most = p;
		} else if (second == NULL || size_of(p) > size_of(second)) {
			second = p;
		}
	}
	if (size_of(most) < 0.05)
		return str_fmt(m->mem, "Nothing changed by 5 %% or more after the remedy at %s",
			       when);
	char *text = str_fmt(m->mem, "%s %s %s", most->name, change_of(most) < 0 ? "fell" : "rose",
			     by_how_much(m->mem, most));
	if (second != NULL && size_of(second) >= 0.05) {
		bool same = (change_of(most) < 0) == (change_of(second) < 0);
		str_add(&text, " and %s%s %s", gallery_inside(m->mem, second->name, true),
			same			? ""
			: change_of(second) < 0 ? " fell"
						: " rose",
			by_how_much(m->mem, second));
	}
	str_add(&text, " after the remedy at %s", when);
	return text;
}

void gallery_comparison(struct making *m)
{
	const char *why = gallery_missing(m, SOURCE_METRICS);
	struct chart c = {.pairs = NEW_ARRAY(m->mem, struct pair, COMPARED_COUNT)};
	char *figures = str_dup(m->mem, "");

	if (m->wish->remedied_ms <= 0) {
		gallery_note(m, CHART_COMPARISON, "nothing was remedied yet");
		return;
	}
	for (size_t n = 0; n < COMPARED_COUNT; n++)
		compare(m, &c, &COMPARED[n]);
	if (c.pair_count == 0) {
		gallery_note(m, CHART_COMPARISON,
			     why != NULL
				     ? why
				     : "no measure has values both before and after the remedy");
		return;
	}
	for (size_t n = 0; n < c.pair_count; n++)
		str_add(&figures, "%s before %s, after %s. ", c.pairs[n].name,
			unit_text(m->mem, c.pairs[n].unit, c.pairs[n].before),
			unit_text(m->mem, c.pairs[n].unit, c.pairs[n].after));
	struct chart *made = gallery_add(m, CHART_COMPARISON, false);
	made->pairs = c.pairs;
	made->pair_count = c.pair_count;
	gallery_words(m, made, comparison_title(m, made), "medians until the remedy and since",
		      figures);
}
