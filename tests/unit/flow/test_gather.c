#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "../clients/scripted.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/loki.h"
#include "clients/tempo.h"
#include "flow/gather.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define DATA(d) "{\"status\":\"success\",\"data\":" d "}"
#define VECTOR(labels) \
	DATA("{\"resultType\":\"vector\",\"result\":[{\"metric\":{" labels \
	     "},\"value\":[1,\"1\"]}]}")
#define MATRIX(series) DATA("{\"resultType\":\"matrix\",\"result\":[" series "]}")
#define SERIES(labels) \
	"{\"metric\":{" labels "},\"values\":[[1768470400,\"2\"],[1768470415,\"3\"]]}"
#define SPAN(id, parent, name) \
	"{\"traceId\":\"a1\",\"spanId\":\"" id "\",\"parentSpanId\":\"" parent \
	"\",\"name\":\"" name "\"," \
	"\"startTimeUnixNano\":\"1768474000000000000\",\"endTimeUnixNano\":" \
	"\"1768474002000000000\"}"

static const int64_t ALERT_MS = 1768474000000;

static const struct turn PROMETHEUS[] = {
	{.match = "/api/v1/rules",
	 .code = 200,
	 .always = true,
	 .body = DATA("{\"groups\":[{\"rules\":[{\"type\":\"alerting\",\"name\":\"Slow\",\"query\":"
		      "\"lag > 2\"}]}]}")},
	{.match = "query=kube_pod_info",
	 .code = 200,
	 .always = true,
	 .body = VECTOR("\"node\":\"w1\",\"created_by_kind\":\"ReplicaSet\",\"created_by_name\":"
			"\"cart-7d9f8b6c5d\"")},
	{.match = "POST /api/v1/query ",
	 .code = 200,
	 .always = true,
	 .body = DATA("{\"resultType\":\"vector\",\"result\":[]}")},
	{.match = "query=lag&",
	 .code = 200,
	 .always = true,
	 .body = MATRIX(
		 SERIES("\"pod\":\"other\"") "," SERIES("\"pod\":\"cart-7d9f8b6c5d-x2x9z\""))},
	{.match = "kube_pod_container_info",
	 .code = 200,
	 .always = true,
	 .body = MATRIX(SERIES("\"image\":\"cart:2\""))},
	{.match = "container_memory_usage_bytes",
	 .code = 422,
	 .always = true,
	 .body = "{\"status\":\"error\",\"error\":\"too bad\"}"},
	{.match = "container_cpu_usage_seconds_total",
	 .code = 200,
	 .always = true,
	 .body = MATRIX(SERIES("\"pod\":\"cart-7d9f8b6c5d-x2x9z\""))},
	{.match = "/api/v1/query_range", .code = 200, .always = true, .body = MATRIX("")},
};

static const struct turn LOKI[] = {
	{.match = "count_over_time",
	 .code = 200,
	 .always = true,
	 .body = MATRIX(
		 "{\"metric\":{\"level\":\"error\"},\"values\":[[1768470400,\"4\"]]},"
		 "{\"metric\":{\"detected_level\":\"ERROR\"},\"values\":[[1768470400,\"1\"]]},"
		 "{\"metric\":{},\"values\":[[1768470415,\"2\"]]}")},
	{.match = "%7C~",
	 .code = 200,
	 .always = true,
	 .body = DATA("{\"resultType\":\"streams\",\"result\":[{\"stream\":{},\"values\":[["
		      "\"1768473999000000000\",\"ERROR x\"]]}]}")},
	{.match = "query_range",
	 .code = 200,
	 .always = true,
	 .body = DATA("{\"resultType\":\"streams\",\"result\":[{\"stream\":{\"level\":\"info\"},"
		      "\"values\":["
		      "[\"1768473998000000000\",\"login password=hunter2hunter2 "
		      "\\u001b[31mred\\u001b[0m\\nnext\"],"
		      "[\"1768473999000000000\",\"ERROR x\"]]}]}")},
};

static const struct turn TEMPO[] = {
	{.match = "/api/search",
	 .code = 200,
	 .always = true,
	 .body = "{\"traces\":[{\"traceID\":\"a1\"},{\"traceID\":\"a2\"}]}"},
	{.match = "00a1?",
	 .code = 200,
	 .always = true,
	 .body = "{\"batches\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":"
		 "{\"stringValue\":\"cart\"}}]},"
		 "\"scopeSpans\":[{\"spans\":[" SPAN(
			 "b1", "",
			 "GET /?token=abcdef0123456789") "," SPAN("b2", "b1",
								  "db") "," SPAN("b3", "ff",
										 "lost") "]}]}]}"},
	{.match = "00a2?", .code = 404, .always = true, .body = "trace not found"},
};

struct world {
	struct scripted *prometheus, *loki, *tempo;
	struct sources sources;
	const json_t *labels;
	struct window window;
};

