#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/trace.h"
#include "clients/function.h"
#include "scripted.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define RESPONSE "io.knative.lambda.response."
#define RUNTIME(body) \
	"{\"functionName\":\"shop-fix\",\"namespace\":\"ai\",\"invocationId\":\"c-1\"," \
	"\"correlationId\":\"c-1\"," \
	"\"result\":{\"statusCode\":200,\"body\":" body \
	"},\"metrics\":{\"durationMs\":5,\"coldStart\":false}}"
#define EXCEPTION(retryable) \
	"{\"error\":{\"code\":\"KeyError\",\"message\":\"no such pod\"," retryable \
	"\"stack\":\"File x\"}}"
#define EVENT(type, data) \
	"{\"specversion\":\"1.0\",\"id\":\"r-1\",\"source\":\"io.knative.lambda/" \
	"shop-fix\",\"type\":\"" RESPONSE type \
	"\",\"datacontenttype\":\"application/json\",\"data\":" data "}"

enum mode { PLAIN, BINARY_SUCCESS, BINARY_ERROR, BINARY_TIMEOUT, STRUCTURED };

struct shape {
	const char *what;
	long code;
	enum mode mode;
	const char *body;
	enum call_result result;
	const char *message;
	bool retryable, cannot_fix;
};

static const char *const *headers_of(enum mode mode)
{
	static const char *const HEADERS[][5] = {
		[PLAIN] = {"content-type", "application/json"},
		[BINARY_SUCCESS] = {"content-type", "application/json", "ce-type",
				    RESPONSE "success"},
		[BINARY_ERROR] = {"content-type", "application/json", "ce-type", RESPONSE "error"},
		[BINARY_TIMEOUT] = {"content-type", "application/json", "ce-type",
				    RESPONSE "timeout"},
		[STRUCTURED] = {"content-type", "Application/CloudEvents+JSON; charset=utf-8"},
	};

	return HEADERS[mode];
}

