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
#include "clients/grid.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define DATA(d) "{\"status\":\"success\",\"data\":" d "}"
#define MATRIX(entries) DATA("{\"resultType\":\"matrix\",\"result\":[" entries "]}")
#define ENTRY(values) "{\"metric\":{\"pod\":\"a\"},\"values\":[" values "]}"

static const struct range TEN = {100000, 110000, 1000}; /* 11 points */

static enum status decode(void *mem, const char *body, struct grid **out)
{
	return grid_decode(mem, "Prometheus", body, strlen(body), &TEN, out);
}

static void steps_are_round_and_points_never_too_many(void **state)
{
	static const struct {
		int64_t length_ms;
		size_t points;
		int64_t step_ms;
	} CASES[] = {
		{3600000, 300, 15000},
		{4485000, 300, 15000},
		{4486000, 300, 30000},
		{INT64_C(7) * 86400000, 300, 3600000},
		{INT64_C(7) * 86400000, 11000, 60000},
		{INT64_C(7) * 86400000, 99999, 60000},
		{1, 300, 1000},
		{1000, 2, 1000},
		{1001, 2, 2000},
		{INT64_C(400) * 86400000, 300, INT64_C(2) * 86400000},
		{3600000, 0, 3600000},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		struct range r = range_of(5000, 5000 + CASES[n].length_ms, CASES[n].points);
		if (r.step_ms != CASES[n].step_ms)
			fail_msg("case %zu: %lld", n, (long long)r.step_ms);
		assert_true(range_points(&r) <= (CASES[n].points < 2 ? 2 : CASES[n].points));
		assert_true(range_points(&r) <= RANGE_POINTS_MAX);
	}
}

static void samples_find_their_places_and_gaps_stay_gaps(void **state)
{
	SCOPE(mem);
	struct grid *g = NULL;

	(void)state;
	assert_int_equal(
		decode(mem,
		       MATRIX(ENTRY("[100,\"1\"],[101.4,\"2\"],[102.6,\"3\"],[110,\"+Inf\"],"
				    "[99,\"7\"],[111,\"7\"],[104,\"NaN\"]")),
		       &g),
		OK);
	assert_int_equal(g->points, 11);
	assert_int_equal(g->count, 1);
	assert_string_equal(json_str(g->series[0].labels, "pod"), "a");
	const double *v = g->series[0].values;
	assert_true(v[0] == 1 && v[1] == 2 && isnan(v[2]) && v[3] == 3 && isnan(v[4]) &&
		    isnan(v[5]));
	assert_true(isinf(v[10]));
	assert_false(g->cut);
}

static void an_empty_matrix_has_no_series(void **state)
{
	SCOPE(mem);
	struct grid *g = NULL;

	(void)state;
	assert_int_equal(decode(mem, MATRIX(""), &g), OK);
	assert_int_equal(g->count, 0);
}

static void answers_that_cannot_be_read_are_invalid(void **state)
{
	static const struct {
		const char *body, *message;
	} CASES[] = {
		{"", "not JSON"},
		{"<html>", "not JSON"},
		{"[]", "no data"},
		{"{}", "no data"},
		{"{\"status\":\"error\",\"error\":\"exceeded maximum resolution\"}",
		 "Prometheus: exceeded maximum resolution"},
		{"{\"status\":\"error\"}", "Prometheus: error"},
		{DATA("{\"resultType\":\"vector\",\"result\":[]}"), "vector is not wanted"},
		{DATA("{\"resultType\":7,\"result\":[]}"), "? is not wanted"},
		{DATA("7"), "is not wanted"},
		{DATA("{\"resultType\":\"matrix\",\"result\":{}}"), "not a list"},
		{DATA("{\"resultType\":\"matrix\"}"), "not a list"},
		{MATRIX("7"), "without values"},
		{MATRIX("{\"metric\":{}}"), "without values"},
		{MATRIX("{\"metric\":{},\"histograms\":[]}"), "native histograms"},
		{MATRIX("{\"values\":[]}"), "without labels"},
		{MATRIX("{\"metric\":{\"a\":1},\"values\":[]}"), "label a must be a string"},
		{MATRIX(ENTRY("7")), "[time, \"value\"]"},
		{MATRIX(ENTRY("[]")), "[time, \"value\"]"},
		{MATRIX(ENTRY("[1]")), "[time, \"value\"]"},
		{MATRIX(ENTRY("[\"1\",\"2\"]")), "[time, \"value\"]"},
		{MATRIX(ENTRY("[1,2]")), "[time, \"value\"]"},
		{MATRIX(ENTRY("[1,\"x\"]")), "no number"},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct grid *g = NULL;
		if (decode(mem, CASES[n].body, &g) != E_INVALID)
			fail_msg("taken: %s", CASES[n].body);
		if (strstr(status_message(), CASES[n].message) == NULL)
			fail_msg("%s: %s", CASES[n].body, status_message());
		assert_null(g);
	}
}

