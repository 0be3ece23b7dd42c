#include "flow/gather_parts.h"

#include <math.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/loki.h"
#include "domain/severity.h"
#include "domain/text.h"

/* All lines and those of trouble: among many others the few that matter would be cut off. */
enum { ALL, TROUBLE, KINDS };

struct question {
	const char *logql[KINDS]; /* NULL = not asked */
	const char *volume;
	struct http_request requests[KINDS + 1];
	size_t count;
};

static bool ask(struct errand *e, void *tmp, struct question *q)
{
	const struct backend *loki = &e->sources->loki;

	for (int k = 0; k < KINDS; k++) {
		const struct loki_query query = {.logql = q->logql[k],
						 .start_ms = e->range.start_ms,
						 .end_ms = e->window->end_ms + 1,
						 .limit = GATHER_LINES / KINDS};
		if (q->logql[k] == NULL)
			continue;
		errand_asks(e, q->logql[k]);
		if (loki_range_request(tmp, loki, &query, &q->requests[q->count++]) != OK)
			return false;
	}
	errand_asks(e, q->volume);
	return loki_volume_request(tmp, loki, q->volume, &e->range, &q->requests[q->count++]) == OK;
}

static const char *level_of(const struct grid_series *s)
{
	const char *level = severity_of_word(json_str(s->labels, "detected_level"));

	return *level != '\0' ? level : severity_of_word(json_str(s->labels, "level"));
}

/* Adds up what is told of one level. Where Loki counted no line it gives no sample: that is a count
 * of none. */
static void take_level(struct errand *e, const struct grid *g, const char *level, const char *query)
{
	double *values = NEW_ARRAY(e->mem, double, g->points + 1);
	bool any = false;

	for (size_t i = 0; i < g->count; i++) {
		if (!str_eq(level_of(&g->series[i]), level))
			continue;
		any = true;
		for (size_t n = 0; n < g->points; n++)
			values[n] += isfinite(g->series[i].values[n]) ? g->series[i].values[n] : 0;
	}
	const struct grid_series s = {mem_own(e->mem, json_pack("{s:s}", "level", level)), values};
	if (any)
		errand_keeps(e, g, &s, SERIES_LOG_VOLUME, *level == '\0' ? "other" : level, query);
}

static void take_volume(struct errand *e, const struct grid *g, const char *query)
{
	static const char *const LEVELS[] = {"error", "warn", "info", "debug", ""};

	for (size_t n = 0; n < sizeof(LEVELS) / sizeof(LEVELS[0]); n++)
		take_level(e, g, LEVELS[n], query);
}

static bool holds(const struct loki_lines *list, size_t from, const struct loki_line *line)
{
	for (size_t n = from; n < list->count && list->lines[n].at_ns == line->at_ns; n++)
		if (str_eq(list->lines[n].text, line->text))
			return true;
	return false;
}

static void show(struct errand *e, const struct loki_line *line)
{
	e->lines[e->line_count++] =
		(struct log_line){line->at_ns / 1000000, line->level,
				  text_line(e->mem, line->text, GATHER_LINE_POINTS)};
}

/* Both lists are sorted; a line of both is shown once. */
static void merge(struct errand *e, const struct loki_lines *all, const struct loki_lines *trouble)
{
	size_t a = 0;
	size_t t = 0;

	e->lines = NEW_ARRAY(e->mem, struct log_line, all->count + trouble->count + 1);
	while (a < all->count || t < trouble->count) {
		const struct loki_line *x = &all->lines[a];
		const struct loki_line *y = &trouble->lines[t];
		if (a == all->count || (t < trouble->count && y->at_ns < x->at_ns)) {
			show(e, y);
			t++;
			continue;
		}
		if (!holds(trouble, t, x))
			show(e, x);
		a++;
	}
}

static void take(struct errand *e, void *tmp, const struct question *q,
		 const struct http_reply *replies)
{
	static const char *const NAMES[] = {"log lines", "log lines of trouble"};
	const struct loki_query query = {.limit = GATHER_LINES / KINDS};
	struct loki_line nothing;
	struct loki_lines none = {.lines = &nothing};
	struct loki_lines *lists[KINDS] = {&none, &none};
	struct grid *g = NULL;
	size_t n = 0;

	for (int k = 0; k < KINDS; k++) {
		if (q->logql[k] == NULL)
			continue;
		enum status s =
			loki_range_reply(tmp, &e->sources->loki, &replies[n++], &query, &lists[k]);
		if (s != OK)
			errand_failed(e, NAMES[k], s);
		e->asked.cut = e->asked.cut || lists[k]->cut;
	}
	enum status s = loki_volume_reply(tmp, &e->sources->loki, &replies[n], &e->range, &g);
	if (s == OK)
		take_volume(e, g, q->volume);
	else
		errand_failed(e, "log volume", s);
	merge(e, lists[ALL], lists[TROUBLE]);
}

void gather_logs(struct errand *e)
{
	SCOPE(tmp);
	e->range = range_of(errand_start(e, LOKI_RANGE_MAX_MS), e->window->end_ms, GATHER_POINTS);
	struct question q = {
		.logql = {queries_logs(e->mem, e->subject, false),
			  queries_logs(e->mem, e->subject, true)},
		.volume = queries_log_volume(e->mem, e->subject, e->range.step_ms),
	};
	struct http_reply *replies = NULL;

	if (q.volume == NULL) {
		errand_idle(e, "the alert's labels do not tell whose log lines belong to it");
		return;
	}
	if (str_eq(q.logql[ALL], q.logql[TROUBLE]))
		q.logql[ALL] = NULL;
	if (!ask(e, tmp, &q)) {
		e->queries = 1;
		errand_failed(e, "loki.url", E_INVALID);
		return;
	}
	errand_fetch(e, tmp, e->sources->loki.http, q.requests, q.count, &replies);
	take(e, tmp, &q, replies);
}
