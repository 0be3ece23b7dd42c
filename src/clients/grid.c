/*
 * A week of twenty series is some hundred thousand samples: read as nodes (json_node.h), without an
 * allocation for each value.
 */
#include "clients/grid.h"

#include <math.h>
#include <stdlib.h>

#include "base/json_node.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/prometheus_parts.h"

static const int64_t STEPS_S[] = {1,   2,   5,	  10,	15,   30,    60,    120,  300,
				  600, 900, 1800, 3600, 7200, 10800, 21600, 43200};
static const int64_t DAY_S = 86400;

struct range range_of(int64_t start_ms, int64_t end_ms, size_t points)
{
	int64_t most = points > RANGE_POINTS_MAX ? RANGE_POINTS_MAX
		       : points < 2		 ? 2
						 : (int64_t)points;
	struct range r = {start_ms, end_ms, 0};
	/* n points lie n - 1 steps apart; ten thousand days in days are still fewer points than the
	 * most */
	int64_t least_s = (end_ms - start_ms + 1000 * (most - 1) - 1) / (1000 * (most - 1));

	for (size_t n = 0; n < sizeof(STEPS_S) / sizeof(STEPS_S[0]) && r.step_ms == 0; n++)
		if (STEPS_S[n] >= least_s)
			r.step_ms = STEPS_S[n] * 1000;
	if (r.step_ms == 0)
		r.step_ms = (least_s + DAY_S - 1) / DAY_S * DAY_S * 1000;
	return r;
}

size_t range_points(const struct range *r)
{
	return (size_t)((r->end_ms - r->start_ms) / r->step_ms) + 1;
}

struct reading {
	void *mem;
	const char *who;
	const struct range *range;
	struct grid *grid;
	size_t samples;
};

static double number_of(const struct node *n)
{
	if (n->kind == NODE_INTEGER)
		return (double)n->integer;
	return n->kind == NODE_REAL ? n->real : NAN;
}

/* [seconds, "value"] to its place on the grid. */
static enum status read_sample(const struct reading *r, const struct node *sample, double *values)
{
	const struct node *at = sample + 1;
	const struct node *text = sample->size == 2 ? node_next(at) : NULL;
	double value;

	if (sample->kind != NODE_ARRAY || text == NULL || isnan(number_of(at)) ||
	    text->kind != NODE_STRING)
		return failure(E_INVALID, "%s: a sample must be [time, \"value\"]", r->who);
	if (prometheus_number(text->text, &value) != OK)
		return failure(E_INVALID, "%s: a sample's value is no number", r->who);
	double offset_ms = number_of(at) * 1000.0 - (double)r->range->start_ms;
	double place = round(offset_ms / (double)r->range->step_ms);
	if (place >= 0 && place < (double)r->grid->points)
		values[(size_t)place] = value;
	return OK;
}

static enum status read_labels(void *mem, const char *who, const struct node *metric,
			       const json_t **out)
{
	if (metric == NULL || metric->kind != NODE_OBJECT)
		return failure(E_INVALID, "%s: a series without labels", who);
	NODE_MEMBERS(name, metric)
	if (name[1].kind != NODE_STRING)
		return failure(E_INVALID, "%s: label %.60s must be a string", who, name->text);
	*out = node_json(mem, metric);
	return OK;
}

static enum status read_series(struct reading *r, const struct node *entry)
{
	struct grid_series *s = &r->grid->series[r->grid->count];
	const struct node *samples = node_get(entry, "values");
	double *values = NEW_ARRAY(r->mem, double, r->grid->points);

	if (samples == NULL || samples->kind != NODE_ARRAY)
		return failure(E_INVALID,
			       node_get(entry, "histograms") != NULL
				       ? "%s: native histograms have no one value"
				       : "%s: a series without values",
			       r->who);
	if (r->samples + samples->size > GRID_SAMPLES_MAX) {
		r->grid->cut = true;
		return OK;
	}
	r->samples += samples->size;
	for (size_t n = 0; n < r->grid->points; n++)
		values[n] = NAN;
	NODE_EACH(sample, samples)
	TRY(read_sample(r, sample, values));
	TRY(read_labels(r->mem, r->who, node_get(entry, "metric"), &s->labels));
	s->values = values;
	r->grid->count++;
	return OK;
}

static enum status read_result(struct reading *r, const struct node *data)
{
	const struct node *result = node_get(data, "result");
	const char *type = node_str(data, "resultType");

	if (!str_eq(type, "matrix"))
		return failure(E_INVALID, "%s: result type %.20s is not wanted", r->who,
			       type == NULL ? "?" : type);
	if (result == NULL || result->kind != NODE_ARRAY)
		return failure(E_INVALID, "%s: the result is not a list", r->who);
	size_t room = result->size < GRID_SERIES_MAX ? result->size : GRID_SERIES_MAX;
	r->grid->series = NEW_ARRAY(r->mem, struct grid_series, room + 1);
	NODE_EACH(entry, result)
	{
		if (r->grid->count == room) {
			r->grid->cut = true;
			break;
		}
		TRY(read_series(r, entry));
	}
	return OK;
}

static void read_warnings(struct grid *g, const struct node *doc)
{
	const struct node *warnings = node_get(doc, "warnings");

	g->warnings = NEW_ARRAY(g, const char *, GRID_WARNINGS_MAX);
	if (warnings == NULL || warnings->kind != NODE_ARRAY)
		return;
	NODE_EACH(w, warnings)
	if (w->kind == NODE_STRING && g->warning_count < GRID_WARNINGS_MAX)
		g->warnings[g->warning_count++] = str_dup(g, w->text);
}

enum status grid_decode(void *mem, const char *who, const char *body, size_t n,
			const struct range *range, struct grid **out)
{
	SCOPE(tmp);
	const struct node *doc = NULL;
	struct grid *g = NEW(tmp, struct grid);
	struct reading r = {.mem = g, .who = who, .range = range, .grid = g};

	if (node_parse(tmp, body, n, &doc) != OK)
		return failure(E_INVALID, "%s' answer is not JSON", who);
	if (str_eq(node_str(doc, "status"), "error"))
		return failure(E_INVALID, "%s: %.300s", who,
			       node_str(doc, "error") == NULL ? "error" : node_str(doc, "error"));
	if (!str_eq(node_str(doc, "status"), "success") || node_get(doc, "data") == NULL)
		return failure(E_INVALID, "%s' answer has no data", who);
	g->range = *range;
	g->points = range_points(range);
	TRY(read_result(&r, node_get(doc, "data")));
	read_warnings(g, doc);
	*out = MOVE(mem, g);
	return OK;
}

static double peak(const struct grid_series *s, size_t points)
{
	double most = -INFINITY;

	for (size_t n = 0; n < points; n++)
		if (isfinite(s->values[n]) && s->values[n] > most)
			most = s->values[n];
	return most;
}

struct ranked {
	double peak;
	struct grid_series series;
};

static int by_peak(const void *a, const void *b)
{
	double x = ((const struct ranked *)a)->peak;
	double y = ((const struct ranked *)b)->peak;

	return (x < y) - (x > y);
}

void grid_keep(struct grid *g, size_t n)
{
	SCOPE(tmp);

	if (g->count <= n)
		return;
	struct ranked *list = NEW_ARRAY(tmp, struct ranked, g->count);
	for (size_t i = 0; i < g->count; i++)
		list[i] = (struct ranked){peak(&g->series[i], g->points), g->series[i]};
	qsort(list, g->count, sizeof(*list), by_peak);
	for (size_t i = 0; i < n; i++)
		g->series[i] = list[i].series;
	g->count = n;
	g->cut = true;
}
