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

/* Longer than anybody plans; also keeps what is computed from noise out of integers. */
static const double EXHAUSTION_MAX_S = 1e12;

enum { VALUE_POINTS = 500, NAME_POINTS = 120, LINK_POINTS = 1000 };

static char *prose(void *mem, const char *s)
{
	return text_markdown(mem, s == NULL ? "" : s, LIMIT_TICKET_TEXT_POINTS);
}

static char *code(void *mem, const char *s)
{
	return text_code(mem, s == NULL ? "" : s, VALUE_POINTS);
}

/* Text whose later lines stay inside of the list item that it stands in. */
static char *item(void *mem, const char *s, size_t points)
{
	char *out = str_dup(mem, "");

	for (const char *line = text_markdown(mem, s == NULL ? "" : s, points);;) {
		size_t n = strcspn(line, "\n");
		str_add(&out, "%.*s", (int)n, line);
		if (line[n] == '\0')
			return out;
		line += n + 1;
		str_add(&out, *line == '\n' ? "\n" : "\n  ");
	}
}

static char *known(void *mem, const char *s)
{
	return str_empty(s) ? str_dup(mem, "unknown") : item(mem, s, VALUE_POINTS);
}

static void bullet(void *mem, char **out, const char *name, const char *value)
{
	if (!str_empty(value))
		str_add(out, "- %s: %s\n", name, item(mem, value, VALUE_POINTS));
}

/* A name and its value both come from outside; the name may say that the value is a secret. */
static void pair(void *mem, char **out, const char *name, const char *value)
{
	char *probe = str_fmt(mem, "%s=x", name);
	bool secret = !str_eq(text_redact(mem, probe), probe);

	if (str_empty(value))
		return;
	/* a link is dead in prose and hard to copy; a code span keeps it whole */
	bool link = (str_starts(value, "https://") || str_starts(value, "http://")) &&
		    strpbrk(value, " \r\n") == NULL;
	str_add(out, "- %s: %s\n", item(mem, name, NAME_POINTS),
		secret ? "\\[redacted\\]"
		: link ? text_code(mem, value, LINK_POINTS)
		       : item(mem, value, VALUE_POINTS));
}

/* JSON that must stay whole. */
static char *parameters(void *mem, const char *json)
{
	return text_code(mem, json, LIMIT_TICKET_TEXT_POINTS);
}

/* Several lines as they came, which nothing in them can end early. */
static char *fence(void *mem, const char *s)
{
	char *out = str_dup(mem, "```\n");
	char *rest = str_cut(mem, text_redact(mem, s == NULL ? "" : s), LIMIT_TICKET_TEXT_POINTS);

	for (char *line = strsep(&rest, "\r\n"); line != NULL; line = strsep(&rest, "\r\n")) {
		char *inside = text_code(mem, line, VALUE_POINTS);
		if (!str_empty(line))
			str_add(&out, "%.*s\n", (int)strlen(inside) - 2, inside + 1);
	}
	str_add(&out, "```");
	return out;
}

static char *when(void *mem, int64_t ms)
{
	return ms == 0 ? str_dup(mem, "unknown") : clock_format(mem, ms);
}

static const char *severity_of(const struct incident *i)
{
	return json_str(i->labels, "severity");
}

