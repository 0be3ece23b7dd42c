#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "example.h"

static struct gallery_wish remedied(const struct evidence *e)
{
	return (struct gallery_wish){.remedied_ms =
					     e->window.start_ms + REMEDIED_AT_MINUTE * 60000};
}

static void a_surge_gives_all_nine_with_titles_that_say_what_happened(void **state)
{
	SCOPE(mem);
	struct evidence *e = example(mem, "surge");
	struct gallery_wish wish = remedied(e);
	struct gallery *g = charts_of(mem, e, &wish);

	(void)state;
	assert_int_equal(g->count, CHART_KIND_COUNT);
	assert_int_equal(g->note_count, 0);
	for (size_t n = 0; n < g->count; n++) {
		assert_false(str_empty(g->charts[n].title));
		assert_true(strlen(g->charts[n].alt) > 60);
		assert_non_null(strstr(g->charts[n].alt, "UTC"));
	}
	assert_non_null(strstr(chart_in(g, CHART_CLASSES)->title, "OutOfMemoryError is "));
	assert_non_null(
		strstr(chart_in(g, CHART_MAP)->title, "database-service is the bottleneck"));
	assert_non_null(strstr(chart_in(g, CHART_LATENCY)->title, "rose from"));
	assert_non_null(strstr(chart_in(g, CHART_BARS)->title, "Requests rose from"));
	assert_non_null(strstr(chart_in(g, CHART_COMPARISON)->title, "after the remedy at 10:57"));
}

/* The request rate was made to rise at minute 50 to 53: 10:35 to 10:38. */
static void the_surge_is_marked_when_it_began(void **state)
{
	SCOPE(mem);
	struct evidence *e = example(mem, "surge");
	const struct chart *c = chart_in(charts_of(mem, e, NULL), CHART_BARS);
	double minute = -1;

	(void)state;
	for (size_t n = 0; n < c->mark_count; n++)
		if (c->marks[n].role == MARK_SURGE)
			minute = (c->marks[n].x - (double)e->window.start_ms) / 60000;
	assert_true(minute >= 50 && minute <= 53);
}

static void what_is_missing_is_said(void **state)
{
	SCOPE(mem);
	struct evidence *e = example(mem, "quiet");
	struct gallery *g = charts_of(mem, e, NULL);

	(void)state;
	assert_non_null(chart_in(g, CHART_LINE));
	assert_non_null(strstr(chart_in(g, CHART_LINE)->title, "CPU held at 30.7 millicores"));
	assert_string_equal(chart_in(g, CHART_PANELS)->title,
			    "CPU and memory did not change at one moment");
	assert_non_null(chart_in(g, CHART_LOG_VOLUME));
	assert_string_equal(note_in(g, CHART_BARS), "no series of requests came back");
	assert_string_equal(note_in(g, CHART_CLASSES), "no error among the log lines");
	assert_non_null(strstr(note_in(g, CHART_MAP), "the alert names no service"));
	assert_string_equal(note_in(g, CHART_COMPARISON), "nothing was remedied yet");
	assert_int_equal(g->count + g->note_count, CHART_KIND_COUNT);
}

static void a_source_that_failed_costs_only_its_own_charts(void **state)
{
	SCOPE(mem);
	struct evidence *e = example(mem, "surge");

	(void)state;
	e->asked[SOURCE_METRICS] =
		(struct asked){true, E_TIMEOUT, "no answer in 8 s", NULL, 8000, false};
	e->series_count = 0;
	struct gallery *g = charts_of(mem, e, NULL);
	assert_null(chart_in(g, CHART_LINE));
	assert_string_equal(note_in(g, CHART_PANELS), "metrics unavailable: no answer in 8 s");
	assert_non_null(chart_in(g, CHART_LOG_VOLUME));
	assert_non_null(chart_in(g, CHART_LATENCY));
}

