#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "domain/policy.h"

static const int64_t NOW = 1768474000000;

struct setting {
	struct policy policy;
	struct function function;
	struct history history;
	double confidence;
};

static struct setting open_all(void)
{
	return (struct setting){
		.policy = {MODE_AUTOPILOT, RISK_LOW, 0.70, 0.50, 3},
		.function = {.name = "f",
			     .namespace = "ai",
			     .risk = RISK_LOW,
			     .effect = EFFECT_REVERSIBLE,
			     .cooldown_ms = 300000,
			     .per_hour = 30},
		.confidence = 1.0,
	};
}

static enum decision judged(const struct setting *s, const char *why)
{
	SCOPE(mem);
	struct plan p = {
		.function = "f",
		.namespace = "ai",
		.confidence = s->confidence,
		.parameters = mem_own(mem, json_pack("{s:s, s:s}", "name", "a", "namespace", "b"))};

	plan_judge(mem, &p, &s->function, &s->policy, &s->history, NOW);
	assert_int_equal(strlen(p.digest), 64);
	assert_int_equal(strlen(p.target), 64);
	if (why != NULL && strstr(p.why, why) == NULL)
		fail_msg("'%s' does not say '%s'", p.why, why);
	return p.decision;
}

static void low_risk_in_autopilot_acts(void **state)
{
	struct setting s = open_all();

	(void)state;
	assert_int_equal(judged(&s, "within the limit"), DECIDE_AUTO);
}

static void each_rule_says_why(void **state)
{
	struct setting s;

	(void)state;
#define RULE(change, decision, why) \
	s = open_all(); \
	change; \
	assert_int_equal(judged(&s, why), decision)
	RULE(s.policy.mode = MODE_SUPERVISED, DECIDE_ASK, "supervised");
	RULE(s.policy.mode = MODE_SHADOW, DECIDE_NEVER, "would have been called");
	RULE(s.function.risk = RISK_MEDIUM, DECIDE_ASK, "above the autopilot limit");
	RULE(s.function.effect = EFFECT_IRREVERSIBLE, DECIDE_ASK, "cannot be undone");
	RULE(s.function.ask_always = true, DECIDE_ASK, "approval for every call");
	RULE(s.function.disabled = true, DECIDE_NEVER, "forbids");
	RULE(s.history.actions_for_alert = 3, DECIDE_ASK, "something else is wrong");
	RULE(s.history.last_call_ms = NOW - 1000, DECIDE_ASK, "cooldown");
	RULE(s.history.last_call_ms = NOW - 300000, DECIDE_AUTO, "within");
	RULE(s.history.calls_last_hour = 30, DECIDE_ASK, "its limit is 30");
	RULE((s.function.risk = RISK_HIGH, s.policy.risk_limit = RISK_HIGH), DECIDE_AUTO, "within");
#undef RULE
}

static void confidence_has_three_bands(void **state)
{
	static const struct {
		double confidence;
		enum decision decision;
	} CASES[] = {{1.0, DECIDE_AUTO}, {0.70, DECIDE_AUTO},	 {0.6999, DECIDE_ASK},
		     {0.50, DECIDE_ASK}, {0.4999, DECIDE_NEVER}, {0.0, DECIDE_NEVER},
		     {NAN, DECIDE_NEVER}};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		struct setting s = open_all();
		s.confidence = CASES[n].confidence;
		assert_int_equal(judged(&s, NULL), CASES[n].decision);
	}
}

static struct setting numbered(unsigned n)
{
	struct setting s = open_all();

	s.policy.mode = (enum mode)(n % 3);
	s.policy.risk_limit = (enum risk)(n / 3 % 3);
	s.function.risk = (enum risk)(n / 9 % 3);
	s.function.effect = (enum effect)(n / 27 % 3);
	s.confidence = 0.3 + 0.1 * (n / 81 % 8);
	s.history.calls_last_hour = n / 648 % 2 ? 30 : 0;
	s.history.actions_for_alert = n / 1296 % 2 ? 3 : 0;
	return s;
}

