#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/incident.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void states_have_names_that_parse_back(void **state)
{
	(void)state;
	for (int n = 0; n < INCIDENT_STATE_COUNT; n++) {
		enum incident_state found = INCIDENT_CLOSED;
		assert_int_equal(
			incident_state_parse(incident_state_name((enum incident_state)n), &found),
			OK);
		assert_int_equal(found, n);
	}
	enum incident_state untouched = INCIDENT_VERIFYING;
	assert_int_equal(incident_state_parse("Open", &untouched), E_INVALID);
	assert_int_equal(incident_state_parse("", &untouched), E_INVALID);
	assert_int_equal(untouched, INCIDENT_VERIFYING);
}

/* Rows from, columns to: open approval remediating verifying recovered escalated closed. */
static void only_legal_moves_are_allowed(void **state)
{
	static const char *const ALLOWED[INCIDENT_STATE_COUNT] = {
		"yyy--yy", /* open */
		"-yy--yy", /* approval */
		"-yyy-yy", /* remediating */
		"-yyyyyy", /* verifying: another plan, or the end */
		"----yyy", /* recovered */
		"-----yy", /* escalated */
		"------y", /* closed is final */
	};

	(void)state;
	for (int from = 0; from < INCIDENT_STATE_COUNT; from++)
		for (int to = 0; to < INCIDENT_STATE_COUNT; to++)
			assert_int_equal(incident_may_become((enum incident_state)from,
							     (enum incident_state)to),
					 ALLOWED[from][to] == 'y');
}

static json_t *object(void *mem, const char *text)
{
	json_t *value = NULL;

	assert_int_equal(json_parse(mem, text, strlen(text), &value), OK);
	return value;
}

static struct incident *full(void *mem)
{
	struct incident *i = NEW(mem, struct incident);

	*i = (struct incident){
		.plans_tried = 2, .escalation = "why", .dead = true, .approval_expires_ms = 99};
	i->rejected = object(mem, "[{\"function\":\"f\",\"reason\":\"r\"}]");
	i->plan = NEW(mem, struct plan);
	*i->plan = (struct plan){.function = "f",
				 .namespace = "ai",
				 .parameters = object(mem, "{\"name\":\"x\",\"n\":3}"),
				 .method = "annotation",
				 .confidence = 0.75,
				 .reasoning = "because",
				 .decision = DECIDE_ASK,
				 .why = "risk",
				 .digest = "d1",
				 .target = "t1"};
	i->action = NEW(mem, struct action);
	*i->action = (struct action){.key = "k",
				     .process = "p",
				     .intent_ms = 1,
				     .called_ms = 1768473600000,
				     .finished_ms = 3,
				     .tries = 4,
				     .result = CALL_UNKNOWN,
				     .message = "größe",
				     .cannot_fix = true};
	i->verification = NEW(mem, struct verification);
	*i->verification =
		(struct verification){.started_ms = 5,
				      .deadline_ms = 6,
				      .polls = 7,
				      .verdict = VERDICT_INCONCLUSIVE,
				      .checks = object(mem, "[{\"name\":\"c\",\"passed\":null}]"),
				      .reason = "unclear"};
	return i;
}

static void memory_survives_the_store(void **state)
{
	SCOPE(tmp);
	struct incident *i = full(tmp);
	struct incident back = {.id = 5};

	(void)state;
	char *text = json_text(tmp, incident_memory_encode(tmp, i));
	assert_int_equal(incident_memory_decode(tmp, object(tmp, text), &back), OK);
	assert_string_equal(json_text(tmp, incident_memory_encode(tmp, &back)), text);
	assert_int_equal(back.id, 5);
	assert_int_equal(back.plans_tried, 2);
	assert_string_equal(back.escalation, "why");
	assert_true(back.dead);
	assert_int_equal(back.approval_expires_ms, 99);
	assert_true(json_equal(back.rejected, i->rejected));
	assert_string_equal(back.plan->function, "f");
	assert_int_equal(back.plan->decision, DECIDE_ASK);
	assert_true(json_equal(back.plan->parameters, i->plan->parameters));
	assert_string_equal(back.action->key, "k");
	assert_string_equal(back.action->process, "p");
	assert_int_equal(back.action->intent_ms, 1);
	assert_int_equal(back.action->called_ms, 1768473600000);
	assert_int_equal(back.action->finished_ms, 3);
	assert_int_equal(back.action->tries, 4);
	assert_int_equal(back.action->result, CALL_UNKNOWN);
	assert_string_equal(back.action->message, "größe");
	assert_true(back.action->cannot_fix);
	assert_int_equal(back.verification->started_ms, 5);
	assert_int_equal(back.verification->deadline_ms, 6);
	assert_int_equal(back.verification->polls, 7);
	assert_int_equal(back.verification->verdict, VERDICT_INCONCLUSIVE);
	assert_true(json_equal(back.verification->checks, i->verification->checks));
	assert_string_equal(back.verification->reason, "unclear");
}

