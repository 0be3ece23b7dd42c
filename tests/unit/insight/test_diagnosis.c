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

#include "insight/diagnosis.h"
#include "scene_maker.h"

static struct diagnosis diagnosis_of(void *mem, struct scene_made *s)
{
	struct diagnosis d;

	diagnose(mem, facts_make(mem, &s->evidence), &d);
	return d;
}

static void expect(struct scene_made *s, enum cause cause, const char *object)
{
	SCOPE(mem);
	struct diagnosis d = diagnosis_of(mem, s);

	assert_string_equal(cause_name(d.cause), cause_name(cause));
	assert_string_equal(d.object, object);
	assert_true(d.confidence > 0 && d.confidence < 1);
	if (cause != CAUSE_NOTHING_WRONG)
		assert_true(llabs(d.at_ms - SCENE_CHANGE * SCENE_STEP) <= 180000);
	assert_true(cause == CAUSE_NOTHING_WRONG || d.action_count >= 3);
}

static void more_traffic_and_more_work_is_a_surge(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);

	(void)state;
	scene_add(s, SERIES_RULE, "cart-0", 0.4, 0.95, 0);
	scene_add(s, SERIES_CPU, "cart-0", 0.4, 0.95, 0);
	scene_add(s, SERIES_REQUESTS, "cart-0", 100, 240, 0);
	expect(s, CAUSE_TRAFFIC_SURGE, "cart-0");
}

/* The same rise of traffic, when as many requests fail, is clients that try again. */
static void retries_are_no_surge(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);

	(void)state;
	scene_add(s, SERIES_RULE, "cart-0", 0.001, 0.5, 0);
	scene_add(s, SERIES_REQUESTS, "cart-0", 100, 160, 0);
	scene_add(s, SERIES_ERRORS, "cart-0", 0.1, 80, 0);
	scene_add(s, SERIES_LATENCY, "cart-0", 0.1, 0.1, 0);
	expect(s, CAUSE_ERROR_BURST, "cart-0");
}

static void memory_that_climbs_to_its_limit_is_a_leak(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);

	(void)state;
	scene_add(s, SERIES_RULE, "cart-0", 0.5, 0.95, 1);
	scene_add(s, SERIES_MEMORY, "cart-0", 500e6, 950e6, 1);
	scene_add(s, SERIES_MEMORY_LIMIT, "cart-0", 1e9, 1e9, 0);
	scene_add(s, SERIES_REQUESTS, "cart-0", 100, 100, 0);
	expect(s, CAUSE_MEMORY_LEAK, "cart-0");
}

static void a_new_version_just_before_is_to_blame(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);

	(void)state;
	scene_add(s, SERIES_RULE, "cart-0", 0.001, 0.2, 0);
	scene_add(s, SERIES_ERRORS, "cart-0", 0.1, 20, 0);
	double *old = scene_add(s, SERIES_VERSION, "cart:1", 1, 1, 0);
	double *new = scene_add(s, SERIES_VERSION, "cart:2", 1, 1, 0);
	for (int n = 0; n < SCENE_SAMPLES; n++) {
		old[n] = n < SCENE_CHANGE ? 1 : NAN;
		new[n] = n < SCENE_CHANGE ? NAN : 1;
	}
	expect(s, CAUSE_BAD_DEPLOY, "cart:2");
	/* the same failures 20 minutes after the new version are something else */
	for (int n = SCENE_CHANGE - 80; n < SCENE_CHANGE; n++) {
		old[n] = NAN;
		new[n] = 1;
	}
	expect(s, CAUSE_ERROR_BURST, "cart-0");
}

static void a_disk_near_its_end_is_named_by_its_claim(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);

	(void)state;
	scene_add(s, SERIES_RULE, "cart-0", 0.5, 1.2, 1);
	double *disk = scene_add(s, SERIES_DISK, "cart-data", 5e9, 12e9, 1);
	scene_add(s, SERIES_DISK_LIMIT, "cart-data", 1e10, 1e10, 0);
	(void)disk;
	expect(s, CAUSE_DISK_FILL, "cart-data");
}

static void a_neighbour_that_takes_the_node_is_named_and_another_that_rises_is_not(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);

	(void)state;
	scene_add(s, SERIES_RULE, "cart-0", 0.1, 0.5, 0);
	scene_add(s, SERIES_LATENCY, "cart-0", 0.1, 0.5, 0);
	scene_add(s, SERIES_NEIGHBOUR_CPU, "small-1", 0.1, 0.3, 0);
	scene_add(s, SERIES_NEIGHBOUR_CPU, "encode-1", 0.3, 4, 0);
	scene_add(s, SERIES_NODE_CPU, "node-1", 0.5, 0.98, 0);
	expect(s, CAUSE_NOISY_NEIGHBOUR, "encode-1");
}

static void a_neighbour_on_a_node_with_room_is_innocent(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);

	(void)state;
	scene_add(s, SERIES_RULE, "cart-0", 0.1, 0.5, 0);
	scene_add(s, SERIES_LATENCY, "cart-0", 0.1, 0.5, 0);
	scene_add(s, SERIES_NEIGHBOUR_CPU, "encode-1", 0.3, 2, 0);
	scene_add(s, SERIES_NODE_CPU, "node-1", 0.3, 0.5, 0);
	expect(s, CAUSE_UNKNOWN, "pod shop/cart-0");
}

