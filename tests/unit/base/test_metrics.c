#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <regex.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"

/* The registry is one for the process: each test but the first uses families of its own. */

static void assert_has_line(const char *text, const char *line)
{
	SCOPE(tmp);
	const char *inside = str_fmt(tmp, "\n%s\n", line);

	if (strstr(text, inside) == NULL)
		fail_msg("no line: %s", line);
}

static int count_lines(const char *text, const char *prefix)
{
	int lines = 0;

	for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1)
		lines += str_starts(at, prefix);
	return lines;
}

static void what_has_no_labels_is_there_from_the_start(void **state)
{
	SCOPE(tmp);

	(void)state;
	const char *text = metrics_text(tmp);
#define EXPECT_GAUGE(name, labels) EXPECT_COUNTER(name, labels)
#define EXPECT_COUNTER(name, labels) \
	if (labels[0] == '\0') \
		assert_has_line(text, "agent_sre_" name " 0"); \
	else \
		assert_int_equal(count_lines(text, "agent_sre_" name "{"), 0);
#define EXPECT_HISTOGRAM(name, labels) \
	if (labels[0] == '\0') \
		assert_has_line(text, "agent_sre_" name "_bucket{le=\"+Inf\"} 0"); \
	else \
		assert_int_equal(count_lines(text, "agent_sre_" name "_bucket"), 0);
#define EXPECT(id, kind, name, labels, help) \
	assert_int_equal(count_lines(text, "# HELP agent_sre_" name " "), 1); \
	assert_int_equal(count_lines(text, "# TYPE agent_sre_" name " "), 1); \
	EXPECT_##kind(name, labels)
	METRICS(EXPECT)
	assert_int_equal(count_lines(text, "# HELP "), METRIC_COUNT);
}

static void counters_count(void **state)
{
	SCOPE(tmp);

	(void)state;
	metric_add(M_DUPLICATES, 1);
	metric_add(M_DUPLICATES, 0);
	metric_add(M_DUPLICATES, 2.5);
	assert_true(metric_value(M_DUPLICATES) == 3.5);
	metric_add(M_HTTP_REQUESTS, 1, "/health", "200");
	metric_add(M_HTTP_REQUESTS, 1, "/health", "200");
	metric_add(M_HTTP_REQUESTS, 1, "/", "400");
	assert_true(metric_value(M_HTTP_REQUESTS, "/health", "200") == 2);
	assert_true(metric_value(M_HTTP_REQUESTS, "/health", "400") == 0);
	const char *text = metrics_text(tmp);
	assert_has_line(text, "# TYPE agent_sre_duplicates_total counter");
	assert_has_line(text, "agent_sre_duplicates_total 3.5");
	assert_has_line(text, "agent_sre_http_requests_total{path=\"/health\",code=\"200\"} 2");
	assert_has_line(text, "agent_sre_http_requests_total{path=\"/\",code=\"400\"} 1");
	assert_int_equal(count_lines(text, "agent_sre_http_requests_total"), 2);
}

static void label_values_do_not_run_together(void **state)
{
	(void)state;
	metric_add(M_PEER_REQUESTS, 1, "ab", "c");
	metric_add(M_PEER_REQUESTS, 1, "a", "bc");
	metric_add(M_PEER_REQUESTS, 1, "abc", "");
	metric_add(M_PEER_REQUESTS, 1, "abc", NULL);
	assert_true(metric_value(M_PEER_REQUESTS, "ab", "c") == 1);
	assert_true(metric_value(M_PEER_REQUESTS, "a", "bc") == 1);
	assert_true(metric_value(M_PEER_REQUESTS, "abc", "") == 2);
}