static void every_shape_of_reply_is_read(void **state)
{
	static const struct shape SHAPES[] = {
		{"1 success", 200, BINARY_SUCCESS,
		 RUNTIME("{\"status\":\"success\",\"message\":\"scaled\"}"), CALL_SUCCESS, "scaled",
		 false, false},
		{"1 success without words", 200, BINARY_SUCCESS,
		 RUNTIME("{\"status\":\"success\"}"), CALL_SUCCESS, "", false, false},
		{"1 failure", 200, BINARY_SUCCESS,
		 RUNTIME("{\"status\":\"error\",\"message\":\"no quota\"}"), CALL_FAILED,
		 "no quota", false, false},
		{"1 failed", 200, BINARY_SUCCESS, RUNTIME("{\"status\":\"failed\"}"), CALL_FAILED,
		 "the function reports an error", false, false},
		{"1 no status", 200, BINARY_SUCCESS, RUNTIME("{\"scaled\":2}"), CALL_UNKNOWN,
		 "no status", false, false},
		{"1 unknown status", 200, BINARY_SUCCESS, RUNTIME("{\"status\":\"queued\"}"),
		 CALL_UNKNOWN, "no status", false, false},
		{"1 status of a wrong type", 200, BINARY_SUCCESS, RUNTIME("{\"status\":true}"),
		 CALL_UNKNOWN, "no status", false, false},
		{"1 body is text", 200, BINARY_SUCCESS, RUNTIME("\"success\""), CALL_UNKNOWN,
		 "no status", false, false},
		{"1 body is null", 200, BINARY_SUCCESS, RUNTIME("null"), CALL_UNKNOWN, "no status",
		 false, false},
		{"1 inner status code", 200, BINARY_SUCCESS,
		 "{\"result\":{\"statusCode\":500,\"body\":{\"status\":\"success\"}}}", CALL_FAILED,
		 "500", false, false},
		{"2 exception that may pass", 500, BINARY_ERROR, EXCEPTION("\"retryable\":true,"),
		 CALL_FAILED, "no such pod", true, false},
		{"2 exception that stays", 500, BINARY_ERROR, EXCEPTION("\"retryable\":false,"),
		 CALL_FAILED, "no such pod", false, true},
		{"2 exception that does not say", 500, BINARY_ERROR, EXCEPTION(""), CALL_FAILED,
		 "no such pod", false, false},
		{"2 exception without a body", 500, BINARY_ERROR, "", CALL_FAILED, "500", false,
		 false},
		{"3 timeout", 504, BINARY_TIMEOUT,
		 "{\"error\":{\"message\":\"30 s\",\"retryable\":true}}", CALL_UNKNOWN,
		 "ran out of time", false, false},
		{"3 timeout without an event", 504, PLAIN, "upstream timed out", CALL_UNKNOWN,
		 "ran out of time", false, false},
		{"3 timeout that says success", 504, BINARY_TIMEOUT,
		 RUNTIME("{\"status\":\"success\"}"), CALL_UNKNOWN, "ran out of time", false,
		 false},
		{"4 plain success", 200, PLAIN,
		 "{\"status\":\"success\",\"message\":\"restarted\"}", CALL_SUCCESS, "restarted",
		 false, false},
		{"4 plain failure", 200, PLAIN, "{\"status\":\"error\",\"message\":\"denied\"}",
		 CALL_FAILED, "denied", false, false},
		{"4 plain exception", 500, PLAIN, "{\"status\":\"error\",\"message\":\"boom\"}",
		 CALL_FAILED, "boom", false, false},
		{"5 event with status", 200, BINARY_SUCCESS,
		 "{\"status\":\"success\",\"message\":\"ok\"}", CALL_SUCCESS, "ok", false, false},
		{"5 event with error", 200, BINARY_SUCCESS,
		 "{\"status\":\"error\",\"message\":\"bad\"}", CALL_FAILED, "bad", false, false},
		{"5 error event that says success", 200, BINARY_ERROR, "{\"status\":\"success\"}",
		 CALL_FAILED, "the runtime reports an error", false, false},
		{"6 structured 1", 200, STRUCTURED,
		 EVENT("success", RUNTIME("{\"status\":\"success\",\"message\":\"done\"}")),
		 CALL_SUCCESS, "done", false, false},
		{"6 structured 1 failure", 200, STRUCTURED,
		 EVENT("success", RUNTIME("{\"status\":\"error\"}")), CALL_FAILED,
		 "the function reports an error", false, false},
		{"6 structured 2", 500, STRUCTURED,
		 EVENT("error", EXCEPTION("\"retryable\":false,")), CALL_FAILED, "no such pod",
		 false, true},
		{"6 structured 3", 504, STRUCTURED, EVENT("timeout", "{}"), CALL_UNKNOWN,
		 "ran out of time", false, false},
		{"6 structured 5", 200, STRUCTURED, EVENT("success", "{\"status\":\"success\"}"),
		 CALL_SUCCESS, "", false, false},
		{"6 structured error event that says success", 200, STRUCTURED,
		 EVENT("error", "{\"status\":\"success\"}"), CALL_FAILED,
		 "the runtime reports an error", false, false},
		{"6 structured without data", 200, STRUCTURED,
		 "{\"type\":\"" RESPONSE "success\",\"status\":\"success\"}", CALL_UNKNOWN,
		 "no status", false, false},
		{"7 failed import", 200, PLAIN,
		 "{\"success\":false,\"error\":\"No module named shop\"}", CALL_FAILED,
		 "No module named shop", false, false},
		{"7 failed import inside", 200, BINARY_SUCCESS, RUNTIME("{\"success\":false}"),
		 CALL_FAILED, "the function did not start", false, false},
		{"7 and a status", 200, PLAIN, "{\"success\":false,\"status\":\"success\"}",
		 CALL_FAILED, "the function did not start", false, false},
		{"7 success alone is no status", 200, PLAIN, "{\"success\":true}", CALL_UNKNOWN,
		 "no status", false, false},
		{"8 error object", 200, PLAIN,
		 "{\"error\":{\"type\":\"Timeout\",\"code\":\"E1\",\"message\":\"late\","
		 "\"retryable\":true,"
		 "\"stackTrace\":\"secret\"},\"dlq\":{\"routed\":true,\"queueName\":\"q\"}}",
		 CALL_FAILED, "late", true, false},
		{"8 error object beside a status", 200, PLAIN,
		 "{\"status\":\"success\",\"error\":{\"message\":\"late\"}}", CALL_FAILED, "late",
		 false, false},
		{"8 error object that stays", 422, PLAIN,
		 "{\"error\":{\"message\":\"bad\",\"retryable\":false}}", CALL_FAILED, "bad", false,
		 true},
		{"9 empty", 200, PLAIN, "", CALL_UNKNOWN, "not a JSON object", false, false},
		{"9 accepted only", 202, PLAIN, "", CALL_UNKNOWN, "not a JSON object", false,
		 false},
		{"9 page", 200, PLAIN, "<html>success</html>", CALL_UNKNOWN, "not a JSON object",
		 false, false},
		{"9 text", 200, PLAIN, "\"success\"", CALL_UNKNOWN, "not a JSON object", false,
		 false},
		{"9 list", 200, PLAIN, "[{\"status\":\"success\"}]", CALL_UNKNOWN,
		 "not a JSON object", false, false},
		{"9 truncated", 200, PLAIN, "{\"status\":\"success\"", CALL_UNKNOWN,
		 "not a JSON object", false, false},
		{"9 two answers", 200, PLAIN, "{\"status\":\"success\"}{}", CALL_UNKNOWN,
		 "not a JSON object", false, false},
		{"9 two statuses", 200, PLAIN, "{\"status\":\"success\",\"status\":\"error\"}",
		 CALL_UNKNOWN, "not a JSON object", false, false},
		{"9 empty object", 200, PLAIN, "{}", CALL_UNKNOWN, "no status", false, false},
		{"9 other spelling", 200, PLAIN, "{\"status\":\"SUCCESS\"}", CALL_UNKNOWN,
		 "no status", false, false},
		{"9 too early", 503, PLAIN, "no healthy upstream", CALL_FAILED, "503", true, false},
		{"9 too many", 429, PLAIN, "", CALL_FAILED, "429", true, false},
		{"a 503 of the function's own", 503, PLAIN,
		 "{\"status\":\"error\",\"message\":\"database\"}", CALL_FAILED, "database", false,
		 false},
		{"a 503 of the runtime", 503, BINARY_ERROR, "", CALL_FAILED, "503", false, false},
		{"a lost reply", 502, PLAIN, "<html>Bad Gateway</html>", CALL_UNKNOWN, "502", false,
		 false},
		{"a 500 of nobody", 500, PLAIN, "oops", CALL_UNKNOWN, "500", false, false},
		{"a success with 500", 500, PLAIN, "{\"status\":\"success\"}", CALL_FAILED, "500",
		 false, false},
		{"a success with 404", 404, PLAIN, "{\"status\":\"success\"}", CALL_FAILED, "404",
		 false, true},
		{"no such function", 404, PLAIN, "not found", CALL_FAILED, "404", false, true},
		{"bad parameters", 400, PLAIN,
		 "{\"status\":\"error\",\"message\":\"name is needed\"}", CALL_FAILED,
		 "name is needed", false, true},
		{"denied", 401, PLAIN, "", CALL_FAILED, "401", false, true},
		{"in progress", 409, PLAIN, "", CALL_FAILED, "409", false, false},
		{"elsewhere", 302, PLAIN, "{\"status\":\"success\"}", CALL_FAILED, "redirect",
		 false, false},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(SHAPES); n++) {
		SCOPE(mem);
		const struct shape *want = &SHAPES[n];
		struct function_reply *got = NULL;
		function_decode(mem,
				scripted_reply(mem, want->code, headers_of(want->mode), want->body),
				0, &got);
		if (got->result != want->result || got->retryable != want->retryable ||
		    got->cannot_fix != want->cannot_fix)
			fail_msg("%s: result %d, retryable %d, cannot fix %d", want->what,
				 got->result, got->retryable, got->cannot_fix);
		if (want->message[0] == '\0' ? got->message[0] != '\0'
					     : strstr(got->message, want->message) == NULL)
			fail_msg("%s: %s", want->what, got->message);
		assert_null(strstr(got->message, "secret"));
		assert_int_equal(got->http_code, want->code);
	}
}

