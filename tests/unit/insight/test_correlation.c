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

#include "insight/correlation.h"
#include "series_maker.h"

enum { STEP = 15000 };

static void a_line_gives_one_and_its_mirror_minus_one(void **state)
{
	SCOPE(mem);
	double x[30];
	double up[30];
	double down[30];
	struct correlation c;

	(void)state;
	for (int n = 0; n < 30; n++) {
		x[n] = (n * 7) % 30;
		up[n] = 2 * x[n] + 1;
		down[n] = -x[n];
	}
	struct series a = series_of(SERIES_CPU, "a", x, 30, STEP);
	struct series b = series_of(SERIES_CPU, "b", up, 30, STEP);
	struct series d = series_of(SERIES_CPU, "d", down, 30, STEP);
	assert_true(correlate(mem, &a, &b, &c));
	assert_true(fabs(c.pearson - 1) < 1e-12 && fabs(c.spearman - 1) < 1e-12);
	assert_int_equal(c.pairs, 30);
	assert_true(correlate(mem, &a, &d, &c));
	assert_true(fabs(c.pearson + 1) < 1e-12 && fabs(c.spearman + 1) < 1e-12);
}

/* x = 0..19, y = x^2: cov 631.75, variances 33.25 and 12881.05, so r = 631.75 / 654.442 = 0.965326;
 * the order is the same. */
static void squares_follow_in_order_more_than_in_proportion(void **state)
{
	SCOPE(mem);
	double x[20];
	double y[20];
	struct correlation c;

	(void)state;
	for (int n = 0; n < 20; n++) {
		x[n] = n;
		y[n] = (double)n * n;
	}
	struct series a = series_of(SERIES_CPU, "a", x, 20, STEP);
	struct series b = series_of(SERIES_CPU, "b", y, 20, STEP);
	assert_true(correlate(mem, &a, &b, &c));
	assert_true(fabs(c.pearson - 0.965326) < 1e-5);
	assert_true(fabs(c.spearman - 1) < 1e-12);
}

/* Ranks of 1 1 1 … and 2 2 2 … are means: ten of 5.5, ten of 15.5; with y the other way round rho
 * is -1. */
static void equal_values_share_a_rank(void **state)
{
	SCOPE(mem);
	double x[20];
	double y[20];
	struct correlation c;

	(void)state;
	for (int n = 0; n < 20; n++) {
		x[n] = n % 2;
		y[n] = n % 2 ? 5 : 50000;
	}
	struct series a = series_of(SERIES_CPU, "a", x, 20, STEP);
	struct series b = series_of(SERIES_CPU, "b", y, 20, STEP);
	assert_true(correlate(mem, &a, &b, &c));
	assert_true(fabs(c.spearman + 1) < 1e-12);
}

static void fill_delayed(double *a, double *b, int n, int by, double noise)
{
	uint64_t seed = 99;
	double raw[600];
	double level = 100;

	for (int i = 0; i < n + by; i++) {
		level += normal_next(&seed);
		raw[i] = level;
	}
	for (int i = 0; i < n; i++) {
		a[i] = raw[i + by] + noise * normal_next(&seed);
		b[i] = 3 * raw[i] + noise * normal_next(&seed);
	}
}

static void who_leads_and_by_how_much(void **state)
{
	SCOPE(mem);
	double x[260];
	double y[260];
	struct correlation c;

	(void)state;
	fill_delayed(x, y, 260, 16, 0.3);
	struct series a = series_of(SERIES_REQUESTS, "a", x, 260, STEP);
	struct series b = series_of(SERIES_CPU, "b", y, 260, STEP);
	assert_true(correlate(mem, &a, &b, &c));
	assert_true(c.has_lag);
	assert_int_equal(c.lag_ms, 16 * STEP);
	assert_true(c.at_lag > 0.8);
	assert_true(correlate(mem, &b, &a, &c));
	assert_int_equal(c.lag_ms, -16 * STEP);
}

/* Two series that only share a slope: their values agree, their moves do not. */
static void a_common_slope_is_no_lead(void **state)
{
	SCOPE(mem);
	double x[260];
	double y[260];
	uint64_t seed = 4;
	struct correlation c;

	(void)state;
	for (int n = 0; n < 260; n++) {
		x[n] = n + 3 * normal_next(&seed);
		y[n] = n + 3 * normal_next(&seed);
	}
	struct series a = series_of(SERIES_CPU, "a", x, 260, STEP);
	struct series b = series_of(SERIES_CPU, "b", y, 260, STEP);
	assert_true(correlate(mem, &a, &b, &c));
	assert_true(c.pearson > 0.9);
	assert_false(c.has_lag);
}

static void two_grids_meet_on_the_coarser_one(void **state)
{
	SCOPE(mem);
	double fine[240];
	double coarse[60];
	struct correlation c;

	(void)state;
	for (int n = 0; n < 240; n++)
		fine[n] = (n / 4 * 11) % 60;
	for (int n = 0; n < 60; n++)
		coarse[n] = (n * 11) % 60;
	struct series a = series_of(SERIES_CPU, "a", fine, 240, STEP);
	struct series b = series_of(SERIES_CPU, "b", coarse, 60, 4 * STEP);
	assert_true(correlate(mem, &a, &b, &c));
	assert_int_equal(c.pairs, 60);
	assert_true(fabs(c.pearson - 1) < 1e-12);
}

static void too_little_to_say_is_said(void **state)
{
	SCOPE(mem);
	double x[60];
	double flat[60];
	struct correlation c;

	(void)state;
	for (int n = 0; n < 60; n++) {
		x[n] = n % 3 == 0 && n < 57 ? n : NAN; /* 19 */
		flat[n] = 5;
	}
	struct series a = series_of(SERIES_CPU, "a", x, 60, STEP);
	struct series b = series_of(SERIES_CPU, "b", flat, 60, STEP);
	struct series apart = a;
	assert_false(correlate(mem, &a, &a, &c));
	assert_int_equal(c.pairs, 19);
	assert_false(correlate(mem, &b, &b, &c));
	apart.start_ms = 1000000000;
	assert_false(correlate(mem, &b, &apart, &c));
	assert_int_equal(c.pairs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_gives_one_and_its_mirror_minus_one),
		cmocka_unit_test(squares_follow_in_order_more_than_in_proportion),
		cmocka_unit_test(equal_values_share_a_rank),
		cmocka_unit_test(who_leads_and_by_how_much),
		cmocka_unit_test(a_common_slope_is_no_lead),
		cmocka_unit_test(two_grids_meet_on_the_coarser_one),
		cmocka_unit_test(too_little_to_say_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
