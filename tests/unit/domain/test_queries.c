#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/queries.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { STEP = 15000 };

static struct subject *about(void *mem, const char *text)
{
	json_t *doc = NULL;

	assert_int_equal(json_parse(mem, text, strlen(text), &doc), OK);
	struct subject *s = subject_of(mem, doc);
	subject_settle(s);
	return s;
}

static const char *of_role(void *mem, const struct subject *s, enum series_role role)
{
	struct metric_query *list = NULL;
	size_t count = 0;

	queries_metrics(mem, s, STEP, &list, &count);
	for (size_t n = 0; n < count; n++)
		if (list[n].role == role)
			return list[n].text;
	return NULL;
}

static void a_pod_is_asked_about_in_all_its_roles(void **state)
{
	static const enum series_role ROLES[] = {
		SERIES_CPU,	     SERIES_CPU_LIMIT, SERIES_THROTTLED, SERIES_MEMORY,
		SERIES_MEMORY_LIMIT, SERIES_RESTARTS,  SERIES_REQUESTS,	 SERIES_ERRORS,
		SERIES_LATENCY,	     SERIES_VERSION,
	};
	SCOPE(mem);
	struct subject *s = about(mem, "{\"namespace\":\"shop\",\"pod\":\"cart-0\"}");

	(void)state;
	for (size_t n = 0; n < COUNT(ROLES); n++) {
		const char *text = of_role(mem, s, ROLES[n]);
		if (text == NULL || strstr(text, "namespace=\"shop\"") == NULL ||
		    strstr(text, "pod=\"cart-0\"") == NULL)
			fail_msg("%s: %s", series_role_name(ROLES[n]),
				 text == NULL ? "none" : text);
	}
	assert_null(of_role(mem, s, SERIES_DISK));
	assert_null(of_role(mem, s, SERIES_NEIGHBOUR_CPU));
	assert_string_equal(
		of_role(mem, s, SERIES_CPU),
		"sum by (namespace, pod) "
		"(rate(container_cpu_usage_seconds_total{namespace=\"shop\",pod=\"cart-0\","
		"container!=\"\",container!=\"POD\"}[5m])) or sum by (namespace, pod) "
		"(rate(container_cpu_usage_seconds_total{namespace=\"shop\",pod=\"cart-0\"}[5m]))");
	s->node = "w1";
	s->claim = "data";
	assert_non_null(
		strstr(of_role(mem, s, SERIES_NEIGHBOUR_CPU), "kube_pod_info{node=\"w1\"} unless"));
	assert_non_null(of_role(mem, s, SERIES_NODE_CPU));
	assert_non_null(strstr(of_role(mem, s, SERIES_DISK), "persistentvolumeclaim=\"data\""));
	assert_non_null(of_role(mem, s, SERIES_DISK_LIMIT));
}

static void a_workload_is_its_pods(void **state)
{
	SCOPE(mem);
	struct subject *s = about(mem, "{\"namespace\":\"shop\",\"deployment\":\"ca.rt\"}");

	(void)state;
	assert_non_null(strstr(of_role(mem, s, SERIES_MEMORY),
			       "pod=~\"ca\\\\.rt-[a-z0-9]{5,10}-[a-z0-9]{5}\""));
	assert_string_equal(
		queries_logs(mem, s, false),
		"{namespace=\"shop\",pod=~\"ca\\\\.rt-[a-z0-9]{5,10}-[a-z0-9]{5}\"} | json");
}

static void a_service_is_asked_for_by_its_own_label(void **state)
{
	SCOPE(mem);
	struct subject *s = about(mem, "{\"namespace\":\"shop\",\"app\":\"cart\"}");
	struct subject *t = about(mem, "{\"job\":\"api\"}");

	(void)state;
	assert_non_null(strstr(of_role(mem, s, SERIES_REQUESTS),
			       "sum by (namespace, app) "
			       "(rate(http_requests_total{namespace=\"shop\",app=\"cart\"}[5m]))"));
	assert_non_null(of_role(mem, s, SERIES_CPU));
	assert_non_null(strstr(of_role(mem, t, SERIES_ERRORS), "{job=\"api\",code=~\"5..\"}"));
	assert_null(of_role(mem, t, SERIES_CPU));
	assert_string_equal(queries_logs(mem, t, false), "{job=\"api\"} | json");
}

