#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"
#include "domain/slo_rules.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void add_file(void *mem, struct openslo *o, const char *name)
{
	char *text = NULL;
	size_t n = 0;
	char *path = str_fmt(mem, SOURCE_ROOT "/tests/data/slo/definitions/%s", name);

	assert_int_equal(file_read(mem, path, LIMIT_FILE_BYTES, &text, &n), OK);
	assert_int_equal(openslo_add(o, name, text, n), OK);
}

static struct openslo *samples(void *mem)
{
	struct openslo *o = openslo_new(mem);

	add_file(mem, o, "shop.yaml");
	add_file(mem, o, "speed.yml");
	assert_int_equal(openslo_finish(o), OK);
	return o;
}

static void definitions_are_read_from_several_documents_and_files(void **state)
{
	SCOPE(mem);
	const struct openslo *o = samples(mem);
	size_t count = 0;

	(void)state;
	openslo_all(o, &count);
	assert_int_equal(count, 3);
	const struct slo_definition *d = openslo_find(o, "availability");
	assert_string_equal(d->display, "Availability");
	assert_string_equal(d->service, "shop");
	assert_true(d->objective == 0.999);
	assert_int_equal(d->period_s, 30 * 86400);
	assert_int_equal(d->indicator, SLO_RATIO_BAD);
	assert_true(d->counter);
	d = openslo_find(o, "latency");
	assert_true(d->objective == 0.95);
	assert_int_equal(d->period_s, 28 * 86400);
	assert_int_equal(d->indicator, SLO_RATIO_GOOD);
	d = openslo_find(o, "freshness");
	assert_int_equal(d->indicator, SLO_THRESHOLD);
	assert_string_equal(d->op, "<=");
	assert_true(d->value == 600);
	assert_null(openslo_find(o, "nothing"));
	assert_null(openslo_find(NULL, "availability"));
}

static void what_is_read_differently_is_noted(void **state)
{
	static const char *const WANTED[] = {
		"shop.yaml:27: kind DataSource is passed over",
		"speed.yml:32: a month counts as 30 days, a quarter as 90, a year as 365",
		"speed.yml:32: a calendar-aligned window is treated as a rolling one",
	};
	SCOPE(mem);
	size_t count = 0;
	const char *const *notes = openslo_notes(samples(mem), &count);

	(void)state;
	for (size_t n = 0; n < count; n++)
		print_message("# %s\n", notes[n]);
	assert_int_equal(count, COUNT(WANTED));
	for (size_t n = 0; n < count; n++)
		assert_string_equal(notes[n], WANTED[n]);
}

static void an_indicator_becomes_a_ratio_of_errors_over_a_window(void **state)
{
	SCOPE(mem);
	const struct openslo *o = samples(mem);

	(void)state;
	assert_string_equal(slo_definition_errors(mem, openslo_find(o, "availability"), "1h"),
			    "(sum(rate(http_requests_total{job=\"shop\",code=~\"5..\"}[1h])) / "
			    "sum(rate(http_requests_total{job=\"shop\"}[1h])))");
	assert_string_equal(
		slo_definition_errors(mem, openslo_find(o, "latency"), "2h"),
		"1 - "
		"(sum(sum(rate(http_request_duration_seconds_bucket{job=\"shop\",le=\"0.5\"}[2h])) "
		"# fast enough\n) / "
		"sum(sum(rate(http_request_duration_seconds_count{job=\"shop\"}[2h]))))");
	assert_string_equal(
		slo_definition_errors(mem, openslo_find(o, "freshness"), "6h"),
		"1 - avg(avg_over_time(((max(shop_feed_age_seconds)) <= bool 600)[6h:]))");
	struct slo_definition d = *openslo_find(o, "availability");
	d.part = "sum by (pod) (errors_total)";
	d.total = "requests_total";
	assert_string_equal(slo_definition_errors(mem, &d, "5m"),
			    "(sum(rate((sum by (pod) (errors_total))[5m:])) / "
			    "sum(rate(requests_total[5m])))");
	d.counter = false;
	d.part = "errors:rate1m";
	assert_string_equal(slo_definition_errors(mem, &d, "5m"),
			    "(sum(avg_over_time((errors:rate1m)[5m:])) / "
			    "sum(avg_over_time((requests_total)[5m:])))");
}

#define SLO(spec) \
	"apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\nspec:\n  service: s\n" spec
#define QUERY "{metricSource: {spec: {query: x}}}"
#define INDICATOR "  indicator: {spec: {ratioMetric: {good: " QUERY ", total: " QUERY "}}}\n"
#define WINDOW "  timeWindow: [{duration: 30d}]\n"
#define OBJECTIVE "  objectives: [{target: 0.9}]\n"

