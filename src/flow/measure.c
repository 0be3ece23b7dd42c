#include "flow/measure.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/promql.h"

enum { RULES_MAX = 8 };

struct look {
	void *mem;
	const struct flow *flow;
	const struct incident *incident;
	struct measurement *out;
	bool unknown; /* some check could not be made */
	bool holds;   /* some check says that the alert is still on */
};

enum passed { PASSED, NOT_PASSED, UNKNOWN };

static void check(struct look *l, const char *name, enum passed passed, const char *observed,
		  const char *limit, const char *detail)
{
	json_t *verdict = passed == PASSED	 ? json_true()
			  : passed == NOT_PASSED ? json_false()
						 : json_null();

	json_array_append_new(l->out->checks, json_pack("{s:s, s:o, s:s, s:s, s:s}", "name", name,
							"passed", verdict, "observed", observed,
							"limit", limit, "detail", detail));
	l->unknown = l->unknown || passed == UNKNOWN;
	l->holds = l->holds || passed == NOT_PASSED;
}

static char *number(void *mem, double v)
{
	return isnan(v) ? str_dup(mem, "NaN") : str_fmt(mem, "%.6g", v);
}

static const struct sample *own_sample(const struct query_result *r, const json_t *labels)
{
	for (size_t n = 0; n < r->count; n++)
		if (promql_labels_agree(r->samples[n].labels, labels))
			return &r->samples[n];
	return NULL;
}

/* The series is gone. That is good news only when what exports it is alive. */
static enum status source_is_alive(struct look *l, const struct query_result *left, bool *alive)
{
	const char *job = json_str(l->incident->labels, "job");
	const char *instance = json_str(l->incident->labels, "instance");

	if (job == NULL || instance == NULL) {
		*alive = left->count > 0;
		return OK;
	}
	struct query_result *up = NULL;
	json_t *labels = mem_own(l->mem, json_pack("{s:s, s:s}", "job", job, "instance", instance));
	TRY(prometheus_query(l->mem, &l->flow->prometheus, promql_selector(l->mem, "up", labels),
			     &up));
	*alive = up->count > 0 && up->samples[0].value > 0;
	return OK;
}

struct limit {
	double value;	  /* NAN = unknown */
	const char *text; /* "> 0.5" */
};

static enum status find_limit(struct look *l, const struct comparison *c, struct limit *out)
{
	struct query_result *r = NULL;

	out->value = NAN;
	out->text = str_fmt(l->mem, "%s %s", c->sign, c->right);
	if (str_to_double(c->right, &out->value) == OK)
		return OK;
	TRY(prometheus_query(l->mem, &l->flow->prometheus, c->right, &r));
	const struct sample *s = own_sample(r, l->incident->labels);
	if (s != NULL) {
		out->value = s->value;
		out->text = str_fmt(l->mem, "%s %s", c->sign, number(l->mem, s->value));
	}
	return OK;
}

static bool is_beyond(double value, const char *sign, double limit)
{
	switch (sign[0]) {
	case '>': return sign[1] == '=' ? value >= limit : value > limit;
	case '<': return sign[1] == '=' ? value <= limit : value < limit;
	case '=': return value == limit;
	default: return value != limit && !isnan(limit);
	}
}

static const char EXPRESSION[] = "the rule's expression no longer holds";

/* The expression returns nothing for this alert: what is the value now, and is there one at all? */
static enum status check_value(struct look *l, const struct rule *rule)
{
	struct comparison c;
	struct query_result *left = NULL;
	struct limit limit = {0};
	bool alive = false;

	if (promql_comparison(l->mem, rule->expr, &c) != OK) {
		check(l, EXPRESSION, PASSED, "no result", "no result", rule->expr);
		return OK;
	}
	TRY(find_limit(l, &c, &limit));
	TRY(prometheus_query(l->mem, &l->flow->prometheus, c.left, &left));
	const struct sample *s = own_sample(left, l->incident->labels);
	if (s != NULL) {
		/* a value beyond the limit of an expression that gives no result: the labels do not
		 * tell them apart */
		enum passed passed = is_beyond(s->value, c.sign, limit.value) ? NOT_PASSED : PASSED;
		check(l, EXPRESSION, passed, number(l->mem, s->value), limit.text, rule->expr);
		return OK;
	}
	TRY(source_is_alive(l, left, &alive));
	if (alive)
		check(l, EXPRESSION, PASSED, "the series is gone and its source is up", limit.text,
		      rule->expr);
	else
		check(l, EXPRESSION, UNKNOWN, "no data, and nothing shows that its source is up",
		      limit.text, rule->expr);
	return OK;
}