/* Over all combinations: more risk, less confidence, more history never permit more. */
static void nothing_worse_is_ever_more_permissive(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2592; n++) {
		struct setting s = numbered(n);
		enum decision before = judged(&s, NULL);
		struct setting worse = s;
		if (worse.function.risk < RISK_HIGH)
			worse.function.risk++;
		assert_true(judged(&worse, NULL) >= before);
		worse = s;
		worse.confidence -= 0.1;
		assert_true(judged(&worse, NULL) >= before);
		worse = s;
		worse.function.effect = EFFECT_IRREVERSIBLE;
		assert_true(judged(&worse, NULL) >= before);
		worse = s;
		worse.history = (struct history){
			.calls_last_hour = 99, .last_call_ms = NOW - 1, .actions_for_alert = 99};
		assert_true(judged(&worse, NULL) >= before);
		worse = s;
		worse.policy.mode = MODE_SUPERVISED;
		assert_true(s.policy.mode == MODE_SHADOW || judged(&worse, NULL) >= before);
	}
}

static void what_happened_lately_asks_before_the_mode_does(void **state)
{
	struct setting s = open_all();

	(void)state;
	s.policy.mode = MODE_SUPERVISED;
	s.history.actions_for_alert = 3;
	assert_int_equal(judged(&s, "something else is wrong"), DECIDE_ASK);
	s.history = (struct history){.last_call_ms = NOW + 60000}; /* the clock went back */
	assert_int_equal(judged(&s, "cooldown"), DECIDE_ASK);
	s.function.disabled = true;
	assert_int_equal(judged(&s, "forbids"), DECIDE_NEVER);
}

/* Each counter on its own, and time passing, over every value around its limit. */
static void decisions_only_tighten_as_counters_rise(void **state)
{
	enum decision calls = DECIDE_AUTO, flaps = DECIDE_AUTO, cooling = DECIDE_AUTO;

	(void)state;
	for (int n = 0; n < 40; n++) {
		struct setting s = open_all();
		s.history.calls_last_hour = n;
		enum decision d = judged(&s, NULL);
		assert_true(d >= calls && d == (n < 30 ? DECIDE_AUTO : DECIDE_ASK));
		calls = d;
		s = open_all();
		s.history.actions_for_alert = n;
		d = judged(&s, NULL);
		assert_true(d >= flaps && d == (n < 3 ? DECIDE_AUTO : DECIDE_ASK));
		flaps = d;
		s = open_all();
		s.history.last_call_ms = NOW - 400000 + n * 10000;
		d = judged(&s, NULL);
		assert_true(d >= cooling && d == (n <= 10 ? DECIDE_AUTO : DECIDE_ASK));
		cooling = d;
	}
}

static void the_digest_binds_function_namespace_and_parameters(void **state)
{
	SCOPE(mem);
	struct setting s = open_all();
	struct plan a = {.function = "f",
			 .namespace = "ai",
			 .confidence = 1,
			 .parameters = mem_own(mem, json_pack("{s:s, s:i}", "name", "a", "n", 1))};
	struct plan b = a;

	(void)state;
	b.parameters = mem_own(mem, json_pack("{s:i, s:s}", "n", 2, "name", "a"));
	plan_judge(mem, &a, &s.function, &s.policy, &s.history, NOW);
	plan_judge(mem, &b, &s.function, &s.policy, &s.history, NOW);
	assert_string_not_equal(a.digest, b.digest);
	assert_string_equal(a.target, b.target); /* the same object: one cooldown */
}

static void modes_have_names(void **state)
{
	enum mode m;

	(void)state;
	assert_int_equal(mode_parse("agentic", &m), OK);
	assert_int_equal(m, MODE_AUTOPILOT);
	assert_int_equal(mode_parse("shadow", &m), OK);
	assert_int_equal(mode_parse("Autopilot", &m), E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(low_risk_in_autopilot_acts),
		cmocka_unit_test(each_rule_says_why),
		cmocka_unit_test(confidence_has_three_bands),
		cmocka_unit_test(nothing_worse_is_ever_more_permissive),
		cmocka_unit_test(what_happened_lately_asks_before_the_mode_does),
		cmocka_unit_test(decisions_only_tighten_as_counters_rise),
		cmocka_unit_test(the_digest_binds_function_namespace_and_parameters),
		cmocka_unit_test(modes_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
