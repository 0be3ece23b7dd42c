#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/event.h"

#define DATA \
	"{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\"},\"startsAt\":\"2026-01-15T10:40:" \
	"00Z\"}"
#define EVENT(id, more) \
	"{\"specversion\":\"1.0\",\"id\":\"" id "\",\"source\":\"s\",\"type\":\"" EVENT_TYPE_FIRED \
	"\"" more ",\"data\":" DATA "}"

struct pair {
	const char *name, *value;
};

static const char *look_up(void *arg, const char *name)
{
	for (const struct pair *p = arg; p->name != NULL; p++)
		if (strcasecmp(p->name, name) == 0)
			return p->value;
	return NULL;
}

static enum status decode(void *mem, const char *type, struct pair *headers, const char *body,
			  struct event_set **out)
{
	static struct pair none[] = {{NULL, NULL}};
	bool unsupported;
	const struct event_request r = {.content_type = type,
					.header = look_up,
					.arg = headers == NULL ? none : headers,
					.body = body,
					.body_bytes = strlen(body),
					.received_ms = 1768474000000};

	return event_decode(mem, &r, out, &unsupported);
}

static const char STRUCTURED[] = "Application/CloudEvents+JSON; charset=utf-8";
static const char BATCH[] = "application/cloudevents-batch+json";

static void the_mode_follows_the_content_type(void **state)
{
	SCOPE(mem);
	struct event_set *set = NULL;
	struct pair headers[] = {{"Ce-Id", "1"},
				 {"CE-Source", "s"},
				 {"ce-type", EVENT_TYPE_FIRED},
				 {"ce-specversion", "1.0"},
				 {NULL, NULL}};

	(void)state;
	assert_int_equal(decode(mem, STRUCTURED, NULL, EVENT("1", ""), &set), OK);
	assert_int_equal(set->mode, EVENT_STRUCTURED);
	assert_non_null(set->members[0].event);
	assert_int_equal(decode(mem, BATCH, NULL, "[" EVENT("1", "") "," EVENT("2", "") "]", &set),
			 OK);
	assert_int_equal(set->mode, EVENT_BATCH);
	assert_int_equal(set->count, 2);
	assert_int_equal(decode(mem, "application/json", headers, DATA, &set), OK);
	assert_int_equal(set->mode, EVENT_BINARY);
	assert_non_null(set->members[0].event);
	assert_int_equal(decode(mem, NULL, headers, DATA, &set), OK);
	assert_non_null(set->members[0].event);
}

static void other_formats_are_unsupported(void **state)
{
	static const char *const TYPES[] = {"text/plain", "application/cloudevents+avro",
					    "application/xml"};

	(void)state;
	for (size_t n = 0; n < 3; n++) {
		SCOPE(mem);
		struct event_set *set = NULL;
		assert_int_equal(decode(mem, TYPES[n], NULL, EVENT("1", ""), &set), E_INVALID);
	}
}

