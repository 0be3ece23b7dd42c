#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/alert.h"

static const int64_t NOW = 1768474000000;

static json_t *parse(void *mem, const char *text)
{
	json_t *doc = NULL;

	assert_int_equal(json_parse(mem, text, strlen(text), &doc), OK);
	return doc;
}

static const struct node *nodes(void *mem, const char *text)
{
	const struct node *doc = NULL;

	assert_int_equal(node_parse(mem, text, strlen(text), &doc), OK);
	return doc;
}

static void fingerprint_is_the_one_that_alertmanager_computes(void **state)
{
	SCOPE(mem);
	struct label at[] = {{"severity", "critical"},
			     {"alertname", "PodCrash"},
			     {"cluster", "lab"},
			     {"pod", "web-0"},
			     {"namespace", "demo"}};
	struct labels labels = {at, 5};

	(void)state;
	labels_sort(&labels);
	assert_string_equal(alert_fingerprint(mem, &labels), "7e092a2542cbe5e5");
}

static void labels_are_sorted_and_the_first_of_equal_names_stays(void **state)
{
	SCOPE(mem);
	struct label at[] = {{"b", "1"}, {"a", "\"\n\x01"}, {"b", "2"}, {"c", ""}, {"a", "x"}};
	struct labels labels = {at, 5};

	(void)state;
	labels_sort(&labels);
	assert_string_equal(labels_text(mem, &labels),
			    "{\"a\":\"\\\"\\n\\u0001\",\"b\":\"1\",\"c\":\"\"}");
	assert_string_equal(json_text(mem, labels_json(mem, &labels)), labels_text(mem, &labels));
}

static void own_labels_win_over_common_ones(void **state)
{
	SCOPE(mem);
	struct alert *a = NULL;

	(void)state;
	assert_int_equal(
		alert_decode(mem,
			     nodes(mem, "{\"status\":\"firing\",\"alertname\":\"X\",\"labels\":{"
					"\"pod\":\"own\"},"
					"\"commonLabels\":{\"pod\":\"common\",\"team\":\"a\"},"
					"\"startsAt\":\"2026-01-15T10:40:00.123456789Z\","
					"\"endsAt\":\"0001-01-01T00:00:00Z\"}"),
			     NOW, &a),
		OK);
	assert_string_equal(labels_get(&a->labels, "pod"), "own");
	assert_string_equal(labels_get(&a->labels, "team"), "a");
	assert_string_equal(labels_get(&a->labels, "alertname"), "X");
	assert_int_equal(a->starts_ms % 1000, 123);
	assert_int_equal(a->ends_ms, 0);
}

static void a_name_on_the_label_wins_and_a_difference_is_noticed(void **state)
{
	SCOPE(mem);
	struct alert *a = NULL;

	(void)state;
	assert_int_equal(alert_decode(mem,
				      nodes(mem, "{\"status\":\"resolved\",\"alertname\":\"B\","
						 "\"labels\":{\"alertname\":\"A\"}}"),
				      NOW, &a),
			 OK);
	assert_string_equal(a->name, "A");
	assert_true(a->names_disagree);
	assert_int_equal(a->starts_ms, NOW);
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *text, *place;
	} CASES[] = {
		{"5", "data must be an object"},
		{"{}", "data.status"},
		{"{\"status\":\"odd\"}", "data.status"},
		{"{\"status\":\"firing\"}", "data.labels.alertname"},
		{"{\"status\":\"firing\",\"labels\":{\"alertname\":\"\"}}",
		 "data.labels.alertname"},
		{"{\"status\":\"firing\",\"labels\":5}", "data.labels"},
		{"{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\",\"n\":1}}",
		 "data.labels.n"},
		{"{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\",\"\":\"x\"}}",
		 "data.labels"},
		{"{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\",\"a\\nb\":\"x\"}}",
		 "data.labels"},
		{"{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\"},\"annotations\":[]}",
		 "data.annotations"},
		{"{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\"},\"startsAt\":5}",
		 "data.startsAt"},
		{"{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\"},\"endsAt\":\"soon\"}",
		 "data.endsAt"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		struct alert *a = NULL;
		assert_int_equal(alert_decode(mem, nodes(mem, CASES[n].text), NOW, &a), E_INVALID);
		if (strstr(status_message(), CASES[n].place) == NULL)
			fail_msg("'%s' does not name %s", status_message(), CASES[n].place);
		assert_null(a);
	}
}