static void what_was_not_sent_cannot_have_had_an_effect(void **state)
{
	static const struct {
		enum status status;
		enum http_progress progress;
		enum call_result result;
		bool retryable;
	} CASES[] = {
		{E_TRANSIENT, HTTP_NOT_SENT, CALL_FAILED, true},
		{E_TIMEOUT, HTTP_NOT_SENT, CALL_FAILED, true},
		{E_INVALID, HTTP_NOT_SENT, CALL_FAILED, false},
		{E_TRANSIENT, HTTP_SENT, CALL_UNKNOWN, false},
		{E_TIMEOUT, HTTP_SENT, CALL_UNKNOWN, false},
		{E_INVALID, HTTP_SENT, CALL_UNKNOWN, false},
		{E_CANCELED, HTTP_SENT, CALL_UNKNOWN, false},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		const struct http_reply r = {
			.status = CASES[n].status, .progress = CASES[n].progress, .message = "why"};
		struct function_reply *got = NULL;
		function_decode(mem, &r, 0, &got);
		assert_int_equal(got->result, CASES[n].result);
		assert_int_equal(got->retryable, CASES[n].retryable);
		assert_string_equal(got->message, "why");
		assert_string_equal(got->correlation_id, "");
		assert_int_equal(got->http_code, 0);
	}
}

