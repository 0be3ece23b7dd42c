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

#include "insight/service_map.h"

static struct trace_span span_of(const char *trace, const char *id, const char *parent,
				 const char *service, int64_t start, int64_t us, bool failed)
{
	return (struct trace_span){trace, id, parent, service, "n", start, us, failed};
}

static void make(void *mem, const struct trace_span *s, size_t n, struct service_map *m)
{
	service_map_make(mem, s, n, INT64_MIN, INT64_MAX, m);
}

/* web 0-100; cart 10-60 and stock 50-90 beneath it cover 80, so 20 are its own; db 20-40 beneath
 * cart leaves cart 30. */
static void self_time_is_what_the_children_do_not_cover(void **state)
{
	SCOPE(mem);
	struct trace_span s[] = {
		span_of("t", "4", "2", "db", 20, 20, true),
		span_of("t", "2", "1", "cart", 10, 50, true),
		span_of("t", "1", "", "web", 0, 100, true),
		span_of("t", "3", "1", "stock", 50, 40, false),
	};
	struct service_map m;

	(void)state;
	make(mem, s, 4, &m);
	assert_int_equal(m.node_count, 4);
	assert_int_equal(m.traces, 1);
	assert_int_equal(m.orphans, 0);
	assert_int_equal(service_map_find(&m, "web")->self_us, 20);
	assert_int_equal(service_map_find(&m, "web")->total_us, 100);
	assert_int_equal(service_map_find(&m, "cart")->self_us, 30);
	assert_int_equal(service_map_find(&m, "db")->self_us, 20);
	assert_string_equal(service_map_bottleneck(&m)->service, "stock");
	assert_true(fabs(service_map_share(&m, service_map_bottleneck(&m)) - 40.0 / 110) < 1e-12);
	/* the failure began in db and was passed on */
	assert_int_equal(service_map_find(&m, "db")->origins, 1);
	assert_int_equal(service_map_find(&m, "cart")->origins, 0);
	assert_int_equal(service_map_find(&m, "cart")->errors, 1);
	assert_int_equal(m.edge_count, 3);
	assert_string_equal(m.edges[0].from, "web");
	assert_string_equal(m.edges[0].to, "cart");
	assert_int_equal(m.edges[0].total_us, 50);
	assert_int_equal(m.edges[0].errors, 1);
}

static void a_child_on_another_clock_counts_with_its_duration(void **state)
{
	SCOPE(mem);
	struct trace_span s[] = {span_of("t", "1", "", "web", 1000, 100, false),
				 span_of("t", "2", "1", "cart", -5000, 70, false)};
	struct service_map m;

	(void)state;
	make(mem, s, 2, &m);
	assert_int_equal(service_map_find(&m, "web")->self_us, 30);
	s[1].duration_us = 5000; /* longer than its parent: no time is left, none is negative */
	make(mem, s, 2, &m);
	assert_int_equal(service_map_find(&m, "web")->self_us, 0);
}

static void a_parent_that_is_not_there_makes_a_root(void **state)
{
	SCOPE(mem);
	struct trace_span s[] = {span_of("t", "2", "gone", "cart", 0, 70, false),
				 span_of("u", "2", "1", "cart", 0, 10,
					 false), /* its parent's id is in the other trace only */
				 span_of("t", "1", "", "web", 0, 5, false)};
	struct service_map m;

	(void)state;
	make(mem, s, 3, &m);
	assert_int_equal(m.orphans, 2);
	assert_int_equal(m.edge_count, 0);
	assert_int_equal(service_map_find(&m, "cart")->self_us, 80);
	assert_int_equal(service_map_find(&m, "cart")->calls, 2);
}

static void circles_and_twins_do_no_harm(void **state)
{
	SCOPE(mem);
	struct trace_span s[] = {span_of("t", "1", "2", "a", 0, 10, false),
				 span_of("t", "2", "1", "b", 0, 10, false),
				 span_of("t", "3", "3", "c", 0, 10, false),
				 span_of("t", "4", "5", "d", 0, 10, false),
				 span_of("t", "5", "4", "d", 0, 10, false),
				 span_of("t", "4", "", "d", 0, 10, false)};
	struct service_map m;

	(void)state;
	make(mem, s, 6, &m);
	assert_int_equal(m.spans, 6);
	assert_int_equal(m.edge_count, 2); /* a -> b -> a */
	assert_int_equal(service_map_find(&m, "c")->self_us, 10);
}

static void times_at_the_edge_of_the_type_do_not_overflow(void **state)
{
	SCOPE(mem);
	struct trace_span s[] = {span_of("t", "1", "", "a", INT64_MIN, INT64_MAX, false),
				 span_of("t", "2", "1", "b", INT64_MAX, INT64_MAX, false),
				 span_of("t", "3", "1", "b", INT64_MAX, INT64_MIN, false)};
	struct service_map m;

	(void)state;
	service_map_make(mem, s, 3, INT64_MIN, INT64_MAX, &m);
	assert_true(service_map_find(&m, "a")->self_us >= 0);
	assert_true(service_map_find(&m, "b")->self_us > 0);
}

static void a_trace_is_not_torn_by_the_split(void **state)
{
	SCOPE(mem);
	struct trace_span s[] = {span_of("t", "1", "", "a", 90, 100, false),
				 span_of("t", "2", "1", "b", 120, 50, false),
				 span_of("u", "1", "", "a", 150, 100, false)};
	struct service_map before;
	struct service_map after;

	(void)state;
	service_map_make(mem, s, 3, INT64_MIN, 100, &before);
	service_map_make(mem, s, 3, 100, INT64_MAX, &after);
	assert_int_equal(before.spans, 2);
	assert_int_equal(service_map_find(&before, "a")->self_us, 50);
	assert_int_equal(after.spans, 1);
}

static void nothing_is_a_map_of_nobody(void **state)
{
	SCOPE(mem);
	struct service_map m;

	(void)state;
	make(mem, NULL, 0, &m);
	assert_null(service_map_bottleneck(&m));
	assert_null(service_map_find(&m, "a"));
}

static void the_median_of_a_service_is_per_call(void **state)
{
	SCOPE(mem);
	struct trace_span s[5];
	struct service_map m;

	(void)state;
	for (int n = 0; n < 5; n++) {
		static const char *const IDS[] = {"1", "2", "3", "4", "5"};
		s[n] = span_of(IDS[n], "x", "", "a", 0, (n + 1) * 10, false);
	}
	make(mem, s, 5, &m);
	assert_int_equal(m.nodes[0].self_median_us, 30);
	assert_int_equal(m.nodes[0].self_p95_us, 50);
	assert_string_equal(m.nodes[0].slowest->trace_id, "5");
	make(mem, s, 4, &m);
	assert_int_equal(m.nodes[0].self_median_us, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(self_time_is_what_the_children_do_not_cover),
		cmocka_unit_test(a_child_on_another_clock_counts_with_its_duration),
		cmocka_unit_test(a_parent_that_is_not_there_makes_a_root),
		cmocka_unit_test(circles_and_twins_do_no_harm),
		cmocka_unit_test(times_at_the_edge_of_the_type_do_not_overflow),
		cmocka_unit_test(a_trace_is_not_torn_by_the_split),
		cmocka_unit_test(nothing_is_a_map_of_nobody),
		cmocka_unit_test(the_median_of_a_service_is_per_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
