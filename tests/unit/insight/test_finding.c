#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include "insight/finding.h"
#include "scene_maker.h"

static struct scene_made *surge(void *mem)
{
	struct scene_made *s = scene_make(mem);

	scene_add(s, SERIES_RULE, "cart-0", 0.4, 0.95, 0);
	scene_add(s, SERIES_CPU, "cart-0", 0.4, 0.95, 0);
	scene_add(s, SERIES_REQUESTS, "cart-0", 100, 240, 0);
	return s;
}

static void every_finding_cites_its_series_query_and_values(void **state)
{
	SCOPE(mem);
	struct insight *i = insight_make(mem, &surge(mem)->evidence);

	(void)state;
	assert_int_equal(i->diagnosis.cause, CAUSE_TRAFFIC_SURGE);
	assert_true(i->finding_count >= 2);
	const struct finding *f = &i->findings[0];
	assert_int_equal(f->kind, FINDING_CAUSE);
	assert_non_null(strstr(f->sentence, "requests of cart-0 rose from"));
	assert_int_equal(f->citation_count, 1);
	assert_int_equal(f->citations[0].source, SOURCE_METRICS);
	assert_string_equal(f->citations[0].query, "query");
	assert_string_equal(f->citations[0].object, "cart-0");
	assert_true(fabs(f->citations[0].before - 100) < 3 &&
		    fabs(f->citations[0].after - 240) < 5);
	assert_true(llabs(f->citations[0].at_ms - SCENE_CHANGE * SCENE_STEP) <= 60000);
	for (size_t n = 1; n < i->finding_count; n++)
		assert_true(i->findings[n].weight <= i->findings[n - 1].weight);
}

static void the_same_evidence_gives_the_same_bytes(void **state)
{
	SCOPE(mem);
	struct scene_made *s = surge(mem);
	struct insight *a = insight_make(mem, &s->evidence);
	struct insight *b = insight_make(mem, &s->evidence);

	(void)state;
	assert_string_equal(json_text(mem, insight_encode(mem, a)),
			    json_text(mem, insight_encode(mem, b)));
	assert_string_equal(insight_markdown(mem, a), insight_markdown(mem, b));
}

static void json_holds_the_diagnosis_and_its_actions(void **state)
{
	SCOPE(mem);
	json_t *doc = insight_encode(mem, insight_make(mem, &surge(mem)->evidence));
	const json_t *d = json_object_get(doc, "diagnosis");

	(void)state;
	assert_string_equal(json_str(d, "cause"), "traffic_surge");
	assert_string_equal(json_str(d, "object"), "cart-0");
	assert_true(json_is_real(json_object_get(d, "confidence")));
	assert_true(json_array_size(json_object_get(d, "actions")) >= 3);
	assert_string_equal(json_str(json_array_get(json_object_get(d, "actions"), 0), "when"),
			    "immediate");
	const json_t *f = json_array_get(json_object_get(doc, "findings"), 0);
	assert_string_equal(json_str(f, "kind"), "cause");
	assert_string_equal(json_str(json_array_get(json_object_get(f, "citations"), 0), "series"),
			    "requests");
}

static void the_text_numbers_findings_and_marks_actions(void **state)
{
	SCOPE(mem);
	struct insight *i = insight_make(mem, &surge(mem)->evidence);
	char *text = insight_markdown(mem, i);
	char *remedy = remediation_markdown(mem, i);

	(void)state;
	assert_non_null(
		strstr(text, "**Root cause:** traffic surge, `cart-0`, since 1970-01-01T00:4"));
	assert_non_null(strstr(text, "\n1. "));
	assert_non_null(strstr(text, "\n2. "));
	assert_non_null(strstr(text, "   - metrics: `query`"));
	assert_true(str_starts(remedy, "1. **Immediate** - Scale out"));
	assert_non_null(strstr(remedy, "\n3. **Follow-up** - "));
}

static void nothing_wrong_has_notes_only(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);

	(void)state;
	scene_add(s, SERIES_RULE, "cart-0", 0.5, 0.5, 0);
	struct insight *i = insight_make(mem, &s->evidence);
	assert_int_equal(i->diagnosis.cause, CAUSE_NOTHING_WRONG);
	assert_int_equal(i->finding_count, 1);
	assert_int_equal(i->findings[0].kind, FINDING_NOTE);
	assert_true(str_starts(remediation_markdown(mem, i), "Nothing to do."));
}

