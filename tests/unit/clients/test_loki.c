#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "clients/loki.h"
#include "scripted.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define DATA(d) "{\"status\":\"success\",\"data\":" d "}"
#define STREAMS(s) DATA("{\"resultType\":\"streams\",\"result\":[" s "],\"stats\":{}}")
#define STREAM(labels, values) "{\"stream\":{" labels "},\"values\":[" values "]}"

static enum status decode(void *mem, const char *body, size_t limit, struct loki_lines **out)
{
	return loki_decode_lines(mem, body, strlen(body), limit, out);
}

static void lines_of_all_streams_come_in_the_order_of_time(void **state)
{
	static const char BODY[] = STREAMS(
		STREAM("\"pod\":\"a\"",
		       "[\"1768474000000000003\",\"third\"],["
		       "\"1768474000000000001\",\"first\"]") "," STREAM("\"pod\":\"b\"",
									"[\"1768474000000000002\","
									"\"se\\ncond\"]"));
	SCOPE(mem);
	struct loki_lines *l = NULL;

	(void)state;
	assert_int_equal(decode(mem, BODY, 100, &l), OK);
	assert_int_equal(l->count, 3);
	assert_string_equal(l->lines[0].text, "first");
	assert_string_equal(l->lines[1].text, "se\ncond");
	assert_string_equal(l->lines[2].text, "third");
	assert_true(l->lines[2].at_ns == INT64_C(1768474000000000003));
	assert_false(l->cut);
}

static void levels_are_told_beside_the_line_or_by_it(void **state)
{
	static const struct {
		const char *body, *level;
	} CASES[] = {
		{STREAMS(STREAM("\"detected_level\":\"error\",\"level\":\"info\"",
				"[\"1\",\"x\"]")),
		 "error"},
		{STREAMS(STREAM("\"level\":\"WARN\"", "[\"1\",\"x\"]")), "warn"},
		{STREAMS(STREAM("", "[\"1\",\"x\",{\"severity\":\"fatal\"}]")), "error"},
		{STREAMS(STREAM(
			 "",
			 "[\"1\",\"x\",{\"structuredMetadata\":{\"detected_level\":\"debug\"}}]")),
		 "debug"},
		{STREAMS(STREAM("\"level\":\"info\"",
				"[\"1\",\"x\",{\"parsed\":{\"level\":\"error\"}}]")),
		 "error"},
		{STREAMS(STREAM("\"level\":\"unknown\"",
				"[\"1\",\"{\\\"level\\\":\\\"warn\\\"}\"]")),
		 "warn"},
		{STREAMS(STREAM("\"level\":7", "[\"1\",\"level=error x\",7]")), "error"},
		{STREAMS(STREAM("", "[\"1\",\"nothing told\"]")), ""},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct loki_lines *l = NULL;
		assert_int_equal(decode(mem, CASES[n].body, 100, &l), OK);
		assert_int_equal(l->count, 1);
		assert_string_equal(l->lines[0].level, CASES[n].level);
	}
}

static void no_more_lines_are_read_than_wanted(void **state)
{
	SCOPE(mem);
	struct loki_lines *l = NULL;

	(void)state;
	assert_int_equal(decode(mem,
				STREAMS(STREAM("", "[\"1\",\"a\"],[\"2\",\"b\"]") "," STREAM(
					"", "[\"3\",\"c\"]")),
				2, &l),
			 OK);
	assert_int_equal(l->count, 2);
	assert_true(l->cut);
	assert_int_equal(decode(mem, STREAMS(""), 2, &l), OK);
	assert_true(l->count == 0 && !l->cut);
}

static void answers_that_cannot_be_read_are_invalid(void **state)
{
	static const char *const CASES[] = {
		"",
		"parse error at line 1",
		"[]",
		"{}",
		"{\"status\":\"error\"}",
		DATA("{\"resultType\":\"matrix\",\"result\":[]}"),
		DATA("{\"resultType\":\"streams\",\"result\":{}}"),
		DATA("{\"resultType\":\"streams\"}"),
		DATA("7"),
		STREAMS("7"),
		STREAMS("{\"stream\":{}}"),
		STREAMS("{\"values\":[]}"),
		STREAMS(STREAM("", "7")),
		STREAMS(STREAM("", "[]")),
		STREAMS(STREAM("", "[\"1\"]")),
		STREAMS(STREAM("", "[1,\"x\"]")),
		STREAMS(STREAM("", "[\"1\",2]")),
		STREAMS(STREAM("", "[\"soon\",\"x\"]")),
		STREAMS(STREAM("", "[\"-1\",\"x\"]")),
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct loki_lines *l = NULL;
		if (decode(mem, CASES[n], 100, &l) != E_INVALID)
			fail_msg("taken: %s", CASES[n]);
		assert_non_null(strstr(status_message(), "Loki"));
		assert_null(l);
	}
}

