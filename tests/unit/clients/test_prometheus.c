#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/prometheus.h"
#include "scripted.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define DATA(d) "{\"status\":\"success\",\"data\":" d "}"
#define VECTOR(entries) DATA("{\"resultType\":\"vector\",\"result\":[" entries "]}")
#define ENTRY(value) \
	"{\"metric\":{\"__name__\":\"up\",\"pod\":\"cart-0\"},\"value\":[17.25,\"" value "\"]}"

static enum status decode(void *mem, const char *body, struct query_result **out)
{
	return prometheus_decode_query(mem, body, strlen(body), out);
}

static void values_of_a_vector_are_read(void **state)
{
	static const struct {
		const char *body;
		double value;
	} CASES[] = {
		{VECTOR(ENTRY("1")), 1},	   {VECTOR(ENTRY("0.25")), 0.25},
		{VECTOR(ENTRY("1e+09")), 1e9},	   {VECTOR(ENTRY("-3.5e-07")), -3.5e-7},
		{VECTOR(ENTRY("+Inf")), INFINITY}, {VECTOR(ENTRY("-Inf")), -INFINITY},
		{VECTOR(ENTRY("NaN")), NAN},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct query_result *r = NULL;
		assert_int_equal(decode(mem, CASES[n].body, &r), OK);
		assert_int_equal(r->count, 1);
		assert_string_equal(json_str(r->samples[0].labels, "pod"), "cart-0");
		assert_string_equal(json_str(r->samples[0].labels, "__name__"), "up");
		assert_true(r->samples[0].at == 17.25);
		assert_true(isnan(CASES[n].value) ? isnan(r->samples[0].value)
						  : r->samples[0].value == CASES[n].value);
	}
}

static void an_empty_vector_has_no_samples(void **state)
{
	SCOPE(mem);
	struct query_result *r = NULL;

	(void)state;
	assert_int_equal(decode(mem, VECTOR(""), &r), OK);
	assert_int_equal(r->count, 0);
	assert_int_equal(r->warning_count, 0);
}

static void a_scalar_is_one_sample_without_labels(void **state)
{
	SCOPE(mem);
	struct query_result *r = NULL;

	(void)state;
	assert_int_equal(
		decode(mem, DATA("{\"resultType\":\"scalar\",\"result\":[9,\"2.5\"]}"), &r), OK);
	assert_int_equal(r->count, 1);
	assert_true(r->samples[0].value == 2.5 && r->samples[0].at == 9);
	assert_int_equal(json_object_size(r->samples[0].labels), 0);
}

static void warnings_are_kept_up_to_a_cap(void **state)
{
	SCOPE(mem);
	struct query_result *r = NULL;
	char *many = str_dup(mem, "\"results truncated\",7");

	(void)state;
	for (int n = 0; n < 40; n++)
		str_add(&many, ",\"w%d\"", n);
	const char *body = str_fmt(mem,
				   "{\"status\":\"success\",\"warnings\":[%s],\"infos\":[\"i\"],"
				   "\"data\":{\"resultType\":\"vector\",\"result\":[]}}",
				   many);
	assert_int_equal(decode(mem, body, &r), OK);
	assert_int_equal(r->warning_count, 16);
	assert_string_equal(r->warnings[0], "results truncated");
	assert_string_equal(r->warnings[1], "w0");
}

