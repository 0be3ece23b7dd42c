#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include "insight/robust.h"
#include "series_maker.h"

static void the_median_of_five_is_the_third_and_of_four_the_mean_of_the_middle_two(void **state)
{
	double five[] = {9, 1, 7, 3, 5};
	double four[] = {4, 1, 3, 2};

	(void)state;
	assert_true(robust_median(five, 5) == 5);
	assert_true(robust_median(four, 4) == 2.5);
	assert_true(isnan(robust_median(four, 0)));
}

static void every_order_of_six_values_has_the_same_median(void **state)
{
	size_t orders = 0;

	(void)state;
	for (int code = 0; code < 46656;
	     code++) { /* all words of six digits 0..5, also with equal ones */
		double v[6];
		double sum[6] = {0};
		int rest = code;
		for (int n = 0; n < 6; n++, rest /= 6) {
			v[n] = rest % 6;
			sum[rest % 6]++;
		}
		double sorted[6];
		int at = 0;
		for (int digit = 0; digit < 6; digit++)
			for (double n = 0; n < sum[digit]; n++)
				sorted[at++] = digit;
		assert_true(robust_median(v, 6) == (sorted[2] + sorted[3]) / 2);
		orders++;
	}
	assert_int_equal(orders, 46656);
}

static void one_wild_value_does_not_move_the_spread(void **state)
{
	double v[] = {1, 2, 3, 4, 1e9};

	(void)state;
	assert_true(fabs(robust_spread(v, 5, 3) - 1.4826) < 1e-12); /* distances 2 1 0 1 1e9 */
}

static void the_level_of_a_time_leaves_out_what_is_missing(void **state)
{
	SCOPE(mem);
	double v[] = {1, NAN, 3, INFINITY, 5, 100};
	struct series s = series_of(SERIES_CPU, "a", v, 6, 1000);
	size_t count;

	(void)state;
	assert_true(series_level(mem, &s, 0, 5000, &count) == 3);
	assert_int_equal(count, 3);
	assert_true(isnan(series_level(mem, &s, 1000, 2000, NULL)));
	assert_true(series_last(&s, 3999) == 3);
	assert_true(isnan(series_last(&s, -1)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			the_median_of_five_is_the_third_and_of_four_the_mean_of_the_middle_two),
		cmocka_unit_test(every_order_of_six_values_has_the_same_median),
		cmocka_unit_test(one_wild_value_does_not_move_the_spread),
		cmocka_unit_test(the_level_of_a_time_leaves_out_what_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