static void the_pause_and_the_correlation_are_read(void **state)
{
	static const char *const HEADERS[] = {"retry-after", "4", "x-correlation-id", "c-9", NULL};
	SCOPE(mem);
	struct function_reply *got = NULL;

	(void)state;
	function_decode(mem, scripted_reply(mem, 429, HEADERS, ""), 0, &got);
	assert_int_equal(got->retry_after_ms, 4000);
	assert_string_equal(got->correlation_id, "c-9");
}

static void long_words_are_cut(void **state)
{
	SCOPE(mem);
	struct function_reply *got = NULL;
	char *words = str_fmt(mem, "{\"status\":\"error\",\"message\":\"%0*d\"}", 5000, 7);

	(void)state;
	function_decode(mem, scripted_reply(mem, 200, NULL, words), 0, &got);
	assert_int_equal(got->result, CALL_FAILED);
	assert_in_range(strlen(got->message), 400, 510);
}

static struct function_options options(void *mem, const char *gateway)
{
	return (struct function_options){.http = scripted_client(mem),
					 .scheme = "http",
					 .domain = "svc.cluster.local",
					 .gateway = gateway};
}

static struct function_call call(void *mem)
{
	return (struct function_call){
		.function = "shop-fix",
		.namespace = "ai",
		.parameters = mem_own(mem, json_pack("{s:s, s:i}", "pod", "cart-0", "count", 2)),
		.correlation_id = "corr-1",
		.idempotency_key = "key-1",
		.now_ms = 1768473900000,
		.timeout_ms = 5000,
	};
}

