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

#include "insight/change_point.h"
#include "series_maker.h"

enum { HOUR = 260, STEP = 15000 };

static size_t count_lasting(const struct change *c, size_t n)
{
	size_t lasting = 0;

	for (size_t i = 0; i < n; i++)
		lasting += c[i].kind != CHANGE_SPIKE;
	return lasting;
}

static void a_step_without_noise_is_found_at_its_sample(void **state)
{
	SCOPE(mem);
	double v[120];
	struct change *c;

	(void)state;
	for (int n = 0; n < 120; n++)
		v[n] = n < 70 ? 10 : 25;
	struct series s = series_of(SERIES_CPU, "a", v, 120, STEP);
	assert_int_equal(change_points(mem, &s, &c), 1);
	assert_int_equal(c[0].kind, CHANGE_STEP);
	assert_true(c[0].up && !c[0].from_start);
	assert_int_equal(c[0].at_ms, 70 * STEP);
	assert_true(fabs(c[0].before - 10) < 1e-6 && fabs(c[0].after - 25) < 1e-6);
	assert_true(fabs(change_share(&c[0]) - 1.5) < 1e-6);
	assert_string_equal(change_name(&c[0]), "step up");
}

static void a_step_down_in_noise_is_found_within_a_minute(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (int run = 0; run < 50; run++) {
		SCOPE(mem);
		double v[HOUR];
		struct change *c;
		for (int n = 0; n < HOUR; n++)
			v[n] = (n < 150 ? 100 : 60) + 4 * normal_next(&seed);
		struct series s = series_of(SERIES_CPU, "a", v, HOUR, STEP);
		size_t found = change_points(mem, &s, &c);
		assert_int_equal(count_lasting(c, found), 1);
		assert_int_equal(c[0].kind, CHANGE_STEP);
		assert_false(c[0].up);
		assert_true(llabs(c[0].at_ms - 150 * STEP) <= 60000);
		assert_true(c[0].noise > 2.5 && c[0].noise < 7);
	}
}

/* What rate(...[5m]) makes of a step: a ramp of 20 samples that begins with it. */
static void a_step_seen_through_a_moving_mean_begins_where_the_step_was(void **state)
{
	uint64_t seed = 11;
	size_t extra = 0;

	(void)state;
	for (int run = 0; run < 50; run++) {
		SCOPE(mem);
		double raw[HOUR + 20];
		double v[HOUR];
		struct change *c;
		for (int n = 0; n < HOUR + 20; n++)
			raw[n] = (n < 170 ? 10 : 20) + normal_next(&seed);
		for (int n = 0; n < HOUR; n++) {
			v[n] = 0;
			for (int k = 1; k <= 20; k++)
				v[n] += raw[n + k] / 20;
		}
		struct series s = series_of(SERIES_REQUESTS, "a", v, HOUR, STEP);
		size_t found = change_points(mem, &s, &c);
		/* the mean of 20 wanders: one of 50 runs overshoots and comes back, which is a
		 * change of its own */
		extra += count_lasting(c, found) - 1;
		assert_int_equal(c[0].kind, CHANGE_STEP);
		assert_true(c[0].up);
		assert_true(llabs(c[0].at_ms - 150 * STEP) <= 90000);
		assert_true(fabs(c[0].after - 20) < 2 && fabs(c[0].before - 10) < 1.5);
	}
	assert_true(extra <= 2);
}

static void a_ramp_begins_at_its_knee(void **state)
{
	uint64_t seed = 3;

	(void)state;
	for (int run = 0; run < 50; run++) {
		SCOPE(mem);
		double v[HOUR];
		struct change *c;
		for (int n = 0; n < HOUR; n++)
			v[n] = 500 + (n < 120 ? 0 : 3.0 * (n - 120)) + 5 * normal_next(&seed);
		struct series s = series_of(SERIES_MEMORY, "a", v, HOUR, STEP);
		size_t found = change_points(mem, &s, &c);
		assert_int_equal(count_lasting(c, found), 1);
		assert_int_equal(c[0].kind, CHANGE_RAMP);
		assert_true(c[0].up);
		assert_true(llabs(c[0].at_ms - 120 * STEP) <= 120000);
		assert_true(c[0].until_ms > 250LL * STEP);
	}
}