char *story_title(void *mem, const struct incident *i, const struct slo_context *slo)
{
	const char *resource = alert_resource(i->labels);
	char *title = str_fmt(mem, "[%s] %s", i->resolved_ms != 0 ? "Resolved" : "Alert",
			      text_title(mem, i->alertname, NAME_POINTS));

	if (resource != NULL)
		str_add(&title, " - %s", text_title(mem, resource, NAME_POINTS));
	if (slo_is_known(slo))
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

char *story_percent(void *mem, double fraction)
{
	if (!isfinite(fraction))
		return str_dup(mem, "unknown");
	/* ten digits are beyond what a double's rounding noise reaches, and all that an SLO can
	 * mean */
	return str_fmt(mem, "%.10g%%", fraction * 100.0);
}

/* A rate that is computed has no end of digits. */
static char *rate(void *mem, double fraction)
{
	return isfinite(fraction) ? str_fmt(mem, "%.6g%%", fraction * 100.0)
				  : str_dup(mem, "unknown");
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

/* The conventional multiples, where a source knows them. */
static void add_burn(void *mem, char **out, const struct slo_context *slo)
{
	char *line = str_dup(mem, "");

	for (int w = 0; w < SLO_WINDOW_COUNT; w++)
		if (isfinite(slo->multiples[w]))
			str_add(&line, "%s%.3gx in %s", *line == '\0' ? "" : ", ",
				slo->multiples[w], slo_window_name((enum slo_window)w));
	if (*line != '\0')
		str_add(out, "- Burn Multiples: %s\n", line);
	if (slo->exhaustion_s < EXHAUSTION_MAX_S) /* NAN is not */
		str_add(out, "- Error Budget Spent In: %s\n",
			slo->exhaustion_s > 0
				? str_duration(mem, (long long)(slo->exhaustion_s * 1000))
				: "it is spent already");
}

static void add_slo(void *mem, char **out, const struct incident *i, const struct slo_context *slo)
{
	str_add(out, "\n**SLM Context**\n\n");
	if (!slo_is_known(slo)) {
		bullet(mem, out, "SLO", incident_slo(i) == NULL ? "unknown" : incident_slo(i));
		str_add(out, "- SLM data was unavailable when this ticket was opened; priority "
			     "follows the alert's severity alone\n");
		bullet(mem, out, "Reason", slo == NULL ? NULL : slo->trouble);
		return;
	}
	bullet(mem, out, "SLO", slo->slo);
	bullet(mem, out, "SLI", str_empty(slo->sli) ? "unknown" : slo->sli);
	str_add(out, "- Target: %s\n", story_percent(mem, slo->target));
	str_add(out, "- Current: %s\n", story_percent(mem, slo->current));
	str_add(out, "- Error Budget Remaining: %s%s\n", story_percent(mem, slo->budget_remaining),
		isfinite(slo->budget_remaining) ? " of the budget" : "");
	str_add(out, "- Error Budget Burn Rate: %s\n", rate(mem, slo->burn_rate));
	str_add(out, "- Violation Severity: %s\n", slo_violation_name(slo->violation));
	add_burn(mem, out, slo);
}

/* "availability" → "Availability" */
static char *capitalised(void *mem, const char *name)
{
	char *text = text_title(mem, name, NAME_POINTS);

	*text = (char)toupper((unsigned char)*text);
	return text;
}

char *story_slo_title(void *mem, const struct slo_context *slo)
{
	const char *name = capitalised(mem, slo->slo);

	if (!isfinite(slo->target))
		return str_fmt(mem, "SLO: %s", name);
	return str_fmt(mem, "SLO: %s (%s target)", name, story_percent(mem, slo->target));
}

char *story_slo_impact(void *mem, const struct slo_context *slo)
{
	return str_fmt(mem,
		       "This alert impacts SLO: %s. Current SLI: %s, Target: %s, Error Budget Burn "
		       "Rate: %s.",
		       item(mem, slo->slo, NAME_POINTS), story_percent(mem, slo->current),
		       story_percent(mem, slo->target), rate(mem, slo->burn_rate));
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
			pair(mem, out, names[n], json_str(i->labels, names[n]));
}

/* Those that have a section of their own are not shown twice. */
static bool has_section(const struct incident *i, const char *annotation)
{
	bool steers = !str_empty(json_str(i->annotations, "lambda_function"));

	return str_eq(annotation, "summary") || str_eq(annotation, "description") ||
	       (steers &&
		(str_eq(annotation, "lambda_function") || str_eq(annotation, "lambda_parameters")));
}

static void add_annotations(void *mem, char **out, const struct incident *i)
{
	const char **names = sorted_names(mem, i->annotations);
	char *lines = str_dup(mem, "");

	for (size_t n = 0; names[n] != NULL; n++)
		if (!has_section(i, names[n]))
			pair(mem, &lines, names[n], json_str(i->annotations, names[n]));
	if (!str_empty(lines))
		str_add(out, "\n**Annotations**\n\n%s", lines);
}

static void add_remedy(void *mem, char **out, const struct incident *i)
{
	const char *function = json_str(i->annotations, "lambda_function");
	const char *given = json_str(i->annotations, "lambda_parameters");

	if (str_empty(function))
		return;
	str_add(out, "\n**Remediation**\n\n- LambdaFunction: %s\n", code(mem, function));
	if (!str_empty(given))
		str_add(out, "- Parameters: %s\n", parameters(mem, given));
}

static void add_footer(void *mem, char **out, const struct incident *i)
{
	if (!str_empty(i->generator_url))
		str_add(out, "\n**Source**: %s\n", text_code(mem, i->generator_url, LINK_POINTS));
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
	str_add(&out, "- Parameters: %s\n", parameters(mem, json_text(mem, i->plan->parameters)));
	str_add(&out, "- Tries: %d\n- Error:\n\n%s\n", i->action->tries,
		fence(mem, str_empty(i->action->message) ? "no message" : i->action->message));
	add_footer(mem, &out, i);
	return out;
}

enum { CRITICAL, WARNING, INFO, OTHER };

/* The whole rule (WORKFLOW-001.14): rows are the alert's severity. */
static const int PRIORITY[4][SLO_LOW + 1] = {
	[CRITICAL] = {[SLO_CRITICAL] = 1,
		      [SLO_HIGH] = 1,
		      [SLO_MEDIUM] = 2,
		      [SLO_LOW] = 2,
		      [SLO_UNKNOWN] = 1},
	[WARNING] = {[SLO_CRITICAL] = 1,
		     [SLO_HIGH] = 2,
		     [SLO_MEDIUM] = 3,
		     [SLO_LOW] = 3,
		     [SLO_UNKNOWN] = 2},
	[INFO] = {[SLO_CRITICAL] = 4,
		  [SLO_HIGH] = 4,
		  [SLO_MEDIUM] = 4,
		  [SLO_LOW] = 4,
		  [SLO_UNKNOWN] = 4},
	[OTHER] = {[SLO_CRITICAL] = 2,
		   [SLO_HIGH] = 3,
		   [SLO_MEDIUM] = 3,
		   [SLO_LOW] = 4,
		   [SLO_UNKNOWN] = 3},
};

static int position(const char *word, const char *const *words, int count)
{
	for (int n = 0; n < count; n++)
		if (str_eq(word, words[n]))
			return n;
	return count;
}

int story_priority(void *mem, const struct incident *i, const struct slo_context *slo,
		   const char **reason)
{
	static const char *const SEVERITIES[] = {"critical", "warning", "info"};
	static const char *const NAMES[] = {"Critical", "Warning", "Info", "Unknown"};
	int row = position(severity_of(i), SEVERITIES, 3);
	enum slo_violation violation = slo_is_known(slo) ? slo->violation : SLO_UNKNOWN;

	if (violation == SLO_UNKNOWN)
		*reason = str_fmt(mem, "%s severity, error budget burn unknown", NAMES[row]);
	else
		*reason = str_fmt(mem, "%s severity + %s error budget burn", NAMES[row],
				  rate(mem, slo->burn_rate));
	return PRIORITY[row][violation];
}

const char *story_priority_name(int priority)
{
	static const char *const NAMES[] = {"None", "Urgent", "High", "Normal", "Low"};
	return priority >= 1 && priority <= 4 ? NAMES[priority] : NAMES[0];
}

static const char *method_name(const char *method)
{
	return str_eq(method, "annotation") ? "Static annotation" : method;
}

static void add_plan(void *mem, char **out, const struct plan *p)
{
	str_add(out, "- LambdaFunction: %s\n", code(mem, p->function));
	str_add(out, "- Parameters: %s\n", parameters(mem, json_text(mem, p->parameters)));
	str_add(out, "- Method: %s\n", method_name(p->method));
	str_add(out, "- Confidence: %.2f\n", p->confidence);
}

char *story_selected(void *mem, const struct incident *i)
{
	char *out = str_dup(mem, "**Remediation Selected**\n\n");

	add_plan(mem, &out, i->plan);
	str_add(&out, "\nExecuting remediation...\n");
	return out;
}

char *story_rejected(void *mem, const char *what, const char *why)
{
	return str_fmt(mem, "**Remediation Not Executed**\n\n- LambdaFunction: %s\n- Reason: %s\n",
		       str_empty(what) ? "none" : code(mem, what), known(mem, why));
}

char *story_approval(void *mem, const struct incident *i, const struct function *f)
{
	char *name = incident_name(mem, i->id);
	char *out = str_dup(mem, "**Approval Required**\n\n");

	add_plan(mem, &out, i->plan);
	if (f != NULL) {
		str_add(&out, "- Does: %s\n", known(mem, f->description));
		str_add(&out, "- Risk: %s, effect: %s\n", risk_name(f->risk),
			effect_name(f->effect));
	}
	str_add(&out, "- Why a person is asked: %s\n", known(mem, i->plan->why));
	str_add(&out, "- Waits until: %s\n\n", when(mem, i->approval_expires_ms));
	str_add(&out, "To decide: `agent-sre approve %s` or `agent-sre reject %s`\n", name, name);
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
		str_empty(a->message) ? "no message"
				      : item(mem, a->message, LIMIT_TICKET_TEXT_POINTS));
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
		known(mem, json_str(check, "name")), known(mem, json_str(check, "observed")));
	if (!str_empty(limit))
		str_add(out, ", limit %s", known(mem, limit));
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
	if (json_array_size(v->checks) > 0)
		str_add(&out, "\n");
	if (v->verdict == VERDICT_RECOVERED)
		str_add(&out, "The alert is expected to resolve within 5 minutes.\n");
	else
		str_add(&out, "Looked %d times within %s: %s.\n", v->polls,
			str_duration(mem, v->deadline_ms - v->started_ms),
			str_empty(v->reason) ? "no reason is known" : prose(mem, v->reason));
	return out;
}