static void a_call_is_a_cloudevent_in_binary_mode(void **state)
{
	static const struct turn TURNS[] = {
		{.code = 200,
		 .headers = "Content-Type: application/json\r\nX-Correlation-ID: corr-1\r\n",
		 .body = "{\"status\":\"success\",\"message\":\"ok\"}"}};
	static const char *const LINES[] = {
		"Host: shop-fix.ai.svc.cluster.local",
		"ce-specversion: 1.0",
		"ce-type: io.homelab.agent-sre.remediation.request",
		"ce-source: agent-sre",
		"ce-id: corr-1",
		"ce-time: 2026-01-15T10:45:00Z",
		"ce-correlationid: corr-1",
		"ce-idempotencykey: key-1",
		"X-Correlation-ID: corr-1",
		"Idempotency-Key: key-1",
		"Content-Type: application/json",
		"Authorization: Bearer t0ken",
	};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, 1);
	struct function_options o = options(mem, scripted_address(s));
	const struct function_call c = call(mem);
	struct function_reply *r = NULL;
	struct span span;
	char parent[40];

	(void)state;
	o.bearer = "t0ken";
	span_begin(&span, "test", SPAN_INTERNAL, NULL);
	assert_int_equal(function_invoke(mem, &o, &c, &r), OK);
	assert_ptr_equal(span_current(), &span);
	str_print(parent, sizeof(parent), "traceparent: 00-%.16s", span.self.trace_id);
	span_end(&span);
	assert_int_equal(r->result, CALL_SUCCESS);
	assert_string_equal(r->message, "ok");
	assert_string_equal(r->correlation_id, "corr-1");
	assert_true(str_starts(scripted_request(s, 0), "POST / HTTP/1.1\r\n"));
	for (size_t n = 0; n < COUNT(LINES); n++)
		if (!scripted_has_line(s, 0, LINES[n]))
			fail_msg("'%s' is not in %s", LINES[n], scripted_request(s, 0));
	assert_non_null(strstr(scripted_request(s, 0), parent));
	assert_null(strstr(scripted_request(s, 0),
			   span.self.span_id)); /* the call has a span of its own */
	assert_null(strcasestr(scripted_request(s, 0), "\r\nexpect:"));
	assert_string_equal(scripted_body(s, 0), "{\"count\":2,\"pod\":\"cart-0\"}");
	assert_int_equal(scripted_connections(s), 1);
}

static void without_a_token_there_is_no_authorization(void **state)
{
	static const struct turn TURNS[] = {{.code = 200, .body = "{\"status\":\"success\"}"}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, 1);
	const struct function_options o = options(mem, scripted_address(s));
	const struct function_call c = call(mem);
	struct function_reply *r = NULL;

	(void)state;
	assert_int_equal(function_invoke(mem, &o, &c, &r), OK);
	assert_null(strcasestr(scripted_request(s, 0), "authorization"));
}

static void what_is_no_name_opens_no_connection(void **state)
{
	static const char *const NAMES[] = {
		"",
		"attacker.example/x?",
		"attacker.example",
		"a.b",
		"a/b",
		"a:80",
		"a@b",
		"UPPER",
		"-a",
		"a-",
		"a b",
		"a\r\nHost: b",
		"127.0.0.1",
		"[::1]",
		"a#",
		"a%2e",
		"\xc3\xa9",
		"..",
		"a_b",
		"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg",
	};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, NULL, 0);
	const struct function_options o = options(mem, scripted_address(s));
	struct function_reply *r = NULL;

	(void)state;
	for (size_t n = 0; n < COUNT(NAMES); n++) {
		struct function_call c = call(mem);
		c.function = NAMES[n];
		assert_int_equal(function_invoke(mem, &o, &c, &r), E_DENIED);
		c.function = "shop-fix";
		c.namespace = NAMES[n];
		assert_int_equal(function_invoke(mem, &o, &c, &r), E_DENIED);
	}
	assert_null(r);
	assert_int_equal(scripted_connections(s), 0);
}

