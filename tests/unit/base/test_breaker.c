#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/breaker.h"

static const struct breaker_options OPTIONS = {
	.failures = 5, .window_ms = 60000, .successes = 2, .pause_ms = 1000, .pause_max_ms = 5000};

static struct breaker fresh(void)
{
	struct breaker b;

	breaker_init(&b, &OPTIONS);
	return b;
}

static struct breaker opened(int64_t now_ms)
{
	struct breaker b = fresh();

	for (int n = 0; n < 5; n++)
		breaker_failed(&b, now_ms);
	assert_int_equal(b.state, BREAKER_OPEN);
	return b;
}

static void test_five_failures_in_a_minute_open_it(void **state)
{
	struct breaker b = fresh();

	(void)state;
	for (int n = 0; n < 4; n++) {
		assert_false(breaker_failed(&b, n * 14000));
		assert_true(breaker_allows(&b, n * 14000, NULL));
	}
	assert_true(breaker_failed(&b, 59999));
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_false(breaker_allows(&b, 60000, NULL));
}

static void test_failures_older_than_the_window_do_not_count(void **state)
{
	struct breaker b = fresh();

	(void)state;
	/* one every 16 s: never five within 60 s */
	for (int n = 0; n < 200; n++)
		assert_false(breaker_failed(&b, n * 16000));
	assert_int_equal(b.state, BREAKER_CLOSED);
}

static void test_good_calls_outweigh_few_bad_ones(void **state)
{
	struct breaker b = fresh();

	(void)state;
	for (int n = 0; n < 1000; n++) {
		assert_false(breaker_failed(&b, n));
		assert_false(breaker_succeeded(&b, n));
	}
	/* two of three lost: more often bad than good */
	int64_t at = 1000;
	while (b.state == BREAKER_CLOSED && at < 2000) {
		breaker_failed(&b, at);
		breaker_failed(&b, at);
		breaker_succeeded(&b, at++);
	}
	assert_int_equal(b.state, BREAKER_OPEN);
}

static void test_after_the_pause_one_call_may_try(void **state)
{
	struct breaker b = opened(0);
	int64_t wait_ms = -1;

	(void)state;
	assert_false(breaker_allows(&b, 400, &wait_ms));
	assert_int_equal(wait_ms, 600);
	assert_true(breaker_allows(&b, 1000, &wait_ms));
	assert_int_equal(wait_ms, 0);
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	assert_false(breaker_allows(&b, 1001, &wait_ms));
	assert_int_equal(wait_ms, 4999);
}

static void test_two_good_calls_in_a_row_close_it(void **state)
{
	struct breaker b = opened(0);

	(void)state;
	assert_true(breaker_allows(&b, 1000, NULL));
	assert_false(breaker_succeeded(&b, 1001));
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
	assert_true(breaker_allows(&b, 1001, NULL));
	assert_true(breaker_succeeded(&b, 1002));
	assert_int_equal(b.state, BREAKER_CLOSED);
	/* what was before is forgotten */
	for (int n = 0; n < 4; n++)
		assert_false(breaker_failed(&b, 1003));
}

static void test_a_bad_try_doubles_the_pause_up_to_its_limit(void **state)
{
	static const int64_t PAUSES[] = {1000, 2000, 4000, 5000, 5000};
	struct breaker b = opened(0);
	int64_t now = 0;

	(void)state;
	for (size_t n = 0; n < sizeof(PAUSES) / sizeof(PAUSES[0]); n++) {
		assert_false(breaker_allows(&b, now + PAUSES[n] - 1, NULL));
		now += PAUSES[n];
		assert_true(breaker_allows(&b, now, NULL));
		assert_true(breaker_failed(&b, now));
		assert_int_equal(b.state, BREAKER_OPEN);
	}
	/* once closed, the first pause is short again */
	now += 5000;
	for (int n = 0; n < 2; n++) {
		assert_true(breaker_allows(&b, now, NULL));
		breaker_succeeded(&b, now);
	}
	for (int n = 0; n < 5; n++)
		breaker_failed(&b, now);
	assert_true(breaker_allows(&b, now + 1000, NULL));
}

static void test_one_good_try_between_bad_ones_does_not_close_it(void **state)
{
	struct breaker b = opened(0);
	int64_t now = 0;

	(void)state;
	for (int n = 0; n < 20; n++) {
		now += 5000;
		assert_true(breaker_allows(&b, now, NULL));
		assert_false(breaker_succeeded(&b, now));
		assert_true(breaker_allows(&b, now, NULL));
		assert_true(breaker_failed(&b, now));
		assert_int_equal(b.state, BREAKER_OPEN);
	}
}

static void test_a_try_that_never_reports_is_forgotten(void **state)
{
	struct breaker b = opened(0);

	(void)state;
	assert_true(breaker_allows(&b, 1000, NULL));
	assert_false(breaker_allows(&b, 5999, NULL));
	assert_true(breaker_allows(&b, 6000, NULL));
}

static void test_a_late_success_does_not_close_an_open_one(void **state)
{
	struct breaker b = opened(0);

	(void)state;
	for (int n = 0; n < 10; n++)
		assert_false(breaker_succeeded(&b, 10));
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_false(breaker_failed(&b, 10)); /* nor is it opened twice */
}

static void test_tripping_opens_at_once_and_only_once(void **state)
{
	struct breaker b = fresh();

	(void)state;
	assert_true(breaker_trip(&b, 7));
	assert_false(breaker_trip(&b, 8));
	assert_int_equal(b.state, BREAKER_OPEN);
	assert_true(breaker_allows(&b, 1007, NULL));
	assert_false(breaker_trip(&b, 1008));
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
}

static void test_a_breaker_of_time_zero_works(void **state)
{
	struct breaker b = opened(-1000);

	(void)state;
	assert_true(breaker_allows(&b, 0, NULL));
	assert_false(breaker_allows(&b, 0, NULL));
	assert_string_equal(breaker_state_name(b.state), "half-open");
	assert_string_equal(breaker_state_name(BREAKER_CLOSED), "closed");
	assert_string_equal(breaker_state_name(BREAKER_OPEN), "open");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_five_failures_in_a_minute_open_it),
		cmocka_unit_test(test_failures_older_than_the_window_do_not_count),
		cmocka_unit_test(test_good_calls_outweigh_few_bad_ones),
		cmocka_unit_test(test_after_the_pause_one_call_may_try),
		cmocka_unit_test(test_two_good_calls_in_a_row_close_it),
		cmocka_unit_test(test_a_bad_try_doubles_the_pause_up_to_its_limit),
		cmocka_unit_test(test_one_good_try_between_bad_ones_does_not_close_it),
		cmocka_unit_test(test_a_try_that_never_reports_is_forgotten),
		cmocka_unit_test(test_a_late_success_does_not_close_an_open_one),
		cmocka_unit_test(test_tripping_opens_at_once_and_only_once),
		cmocka_unit_test(test_a_breaker_of_time_zero_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
