/*
 * Facts about the object first, from Prometheus and only for a moment; then a thread for each
 * source. The trees of the threads are hung under the evidence when they have ended.
 */
#include "flow/gather.h"

#include <math.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "base/token_bucket.h"
#include "domain/text.h"
#include "flow/gather_parts.h"

enum { KNOCK_MS = 50, FACTS_MS = 2000, RULES_MAX = 4, WHY_POINTS = 300 };

struct window gather_window(int64_t starts_ms, int64_t now_ms)
{
	int64_t alert_ms = starts_ms < now_ms ? starts_ms : now_ms;

	return (struct window){alert_ms - GATHER_BEFORE_MS, now_ms, alert_ms};
}

int64_t errand_left(const struct errand *e)
{
	int64_t left = e->deadline_ms - clock_monotonic();

	return left > 1 ? left : 1;
}

int64_t errand_start(struct errand *e, int64_t most_ms)
{
	int64_t start_ms = e->window->end_ms - most_ms;

	if (start_ms <= e->window->start_ms)
		return e->window->start_ms;
	e->asked.cut = true;
	return start_ms;
}

struct gather_gate {
	pthread_mutex_t lock;
	struct token_rate rate;
	struct token_bucket buckets[SOURCE_COUNT];
};

static int drop_gate(struct gather_gate *g)
{
	pthread_mutex_destroy(&g->lock);
	return 0;
}

struct gather_gate *gather_gate_new(void *mem, long long per_second)
{
	struct gather_gate *g = NEW(mem, struct gather_gate);

	pthread_mutex_init(&g->lock, NULL);
	g->rate = (struct token_rate){(double)per_second, 2.0 * (double)per_second};
	for (int n = 0; n < SOURCE_COUNT; n++)
		token_bucket_init(&g->buckets[n], &g->rate, clock_monotonic());
	talloc_set_destructor(g, drop_gate);
	return g;
}

/* 0: n queries pass now; else ask again in so many ms. */
static int64_t knock(struct gather_gate *g, enum source source, double n)
{
	if (g == NULL)
		return 0;
	pthread_mutex_lock(&g->lock);
	int64_t wait_ms = token_bucket_wait(&g->buckets[source], &g->rate, n, clock_monotonic());
	if (wait_ms == 0)
		token_bucket_take(&g->buckets[source], n);
	pthread_mutex_unlock(&g->lock);
	return wait_ms;
}

/* Whoever asks again may have been overtaken: nobody waits in line, and all end by their deadline.
 */
static bool pass(const struct errand *e, const struct http_client *http, size_t n)
{
	for (;;) {
		int64_t wait_ms = knock(e->sources->gate, e->source, (double)n);
		if (wait_ms == 0 || http_client_is_stopping(http))
			return true; /* a client that stops says so itself */
		if (wait_ms >= errand_left(e))
			return false;
		usleep((useconds_t)(wait_ms < KNOCK_MS ? wait_ms : KNOCK_MS) * 1000);
	}
}

void errand_fetch(struct errand *e, void *mem, struct http_client *http,
		  struct http_request *requests, size_t n, struct http_reply **replies)
{
	if (pass(e, http, n)) {
		for (size_t i = 0; i < n; i++)
			requests[i].timeout_ms = errand_left(e);
		http_fetch_all(mem, http, requests, n, replies);
		return;
	}
	struct http_reply *none = NEW_ARRAY(mem, struct http_reply, n + 1);
	for (size_t i = 0; i < n; i++)
		none[i] = (struct http_reply){
			.status = E_RATE,
			.message = "more questions at once than investigate.rate allows"};
	*replies = none;
}

void errand_asks(struct errand *e, const char *query)
{
	const char **list = (const char **)e->asked.queries;

	list = GROW(e->mem, list, const char *, e->queries + 2);
	list[e->queries++] = query;
	list[e->queries] = NULL;
	e->asked.queries = list;
}

void errand_failed(struct errand *e, const char *what, enum status status)
{
	e->failed++;
	e->stopped = e->stopped || status == E_CANCELED;
	metric_add(M_SOURCE_FAILURES, 1, source_name(e->source), status_name(status));
	if (e->first_why != NULL)
		return;
	e->first_status = status;
	e->first_why =
		str_fmt(e->mem, "%s: %s", what, text_line(e->mem, status_message(), WHY_POINTS));
}