static void answers_that_cannot_be_read_are_invalid(void **state)
{
	static const struct {
		const char *body, *message;
	} CASES[] = {
		{"", "not JSON"},
		{"<html>Bad Gateway</html>", "not JSON"},
		{"{\"status\":\"success\",\"data\":{\"resultType\":\"vec", "not JSON"},
		{"[]", "no data"},
		{"{}", "no data"},
		{"{\"status\":\"success\"}", "no data"},
		{"{\"data\":{\"resultType\":\"vector\",\"result\":[]}}", "no data"},
		{"{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"1:4: parse error\"}",
		 "Prometheus: 1:4: parse error"},
		{"{\"status\":\"error\"}", "Prometheus: error"},
		{DATA("{\"resultType\":\"matrix\",\"result\":[]}"), "matrix is not wanted"},
		{DATA("{\"resultType\":\"string\",\"result\":[1,\"s\"]}"), "string is not wanted"},
		{DATA("{\"resultType\":7,\"result\":[]}"), "? is not wanted"},
		{DATA("{\"resultType\":\"vector\",\"result\":{}}"), "not a list"},
		{DATA("{\"resultType\":\"vector\"}"), "not a list"},
		{DATA("7"), "not a list"},
		{DATA("{\"resultType\":\"scalar\",\"result\":[]}"), "[time, \"value\"]"},
		{DATA("{\"resultType\":\"scalar\",\"result\":[\"1\",\"2\"]}"), "[time, \"value\"]"},
		{VECTOR("{\"metric\":{},\"value\":[1,2]}"), "[time, \"value\"]"},
		{VECTOR("{\"metric\":{},\"value\":\"1\"}"), "[time, \"value\"]"},
		{VECTOR("{\"metric\":{}}"), "[time, \"value\"]"},
		{VECTOR("{\"metric\":{},\"histogram\":[1,{\"count\":\"1\"}]}"), "native histogram"},
		{VECTOR("{\"metric\":{\"pod\":7},\"value\":[1,\"2\"]}"), "pod"},
		{VECTOR("{\"metric\":[],\"value\":[1,\"2\"]}"), "metric"},
		{VECTOR("7"), ""},
		{VECTOR(ENTRY("")), "value"},
		{VECTOR(ENTRY("many")), "value"},
		{VECTOR(ENTRY("1 ")), "value"},
		{VECTOR(ENTRY("0x10")), "value"},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct query_result *r = NULL;
		if (decode(mem, CASES[n].body, &r) != E_INVALID)
			fail_msg("taken: %s", CASES[n].body);
		if (strstr(status_message(), CASES[n].message) == NULL)
			fail_msg("%s: %s", CASES[n].body, status_message());
		assert_null(r);
	}
}

static const char RULES[] = DATA(
	"{\"groups\":["
	"{\"name\":\"shop\",\"file\":\"/etc/r.yml\",\"rules\":["
	"{\"type\":\"recording\",\"name\":\"CartSlow\",\"query\":\"vector(1)\",\"health\":\"ok\"},"
	"{\"type\":\"alerting\",\"name\":\"CartSlow\",\"query\":\"lag > 2\",\"duration\":90,"
	"\"labels\":{\"severity\":\"warning\",\"pod\":\"{{ $labels.pod }}\"},\"health\":\"ok\"},"
	"{\"type\":\"alerting\",\"name\":\"Other\",\"query\":\"x\"}]},"
	"{\"name\":\"spare\",\"rules\":["
	"{\"type\":\"alerting\",\"name\":\"CartSlow\",\"query\":\"lag > 9\",\"duration\":0.5,"
	"\"health\":\"err\",\"lastError\":\"many-to-many\"}]}]}");

static void rules_of_the_name_are_found_in_all_groups(void **state)
{
	SCOPE(mem);
	struct rule *rules = NULL;
	size_t count = 0;

	(void)state;
	assert_int_equal(
		prometheus_decode_rules(mem, RULES, strlen(RULES), "CartSlow", &rules, &count), OK);
	assert_int_equal(count, 2);
	assert_string_equal(rules[0].name, "CartSlow");
	assert_string_equal(rules[0].expr, "lag > 2");
	assert_int_equal(rules[0].for_ms, 90000);
	assert_string_equal(rules[0].health, "ok");
	assert_string_equal(rules[0].error, "");
	assert_string_equal(rules[0].group, "shop");
	assert_string_equal(rules[0].file, "/etc/r.yml");
	assert_string_equal(json_str(rules[0].labels, "pod"), "{{ $labels.pod }}");
	assert_int_equal(rules[1].for_ms, 500);
	assert_string_equal(rules[1].health, "err");
	assert_string_equal(rules[1].error, "many-to-many");
	assert_string_equal(rules[1].file, "");
	assert_int_equal(json_object_size(rules[1].labels), 0);
	assert_int_equal(prometheus_decode_rules(mem, RULES, strlen(RULES), "None", &rules, &count),
			 OK);
	assert_int_equal(count, 0);
}

static void strange_durations_count_as_none(void **state)
{
	static const char *const DURATIONS[] = {"-1", "1e300", "\"5\"", "null", "{}"};

	(void)state;
	for (size_t n = 0; n < COUNT(DURATIONS); n++) {
		SCOPE(mem);
		struct rule *rules = NULL;
		size_t count = 0;
		const char *body = str_fmt(
			mem,
			DATA("{\"groups\":[{\"rules\":[{\"type\":\"alerting\",\"name\":\"A\","
			     "\"query\":\"x\",\"duration\":%s}]}]}"),
			DURATIONS[n]);
		assert_int_equal(
			prometheus_decode_rules(mem, body, strlen(body), "A", &rules, &count), OK);
		assert_int_equal(count, 1);
		assert_int_equal(rules[0].for_ms, 0);
	}
}