static void an_empty_memory_is_a_fresh_incident(void **state)
{
	static const char *const EMPTY[] = {"{}", NULL};
	SCOPE(tmp);
	struct incident fresh = {0};
	char *encoded = json_text(tmp, incident_memory_encode(tmp, &fresh));

	(void)state;
	for (size_t n = 0; n < COUNT(EMPTY); n++) {
		struct incident i = {0};
		json_t *doc = object(tmp, EMPTY[n] == NULL ? encoded : EMPTY[n]);
		assert_int_equal(incident_memory_decode(tmp, doc, &i), OK);
		assert_null(i.plan);
		assert_null(i.action);
		assert_null(i.verification);
		assert_int_equal(i.plans_tried, 0);
		assert_string_equal(i.escalation, "");
		assert_false(i.dead);
		assert_int_equal(json_array_size(i.rejected), 0);
	}
}

static void half_filled_parts_are_kept(void **state)
{
	SCOPE(tmp);
	struct incident i = {0}, back = {0};

	(void)state;
	i.action = NEW(tmp, struct action);
	i.action->intent_ms = 8;
	i.verification = NEW(tmp, struct verification);
	i.verification->started_ms = 9;
	assert_int_equal(incident_memory_decode(tmp, incident_memory_encode(tmp, &i), &back), OK);
	assert_non_null(back.action);
	assert_int_equal(back.action->intent_ms, 8);
	assert_non_null(back.verification);
	assert_int_equal(back.verification->started_ms, 9);
	assert_int_equal(json_array_size(back.verification->checks), 0);
}

static void a_broken_plan_is_reported(void **state)
{
	SCOPE(tmp);
	struct incident i = {0};

	(void)state;
	assert_int_equal(
		incident_memory_decode(tmp, object(tmp, "{\"plan\":{\"function\":\"f\"}}"), &i),
		E_INTERNAL);
}

static void words_of_results_are_stable(void **state)
{
	(void)state;
	assert_string_equal(verdict_name(VERDICT_NONE), "");
	assert_string_equal(verdict_name(VERDICT_RECOVERED), "recovered");
	assert_string_equal(verdict_name(VERDICT_NOT_RECOVERED), "not_recovered");
	assert_string_equal(verdict_name(VERDICT_INCONCLUSIVE), "inconclusive");
	assert_string_equal(call_result_name(CALL_NONE), "");
	assert_string_equal(call_result_name(CALL_SUCCESS), "success");
	assert_string_equal(call_result_name(CALL_FAILED), "failed");
	assert_string_equal(call_result_name(CALL_UNKNOWN), "unknown");
}

static void incident_names_are_read_strictly(void **state)
{
	static const struct {
		const char *text;
		int64_t id; /* 0 = refused */
	} CASES[] = {
		{"INC-17", 17},
		{"17", 17},
		{"inc-17", 17},
		{"INC-0", 0},
		{"INC--1", 0},
		{"INC-", 0},
		{"", 0},
		{"INC-1x", 0},
		{" 17", 0},
		{"+17", 0},
		{"INC- 1", 0},
		{"0x11", 0},
		{"1e3", 0},
		{"INCINC-1", 0},
		{"INC-9223372036854775807", INT64_MAX},
		{"INC-9223372036854775808", 0},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		int64_t id = 0;
		assert_int_equal(incident_id_parse(CASES[i].text, &id),
				 CASES[i].id == 0 ? E_INVALID : OK);
		assert_int_equal(id, CASES[i].id);
	}
	assert_string_equal(incident_name(tmp, 17), "INC-17");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_have_names_that_parse_back),
		cmocka_unit_test(only_legal_moves_are_allowed),
		cmocka_unit_test(memory_survives_the_store),
		cmocka_unit_test(an_empty_memory_is_a_fresh_incident),
		cmocka_unit_test(half_filled_parts_are_kept),
		cmocka_unit_test(a_broken_plan_is_reported),
		cmocka_unit_test(words_of_results_are_stable),
		cmocka_unit_test(incident_names_are_read_strictly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