static const char *outcome(const struct action *a)
{
	if (a != NULL && a->result != CALL_NONE)
		return call_result_name(a->result);
	return a == NULL || a->called_ms == 0 ? "not called" : "called, no result yet";
}

static void add_history(void *mem, char **out, const struct incident *i)
{
	const char *message = i->action == NULL ? NULL : i->action->message;
	size_t n;
	json_t *entry;

	if (i->plan != NULL)
		str_add(out, "- %s: %s with %s: %s%s%s\n", i->action == NULL ? "Proposed" : "Tried",
			code(mem, i->plan->function),
			parameters(mem, json_text(mem, i->plan->parameters)), outcome(i->action),
			str_empty(message) ? "" : ", ", item(mem, message, VALUE_POINTS));
	json_array_foreach (i->rejected, n, entry)
		str_add(out, "- Not taken: %s: %s\n", code(mem, json_str(entry, "function")),
			known(mem, json_str(entry, "reason")));
}

char *story_escalated(void *mem, const struct incident *i)
{
	char *out = str_fmt(mem, "**Needs a Person**\n\n- Reason: %s\n", known(mem, i->escalation));

	add_history(mem, &out, i);
	if (i->verification != NULL)
		add_checks(mem, &out, i->verification);
	if (!str_empty(i->generator_url))
		str_add(&out, "- Source: %s\n", text_code(mem, i->generator_url, LINK_POINTS));
	str_add(&out, "- Incident: `agent-sre show %s`\n- Correlation ID: %s\n",
		incident_name(mem, i->id), code(mem, i->correlation_id));
	str_add(&out, "\nThis ticket closes by itself when the alert resolves.\n");
	return out;
}