static void too_many_series_are_cut_and_the_highest_kept(void **state)
{
	SCOPE(mem);
	struct grid *g = NULL;
	char *many = str_dup(mem, "{\"metric\":{\"n\":\"first\"},\"values\":[]}");

	(void)state;
	for (int n = 0; n < GRID_SERIES_MAX + 5; n++)
		str_add(&many, ",{\"metric\":{\"n\":\"%d\"},\"values\":[[100,\"%d\"]]}", n,
			n % 100);
	assert_int_equal(
		decode(mem, str_fmt(mem, DATA("{\"resultType\":\"matrix\",\"result\":[%s]}"), many),
		       &g),
		OK);
	assert_int_equal(g->count, GRID_SERIES_MAX);
	assert_true(g->cut);
	grid_keep(g, 3);
	assert_int_equal(g->count, 3);
	for (size_t n = 0; n < 3; n++)
		assert_true(g->series[n].values[0] == 99);
}

static void warnings_are_kept_up_to_a_cap(void **state)
{
	SCOPE(mem);
	struct grid *g = NULL;
	char *many = str_dup(mem, "\"results truncated\",7");

	(void)state;
	for (int n = 0; n < 40; n++)
		str_add(&many, ",\"w%d\"", n);
	assert_int_equal(
		decode(mem,
		       str_fmt(mem,
			       "{\"status\":\"success\",\"warnings\":[%s],\"data\":{\"resultType\":"
			       "\"matrix\",\"result\":[]}}",
			       many),
		       &g),
		OK);
	assert_int_equal(g->warning_count, GRID_WARNINGS_MAX);
	assert_string_equal(g->warnings[0], "results truncated");
}

/* AI-001.18 */
static void a_week_of_twenty_series_at_full_resolution_is_read(void **state)
{
	SCOPE(mem);
	struct range week = range_of(0, INT64_C(7) * 86400000, RANGE_POINTS_MAX);
	size_t points = range_points(&week);
	size_t room = 20 * (points * 32 + 100) + 200;
	char *body = NEW_ARRAY(mem, char, room);
	size_t n = (size_t)snprintf(
		body, room,
		"{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[");
	struct grid *g = NULL;

	(void)state;
	for (int s = 0; s < 20; s++) {
		n += (size_t)snprintf(body + n, room - n,
				      "%s{\"metric\":{\"pod\":\"p%d\"},\"values\":[",
				      s > 0 ? "," : "", s);
		for (size_t p = 0; p < points; p++)
			n += (size_t)snprintf(body + n, room - n, "%s[%zu,\"%zu.5\"]",
					      p > 0 ? "," : "", p * 60, p);
		n += (size_t)snprintf(body + n, room - n, "]}");
	}
	n += (size_t)snprintf(body + n, room - n, "]}}");
	assert_int_equal(points, 10081);
	assert_int_equal(grid_decode(mem, "Prometheus", body, n, &week, &g), OK);
	assert_int_equal(g->count, 20);
	assert_false(g->cut);
	assert_true(g->series[19].values[10080] == 10080.5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_are_round_and_points_never_too_many),
		cmocka_unit_test(samples_find_their_places_and_gaps_stay_gaps),
		cmocka_unit_test(an_empty_matrix_has_no_series),
		cmocka_unit_test(answers_that_cannot_be_read_are_invalid),
		cmocka_unit_test(too_many_series_are_cut_and_the_highest_kept),
		cmocka_unit_test(warnings_are_kept_up_to_a_cap),
		cmocka_unit_test(a_week_of_twenty_series_at_full_resolution_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