static void gauges_move_both_ways(void **state)
{
	static const struct {
		double value;
		const char *line;
	} CASES[] = {
		{0.1, "agent_sre_dlq_size 0.1"},
		{1.0 / 3, "agent_sre_dlq_size 0.33333333333333331"},
		{1e15, "agent_sre_dlq_size 1e+15"},
		{123456789012345, "agent_sre_dlq_size 123456789012345"},
		{-2, "agent_sre_dlq_size -2"},
		{INFINITY, "agent_sre_dlq_size +Inf"},
		{-INFINITY, "agent_sre_dlq_size -Inf"},
		{NAN, "agent_sre_dlq_size NaN"},
		{0, "agent_sre_dlq_size 0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		SCOPE(tmp);
		metric_set(M_DLQ_SIZE, CASES[i].value);
		assert_has_line(metrics_text(tmp), CASES[i].line);
	}
	metric_add(M_WORKERS_BUSY, 3);
	metric_add(M_WORKERS_BUSY, -2);
	assert_true(metric_value(M_WORKERS_BUSY) == 1);
	metric_set(M_INCIDENTS_ACTIVE, 4, "open");
	metric_add(M_INCIDENTS_ACTIVE, 1, "open");
	assert_true(metric_value(M_INCIDENTS_ACTIVE, "open") == 5);
}

static void histograms_of_seconds_count_upwards(void **state)
{
	static const double SEEN[] = {0.0004, 0.001, 0.0011, 0.3, 299, 600, 601, -5, NAN};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < sizeof(SEEN) / sizeof(SEEN[0]); i++)
		metric_observe(M_STEP_SECONDS, SEEN[i], "open", "ok");
	const char *text = metrics_text(tmp);
#define LINE(le, n) \
	assert_has_line(text, "agent_sre_step_duration_seconds_bucket{step=\"open\",outcome=" \
			      "\"ok\",le=\"" le "\"} " n)
	LINE("0.001", "4");
	LINE("0.0025", "5");
	LINE("0.25", "5");
	LINE("0.5", "6");
	LINE("120", "6");
	LINE("300", "7");
	LINE("600", "8");
	LINE("+Inf", "9");
#undef LINE
	assert_int_equal(count_lines(text, "agent_sre_step_duration_seconds_bucket"), 19);
	assert_has_line(text,
			"agent_sre_step_duration_seconds_count{step=\"open\",outcome=\"ok\"} 9");
	assert_has_line(text, "agent_sre_step_duration_seconds_sum{step=\"open\",outcome=\"ok\"} "
			      "1500.3025");
	assert_has_line(text, "# TYPE agent_sre_step_duration_seconds histogram");
}

static void operations_have_powers_of_two(void **state)
{
	SCOPE(tmp);

	(void)state;
	metric_observe(M_INTAKE_GROUP, 1);
	metric_observe(M_INTAKE_GROUP, 3);
	metric_observe(M_INTAKE_GROUP, 4096);
	metric_observe(M_INTAKE_GROUP, 5000);
	const char *text = metrics_text(tmp);
	assert_has_line(text, "agent_sre_intake_group_requests_bucket{le=\"1\"} 1");
	assert_has_line(text, "agent_sre_intake_group_requests_bucket{le=\"2\"} 1");
	assert_has_line(text, "agent_sre_intake_group_requests_bucket{le=\"4\"} 2");
	assert_has_line(text, "agent_sre_intake_group_requests_bucket{le=\"2048\"} 2");
	assert_has_line(text, "agent_sre_intake_group_requests_bucket{le=\"4096\"} 3");
	assert_has_line(text, "agent_sre_intake_group_requests_bucket{le=\"+Inf\"} 4");
	assert_has_line(text, "agent_sre_intake_group_requests_sum 9100");
	assert_has_line(text, "agent_sre_intake_group_requests_count 4");
	assert_int_equal(count_lines(text, "agent_sre_intake_group_requests_bucket"), 14);
}

