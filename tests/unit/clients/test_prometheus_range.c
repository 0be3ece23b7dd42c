#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "clients/prometheus_range.h"
#include "scripted.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MATRIX \
	"{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{}," \
	"\"values\":[[1000.5,\"4\"]]}]}}"

static const struct range RANGE = {1000500, 1060500, 15000};

static struct prometheus peer(void *mem, const char *url)
{
	return (struct prometheus){.http = scripted_client(mem), .url = url, .timeout_ms = 5000};
}

static void a_range_query_is_a_form_with_absolute_times(void **state)
{
	static const struct turn TURNS[] = {{.code = 200, .body = MATRIX}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct prometheus p = peer(mem, scripted_url(s));
	struct grid *g = NULL;

	(void)state;
	p.bearer = "t0ken";
	assert_int_equal(prometheus_query_range(mem, &p, "a{b=\"c&d\"}", &RANGE, &g), OK);
	assert_true(g->count == 1 && g->series[0].values[0] == 4);
	assert_true(str_starts(scripted_request(s, 0), "POST /api/v1/query_range HTTP/1.1\r\n"));
	assert_true(scripted_has_line(s, 0, "Authorization: Bearer t0ken"));
	assert_string_equal(scripted_body(s, 0),
			    "query=a%7Bb%3D%22c%26d%22%7D&start=1000.500&end=1060.500&step=15.000");
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
		{{.code = 401, .body = "no"}, E_DENIED, "prometheus.token"},
		{{.code = 422, .body = ERROR_BODY}, E_INVALID, "too bad"},
		{{.code = 429, .headers = "Retry-After: 7\r\n"}, E_RATE, "429"},
		{{.code = 500, .body = ERROR_BODY}, E_TRANSIENT, "too bad"},
		{{.code = 503, .body = ERROR_BODY}, E_TIMEOUT, "too bad"},
		{{.code = 200, .body = "<html>"}, E_INVALID, "not JSON"},
		{{.code = 200, .body = MATRIX, .act = ACT_CUT}, E_TRANSIENT, "Prometheus: "},
		{{.act = ACT_RESET}, E_TRANSIENT, "Prometheus: "},
		{{.act = ACT_SILENT}, E_TIMEOUT, "Prometheus: "},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct scripted *s = scripted_start(mem, &CASES[n].turn, 1);
		struct prometheus p = peer(mem, scripted_url(s));
		struct grid *g = NULL;
		p.timeout_ms = CASES[n].turn.act == ACT_SILENT ? 100 : 5000;
		enum status got = prometheus_query_range(mem, &p, "up", &RANGE, &g);
		if (got != CASES[n].status || strstr(status_message(), CASES[n].message) == NULL)
			fail_msg("case %zu: %s: %s", n, status_name(got), status_message());
		assert_null(g);
	}
}

static void rules_fit_an_alert_by_their_plain_labels(void **state)
{
	SCOPE(mem);
	json_t *own = mem_own(
		mem, json_pack("{s:s, s:s}", "severity", "page", "pod", "{{ $labels.pod }}"));
	json_t *same = mem_own(mem, json_pack("{s:s, s:s}", "severity", "page", "pod", "a"));
	json_t *other = mem_own(mem, json_pack("{s:s}", "severity", "ticket"));
	const struct rule rule = {.labels = own};

	(void)state;
	assert_true(prometheus_rule_fits(&rule, same));
	assert_false(prometheus_rule_fits(&rule, other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_query_is_a_form_with_absolute_times),
		cmocka_unit_test(refusals_and_troubles_are_told_apart),
		cmocka_unit_test(rules_fit_an_alert_by_their_plain_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
