#include "domain/story.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/alert.h"
#include "domain/policy.h"
#include "domain/text.h"

enum { VALUE_POINTS = 500, NAME_POINTS = 120 };

/* --- small pieces
 * ----------------------------------------------------------------------------------- */

static char *prose(void *mem, const char *s)
{
	return text_markdown(mem, s == NULL ? "" : s, LIMIT_TICKET_TEXT_POINTS);
}

static char *code(void *mem, const char *s)
{
	return text_code(mem, s == NULL ? "" : s, VALUE_POINTS);
}

static void bullet(void *mem, char **out, const char *name, const char *value)
{
	if (!str_empty(value))
		str_add(out, "- %s: %s\n", name, text_markdown(mem, value, VALUE_POINTS));
}

static char *when(void *mem, int64_t ms)
{
	return ms == 0 ? str_dup(mem, "unknown") : clock_format(mem, ms);
}

static const char *severity_of(const struct incident *i)
{
	return json_str(i->labels, "severity");
}

/* --- title
 * --------------------------------------------------------------------------------------------- */

char *story_title(void *mem, const struct incident *i, const struct slo_context *slo)
{
	const char *resource = alert_resource(i->labels);
	char *title = str_fmt(mem, "[%s] %s", i->resolved_ms != 0 ? "Resolved" : "Alert",
			      text_title(mem, i->alertname, NAME_POINTS));

	if (resource != NULL)
		str_add(&title, " - %s", text_title(mem, resource, NAME_POINTS));
	if (slo != NULL && !str_empty(slo->slo))
		str_add(&title, " (SLO: %s)", text_title(mem, slo->slo, NAME_POINTS));
	return str_cut(mem, title, LIMIT_TITLE_POINTS);
}

char *story_failure_title(void *mem, const struct incident *i)
{
	return str_cut(
		mem,
		str_fmt(mem, "[Remediation Failed] %s", text_title(mem, i->alertname, NAME_POINTS)),
		LIMIT_TITLE_POINTS);
}

/* --- description
 * ------------------------------------------------------------------------------------------ */

char *story_percent(void *mem, double fraction)
{
	if (isnan(fraction))
		return str_dup(mem, "unknown");
	/* ten digits are beyond what a double's rounding noise reaches, and all that an SLO can
	 * mean */
	return str_fmt(mem, "%.10g%%", fraction * 100.0);
}

static void add_details(void *mem, char **out, const struct incident *i)
{
	str_add(out, "**Alert Details**\n\n");
	bullet(mem, out, "Alert", i->alertname);
	bullet(mem, out, "Severity", severity_of(i) == NULL ? "unknown" : severity_of(i));
	bullet(mem, out, "Started", when(mem, i->starts_ms));
	bullet(mem, out, "Pod", json_str(i->labels, "pod"));
	bullet(mem, out, "Namespace", json_str(i->labels, "namespace"));
	if (i->truncated_alerts > 0)
		str_add(out, "- Truncated: Alertmanager left out %lld more alerts of this group\n",
			(long long)i->truncated_alerts);
}

static void add_slo(void *mem, char **out, const struct incident *i, const struct slo_context *slo)
{
	str_add(out, "\n**SLM Context**\n\n");
	if (slo == NULL || str_empty(slo->slo)) {
		bullet(mem, out, "SLO",
		       json_str(i->labels, "slo") == NULL ? "unknown" : json_str(i->labels, "slo"));
		str_add(out, "- SLM data was unavailable when this ticket was opened; priority "
			     "follows the alert's severity alone\n");
		return;
	}
	bullet(mem, out, "SLO", slo->slo);
	bullet(mem, out, "SLI", str_empty(slo->sli) ? "unknown" : slo->sli);
	str_add(out, "- Target: %s\n", story_percent(mem, slo->target));
	str_add(out, "- Current: %s\n", story_percent(mem, slo->current));
	str_add(out, "- Error Budget Remaining: %s of the budget\n",
		story_percent(mem, slo->budget_remaining));
	str_add(out, "- Error Budget Burn Rate: %s\n", story_percent(mem, slo->burn_rate));
	str_add(out, "- Violation Severity: %s\n",
		slo->violation == NULL ? "unknown" : slo->violation);
}