/* Ten traces before and ten after; stock comes to take 300 ms of its own. */
static void add_traces(void *mem, struct scene_made *s)
{
	enum { TRACES = 20 };
	struct trace_span *spans = NEW_ARRAY(mem, struct trace_span, TRACES * 3);

	for (int n = 0; n < TRACES; n++) {
		int64_t at = (int64_t)(n < 10 ? 100 : SCENE_CHANGE + 2) * SCENE_STEP * 1000 +
			     n * 1000000;
		int64_t us = n < 10 ? 10000 : 300000;
		const char *trace = str_fmt(mem, "%02d", n);
		spans[3 * n] =
			(struct trace_span){trace, "1", "", "web", "GET", at, us + 25000, false};
		spans[3 * n + 1] = (struct trace_span){trace, "2",	 "1",	     "cart",
						       "GET", at + 1000, us + 20000, false};
		spans[3 * n + 2] =
			(struct trace_span){trace, "3", "2", "stock", "get", at + 5000, us, false};
	}
	s->evidence.spans = spans;
	s->evidence.span_count = (size_t)TRACES * 3;
}

static void the_dependency_that_became_slower_is_named_by_the_spans(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);

	(void)state;
	scene_add(s, SERIES_RULE, "cart-0", 0.03, 0.33, 0);
	scene_add(s, SERIES_LATENCY, "cart-0", 0.03, 0.33, 0);
	add_traces(mem, s);
	expect(s, CAUSE_SLOW_DEPENDENCY, "stock");
}

static void without_spans_the_time_outs_in_the_logs_name_who_is_slow(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);
	struct log_line lines[10];

	(void)state;
	for (int n = 0; n < 10; n++)
		lines[n] = (struct log_line){
			(int64_t)(SCENE_CHANGE + n) * SCENE_STEP, "error",
			"Get \"http://stock:8080/v1\": context deadline exceeded"};
	scene_add(s, SERIES_RULE, "cart-0", 0.03, 0.33, 0);
	scene_add(s, SERIES_LATENCY, "cart-0", 0.03, 0.33, 0);
	expect(s, CAUSE_UNKNOWN, "pod shop/cart-0");
	s->evidence.lines = lines;
	s->evidence.line_count = 10;
	expect(s, CAUSE_SLOW_DEPENDENCY, "stock");
}

static void noise_is_nothing_wrong(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);

	(void)state;
	scene_add(s, SERIES_RULE, "cart-0", 0.5, 0.5, 0);
	scene_add(s, SERIES_CPU, "cart-0", 0.5, 0.5, 0);
	scene_add(s, SERIES_REQUESTS, "cart-0", 100, 100, 0);
	expect(s, CAUSE_NOTHING_WRONG, "pod shop/cart-0");
}

static void what_came_back_to_normal_before_the_alert_is_not_the_symptom(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);

	(void)state;
	double *v = scene_add(s, SERIES_LATENCY, "cart-0", 0.1, 0.1, 0);
	for (int n = 40; n < 80; n++)
		v[n] = 0.6;
	expect(s, CAUSE_NOTHING_WRONG, "pod shop/cart-0");
}

static void without_metrics_nothing_is_concluded(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);
	struct diagnosis d = diagnosis_of(mem, s);

	(void)state;
	assert_int_equal(d.cause, CAUSE_UNKNOWN);
	assert_true(d.confidence <= 0.2);
}

static void limits_alone_do_not_show_that_nothing_is_wrong(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);

	(void)state;
	scene_add(s, SERIES_CPU_LIMIT, "cart-0", 2, 2, 0);
	scene_add(s, SERIES_MEMORY_LIMIT, "cart-0", 1e9, 1e9, 0);
	struct diagnosis d = diagnosis_of(mem, s);
	assert_int_equal(d.cause, CAUSE_UNKNOWN);
	assert_true(d.blind && d.confidence <= 0.2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_traffic_and_more_work_is_a_surge),
		cmocka_unit_test(retries_are_no_surge),
		cmocka_unit_test(memory_that_climbs_to_its_limit_is_a_leak),
		cmocka_unit_test(a_new_version_just_before_is_to_blame),
		cmocka_unit_test(a_disk_near_its_end_is_named_by_its_claim),
		cmocka_unit_test(
			a_neighbour_that_takes_the_node_is_named_and_another_that_rises_is_not),
		cmocka_unit_test(a_neighbour_on_a_node_with_room_is_innocent),
		cmocka_unit_test(the_dependency_that_became_slower_is_named_by_the_spans),
		cmocka_unit_test(without_spans_the_time_outs_in_the_logs_name_who_is_slow),
		cmocka_unit_test(noise_is_nothing_wrong),
		cmocka_unit_test(what_came_back_to_normal_before_the_alert_is_not_the_symptom),
		cmocka_unit_test(without_metrics_nothing_is_concluded),
		cmocka_unit_test(limits_alone_do_not_show_that_nothing_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