static void what_is_wrong_is_said_with_file_and_line(void **state)
{
	static const struct {
		const char *text, *said;
	} CASES[] = {
		{"a: [", "f.yaml:2:1: "},
		{"- 1\n", "f.yaml:1: a document must be a mapping"},
		{"kind: SLO\n", "f.yaml:1: apiVersion: is missing"},
		{"apiVersion: openslo/v1alpha\nkind: SLO\n",
		 "f.yaml:1: apiVersion: must be openslo/v1"},
		{"apiVersion: openslo/v1\nkind: SLO\n", "f.yaml:2: metadata: is missing"},
		{"apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: 'a b'}\n",
		 "f.yaml:3: metadata.name: may hold only letters"},
		{SLO(INDICATOR WINDOW), "f.yaml:4: spec.objectives: must be a list"},
		{SLO(INDICATOR OBJECTIVE), "f.yaml:4: spec.timeWindow: must be a list of one"},
		{SLO(WINDOW OBJECTIVE), "f.yaml:4: spec: one of indicator and indicatorRef"},
		{SLO(INDICATOR WINDOW "  objectives: [{target: 1}]\n"),
		 "f.yaml:8: spec.objectives[0].target: must be more than none and less than all"},
		{SLO(INDICATOR WINDOW "  objectives: [{targetPercent: 0}]\n"),
		 "f.yaml:8: spec.objectives[0].targetPercent: must be more than none"},
		{SLO(INDICATOR WINDOW "  objectives: [{target: 0.9, targetPercent: 90}]\n"),
		 "f.yaml:8: spec.objectives[0].target: one of target and targetPercent"},
		{SLO(INDICATOR WINDOW "  objectives: [{target: x}]\n"),
		 "f.yaml:8: spec.objectives[0].target: must be a number"},
		{SLO(INDICATOR "  timeWindow: [{duration: soon}]\n" OBJECTIVE),
		 "f.yaml:7: spec.timeWindow[0].duration: must be a duration"},
		{SLO(INDICATOR WINDOW OBJECTIVE "  budgetingMethod: Timeslices\n"),
		 "f.yaml:9: spec.budgetingMethod: only Occurrences"},
		{SLO("  indicatorRef: b\n" WINDOW OBJECTIVE),
		 "f.yaml:6: spec.indicatorRef: there is no SLI b"},
		{SLO("  indicator: {spec: {}}\n" WINDOW OBJECTIVE),
		 "f.yaml:6: spec.indicator.spec: one of ratioMetric and thresholdMetric"},
		{SLO("  indicator: {spec: {ratioMetric: {total: " QUERY "}}}\n" WINDOW OBJECTIVE),
		 "f.yaml:6: spec.indicator.spec.ratioMetric: one of good and bad"},
		{SLO("  indicator: {spec: {thresholdMetric: " QUERY "}}\n" WINDOW OBJECTIVE),
		 "f.yaml:8: spec.objectives: a thresholdMetric needs op and value"},
		{SLO("  indicator: {spec: {thresholdMetric: {metricSource: {type: Datadog, spec: "
		     "{}}}}}\n" WINDOW "  objectives: [{target: 0.9, op: lt, value: 1}]\n"),
		 "f.yaml:6: spec.indicator.spec.thresholdMetric.metricSource.type: only "
		 "Prometheus"},
		{SLO(INDICATOR WINDOW OBJECTIVE) "---\n" SLO(INDICATOR WINDOW OBJECTIVE),
		 "f.yaml:12: metadata.name: there is an SLO a already, in f.yaml:2"},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		struct openslo *o = openslo_new(mem);
		enum status s = openslo_add(o, "f.yaml", CASES[n].text, strlen(CASES[n].text));
		if (s == OK)
			s = openslo_finish(o);
		print_message("# %s\n", status_message());
		assert_int_equal(s, E_INVALID);
		assert_true(str_starts(status_message(), CASES[n].said));
	}
}

static void rules_are_yaml_that_reads_back_as_the_same(void **state)
{
	SCOPE(mem);
	const struct openslo *o = samples(mem);
	char *text = slo_rules_text(mem, o);
	json_t *back = NULL;

	(void)state;
	assert_int_equal(yaml_parse(mem, "rules", text, strlen(text), &back, NULL), OK);
	assert_string_equal(json_text(mem, back), json_text(mem, slo_rules(mem, o)));
	assert_int_equal(json_array_size(json_object_get(back, "groups")), 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(definitions_are_read_from_several_documents_and_files),
		cmocka_unit_test(what_is_read_differently_is_noted),
		cmocka_unit_test(an_indicator_becomes_a_ratio_of_errors_over_a_window),
		cmocka_unit_test(what_is_wrong_is_said_with_file_and_line),
		cmocka_unit_test(rules_are_yaml_that_reads_back_as_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
