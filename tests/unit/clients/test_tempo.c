#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "clients/tempo.h"
#include "scripted.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SERVICE(name) \
	"\"resource\":{\"attributes\":[{\"key\":\"pod\",\"value\":{\"stringValue\":\"p\"}}," \
	"{\"key\":\"service.name\",\"value\":{\"stringValue\":\"" name "\"}}]}"
#define RESOURCE(name, spans) \
	"{" SERVICE(name) ",\"scopeSpans\":[{\"scope\":{},\"spans\":[" spans "]}]}"
/* Tempo's own JSON: base64, names, strings */
#define BASE64_SPAN \
	"{\"traceId\":\"MUkZX/" \
	"sL7AU0e0jv6OzBsA==\",\"spanId\":\"SyPeJdH7ZkE=\",\"parentSpanId\":\"AAAAAAAAAAA=\"," \
	"\"name\":\"GET " \
	"/\",\"kind\":\"SPAN_KIND_SERVER\",\"startTimeUnixNano\":\"1636729665000000000\"," \
	"\"endTimeUnixNano\":\"1636729665000092000\",\"status\":{\"code\":\"STATUS_CODE_ERROR\"}}"
/* OTLP's: hex, integers, numbers */
#define HEX_SPAN \
	"{\"traceId\":\"3149195FFB0BEC05347B48EFE8ECC1B0\",\"spanId\":\"0102030405060708\"," \
	"\"parentSpanId\":\"4b23de25d1fb6641\",\"name\":\"SELECT\",\"kind\":3," \
	"\"startTimeUnixNano\":1636729665000010000,\"endTimeUnixNano\":1636729665000050000," \
	"\"status\":{\"code\":1}}"

static enum status decode(void *mem, const char *body, size_t limit, struct spans **out)
{
	return tempo_decode_trace(mem, body, strlen(body), limit, out);
}

static void both_kinds_of_ids_and_enums_are_read(void **state)
{
	SCOPE(mem);
	struct spans *s = NULL;

	(void)state;
	assert_int_equal(decode(mem,
				"{\"batches\":[" RESOURCE("cart", BASE64_SPAN) "," RESOURCE(
					"db", HEX_SPAN) "]}",
				100, &s),
			 OK);
	assert_int_equal(s->count, 2);
	const struct trace_span *a = &s->spans[0];
	const struct trace_span *b = &s->spans[1];
	assert_string_equal(a->trace_id, "3149195ffb0bec05347b48efe8ecc1b0");
	assert_string_equal(b->trace_id, a->trace_id);
	assert_string_equal(a->span_id, "4b23de25d1fb6641");
	assert_string_equal(a->parent_id, "");
	assert_string_equal(b->parent_id, a->span_id);
	assert_string_equal(a->service, "cart");
	assert_string_equal(b->service, "db");
	assert_string_equal(b->name, "SELECT");
	assert_true(a->failed && !b->failed);
	assert_true(a->start_us == INT64_C(1636729665000000) && a->duration_us == 92);
	assert_true(b->start_us == INT64_C(1636729665000010) && b->duration_us == 40);
	assert_false(s->cut);
}

static void all_three_frames_of_a_trace_are_read(void **state)
{
	static const char *const BODIES[] = {
		"{\"batches\":[" RESOURCE("a", HEX_SPAN) "]}",
		"{\"trace\":{\"resourceSpans\":[" RESOURCE("a", HEX_SPAN) "]},\"metrics\":{}}",
		"{\"resourceSpans\":[" RESOURCE("a", HEX_SPAN) "]}",
		"{\"batches\":[{\"instrumentationLibrarySpans\":[{\"spans\":[" HEX_SPAN "]}]}]}",
	};

	(void)state;
	for (size_t n = 0; n < COUNT(BODIES); n++) {
		SCOPE(mem);
		struct spans *s = NULL;
		assert_int_equal(decode(mem, BODIES[n], 100, &s), OK);
		assert_int_equal(s->count, 1);
	}
}

static void what_is_left_out_is_said(void **state)
{
	SCOPE(mem);
	struct spans *s = NULL;

	(void)state;
	assert_int_equal(
		decode(mem, "{\"batches\":[" RESOURCE("a", HEX_SPAN "," HEX_SPAN) "]}", 1, &s), OK);
	assert_true(s->count == 1 && s->cut);
	assert_int_equal(decode(mem,
				"{\"status\":\"PARTIAL\",\"trace\":{\"resourceSpans\":[" RESOURCE(
					"a", HEX_SPAN) "]}}",
				9, &s),
			 OK);
	assert_true(s->count == 1 && s->cut);
}

static void an_empty_trace_is_not_found(void **state)
{
	static const char *const BODIES[] = {"{}",
					     "{\"batches\":[]}",
					     "{\"trace\":{}}",
					     "{\"trace\":{\"resourceSpans\":[]}}",
					     "{\"trace\":null}",
					     "{\"batches\":null}",
					     "{\"batches\":[{\"scopeSpans\":[{}]}]}"};

	(void)state;
	for (size_t n = 0; n < COUNT(BODIES); n++) {
		SCOPE(mem);
		struct spans *s = NULL;
		assert_int_equal(decode(mem, BODIES[n], 9, &s), E_NOTFOUND);
		assert_null(s);
	}
}

