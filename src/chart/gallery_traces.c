/* The distribution of latency, and the map of services. */
#include "chart/gallery_parts.h"

#include <math.h>

#include "base/mem.h"
#include "base/str.h"
#include "chart/scale.h"
#include "chart/unit.h"

enum { ENOUGH = 20 }; /* spans on each side of the alert, for a percentile of each */

static const double WIDE = 8; /* highest to lowest, from which a logarithmic axis shows more */
static const double BINS_A_DECADE = 12;

/* Durations in seconds of the requests that are looked at. */
struct durations {
	double *all, *early, *late; /* ascending */
	size_t count, early_count, late_count;
	const char *of; /* the service, or NULL: whole traces */
};

static struct durations durations_of(struct making *m, const char *service)
{
	const struct evidence *e = m->e;
	struct durations d = {NULL, NULL, NULL, 0, 0, 0, service};
	bool *entry = sankey_entries(m->mem, e->spans, e->span_count);
	double *all = NEW_ARRAY(m->mem, double, e->span_count + 1);
	double *early = NEW_ARRAY(m->mem, double, e->span_count + 1);
	double *late = NEW_ARRAY(m->mem, double, e->span_count + 1);

	for (size_t n = 0; n < e->span_count; n++) {
		const struct trace_span *s = &e->spans[n];
		double seconds = (double)s->duration_us / 1e6;
		if (!entry[n] || seconds < 0 ||
		    (service == NULL ? !str_empty(s->parent_id) : !str_eq(s->service, service)))
			continue;
		all[d.count++] = seconds;
		if (s->start_us / 1000 < e->window.alert_ms)
			early[d.early_count++] = seconds;
		else if (m->wish->remedied_ms <= 0 || s->start_us / 1000 < m->wish->remedied_ms)
			late[d.late_count++] = seconds;
	}
	d.all = sorted_copy(m->mem, all, d.count, &d.count);
	d.early = sorted_copy(m->mem, early, d.early_count, &d.early_count);
	d.late = sorted_copy(m->mem, late, d.late_count, &d.late_count);
	return d;
}

static struct track empty_bars(struct making *m, double *edges, size_t bins)
{
	return (struct track){"requests", TRACK_DATA, bins,
			      edges,	  edges + 1,  NEW_ARRAY(m->mem, double, bins + 1)};
}

/* Equal parts of the logarithm. */
static struct track logarithmic_bars(struct making *m, double low, double high)
{
	double first = floor(log10(low) * BINS_A_DECADE);
	size_t bins = (size_t)fmin(200, ceil(log10(high) * BINS_A_DECADE + 1e-9) - first) + 1;
	double *edges = NEW_ARRAY(m->mem, double, bins + 1);

	for (size_t n = 0; n <= bins; n++)
		edges[n] = pow(10, (first + (double)n) / BINS_A_DECADE);
	return empty_bars(m, edges, bins);
}

static struct track linear_bars(struct making *m, double high)
{
	struct unit u = unit_for("s", high);
	struct ticks t = ticks_nice(0, high > 0 ? high : 1, 12, u.factor);
	double part = t.step / 2;
	size_t bins = (size_t)(high / part) + 1;
	double *edges = NEW_ARRAY(m->mem, double, bins + 1);

	for (size_t n = 0; n <= bins; n++)
		edges[n] = part * (double)n;
	return empty_bars(m, edges, bins);
}

static struct track histogram_of(struct making *m, const struct durations *d, bool *logarithmic)
{
	double low = fmax(d->all[0], 1e-6); /* a span's resolution */
	double high = fmax(d->all[d->count - 1], low);
	*logarithmic = high / low >= WIDE;
	struct track t = *logarithmic ? logarithmic_bars(m, low, high) : linear_bars(m, high);
	double *y = NEW_ARRAY(m->mem, double, t.count + 1);
	size_t bin = 0;

	for (size_t n = 0; n < d->count; n++) {
		while (bin + 1 < t.count && d->all[n] >= t.x_end[bin])
			bin++;
		y[bin]++;
	}
	t.y = y;
	return t;
}