static void label_values_are_escaped(void **state)
{
	static const struct {
		const char *value, *written;
	} CASES[] = {
		{"a\"b", "a\\\"b"},
		{"a\\b", "a\\\\b"},
		{"a\nb", "a\\nb"},
		{"\\n\"\n", "\\\\n\\\"\\n"},
		{"} 1\nforged 2", "} 1\\nforged 2"},
		{"größe 🔥", "größe 🔥"},
		{"broken \xff", "broken ?"},
		{"", ""},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		metric_add(M_VERIFICATIONS, 1, CASES[i].value);
		assert_has_line(metrics_text(tmp),
				str_fmt(tmp, "agent_sre_verifications_total{verdict=\"%s\"} 1",
					CASES[i].written));
	}
}

static void long_label_values_are_cut(void **state)
{
	SCOPE(tmp);
	char *value = str_dup(tmp, "x");

	(void)state;
	for (int i = 0; i < 1000; i++)
		str_add(&value, "é");
	metric_add(M_HTTP_CUT, 1, value);
	assert_true(metric_value(M_HTTP_CUT, value) == 1);
	assert_has_line(
		metrics_text(tmp),
		str_fmt(tmp, "agent_sre_http_connections_cut_total{reason=\"%.255s\"} 1", value));
}

static void a_family_keeps_a_bounded_number_of_series(void **state)
{
	const int extra = 100;
	SCOPE(tmp);

	(void)state;
	for (int i = 0; i < METRIC_SERIES_MAX - 1 + extra; i++) {
		const char *name = str_fmt(tmp, "Alert%d", i);
		metric_add(M_REMEDIATION_ATTEMPTS, 1, name, "restart-worker", "success");
		metric_observe(M_REMEDIATION_SECONDS, 1, name, "success");
	}
	const char *text = metrics_text(tmp);
	assert_int_equal(count_lines(text, "agent_sre_remediation_attempts_total{"),
			 METRIC_SERIES_MAX);
	assert_has_line(text, "agent_sre_remediation_attempts_total{alertname=\"Alert510\","
			      "lambda_function=\"restart-worker\",status=\"success\"} 1");
	assert_has_line(text, "agent_sre_remediation_attempts_total{alertname=\"other\","
			      "lambda_function=\"other\",status=\"other\"} 100");
	assert_null(strstr(text, "alertname=\"Alert511\""));
	assert_int_equal(count_lines(text, "agent_sre_remediation_duration_seconds_count{"),
			 METRIC_SERIES_MAX);
	assert_has_line(text, "agent_sre_remediation_duration_seconds_count{"
			      "lambda_function=\"other\",status=\"other\"} 100");

	/* what is known stays exact */
	metric_add(M_REMEDIATION_ATTEMPTS, 1, "Alert3", "restart-worker", "success");
	assert_true(metric_value(M_REMEDIATION_ATTEMPTS, "Alert3", "restart-worker", "success") ==
		    2);
	assert_true(metric_value(M_REMEDIATION_ATTEMPTS, "Alert600", "restart-worker", "success") ==
		    0);
	assert_true(metric_value(M_REMEDIATION_ATTEMPTS, "other", "other", "other") == extra);
}

static void the_value_other_may_come_first(void **state)
{
	SCOPE(tmp);

	(void)state;
	metric_add(M_REMEDIATION_ACTIVE, 1, "other");
	for (int i = 0; i < 2 * METRIC_SERIES_MAX; i++)
		metric_add(M_REMEDIATION_ACTIVE, 1, str_fmt(tmp, "Alert%d", i));
	assert_in_range(count_lines(metrics_text(tmp), "agent_sre_active_remediations{"),
			METRIC_SERIES_MAX - 1, METRIC_SERIES_MAX);
	double all = metric_value(M_REMEDIATION_ACTIVE, "other");
	for (int i = 0; i < 2 * METRIC_SERIES_MAX; i++)
		all += metric_value(M_REMEDIATION_ACTIVE, str_fmt(tmp, "Alert%d", i));
	assert_true(all == 2 * METRIC_SERIES_MAX + 1);
}

enum { THREADS = 8, ROUNDS = 3000 };