void errand_idle(struct errand *e, const char *why)
{
	e->asked.wanted = false;
	e->asked.why = str_dup(e->mem, why);
}

void errand_keeps(struct errand *e, const struct grid *g, const struct grid_series *s,
		  enum series_role role, const char *object, const char *query)
{
	bool any = false;

	for (size_t n = 0; n < g->points && !any; n++)
		any = !isnan(s->values[n]);
	if (!any)
		return;
	e->series = GROW(e->mem, e->series, struct series, e->series_count + 1);
	e->series[e->series_count++] = (struct series){
		.role = role,
		.object = object,
		.labels = s->labels,
		.query = query,
		.start_ms = g->range.start_ms,
		.step_ms = g->range.step_ms,
		.count = g->points,
		.values = s->values,
	};
}

/* Of several queries one that came makes the source one that answered. */
static void conclude(struct errand *e)
{
	struct asked *a = &e->asked;

	if (!a->wanted || e->failed == 0)
		return;
	if (e->failed >= e->queries) {
		a->status = e->first_status;
		a->why = e->first_why;
		return;
	}
	a->why = str_fmt(e->mem, "%zu of %zu queries failed: %s", e->failed, e->queries,
			 e->first_why);
}

struct place {
	const char *component, *url;
	void (*run)(struct errand *e);
	const char *span;
};

static struct place place_of(const struct sources *s, enum source source)
{
	switch (source) {
	case SOURCE_METRICS:
		return (struct place){"prometheus", s->prometheus.url, gather_metrics,
				      "gather metrics"};
	case SOURCE_LOGS: return (struct place){"loki", s->loki.url, gather_logs, "gather logs"};
	default: return (struct place){"tempo", s->tempo.url, gather_traces, "gather traces"};
	}
}

static bool is_away(const struct sources *s, const struct place *p)
{
	return !watch_is_here(s->watch, watch_find(s->watch, p->component, p->url));
}

static void run(struct errand *e)
{
	struct place p = place_of(e->sources, e->source);
	int64_t began_ms = clock_monotonic();
	struct span span;

	e->asked.wanted = true;
	if (p.url == NULL) {
		errand_idle(e, str_fmt(e->mem, "%s.url is not set", p.component));
		return;
	}
	span_begin(&span, p.span, SPAN_INTERNAL, &e->trace);
	if (is_away(e->sources, &p))
		errand_failed(e, p.component, failure(E_TRANSIENT, "away, not asked"));
	else
		p.run(e);
	conclude(e);
	if (e->asked.status != OK)
		span_error(&span, e->asked.why);
	span_end(&span);
	e->asked.took_ms = clock_monotonic() - began_ms;
	if (!e->asked.wanted)
		return;
	metric_observe(M_SOURCE_SECONDS, (double)e->asked.took_ms / 1000, source_name(e->source),
		       status_name(e->asked.status));
	if (e->asked.cut)
		metric_add(M_SOURCE_CUT, 1, source_name(e->source));
}

static void *run_thread(void *arg)
{
	run(arg);
	return NULL;
}

struct gathering {
	void *mem;
	const struct sources *sources;
	const json_t *labels;
	const struct window *window;
	struct subject *subject;
	const char *rules[RULES_MAX];
	size_t rule_count;
	struct errand errands[SOURCE_COUNT];
};

static void take_rules(struct gathering *g, const struct http_reply *r, const char *alertname)
{
	struct rule *rules = NULL;
	size_t count = 0;

	if (prometheus_rules_reply(g->mem, r, alertname, &rules, &count) != OK)
		return;
	for (size_t n = 0; n < count && g->rule_count < RULES_MAX; n++)
		if (prometheus_rule_fits(&rules[n], g->labels))
			g->rules[g->rule_count++] = rules[n].expr;
}

static void take_fact(struct gathering *g, const struct http_reply *r, enum fact fact)
{
	struct query_result *result = NULL;

	if (prometheus_query_reply(g->mem, r, &result) != OK)
		return;
	const json_t **labels = NEW_ARRAY(g->mem, const json_t *, result->count + 1);
	for (size_t n = 0; n < result->count; n++)
		labels[n] = result->samples[n].labels;
	subject_learn(g->subject, fact, labels, result->count);
}

