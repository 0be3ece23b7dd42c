#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/alertmanager.h"
#include "scripted.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define OURS "{\"alertname\":\"CartSlow\",\"pod\":\"cart-0\"}"
#define ALERT(labels, state) \
	"{\"annotations\":{},\"fingerprint\":\"00ff\",\"labels\":" labels \
	",\"receivers\":[{\"name\":\"agent\"}],\"status\":{\"inhibitedBy\":[],\"silencedBy\":[]," \
	"\"state\":\"" state "\"}}"

static json_t *labels(void *mem)
{
	return mem_own(mem, json_pack("{s:s, s:s}", "alertname", "CartSlow", "pod", "cart-0"));
}

static void an_alert_is_active_when_exactly_its_labels_are_there(void **state)
{
	static const struct {
		const char *body;
		bool active;
	} CASES[] = {
		{"[]", false},
		{"[" ALERT(OURS, "active") "]", true},
		{"[" ALERT(OURS, "suppressed") "]", true},
		{"[" ALERT(OURS, "unprocessed") "]", true},
		{"[" ALERT("{\"alertname\":\"CartSlow\"}", "active") "]", false},
		{"[" ALERT("{\"alertname\":\"CartSlow\",\"pod\":\"cart-1\"}", "active") "]", false},
		{"[" ALERT("{\"alertname\":\"CartSlow\",\"pod\":\"cart-0\",\"zone\":\"a\"}",
			   "active") "]",
		 false},
		{"[" ALERT("{\"alertname\":\"CartSlow\",\"pod\":\"cart-1\"}",
			   "active") "," ALERT(OURS, "active") "]",
		 true},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		bool active = !CASES[n].active;
		assert_int_equal(alertmanager_decode_alerts(mem, CASES[n].body,
							    strlen(CASES[n].body), labels(mem),
							    &active),
				 OK);
		assert_int_equal(active, CASES[n].active);
	}
}

static void answers_that_are_no_list_of_alerts_are_invalid(void **state)
{
	static const char *const BODIES[] = {
		"",
		"null",
		"{}",
		"\"bad\"",
		"{\"code\":601,\"message\":\"no\"}",
		"[7]",
		"[{}]",
		"[{\"labels\":null}]",
		"[{\"labels\":[]}]",
		"[" ALERT(OURS, "active"),
		"<html></html>",
	};

	(void)state;
	for (size_t n = 0; n < COUNT(BODIES); n++) {
		SCOPE(mem);
		bool active = false;
		assert_int_equal(alertmanager_decode_alerts(mem, BODIES[n], strlen(BODIES[n]),
							    labels(mem), &active),
				 E_INVALID);
	}
}

static struct alertmanager peer(void *mem, const char *url)
{
	return (struct alertmanager){.http = scripted_client(mem), .url = url, .timeout_ms = 5000};
}

static void the_matcher_is_quoted_and_escaped(void **state)
{
	static const struct turn TURNS[] = {{.code = 200, .body = "[]"}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, 1);
	struct alertmanager a = peer(mem, scripted_url(s));
	bool active = true;

	(void)state;
	a.bearer = "t0ken";
	json_t *odd = mem_own(mem, json_pack("{s:s}", "alertname", "a\"b\\c\nd"));
	assert_int_equal(alertmanager_is_active(mem, &a, odd, &active), OK);
	assert_false(active);
	assert_non_null(strcasestr(
		scripted_request(s, 0),
		"GET /api/v2/alerts?filter=alertname%3D%22a%5C%22b%5C%5Cc%5Cnd%22 HTTP/1.1\r\n"));
	assert_true(scripted_has_line(s, 0, "Authorization: Bearer t0ken"));
}

static void errors_are_strings_objects_or_empty(void **state)
{
	static const struct {
		struct turn turn;
		enum status status;
		const char *message;
	} CASES[] = {
		{{.code = 400, .body = "\"bad matcher format\""},
		 E_INVALID,
		 "400: bad matcher format"},
		{{.code = 422, .body = "{\"code\":602,\"message\":\"filter in query\"}"},
		 E_INVALID,
		 "filter in query"},
		{{.code = 404, .body = ""}, E_INVALID, "404: no reason given"},
		{{.code = 400, .body = "\"\""}, E_INVALID, "no reason given"},
		{{.code = 400, .body = "{\"message\":7}"}, E_INVALID, "no reason given"},
		{{.code = 401, .body = "\"x\""}, E_DENIED, "alertmanager.token"},
		{{.code = 403}, E_DENIED, "alertmanager.token"},
		{{.code = 429, .headers = "Retry-After: 3\r\n"}, E_RATE, "no reason given"},
		{{.code = 500, .body = "\"boom\""}, E_TRANSIENT, "boom"},
		{{.code = 503, .body = "<html>"}, E_TRANSIENT, "503"},
		{{.code = 200, .body = "[" ALERT(OURS, "active") "]", .act = ACT_CUT},
		 E_TRANSIENT,
		 "Alertmanager: "},
		{{.act = ACT_SILENT}, E_TIMEOUT, "Alertmanager: "},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct scripted *s = scripted_start(mem, &CASES[n].turn, 1);
		struct alertmanager a = peer(mem, scripted_url(s));
		bool active = false;
		a.timeout_ms = CASES[n].turn.act == ACT_SILENT ? 100 : 5000;
		enum status got = alertmanager_is_active(mem, &a, labels(mem), &active);
		if (got != CASES[n].status || strstr(status_message(), CASES[n].message) == NULL)
			fail_msg("case %zu: %s: %s", n, status_name(got), status_message());
		assert_int_equal(status_retry_after_ms(), CASES[n].turn.code == 429 ? 3000 : 0);
	}
}

static void the_check_reads_the_version(void **state)
{
	static const struct turn TURNS[] = {
		{.match = "GET /am/api/v2/status ",
		 .code = 200,
		 .body = "{\"versionInfo\":{\"version\":\"0.25.0\"}}"},
		{.code = 200, .body = "{}"},
		{.code = 200, .body = "welcome"},
	};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct alertmanager a = peer(mem, str_fmt(mem, "%s/am", scripted_url(s)));
	const char *version = NULL;

	(void)state;
	assert_int_equal(alertmanager_check(mem, &a, &version), OK);
	assert_string_equal(version, "0.25.0");
	assert_int_equal(alertmanager_check(mem, &a, &version), OK);
	assert_null(version);
	assert_int_equal(alertmanager_check(mem, &a, &version), E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_alert_is_active_when_exactly_its_labels_are_there),
		cmocka_unit_test(answers_that_are_no_list_of_alerts_are_invalid),
		cmocka_unit_test(the_matcher_is_quoted_and_escaped),
		cmocka_unit_test(errors_are_strings_objects_or_empty),
		cmocka_unit_test(the_check_reads_the_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
