#include "domain/slo_rules.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"
#include "domain/promql.h"

/* One definition, and the labels that its records share. */
struct maker {
	void *mem;
	const struct slo_definition *d;
	json_t *labels;
	const char *period; /* "30d" */
};

static struct maker maker_of(void *mem, const struct slo_definition *d)
{
	char *id = str_fmt(mem, "%s-%s", d->service, d->name);

	return (struct maker){
		.mem = mem,
		.d = d,
		.labels = mem_own(mem, json_pack("{s:s, s:s, s:s}", "sloth_id", id, "sloth_service",
						 d->service, "sloth_slo", d->name)),
		.period = slo_definition_period(mem, d),
	};
}

/* The record of that name of this SLO. */
static char *selector(const struct maker *m, const char *metric)
{
	return promql_selector(m->mem, metric, m->labels);
}

static char *errors_metric(const struct maker *m, const char *window)
{
	return str_fmt(m->mem, "slo:sli_error:ratio_rate%s", window);
}

static json_t *rule(const struct maker *m, const char *record, const char *expr)
{
	return json_pack("{s:s, s:s, s:o}", "record", record, "expr", expr, "labels",
			 json_copy(m->labels));
}

static json_t *errors_rule(const struct maker *m, const char *window, const char *expr)
{
	json_t *r = rule(m, errors_metric(m, window), expr);

	json_object_set_new(json_object_get(r, "labels"), "sloth_window", json_string(window));
	return r;
}

/* Over the period: the mean of the shortest record. A query over a month of raw series would be
 * dear. */
static char *period_errors(const struct maker *m)
{
	char *record = selector(m, errors_metric(m, "5m"));

	return str_fmt(m->mem,
		       "sum_over_time(%s[%s]) / ignoring (sloth_window) count_over_time(%s[%s])",
		       record, m->period, record, m->period);
}

static json_t *group(const struct maker *m, const char *what, json_t *rules)
{
	return json_pack("{s:s, s:o}", "name",
			 str_fmt(m->mem, "slo-%s-%s-%s", what, m->d->service, m->d->name), "rules",
			 rules);
}

static json_t *sli_group(const struct maker *m)
{
	json_t *rules = json_array();
	bool again = false; /* is the period one of the windows? */

	for (int w = 0; w < SLO_WINDOW_COUNT; w++) {
		const char *window = slo_window_name((enum slo_window)w);
		again = again || str_eq(window, m->period);
		json_array_append_new(
			rules, errors_rule(m, window, slo_definition_errors(m->mem, m->d, window)));
	}
	if (!again)
		json_array_append_new(rules, errors_rule(m, m->period, period_errors(m)));
	return group(m, "sli", rules);
}

static char *per_budget(const struct maker *m, const char *window)
{
	return str_fmt(m->mem, "%s / on (sloth_id, sloth_slo, sloth_service) group_left () %s",
		       selector(m, errors_metric(m, window)),
		       selector(m, "slo:error_budget:ratio"));
}

static json_t *info_rule(const struct maker *m)
{
	json_t *r = rule(m, "sloth_slo_info", "vector(1)");
	json_t *labels = json_object_get(r, "labels");

	json_object_set_new(labels, "sloth_mode", json_string("cli-gen-prom"));
	json_object_set_new(labels, "sloth_objective",
			    json_string(str_fmt(m->mem, "%.10g", m->d->objective * 100)));
	json_object_set_new(labels, "sloth_spec", json_string("openslo/v1"));
	json_object_set_new(labels, "sloth_version", json_string("agent-sre"));
	return r;
}

static void add_plain(const struct maker *m, json_t *rules, const char *record, const char *expr)
{
	json_array_append_new(rules, json_pack("{s:s, s:s, s:{s:s}}", "record", record, "expr",
					       expr, "labels", "slo_name", m->d->name));
}

/* The four of WORKFLOW-001.3. The burn rate is the share of the budget that a minute spends
 * (domain/slo.h). */