static void a_ramp_that_was_under_way_says_so(void **state)
{
	SCOPE(mem);
	double v[HOUR];
	struct change *c;
	uint64_t seed = 5;

	(void)state;
	for (int n = 0; n < HOUR; n++)
		v[n] = 100 + n + normal_next(&seed);
	struct series s = series_of(SERIES_MEMORY, "a", v, HOUR, STEP);
	assert_int_equal(change_points(mem, &s, &c), 1);
	assert_true(c[0].from_start && c[0].kind == CHANGE_RAMP && c[0].at_ms == 0);
}

static void one_wild_sample_is_a_spike_and_no_step(void **state)
{
	SCOPE(mem);
	double v[HOUR];
	struct change *c;
	uint64_t seed = 9;

	(void)state;
	for (int n = 0; n < HOUR; n++)
		v[n] = 50 + normal_next(&seed);
	v[100] = 90;
	v[101] = 80;
	struct series s = series_of(SERIES_LATENCY, "a", v, HOUR, STEP);
	assert_int_equal(change_points(mem, &s, &c), 1);
	assert_int_equal(c[0].kind, CHANGE_SPIKE);
	assert_true(c[0].up && c[0].after == 90);
	assert_int_equal(c[0].at_ms, 100 * STEP);
}

static void a_gap_neither_hides_a_step_nor_makes_one(void **state)
{
	uint64_t seed = 21;

	(void)state;
	for (int step = 0; step < 2; step++) {
		SCOPE(mem);
		double v[HOUR];
		struct change *c;
		for (int n = 0; n < HOUR; n++)
			v[n] = (n >= 160 && step ? 30 : 20) + normal_next(&seed);
		for (int n = 100; n < 130; n++)
			v[n] = NAN;
		for (int n = 7; n < HOUR; n += 11)
			v[n] = NAN;
		struct series s = series_of(SERIES_CPU, "a", v, HOUR, STEP);
		size_t found = change_points(mem, &s, &c);
		assert_int_equal(count_lasting(c, found), step);
		if (step)
			assert_true(llabs(c[0].at_ms - 160 * STEP) <= 60000);
	}
}

enum noise_kind { WHITE, SMOOTHED, WANDERING, SLOPED };

static void make_noise(double *v, enum noise_kind kind, uint64_t *seed)
{
	double ring[20] = {0};
	double level = 0;

	for (int n = -200; n < HOUR; n++) {
		double e = normal_next(seed);
		level = 0.9 * level + 0.436 * e; /* variance 1 */
		ring[(n + 200) % 20] = e;
		if (n < 0)
			continue;
		double sum = 0;
		for (int k = 0; k < 20; k++)
			sum += ring[k];
		v[n] = 100 + (kind == WHITE	  ? e
			      : kind == SMOOTHED  ? sum / 20
			      : kind == WANDERING ? level
						  : e + 0.005 * n);
	}
}

static double false_alarms(enum noise_kind kind, int runs)
{
	uint64_t seed = 1234567;
	int loud = 0;

	for (int run = 0; run < runs; run++) {
		SCOPE(mem);
		double v[HOUR];
		struct change *c;
		make_noise(v, kind, &seed);
		struct series s = series_of(SERIES_CPU, "a", v, HOUR, STEP);
		size_t found = change_points(mem, &s, &c);
		loud += count_lasting(c, found) > 0;
	}
	return (double)loud / runs;
}