static void *count_much(void *arg)
{
	static const char *const STEPS[] = {"open", "plan", "verify", "close"};

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		metric_add(M_STORE_ERRORS, 1);
		metric_add(M_STEP_RETRIES, 1, STEPS[i % 4], "transient");
		metric_observe(M_WORKFLOW_SECONDS, i % 100, "closed");
		metric_add(M_JOBS_WAITING, i % 2 == 0 ? 1 : -1);
		metric_set(M_BUILD_INFO, 1, "1.0");
		if (i % 500 == 0) {
			SCOPE(tmp);
			metrics_text(tmp);
			metric_add(M_DLQ_EVENTS, 1, str_fmt(tmp, "%p-%d", (void *)&tmp, i), "x");
		}
	}
	return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
	SCOPE(tmp);
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_much, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_true(metric_value(M_STORE_ERRORS) == THREADS * ROUNDS);
	assert_true(metric_value(M_STEP_RETRIES, "plan", "transient") == THREADS * ROUNDS / 4);
	assert_true(metric_value(M_JOBS_WAITING) == 0);
	const char *text = metrics_text(tmp);
	assert_has_line(text,
			"agent_sre_workflow_duration_seconds_count{outcome=\"closed\"} 24000");
	assert_has_line(text,
			"agent_sre_workflow_duration_seconds_sum{outcome=\"closed\"} 1188000");
}

/* After all of the above, hostile label values included. */
static void every_line_is_text_exposition(void **state)
{
	static const char LINE[] =
		"^(# HELP [a-z_]+ [^\\]+|# TYPE [a-z_]+ (counter|gauge|histogram)|"
		"agent_sre_[a-z_]+(\\{[a-z_]+=\"([^\"\\]|\\\\[\\\"n])*\""
		"(,[a-z_]+=\"([^\"\\]|\\\\[\\\"n])*\")*\\})? "
		"(NaN|[+-]Inf|-?[0-9]+(\\.[0-9]+)?(e[+-][0-9]+)?))$";
	SCOPE(tmp);
	regex_t line;

	(void)state;
	assert_int_equal(regcomp(&line, LINE, REG_EXTENDED | REG_NOSUB), 0);
	const char *text = metrics_text(tmp);
	assert_true(str_ends(text, "\n"));
	for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
		const char *one = str_ndup(tmp, at, strcspn(at, "\n"));
		if (regexec(&line, one, 0, NULL, 0) != 0)
			fail_msg("not a line of the format: %s", one);
	}
	regfree(&line);
}

static void sums_are_of_all_series_or_of_those_with_a_value(void **state)
{
	(void)state;
	double all = metric_sum(M_APPROVALS, NULL);
	metric_add(M_APPROVALS, 2, "approved");
	metric_add(M_APPROVALS, 3, "rejected");
	assert_true(metric_sum(M_APPROVALS, NULL) == all + 5);
	assert_true(metric_sum(M_APPROVALS, "rejected") == 3);
	assert_true(metric_sum(M_APPROVALS, "reject") == 0);
	assert_true(metric_sum(M_APPROVALS, "") == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_no_labels_is_there_from_the_start),
		cmocka_unit_test(nothing_is_lost_between_threads),
		cmocka_unit_test(counters_count),
		cmocka_unit_test(label_values_do_not_run_together),
		cmocka_unit_test(gauges_move_both_ways),
		cmocka_unit_test(histograms_of_seconds_count_upwards),
		cmocka_unit_test(operations_have_powers_of_two),
		cmocka_unit_test(label_values_are_escaped),
		cmocka_unit_test(long_label_values_are_cut),
		cmocka_unit_test(a_family_keeps_a_bounded_number_of_series),
		cmocka_unit_test(the_value_other_may_come_first),
		cmocka_unit_test(sums_are_of_all_series_or_of_those_with_a_value),
		cmocka_unit_test(every_line_is_text_exposition),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
