#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "clients/otlp.h"
#include "scripted.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { NEVER_MS = 600000, WAIT_MS = 20000, QUEUE = 4096 };

static struct span span(const char *trace_id)
{
	struct span s = {.name = "alert.process",
			 .kind = SPAN_SERVER,
			 .start_ms = 1768473900123,
			 .end_ms = 1768473901000,
			 .parent_span_id = "00f067aa0ba902b7"};

	str_print(s.self.trace_id, sizeof(s.self.trace_id), "%s", trace_id);
	str_print(s.self.span_id, sizeof(s.self.span_id), "b7ad6b7169203331");
	return s;
}

static const char TRACE[] = "4bf92f3577b34da6a3ce929d0e0e4736";

static struct otlp_options options(void *mem, const char *endpoint)
{
	return (struct otlp_options){.http = scripted_client(mem),
				     .endpoint = endpoint,
				     .service_name = "agent-sre",
				     .service_namespace = "sre",
				     .service_version = "1",
				     .environment = "test",
				     .sample_ratio = 1,
				     .flush_ms = 20};
}

static void a_span_is_encoded_as_the_protocol_wants(void **state)
{
	SCOPE(mem);
	struct span s = span(TRACE);

	(void)state;
	s.attributes = mem_own(mem, json_pack("{s:s}", "alertname", "CartSlow"));
	assert_string_equal(
		json_text(mem, otlp_encode_span(mem, &s)),
		"{\"attributes\":[{\"key\":\"alertname\",\"value\":{\"stringValue\":\"CartSlow\"}}]"
		","
		"\"endTimeUnixNano\":\"1768473901000000000\",\"kind\":2,\"name\":\"alert.process\","
		"\"parentSpanId\":\"00f067aa0ba902b7\",\"spanId\":\"b7ad6b7169203331\","
		"\"startTimeUnixNano\":\"1768473900123000000\",\"status\":{\"code\":1},"
		"\"traceId\":\"4bf92f3577b34da6a3ce929d0e0e4736\"}");
}

static void a_failed_root_span_has_a_message_and_no_parent(void **state)
{
	SCOPE(mem);
	struct span s = span(TRACE);

	(void)state;
	s.parent_span_id[0] = '\0';
	str_print(s.error, sizeof(s.error), "no \"answer\"");
	const json_t *got = otlp_encode_span(mem, &s);
	assert_null(json_object_get(got, "parentSpanId"));
	assert_string_equal(json_text(mem, json_object_get(got, "status")),
			    "{\"code\":2,\"message\":\"no \\\"answer\\\"\"}");
	assert_string_equal(json_text(mem, json_object_get(got, "attributes")), "[]");
}

static void a_request_names_its_resource(void **state)
{
	SCOPE(mem);
	const struct otlp_options o = options(mem, "http://c:4318");
	const struct span s = span(TRACE);
	json_t *spans[] = {otlp_encode_span(mem, &s), otlp_encode_span(mem, &s)};
	json_t *got = NULL;
	json_t *resource, *scopes;
	const char *name;

	(void)state;
	const char *text = otlp_encode_request(mem, &o, spans, 2);
	assert_int_equal(json_parse(mem, text, strlen(text), &got), OK);
	assert_int_equal(json_unpack(got, "{s:[{s:o, s:[{s:{s:s}, s:o}]}]}", "resourceSpans",
				     "resource", &resource, "scopeSpans", "scope", "name", &name,
				     "spans", &scopes),
			 0);
	assert_int_equal(json_array_size(scopes), 2);
	assert_string_equal(name, "agent-sre");
	text = json_text(mem, resource);
	assert_non_null(strstr(
		text, "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"agent-sre\"}}"));
	assert_non_null(strstr(
		text, "{\"key\":\"service.namespace\",\"value\":{\"stringValue\":\"sre\"}}"));
	assert_non_null(
		strstr(text, "{\"key\":\"service.version\",\"value\":{\"stringValue\":\"1\"}}"));
	assert_non_null(strstr(
		text, "{\"key\":\"deployment.environment\",\"value\":{\"stringValue\":\"test\"}}"));
}

static struct otlp *start(void *mem, const struct otlp_options *o)
{
	struct otlp *out = NULL;

	assert_int_equal(otlp_start(mem, o, &out), OK);
	return out;
}

static void await(struct scripted *s, size_t posts)
{
	int64_t until = clock_monotonic() + WAIT_MS;

	while (scripted_count(s, "POST ") < posts) {
		if (clock_monotonic() > until)
			fail_msg("%zu posts in place of %zu", scripted_count(s, "POST "), posts);
		poll(NULL, 0, 5);
	}
}

static double dropped(void)
{
	return metric_value(M_SPANS_DROPPED);
}