static void active_alerts_are_told_from_pending_ones(void **state)
{
	static const char BODY[] = DATA(
		"{\"alerts\":["
		"{\"labels\":{\"alertname\":\"CartSlow\",\"pod\":\"a\"},\"state\":\"firing\","
		"\"value\":\"1e+00\"},"
		"{\"labels\":{\"alertname\":\"CartSlow\",\"pod\":\"b\"},\"state\":\"pending\"},"
		"{\"labels\":{\"alertname\":\"Other\"},\"state\":\"firing\"}]}");
	SCOPE(mem);
	struct active_alert *alerts = NULL;
	size_t count = 0;

	(void)state;
	assert_int_equal(prometheus_decode_alerts(mem, BODY, strlen(BODY), &alerts, &count), OK);
	assert_int_equal(count, 3);
	assert_true(alerts[0].firing);
	assert_string_equal(node_str(alerts[0].labels, "pod"), "a");
	assert_false(alerts[1].firing);
	assert_string_equal(node_str(alerts[2].labels, "alertname"), "Other");
}

/* read as "none", these would pass for a recovery */
static void a_missing_list_is_not_an_empty_one(void **state)
{
	static const char *const BODIES[] = {DATA("{}"),
					     DATA("[]"),
					     DATA("{\"alerts\":{},\"groups\":null}"),
					     DATA("{\"alerts\":null,\"groups\":7}"),
					     "{\"status\":\"success\"}",
					     "x"};

	(void)state;
	for (size_t n = 0; n < COUNT(BODIES); n++) {
		SCOPE(mem);
		struct active_alert *alerts = NULL;
		struct rule *rules = NULL;
		size_t count = 0;
		assert_int_equal(prometheus_decode_alerts(mem, BODIES[n], strlen(BODIES[n]),
							  &alerts, &count),
				 E_INVALID);
		assert_int_equal(prometheus_decode_rules(mem, BODIES[n], strlen(BODIES[n]), "A",
							 &rules, &count),
				 E_INVALID);
	}
}

static void rules_and_alerts_of_wrong_types_are_invalid(void **state)
{
	static const char *const RULE_BODIES[] = {
		DATA("{\"groups\":[{\"rules\":[{\"type\":\"alerting\",\"name\":\"A\"}]}]}"),
		DATA("{\"groups\":[{\"rules\":[{\"type\":\"alerting\",\"name\":\"A\",\"query\":7}]}"
		     "]}"),
		DATA("{\"groups\":[{\"rules\":[{\"type\":\"alerting\",\"name\":\"A\",\"query\":"
		     "\"x\",\"labels\":[]}]}]}"),
		DATA("{\"groups\":[{\"rules\":[{\"type\":\"alerting\",\"name\":\"A\",\"query\":"
		     "\"x\",\"labels\":{\"a\":1}}]}]}"),
	};
	static const char *const ALERT_BODIES[] = {
		DATA("{\"alerts\":[{\"labels\":[],\"state\":\"firing\"}]}"),
		DATA("{\"alerts\":[{\"labels\":{\"alertname\":\"A\",\"n\":1},\"state\":\"firing\"}]"
		     "}"),
	};
	SCOPE(mem);
	struct active_alert *alerts = NULL;
	struct rule *rules = NULL;
	size_t count = 0;

	(void)state;
	for (size_t n = 0; n < COUNT(RULE_BODIES); n++)
		assert_int_equal(prometheus_decode_rules(mem, RULE_BODIES[n],
							 strlen(RULE_BODIES[n]), "A", &rules,
							 &count),
				 E_INVALID);
	for (size_t n = 0; n < COUNT(ALERT_BODIES); n++)
		assert_int_equal(prometheus_decode_alerts(mem, ALERT_BODIES[n],
							  strlen(ALERT_BODIES[n]), &alerts, &count),
				 E_INVALID);
}

static struct prometheus peer(void *mem, const char *url)
{
	return (struct prometheus){.http = scripted_client(mem), .url = url, .timeout_ms = 5000};
}