static void missing_labels_select_other_queries(void **state)
{
	SCOPE(mem);
	struct metric_query *list = NULL;
	size_t count = 9;
	struct subject *none = about(mem, "{\"alertname\":\"Watchdog\"}");
	struct subject *space = about(mem, "{\"namespace\":\"shop\"}");
	struct subject *node = about(mem, "{\"node\":\"w1\"}");
	struct subject *pod = about(mem, "{\"pod\":\"cart-0\"}"); /* of which namespace? */

	(void)state;
	queries_metrics(mem, none, STEP, &list, &count);
	assert_int_equal(count, 0);
	queries_metrics(mem, pod, STEP, &list, &count);
	assert_int_equal(count, 0);
	assert_null(queries_logs(mem, none, false));
	assert_null(queries_log_volume(mem, none, STEP));
	assert_null(queries_traces(mem, none, TRACES_SLOW));
	assert_null(queries_logs(mem, pod, false));
	assert_null(queries_logs(mem, node, true));
	assert_true(str_starts(queries_logs(mem, space, false),
			       "{namespace=\"shop\"} |~ \"(?i)(error"));
	assert_non_null(
		strstr(of_role(mem, node, SERIES_NODE_CPU), "node_uname_info{nodename=\"w1\"}"));
	assert_non_null(of_role(mem, node, SERIES_NEIGHBOUR_CPU));
}

static void a_node_exporters_instance_is_the_node(void **state)
{
	SCOPE(mem);
	struct subject *s = about(mem, "{\"job\":\"node-exporter\",\"instance\":\"10.0.0.7:9100\","
				       "\"mountpoint\":\"/var\"}");

	(void)state;
	assert_string_equal(of_role(mem, s, SERIES_NODE_CPU),
			    "1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\","
			    "instance=\"10.0.0.7:9100\"}[5m]))");
	assert_non_null(strstr(of_role(mem, s, SERIES_DISK), "mountpoint=\"/var\""));
	assert_non_null(of_role(mem, s, SERIES_MEMORY_LIMIT));
}

static void logs_and_traces_have_the_form_that_was_agreed(void **state)
{
	SCOPE(mem);
	struct subject *s =
		about(mem, "{\"namespace\":\"shop\",\"pod\":\"cart-0\",\"service\":\"cart\"}");

	(void)state;
	assert_string_equal(queries_logs(mem, s, false),
			    "{namespace=\"shop\",pod=\"cart-0\"} | json");
	assert_non_null(strstr(queries_logs(mem, s, true), "} |~ \"(?i)("));
	assert_string_equal(queries_log_volume(mem, s, STEP),
			    "sum by (level, detected_level) "
			    "(count_over_time({namespace=\"shop\",pod=\"cart-0\"}[15s]))");
	assert_string_equal(queries_traces(mem, s, TRACES_SLOW),
			    "{ resource.service.name = \"cart\" && duration > 1s }");
	assert_string_equal(queries_traces(mem, s, TRACES_FAILED),
			    "{ resource.service.name = \"cart\" && status = error }");
	assert_string_equal(queries_traces(mem, s, TRACES_ANY),
			    "{ resource.service.name = \"cart\" }");
}

static void a_name_that_no_service_can_have_is_not_looked_for(void **state)
{
	static const char *const NAMES[] = {"a\nb", "\x01", "a\x7f", "\xef\xbb\xbf"};

	(void)state;
	for (size_t n = 0; n < COUNT(NAMES); n++) {
		SCOPE(mem);
		const struct subject s = {.kind = OBJECT_SERVICE, .service = NAMES[n]};
		assert_null(queries_traces(mem, &s, TRACES_ANY));
	}
}

