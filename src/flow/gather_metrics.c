#include "flow/gather_parts.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/prometheus_range.h"
#include "domain/promql.h"

struct plan_of_queries {
	struct metric_query *list;
	size_t count;
};

static struct plan_of_queries plan(struct errand *e)
{
	struct plan_of_queries p;

	queries_metrics(e->mem, e->subject, e->range.step_ms, &p.list, &p.count);
	p.list = GROW(e->mem, p.list, struct metric_query, p.count + e->rule_count + 1);
	for (size_t n = 0; n < e->rule_count; n++)
		p.list[p.count++] = queries_rule(e->mem, e->rules[n]);
	return p;
}

/* A rule's series are those of all its alerts; this alert's are wanted. */
static void keep_own(struct grid *g, const json_t *labels)
{
	size_t kept = 0;

	for (size_t n = 0; n < g->count; n++)
		if (promql_labels_agree(g->series[n].labels, labels))
			g->series[kept++] = g->series[n];
	g->count = kept;
}

static const char *object_of(const struct errand *e, const struct metric_query *q,
			     const struct grid_series *s)
{
	static const char *const OF_RULE[] = {"pod", "persistentvolumeclaim", "node", "instance"};
	const char *told = q->by == NULL ? NULL : json_str(s->labels, q->by);

	for (size_t n = 0; q->role == SERIES_RULE && told == NULL && n < 4; n++)
		told = json_str(s->labels, OF_RULE[n]);
	return str_dup(e->mem, str_empty(told) ? e->subject->name : told);
}

static void take(struct errand *e, const struct metric_query *q, struct grid *g)
{
	e->asked.cut = e->asked.cut || g->cut;
	if (q->role == SERIES_RULE)
		keep_own(g, e->labels);
	if (g->count > GATHER_SERIES_OF_ROLE)
		e->asked.cut = true;
	grid_keep(g, GATHER_SERIES_OF_ROLE);
	for (size_t n = 0; n < g->count; n++)
		errand_keeps(e, g, &g->series[n], q->role, object_of(e, q, &g->series[n]), q->text);
}

void gather_metrics(struct errand *e)
{
	SCOPE(tmp);
	const struct prometheus *p = &e->sources->prometheus;
	struct plan_of_queries plan_ = plan(e);
	struct http_request *requests = NEW_ARRAY(tmp, struct http_request, plan_.count + 1);
	struct http_reply *replies = NULL;

	if (plan_.count == 0) {
		errand_idle(e, "the alert's labels name nothing that could be measured, and "
			       "Prometheus knows no rule of its name");
		return;
	}
	for (size_t n = 0; n < plan_.count; n++) {
		errand_asks(e, plan_.list[n].text);
		if (prometheus_range_request(tmp, p, plan_.list[n].text, &e->range, &requests[n]) !=
		    OK) {
			errand_failed(e, "prometheus.url", E_INVALID);
			e->queries = 1;
			return;
		}
	}
	errand_fetch(e, tmp, p->http, requests, plan_.count, &replies);
	for (size_t n = 0; n < plan_.count; n++) {
		struct grid *g = NULL;
		enum status s = prometheus_range_reply(e->mem, &replies[n], &e->range, &g);
		if (s == OK)
			take(e, &plan_.list[n], g);
		else
			errand_failed(e, series_role_name(plan_.list[n].role), s);
	}
}