static void a_wish_for_a_title_wins(void **state)
{
	SCOPE(mem);
	struct evidence *e = example(mem, "surge");
	struct gallery_wish wish = {.titles = {[CHART_LINE] = "Traffic doubled"},
				    .theme = THEME_DARK};
	struct gallery *g = charts_of(mem, e, &wish);

	(void)state;
	assert_string_equal(chart_in(g, CHART_LINE)->title, "Traffic doubled");
	assert_int_equal(strncmp(chart_in(g, CHART_LINE)->alt, "Traffic doubled", 15), 0);
	assert_int_equal(chart_in(g, CHART_LINE)->theme, THEME_DARK);
}

static void the_alert_is_marked_when_it_is_in_the_window(void **state)
{
	SCOPE(mem);
	struct evidence *e = example(mem, "surge");

	(void)state;
	const struct chart *c = chart_in(charts_of(mem, e, NULL), CHART_LINE);
	assert_int_equal(c->mark_count, 1);
	assert_string_equal(c->marks[0].label, "alert 10:45");
	e->window.alert_ms = e->window.start_ms - 1;
	assert_int_equal(chart_in(charts_of(mem, e, NULL), CHART_LINE)->mark_count, 0);
}

static void the_same_evidence_gives_the_same_words(void **state)
{
	SCOPE(mem);
	struct evidence *e = example(mem, "surge");
	struct gallery_wish wish = remedied(e);
	struct gallery *one = charts_of(mem, e, &wish);
	struct gallery *other = charts_of(mem, e, &wish);

	(void)state;
	for (size_t n = 0; n < one->count; n++) {
		assert_string_equal(one->charts[n].title, other->charts[n].title);
		assert_string_equal(one->charts[n].alt, other->charts[n].alt);
	}
}

static void series_of_one_name_are_told_apart(void **state)
{
	SCOPE(mem);
	struct evidence *e = example(mem, "surge");

	(void)state;
	for (size_t n = 0; n < e->series_count; n++)
		e->series[n].object = "cart";
	const struct panel *p = &chart_in(charts_of(mem, e, NULL), CHART_LINE)->panels[0];
	assert_string_equal(p->tracks[0].name, "cart");
	assert_string_equal(p->tracks[1].name, "cart (2)");
}

static void of_very_many_series_the_highest_are_drawn(void **state)
{
	enum { MANY = 120 };
	static double values[MANY][2];
	SCOPE(mem);
	struct evidence *e = example(mem, "quiet");

	(void)state;
	e->series = NEW_ARRAY(mem, struct series, MANY);
	e->series_count = MANY;
	for (int n = 0; n < MANY; n++) {
		values[n][0] = values[n][1] = n + 1;
		e->series[n] = (struct series){.role = SERIES_CPU,
					       .object = str_fmt(mem, "pod-%d", n),
					       .query = "",
					       .start_ms = e->window.start_ms,
					       .step_ms = 60000,
					       .count = 2,
					       .values = values[n]};
	}
	const struct chart *c = chart_in(charts_of(mem, e, NULL), CHART_LINE);
	assert_int_equal(c->panels[0].track_count, 50);
	assert_string_equal(c->panels[0].tracks[0].name, "pod-119");
	assert_non_null(strstr(c->subtitle, "the highest 50 of 120"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_surge_gives_all_nine_with_titles_that_say_what_happened),
		cmocka_unit_test(the_surge_is_marked_when_it_began),
		cmocka_unit_test(what_is_missing_is_said),
		cmocka_unit_test(a_source_that_failed_costs_only_its_own_charts),
		cmocka_unit_test(a_wish_for_a_title_wins),
		cmocka_unit_test(the_alert_is_marked_when_it_is_in_the_window),
		cmocka_unit_test(series_of_one_name_are_told_apart),
		cmocka_unit_test(of_very_many_series_the_highest_are_drawn),
		cmocka_unit_test(the_same_evidence_gives_the_same_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
