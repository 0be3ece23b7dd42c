#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "chart/downsample.h"

enum { WEEK = 10080, COLUMNS = 900 };

struct week {
	double x[WEEK], y[WEEK];
};

static struct week *calm_week(void *mem)
{
	struct week *w = NEW(mem, struct week);

	for (int n = 0; n < WEEK; n++) {
		w->x[n] = n * 60e3;
		w->y[n] = 10 + sin(n / 50.0);
	}
	return w;
}

static void one_sample_that_sticks_out_stays_wherever_it_is(void **state)
{
	(void)state;
	for (int at = 0; at < WEEK; at += 37) {
		SCOPE(mem);
		struct week *w = calm_week(mem);
		bool up = false;
		bool down = false;
		w->y[at] = 99;
		w->y[(at + 5000) % WEEK] = -99;
		struct points p = downsample(mem, w->x, w->y, WEEK, 0, WEEK * 60e3, COLUMNS);
		for (size_t n = 0; n < p.count; n++) {
			up = up || (p.y[n] == 99 && p.x[n] == w->x[at]);
			down = down || p.y[n] == -99;
		}
		assert_true(up);
		assert_true(down);
	}
}

static void what_stays_is_little_in_order_and_true(void **state)
{
	SCOPE(mem);
	struct week *w = calm_week(mem);
	struct points p = downsample(mem, w->x, w->y, WEEK, 0, WEEK * 60e3, 300);

	(void)state;
	assert_true(p.count <= 5 * 300 && p.count >= 300);
	assert_true(p.x[0] == w->x[0] && p.x[p.count - 1] == w->x[WEEK - 1]);
	for (size_t n = 0; n < p.count; n++) {
		int from = (int)(p.x[n] / 60e3);
		assert_true(p.y[n] == w->y[from]);
		assert_true(n == 0 || p.x[n] > p.x[n - 1]);
	}
}

/* The lowest and the highest value of each column are those of all samples in it. */
static void every_column_reaches_as_far_as_before(void **state)
{
	SCOPE(mem);
	struct week *w = calm_week(mem);
	double low[100];
	double high[100];

	(void)state;
	srand(1);
	for (int n = 0; n < WEEK; n++)
		w->y[n] = rand() % 1000;
	struct points p = downsample(mem, w->x, w->y, WEEK, 0, WEEK * 60e3, 100);
	for (int round = 0; round < 2; round++) {
		const double *x = round == 0 ? w->x : p.x;
		const double *y = round == 0 ? w->y : p.y;
		size_t count = round == 0 ? WEEK : p.count;
		double lowest[100];
		double highest[100];
		for (int c = 0; c < 100; c++) {
			lowest[c] = INFINITY;
			highest[c] = -INFINITY;
		}
		for (size_t n = 0; n < count; n++) {
			int c = (int)(x[n] / (WEEK * 60e3) * 100);
			lowest[c] = fmin(lowest[c], y[n]);
			highest[c] = fmax(highest[c], y[n]);
		}
		for (int c = 0; c < 100; c++) {
			assert_true(round == 0 || (low[c] == lowest[c] && high[c] == highest[c]));
			low[c] = lowest[c];
			high[c] = highest[c];
		}
	}
}

static void gaps_stay_gaps(void **state)
{
	SCOPE(mem);
	struct week *w = calm_week(mem);
	size_t gaps = 0;

	(void)state;
	for (int n = 4000; n < 4100; n++)
		w->y[n] = NAN;
	struct points p = downsample(mem, w->x, w->y, WEEK, 0, WEEK * 60e3, 300);
	for (size_t n = 0; n < p.count; n++)
		gaps += isnan(p.y[n]);
	assert_true(gaps >= 1);
}

static void few_points_are_left_alone(void **state)
{
	static const double X[] = {1, 2, 3};
	static const double Y[] = {4, NAN, 6};
	SCOPE(mem);

	(void)state;
	struct points p = downsample(mem, X, Y, 3, 0, 10, 100);
	assert_int_equal(p.count, 3);
	assert_true(p.y[0] == 4 && isnan(p.y[1]) && p.y[2] == 6);
	assert_int_equal(downsample(mem, X, Y, 0, 0, 10, 100).count, 0);
	assert_int_equal(downsample(mem, X, Y, 3, 5, 5, 1).count, 3);
	assert_int_equal(downsample(mem, X, Y, 3, 0, 10, 0).count, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_sample_that_sticks_out_stays_wherever_it_is),
		cmocka_unit_test(what_stays_is_little_in_order_and_true),
		cmocka_unit_test(every_column_reaches_as_far_as_before),
		cmocka_unit_test(gaps_stay_gaps),
		cmocka_unit_test(few_points_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
