#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "base/mem.h"
#include "chart/statistics.h"

static void a_correlation_is_that_of_the_textbook(void **state)
{
	/* Anscombe's first set: r = 0.816, y = 3.00 + 0.500 x */
	static const double X[] = {10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5, NAN, 1};
	static const double Y[] = {8.04, 6.95,	7.58, 8.81, 8.33, 9.96, 7.24,
				   4.26, 10.84, 4.82, 5.68, 3,	  NAN};
	struct correlation c = scatter_correlation(X, Y, 13);

	(void)state;
	assert_int_equal(c.count, 11);
	assert_true(fabs(c.r - 0.81642) < 1e-4);
	assert_true(fabs(c.slope - 0.50009) < 1e-4);
	assert_true(fabs(c.intercept - 3.0001) < 1e-3);
}

static void without_variation_there_is_no_correlation(void **state)
{
	static const double FLAT[] = {2, 2, 2, 2};
	static const double RISING[] = {1, 2, 3, 4};

	(void)state;
	assert_true(isnan(scatter_correlation(FLAT, RISING, 4).r));
	assert_true(isnan(scatter_correlation(RISING, FLAT, 4).r));
	assert_true(isnan(scatter_correlation(RISING, RISING, 2).r));
	assert_true(scatter_correlation(RISING, RISING, 4).r == 1);
}

static void quantiles_are_values_that_were_seen(void **state)
{
	static const double SORTED[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

	(void)state;
	assert_true(quantile(SORTED, 10, 0.5) == 5);
	assert_true(quantile(SORTED, 10, 0.95) == 10);
	assert_true(quantile(SORTED, 10, 0) == 1);
	assert_true(quantile(SORTED, 10, 1) == 10);
	assert_true(isnan(quantile(SORTED, 0, 0.5)));
}

static void a_step_is_found_where_it_is(void **state)
{
	double values[60];

	(void)state;
	for (int n = 0; n < 60; n++)
		values[n] = (n < 40 ? 1 : 3) + 0.1 * (n % 3);
	values[10] = NAN;
	struct trend t = trend_of(values, 60);
	assert_int_equal(t.course, COURSE_STEP);
	assert_int_equal(t.at, 40);
	assert_true(fabs(t.before - 1.1) < 1e-9 && fabs(t.after - 3.1) < 1e-9);
}

static void a_slope_is_no_step_and_noise_is_neither(void **state)
{
	double slope[60];
	double noise[60];

	(void)state;
	for (int n = 0; n < 60; n++) {
		slope[n] = 5 + n;
		noise[n] = 100 + (n * 7919) % 13;
	}
	struct trend t = trend_of(slope, 60);
	assert_int_equal(t.course, COURSE_RAMP);
	assert_true(fabs(t.before - 5) < 1e-9 && fabs(t.after - 64) < 1e-9);
	assert_int_equal(trend_of(noise, 60).course, COURSE_HELD);
}

static void few_values_have_no_course(void **state)
{
	static const double FEW[] = {1, 2, NAN, 9};

	(void)state;
	assert_int_equal(trend_of(FEW, 4).course, COURSE_NONE);
	assert_true(trend_of(FEW, 4).highest == 9);
	assert_true(isnan(trend_of(FEW, 0).median));
}

static void values_too_large_to_square_are_no_step(void **state)
{
	double values[60];

	(void)state;
	for (size_t n = 0; n < 60; n++)
		values[n] = n % 2 == 0 ? 0 : 1e200;
	assert_int_equal(trend_of(values, 60).course, COURSE_HELD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_correlation_is_that_of_the_textbook),
		cmocka_unit_test(without_variation_there_is_no_correlation),
		cmocka_unit_test(quantiles_are_values_that_were_seen),
		cmocka_unit_test(a_step_is_found_where_it_is),
		cmocka_unit_test(a_slope_is_no_step_and_noise_is_neither),
		cmocka_unit_test(few_values_have_no_course),
		cmocka_unit_test(values_too_large_to_square_are_no_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