static char *remedy_line(void *mem, const struct incident *i)
{
	bool called = i->plan != NULL && i->action != NULL &&
		      (i->action->called_ms != 0 || i->action->result != CALL_NONE);
	bool proven = i->verification != NULL && i->verification->verdict == VERDICT_RECOVERED;

	if (!called)
		return str_dup(mem, "Remediation: resolved without automated action");
	if (proven)
		return str_fmt(mem, "Remediation successful: %s",
			       str_empty(i->action->message)
				       ? code(mem, i->plan->function)
				       : item(mem, i->action->message, VALUE_POINTS));
	return str_fmt(
		mem,
		i->action->result == CALL_FAILED
			? "Remediation: %s was called and failed; the alert resolved by other means"
			: "Remediation: %s was called, but its effect is not proven",
		code(mem, i->plan->function));
}

static const char *witness(const char *resolved_by)
{
	if (str_eq(resolved_by, "event"))
		return "Alertmanager's event";
	if (str_eq(resolved_by, "prometheus"))
		return "asking Prometheus";
	return str_eq(resolved_by, "alertmanager") ? "asking Alertmanager" : "an unknown source";
}

/* Of the budget, during the incident. What the window forgets meanwhile can hide some of it, never
 * add to it. */
static char *budget_line(void *mem, const struct slo_context *before, const struct slo_context *now)
{
	if (!slo_is_known(before) || !slo_is_known(now) || !isfinite(before->budget_remaining) ||
	    !isfinite(now->budget_remaining))
		return str_fmt(mem, "unknown (%s)",
			       before == NULL ? "no SLM data" : "SLM data was unavailable");
	if (!str_eq(before->source, now->source)) /* each measures in its own way */
		return str_dup(mem, "unknown (another source answered at the end)");
	double consumed = before->budget_remaining - now->budget_remaining;
	return str_fmt(mem, "%s of the budget; %s remain",
		       story_percent(mem, consumed > 0 ? consumed : 0),
		       story_percent(mem, now->budget_remaining));
}

