#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "chart/sankey.h"

/* Two children that overlap for 20 of their 40 + 40 ms, in a parent of 100 ms. */
static const struct trace_span SPANS[] = {
	{"t", "a", "", "front", "GET", 0, 100000, false},
	{"t", "b", "a", "cart", "GET", 10000, 40000, true},
	{"t", "c", "a", "database", "SELECT", 30000, 40000, false},
	{"t", "d", "b", "cart", "inside", 12000, 5000, false},
};

static const struct sankey_node *node(const struct sankey *m, const char *name)
{
	for (size_t n = 0; n < m->node_count; n++)
		if (str_eq(m->nodes[n].name, name))
			return &m->nodes[n];
	return NULL;
}

static bool about(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

static void own_time_is_what_no_child_accounts_for(void **state)
{
	SCOPE(mem);
	struct sankey *m = sankey_of(mem, SPANS, 4);

	(void)state;
	assert_int_equal(m->node_count, 3);
	assert_true(about(node(m, "front")->own_s, 0.040));
	assert_true(about(node(m, "front")->total_s, 0.100));
	assert_true(about(node(m, "cart")->own_s, 0.040)); /* 35 ms and the 5 ms inside */
	assert_true(about(node(m, "cart")->total_s, 0.040));
	assert_int_equal(node(m, "cart")->calls, 1);
	assert_int_equal(node(m, "cart")->failed, 1);
	assert_int_equal(m->call_count, 2);
	assert_int_equal(m->columns, 2);
}

static void the_bottleneck_has_the_most_own_time(void **state)
{
	SCOPE(mem);
	struct trace_span slow[4];

	(void)state;
	memcpy(slow, SPANS, sizeof(SPANS));
	slow[2].duration_us = 65000;
	assert_string_equal(sankey_bottleneck(sankey_of(mem, slow, 4))->name, "database");
	assert_null(sankey_bottleneck(sankey_of(mem, SPANS, 1)));
	assert_null(sankey_bottleneck(sankey_of(mem, SPANS, 0)));
}

static void everything_is_laid_out_inside(void **state)
{
	SCOPE(mem);
	struct sankey *m = sankey_of(mem, SPANS, 4);

	(void)state;
	for (size_t n = 0; n < m->node_count; n++) {
		assert_true(m->nodes[n].top >= 0 && m->nodes[n].top + m->nodes[n].height <= 1.001);
		for (size_t o = 0; o < n; o++)
			assert_true(m->nodes[o].column != m->nodes[n].column ||
				    m->nodes[o].top + m->nodes[o].height <= m->nodes[n].top ||
				    m->nodes[n].top + m->nodes[n].height <= m->nodes[o].top);
	}
	for (size_t n = 0; n < m->call_count; n++)
		assert_true(m->nodes[m->calls[n].from].column < m->nodes[m->calls[n].to].column);
}

static void a_circle_of_services_has_an_end(void **state)
{
	static const struct trace_span CIRCLE[] = {
		{"t", "1", "", "a", "", 0, 100, false},
		{"t", "2", "1", "b", "", 0, 90, false},
		{"t", "3", "2", "a", "", 0, 80, false},
		{"t", "4", "3", "b", "", 0, 70, false},
		{"u", "1", "2", "a", "", 0, 10, false},
		{"u", "2", "1", "b", "", 0, 10, false}, /* each other's parent */
	};
	SCOPE(mem);
	struct sankey *m = sankey_of(mem, CIRCLE, 6);
	size_t back = 0;

	(void)state;
	for (size_t n = 0; n < m->call_count; n++)
		back += m->calls[n].back;
	assert_int_equal(back, 1);
	assert_int_equal(m->columns, 2);
}

static void many_services_become_a_few_and_the_rest(void **state)
{
	SCOPE(mem);
	struct trace_span *spans = NEW_ARRAY(mem, struct trace_span, 60);

	(void)state;
	for (int n = 0; n < 60; n++)
		spans[n] = (struct trace_span){"t",
					       str_fmt(mem, "s%02d", n),
					       n == 0 ? "" : str_fmt(mem, "s%02d", (n - 1) / 2),
					       str_fmt(mem, "service-%02d", n),
					       "",
					       n,
					       1000 - n,
					       false};
	struct sankey *m = sankey_of(mem, spans, 60);
	assert_int_equal(m->node_count, SANKEY_MAX);
	assert_int_equal(m->services, 60);
	assert_non_null(node(m, "51 other services"));
}

static void entries_are_called_from_outside(void **state)
{
	SCOPE(mem);
	bool *entry = sankey_entries(mem, SPANS, 4);

	(void)state;
	assert_true(entry[0] && entry[1] && entry[2]);
	assert_false(entry[3]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_time_is_what_no_child_accounts_for),
		cmocka_unit_test(the_bottleneck_has_the_most_own_time),
		cmocka_unit_test(everything_is_laid_out_inside),
		cmocka_unit_test(a_circle_of_services_has_an_end),
		cmocka_unit_test(many_services_become_a_few_and_the_rest),
		cmocka_unit_test(entries_are_called_from_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
