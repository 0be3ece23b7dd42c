#include "flow/gather_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "clients/tempo.h"
#include "domain/text.h"

enum { NAME_POINTS = 200 };

static const char *const CHOICES[] = {
	[TRACES_SLOW] = "slow traces", [TRACES_FAILED] = "failed traces", [TRACES_ANY] = "traces"};

struct found {
	struct found_trace *traces[TRACE_CHOICES];
	size_t counts[TRACE_CHOICES];
};

struct chosen {
	const char *ids[GATHER_TRACES];
	size_t count;
	bool cut;
};

static bool search(struct errand *e, void *tmp, struct found *out)
{
	const struct backend *tempo = &e->sources->tempo;
	struct http_request requests[TRACE_CHOICES];
	struct http_reply *replies = NULL;
	int64_t start_ms = errand_start(e, TEMPO_RANGE_MAX_MS);

	for (int c = 0; c < TRACE_CHOICES; c++) {
		const char *traceql = queries_traces(e->mem, e->subject, (enum trace_choice)c);
		const struct tempo_query q = {traceql, start_ms, e->window->end_ms, GATHER_TRACES};
		errand_asks(e, traceql);
		if (tempo_search_request(tmp, tempo, &q, &requests[c]) != OK)
			return false;
	}
	errand_fetch(e, tmp, tempo->http, requests, TRACE_CHOICES, &replies);
	for (int c = 0; c < TRACE_CHOICES; c++) {
		enum status s = tempo_search_reply(tmp, tempo, &replies[c], &out->traces[c],
						   &out->counts[c]);
		if (s != OK)
			errand_failed(e, CHOICES[c], s);
	}
	return true;
}

static bool has(const struct chosen *c, const char *id)
{
	for (size_t n = 0; n < c->count; n++)
		if (str_eq(c->ids[n], id))
			return true;
	return false;
}

/* In turns from the slow, the failed and the others: none of them crowds the others out. */
static void choose(const struct found *f, struct chosen *out)
{
	size_t most = 0;

	for (int c = 0; c < TRACE_CHOICES; c++)
		most = f->counts[c] > most ? f->counts[c] : most;
	for (size_t n = 0; n < most; n++) {
		for (int c = 0; c < TRACE_CHOICES; c++) {
			if (n >= f->counts[c] || has(out, f->traces[c][n].id))
				continue;
			if (out->count == GATHER_TRACES)
				out->cut = true;
			else
				out->ids[out->count++] = f->traces[c][n].id;
		}
	}
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A parent that is not among the spans of its trace is none. Span ids are random: those of another
 * trace do not matter. */
static void drop_unknown_parents(struct errand *e)
{
	SCOPE(tmp);
	const char **ids = NEW_ARRAY(tmp, const char *, e->span_count + 1);

	for (size_t n = 0; n < e->span_count; n++)
		ids[n] = e->spans[n].span_id;
	qsort(ids, e->span_count, sizeof(*ids), compare_ids);
	for (size_t n = 0; n < e->span_count; n++) {
		const char **parent = &e->spans[n].parent_id;
		if (bsearch(parent, ids, e->span_count, sizeof(*ids), compare_ids) == NULL)
			*parent = "";
	}
}

static void add(struct errand *e, const struct spans *s)
{
	e->asked.cut = e->asked.cut || s->cut;
	e->spans = GROW(e->mem, e->spans, struct trace_span, e->span_count + s->count + 1);
	for (size_t n = 0; n < s->count; n++) {
		struct trace_span *to = &e->spans[e->span_count];
		if (e->span_count == GATHER_SPANS) {
			e->asked.cut = true;
			return;
		}
		*to = s->spans[n];
		to->name = text_line(e->mem, to->name, NAME_POINTS);
		to->service = text_line(e->mem, to->service, NAME_POINTS);
		e->span_count++;
	}
}

/* One that Tempo no longer has is one less, and no failure. */
static void fetch(struct errand *e, void *tmp, const struct chosen *c)
{
	const struct backend *tempo = &e->sources->tempo;
	struct http_request requests[GATHER_TRACES];
	struct http_reply *replies = NULL;
	int64_t start_ms = errand_start(e, TEMPO_RANGE_MAX_MS);

	for (size_t n = 0; n < c->count; n++) {
		if (tempo_trace_request(tmp, tempo, c->ids[n], start_ms, e->window->end_ms,
					&requests[n]) != OK)
			return;
		errand_asks(e, str_fmt(e->mem, "/api/traces/%s", c->ids[n]));
	}
	errand_fetch(e, tmp, tempo->http, requests, c->count, &replies);
	for (size_t n = 0; n < c->count; n++) {
		struct spans *s = NULL;
		enum status status = tempo_trace_reply(e->mem, tempo, &replies[n], &s);
		if (status == OK)
			add(e, s);
		else if (status != E_NOTFOUND)
			errand_failed(e, "a trace", status);
	}
}

void gather_traces(struct errand *e)
{
	SCOPE(tmp);
	struct found found = {0};
	struct chosen chosen = {0};

	if (queries_traces(e->mem, e->subject, TRACES_ANY) == NULL) {
		errand_idle(e, "nothing tells which service's traces belong to the alert");
		return;
	}
	if (!search(e, tmp, &found)) {
		e->queries = 1;
		errand_failed(e, "tempo.url", E_INVALID);
		return;
	}
	choose(&found, &chosen);
	e->asked.cut = e->asked.cut || chosen.cut;
	if (chosen.count > 0)
		fetch(e, tmp, &chosen);
	drop_unknown_parents(e);
}
