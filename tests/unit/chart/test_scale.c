#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>

#include "chart/scale.h"

static bool is_nice(double step)
{
	double part = step / pow(10, floor(log10(step) + 1e-9));

	return fabs(part - 1) < 1e-6 || fabs(part - 2) < 1e-6 || fabs(part - 5) < 1e-6;
}

static void ticks_are_multiples_of_1_2_or_5_inside_the_range(void **state)
{
	static const double RANGES[][2] = {{0, 1},   {0, 1.8},	   {0, 7},   {0.03, 0.041},
					   {-5, 12}, {1e6, 9.7e6}, {0, 1e-9}};

	(void)state;
	for (size_t r = 0; r < sizeof(RANGES) / sizeof(RANGES[0]); r++) {
		for (int wanted = 3; wanted <= 9; wanted++) {
			struct ticks t = ticks_nice(RANGES[r][0], RANGES[r][1], wanted, 1);
			double slack = t.step * 1e-6;
			assert_true(is_nice(t.step));
			assert_true(t.count >= 1 && t.count <= (size_t)(wanted * 3 / 2) + 1);
			assert_true(t.at[0] >= RANGES[r][0] - slack &&
				    t.at[t.count - 1] <= RANGES[r][1] + slack);
			for (size_t n = 0; n < t.count; n++)
				assert_true(fabs(remainder(t.at[n], t.step)) < slack);
		}
	}
}

static void ticks_of_bytes_are_nice_in_their_unit(void **state)
{
	double mib = 1048576;
	struct ticks t = ticks_nice(0, 700 * mib, 5, mib);

	(void)state;
	assert_true(t.step == 200 * mib);
	assert_true(t.at[1] == 200 * mib);
	assert_int_equal(t.count, 4);
}

static void no_range_gives_one_tick(void **state)
{
	(void)state;
	assert_int_equal(ticks_nice(3, 3, 5, 1).count, 1);
	assert_int_equal(ticks_nice(NAN, NAN, 5, 1).count, 1);
	assert_int_equal(ticks_nice(0, INFINITY, 5, 1).count, 1);
}

static void times_are_whole_in_utc(void **state)
{
	static const struct {
		double length_ms, step_ms;
	} CASES[] = {{90 * 60e3, 10 * 60e3},
		     {3600e3, 10 * 60e3},
		     {7 * 86400e3, 86400e3},
		     {60e3, 10e3},
		     {86400e3, 3 * 3600e3}};
	double from = 1768470317123; /* 2026-01-15T09:45:17.123Z: nothing round */

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		struct ticks t = ticks_time(from, from + CASES[n].length_ms, 10);
		assert_true(t.step == CASES[n].step_ms);
		assert_true(t.count >= 3 && t.count <= 10);
		for (size_t i = 0; i < t.count; i++) {
			assert_true(fmod(t.at[i], t.step) == 0);
			assert_true(t.at[i] >= from && t.at[i] <= from + CASES[n].length_ms);
		}
	}
}

static void a_logarithmic_axis_has_1_2_5_and_only_powers_when_those_are_many(void **state)
{
	struct ticks few = ticks_logarithmic(0.01, 1, 9, 0.001);
	struct ticks many = ticks_logarithmic(1e-6, 1e4, 9, 1);

	(void)state;
	assert_int_equal(few.count, 7);
	assert_true(fabs(few.at[1] - 0.02) < 1e-12);
	assert_int_equal(many.count, 11);
	assert_true(fabs(many.at[1] / many.at[0] - 10) < 1e-9);
}

static void places_follow_values(void **state)
{
	struct scale up = {.low = 0, .high = 10, .from = 100, .to = 0};
	struct scale logarithmic = {
		.low = 1, .high = 100, .from = 0, .to = 10, .logarithmic = true};
	struct scale point = {.low = 2, .high = 2, .from = 0, .to = 10};

	(void)state;
	assert_true(scale_at(&up, 0) == 100 && scale_at(&up, 10) == 0 && scale_at(&up, 2.5) == 75);
	assert_true(fabs(scale_at(&logarithmic, 10) - 5) < 1e-12);
	assert_true(scale_at(&point, 2) == 5);
	assert_true(fabs(scale_at(&up, 1e308)) <= 1e5 && isnan(scale_at(&up, NAN)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ticks_are_multiples_of_1_2_or_5_inside_the_range),
		cmocka_unit_test(ticks_of_bytes_are_nice_in_their_unit),
		cmocka_unit_test(no_range_gives_one_tick),
		cmocka_unit_test(times_are_whole_in_utc),
		cmocka_unit_test(a_logarithmic_axis_has_1_2_5_and_only_powers_when_those_are_many),
		cmocka_unit_test(places_follow_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
