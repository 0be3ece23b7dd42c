#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/pattern.h"

static bool found(const char *expression, const char *text)
{
	SCOPE(mem);
	struct pattern *p = NULL;

	if (pattern_compile(mem, expression, &p) != OK)
		fail_msg("%s: %s", expression, status_message());
	return pattern_search(p, text);
}

static void a_match_may_stand_anywhere_unless_it_is_anchored(void **state)
{
	(void)state;
	assert_true(found("b", "abc"));
	assert_false(found("^b", "abc"));
	assert_true(found("^abc$", "abc"));
	assert_false(found("^ab$", "abc"));
	assert_true(found("", ""));
	assert_true(found("^$", ""));
	assert_false(found("^$", "x"));
	assert_true(found("^a|c$", "xc"));
}

static void repetitions_count(void **state)
{
	(void)state;
	assert_true(found("^a*$", ""));
	assert_false(found("^a+$", ""));
	assert_true(found("^a?b$", "b"));
	assert_true(found("^(ab){2,3}$", "ababab"));
	assert_false(found("^(ab){2,3}$", "ab"));
	assert_false(found("^(ab){2,3}$", "abababab"));
	assert_true(found("^a{2,}$", "aaaaa"));
	assert_false(found("^a{2}$", "aaa"));
	assert_true(found("^a+?b$", "aab"));
	assert_true(found("^(a|b)*c$", "abbac"));
}

static void sets_and_classes(void **state)
{
	(void)state;
	assert_true(found("^[a-z0-9-]+$", "shop-0"));
	assert_false(found("^[a-z0-9-]+$", "Shop"));
	assert_true(found("^[^\\d\\s]$", "x"));
	assert_false(found("^[^\\d\\s]$", "7"));
	assert_true(found("^\\w+\\.\\W\\D\\S$", "a_1.-xy"));
	assert_true(found("^[\\]\\\\]$", "]"));
	assert_false(found("[]", "a"));
	assert_true(found("^[^]$", "\n"));
	assert_false(found("^.$", "\n"));
	assert_true(found("\\bcat\\b", "a cat."));
	assert_false(found("\\bcat\\B", "a cat."));
}

static void text_is_code_points(void **state)
{
	(void)state;
	assert_true(found("^.$", "ü"));
	assert_true(found("^.{2}$", "ü\U0001F409"));
	assert_true(found("^[à-ü]$", "é"));
	assert_true(found("^\\u00e9\\x41$", "éA"));
	assert_true(found("^\\ud83d\\udc09$", "\U0001F409"));
	assert_true(found("^\\S\\s\\S$", "a\u2003b"));
}

static void what_cannot_be_done_is_refused(void **state)
{
	static const char *const WRONG[] = {
		"(",   ")",	"[a",	   "a**",   "*",      "{2}",   "a{3,2}",  "a{1001}",
		"a{",  "(?=a)", "(?<n>a)", "\\1",   "\\p{L}", "[z-a]", "[\\d-z]", "\\",
		"[\\", "\\u12", "\\xg0",   "a{,3}", "(?:",    "\\k",   "a{2",	  "[a-",
	};

	(void)state;
	for (size_t n = 0; n < sizeof(WRONG) / sizeof(WRONG[0]); n++) {
		SCOPE(mem);
		struct pattern *p = NULL;
		if (pattern_compile(mem, WRONG[n], &p) != E_INVALID)
			fail_msg("%s is accepted", WRONG[n]);
		assert_true(strlen(status_message()) > 0);
	}
}

static char *repeated(void *mem, const char *part, size_t n)
{
	char *text = str_dup(mem, "");

	while (n-- > 0)
		str_add(&text, "%s", part);
	return text;
}

static void size_and_depth_are_bounded(void **state)
{
	SCOPE(mem);
	struct pattern *p = NULL;

	(void)state;
	assert_int_equal(pattern_compile(mem, repeated(mem, "a", PATTERN_POINTS_MAX), &p), OK);
	assert_int_equal(pattern_compile(mem, repeated(mem, "a", PATTERN_POINTS_MAX + 1), &p),
			 E_INVALID);
	assert_int_equal(pattern_compile(mem, repeated(mem, "(", 100), &p), E_INVALID);
	assert_int_equal(pattern_compile(mem, "((a{1000}){1000}){1000}", &p), E_INVALID);
	assert_int_equal(pattern_compile(mem, "((){1000}){1000}", &p), E_INVALID);
}

static size_t cost(const char *text)
{
	SCOPE(mem);
	struct pattern *p = NULL;

	assert_int_equal(pattern_compile(mem, text, &p), OK);
	return pattern_cost(p);
}

/* Looking into a set takes one look at each of its ranges. */
static void a_set_costs_its_ranges(void **state)
{
	(void)state;
	assert_int_equal(cost("a"), 2);
	assert_int_equal(cost("[]"), 2);
	assert_int_equal(cost("[acegik]"), 8);
	assert_int_equal(cost("[^acegik]{10}"), 71);
	assert_int_equal(cost("\\w"), 6);
	assert_int_equal(cost("[e-zabca-df\\w0-9]"), 6);
	assert_int_equal(cost("[\\s\\S]"), 3);
}

static void ranges_of_a_set_may_overlap_and_come_in_any_order(void **state)
{
	static const char SET[] = "^[x-za-cb-fd\\d5h]+$";

	(void)state;
	assert_true(found(SET, "abcdefhxyz0123456789"));
	for (const char *c = "gijw{/:A"; *c != '\0'; c++)
		assert_false(found(SET, (const char[]){*c, '\0'}));
	assert_false(found("^[^c-da-z]$", "e"));
	assert_true(found("^[^c-da-z]$", "A"));
}

/* Backtracking would take longer than the universe is old. */
static void no_expression_and_text_take_more_than_their_product(void **state)
{
	static const char *const EVIL[] = {"^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "^(.*)*x$",
					   "^(a?){100}a{100}$"};
	SCOPE(mem);
	char *text = repeated(mem, "a", 4096);

	(void)state;
	str_add(&text, "!");
	int64_t began = clock_monotonic();
	for (size_t n = 0; n < sizeof(EVIL) / sizeof(EVIL[0]); n++)
		assert_false(found(EVIL[n], text));
	assert_true(clock_monotonic() - began < 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_match_may_stand_anywhere_unless_it_is_anchored),
		cmocka_unit_test(repetitions_count),
		cmocka_unit_test(sets_and_classes),
		cmocka_unit_test(text_is_code_points),
		cmocka_unit_test(what_cannot_be_done_is_refused),
		cmocka_unit_test(size_and_depth_are_bounded),
		cmocka_unit_test(a_set_costs_its_ranges),
		cmocka_unit_test(ranges_of_a_set_may_overlap_and_come_in_any_order),
		cmocka_unit_test(no_expression_and_text_take_more_than_their_product),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
