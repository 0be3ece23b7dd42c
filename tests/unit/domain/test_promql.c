#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/promql.h"

static void the_threshold_is_found(void **state)
{
	static const struct {
		const char *expr, *left, *sign, *right;
	} CASES[] = {
		{"a > 5", "a", ">", "5"},
		{"  a>=5.5e-3  ", "a", ">=", "5.5e-3"},
		{"up == 0", "up", "==", "0"},
		{"up{job=\"x\"} != 1", "up{job=\"x\"}", "!=", "1"},
		{"rate(errors{path=~\"a>b|c\"}[5m]) / rate(all[5m]) > 0.05",
		 "rate(errors{path=~\"a>b|c\"}[5m]) / rate(all[5m])", ">", "0.05"},
		{"sum by (pod) (x > 3) > 2", "sum by (pod) (x > 3)", ">", "2"},
		{"a > bool on(x) group_left(y) b", "a", ">", "b"},
		{"a > ignoring (x) b * 2", "a", ">", "b * 2"},
		{"a > 1 and b < 2", "a", ">", "1"},
		{"a > 1 AND on(x) b < 2", "a", ">", "1"},
		{"(a > 1)", "a", ">", "1"},
		{"((a > 1) and b)", "a", ">", "1"},
		{"0 < x", "x", ">", "0"},
		{"10 >= x", "x", "<=", "10"},
		{"a # > 7\n > 5", "a # > 7", ">", "5"},
		{"x{a='it\\'s > 1'} < 3", "x{a='it\\'s > 1'}", "<", "3"},
		{"x{a=`raw \\` } < 3", "x{a=`raw \\` }", "<", "3"},
		{"absent(up) == 1", "absent(up)", "==", "1"},
		{"(a + b) > (c + d)", "(a + b)", ">", "(c + d)"},
		{"x offset 5m > 1", "x offset 5m", ">", "1"},
		{"-1 > x", "x", "<", "-1"},
		{"a / on (job) group_left () b <= 0.5", "a / on (job) group_left () b",
		 "<=", "0.5"},
		{"# why\nx # which\n>= # how\n2 # end", "x # which", ">=", "2 # end"},
		{"sum(x) by (and) > 1", "sum(x) by (and)", ">", "1"},
		{"x @ end() > bool 7", "x @ end()", ">", "7"},
		{"x{or=\"unless\"} > 60 * 60", "x{or=\"unless\"}", ">", "60 * 60"},
		{"x[5m:1m] == -Inf", "x[5m:1m]", "==", "-Inf"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		struct comparison c;
		if (promql_comparison(mem, CASES[n].expr, &c) != OK)
			fail_msg("%s: %s", CASES[n].expr, status_message());
		assert_string_equal(c.left, CASES[n].left);
		assert_string_equal(c.sign, CASES[n].sign);
		assert_string_equal(c.right, CASES[n].right);
	}
}

static void where_there_is_no_single_threshold_none_is_claimed(void **state)
{
	static const char *const EXPRS[] = {"up",
					    "",
					    "a or b > 1",
					    "a > 1 unless b",
					    "absent(up)",
					    "a > 1 > 2",
					    "x{a=\"b",
					    "(a > 1",
					    "a > 1)",
					    "a >",
					    "> 1",
					    "x =~ 5",
					    "vector(1)",
					    "3 <= x < 20",
					    "x == bool 0 > 0",
					    "sum by (pod) (x > 3)",
					    "(a > 1) + (b > 2)",
					    "a > 1 and b or c",
					    "x{a=\"> 1\"}"};

	(void)state;
	for (size_t n = 0; n < sizeof(EXPRS) / sizeof(EXPRS[0]); n++) {
		SCOPE(mem);
		struct comparison c;
		if (promql_comparison(mem, EXPRS[n], &c) != E_NOTFOUND)
			fail_msg("'%s' gave '%s' '%s' '%s'", EXPRS[n], c.left, c.sign, c.right);
	}
}

static void no_label_value_breaks_out_of_a_selector(void **state)
{
	SCOPE(mem);
	json_t *labels = mem_own(mem, json_pack("{s:s, s:s, s:s}", "job", "a\"} or vector(1) #",
						"b", "x\\\n", "bad-name", "y"));

	(void)state;
	assert_string_equal(promql_selector(mem, "up", labels),
			    "up{job=\"a\\\"} or vector(1) #\",b=\"x\\\\\\n\"}");
	assert_string_equal(promql_selector(mem, "up", mem_own(mem, json_object())), "up{}");
}

static void labels_agree_when_none_differs(void **state)
{
	SCOPE(mem);
	json_t *alert = mem_own(mem, json_pack("{s:s, s:s}", "pod", "a", "severity", "x"));

	(void)state;
	assert_true(promql_labels_agree(
		mem_own(mem, json_pack("{s:s, s:s}", "__name__", "m", "pod", "a")), alert));
	assert_true(promql_labels_agree(mem_own(mem, json_object()), alert));
	assert_false(promql_labels_agree(mem_own(mem, json_pack("{s:s}", "pod", "b")), alert));
	assert_true(promql_labels_agree(
		mem_own(mem, json_pack("{s:s, s:s}", "pod", "a", "other", "b")), alert));
	assert_false(promql_labels_agree(
		mem_own(mem, json_pack("{s:s, s:s}", "pod", "a", "severity", "y")), alert));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_threshold_is_found),
		cmocka_unit_test(where_there_is_no_single_threshold_none_is_claimed),
		cmocka_unit_test(no_label_value_breaks_out_of_a_selector),
		cmocka_unit_test(labels_agree_when_none_differs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