static void a_hostile_value_begins_no_header(void **state)
{
	static const struct turn TURNS[] = {{.code = 200, .body = "{\"status\":\"success\"}"}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, 1);
	const struct function_options o = options(mem, scripted_address(s));
	struct function_call c = call(mem);
	struct function_reply *r = NULL;

	(void)state;
	c.correlation_id = "x\r\nHost: elsewhere";
	assert_int_equal(function_invoke(mem, &o, &c, &r), OK);
	assert_false(scripted_has_line(s, 0, "Host: elsewhere"));
}

static void a_call_is_sent_once_whatever_becomes_of_it(void **state)
{
	static const struct {
		struct turn turn;
		enum call_result result;
		bool retryable;
	} CASES[] = {
		{{.act = ACT_SILENT}, CALL_UNKNOWN, false},
		{{.act = ACT_RESET}, CALL_UNKNOWN, false},
		{{.act = ACT_CUT, .code = 200, .body = "{\"status\":\"success\"}"},
		 CALL_UNKNOWN,
		 false},
		{{.code = 503}, CALL_FAILED, true},
		{{.code = 307, .headers = "Location: /elsewhere\r\n"}, CALL_FAILED, false},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct scripted *s = scripted_start(mem, &CASES[n].turn, 1);
		const struct function_options o = options(mem, scripted_address(s));
		struct function_call c = call(mem);
		struct function_reply *r = NULL;
		c.timeout_ms = CASES[n].turn.act == ACT_SILENT ? 150 : 5000;
		assert_int_equal(function_invoke(mem, &o, &c, &r), OK);
		assert_int_equal(r->result, CASES[n].result);
		assert_int_equal(r->retryable, CASES[n].retryable);
		assert_false(r->cannot_fix);
		assert_int_equal(scripted_count(s, "POST / "), 1);
	}
}

static void nobody_listening_may_be_tried_again(void **state)
{
	SCOPE(mem);
	const struct function_options o = options(mem, scripted_nobody(mem) + strlen("http://"));
	const struct function_call c = call(mem);
	struct function_reply *r = NULL;

	(void)state;
	assert_int_equal(function_invoke(mem, &o, &c, &r), OK);
	assert_int_equal(r->result, CALL_FAILED);
	assert_true(r->retryable);
	assert_true(r->message[0] != '\0');
}

struct stopper {
	struct scripted *server;
	struct http_client *http;
};

static void *stop_when_sent(void *arg)
{
	const struct stopper *s = arg;

	while (scripted_count(s->server, "POST / ") == 0)
		;
	http_client_stop(s->http);
	return NULL;
}

static void stopping_tells_a_call_that_was_sent_from_one_that_was_not(void **state)
{
	static const struct turn TURNS[] = {{.act = ACT_SILENT}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, 1);
	const struct function_options o = options(mem, scripted_address(s));
	struct function_call c = call(mem);
	struct function_reply *r = NULL;
	struct stopper stopper = {s, o.http};
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, stop_when_sent, &stopper), 0);
	assert_int_equal(function_invoke(mem, &o, &c, &r), OK);
	pthread_join(thread, NULL);
	assert_int_equal(r->result, CALL_UNKNOWN);
	assert_false(r->retryable);
	assert_int_equal(function_invoke(mem, &o, &c, &r), E_CANCELED);
	assert_int_equal(scripted_connections(s), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_shape_of_reply_is_read),
		cmocka_unit_test(what_was_not_sent_cannot_have_had_an_effect),
		cmocka_unit_test(the_pause_and_the_correlation_are_read),
		cmocka_unit_test(long_words_are_cut),
		cmocka_unit_test(a_call_is_a_cloudevent_in_binary_mode),
		cmocka_unit_test(without_a_token_there_is_no_authorization),
		cmocka_unit_test(what_is_no_name_opens_no_connection),
		cmocka_unit_test(a_hostile_value_begins_no_header),
		cmocka_unit_test(a_call_is_sent_once_whatever_becomes_of_it),
		cmocka_unit_test(nobody_listening_may_be_tried_again),
		cmocka_unit_test(stopping_tells_a_call_that_was_sent_from_one_that_was_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