static void add_description(void *mem, char **out, const struct incident *i)
{
	const char *summary = json_str(i->annotations, "summary");
	const char *description = json_str(i->annotations, "description");

	str_add(out, "\n**Description**\n\n");
	if (str_empty(summary) && str_empty(description))
		str_add(out, "The alert carries no description.\n");
	if (!str_empty(summary))
		str_add(out, "%s\n", prose(mem, summary));
	if (!str_empty(description) && !str_eq(summary, description))
		str_add(out, "%s%s\n", str_empty(summary) ? "" : "\n", prose(mem, description));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **sorted_names(void *mem, const json_t *object)
{
	const char **names = NEW_ARRAY(mem, const char *, json_object_size(object) + 1);
	const char *name;
	json_t *value;
	size_t at = 0;

	json_object_foreach ((json_t *)object, name, value)
		names[at++] = name;
	qsort(names, at, sizeof(*names), by_name);
	return names;
}

static void add_labels(void *mem, char **out, const struct incident *i)
{
	const char **names = sorted_names(mem, i->labels);

	str_add(out, "\n**Labels**\n\n");
	for (size_t n = 0; names[n] != NULL; n++)
		if (!str_eq(names[n], "alertname"))
			bullet(mem, out, text_markdown(mem, names[n], NAME_POINTS),
			       json_str(i->labels, names[n]));
}

static void add_annotations(void *mem, char **out, const struct incident *i)
{
	static const char *const SHOWN[] = {"summary", "description", "lambda_function",
					    "lambda_parameters", NULL};
	const char **names = sorted_names(mem, i->annotations);
	bool begun = false;

	for (size_t n = 0; names[n] != NULL; n++) {
		bool shown = false;
		for (size_t k = 0; SHOWN[k] != NULL; k++)
			shown = shown || str_eq(SHOWN[k], names[n]);
		if (shown)
			continue;
		if (!begun)
			str_add(out, "\n**Annotations**\n\n");
		begun = true;
		bullet(mem, out, text_markdown(mem, names[n], NAME_POINTS),
		       json_str(i->annotations, names[n]));
	}
}

static void add_remedy(void *mem, char **out, const struct incident *i)
{
	const char *function = json_str(i->annotations, "lambda_function");
	const char *parameters = json_str(i->annotations, "lambda_parameters");

	if (str_empty(function))
		return;
	str_add(out, "\n**Remediation**\n\n- LambdaFunction: %s\n", code(mem, function));
	if (!str_empty(parameters))
		str_add(out, "- Parameters: %s\n", code(mem, parameters));
}

static void add_footer(void *mem, char **out, const struct incident *i)
{
	if (!str_empty(i->generator_url))
		str_add(out, "\n**Source**: %s\n", text_code(mem, i->generator_url, 1000));
	str_add(out, "\n**Correlation ID**: %s\n\n---\n*Created by agent-sre*\n",
		code(mem, i->correlation_id));
}

char *story_description(void *mem, const struct incident *i, const struct slo_context *slo)
{
	char *out = str_dup(mem, "");

	add_details(mem, &out, i);
	add_slo(mem, &out, i, slo);
	add_description(mem, &out, i);
	add_labels(mem, &out, i);
	add_annotations(mem, &out, i);
	add_remedy(mem, &out, i);
	add_footer(mem, &out, i);
	return out;
}

char *story_failure_description(void *mem, const struct incident *i)
{
	char *out = str_dup(mem, "**Alert Details**\n\n");

	bullet(mem, &out, "Alert", i->alertname);
	bullet(mem, &out, "Incident", incident_name(mem, i->id));
	bullet(mem, &out, "Alert ticket", i->ticket_key);
	str_add(&out, "\n**Failure**\n\n- LambdaFunction: %s\n", code(mem, i->plan->function));
	str_add(&out, "- Error: %s\n", code(mem, i->action->message));
	str_add(&out, "- Parameters: %s\n", code(mem, json_text(mem, i->plan->parameters)));
	str_add(&out, "- Tries: %d\n", i->action->tries);
	add_footer(mem, &out, i);
	return out;
}

/* --- priority
 * -----------------------------------------------------------------------------------------------
 */

enum { CRITICAL, WARNING, INFO, OTHER };

/* Rows: alert severity; columns: violation critical, high, medium, low, unknown (WORKFLOW-001.14).
 */
static const int PRIORITY[4][5] = {
	[CRITICAL] = {1, 1, 2, 2, 1},
	[WARNING] = {1, 2, 3, 3, 2},
	[INFO] = {4, 4, 4, 4, 4},
	[OTHER] = {2, 3, 3, 4, 3},
};

static int position(const char *word, const char *const *words, int count)
{
	for (int n = 0; n < count; n++)
		if (str_eq(word, words[n]))
			return n;
	return count;
}

int story_priority(const struct incident *i, const struct slo_context *slo, const char **reason)
{
	static const char *const SEVERITIES[] = {"critical", "warning", "info"};
	static const char *const VIOLATIONS[] = {"critical", "high", "medium", "low"};
	static const char *const REASONS[4][2] = {
		{"Critical severity", "Critical severity + error budget burn"},
		{"Warning severity", "Warning severity + error budget burn"},
		{"Info severity", "Info severity"},
		{"Unknown severity", "Unknown severity + error budget burn"},
	};
	int row = position(severity_of(i), SEVERITIES, 3);
	int column = position(slo == NULL ? NULL : slo->violation, VIOLATIONS, 4);

	*reason = REASONS[row][column < 4];
	return PRIORITY[row][column];
}

const char *story_priority_name(int priority)
{
	static const char *const NAMES[] = {"None", "Urgent", "High", "Normal", "Low"};
	return priority >= 1 && priority <= 4 ? NAMES[priority] : NAMES[0];
}

/* --- the remedy
 * ------------------------------------------------------------------------------------------------
 */

static const char *method_name(const char *method)
{
	return str_eq(method, "annotation") ? "Static annotation" : method;
}

static void add_plan(void *mem, char **out, const struct plan *p)
{
	str_add(out, "- LambdaFunction: %s\n", code(mem, p->function));
	str_add(out, "- Parameters: %s\n", code(mem, json_text(mem, p->parameters)));
	str_add(out, "- Method: %s\n", method_name(p->method));
	str_add(out, "- Confidence: %.2f\n", p->confidence);
}

char *story_selected(void *mem, const struct incident *i)
{
	char *out = str_dup(mem, "**Remediation Selected**\n\n");

	add_plan(mem, &out, i->plan);
	str_add(&out, "- Decision: %s\n", prose(mem, i->plan->why));
	str_add(&out, "\nExecuting remediation...\n");
	return out;
}

char *story_rejected(void *mem, const char *what, const char *why)
{
	return str_fmt(mem, "**Remediation Not Executed**\n\n- LambdaFunction: %s\n- Reason: %s\n",
		       str_empty(what) ? "none" : code(mem, what), prose(mem, why));
}

char *story_approval(void *mem, const struct incident *i, const struct function *f)
{
	char *name = incident_name(mem, i->id);
	char *out = str_dup(mem, "**Approval Required**\n\n");

	add_plan(mem, &out, i->plan);
	if (f != NULL) {
		str_add(&out, "- Does: %s\n", prose(mem, f->description));
		str_add(&out, "- Risk: %s, effect: %s\n", risk_name(f->risk),
			effect_name(f->effect));
	}
	str_add(&out, "- Why a person is asked: %s\n", prose(mem, i->plan->why));
	str_add(&out, "- Waits until: %s\n\n", when(mem, i->approval_expires_ms));
	str_add(&out, "`agent-sre approve %s` or `agent-sre reject %s`\n", name, name);
	return out;
}

char *story_executed(void *mem, const struct incident *i)
{
	static const char *const HEADS[] = {"Remediation Executed", "Remediation Executed",
					    "Remediation Failed", "Remediation Result Unknown"};
	const struct action *a = i->action;
	char *out = str_fmt(mem, "**%s**\n\n- LambdaFunction: %s\n", HEADS[a->result],
			    code(mem, i->plan->function));

	str_add(&out, "- Result: %s\n",
		str_empty(a->message) ? "no message" : prose(mem, a->message));
	if (a->called_ms != 0 && a->finished_ms != 0)
		str_add(&out, "- Duration: %s, tries: %d\n",
			str_duration(mem, a->finished_ms - a->called_ms), a->tries);
	if (a->result != CALL_FAILED)
		str_add(&out,
			"\nThe effect is measured next; the function's own word proves nothing.\n");
	return out;
}

static void add_check(void *mem, char **out, const json_t *check)
{
	const json_t *passed = json_object_get(check, "passed");
	const char *limit = json_str(check, "limit");
	const char *detail = json_str(check, "detail");

	str_add(out, "- %s %s: observed %s",
		json_is_true(passed)	? "✅"
		: json_is_false(passed) ? "❌"
					: "❔",
		prose(mem, json_str(check, "name")), code(mem, json_str(check, "observed")));
	if (!str_empty(limit))
		str_add(out, ", limit %s", code(mem, limit));
	if (!str_empty(detail))
		str_add(out, " (%s)", code(mem, detail));
	str_add(out, "\n");
}

static void add_checks(void *mem, char **out, const struct verification *v)
{
	size_t n;
	json_t *check;

	json_array_foreach (v->checks, n, check)
		add_check(mem, out, check);
}

char *story_verified(void *mem, const struct incident *i)
{
	const struct verification *v = i->verification;
	static const char *const HEADS[] = {"Remediation Verification", "Remediation Verified",
					    "Remediation Not Effective",
					    "Remediation Verification Inconclusive"};
	char *out = str_fmt(mem, "**%s**\n\n", HEADS[v->verdict]);

	add_checks(mem, &out, v);
	if (v->verdict == VERDICT_RECOVERED)
		str_add(&out, "\nThe alert is expected to resolve within 5 minutes.\n");
	else
		str_add(&out, "\nAfter %d looks in %s: %s.\n", v->polls,
			str_duration(mem, v->deadline_ms - v->started_ms), prose(mem, v->reason));
	return out;
}

/* --- the end
 * ------------------------------------------------------------------------------------------------------
 */

static void add_history(void *mem, char **out, const struct incident *i)
{
	size_t n;
	json_t *entry;

	if (i->action != NULL && i->plan != NULL)
		str_add(out, "- Tried: %s with %s: %s%s%s\n", code(mem, i->plan->function),
			code(mem, json_text(mem, i->plan->parameters)),
			i->action->result == CALL_NONE ? "not called"
						       : call_result_name(i->action->result),
			str_empty(i->action->message) ? "" : ", ", prose(mem, i->action->message));
	json_array_foreach (i->rejected, n, entry)
		str_add(out, "- Not taken again: %s: %s\n", code(mem, json_str(entry, "function")),
			prose(mem, json_str(entry, "reason")));
}

char *story_escalated(void *mem, const struct incident *i)
{
	char *out = str_fmt(mem, "**Needs a Person**\n\n- Reason: %s\n", prose(mem, i->escalation));

	add_history(mem, &out, i);
	if (i->verification != NULL)
		add_checks(mem, &out, i->verification);
	if (!str_empty(i->generator_url))
		str_add(&out, "- Expression: %s\n", text_code(mem, i->generator_url, 1000));
	str_add(&out, "- Incident: `agent-sre show %s`\n- Correlation ID: %s\n",
		incident_name(mem, i->id), code(mem, i->correlation_id));
	str_add(&out, "\nThis ticket closes by itself when the alert resolves.\n");
	return out;
}

static char *remedy_line(void *mem, const struct incident *i)
{
	bool called = i->action != NULL && i->action->result != CALL_NONE;
	bool proven = i->verification != NULL && i->verification->verdict == VERDICT_RECOVERED;

	if (!called)
		return str_dup(mem, "resolved without automated action");
	if (proven)
		return str_fmt(mem, "Remediation successful: %s",
			       str_empty(i->action->message) ? i->plan->function
							     : prose(mem, i->action->message));
	return str_fmt(mem, "%s was called, but its effect is not proven",
		       code(mem, i->plan->function));
}

char *story_resolved(void *mem, const struct incident *i)
{
	char *out = str_fmt(mem, "**Alert Resolved**\n\n- Resolved at: %s (by %s)\n",
			    when(mem, i->resolved_ms),
			    str_eq(i->resolved_by, "event") ? "Alertmanager's event"
							    : prose(mem, i->resolved_by));

	str_add(&out, "- Remediation: %s\n", remedy_line(mem, i));
	str_add(&out, "- Total time to resolution: %s\n",
		str_duration(mem, i->resolved_ms - i->starts_ms));
	str_add(&out, "- SLO impact: error budget consumed during this time: unknown (no SLM "
		      "data); resolving stops the burn, it restores nothing\n");
	str_add(&out, "\nThis incident is closed.\n");
	return out;
}

char *story_dead_letter(void *mem, const struct incident *i, const char *step, int tries,
			const char *error)
{
	return str_fmt(mem,
		       "**Step Failed**\n\n- Step: %s\n- Tries: %d\n- Error: %s\n- Correlation ID: "
		       "%s\n\nThe event is kept in the dead letters.\n",
		       step, tries, prose(mem, error), code(mem, i->correlation_id));
}
