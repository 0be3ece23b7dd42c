#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/story.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { T = 60000 };
static const int64_t START = 1768473600000; /* 2026-01-15T10:40:00Z */

static json_t *object(void *mem, const char *text)
{
	json_t *value = NULL;

	assert_int_equal(json_parse(mem, text, strlen(text), &value), OK);
	return value;
}

static const char LABELS[] =
	"{\"alertname\":\"PodCPUHigh\",\"severity\":\"warning\",\"pod\":\"app-xyz\","
	"\"namespace\":\"production\",\"slo\":\"availability\"}";
static const char ANNOTATIONS[] =
	"{\"summary\":\"CPU of app-xyz is at 92 %\",\"description\":\"Above 80 % for 5 "
	"minutes.\\nUsers see slow "
	"pages.\",\"runbook_url\":\"https://runbooks.example/"
	"cpu\",\"lambda_function\":\"pod-scale\","
	"\"lambda_parameters\":\"{\\\"name\\\":\\\"app-xyz\\\",\\\"replicas\\\":3}\"}";

static struct incident *firing(void *mem)
{
	struct incident *i = NEW(mem, struct incident);

	*i = (struct incident){
		.id = 17,
		.alertname = "PodCPUHigh",
		.labels = object(mem, LABELS),
		.annotations = object(mem, ANNOTATIONS),
		.generator_url = "http://prometheus:9090/graph?g0.expr=cpu+%3E+0.8",
		.starts_ms = START,
		.correlation_id = "7d0a-42",
		.ticket_key = "OPS-66",
		.escalation = "",
		.resolved_by = "",
	};
	return i;
}

static struct incident *planned(void *mem)
{
	struct incident *i = firing(mem);

	i->plan = NEW(mem, struct plan);
	*i->plan = (struct plan){.function = "pod-scale",
				 .namespace = "ai",
				 .parameters = object(mem, "{\"name\":\"app-xyz\",\"replicas\":3}"),
				 .method = "annotation",
				 .confidence = 1.0,
				 .reasoning = "the alert names it",
				 .decision = DECIDE_AUTO,
				 .why = "low risk and reversible"};
	return i;
}

static struct incident *called(void *mem, enum call_result result, const char *message)
{
	struct incident *i = planned(mem);

	i->action = NEW(mem, struct action);
	*i->action = (struct action){.key = "k",
				     .process = "p",
				     .intent_ms = START + 10000,
				     .called_ms = START + 10000,
				     .finished_ms = START + 12300,
				     .tries = 2,
				     .result = result,
				     .message = message};
	return i;
}

static struct incident *verified(void *mem, enum verdict verdict, const char *checks,
				 const char *reason)
{
	struct incident *i = called(mem, CALL_SUCCESS, "Pod scaled from 2 to 3 replicas");

	i->verification = NEW(mem, struct verification);
	*i->verification = (struct verification){.started_ms = START + T,
						 .deadline_ms = START + 6 * T,
						 .polls = 9,
						 .verdict = verdict,
						 .checks = object(mem, checks),
						 .reason = reason};
	return i;
}

/* The numbers that WORKFLOW-001.4 prints. */
static struct slo_context example(void)
{
	struct slo_reading r = slo_reading_unknown();
	struct slo_context c = {.slo = "availability", .sli = "uptime", .source = "series"};

	r.objective = 0.999;
	r.sli = 0.9985;
	r.remaining = 0.001;
	r.burn_rate = 0.0005;
	slo_assess(&r, &slo_thresholds_standard, &c);
	return c;
}

static const char PASSED[] =
	"[{\"name\":\"alert expression\",\"passed\":true,\"observed\":\"0.45\",\"limit\":\"0.8\"},"
	"{\"name\":\"replicas\",\"passed\":true,\"observed\":\"3\",\"limit\":\"3\"}]";
static const char MIXED[] =
	"[{\"name\":\"alert expression\",\"passed\":false,\"observed\":\"0.93\",\"limit\":\"0.8\","
	"\"detail\":\"instance a|b\"},"
	"{\"name\":\"pod phase\",\"passed\":null,\"observed\":\"\",\"limit\":\"Running\"}]";

