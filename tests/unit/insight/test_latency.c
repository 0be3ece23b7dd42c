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

#include "insight/latency.h"

static struct trace_span span_of(const char *service, const char *parent, int64_t start_us,
				 int64_t us)
{
	return (struct trace_span){"t", "s", parent, service, "n", start_us, us, false};
}

/* The example of the usual definition: 15 20 35 40 50 has 15 at 5 %, 20 at 30 and 40 %, 35 at 50 %,
 * 50 at 100 %. */
static void percentiles_are_of_the_nearest_rank(void **state)
{
	static const int64_t SORTED[] = {15, 20, 35, 40, 50};

	(void)state;
	assert_int_equal(percentile_sorted(SORTED, 5, 5), 15);
	assert_int_equal(percentile_sorted(SORTED, 5, 30), 20);
	assert_int_equal(percentile_sorted(SORTED, 5, 40), 20);
	assert_int_equal(percentile_sorted(SORTED, 5, 50), 35);
	assert_int_equal(percentile_sorted(SORTED, 5, 100), 50);
	assert_int_equal(percentile_sorted(SORTED, 5, 0), 15);
	assert_int_equal(percentile_sorted(SORTED, 0, 50), 0);
}

static void a_hundred_durations_have_their_50th_95th_and_99th(void **state)
{
	SCOPE(mem);
	struct trace_span s[102];
	struct latency l;

	(void)state;
	for (int n = 0; n < 100; n++)
		s[n] = span_of("cart", "p", n, ((n * 37) % 100 + 1) * 1000);
	s[100] = span_of("other", "p", 5, 900000000);
	s[101] = span_of("cart", "p", 1000, 900000000); /* at the end, which is outside */
	latency_measure(mem, s, 102, "cart", 0, 1000, &l);
	assert_int_equal(l.count, 100);
	assert_int_equal(l.p50_us, 50000);
	assert_int_equal(l.p95_us, 95000);
	assert_int_equal(l.p99_us, 99000);
	assert_int_equal(l.longest_us, 100000);
	latency_measure(mem, s, 102, "nobody", 0, 1000, &l);
	assert_int_equal(l.count, 0);
	assert_int_equal(l.p99_us, 0);
}

static void without_a_service_roots_are_measured(void **state)
{
	SCOPE(mem);
	struct trace_span s[] = {span_of("a", "", 0, 10), span_of("b", "x", 0, 20)};
	struct latency l;

	(void)state;
	latency_measure(mem, s, 2, NULL, INT64_MIN, INT64_MAX, &l);
	assert_int_equal(l.count, 1);
	assert_int_equal(l.longest_us, 10);
}

static void buckets_go_one_two_five(void **state)
{
	SCOPE(mem);
	struct trace_span s[] = {span_of("a", "", 0, 100),  span_of("a", "", 0, 101),
				 span_of("a", "", 0, 1500), span_of("a", "", 0, INT64_MAX),
				 span_of("a", "", 0, -5),   span_of("a", "", 0, 500000000)};
	struct latency l;
	size_t all = 0;

	(void)state;
	assert_int_equal(latency_bound(0), 100);
	assert_int_equal(latency_bound(1), 200);
	assert_int_equal(latency_bound(2), 500);
	assert_int_equal(latency_bound(3), 1000);
	assert_int_equal(latency_bound(LATENCY_BOUNDS - 1), 500000000);
	latency_measure(mem, s, 6, NULL, INT64_MIN, INT64_MAX, &l);
	assert_int_equal(l.buckets[0], 2); /* 100 us, and the negative one as 0 */
	assert_int_equal(l.buckets[1], 1);
	assert_int_equal(l.buckets[4], 1);
	assert_int_equal(l.buckets[LATENCY_BOUNDS - 1], 1);
	assert_int_equal(l.buckets[LATENCY_BOUNDS], 1);
	for (int n = 0; n < LATENCY_BUCKETS; n++)
		all += l.buckets[n];
	assert_int_equal(all, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles_are_of_the_nearest_rank),
		cmocka_unit_test(a_hundred_durations_have_their_50th_95th_and_99th),
		cmocka_unit_test(without_a_service_roots_are_measured),
		cmocka_unit_test(buckets_go_one_two_five),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