static void envelopes_are_checked(void **state)
{
	static const struct {
		const char *body, *error, *category;
	} CASES[] = {
		{"{}", "specversion", "envelope"},
		{"{\"specversion\":\"0.3\"}", "specversion", "envelope"},
		{"{\"specversion\":1}", "specversion must be a string", "envelope"},
		{"{\"specversion\":\"1.0\",\"id\":\"\"}", "id", "envelope"},
		{"{\"specversion\":\"1.0\",\"id\":\"1\"}", "source", "envelope"},
		{"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\"}", "type", "envelope"},
		{"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"a\\nb\",\"type\":\"t\"}",
		 "control", "envelope"},
		{"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"com.example\"}",
		 "type must be", "type"},
		{EVENT("1", ",\"time\":\"noon\""), "time", "envelope"},
		{EVENT("1", ",\"data_base64\":\"e30=\""), "exclude", "envelope"},
		{"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":"
		 "\"" EVENT_TYPE_FIRED "\",\"data\":null}",
		 "data is missing", "data"},
		{"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":"
		 "\"" EVENT_TYPE_FIRED "\",\"data_base64\":\"!\"}",
		 "base64", "envelope"},
		{"[]", "object", "envelope"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		struct event_set *set = NULL;
		assert_int_equal(decode(mem, STRUCTURED, NULL, CASES[n].body, &set), OK);
		assert_null(set->members[0].event);
		if (strstr(set->members[0].error, CASES[n].error) == NULL)
			fail_msg("%s: '%s'", CASES[n].body, set->members[0].error);
		assert_string_equal(set->members[0].category, CASES[n].category);
	}
}

/* What is refused is named in the reply, which is JSON. */
static void a_refused_attribute_is_cut_between_code_points(void **state)
{
	static const char *const POINTS[] = {"ä", "日", "🔥"};

	(void)state;
	for (size_t n = 0; n < 3 * 4; n++) {
		SCOPE(mem);
		struct event_set *set = NULL;
		char *id = str_dup(mem, "");
		for (size_t i = 0; i < 1020 + n % 4; i++)
			str_add(&id, "x");
		str_add(&id, "%s%s%s", POINTS[n / 4], POINTS[n / 4], POINTS[n / 4]);
		assert_int_equal(
			decode(mem, STRUCTURED, NULL, str_fmt(mem, EVENT("%s", ""), id), &set), OK);
		assert_null(set->members[0].event);
		assert_non_null(mem_own(mem, json_string(set->members[0].id)));
		assert_true(strlen(set->members[0].id) <= 1024);
		assert_true(strlen(set->members[0].id) > 1020);
	}
}

static void base64_data_is_read(void **state)
{
	SCOPE(mem);
	struct event_set *set = NULL;

	(void)state;
	assert_int_equal(
		decode(mem, STRUCTURED, NULL,
		       "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":"
		       "\"" EVENT_TYPE_FIRED "\",\"data_base64\":"
		       "\"eyJzdGF0dXMiOiJmaXJpbmciLCJsYWJlbHMiOnsiYWxlcnRuYW1lIjoiQSJ9fQ==\"}",
		       &set),
		OK);
	assert_non_null(set->members[0].event);
	assert_string_equal(set->members[0].event->alert->name, "A");
}

static void a_header_may_fill_but_not_contradict(void **state)
{
	SCOPE(mem);
	struct event_set *set = NULL;
	struct pair same[] = {{"ce-id", "1"}, {NULL, NULL}};
	struct pair other[] = {{"ce-id", "2"}, {NULL, NULL}};
	struct pair fill[] = {{"ce-specversion", "1.0"}, {NULL, NULL}};

	(void)state;
	assert_int_equal(decode(mem, STRUCTURED, same, EVENT("1", ""), &set), OK);
	assert_non_null(set->members[0].event);
	assert_int_equal(decode(mem, STRUCTURED, other, EVENT("1", ""), &set), OK);
	assert_non_null(strstr(set->members[0].error, "id differs"));
	assert_int_equal(decode(mem, STRUCTURED, fill,
				"{\"id\":\"1\",\"source\":\"s\",\"type\":\"" EVENT_TYPE_FIRED
				"\",\"data\":" DATA "}",
				&set),
			 OK);
	assert_non_null(set->members[0].event);
}

static void the_correlation_id_has_an_order_and_a_charset(void **state)
{
	static const struct {
		const char *header, *extension, *id, *want;
	} CASES[] = {
		{"h-1", ",\"correlationid\":\"e-1\"", "1", "h-1"},
		{"has space", ",\"correlationid\":\"e-1\"", "1", "e-1"},
		{NULL, "", "id-1", "id-1"},
		{"\"><script>", ",\"correlationid\":\"a b\"", "id-1", "id-1"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		struct event_set *set = NULL;
		struct pair headers[] = {
			{CASES[n].header == NULL ? NULL : "x-correlation-id", CASES[n].header},
			{NULL, NULL}};
		char *body = str_fmt(mem,
				     "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"s\","
				     "\"type\":\"%s\"%s,\"data\":" DATA "}",
				     CASES[n].id, EVENT_TYPE_FIRED, CASES[n].extension);
		assert_int_equal(decode(mem, STRUCTURED, headers, body, &set), OK);
		assert_string_equal(set->members[0].event->correlation_id, CASES[n].want);
	}
}

static void an_id_outside_the_charset_becomes_a_digest(void **state)
{
	SCOPE(mem);
	struct event_set *set = NULL;

	(void)state;
	assert_int_equal(decode(mem, STRUCTURED, NULL, EVENT("id with spaces", ""), &set), OK);
	assert_int_equal(strlen(set->members[0].event->correlation_id), 32);
}

static void the_alerts_own_status_is_trusted(void **state)
{
	SCOPE(mem);
	struct event_set *set = NULL;

	(void)state;
	assert_int_equal(decode(mem, STRUCTURED, NULL,
				"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":"
				"\"" EVENT_TYPE_RESOLVED "\",\"data\":" DATA "}",
				&set),
			 OK);
	assert_int_equal(set->members[0].event->alert->state, ALERT_FIRING);
	assert_true(set->members[0].event->status_disagrees);
}

static void the_callers_trace_is_joined(void **state)
{
	SCOPE(mem);
	struct event_set *set = NULL;
	struct pair headers[] = {
		{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		{NULL, NULL}};

	(void)state;
	assert_int_equal(decode(mem, STRUCTURED, headers, EVENT("1", ""), &set), OK);
	assert_string_equal(set->members[0].event->trace.trace_id,
			    "0af7651916cd43dd8448eb211c80319c");
}

static void header_values_are_decoded_as_the_binding_says(void **state)
{
	static const struct {
		const char *raw, *text;
	} CASES[] = {{"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"},
		     {"%e2%82%ac", "€"},
		     {"plain", "plain"},
		     {"100%", "100%"},
		     {"a%zz", "a%zz"},
		     {"\"quoted \\\"x\\\"\"", "quoted \"x\""},
		     {"a%00b", "a%00b"},
		     {"a b", "a b"}};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		char *out = NULL;
		assert_int_equal(event_header_decode(mem, CASES[n].raw, &out), OK);
		assert_string_equal(out, CASES[n].text);
	}
	SCOPE(mem);
	char *out = NULL;
	assert_int_equal(event_header_decode(mem, "%C0%A0", &out), E_INVALID);
	assert_string_equal(event_header_encode(mem, "Euro € 😀"),
			    "Euro%20%E2%82%AC%20%F0%9F%98%80");
}

/* security.md's payload set: each is text, nothing more. */
static void hostile_payloads_are_only_text(void **state)
{
	static const char *const PAYLOADS[] = {"' OR '1'='1",
					       "'; DROP TABLE users; --",
					       "UNION SELECT * FROM secrets",
					       "; ls -la",
					       "| cat /etc/passwd",
					       "`whoami`",
					       "$(id)",
					       "<script>alert('XSS')</script>",
					       "{{7*7}}",
					       "eval('malicious_code')",
					       "*)(uid=*))(|(uid=*",
					       "../../../etc/passwd",
					       "..\\\\..\\\\windows\\\\system32",
					       "169.254.169.254",
					       "evil.com/",
					       "a@b",
					       "x#"};

	(void)state;
	for (size_t n = 0; n < sizeof(PAYLOADS) / sizeof(PAYLOADS[0]); n++) {
		SCOPE(mem);
		struct event_set *set = NULL;
		const char *p = PAYLOADS[n];
		char *body = str_fmt(
			mem,
			"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"%s\",\"subject\":\"%"
			"s\",\"type\":\"%s\",\"data\":{\"status\":\"firing\","
			"\"labels\":{\"alertname\":\"%s\",\"%s\":\"%s\"},\"annotations\":{\"%s\":"
			"\"%s\"}}}",
			p, p, EVENT_TYPE_FIRED, p, p, p, p, p);
		assert_int_equal(decode(mem, STRUCTURED, NULL, body, &set), OK);
		assert_non_null(set->members[0].event);
		body = str_fmt(mem,
			       "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"%"
			       "s\",\"data\":{}}",
			       p);
		assert_int_equal(decode(mem, STRUCTURED, NULL, body, &set), OK);
		assert_null(set->members[0].event);
	}
}

static void keys_that_mean_something_elsewhere_are_refused(void **state)
{
	static const char *const TRICKS[] = {"1'; DROP TABLE event",
					     "$(id)",
					     "${x}",
					     "{{7*7}}",
					     "../../etc/passwd",
					     "<b>",
					     "a--b",
					     "a/*b*/",
					     "`id`",
					     "a|b",
					     "a\\\\b",
					     "a;b"};
	static const char *const NAMES[] = {"id", "idempotencykey", "partitionkey"};

	(void)state;
	for (size_t n = 0; n < sizeof(TRICKS) / sizeof(TRICKS[0]); n++) {
		for (size_t k = 0; k < sizeof(NAMES) / sizeof(NAMES[0]); k++) {
			SCOPE(mem);
			struct event_set *set = NULL;
			char *body = str_fmt(
				mem,
				"{\"specversion\":\"1.0\",%s\"source\":\"s\",\"type\":\"%s\","
				"\"%s\":\"%s\",\"data\":{\"status\":\"firing\",\"labels\":{"
				"\"alertname\":\"A\"}}}",
				k == 0 ? "" : "\"id\":\"1\",", EVENT_TYPE_FIRED, NAMES[k],
				TRICKS[n]);
			assert_int_equal(decode(mem, STRUCTURED, NULL, body, &set), OK);
			assert_null(set->members[0].event);
			assert_string_equal(set->members[0].category, "key");
			assert_non_null(strstr(set->members[0].error, NAMES[k]));
		}
	}
}

static void the_converters_event_has_all_keys(void **state)
{
	static const char *const KEYS[] = {
		"alertname",	   "status",	    "severity",		 "labels",
		"annotations",	   "commonLabels",  "commonAnnotations", "startsAt",
		"endsAt",	   "generatorURL",  "receiver",		 "version",
		"fingerprint",	   "groupKey",	    "groupLabels",	 "externalURL",
		"truncatedAlerts", "prometheusRule"};
	static const char BODY[] = "{\"receiver\":\"r\",\"alerts\":[{\"status\":\"firing\","
				   "\"labels\":{\"alertname\":\"A\",\"prometheus_rule\":\"p\"}}]}";
	SCOPE(mem);
	const struct node *body = NULL;
	json_t *doc = NULL;
	struct webhook *w = NULL;

	(void)state;
	assert_int_equal(node_parse(mem, BODY, strlen(BODY), &body), OK);
	assert_int_equal(webhook_decode(mem, body, 1768474000000, &w), OK);
	char *text = event_encode(mem, w, 0, 1768474000000);
	assert_int_equal(json_parse(mem, text, strlen(text), &doc), OK);
	assert_string_equal(json_str(doc, "source"), "prometheus/alertmanager/r");
	assert_string_equal(json_str(doc, "type"), EVENT_TYPE_FIRED);
	for (size_t n = 0; n < sizeof(KEYS) / sizeof(KEYS[0]); n++)
		assert_non_null(json_object_get(json_object_get(doc, "data"), KEYS[n]));
	struct event_set *set = NULL;
	assert_int_equal(decode(mem, STRUCTURED, NULL, text, &set), OK);
	assert_non_null(set->members[0].event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mode_follows_the_content_type),
		cmocka_unit_test(other_formats_are_unsupported),
		cmocka_unit_test(envelopes_are_checked),
		cmocka_unit_test(a_refused_attribute_is_cut_between_code_points),
		cmocka_unit_test(base64_data_is_read),
		cmocka_unit_test(a_header_may_fill_but_not_contradict),
		cmocka_unit_test(the_correlation_id_has_an_order_and_a_charset),
		cmocka_unit_test(an_id_outside_the_charset_becomes_a_digest),
		cmocka_unit_test(the_alerts_own_status_is_trusted),
		cmocka_unit_test(the_callers_trace_is_joined),
		cmocka_unit_test(header_values_are_decoded_as_the_binding_says),
		cmocka_unit_test(hostile_payloads_are_only_text),
		cmocka_unit_test(keys_that_mean_something_elsewhere_are_refused),
		cmocka_unit_test(the_converters_event_has_all_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
