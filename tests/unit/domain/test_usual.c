#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "domain/usual.h"

static void few_values_have_no_median_and_nothing_is_far(void **state)
{
	struct usual u = {0};
	double median;

	(void)state;
	for (int n = 0; n < USUAL_LEAST; n++) {
		assert_false(usual_median(&u, &median));
		assert_false(usual_is_far(&u, 1e9, 0.5, 1.5));
		usual_add(&u, 100);
	}
	assert_true(usual_median(&u, &median));
	assert_true(median == 100);
}

static void far_is_below_or_above_a_share_of_the_median(void **state)
{
	static const double VALUES[] = {90, 100, 5000, 110, 100};
	struct usual u = {0};

	(void)state;
	for (int n = 0; n < 5; n++)
		usual_add(&u, VALUES[n]);
	assert_true(usual_is_far(&u, 49, 0.5, 1.5));
	assert_false(usual_is_far(&u, 50, 0.5, 1.5));
	assert_false(usual_is_far(&u, 150, 0.5, 1.5));
	assert_true(usual_is_far(&u, 151, 0.5, 1.5));
}

static void the_median_of_an_even_number_lies_between_the_middle_ones(void **state)
{
	struct usual u = {0};
	double median = 0;

	(void)state;
	for (int n = 1; n <= 6; n++)
		usual_add(&u, n * 10);
	assert_true(usual_median(&u, &median) && median == 35);
}

static void old_values_are_forgotten(void **state)
{
	struct usual u = {0};
	double median = 0;

	(void)state;
	for (int n = 0; n < USUAL_MAX; n++)
		usual_add(&u, 1);
	for (int n = 0; n < USUAL_MAX; n++)
		usual_add(&u, 1000);
	assert_true(usual_median(&u, &median) && median == 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_values_have_no_median_and_nothing_is_far),
		cmocka_unit_test(far_is_below_or_above_a_share_of_the_median),
		cmocka_unit_test(the_median_of_an_even_number_lies_between_the_middle_ones),
		cmocka_unit_test(old_values_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
