#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "domain/selector.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void no_value_breaks_out_of_its_quotes(void **state)
{
	static const char *const CASES[][2] = {
		{"", "\"\""},
		{"cart-0", "\"cart-0\""},
		{"a\"} or vector(1) #", "\"a\\\"} or vector(1) #\""},
		{"\\", "\"\\\\\""},
		{"\\\"", "\"\\\\\\\"\""},
		{"a\nb", "\"a\\nb\""},
		{"a\tb\r\x7f", "\"a\\x09b\\x0d\\x7f\""},
		{"é\xef\xbb\xbf{}`'", "\"é\\ufeff{}`'\""},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		assert_string_equal(selector_quote(mem, CASES[n][0]), CASES[n][1]);
	}
}

static void a_value_inside_of_an_expression_stands_for_itself(void **state)
{
	SCOPE(mem);

	(void)state;
	assert_string_equal(selector_literal(mem, "cart-0"), "cart-0");
	assert_string_equal(selector_literal(mem, "a.b|c*(d)[e]{2}^$+?\\"),
			    "a\\.b\\|c\\*\\(d\\)\\[e\\]\\{2\\}\\^\\$\\+\\?\\\\");
}

static void matchers_stand_between_braces(void **state)
{
	static const struct matcher M[] = {{"namespace", "=", "shop"},
					   {"pod", "=~", "cart-[0-9]+"}};
	SCOPE(mem);

	(void)state;
	assert_string_equal(selector_text(mem, "up", M, 2),
			    "up{namespace=\"shop\",pod=~\"cart-[0-9]+\"}");
	assert_string_equal(selector_text(mem, "", M, 1), "{namespace=\"shop\"}");
	assert_string_equal(selector_text(mem, "up", M, 0), "up{}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_value_breaks_out_of_its_quotes),
		cmocka_unit_test(a_value_inside_of_an_expression_stands_for_itself),
		cmocka_unit_test(matchers_stand_between_braces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