static void a_source_that_was_missing_is_said(void **state)
{
	SCOPE(mem);
	struct scene_made *s = surge(mem);

	(void)state;
	s->evidence.asked[SOURCE_LOGS].status = E_TIMEOUT;
	s->evidence.asked[SOURCE_LOGS].why = "no answer in 8 s";
	s->evidence.asked[SOURCE_TRACES].wanted = false;
	s->evidence.asked[SOURCE_METRICS].cut = true;
	char *text = insight_markdown(mem, insight_make(mem, &s->evidence));
	assert_non_null(strstr(text, "logs could not be had: no answer in 8 s"));
	assert_non_null(strstr(text, "traces were not asked for"));
	assert_non_null(strstr(text, "metrics are incomplete, only a part was taken"));
}

static void hostile_text_stays_text(void **state)
{
	SCOPE(mem);
	struct scene_made *s = surge(mem);
	struct log_line lines[20];

	(void)state;
	for (int n = 0; n < 20; n++)
		lines[n] = (struct log_line){
			(int64_t)(SCENE_CHANGE + n) * SCENE_STEP, "error",
			"XError: ![x](http://evil/) <script> @here `rm` password=hunter2hunter2"};
	s->evidence.lines = lines;
	s->evidence.line_count = 20;
	s->series[2].object = "cart-0";
	s->series[2].query = "up{a=\"`\"} ` @here";
	char *text = insight_markdown(mem, insight_make(mem, &s->evidence));
	assert_non_null(strstr(text, "XError"));
	assert_null(strstr(text, "![x]("));
	assert_null(strstr(text, "<script>"));
	assert_null(strstr(text, "hunter2"));
	assert_null(strstr(text, "` @here"));
}

/* Everything that can be wrong at once: the answer does not matter, that there is one does. */
static void hostile_evidence_is_survived(void **state)
{
	SCOPE(mem);
	struct scene_made *s = scene_make(mem);
	enum { SPANS = 300 };
	struct trace_span spans[SPANS];
	struct log_line line = {INT64_MAX, "", ""};

	(void)state;
	for (int role = 0; role < SERIES_ROLE_COUNT; role++) {
		double *v = scene_add(s, (enum series_role)role, role % 2 ? "cart-0" : "", 1, 2, 0);
		for (int n = 0; n < SCENE_SAMPLES; n++) {
			static const double BAD[] = {NAN,    INFINITY, -INFINITY, 1e308,
						     -1e308, 0,	       5e-324};
			v[n] = role % 3 == 0   ? BAD[n % 7]
			       : role % 3 == 1 ? (n % 2 ? 1e99 : -1e99)
					       : v[n];
		}
	}
	s->series[0].step_ms = INT64_MAX;
	s->series[1].start_ms = INT64_MIN;
	s->series[2].count = 1;
	s->series[3].count = 0;
	for (int n = 0; n < SPANS; n++)
		spans[n] = (struct trace_span){"t",
					       n % 2 ? "a" : "b",
					       n % 2 ? "b" : "a",
					       n % 5 ? "cart" : "",
					       "n",
					       n % 3 ? INT64_MIN : INT64_MAX,
					       n % 7 ? INT64_MAX : INT64_MIN,
					       n % 2};
	s->evidence.spans = spans;
	s->evidence.span_count = SPANS;
	s->evidence.lines = &line;
	s->evidence.line_count = 1;
	struct insight *i = insight_make(mem, &s->evidence);
	assert_non_null(insight_encode(mem, i));
	assert_non_null(insight_markdown(mem, i));
	s->evidence.window = (struct window){INT64_MIN, INT64_MAX, 0};
	s->evidence.object = "";
	s->evidence.service = NULL;
	assert_non_null(insight_markdown(mem, insight_make(mem, &s->evidence)));
	struct evidence nothing = {.window = {0, 1, 0}, .object = ""};
	assert_non_null(insight_markdown(mem, insight_make(mem, &nothing)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_finding_cites_its_series_query_and_values),
		cmocka_unit_test(the_same_evidence_gives_the_same_bytes),
		cmocka_unit_test(json_holds_the_diagnosis_and_its_actions),
		cmocka_unit_test(the_text_numbers_findings_and_marks_actions),
		cmocka_unit_test(nothing_wrong_has_notes_only),
		cmocka_unit_test(a_source_that_was_missing_is_said),
		cmocka_unit_test(hostile_text_stays_text),
		cmocka_unit_test(hostile_evidence_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
