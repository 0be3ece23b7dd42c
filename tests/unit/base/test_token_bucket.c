#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/token_bucket.h"

static const struct token_rate SLOW = {.per_second = 10, .burst = 20};

/* How many single ones pass in `ms` milliseconds, asked for each of them. */
static int passed(struct token_bucket *b, const struct token_rate *r, int64_t *now, int64_t ms)
{
	int count = 0;

	for (int64_t end = *now + ms; *now < end; (*now)++) {
		while (token_bucket_wait(b, r, 1, *now) == 0) {
			token_bucket_take(b, 1);
			count++;
		}
	}
	return count;
}

static void a_rested_bucket_gives_its_burst_and_then_its_rate(void **state)
{
	struct token_bucket b;
	int64_t now = 1000;

	(void)state;
	token_bucket_init(&b, &SLOW, now);
	assert_int_equal(passed(&b, &SLOW, &now, 1), 20);
	assert_int_equal(passed(&b, &SLOW, &now, 10000), 100);
	now += 3600000;
	assert_int_equal(passed(&b, &SLOW, &now, 1), 20);
}

static void the_default_lets_twenty_thousand_a_second_pass(void **state)
{
	const struct token_rate r = {.per_second = 20000, .burst = 40000};
	struct token_bucket b;
	int64_t now = 0;

	(void)state;
	token_bucket_init(&b, &r, now);
	token_bucket_take(&b, 40000);
	assert_in_range(passed(&b, &r, &now, 60000), 1199900, 1200000);
}

static void the_pause_is_right_to_the_millisecond(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, &SLOW, 0);
	token_bucket_take(&b, 20);
	int64_t wait = token_bucket_wait(&b, &SLOW, 5, 0);
	assert_int_equal(wait, 500);
	assert_int_not_equal(token_bucket_wait(&b, &SLOW, 5, wait - 1), 0);
	assert_int_equal(token_bucket_wait(&b, &SLOW, 5, wait), 0);
}

static void a_batch_larger_than_the_bucket_passes_once_and_is_paid_for(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, &SLOW, 0);
	assert_int_equal(token_bucket_wait(&b, &SLOW, 120, 0), 0);
	token_bucket_take(&b, 120);
	assert_int_equal(token_bucket_wait(&b, &SLOW, 1, 0), 10100);
	assert_int_equal(token_bucket_wait(&b, &SLOW, 120, 0), 12000);
}

static void a_clock_that_goes_back_takes_and_gives_nothing(void **state)
{
	struct token_bucket b;

	(void)state;
	token_bucket_init(&b, &SLOW, 5000);
	token_bucket_take(&b, 20);
	assert_int_equal(token_bucket_wait(&b, &SLOW, 1, 0), 100);
	assert_int_equal(token_bucket_wait(&b, &SLOW, 1, 5000), 100);
	assert_int_equal(token_bucket_wait(&b, &SLOW, 1, 5100), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rested_bucket_gives_its_burst_and_then_its_rate),
		cmocka_unit_test(the_default_lets_twenty_thousand_a_second_pass),
		cmocka_unit_test(the_pause_is_right_to_the_millisecond),
		cmocka_unit_test(a_batch_larger_than_the_bucket_passes_once_and_is_paid_for),
		cmocka_unit_test(a_clock_that_goes_back_takes_and_gives_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