static void traces_that_cannot_be_read_are_invalid(void **state)
{
#define SPAN(members) "{\"batches\":[" RESOURCE("a", "{" members "}") "]}"
	static const char *const BODIES[] = {
		"",
		"trace not found",
		"[]",
		"7",
		"{\"batches\":{}}",
		"{\"batches\":7}",
		SPAN(""),
		SPAN("\"traceId\":\"01\""),
		SPAN("\"traceId\":\"01\",\"spanId\":7"),
		SPAN("\"traceId\":\"x\",\"spanId\":\"01\""),
		SPAN("\"traceId\":\"01\",\"spanId\":\"SyPeJdH7ZkE=AAAA\""),
		SPAN("\"traceId\":\"01\",\"spanId\":\"01\",\"parentSpanId\":\"!!!!!!!!!!!=\""),
		SPAN("\"traceId\":\"0123456789012345678901234567890123456789\",\"spanId\":\"01\""),
	};

	(void)state;
	for (size_t n = 0; n < COUNT(BODIES); n++) {
		SCOPE(mem);
		struct spans *s = NULL;
		if (decode(mem, BODIES[n], 9, &s) != E_INVALID)
			fail_msg("taken: %s", BODIES[n]);
		assert_null(s);
	}
}

static void odd_members_of_a_span_do_no_harm(void **state)
{
	SCOPE(mem);
	struct spans *s = NULL;

	(void)state;
	assert_int_equal(decode(mem,
				SPAN("\"traceId\":\"a\",\"spanId\":\"b\",\"name\":7,"
				     "\"startTimeUnixNano\":\"soon\","
				     "\"endTimeUnixNano\":-5,\"status\":[]"),
				9, &s),
			 OK);
	assert_string_equal(s->spans[0].trace_id, "0000000000000000000000000000000a");
	assert_string_equal(s->spans[0].span_id, "000000000000000b");
	assert_string_equal(s->spans[0].name, "");
	assert_true(s->spans[0].start_us == 0 && s->spans[0].duration_us == 0 &&
		    !s->spans[0].failed);
}

static void found_traces_have_whole_ids(void **state)
{
	static const char BODY[] = "{\"traces\":[{\"traceID\":\"2f3e0cee77ae5dc9c17ade3689eb2e54\","
				   "\"rootServiceName\":\"shop\","
				   "\"rootTraceName\":\"update\",\"startTimeUnixNano\":"
				   "\"1684778327699392724\",\"durationMs\":557,"
				   "\"spanSets\":[{\"spans\":[],\"matched\":1}]},{\"traceID\":"
				   "\"af1\"}],\"metrics\":{\"inspectedBytes\":\"1\"}}";
	SCOPE(mem);
	struct found_trace *t = NULL;
	size_t count = 0;

	(void)state;
	assert_int_equal(tempo_decode_search(mem, BODY, strlen(BODY), &t, &count), OK);
	assert_int_equal(count, 2);
	assert_string_equal(t[0].id, "2f3e0cee77ae5dc9c17ade3689eb2e54");
	assert_true(t[0].duration_ms == 557 && t[0].start_ns == INT64_C(1684778327699392724));
	assert_string_equal(t[1].id, "00000000000000000000000000000af1");
	assert_int_equal(tempo_decode_search(mem, "{\"metrics\":{}}", 14, &t, &count), OK);
	assert_int_equal(count, 0);
}

static void searches_that_cannot_be_read_are_invalid(void **state)
{
	static const char *const BODIES[] = {"",
					     "invalid TraceQL query",
					     "[]",
					     "{\"traces\":7}",
					     "{\"traces\":{}}",
					     "{\"traces\":[7]}",
					     "{\"traces\":[{}]}",
					     "{\"traces\":[{\"traceID\":\"../x\"}]}",
					     "{\"traces\":[{\"traceID\":7}]}",
					     "{\"traces\":[{\"traceID\":\"\"}]}"};

	(void)state;
	for (size_t n = 0; n < COUNT(BODIES); n++) {
		SCOPE(mem);
		struct found_trace *t = NULL;
		size_t count = 0;
		if (tempo_decode_search(mem, BODIES[n], strlen(BODIES[n]), &t, &count) != E_INVALID)
			fail_msg("taken: %s", BODIES[n]);
		assert_null(t);
	}
}

static struct backend peer(void *mem, const char *url)
{
	return tempo_backend(scripted_client(mem), url, "t0ken", "team-a", NULL, 5000);
}