char *story_resolved(void *mem, const struct incident *i, const struct slo_context *now)
{
	bool timed = i->resolved_ms != 0 && i->resolved_ms >= i->starts_ms;
	char *out = str_fmt(mem, "**Alert Resolved**\n\n- Resolved at: %s (known from %s)\n",
			    when(mem, i->resolved_ms), witness(i->resolved_by));

	str_add(&out, "- %s\n", remedy_line(mem, i));
	str_add(&out, "- Total time to resolution: %s\n",
		timed ? str_duration(mem, i->resolved_ms - i->starts_ms) : "unknown");
	str_add(&out,
		"- SLO impact: error budget consumed during this time: %s; resolving stops the "
		"burn, it restores nothing\n",
		budget_line(mem, i->slo, now));
	str_add(&out, "\nThis incident is closed.\n");
	return out;
}

char *story_waiting(void *mem, const struct incident *i)
{
	return str_fmt(mem,
		       "**Remediation Waits**\n\n- Function: %s\n- Correlation ID: %s\n\nIts host "
		       "cannot be reached. The function is called as soon as that is back.\n",
		       code(mem, i->plan->function), code(mem, i->correlation_id));
}

char *story_dead_letter(void *mem, const struct incident *i, const char *step, int tries,
			const char *error)
{
	return str_fmt(mem,
		       "**Step Failed**\n\n- Step: %s\n- Tries: %d\n- Error: %s\n- Correlation ID: "
		       "%s\n\nThe event is kept in the dead letters.\n",
		       step, tries, known(mem, error), code(mem, i->correlation_id));
}