static void add_plain_series(const struct maker *m, json_t *rules)
{
	add_plain(m, rules, "slo:target", str_fmt(m->mem, "vector(%.10g)", m->d->objective));
	add_plain(m, rules, "sli:current",
		  str_fmt(m->mem, "1 - max(%s)", selector(m, errors_metric(m, m->period))));
	add_plain(
		m, rules, "slo:error_budget_remaining",
		str_fmt(m->mem, "min(%s)", selector(m, "slo:period_error_budget_remaining:ratio")));
	add_plain(m, rules, "slo:error_budget_burn_rate",
		  str_fmt(m->mem, "max(%s) / %lld", selector(m, "slo:current_burn_rate:ratio"),
			  m->d->period_s / 60));
}

static json_t *meta_group(const struct maker *m)
{
	json_t *rules = json_array();
	const struct {
		const char *record, *expr;
	} RECORDS[] = {
		{"slo:objective:ratio", str_fmt(m->mem, "vector(%.10g)", m->d->objective)},
		{"slo:error_budget:ratio", str_fmt(m->mem, "vector(1 - %.10g)", m->d->objective)},
		{"slo:time_period:days",
		 str_fmt(m->mem, "vector(%.10g)", (double)m->d->period_s / 86400)},
		{"slo:current_burn_rate:ratio", per_budget(m, "5m")},
		{"slo:period_burn_rate:ratio", per_budget(m, m->period)},
		{"slo:period_error_budget_remaining:ratio",
		 str_fmt(m->mem, "1 - %s", selector(m, "slo:period_burn_rate:ratio"))},
	};

	for (size_t n = 0; n < sizeof(RECORDS) / sizeof(RECORDS[0]); n++)
		json_array_append_new(rules, rule(m, RECORDS[n].record, RECORDS[n].expr));
	json_array_append_new(rules, info_rule(m));
	add_plain_series(m, rules);
	return group(m, "meta", rules);
}

/* One window of a pair burns. */
static char *burns(const struct maker *m, enum slo_window w, double factor)
{
	return str_fmt(m->mem, "max(%s) without (sloth_window) > %.10g * (1 - %.10g)",
		       selector(m, errors_metric(m, slo_window_name(w))), factor, m->d->objective);
}

static char *alert_expr(const struct maker *m, bool page)
{
	char *out = str_dup(m->mem, "");

	for (int n = 0; n < SLO_PAIR_COUNT; n++) {
		const struct slo_pair *p = &slo_pairs[n];
		if (p->page != page)
			continue;
		str_add(&out, "%s(%s and %s)", *out == '\0' ? "" : " or ",
			burns(m, p->brief, p->factor), burns(m, p->lengthy, p->factor));
	}
	return out;
}

static json_t *alert_rule(const struct maker *m, bool page)
{
	json_t *labels = json_pack("{s:s, s:s, s:s}", "severity", page ? "critical" : "warning",
				   "slo", m->d->name, "sloth_severity", page ? "page" : "ticket");

	return json_pack("{s:s, s:s, s:o, s:{s:s, s:s}}", "alert", "SLOErrorBudgetBurn", "expr",
			 alert_expr(m, page), "labels", labels, "annotations", "summary",
			 str_fmt(m->mem, "The error budget of %s of %s burns too fast", m->d->name,
				 m->d->service),
			 "description",
			 page ? "At this rate it is spent within days: look at it now."
			      : "At this rate it is spent before its period ends.");
}

static json_t *alert_group(const struct maker *m)
{
	return group(m, "alerts", json_pack("[o, o]", alert_rule(m, true), alert_rule(m, false)));
}

json_t *slo_rules(void *mem, const struct openslo *o)
{
	json_t *groups = json_array();
	size_t count = 0;
	const struct slo_definition *all = openslo_all(o, &count);

	for (size_t n = 0; n < count; n++) {
		const struct maker m = maker_of(mem, &all[n]);
		json_array_append_new(groups, sli_group(&m));
		json_array_append_new(groups, meta_group(&m));
		json_array_append_new(groups, alert_group(&m));
	}
	return mem_own(mem, json_pack("{s:o}", "groups", groups));
}

char *slo_rules_text(void *mem, const struct openslo *o)
{
	SCOPE(tmp);

	return str_fmt(mem,
		       "# Made by 'agent-sre slo rules': change the definitions, not this.\n%s",
		       yaml_text(tmp, slo_rules(tmp, o)));
}