static void spans_are_posted_as_json(void **state)
{
	static const struct turn TURNS[] = {{.code = 200, .body = "{}"}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, 1);
	const struct otlp_options o = options(mem, scripted_url(s));
	const struct span one = span(TRACE);
	double before = dropped();
	struct otlp *otlp = start(mem, &o);

	(void)state;
	otlp_span(&one, otlp);
	await(s, 1);
	otlp_stop(otlp);
	assert_true(str_starts(scripted_request(s, 0), "POST /v1/traces HTTP/1.1\r\n"));
	assert_true(scripted_has_line(s, 0, "Content-Type: application/json"));
	assert_non_null(strstr(scripted_body(s, 0), "\"spanId\":\"b7ad6b7169203331\""));
	assert_null(strcasestr(scripted_request(s, 0), "traceparent"));
	assert_int_equal(scripted_count(s, "POST "), 1);
	assert_true(dropped() == before);
}

static void an_endpoint_may_name_the_path_or_leave_out_the_scheme(void **state)
{
	static const struct turn TURNS[] = {
		{.match = "POST /v1/traces ", .code = 200, .always = true}};
	static const char *const FORMS[] = {"http://%s", "http://%s/", "%s", "http://%s/v1/traces"};

	(void)state;
	for (size_t n = 0; n < COUNT(FORMS); n++) {
		SCOPE(mem);
		struct scripted *s = scripted_start(mem, TURNS, 1);
		const char *percent = strstr(FORMS[n], "%s");
		const char *endpoint = str_fmt(mem, "%.*s%s%s", (int)(percent - FORMS[n]), FORMS[n],
					       scripted_address(s), percent + 2);
		const struct otlp_options o = options(mem, endpoint);
		const struct span one = span(TRACE);
		struct otlp *otlp = start(mem, &o);
		otlp_span(&one, otlp);
		otlp_stop(otlp);
		assert_int_equal(scripted_count(s, "POST /v1/traces "), 1);
	}
}

static void what_is_no_endpoint_is_refused(void **state)
{
	static const char *const ENDPOINTS[] = {"ftp://c:4318", "http://", "http://a b:4318",
						"c:port"};

	(void)state;
	for (size_t n = 0; n < COUNT(ENDPOINTS); n++) {
		SCOPE(mem);
		const struct otlp_options o = options(mem, ENDPOINTS[n]);
		struct otlp *out = NULL;
		assert_int_equal(otlp_start(mem, &o, &out), E_INVALID);
	}
}

static void what_may_heal_is_sent_again(void **state)
{
	static const struct turn TROUBLES[] = {
		{.code = 429}, {.code = 502}, {.code = 503}, {.code = 504}, {.act = ACT_RESET}};

	(void)state;
	for (size_t n = 0; n < COUNT(TROUBLES); n++) {
		SCOPE(mem);
		const struct turn turns[] = {TROUBLES[n], {.code = 200, .body = "{}"}};
		struct scripted *s = scripted_start(mem, turns, 2);
		const struct otlp_options o = options(mem, scripted_url(s));
		const struct span one = span(TRACE);
		double before = dropped();
		struct otlp *otlp = start(mem, &o);
		otlp_span(&one, otlp);
		await(s, 2);
		otlp_stop(otlp);
		assert_string_equal(scripted_body(s, 0), scripted_body(s, 1));
		assert_true(dropped() == before);
	}
}

static void the_pause_that_the_collector_asks_for_is_kept(void **state)
{
	static const struct turn TURNS[] = {{.code = 503, .headers = "Retry-After: 2\r\n"},
					    {.code = 200}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, 2);
	const struct otlp_options o = options(mem, scripted_url(s));
	const struct span one = span(TRACE);
	struct otlp *otlp = start(mem, &o);

	(void)state;
	otlp_span(&one, otlp);
	await(s, 1);
	int64_t began = clock_monotonic();
	await(s, 2);
	assert_true(clock_monotonic() - began >= 1900);
	otlp_stop(otlp);
}

static void what_is_refused_is_dropped_and_counted(void **state)
{
	static const struct turn TURNS[] = {{.code = 400}, {.code = 200}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, 2);
	const struct otlp_options o = options(mem, scripted_url(s));
	const struct span one = span(TRACE);
	double before = dropped();
	struct otlp *otlp = start(mem, &o);

	(void)state;
	otlp_span(&one, otlp);
	await(s, 1);
	otlp_stop(otlp);
	assert_int_equal(scripted_count(s, "POST "), 1);
	assert_true(dropped() == before + 1);
}

static void stopping_sends_what_waits_in_batches(void **state)
{
	static const struct turn TURNS[] = {{.code = 200, .always = true}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, 1);
	struct otlp_options o = options(mem, scripted_url(s));
	const struct span one = span(TRACE);
	double before = dropped();

	(void)state;
	o.flush_ms = NEVER_MS;
	struct otlp *otlp = start(mem, &o);
	for (int n = 0; n < 600; n++)
		otlp_span(&one, otlp);
	otlp_stop(otlp);
	assert_in_range(scripted_count(s, "POST "), 2, 3);
	assert_true(dropped() == before);
}