static char *ticket_with_slo(void *mem)
{
	const struct slo_context slo = example();

	return story_description(mem, firing(mem), &slo);
}

static char *ticket_with_partial_slo(void *mem)
{
	struct slo_reading r = slo_reading_unknown();
	struct slo_context slo = {.slo = "availability", .source = "series"};

	r.objective = 0.99999;
	slo_assess(&r, &slo_thresholds_standard, &slo);
	return story_description(mem, firing(mem), &slo);
}

static char *ticket_with_burn(void *mem)
{
	struct slo_reading r = slo_reading_unknown();
	struct slo_context slo = {.slo = "availability", .sli = "uptime", .source = "sloth"};

	r.objective = 0.999;
	r.period_s = 30 * 86400.0;
	r.sli = 0.9995;
	r.errors[SLO_5M] = 0.0144;
	r.errors[SLO_1H] = 0.003;
	slo_assess(&r, &slo_thresholds_standard, &slo);
	return story_description(mem, firing(mem), &slo);
}

static char *ticket_without_slm(void *mem)
{
	const struct slo_context slo = slo_context_unavailable(
		"availability", "uptime", "Prometheus answered 503 with **stars** @channel");

	return story_description(mem, firing(mem), &slo);
}

static char *ticket_without_slo(void *mem)
{
	struct incident *i = firing(mem);

	i->labels = object(mem, "{\"alertname\":\"NodeDown\",\"node\":\"n1\"}");
	i->annotations = object(mem, "{}");
	i->truncated_alerts = 12;
	i->generator_url = "";
	return story_description(mem, i, NULL);
}

static const char HOSTILE_LABELS[] =
	"{\"alertname\":\"# Big\\n- @channel\",\"severity\":\"<b>critical</b>\",\"pod\":\"a`b|c\","
	"\"namespace\":\"x\\n\\n**Remediation**\\n\\n- LambdaFunction: `rm`\","
	"\"[k](http://evil.example)\":\"![i](http://evil.example/p.png)\","
	"\"<img src=x>\":\"<script>alert('XSS')</script>\",\"sql\":\"'; DROP TABLE users; --\","
	"\"shell\":\"; ls -la `whoami` $(id) | cat /etc/passwd\",\"template\":\"{{7*7}}\","
	"\"ldap\":\"*)(uid=*))(|(uid=*\",\"path\":\"..\\\\\\\\..\\\\\\\\windows\\\\\\\\system32\","
	"\"xml\":\"<!DOCTYPE a [<!ENTITY b SYSTEM \\\"file:///etc/passwd\\\">]><a>&b;</a>\","
	"\"ssrf\":\"http:\u200b//169.254.169.254 attacker.example/x?\",\"api_token\":\"planted-1\","
	"\"note\":\"password=planted-2\",\"unicode\":\"größe \u202eabc\u202c 日本語 🔥\"}";
static const char HOSTILE_ANNOTATIONS[] =
	"{\"summary\":\"```\\n# heading\\n```\\n1. one\\n* star\\n> quote\\n    code\\n---\\n===\","
	"\"description\":\"see www.evil.example or Bearer planted.3x @here\\n| a | b "
	"|\\n|---|---|\\n| 1 | 2 |\","
	"\"lambda_function\":\"x`\\n# "
	"y\",\"lambda_parameters\":\"{\\\"password\\\":\\\"planted-4\\\"}\","
	"\"secret\":\"planted-5\"}";

static char *ticket_hostile(void *mem)
{
	struct incident *i = firing(mem);

	i->labels = object(mem, HOSTILE_LABELS);
	i->annotations = object(mem, HOSTILE_ANNOTATIONS);
	i->alertname = json_str(i->labels, "alertname");
	i->generator_url = "https://user:planted-6@prometheus/graph?`x`";
	i->correlation_id = "c`\n# d";
	return story_description(mem, i, NULL);
}

static char *selected(void *mem)
{
	return story_selected(mem, planned(mem));
}

static char *shadow(void *mem)
{
	return story_rejected(mem, "pod-scale",
			      "shadow mode only reports; pod-scale would have been called");
}

