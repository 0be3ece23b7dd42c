#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "daemon/alarm.h"

static const struct alarm_rule *rule(const char *name, const char *severity)
{
	size_t count = 0;
	const struct alarm_rule *rules = alarm_rules(&count);

	for (size_t n = 0; n < count; n++)
		if (strcmp(rules[n].name, name) == 0 && strcmp(rules[n].severity, severity) == 0)
			return &rules[n];
	fail_msg("no rule %s", name);
	return NULL;
}

static void growth_is_that_of_the_last_minute(void **state)
{
	SCOPE(mem);
	struct alarm *a = NEW(mem, struct alarm);
	double total = 0;

	(void)state;
	a->rule = rule("DLQGrowingRapidly", "warning");
	/* 10 a minute for ten minutes: never */
	for (int64_t s = 0; s < 600; s++) {
		total += s % 6 == 5;
		alarm_judge(a, total, 0, s * 1000);
		assert_false(a->firing);
	}
	/* 11 within seconds: at once */
	assert_false(alarm_judge(a, total, 0, 600000));
	assert_true(alarm_judge(a, total + 11, 0, 601000));
	assert_true(a->firing);
}

static void what_came_before_the_first_look_counts(void **state)
{
	SCOPE(mem);
	struct alarm *a = NEW(mem, struct alarm);

	(void)state;
	a->rule = rule("PoisonMessageDetected", "warning");
	assert_true(alarm_judge(a, 1, 0, 5000));
	for (int64_t s = 6; a->firing && s < 1000; s++)
		alarm_judge(a, 1, 0, s * 1000);
	assert_false(a->firing);
}

static void it_ends_only_after_a_while_below(void **state)
{
	SCOPE(mem);
	struct alarm *a = NEW(mem, struct alarm);
	int64_t now = 0;

	(void)state;
	a->rule = rule("DLQAboveThreshold", "warning");
	assert_false(alarm_judge(a, 1000, 0, now += 1000));
	assert_true(alarm_judge(a, 1001, 0, now += 1000));
	for (int n = 0; n < 100; n++) /* around the limit: no flapping */
		assert_false(alarm_judge(a, n % 2 ? 1001 : 999, 0, now += 1000));
	int seconds = 0;
	while (a->firing && seconds < 100) {
		alarm_judge(a, 999, 0, now += 1000);
		seconds++;
	}
	assert_int_equal(seconds, ALARM_KEEP_MS / 1000);
}

static void both_thresholds_fire_with_their_severity(void **state)
{
	SCOPE(mem);
	struct alarm *a = NEW(mem, struct alarm);

	(void)state;
	a->rule = rule("DLQAboveThreshold", "critical");
	assert_false(alarm_judge(a, 10000, 0, 1000));
	assert_true(alarm_judge(a, 10001, 0, 2000));
}

static void a_share_of_next_to_nothing_says_nothing(void **state)
{
	SCOPE(mem);
	struct alarm *a = NEW(mem, struct alarm);

	(void)state;
	a->rule = rule("HighEventFailureRate", "warning");
	alarm_judge(a, 0, 0, 0);
	assert_false(alarm_judge(a, 19, 19, 1000));
	assert_true(alarm_judge(a, 19, 20, 2000));
	memset(a, 0, sizeof(*a));
	a->rule = rule("HighEventFailureRate", "warning");
	alarm_judge(a, 0, 0, 0);
	assert_false(alarm_judge(a, 5, 100, 1000)); /* 5 % is not more than 5 % */
	assert_true(alarm_judge(a, 6, 101, 2000));
}

static void every_window_fits_the_samples(void **state)
{
	size_t count = 0;
	const struct alarm_rule *rules = alarm_rules(&count);

	(void)state;
	for (size_t n = 0; n < count; n++)
		assert_true(rules[n].window_ms / 1000 < ALARM_SAMPLES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(growth_is_that_of_the_last_minute),
		cmocka_unit_test(what_came_before_the_first_look_counts),
		cmocka_unit_test(it_ends_only_after_a_while_below),
		cmocka_unit_test(both_thresholds_fire_with_their_severity),
		cmocka_unit_test(a_share_of_next_to_nothing_says_nothing),
		cmocka_unit_test(every_window_fits_the_samples),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