static void a_query_is_a_form_with_every_byte_escaped(void **state)
{
	static const struct turn TURNS[] = {{.code = 200, .body = VECTOR(ENTRY("4"))}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct prometheus p = peer(mem, str_fmt(mem, "%s/prefix/", scripted_url(s)));
	struct query_result *r = NULL;

	(void)state;
	p.bearer = "t0ken";
	assert_int_equal(prometheus_query(mem, &p, "a{b=\"c&d+é%\"} > 1", &r), OK);
	assert_true(r->count == 1 && r->samples[0].value == 4);
	assert_true(str_starts(scripted_request(s, 0), "POST /prefix/api/v1/query HTTP/1.1\r\n"));
	assert_true(scripted_has_line(s, 0, "Content-Type: application/x-www-form-urlencoded"));
	assert_true(scripted_has_line(s, 0, "Accept: application/json"));
	assert_true(scripted_has_line(s, 0, "Authorization: Bearer t0ken"));
	assert_string_equal(scripted_body(s, 0),
			    "query=a%7Bb%3D%22c%26d%2B%C3%A9%25%22%7D%20%3E%201");
}

static void rules_and_alerts_are_asked_for_by_get(void **state)
{
#define TWO_ALERTS \
	DATA("{\"alerts\":[" \
	     "{\"labels\":{\"alertname\":\"CartSlow\",\"pod\":\"a\"},\"state\":\"firing\"}," \
	     "{\"labels\":{\"alertname\":\"Other\",\"pod\":\"b\"},\"state\":\"firing\"}]}")
	static const struct turn TURNS[] = {
		{.match = "/api/v1/rules?", .code = 200, .body = RULES},
		{.match = "/api/v1/alerts ", .code = 200, .body = TWO_ALERTS},
		{.match = "/api/v1/alerts ", .code = 200, .body = TWO_ALERTS},
	};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct prometheus p = peer(mem, scripted_url(s));
	struct rule *rules = NULL;
	struct active_alert *alerts = NULL;
	size_t count = 0;

	(void)state;
	assert_int_equal(prometheus_rules(mem, &p, "CartSlow", &rules, &count), OK);
	assert_int_equal(count, 2);
	assert_int_equal(prometheus_alerts(mem, &p, "CartSlow", &alerts, &count), OK);
	assert_int_equal(count, 1);
	assert_string_equal(node_str(alerts[0].labels, "pod"), "a");
	p.alerts = shared_call_new(mem);
	assert_int_equal(prometheus_alerts(mem, &p, "Other", &alerts, &count), OK);
	assert_int_equal(count, 1);
	assert_string_equal(node_str(alerts[0].labels, "pod"), "b");
	assert_non_null(strcasestr(scripted_request(s, 0),
				   "GET /api/v1/rules?type=alert&rule_name%5B%5D=CartSlow HTTP"));
	assert_null(strstr(scripted_request(s, 0), "Authorization"));
}

static void refusals_and_troubles_are_told_apart(void **state)
{
#define ERROR_BODY "{\"status\":\"error\",\"errorType\":\"x\",\"error\":\"too bad\"}"
	static const struct {
		struct turn turn;
		enum status status;
		const char *message;
	} CASES[] = {
		{{.code = 400, .body = ERROR_BODY}, E_INVALID, "too bad"},
		{{.code = 422, .body = ERROR_BODY}, E_INVALID, "too bad"},
		{{.code = 404, .body = "404 page not found"}, E_INVALID, "404"},
		{{.code = 302, .headers = "Location: http://127.0.0.1:1/\r\n"}, E_INVALID, "302"},
		{{.code = 401, .body = "no"}, E_DENIED, "prometheus.token"},
		{{.code = 403, .body = "no"}, E_DENIED, "prometheus.token"},
		{{.code = 429, .headers = "Retry-After: 7\r\n"}, E_RATE, "429"},
		{{.code = 500, .body = ERROR_BODY}, E_TRANSIENT, "too bad"},
		{{.code = 502, .body = "<html>"}, E_TRANSIENT, "502"},
		{{.code = 503, .body = ERROR_BODY}, E_TIMEOUT, "too bad"},
		{{.code = 499, .body = ERROR_BODY}, E_TIMEOUT, "too bad"},
		{{.code = 200, .body = "<html>welcome</html>"}, E_INVALID, "not JSON"},
		{{.code = 200, .body = VECTOR(ENTRY("1")), .act = ACT_CUT},
		 E_TRANSIENT,
		 "Prometheus: "},
		{{.act = ACT_RESET}, E_TRANSIENT, "Prometheus: "},
		{{.act = ACT_SILENT}, E_TIMEOUT, "Prometheus: "},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct scripted *s = scripted_start(mem, &CASES[n].turn, 1);
		struct prometheus p = peer(mem, scripted_url(s));
		struct query_result *r = NULL;
		p.timeout_ms = CASES[n].turn.act == ACT_SILENT ? 100 : 5000;
		p.bearer = "s3cret";
		enum status got = prometheus_query(mem, &p, "up", &r);
		if (got != CASES[n].status || strstr(status_message(), CASES[n].message) == NULL)
			fail_msg("case %zu: %s: %s", n, status_name(got), status_message());
		assert_null(strstr(status_message(), "s3cret"));
		assert_int_equal(status_retry_after_ms(), CASES[n].turn.code == 429 ? 7000 : 0);
		assert_null(r);
	}
}

static void nobody_listening_is_transient(void **state)
{
	SCOPE(mem);
	struct prometheus p = peer(mem, scripted_nobody(mem));
	struct query_result *r = NULL;

	(void)state;
	assert_int_equal(prometheus_query(mem, &p, "up", &r), E_TRANSIENT);
}

static void the_check_gives_the_version_when_there_is_one(void **state)
{
	static const struct {
		struct turn turns[2];
		enum status status;
		const char *version;
	} CASES[] = {
		{{{.match = "GET /-/ready ", .code = 200, .body = "Ready.\n"},
		  {.match = "GET /api/v1/status/buildinfo ",
		   .code = 200,
		   .body = DATA("{\"version\":\"2.42.0\"}")}},
		 OK,
		 "2.42.0"},
		{{{.match = "GET /-/ready ", .code = 200}, {.match = "buildinfo", .code = 404}},
		 OK,
		 NULL},
		{{{.match = "GET /-/ready ", .code = 200}, {.match = "buildinfo", .code = 401}},
		 E_DENIED,
		 NULL},
		{{{.match = "GET /-/ready ", .code = 503, .body = "starting"}}, E_TIMEOUT, NULL},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct scripted *s = scripted_start(mem, CASES[n].turns, 2);
		struct prometheus p = peer(mem, scripted_url(s));
		const char *version = "stale";
		assert_int_equal(prometheus_check(mem, &p, &version), CASES[n].status);
		assert_true(str_eq(version, CASES[n].version));
	}
}

static void several_queries_fail_one_by_one(void **state)
{
	static const struct turn TURNS[] = {
		{.match = "query=one", .code = 200, .body = VECTOR(ENTRY("0.999"))},
		{.match = "query=two",
		 .code = 503,
		 .body = "{\"status\":\"error\",\"error\":\"busy\"}"},
		{.match = "query=three", .code = 200, .body = "{oops"},
		{.match = "query=long", .code = 200, .body = VECTOR(ENTRY("7"))},
		{.match = "query=silent", .act = ACT_SILENT},
	};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct prometheus p = peer(mem, scripted_url(s));
	struct query_answer *a = NULL;
	char *lengthy = str_dup(mem, "long");

	(void)state;
	for (int n = 0; n < 200; n++)
		str_add(&lengthy, " + some_metric");
	const char *const exprs[] = {"one", "two", "three", lengthy};
	prometheus_query_all(mem, &p, exprs, 4, &a);
	assert_int_equal(a[0].status, OK);
	assert_true(a[0].result->samples[0].value == 0.999);
	assert_int_equal(a[1].status, E_TIMEOUT);
	assert_string_equal(a[1].message, "Prometheus: busy");
	assert_int_equal(a[2].status, E_INVALID);
	assert_null(a[2].result);
	assert_int_equal(a[3].status, OK);
	assert_int_equal(scripted_count(s, "GET /api/v1/query?query="), 3);
	assert_int_equal(scripted_count(s, "POST /api/v1/query HTTP"), 1);
	p.timeout_ms = 200;
	prometheus_query_all(mem, &p, &(const char *){"silent"}, 1, &a);
	assert_int_equal(a[0].status, E_TIMEOUT);
	prometheus_query_all(mem, &p, NULL, 0, &a);
	p.url = "ftp://x";
	prometheus_query_all(mem, &p, exprs, 1, &a);
	assert_int_equal(a[0].status, E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_a_vector_are_read),
		cmocka_unit_test(an_empty_vector_has_no_samples),
		cmocka_unit_test(a_scalar_is_one_sample_without_labels),
		cmocka_unit_test(warnings_are_kept_up_to_a_cap),
		cmocka_unit_test(answers_that_cannot_be_read_are_invalid),
		cmocka_unit_test(rules_of_the_name_are_found_in_all_groups),
		cmocka_unit_test(strange_durations_count_as_none),
		cmocka_unit_test(active_alerts_are_told_from_pending_ones),
		cmocka_unit_test(a_missing_list_is_not_an_empty_one),
		cmocka_unit_test(rules_and_alerts_of_wrong_types_are_invalid),
		cmocka_unit_test(a_query_is_a_form_with_every_byte_escaped),
		cmocka_unit_test(several_queries_fail_one_by_one),
		cmocka_unit_test(rules_and_alerts_are_asked_for_by_get),
		cmocka_unit_test(refusals_and_troubles_are_told_apart),
		cmocka_unit_test(nobody_listening_is_transient),
		cmocka_unit_test(the_check_gives_the_version_when_there_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