static struct backend peer(void *mem, const char *url)
{
	return loki_backend(scripted_client(mem), url, "t0ken", "team-a", NULL, 5000);
}

static void a_query_names_tenant_range_limit_and_direction(void **state)
{
	static const struct turn TURNS[] = {
		{.code = 200, .body = STREAMS(STREAM("", "[\"5\",\"x\"]"))}};
	static const struct loki_query QUERY = {"{pod=\"a&b\"} | json", 1000, 2001, 1, false};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct backend b = peer(mem, str_fmt(mem, "%s/prefix/", scripted_url(s)));
	struct loki_lines *l = NULL;

	(void)state;
	assert_int_equal(loki_query_range(mem, &b, &QUERY, &l), OK);
	assert_int_equal(l->count, 1);
	assert_true(l->cut); /* as many as were asked for */
	assert_non_null(strcasestr(
		scripted_request(s, 0),
		"GET /prefix/loki/api/v1/query_range?query=%7Bpod%3D%22a%26b%22%7D%20%7C%20json&"
		"start=1000000000&end=2001000000&limit=1&direction=backward HTTP"));
	assert_true(scripted_has_line(s, 0, "X-Scope-OrgID: team-a"));
	assert_true(scripted_has_line(s, 0, "Authorization: Bearer t0ken"));
	assert_true(scripted_has_line(s, 0, "X-Loki-Response-Encoding-Flags: categorize-labels"));
}

static void counts_come_on_a_grid(void **state)
{
	static const struct turn TURNS[] = {
		{.code = 200,
		 .body = DATA(
			 "{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"level\":\"error\"},"
			 "\"values\":[[1,\"4\"],[31,\"2\"]]}]}")}};
	static const struct range RANGE = {1000, 61000, 15000};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct backend b = loki_backend(scripted_client(mem), scripted_url(s), "", "", NULL, 5000);
	struct grid *g = NULL;

	(void)state;
	assert_int_equal(
		loki_query_volume(mem, &b, "sum(count_over_time({a=\"b\"}[15s]))", &RANGE, &g), OK);
	assert_true(g->points == 5 && g->count == 1 && g->series[0].values[0] == 4 &&
		    g->series[0].values[2] == 2);
	assert_non_null(
		strstr(scripted_request(s, 0), "&start=1000000000&end=61000000000&step=15s HTTP"));
	assert_null(strstr(scripted_request(s, 0), "X-Scope-OrgID"));
	assert_null(strstr(scripted_request(s, 0), "Authorization"));
}

static void refusals_and_troubles_are_told_apart(void **state)
{
	static const struct {
		struct turn turn;
		enum status status;
		const char *message;
	} CASES[] = {
		{{.code = 400, .body = "parse error at line 1, col 2: syntax error"},
		 E_INVALID,
		 "Loki answered 400: parse error"},
		{{.code = 400, .body = "the query time range exceeds the limit"},
		 E_INVALID,
		 "exceeds the limit"},
		{{.code = 401, .body = "no org id"}, E_DENIED, "loki.tenant: no org id"},
		{{.code = 403, .body = "{\"message\":\"not yours\"}"}, E_DENIED, "not yours"},
		{{.code = 404, .body = "404 page not found"}, E_NOTFOUND, "404"},
		{{.code = 413, .body = "\xff\xfe"}, E_INVALID, "413: ??"},
		{{.code = 429,
		  .body = "too many outstanding requests",
		  .headers = "Retry-After: 7\r\n"},
		 E_RATE,
		 "too many outstanding"},
		{{.code = 499, .body = "canceled"}, E_TIMEOUT, "499"},
		{{.code = 500, .body = "<html>oops</html>"}, E_TRANSIENT, "Loki answered 500"},
		{{.code = 502, .body = "{\"error\":\"bad gateway\"}"},
		 E_TRANSIENT,
		 "502: bad gateway"},
		{{.code = 503, .body = "starting"}, E_TIMEOUT, "503"},
		{{.code = 504, .body = "request timed out, decrease the duration"},
		 E_TIMEOUT,
		 "timed out"},
		{{.code = 302, .headers = "Location: http://127.0.0.1:1/\r\n"}, E_INVALID, "302"},
		{{.code = 200, .body = "<html>welcome</html>"}, E_INVALID, "not JSON"},
		{{.code = 200, .body = STREAMS(""), .act = ACT_CUT}, E_TRANSIENT, "Loki: "},
		{{.act = ACT_RESET}, E_TRANSIENT, "Loki: "},
		{{.act = ACT_SILENT}, E_TIMEOUT, "Loki: "},
	};
	static const struct loki_query QUERY = {"{a=\"b\"}", 1000, 2000, 10, false};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct scripted *s = scripted_start(mem, &CASES[n].turn, 1);
		struct backend b = peer(mem, scripted_url(s));
		struct loki_lines *l = NULL;
		b.timeout_ms = CASES[n].turn.act == ACT_SILENT ? 100 : 5000;
		enum status got = loki_query_range(mem, &b, &QUERY, &l);
		if (got != CASES[n].status || strstr(status_message(), CASES[n].message) == NULL)
			fail_msg("case %zu: %s: %s", n, status_name(got), status_message());
		assert_null(strstr(status_message(), "t0ken"));
		assert_int_equal(status_retry_after_ms(), CASES[n].turn.code == 429 ? 7000 : 0);
		assert_null(l);
	}
}