static void long_steps_lengthen_the_window_of_rates(void **state)
{
	SCOPE(mem);
	struct metric_query *list = NULL;
	size_t count = 0;

	(void)state;
	queries_metrics(mem, about(mem, "{\"namespace\":\"n\",\"pod\":\"p\"}"), 3600000, &list,
			&count);
	assert_non_null(strstr(list[0].text, "[60m]"));
}

/* Outside of quotes nothing of a value remains: no brace, no operator, no word of it. */
static void check_inert(const char *query)
{
	bool inside = false;

	for (const char *c = query; *c != '\0'; c++) {
		if (inside && *c == '\\')
			c++;
		else if (*c == '"')
			inside = !inside;
		else if (!inside && (strchr("`'\n;#", *c) != NULL || strncmp(c, "EVIL", 4) == 0))
			fail_msg("%s", query);
	}
	assert_false(inside);
}

static void hostile_values_stay_values(void **state)
{
	static const char *const VALUES[] = {
		"\"} or EVIL{a=\"",
		"\\\"} or EVIL #",
		"x\n} EVIL",
		"EVIL`'\"",
		"\\",
		"EVIL\\",
		".*",
		"a|EVIL",
		"(?i)EVIL",
		"\"\"\"",
		"None",
		"{{ EVIL }}",
		"\" && true } || { EVIL = \"",
	};
	static const char *const SHAPES[][4] = {
		{"namespace", "pod", "service", "persistentvolumeclaim"},
		{"namespace", "deployment", "app", "node"},
		{"job", "instance", "alertname", "mountpoint"},
		{"namespace", "statefulset", "job", "exported_pod"},
		{"node", "namespace", "exported_namespace", "container"},
	};

	(void)state;
	for (size_t v = 0; v < COUNT(VALUES) * COUNT(SHAPES); v++) {
		SCOPE(mem);
		json_t *l = mem_own(mem, json_object());
		struct metric_query *list = NULL;
		size_t count = 0;
		for (size_t n = 0; n < 4; n++)
			json_object_set_new(l, SHAPES[v % COUNT(SHAPES)][n],
					    json_string(VALUES[v / COUNT(SHAPES)]));
		struct subject *s = subject_of(mem, l);
		for (int f = 0; f < FACT_COUNT; f++)
			if (subject_fact_query(mem, s, (enum fact)f) != NULL)
				check_inert(subject_fact_query(mem, s, (enum fact)f));
		s->workload = str_dup(s, VALUES[v / COUNT(SHAPES)]);
		s->workload_kind = "deployment";
		subject_settle(s);
		queries_metrics(mem, s, STEP, &list, &count);
		for (size_t n = 0; n < count; n++)
			check_inert(list[n].text);
		for (int c = 0; c < TRACE_CHOICES; c++)
			if (queries_traces(mem, s, (enum trace_choice)c) != NULL)
				check_inert(queries_traces(mem, s, (enum trace_choice)c));
		if (queries_logs(mem, s, true) != NULL) {
			check_inert(queries_logs(mem, s, true));
			check_inert(queries_logs(mem, s, false));
			check_inert(queries_log_volume(mem, s, STEP));
		}
	}
}

static void the_rule_is_asked_without_its_limit(void **state)
{
	SCOPE(mem);

	(void)state;
	assert_string_equal(queries_rule(mem, "rate(errors[5m]) > 0.5").text, "rate(errors[5m])");
	assert_string_equal(queries_rule(mem, "absent(up)").text, "absent(up)");
	assert_int_equal(queries_rule(mem, "up == 0").role, SERIES_RULE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pod_is_asked_about_in_all_its_roles),
		cmocka_unit_test(a_workload_is_its_pods),
		cmocka_unit_test(a_service_is_asked_for_by_its_own_label),
		cmocka_unit_test(missing_labels_select_other_queries),
		cmocka_unit_test(a_node_exporters_instance_is_the_node),
		cmocka_unit_test(logs_and_traces_have_the_form_that_was_agreed),
		cmocka_unit_test(a_name_that_no_service_can_have_is_not_looked_for),
		cmocka_unit_test(long_steps_lengthen_the_window_of_rates),
		cmocka_unit_test(hostile_values_stay_values),
		cmocka_unit_test(the_rule_is_asked_without_its_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