static struct scripted *start(void *mem, const struct turn *turns, size_t n)
{
	return turns == NULL ? NULL : scripted_start(mem, turns, n);
}

static struct world world(void *mem, const struct turn *loki, size_t loki_count)
{
	struct world w = {.prometheus = start(mem, PROMETHEUS, COUNT(PROMETHEUS)),
			  .loki = start(mem, loki, loki_count),
			  .tempo = start(mem, TEMPO, COUNT(TEMPO))};
	struct http_client *http = scripted_client(mem);

	w.sources = (struct sources){
		.prometheus = {.http = http, .url = scripted_url(w.prometheus)},
		.loki = loki_backend(http, w.loki == NULL ? NULL : scripted_url(w.loki), "", "",
				     NULL, 1),
		.tempo = tempo_backend(http, scripted_url(w.tempo), "", "", NULL, 1),
		.source_timeout_ms = 8000,
		.timeout_ms = 10000,
	};
	w.labels = mem_own(mem, json_pack("{s:s, s:s, s:s}", "alertname", "Slow", "namespace",
					  "shop", "pod", "cart-7d9f8b6c5d-x2x9z"));
	w.window = gather_window(ALERT_MS, ALERT_MS + 30000);
	return w;
}

static const struct series *of_role(const struct evidence *e, enum series_role role)
{
	for (size_t n = 0; n < e->series_count; n++)
		if (e->series[n].role == role)
			return &e->series[n];
	return NULL;
}

static void the_window_begins_an_hour_before_the_alert(void **state)
{
	struct window w = gather_window(ALERT_MS, ALERT_MS + 5000);
	struct window future = gather_window(ALERT_MS + 9000, ALERT_MS);

	(void)state;
	assert_true(w.start_ms == ALERT_MS - 3600000 && w.end_ms == ALERT_MS + 5000 &&
		    w.alert_ms == ALERT_MS);
	assert_true(future.alert_ms == ALERT_MS && future.end_ms == ALERT_MS);
}

static void all_sources_together_make_the_evidence(void **state)
{
	SCOPE(mem);
	struct world w = world(mem, LOKI, COUNT(LOKI));
	struct evidence *e = NULL;
	struct evidence *copy = NULL;

	(void)state;
	assert_int_equal(gather(mem, &w.sources, w.labels, &w.window, &e), OK);
	assert_string_equal(e->object, "pod shop/cart-7d9f8b6c5d-x2x9z");
	assert_string_equal(e->service, "cart"); /* the owning workload */
	const struct series *cpu = of_role(e, SERIES_CPU);
	assert_non_null(cpu);
	assert_true(cpu->start_ms == w.window.start_ms && cpu->step_ms == 15000 &&
		    cpu->count == 243);
	assert_true(cpu->values[0] == 2 && cpu->values[1] == 3 && isnan(cpu->values[2]));
	assert_string_equal(cpu->object, "cart-7d9f8b6c5d-x2x9z");
	assert_string_equal(of_role(e, SERIES_VERSION)->object, "cart:2");
	assert_non_null(of_role(e, SERIES_NEIGHBOUR_CPU)); /* the node was learned */
	assert_string_equal(of_role(e, SERIES_RULE)->query, "lag");
	assert_string_equal(of_role(e, SERIES_RULE)->object, "cart-7d9f8b6c5d-x2x9z");
	assert_null(of_role(e, SERIES_MEMORY));
	assert_int_equal(e->asked[SOURCE_METRICS].status, OK);
	assert_non_null(strstr(e->asked[SOURCE_METRICS].why,
			       "queries failed: memory: Prometheus: too bad"));
	assert_int_equal(e->line_count, 2);
	assert_string_equal(e->lines[0].level, "info");
	assert_null(strstr(e->lines[0].text, "hunter2"));
	assert_null(strpbrk(e->lines[0].text, "\n\x1b"));
	assert_non_null(strstr(e->lines[0].text, "red next"));
	assert_string_equal(e->lines[1].text, "ERROR x");
	const struct series *volume = of_role(e, SERIES_LOG_VOLUME);
	assert_string_equal(volume->object, "error");
	assert_true(volume->values[0] == 5 && volume->values[1] == 0);
	assert_int_equal(e->span_count, 3);
	assert_null(strstr(e->spans[0].name, "abcdef0123456789"));
	assert_string_equal(e->spans[1].parent_id, "00000000000000b1");
	assert_string_equal(e->spans[2].parent_id, "");
	for (int n = 0; n < SOURCE_COUNT; n++)
		assert_true(e->asked[n].wanted && e->asked[n].queries[0] != NULL);
	assert_int_equal(evidence_decode(mem, evidence_encode(mem, e), &copy), OK);
	assert_int_equal(copy->series_count, e->series_count);
}

