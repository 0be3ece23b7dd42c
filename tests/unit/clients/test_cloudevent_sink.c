#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "clients/cloudevent_sink.h"
#include "scripted.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { MANY = 150 };

static struct sink sink(void *mem, const char *url)
{
	return (struct sink){.http = scripted_client(mem), .url = url, .timeout_ms = 20000};
}

static void every_event_is_posted_with_its_correlation(void **state)
{
	static const struct turn TURNS[] = {{.match = "\"one\"", .code = 202},
					    {.match = "\"two\"", .code = 200}};
	static const char *const EVENTS[] = {"{\"id\":\"one\"}", "{\"id\":\"two\"}"};
	static const char *const CORRELATIONS[] = {"c-one", NULL};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct sink k = sink(mem, str_fmt(mem, "%s/broker", scripted_url(s)));
	size_t accepted = 99;

	(void)state;
	k.bearer = "t0ken";
	assert_int_equal(sink_deliver(&k, EVENTS, CORRELATIONS, 2, &accepted), OK);
	assert_int_equal(accepted, 2);
	for (size_t n = 0; n < 2; n++) {
		bool one = str_eq(scripted_body(s, n), EVENTS[0]);
		assert_true(one || str_eq(scripted_body(s, n), EVENTS[1]));
		assert_true(str_starts(scripted_request(s, n), "POST /broker HTTP/1.1\r\n"));
		assert_true(scripted_has_line(s, n, "Content-Type: application/cloudevents+json"));
		assert_true(scripted_has_line(s, n, "Authorization: Bearer t0ken"));
		assert_int_equal(scripted_has_line(s, n, "X-Correlation-ID: c-one"), one);
	}
}

static void verdicts_follow_the_reply(void **state)
{
	static const struct {
		struct turn turn;
		enum status status;
	} CASES[] = {
		{{.code = 200}, OK},
		{{.code = 204}, OK},
		{{.code = 302, .headers = "Location: /x\r\n"}, E_INVALID},
		{{.code = 400}, E_INVALID},
		{{.code = 401}, E_DENIED},
		{{.code = 403}, E_DENIED},
		{{.code = 404}, E_TRANSIENT},
		{{.code = 408}, E_TRANSIENT},
		{{.code = 409}, E_TRANSIENT},
		{{.code = 413}, E_INVALID},
		{{.code = 429, .headers = "Retry-After: 9\r\n"}, E_RATE},
		{{.code = 500}, E_TRANSIENT},
		{{.code = 503}, E_TRANSIENT},
		{{.act = ACT_RESET}, E_TRANSIENT},
		{{.act = ACT_CUT, .code = 200, .body = "half of it"}, E_TRANSIENT},
		{{.act = ACT_SILENT}, E_TIMEOUT},
	};
	static const char *const EVENTS[] = {"{}"};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct scripted *s = scripted_start(mem, &CASES[n].turn, 1);
		struct sink k = sink(mem, scripted_url(s));
		size_t accepted = 99;
		k.timeout_ms = CASES[n].turn.act == ACT_SILENT ? 100 : 20000;
		k.bearer = "s3cret";
		enum status got = sink_deliver(&k, EVENTS, NULL, 1, &accepted);
		if (got != CASES[n].status)
			fail_msg("%d: %s", CASES[n].turn.code, status_message());
		assert_int_equal(accepted, got == OK);
		assert_int_equal(scripted_count(s, "POST"), 1);
		if (got == E_RATE)
			assert_int_equal(status_retry_after_ms(), 9000);
		assert_null(strstr(status_message(), "s3cret"));
	}
}

static void the_first_failure_is_reported_and_the_rest_counted(void **state)
{
	static const struct turn TURNS[] = {
		{.match = "\"a\"", .code = 200},
		{.match = "\"b\"", .code = 429, .headers = "Retry-After: 2\r\n"},
		{.match = "\"c\"", .code = 400},
		{.match = "\"d\"", .code = 200}};
	static const char *const EVENTS[] = {"{\"id\":\"a\"}", "{\"id\":\"b\"}", "{\"id\":\"c\"}",
					     "{\"id\":\"d\"}"};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	const struct sink k = sink(mem, scripted_url(s));
	size_t accepted = 0;

	(void)state;
	assert_int_equal(sink_deliver(&k, EVENTS, NULL, COUNT(EVENTS), &accepted), E_RATE);
	assert_int_equal(status_retry_after_ms(), 2000);
	assert_int_equal(accepted, 2);
	assert_int_equal(scripted_count(s, "POST"), 4);
}

static void many_events_all_arrive_once(void **state)
{
	static const struct turn TURNS[] = {{.code = 202, .always = true}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, 1);
	const struct sink k = sink(mem, scripted_url(s));
	const char **events = NEW_ARRAY(mem, const char *, MANY);
	size_t accepted = 0;

	(void)state;
	for (int n = 0; n < MANY; n++)
		events[n] = str_fmt(mem, "{\"id\":\"event-%d.\"}", n);
	assert_int_equal(sink_deliver(&k, events, NULL, MANY, &accepted), OK);
	assert_int_equal(accepted, MANY);
	for (int n = 0; n < MANY; n++)
		assert_int_equal(scripted_count(s, str_fmt(mem, "event-%d.", n)), 1);
}

static void nothing_to_deliver_is_fine(void **state)
{
	SCOPE(mem);
	const struct sink k = sink(mem, scripted_nobody(mem));
	size_t accepted = 99;

	(void)state;
	assert_int_equal(sink_deliver(&k, NULL, NULL, 0, &accepted), OK);
	assert_int_equal(accepted, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_is_posted_with_its_correlation),
		cmocka_unit_test(verdicts_follow_the_reply),
		cmocka_unit_test(the_first_failure_is_reported_and_the_rest_counted),
		cmocka_unit_test(many_events_all_arrive_once),
		cmocka_unit_test(nothing_to_deliver_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