static char *approval(void *mem)
{
	struct incident *i = planned(mem);
	const struct function f = {.name = "pod-scale",
				   .description = "changes the number of replicas",
				   .risk = RISK_MEDIUM,
				   .effect = EFFECT_REVERSIBLE};

	i->plan->why = "supervised mode asks before every action";
	i->approval_expires_ms = START + 30 * T;
	return story_approval(mem, i, &f);
}

static char *executed(void *mem)
{
	return story_executed(mem, called(mem, CALL_SUCCESS, "Pod scaled from 2 to 3 replicas"));
}

static char *executed_failed(void *mem)
{
	return story_executed(
		mem, called(mem, CALL_FAILED, "HTTP 500: {\"error\":\"no quota\"}\nsecond line"));
}

static char *executed_unknown(void *mem)
{
	return story_executed(mem, called(mem, CALL_UNKNOWN, "no answer within 60 s"));
}

static char *recovered(void *mem)
{
	return story_verified(mem, verified(mem, VERDICT_RECOVERED, PASSED, ""));
}

static char *not_recovered(void *mem)
{
	return story_verified(mem,
			      verified(mem, VERDICT_NOT_RECOVERED, MIXED, "the alert still holds"));
}

static char *inconclusive(void *mem)
{
	return story_verified(
		mem, verified(mem, VERDICT_INCONCLUSIVE, "[]", "Prometheus could not prove it"));
}

static char *escalated(void *mem)
{
	struct incident *i = verified(mem, VERDICT_NOT_RECOVERED, MIXED, "the alert still holds");

	i->escalation = "the remedy did not help";
	i->rejected = object(
		mem, "[{\"function\":\"pod-restart\",\"reason\":\"was tried 2 minutes ago\"}]");
	return story_escalated(mem, i);
}

static char *escalated_unapproved(void *mem)
{
	struct incident *i = planned(mem);

	i->escalation = "nobody approved in time";
	return story_escalated(mem, i);
}

static char *resolved_by_remedy(void *mem)
{
	struct incident *i = verified(mem, VERDICT_RECOVERED, PASSED, "");

	i->resolved_ms = START + 5 * T;
	i->resolved_by = "event";
	return story_resolved(mem, i, NULL);
}

static char *resolved_alone(void *mem)
{
	struct incident *i = firing(mem);

	i->resolved_ms = START + 65 * T;
	i->resolved_by = "prometheus";
	return story_resolved(mem, i, NULL);
}

static char *resolved_despite_failure(void *mem)
{
	struct incident *i = called(mem, CALL_FAILED, "no quota");

	i->resolved_ms = START + T;
	i->resolved_by = "event";
	return story_resolved(mem, i, NULL);
}

static char *failure_ticket(void *mem)
{
	struct incident *i =
		called(mem, CALL_FAILED,
		       "HTTP 500\n```\nAuthorization: Bearer planted.7x\n# heading\n@channel");

	return story_failure_description(mem, i);
}

static char *dead_letter(void *mem)
{
	return story_dead_letter(mem, firing(mem), "verify", 8,
				 "prometheus:9090: connection refused");
}