static void nobody_listening_is_transient(void **state)
{
	static const struct loki_query QUERY = {"{a=\"b\"}", 1000, 2000, 10, false};
	SCOPE(mem);
	struct backend b = peer(mem, scripted_nobody(mem));
	struct loki_lines *l = NULL;

	(void)state;
	assert_int_equal(loki_query_range(mem, &b, &QUERY, &l), E_TRANSIENT);
}

static void an_answer_that_is_too_large_is_refused(void **state)
{
	static const struct turn TURNS[] = {
		{.code = 200, .body = STREAMS(STREAM("", "[\"5\",\"long enough\"]"))}};
	static const struct loki_query QUERY = {"{a=\"b\"}", 1000, 2000, 10, false};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, 1);
	struct backend b = peer(mem, scripted_url(s));
	struct loki_lines *l = NULL;

	(void)state;
	b.reply_limit_bytes = 40;
	assert_int_equal(loki_query_range(mem, &b, &QUERY, &l), E_INVALID);
	assert_non_null(strstr(status_message(), "larger than 40 bytes"));
}

static void the_check_asks_the_api(void **state)
{
	static const struct {
		struct turn turns[3];
		enum status status;
		const char *version;
	} CASES[] = {
		{{{.match = "GET /ready ", .code = 200},
		  {.match = "/labels", .code = 200, .body = "{}"},
		  {.match = "buildinfo", .code = 200, .body = "{\"version\":\"3.4.0\"}"}},
		 OK,
		 "3.4.0"},
		{{{.match = "GET /ready ", .code = 404},
		  {.match = "/labels", .code = 200, .body = "{}"},
		  {.match = "buildinfo", .code = 404}},
		 OK,
		 NULL},
		{{{.match = "GET /ready ", .code = 200},
		  {.match = "/labels", .code = 401, .body = "no org id"}},
		 E_DENIED,
		 NULL},
		{{{.match = "GET /ready ", .code = 503, .body = "Ingester not ready"}},
		 E_TIMEOUT,
		 NULL},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct scripted *s = scripted_start(mem, CASES[n].turns, 3);
		struct backend b = peer(mem, scripted_url(s));
		const char *version = "stale";
		assert_int_equal(loki_check(mem, &b, &version), CASES[n].status);
		assert_true(str_eq(version, CASES[n].version));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_all_streams_come_in_the_order_of_time),
		cmocka_unit_test(levels_are_told_beside_the_line_or_by_it),
		cmocka_unit_test(no_more_lines_are_read_than_wanted),
		cmocka_unit_test(answers_that_cannot_be_read_are_invalid),
		cmocka_unit_test(a_query_names_tenant_range_limit_and_direction),
		cmocka_unit_test(counts_come_on_a_grid),
		cmocka_unit_test(refusals_and_troubles_are_told_apart),
		cmocka_unit_test(nobody_listening_is_transient),
		cmocka_unit_test(an_answer_that_is_too_large_is_refused),
		cmocka_unit_test(the_check_asks_the_api),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