/* What does not come in time is not known, and then fewer queries are asked: no failure. */
static void learn(struct gathering *g)
{
	struct http_request requests[FACT_COUNT + 1];
	enum fact facts[FACT_COUNT];
	struct http_reply *replies = NULL;
	struct prometheus p = g->sources->prometheus;
	const char *alertname = json_str(g->labels, "alertname");
	size_t count = 0;

	p.timeout_ms =
		FACTS_MS < g->sources->source_timeout_ms ? FACTS_MS : g->sources->source_timeout_ms;
	for (int f = 0; f < FACT_COUNT; f++) {
		char *query = subject_fact_query(g->mem, g->subject, (enum fact)f);
		if (query == NULL ||
		    prometheus_query_request(g->mem, &p, query, &requests[count]) != OK)
			continue;
		requests[count].peer = "prometheus_range";
		facts[count++] = (enum fact)f;
	}
	bool rules = alertname != NULL &&
		     prometheus_rules_request(g->mem, &p, alertname, &requests[count]) == OK;
	if (rules) /* as the others: this deadline is ours, and must not make Prometheus look away
		    */
		requests[count].peer = "prometheus_range";
	http_fetch_all(g->mem, p.http, requests, count + rules, &replies);
	for (size_t n = 0; n < count; n++)
		take_fact(g, &replies[n], facts[n]);
	if (rules)
		take_rules(g, &replies[count], alertname);
}

static void prepare(struct gathering *g, int64_t deadline_ms)
{
	static const struct trace_context nobody;
	const struct span *span = span_current();
	int64_t own_ms = clock_monotonic() + g->sources->source_timeout_ms;

	for (int n = 0; n < SOURCE_COUNT; n++)
		g->errands[n] = (struct errand){
			.mem = NEW(NULL, char), /* rootless: it goes to another thread and back */
			.source = (enum source)n,
			.sources = g->sources,
			.subject = g->subject,
			.labels = g->labels,
			.window = g->window,
			.range = range_of(g->window->start_ms, g->window->end_ms, GATHER_POINTS),
			.deadline_ms = own_ms < deadline_ms ? own_ms : deadline_ms,
			.trace = span == NULL ? nobody : span->self,
			.rules = g->rules,
			.rule_count = g->rule_count,
		};
}

static void run_all(struct gathering *g)
{
	pthread_t threads[SOURCE_COUNT];
	bool started[SOURCE_COUNT];

	for (int n = 1; n < SOURCE_COUNT; n++)
		started[n] = pthread_create(&threads[n], NULL, run_thread, &g->errands[n]) == 0;
	run(&g->errands[0]);
	for (int n = 1; n < SOURCE_COUNT; n++) {
		if (started[n])
			pthread_join(threads[n], NULL);
		else
			run(&g->errands[n]);
	}
}

static void add_series(struct evidence *out, const struct errand *e)
{
	out->series =
		GROW(out, out->series, struct series, out->series_count + e->series_count + 1);
	for (size_t n = 0; n < e->series_count; n++)
		out->series[out->series_count++] = e->series[n];
}

/* Its tree is the evidence's from now on. */
static void take(struct evidence *out, const struct errand *e)
{
	(void)MOVE(out, e->mem);
	out->asked[e->source] = e->asked;
	add_series(out, e);
	if (e->source == SOURCE_LOGS) {
		out->lines = e->lines;
		out->line_count = e->line_count;
	}
	if (e->source == SOURCE_TRACES) {
		out->spans = e->spans;
		out->span_count = e->span_count;
	}
}

enum status gather(void *mem, const struct sources *s, const json_t *labels,
		   const struct window *window, struct evidence **out)
{
	SCOPE(tmp);
	struct gathering g = {.mem = tmp,
			      .sources = s,
			      .labels = labels,
			      .window = window,
			      .subject = subject_of(tmp, labels)};
	struct place metrics = place_of(s, SOURCE_METRICS);
	int64_t deadline_ms = clock_monotonic() + s->timeout_ms;
	bool stopped = false;

	if (metrics.url != NULL && !is_away(s, &metrics))
		learn(&g);
	subject_settle(g.subject);
	prepare(&g, deadline_ms);
	run_all(&g);
	struct evidence *e = NEW(mem, struct evidence);
	e->window = *window;
	e->object = str_dup(e, g.subject->name);
	e->service = str_dup(e, g.subject->service);
	for (int n = 0; n < SOURCE_COUNT; n++) {
		take(e, &g.errands[n]);
		stopped = stopped || g.errands[n].stopped;
	}
	if (stopped) {
		talloc_free(e);
		return failure(E_CANCELED, "stopping");
	}
	*out = e;
	return OK;
}