static void requests_name_whole_seconds_and_the_tenant(void **state)
{
	static const struct turn TURNS[] = {
		{.match = "/api/search",
		 .code = 200,
		 .body = "{\"traces\":[{\"traceID\":\"af1\"}]}"},
		{.match = "/api/traces",
		 .code = 200,
		 .body = "{\"batches\":[" RESOURCE("a", HEX_SPAN) "]}"}};
	static const struct tempo_query QUERY = {"{ resource.service.name = \"a&b\" }", 1999, 3001,
						 20};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct backend b = peer(mem, scripted_url(s));
	struct found_trace *t = NULL;
	struct spans *spans = NULL;
	size_t count = 0;

	(void)state;
	assert_int_equal(tempo_search(mem, &b, &QUERY, &t, &count), OK);
	assert_int_equal(count, 1);
	assert_int_equal(tempo_trace(mem, &b, t[0].id, 1999, 3001, &spans), OK);
	assert_int_equal(spans->count, 1);
	assert_non_null(strcasestr(scripted_request(s, 0),
				   "GET "
				   "/api/"
				   "search?q=%7B%20resource.service.name%20%3D%20%"
				   "22a%26b%22%20%7D&limit=20&start=1&end=4 HTTP"));
	assert_non_null(
		strstr(scripted_request(s, 1),
		       "GET /api/traces/00000000000000000000000000000af1?start=1&end=4 HTTP"));
	assert_true(scripted_has_line(s, 1, "X-Scope-OrgID: team-a"));
	assert_true(scripted_has_line(s, 1, "Authorization: Bearer t0ken"));
}

static void refusals_and_troubles_are_told_apart(void **state)
{
	static const struct {
		struct turn turn;
		enum status status;
		const char *message;
	} CASES[] = {
		{{.code = 400, .body = "invalid TraceQL query: parse error"},
		 E_INVALID,
		 "Tempo answered 400: invalid TraceQL"},
		{{.code = 401, .body = "no org id"}, E_DENIED, "tempo.tenant: no org id"},
		{{.code = 404, .body = "trace not found"}, E_NOTFOUND, "trace not found"},
		{{.code = 422, .body = "trace exceeds max size"}, E_INVALID, "max size"},
		{{.code = 429, .headers = "Retry-After: 7\r\n"}, E_RATE, "429"},
		{{.code = 500, .body = "oops"}, E_TRANSIENT, "500: oops"},
		{{.code = 504, .body = "slow"}, E_TIMEOUT, "504"},
		{{.code = 200, .body = "welcome"}, E_INVALID, "not a JSON object"},
		{{.code = 200, .body = "{}"}, E_NOTFOUND, "does not have"},
		{{.code = 200, .body = "{\"batches\":[]}", .act = ACT_CUT}, E_TRANSIENT, "Tempo: "},
		{{.act = ACT_RESET}, E_TRANSIENT, "Tempo: "},
		{{.act = ACT_SILENT}, E_TIMEOUT, "Tempo: "},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct scripted *s = scripted_start(mem, &CASES[n].turn, 1);
		struct backend b = peer(mem, scripted_url(s));
		struct spans *spans = NULL;
		b.timeout_ms = CASES[n].turn.act == ACT_SILENT ? 100 : 5000;
		enum status got = tempo_trace(mem, &b, "af1", 0, 1000, &spans);
		if (got != CASES[n].status || strstr(status_message(), CASES[n].message) == NULL)
			fail_msg("case %zu: %s: %s", n, status_name(got), status_message());
		assert_null(strstr(status_message(), "t0ken"));
		assert_null(spans);
	}
}

static void the_check_asks_the_api(void **state)
{
	static const struct turn GOOD[] = {
		{.match = "GET /ready ", .code = 200},
		{.match = "/api/search/tags", .code = 200, .body = "{}"},
		{.match = "buildinfo", .code = 200, .body = "{\"version\":\"2.9.0\"}"}};
	static const struct turn DENIED[] = {{.match = "GET /ready ", .code = 200},
					     {.match = "/api/search/tags", .code = 401}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, GOOD, 3);
	struct scripted *d = scripted_start(mem, DENIED, 2);
	struct backend good = peer(mem, scripted_url(s));
	struct backend denied = peer(mem, scripted_url(d));
	const char *version = NULL;

	(void)state;
	assert_int_equal(tempo_check(mem, &good, &version), OK);
	assert_string_equal(version, "2.9.0");
	assert_int_equal(tempo_check(mem, &denied, &version), E_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_kinds_of_ids_and_enums_are_read),
		cmocka_unit_test(all_three_frames_of_a_trace_are_read),
		cmocka_unit_test(what_is_left_out_is_said),
		cmocka_unit_test(an_empty_trace_is_not_found),
		cmocka_unit_test(traces_that_cannot_be_read_are_invalid),
		cmocka_unit_test(odd_members_of_a_span_do_no_harm),
		cmocka_unit_test(found_traces_have_whole_ids),
		cmocka_unit_test(searches_that_cannot_be_read_are_invalid),
		cmocka_unit_test(requests_name_whole_seconds_and_the_tenant),
		cmocka_unit_test(refusals_and_troubles_are_told_apart),
		cmocka_unit_test(the_check_asks_the_api),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
