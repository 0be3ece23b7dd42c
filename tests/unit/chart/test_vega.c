#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "chart/vega.h"
#include "example.h"

static void a_specification_carries_its_data_and_what_it_is(void **state)
{
	SCOPE(mem);
	struct evidence *e = example(mem, "surge");
	struct gallery_wish wish = {.remedied_ms = e->window.start_ms + REMEDIED_AT_MINUTE * 60000};
	struct gallery *g = charts_of(mem, e, &wish);

	(void)state;
	for (size_t n = 0; n < g->count; n++) {
		const struct chart *c = &g->charts[n];
		json_t *spec = chart_vega(mem, c);
		json_t *meta = json_object_get(spec, "usermeta");
		assert_string_equal(json_str(spec, "$schema"),
				    "https://vega.github.io/schema/vega-lite/v5.json");
		assert_string_equal(json_str(json_object_get(spec, "title"), "text"), c->title);
		assert_string_equal(json_str(spec, "description"), c->alt);
		assert_string_equal(json_str(meta, "kind"), chart_kind_name(c->kind));
		assert_string_equal(json_str(meta, "time_zone"), "UTC");
		assert_true(json_object_get(spec, "layer") != NULL ||
			    json_object_get(spec, "vconcat") != NULL);
	}
}

static void every_value_of_a_line_is_in_it(void **state)
{
	SCOPE(mem);
	struct evidence *e = example(mem, "surge");
	const struct chart *c = chart_in(charts_of(mem, e, NULL), CHART_LINE);
	json_t *layer = json_array_get(json_object_get(chart_vega(mem, c), "layer"), 0);
	json_t *values = json_object_get(json_object_get(layer, "data"), "values");
	size_t points = 0;
	size_t gaps = 0;
	size_t n;
	json_t *one;

	(void)state;
	for (size_t t = 0; t < c->panels[0].track_count; t++)
		points += c->panels[0].tracks[t].count;
	assert_int_equal(json_array_size(values), points);
	json_array_foreach (values, n, one)
		gaps += json_is_null(json_object_get(one, "v"));
	assert_int_equal(gaps, 10); /* two pods of which five samples each are missing */
}

static void a_chart_without_data_says_so(void **state)
{
	SCOPE(mem);
	struct chart c = {.kind = CHART_MAP,
			  .title = "t",
			  .subtitle = "",
			  .alt = "",
			  .empty = "no traces",
			  .window = {0, 1, 0}};
	json_t *spec = chart_vega(mem, &c);
	json_t *first = json_array_get(json_object_get(json_object_get(spec, "data"), "values"), 0);

	(void)state;
	assert_string_equal(json_str(first, "why"), "No data: no traces");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_specification_carries_its_data_and_what_it_is),
		cmocka_unit_test(every_value_of_a_line_is_in_it),
		cmocka_unit_test(a_chart_without_data_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