static void a_collector_that_is_away_does_not_hold_up_the_stop(void **state)
{
	static const struct turn TURNS[] = {{.code = 503, .always = true}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, 1);
	struct otlp_options o = options(mem, scripted_url(s));
	const struct span one = span(TRACE);
	double before = dropped();

	(void)state;
	o.flush_ms = NEVER_MS;
	struct otlp *otlp = start(mem, &o);
	for (int n = 0; n < QUEUE; n++)
		otlp_span(&one, otlp);
	otlp_stop(otlp);
	assert_in_range(scripted_count(s, "POST "), 1, 3); /* not one for each of eight batches */
	assert_true(dropped() == before + QUEUE);
}

static void what_does_not_fit_is_dropped_and_counted(void **state)
{
	static const struct turn TURNS[] = {{.act = ACT_SILENT}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, 1);
	struct otlp_options o = options(mem, scripted_url(s));
	const struct span one = span(TRACE);
	double before = dropped();

	(void)state;
	struct otlp *otlp = start(mem, &o);
	otlp_span(&one, otlp);
	await(s, 1); /* and now the exporter waits for the answer */
	int64_t began = clock_monotonic();
	for (int n = 0; n < QUEUE + 10; n++)
		otlp_span(&one, otlp);
	assert_true(clock_monotonic() - began < 5000);
	assert_true(dropped() == before + 10);
	talloc_free(s);
	otlp_stop(otlp);
	assert_true(dropped() == before + 1 + QUEUE + 10);
}

static void traces_are_sampled_as_a_whole_by_their_id(void **state)
{
	static const struct {
		const char *trace_id;
		double ratio;
		size_t posts;
	} CASES[] = {
		{"ffffffff000000000000000000000000", 1, 1},
		{"00000000000000000000000000000001", 0, 0},
		{"7fffffff000000000000000000000000", 0.5, 1},
		{"80000000000000000000000000000000", 0.5, 0},
	};
	static const struct turn TURNS[] = {{.code = 200}};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct scripted *s = scripted_start(mem, TURNS, 1);
		struct otlp_options o = options(mem, scripted_url(s));
		const struct span one = span(CASES[n].trace_id);
		o.sample_ratio = CASES[n].ratio;
		struct otlp *otlp = start(mem, &o);
		otlp_span(&one, otlp);
		otlp_stop(otlp);
		assert_int_equal(scripted_count(s, "POST "), CASES[n].posts);
	}
}

static void *emit(void *arg)
{
	for (int n = 0; n < 200; n++) {
		struct span s;
		span_begin(&s, "step", SPAN_INTERNAL, NULL);
		span_attribute(&s, "n", "1");
		span_end(&s);
	}
	return arg;
}

static void several_threads_hand_over_spans(void **state)
{
	static const struct turn TURNS[] = {{.code = 200, .always = true}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, 1);
	const struct otlp_options o = options(mem, scripted_url(s));
	double before = dropped();
	struct otlp *otlp = start(mem, &o);
	pthread_t threads[4];
	size_t spans = 0;

	(void)state;
	span_sink(otlp_span, otlp);
	for (size_t n = 0; n < COUNT(threads); n++)
		assert_int_equal(pthread_create(&threads[n], NULL, emit, NULL), 0);
	for (size_t n = 0; n < COUNT(threads); n++)
		pthread_join(threads[n], NULL);
	otlp_stop(otlp);
	span_sink(NULL, NULL);
	for (size_t n = 0; n < scripted_count(s, "POST "); n++)
		for (const char *at = scripted_body(s, n); (at = strstr(at, "\"spanId\"")) != NULL;
		     at++)
			spans++;
	assert_int_equal(spans, 800);
	assert_true(dropped() == before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_span_is_encoded_as_the_protocol_wants),
		cmocka_unit_test(a_failed_root_span_has_a_message_and_no_parent),
		cmocka_unit_test(a_request_names_its_resource),
		cmocka_unit_test(spans_are_posted_as_json),
		cmocka_unit_test(an_endpoint_may_name_the_path_or_leave_out_the_scheme),
		cmocka_unit_test(what_is_no_endpoint_is_refused),
		cmocka_unit_test(what_may_heal_is_sent_again),
		cmocka_unit_test(the_pause_that_the_collector_asks_for_is_kept),
		cmocka_unit_test(what_is_refused_is_dropped_and_counted),
		cmocka_unit_test(stopping_sends_what_waits_in_batches),
		cmocka_unit_test(a_collector_that_is_away_does_not_hold_up_the_stop),
		cmocka_unit_test(what_does_not_fit_is_dropped_and_counted),
		cmocka_unit_test(traces_are_sampled_as_a_whole_by_their_id),
		cmocka_unit_test(several_threads_hand_over_spans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