static char *read_text(void *mem, const char *path)
{
	char *text = NULL;
	size_t n = 0;

	return file_read(mem, path, LIMIT_FILE_BYTES, &text, &n) == OK ? text : str_dup(mem, "");
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* WRITE_GOLDEN=1 rewrites the files; then read the difference. */
static void stories_read_as_reviewed(void **state)
{
	static const struct {
		const char *name;
		char *(*tell)(void *mem);
	} CASES[] = {
#define CASE(f) {#f, f}
		CASE(ticket_with_slo),
		CASE(ticket_with_partial_slo),
		CASE(ticket_with_burn),
		CASE(ticket_without_slm),
		CASE(ticket_without_slo),
		CASE(ticket_hostile),
		CASE(selected),
		CASE(shadow),
		CASE(approval),
		CASE(executed),
		CASE(executed_failed),
		CASE(executed_unknown),
		CASE(recovered),
		CASE(not_recovered),
		CASE(inconclusive),
		CASE(escalated),
		CASE(escalated_unapproved),
		CASE(resolved_by_remedy),
		CASE(resolved_alone),
		CASE(resolved_despite_failure),
		CASE(failure_ticket),
		CASE(dead_letter),
#undef CASE
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		char *path = str_fmt(tmp, SOURCE_ROOT "/tests/data/story/%s.md", CASES[i].name);
		char *told = CASES[i].tell(tmp);
		if (getenv("WRITE_GOLDEN") != NULL)
			write_text(path, told);
		assert_string_equal(told, read_text(tmp, path));
	}
}

static void planted_secrets_never_reach_a_ticket(void **state)
{
	SCOPE(tmp);

	(void)state;
	assert_null(strstr(ticket_hostile(tmp), "planted"));
	assert_null(strstr(failure_ticket(tmp), "planted"));
	struct incident *i = called(tmp, CALL_FAILED,
				    "lin_api_"
				    "planted12345");
	i->escalation = "token=planted-8";
	assert_null(strstr(story_executed(tmp, i), "planted"));
	assert_null(strstr(story_escalated(tmp, i), "planted"));
	assert_null(strstr(story_rejected(tmp, "f", "secret: planted-9"), "planted"));
	assert_null(strstr(story_dead_letter(tmp, i, "open", 1, "Bearer planted.10x"), "planted"));
}

static void titles_name_alert_resource_and_slo(void **state)
{
	static const struct {
		const char *labels, *slo, *title;
		int64_t resolved_ms;
	} CASES[] = {
		{"{\"pod\":\"app-xyz\"}", "availability",
		 "[Alert] PodCPUHigh - app-xyz (SLO: availability)", 0},
		{"{\"deployment\":\"web\",\"node\":\"n1\"}", NULL, "[Alert] PodCPUHigh - web", 0},
		{"{}", NULL, "[Alert] PodCPUHigh", 0},
		{"{\"pod\":\"\",\"instance\":\"h:9100\"}", NULL, "[Alert] PodCPUHigh - h:9100", 0},
		{"{\"pod\":\"p\"}", NULL, "[Resolved] PodCPUHigh - p", 1},
		{"{\"pod\":\"p\\n@all\"}", NULL, "[Alert] PodCPUHigh - p @\u200ball", 0},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		struct incident *i = firing(tmp);
		struct slo_context slo = {.slo = CASES[n].slo, .source = "series"};
		i->labels = object(tmp, CASES[n].labels);
		i->resolved_ms = CASES[n].resolved_ms;
		assert_string_equal(story_title(tmp, i, CASES[n].slo == NULL ? NULL : &slo),
				    CASES[n].title);
	}
	assert_string_equal(story_failure_title(tmp, firing(tmp)),
			    "[Remediation Failed] PodCPUHigh");
}

static void percent_is_the_shortest_form(void **state)
{
	static const struct {
		double fraction;
		const char *text;
	} CASES[] = {
		{0.999, "99.9%"},    {0.9985, "99.85%"},    {0.99999, "99.999%"},
		{0.00001, "0.001%"}, {0.001, "0.1%"},	    {0.0005, "0.05%"},
		{0, "0%"},	     {1, "100%"},	    {-0.5, "-50%"},
		{NAN, "unknown"},    {INFINITY, "unknown"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(story_percent(tmp, CASES[i].fraction), CASES[i].text);
}

static void priority_follows_the_table(void **state)
{
	static const char *const SEVERITIES[] = {"critical", "warning", "info", "page", NULL};
	static const double BURNS[] = {0.0006, 0.0005, 0.00005, 0.00001, NAN};
	static const int WANTED[5][5] = {{1, 1, 2, 2, 1},
					 {1, 2, 3, 3, 2},
					 {4, 4, 4, 4, 4},
					 {2, 3, 3, 4, 3},
					 {2, 3, 3, 4, 3}};
	SCOPE(tmp);

	(void)state;
	for (int row = 0; row < 5; row++) {
		for (int column = 0; column < 5; column++) {
			struct incident i = {.labels = mem_own(tmp, json_pack("{s:s*}", "severity",
									      SEVERITIES[row]))};
			struct slo_reading r = slo_reading_unknown();
			struct slo_context slo = {.slo = "x", .source = "series"};
			const char *reason = NULL;
			r.burn_rate = BURNS[column];
			slo_assess(&r, &slo_thresholds_standard, &slo);
			assert_int_equal(story_priority(tmp, &i, &slo, &reason),
					 WANTED[row][column]);
			assert_non_null(strstr(reason, column < 4
							       ? story_percent(tmp, BURNS[column])
							       : "unknown"));
		}
	}
}

static void priority_gives_its_reason(void **state)
{
	SCOPE(tmp);
	struct incident i = {.labels = object(tmp, "{\"severity\":\"warning\"}")};
	struct slo_context slo = example();
	const struct slo_context away = slo_context_unavailable("x", "x", "Prometheus is away");
	const char *reason = NULL;

	(void)state;
	assert_int_equal(story_priority(tmp, &i, &slo, &reason), 2);
	assert_string_equal(reason, "Warning severity + 0.05% error budget burn");
	assert_int_equal(story_priority(tmp, &i, &away, &reason), 2);
	assert_string_equal(reason, "Warning severity, error budget burn unknown");
	assert_int_equal(story_priority(tmp, &i, NULL, &reason), 2);
	assert_string_equal(reason, "Warning severity, error budget burn unknown");
	assert_string_equal(story_priority_name(1), "Urgent");
	assert_string_equal(story_priority_name(4), "Low");
	assert_string_equal(story_priority_name(5), "None");
}

static void the_dashboard_and_the_impact_are_named(void **state)
{
	SCOPE(tmp);
	struct slo_context slo = example();

	(void)state;
	assert_string_equal(story_slo_title(tmp, &slo), "SLO: Availability (99.9% target)");
	assert_string_equal(story_slo_impact(tmp, &slo),
			    "This alert impacts SLO: availability. Current SLI: 99.85%, Target: "
			    "99.9%, Error Budget Burn Rate: 0.05%.");
	slo.target = NAN;
	assert_string_equal(story_slo_title(tmp, &slo), "SLO: Availability");
	slo.slo = "a\n# b @all";
	assert_null(strstr(story_slo_impact(tmp, &slo), "\n# b"));
	assert_null(strstr(story_slo_impact(tmp, &slo), "@all"));
}

static void the_end_tells_what_was_consumed(void **state)
{
	SCOPE(tmp);
	struct incident *i = firing(tmp);
	struct slo_context before = example();
	struct slo_context now = example();

	(void)state;
	before.budget_remaining = 0.40;
	now.budget_remaining = 0.15;
	i->slo = &before;
	assert_non_null(
		strstr(story_resolved(tmp, i, &now),
		       "error budget consumed during this time: 25% of the budget; 15% remain; "
		       "resolving stops the burn, it restores nothing"));
	now = slo_context_unavailable("availability", "uptime", "Prometheus is away");
	assert_non_null(strstr(story_resolved(tmp, i, &now), "unknown (SLM data was unavailable)"));
	assert_non_null(strstr(story_resolved(tmp, i, NULL), "unknown (SLM data was unavailable)"));
}

static void missing_parts_do_not_break_a_story(void **state)
{
	SCOPE(tmp);
	struct incident *i = firing(tmp);

	(void)state;
	i->generator_url = NULL;
	i->escalation = NULL;
	i->resolved_by = NULL;
	i->correlation_id = NULL;
	assert_non_null(strstr(story_escalated(tmp, i), "- Reason: unknown\n"));
	assert_non_null(
		strstr(story_resolved(tmp, i, NULL), "Total time to resolution: unknown\n"));
	assert_non_null(story_description(tmp, i, NULL));
	i->resolved_ms = START - 1;
	assert_non_null(
		strstr(story_resolved(tmp, i, NULL), "Total time to resolution: unknown\n"));
	assert_non_null(strstr(story_rejected(tmp, NULL, NULL),
			       "- LambdaFunction: none\n- Reason: unknown\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stories_read_as_reviewed),
		cmocka_unit_test(planted_secrets_never_reach_a_ticket),
		cmocka_unit_test(titles_name_alert_resource_and_slo),
		cmocka_unit_test(percent_is_the_shortest_form),
		cmocka_unit_test(priority_follows_the_table),
		cmocka_unit_test(priority_gives_its_reason),
		cmocka_unit_test(the_dashboard_and_the_impact_are_named),
		cmocka_unit_test(the_end_tells_what_was_consumed),
		cmocka_unit_test(missing_parts_do_not_break_a_story),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