static void a_webhook_reports_each_member_by_itself(void **state)
{
	SCOPE(mem);
	struct webhook *w = NULL;

	(void)state;
	assert_int_equal(
		webhook_decode(mem,
			       nodes(mem,
				     "{\"version\":\"4\",\"status\":\"firing\",\"receiver\":\"r\","
				     "\"truncatedAlerts\":2,"
				     "\"alerts\":[{\"status\":\"resolved\",\"labels\":{"
				     "\"alertname\":\"A\"}},"
				     "{\"status\":\"odd\",\"labels\":{\"alertname\":\"A\"}},5]}"),
			       NOW, &w),
		OK);
	assert_int_equal(w->count, 3);
	assert_int_equal(w->alerts[0]->state, ALERT_RESOLVED);
	assert_int_equal(w->alerts[0]->truncated_alerts, 2);
	assert_null(w->alerts[1]);
	assert_non_null(strstr(w->errors[1], "alerts[1].status"));
	assert_null(w->alerts[2]);
}

static void other_versions_and_shapes_are_refused(void **state)
{
	static const char *const BAD[] = {"[]", "{}", "{\"alerts\":5}",
					  "{\"version\":\"3\",\"alerts\":[]}"};

	(void)state;
	for (size_t n = 0; n < sizeof(BAD) / sizeof(BAD[0]); n++) {
		SCOPE(mem);
		struct webhook *w = NULL;
		assert_int_equal(webhook_decode(mem, nodes(mem, BAD[n]), NOW, &w), E_INVALID);
	}
}

static void a_repeat_has_the_same_event_id_and_its_end_another(void **state)
{
	SCOPE(mem);
	char *firing = alert_event_id(mem, "7e092a2542cbe5e5", NOW, ALERT_FIRING);

	(void)state;
	assert_string_equal(firing, alert_event_id(mem, "7e092a2542cbe5e5", NOW, ALERT_FIRING));
	assert_string_not_equal(firing,
				alert_event_id(mem, "7e092a2542cbe5e5", NOW, ALERT_RESOLVED));
	assert_string_not_equal(firing,
				alert_event_id(mem, "7e092a2542cbe5e5", NOW + 1, ALERT_FIRING));

	char fingerprint[17];
	int64_t starts = 0;
	assert_true(alert_event_id_parse(firing, fingerprint, &starts));
	assert_string_equal(fingerprint, "7e092a2542cbe5e5");
	assert_int_equal(starts, NOW);
	assert_false(alert_event_id_parse("7e092a2542cbe5e5-1-odd", fingerprint, &starts));
	assert_false(alert_event_id_parse("7e092a2542cbe5e-1-firing", fingerprint, &starts));
	assert_false(alert_event_id_parse("alert-12345", fingerprint, &starts));
}

static void the_resource_is_the_first_that_is_there(void **state)
{
	SCOPE(mem);

	(void)state;
	assert_string_equal(alert_resource(parse(mem, "{\"namespace\":\"n\",\"node\":\"k\"}")),
			    "k");
	assert_string_equal(alert_resource(parse(mem, "{\"pod\":\"\",\"deployment\":\"d\"}")), "d");
	assert_null(alert_resource(parse(mem, "{\"severity\":\"info\"}")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fingerprint_is_the_one_that_alertmanager_computes),
		cmocka_unit_test(labels_are_sorted_and_the_first_of_equal_names_stays),
		cmocka_unit_test(own_labels_win_over_common_ones),
		cmocka_unit_test(a_name_on_the_label_wins_and_a_difference_is_noticed),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(a_webhook_reports_each_member_by_itself),
		cmocka_unit_test(other_versions_and_shapes_are_refused),
		cmocka_unit_test(a_repeat_has_the_same_event_id_and_its_end_another),
		cmocka_unit_test(the_resource_is_the_first_that_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