static void a_source_that_fails_loses_nothing_else(void **state)
{
	static const struct turn SILENT[] = {{.act = ACT_SILENT, .always = true}};
	static const struct turn BROKEN[] = {{.code = 500, .body = "oops", .always = true}};
	static const struct {
		const struct turn *loki;
		enum status status;
		const char *why;
	} CASES[] = {{SILENT, E_TIMEOUT, "log lines: Loki: "},
		     {BROKEN, E_TRANSIENT, "log lines: Loki answered 500: oops"}};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct world w = world(mem, CASES[n].loki, 1);
		struct evidence *e = NULL;
		w.sources.source_timeout_ms = 1500;
		int64_t began = clock_monotonic();
		assert_int_equal(gather(mem, &w.sources, w.labels, &w.window, &e), OK);
		assert_true(clock_monotonic() - began < 5000);
		assert_int_equal(e->asked[SOURCE_LOGS].status, CASES[n].status);
		assert_non_null(strstr(e->asked[SOURCE_LOGS].why, CASES[n].why));
		assert_true(e->line_count == 0 && e->span_count == 3 &&
			    of_role(e, SERIES_CPU) != NULL);
	}
}

static void without_any_source_there_is_still_evidence_of_asking(void **state)
{
	SCOPE(mem);
	struct world w = world(mem, NULL, 0);
	struct evidence *e = NULL;

	(void)state;
	w.sources.prometheus.url = scripted_nobody(mem);
	w.sources.tempo.url = scripted_nobody(mem);
	assert_int_equal(gather(mem, &w.sources, w.labels, &w.window, &e), OK);
	assert_int_equal(e->asked[SOURCE_METRICS].status, E_TRANSIENT);
	assert_false(e->asked[SOURCE_LOGS].wanted);
	assert_string_equal(e->asked[SOURCE_LOGS].why, "loki.url is not set");
	/* the owning workload was not learned */
	assert_false(e->asked[SOURCE_TRACES].wanted);
	assert_null(e->service);
	assert_int_equal(e->series_count, 0);
}

static void labels_that_name_nothing_ask_nothing(void **state)
{
	SCOPE(mem);
	struct world w = world(mem, LOKI, COUNT(LOKI));
	struct evidence *e = NULL;

	(void)state;
	w.labels = mem_own(mem, json_pack("{s:s}", "alertname", "Other"));
	assert_int_equal(gather(mem, &w.sources, w.labels, &w.window, &e), OK);
	for (int n = 0; n < SOURCE_COUNT; n++)
		assert_true(!e->asked[n].wanted && e->asked[n].why != NULL);
	assert_int_equal(scripted_count(w.loki, "GET"), 0);
	assert_int_equal(scripted_count(w.tempo, "GET"), 0);
	assert_string_equal(e->object, "alert Other");
}

static void the_gate_bounds_the_queries_of_all(void **state)
{
	SCOPE(mem);
	struct world w = world(mem, LOKI, COUNT(LOKI));
	struct evidence *e = NULL;

	(void)state;
	w.sources.gate = gather_gate_new(mem, 7);
	w.sources.source_timeout_ms = 1000;
	assert_int_equal(gather(mem, &w.sources, w.labels, &w.window, &e), OK);
	for (int n = 0; n < SOURCE_COUNT; n++)
		assert_int_equal(e->asked[n].status, OK);
	/* Prometheus got 14 of the 20 that may come at once: the next 14 must wait for longer than
	 * there is */
	assert_int_equal(gather(mem, &w.sources, w.labels, &w.window, &e), OK);
	assert_int_equal(e->asked[SOURCE_METRICS].status, E_RATE);
	assert_non_null(strstr(e->asked[SOURCE_METRICS].why, "investigate.rate"));
	assert_int_equal(e->asked[SOURCE_LOGS].status, OK);
	assert_true(e->line_count > 0);
}

static void *stop(void *http)
{
	usleep(200000);
	http_client_stop(http);
	return NULL;
}

static void a_stop_ends_it_at_once(void **state)
{
	static const struct turn SILENT[] = {{.act = ACT_SILENT, .always = true}};
	SCOPE(mem);
	struct world w = world(mem, SILENT, 1);
	struct evidence *e = NULL;
	pthread_t thread;
	int64_t began = clock_monotonic();

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, stop, w.sources.loki.http), 0);
	assert_int_equal(gather(mem, &w.sources, w.labels, &w.window, &e), E_CANCELED);
	assert_true(clock_monotonic() - began < 4000);
	assert_null(e);
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_window_begins_an_hour_before_the_alert),
		cmocka_unit_test(all_sources_together_make_the_evidence),
		cmocka_unit_test(a_source_that_fails_loses_nothing_else),
		cmocka_unit_test(without_any_source_there_is_still_evidence_of_asking),
		cmocka_unit_test(labels_that_name_nothing_ask_nothing),
		cmocka_unit_test(the_gate_bounds_the_queries_of_all),
		cmocka_unit_test(a_stop_ends_it_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