static void noise_alone_is_quiet(void **state)
{
	double white = false_alarms(WHITE, 1000);
	double smoothed = false_alarms(SMOOTHED, 1000);
	double wandering = false_alarms(WANDERING, 1000);
	double sloped = false_alarms(SLOPED, 1000);

	(void)state;
	printf("# series of noise with a change: white %.1f %%, mean of 20 samples %.1f %%, AR(1) "
	       "of 0.9 %.1f %%, white on a "
	       "slope %.1f %%\n",
	       white * 100, smoothed * 100, wandering * 100, sloped * 100);
	assert_true(white <= 0.01);
	assert_true(smoothed <= 0.02);
	assert_true(wandering <= 0.02);
	assert_true(sloped <= 0.01);
}

static void a_week_with_its_daily_course_is_quiet_until_something_happens(void **state)
{
	enum { WEEK = 10080 };

	(void)state;
	for (int step = 0; step < 2; step++) {
		SCOPE(mem);
		double *v = NEW_ARRAY(mem, double, WEEK);
		struct change *c;
		uint64_t seed = 17;
		for (int n = 0; n < WEEK; n++)
			v[n] = 100 + 40 * sin(2 * M_PI * n / 1440) + (n >= 9000 && step ? 30 : 0) +
			       3 * normal_next(&seed);
		struct series s = series_of(SERIES_REQUESTS, "a", v, WEEK, 60000);
		size_t found = change_points(mem, &s, &c);
		assert_int_equal(count_lasting(c, found), step);
		if (step)
			assert_true(llabs(c[0].at_ms - 9000LL * 60000) <= 5 * 60000);
	}
}

static void what_cannot_be_judged_has_no_changes(void **state)
{
	SCOPE(mem);
	double v[HOUR];
	struct change *c;
	struct series s = series_of(SERIES_CPU, "a", v, HOUR, STEP);

	(void)state;
	for (int n = 0; n < HOUR; n++)
		v[n] = NAN;
	assert_int_equal(change_points(mem, &s, &c), 0);
	v[3] = 1;
	assert_int_equal(change_points(mem, &s, &c), 0);
	for (int n = 0; n < HOUR; n++)
		v[n] = 42;
	assert_int_equal(change_points(mem, &s, &c), 0);
	for (int n = 0; n < HOUR; n++)
		v[n] = n % 2 ? 1e308 : -1e308;
	assert_int_equal(change_points(mem, &s, &c), 0);
	s.count = 0;
	assert_int_equal(change_points(mem, &s, &c), 0);
	s.count = 1;
	assert_int_equal(change_points(mem, &s, &c), 0);
}

static void huge_and_tiny_values_are_judged_by_their_own_noise(void **state)
{
	static const double SCALES[] = {1e90, 1e-90};

	(void)state;
	for (int k = 0; k < 2; k++) {
		SCOPE(mem);
		double v[HOUR];
		struct change *c;
		uint64_t seed = 2;
		for (int n = 0; n < HOUR; n++)
			v[n] = SCALES[k] * ((n < 100 ? 10 : 20) + normal_next(&seed));
		struct series s = series_of(SERIES_CPU, "a", v, HOUR, STEP);
		size_t found = change_points(mem, &s, &c);
		assert_int_equal(count_lasting(c, found), 1);
		assert_true(llabs(c[0].at_ms - 100 * STEP) <= 60000);
		assert_true(isfinite(c[0].before) && isfinite(c[0].size) && c[0].noise > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_without_noise_is_found_at_its_sample),
		cmocka_unit_test(a_step_down_in_noise_is_found_within_a_minute),
		cmocka_unit_test(a_step_seen_through_a_moving_mean_begins_where_the_step_was),
		cmocka_unit_test(a_ramp_begins_at_its_knee),
		cmocka_unit_test(a_ramp_that_was_under_way_says_so),
		cmocka_unit_test(one_wild_sample_is_a_spike_and_no_step),
		cmocka_unit_test(a_gap_neither_hides_a_step_nor_makes_one),
		cmocka_unit_test(noise_alone_is_quiet),
		cmocka_unit_test(a_week_with_its_daily_course_is_quiet_until_something_happens),
		cmocka_unit_test(what_cannot_be_judged_has_no_changes),
		cmocka_unit_test(huge_and_tiny_values_are_judged_by_their_own_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