static char *latency_title(struct making *m, const struct durations *d)
{
	double p95 = quantile(d->all, d->count, 0.95);
	double before = quantile(d->early, d->early_count, 0.95);
	double after = quantile(d->late, d->late_count, 0.95);

	if (d->early_count >= ENOUGH && d->late_count >= ENOUGH &&
	    fabs(after - before) >= 0.2 * fmax(after, before))
		return str_fmt(m->mem, "p95 latency %s from %s since the alert",
			       after > before ? "rose" : "fell",
			       gallery_range(m->mem, "s", before, after));
	return str_fmt(m->mem, "95 %% of requests took at most %s, half of them %s",
		       unit_text(m->mem, "s", p95),
		       unit_text(m->mem, "s", quantile(d->all, d->count, 0.5)));
}

static void make_latency(struct making *m)
{
	static const int PERCENTS[] = {50, 95, 99};
	struct durations d = durations_of(m, m->e->service);
	bool logarithmic = false;
	char *figures = str_dup(m->mem, "");

	if (d.count == 0 && m->e->service != NULL)
		d = durations_of(m, NULL);
	if (d.count == 0) {
		gallery_note(m, CHART_LATENCY, "no whole request among the spans");
		return;
	}
	struct track *t = NEW(m->mem, struct track);
	*t = histogram_of(m, &d, &logarithmic);
	struct chart *c = gallery_add(m, CHART_LATENCY, false);
	c->x_name = "Duration of a request";
	c->x_unit = "s";
	c->x_logarithmic = logarithmic;
	c->panels = NEW(m->mem, struct panel);
	c->panels[0] = (struct panel){"Requests", "", t, 1};
	c->panel_count = 1;
	for (size_t n = 0; n < sizeof(PERCENTS) / sizeof(PERCENTS[0]); n++) {
		double at = quantile(d.all, d.count, PERCENTS[n] / 100.0);
		char *label = str_fmt(m->mem, "p%d %s", PERCENTS[n], unit_text(m->mem, "s", at));
		gallery_mark(m, c, MARK_QUANTILE, fmax(at, t->x[0]), label);
		str_add(&figures, "%s. ", label);
	}
	gallery_words(m, c, latency_title(m, &d),
		      str_fmt(m->mem, "%zu requests%s%s", d.count, d.of == NULL ? "" : " to ",
			      d.of == NULL ? "" : d.of),
		      figures);
}

static char *map_title(struct making *m, const struct sankey *map)
{
	const struct sankey_node *slow = sankey_bottleneck(map);
	const struct sankey_node *most = &map->nodes[0];
	double own = 0;

	for (size_t n = 0; n < map->node_count; n++) {
		own += map->nodes[n].own_s;
		most = map->nodes[n].own_s > most->own_s ? &map->nodes[n] : most;
	}
	if (slow == NULL)
		return str_fmt(m->mem, "No single service takes the time: %s has the most, %.0f %%",
			       most->name, own > 0 ? 100 * most->own_s / own : 0);
	return str_fmt(m->mem, "%s is the bottleneck: %.0f %% of all time is spent there",
		       slow->name, 100 * slow->own_s / own);
}

static void make_map(struct making *m)
{
	struct sankey *map = sankey_of(m->mem, m->e->spans, m->e->span_count);
	size_t back = 0;
	char *figures = str_dup(m->mem, "");

	if (map->node_count < 2) {
		gallery_note(m, CHART_MAP, "the spans are all of one service");
		return;
	}
	for (size_t n = 0; n < map->node_count; n++)
		str_add(&figures, "%s spends %s itself, of %s. ", map->nodes[n].name,
			unit_text(m->mem, "s", map->nodes[n].own_s),
			unit_text(m->mem, "s", map->nodes[n].total_s));
	for (size_t n = 0; n < map->call_count; n++)
		back += map->calls[n].back;
	struct chart *c = gallery_add(m, CHART_MAP, false);
	c->map = map;
	gallery_words(m, c, map_title(m, map),
		      back == 0 ? "time that callers wait"
				: "time that callers wait (calls back are not drawn)",
		      figures);
}

void gallery_traces(struct making *m)
{
	const char *why = gallery_missing(m, SOURCE_TRACES);

	if (why == NULL && m->e->span_count == 0)
		why = "no trace in the window matched the query";
	if (m->e->span_count > 0) {
		make_latency(m);
		make_map(m);
		return;
	}
	gallery_note(m, CHART_LATENCY, why);
	gallery_note(m, CHART_MAP, why);
}