static enum status check_rule(struct look *l, const struct rule *rule)
{
	struct query_result *r = NULL;

	if (str_eq(rule->health, "err")) {
		check(l, EXPRESSION, UNKNOWN, "Prometheus cannot evaluate the rule", "",
		      rule->error);
		return OK;
	}
	TRY(prometheus_query(l->mem, &l->flow->prometheus, rule->expr, &r));
	const struct sample *s = own_sample(r, l->incident->labels);
	if (s == NULL)
		return check_value(l, rule);
	struct comparison c;
	struct limit limit = {.text = "no result"};
	if (promql_comparison(l->mem, rule->expr, &c) == OK)
		TRY(find_limit(l, &c, &limit));
	check(l, EXPRESSION, NOT_PASSED, number(l->mem, s->value), limit.text, rule->expr);
	return OK;
}

static enum status check_rules(struct look *l)
{
	struct rule *rules = NULL;
	size_t count = 0;
	int mine = 0;

	TRY(prometheus_rules(l->mem, &l->flow->prometheus, l->incident->alertname, &rules, &count));
	for (size_t n = 0; n < count && mine < RULES_MAX; n++) {
		if (!prometheus_rule_fits(&rules[n], l->incident->labels))
			continue;
		mine++;
		TRY(check_rule(l, &rules[n]));
	}
	if (mine == 0)
		check(l, EXPRESSION, UNKNOWN, "Prometheus knows no such rule", "",
		      l->incident->alertname);
	return OK;
}

static enum status check_alert(struct look *l)
{
	struct active_alert *alerts = NULL;
	size_t count = 0;
	bool firing = false;

	TRY(prometheus_alerts(l->mem, &l->flow->prometheus, l->incident->alertname, &alerts,
			      &count));
	for (size_t n = 0; n < count; n++)
		firing = firing || (alerts[n].firing &&
				    promql_node_agrees(alerts[n].labels, l->incident->labels));
	check(l, "the alert is no longer firing", firing ? NOT_PASSED : PASSED,
	      firing ? "firing" : "not firing", "not firing", "");
	return OK;
}

static void conclude(struct look *l)
{
	struct measurement *m = l->out;

	if (l->holds) {
		m->verdict = VERDICT_NOT_RECOVERED;
		m->reason = "the alert still holds";
	} else if (l->unknown) {
		m->verdict = VERDICT_INCONCLUSIVE;
		m->reason = "Prometheus could not prove it";
	} else {
		m->verdict = VERDICT_RECOVERED;
		m->reason = "the alert's condition no longer holds";
	}
}

static enum status measure(void *mem, const struct flow *flow, const struct incident *i,
			   bool with_rules, struct measurement *out)
{
	struct look l = {.mem = mem, .flow = flow, .incident = i, .out = out};

	int peer;
	bool away = flow_is_away(flow, "prometheus", flow->prometheus.url, &peer);

	out->checks = mem_own(mem, json_array());
	enum status s = away	     ? failure(E_TRANSIENT, "Prometheus is away")
			: with_rules ? check_rules(&l)
				     : OK;
	if (s == OK)
		s = check_alert(&l);
	if (s == E_CANCELED)
		return s;
	if (s != OK)
		check(&l, "Prometheus answers", UNKNOWN, "no answer", "", status_message());
	conclude(&l);
	return OK;
}

enum status measure_alert(void *mem, const struct flow *flow, const struct incident *i,
			  struct measurement *out)
{
	return measure(mem, flow, i, true, out);
}

enum status measure_end(void *mem, const struct flow *flow, const struct incident *i,
			struct measurement *out)
{
	return measure(mem, flow, i, false, out);
}
