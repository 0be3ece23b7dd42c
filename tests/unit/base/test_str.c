#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void texts_are_cut_by_code_points(void **state)
{
	static const struct {
		const char *text;
		size_t points;
		const char *cut;
	} CASES[] = {
		{"", 0, ""},
		{"", 5, ""},
		{"a", 0, ""},
		{"a", 1, "a"},
		{"ab", 1, "…"},
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"größe", 5, "größe"},
		{"größe", 4, "grö…"},
		{"größe", 3, "gr…"},
		{"🔥🔥🔥", 3, "🔥🔥🔥"},
		{"🔥🔥🔥", 2, "🔥…"},
		{"日本語テスト", 6, "日本語テスト"},
		{"日本語テスト", 5, "日本語テ…"},
		{"日本語テスト", 1, "…"},
		{"a日b語", 3, "a日…"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(str_cut(tmp, CASES[i].text, CASES[i].points), CASES[i].cut);
}

static void texts_are_fit_into_bytes_between_code_points(void **state)
{
	static const struct {
		const char *text;
		size_t bytes;
		const char *fit;
	} CASES[] = {
		{"", 0, ""},	   {"", 5, ""},	   {"a", 0, ""},    {"abc", 3, "abc"},
		{"abc", 2, "ab"},  {"xü", 2, "x"}, {"xü", 3, "xü"}, {"x日", 3, "x"},
		{"x日", 4, "x日"}, {"x🔥", 4, "x"}, {"x🔥", 2, "x"},  {"x🔥y", 5, "x🔥"},
		{"🔥", 3, ""},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(str_fit(tmp, CASES[i].text, CASES[i].bytes), CASES[i].fit);
}

static void copies_belong_to_their_context(void **state)
{
	SCOPE(tmp);
	char text[] = "abcdef";

	(void)state;
	char *whole = str_dup(tmp, text);
	char *part = str_ndup(tmp, text, 3);
	text[0] = 'x';
	assert_string_equal(whole, "abcdef");
	assert_string_equal(part, "abc");
	assert_string_equal(str_ndup(tmp, "ab", 9), "ab");
	assert_null(str_dup(tmp, NULL));
	assert_ptr_equal(talloc_parent(whole), tmp);
	assert_string_equal(str_fmt(tmp, "%d-%s", 7, "x"), "7-x");
}

static void a_text_grows(void **state)
{
	SCOPE(tmp);
	char *text = str_dup(tmp, "");

	(void)state;
	for (int i = 0; i < 500; i++)
		str_add(&text, "%d,", i % 10);
	assert_int_equal(strlen(text), 1000);
	assert_true(str_starts(text, "0,1,2,"));
	assert_true(str_ends(text, "8,9,"));
	assert_ptr_equal(talloc_parent(text), tmp);
}

static void texts_are_compared(void **state)
{
	(void)state;
	assert_true(str_eq("a", "a"));
	assert_false(str_eq("a", "b"));
	assert_false(str_eq("a", NULL));
	assert_false(str_eq(NULL, "a"));
	assert_true(str_eq(NULL, NULL));
	assert_true(str_empty(NULL));
	assert_true(str_empty(""));
	assert_false(str_empty(" "));
	assert_true(str_starts("http://x", "http://"));
	assert_true(str_starts("x", ""));
	assert_false(str_starts("htt", "http"));
	assert_true(str_ends("a.yaml", ".yaml"));
	assert_false(str_ends("yaml", ".yaml"));
	assert_true(str_eq_secret("token-1", "token-1"));
	assert_false(str_eq_secret("token-1", "token-2"));
	assert_false(str_eq_secret("token-1", "token-"));
	assert_true(str_eq_secret("", ""));
}

static void only_ascii_is_lowered(void **state)
{
	SCOPE(tmp);

	(void)state;
	assert_string_equal(str_lower(tmp, "Ce-ID ÄZ[@"), "ce-id Äz[@");
}

static void whole_numbers_are_strict(void **state)
{
	static const struct {
		const char *text;
		long long min, max;
		enum status s;
		long long value;
	} CASES[] = {
		{"0", 0, 9, OK, 0},
		{"007", 0, 9, OK, 7},
		{"-3", -3, 9, OK, -3},
		{"9223372036854775807", 0, LLONG_MAX, OK, LLONG_MAX},
		{"-9223372036854775808", LLONG_MIN, 0, OK, LLONG_MIN},
		{"9223372036854775808", LLONG_MIN, LLONG_MAX, E_INVALID, 0},
		{"-9223372036854775809", LLONG_MIN, LLONG_MAX, E_INVALID, 0},
		{"10", 0, 9, E_INVALID, 0},
		{"-1", 0, 9, E_INVALID, 0},
		{"", 0, 9, E_INVALID, 0},
		{"-", -9, 9, E_INVALID, 0},
		{"+1", 0, 9, E_INVALID, 0},
		{"--1", -9, 9, E_INVALID, 0},
		{" 1", 0, 9, E_INVALID, 0},
		{"1 ", 0, 9, E_INVALID, 0},
		{"1.0", 0, 9, E_INVALID, 0},
		{"0x1", 0, 9, E_INVALID, 0},
		{"1e3", 0, 9999, E_INVALID, 0},
		{"one", 0, 9, E_INVALID, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		long long value = 0;
		print_message("# '%s'\n", CASES[i].text);
		assert_int_equal(str_to_int(CASES[i].text, CASES[i].min, CASES[i].max, &value),
				 CASES[i].s);
		assert_true(value == CASES[i].value);
	}
}

static void numbers_are_strict(void **state)
{
	static const struct {
		const char *text;
		enum status s;
		double value;
	} CASES[] = {
		{"0", OK, 0},
		{"1.5", OK, 1.5},
		{".5", OK, .5},
		{"5.", OK, 5},
		{"-2e3", OK, -2000},
		{"1E-3", OK, .001},
		{"1e+3", OK, 1000},
		{"1.7976931348623157e308", OK, 1.7976931348623157e308},
		{"1e-999", OK, 0},
		{"Inf", OK, INFINITY},
		{"+Inf", OK, INFINITY},
		{"-Inf", OK, -INFINITY},
		{"1e999", E_INVALID, 0},
		{"-1e999", E_INVALID, 0},
		{"", E_INVALID, 0},
		{"+1", E_INVALID, 0},
		{"-+1", E_INVALID, 0},
		{" 1", E_INVALID, 0},
		{"1 ", E_INVALID, 0},
		{"1,5", E_INVALID, 0},
		{"0x10", E_INVALID, 0},
		{"infinity", E_INVALID, 0},
		{"inf", E_INVALID, 0},
		{"nan", E_INVALID, 0},
		{"NaN(1)", E_INVALID, 0},
		{".", E_INVALID, 0},
		{"e5", E_INVALID, 0},
		{"1e", E_INVALID, 0},
		{"1.2.3", E_INVALID, 0},
		{"x", E_INVALID, 0},
	};
	double value = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		value = 0;
		print_message("# '%s'\n", CASES[i].text);
		assert_int_equal(str_to_double(CASES[i].text, &value), CASES[i].s);
		assert_true(value == CASES[i].value);
	}
	assert_int_equal(str_to_double("NaN", &value), OK);
	assert_true(isnan(value));
}

static void durations_are_read(void **state)
{
	static const struct {
		const char *text;
		enum status s;
		long long ms;
	} CASES[] = {
		{"250ms", OK, 250},
		{"0", OK, 0},
		{"30", OK, 30000},
		{"30s", OK, 30000},
		{"5m", OK, 300000},
		{"1h", OK, 3600000},
		{"7d", OK, 604800000},
		{"999999999999ms", OK, 999999999999},
		{"106751991167d", OK, 106751991167 * 86400000},
		{"106751991168d", E_INVALID, 0},
		{"999999999999d", E_INVALID, 0},
		{"9999999999999", E_INVALID, 0},
		{"", E_INVALID, 0},
		{"s", E_INVALID, 0},
		{"-5s", E_INVALID, 0},
		{"+5s", E_INVALID, 0},
		{"1.5s", E_INVALID, 0},
		{"5 s", E_INVALID, 0},
		{"5S", E_INVALID, 0},
		{"5w", E_INVALID, 0},
		{"1h30m", E_INVALID, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		long long ms = 0;
		print_message("# '%s'\n", CASES[i].text);
		assert_int_equal(str_to_duration(CASES[i].text, &ms), CASES[i].s);
		assert_true(ms == CASES[i].ms);
	}
}

static void durations_are_written_for_people(void **state)
{
	static const struct {
		long long ms;
		const char *text;
	} CASES[] = {
		{0, "0 ms"},	       {999, "999 ms"},
		{1000, "1.0 s"},       {1234, "1.2 s"},
		{59999, "59.9 s"},     {60000, "1 m 00 s"},
		{125000, "2 m 05 s"},  {3599999, "59 m 59 s"},
		{3600000, "1 h 00 m"}, {93784000, "26 h 03 m"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(str_duration(tmp, CASES[i].ms), CASES[i].text);
}

static void dns_labels_are_recognised(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} CASES[] = {
		{"a", true},
		{"0", true},
		{"pod-restart", true},
		{"a--b", true},
		{"123456789012345678901234567890123456789012345678901234567890123", true},
		{"1234567890123456789012345678901234567890123456789012345678901234", false},
		{"", false},
		{"-a", false},
		{"a-", false},
		{"A", false},
		{"a.b", false},
		{"a_b", false},
		{"a/b", false},
		{"a\n", false},
		{"ä", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_int_equal(str_is_dns_label(CASES[i].text), CASES[i].good);
}

static void stars_stand_for_any_run(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} CASES[] = {
		{"", "", true},
		{"", "a", false},
		{"a", "", false},
		{"*", "", true},
		{"*", "anything", true},
		{"a*", "abc", true},
		{"a*", "ba", false},
		{"*c", "abc", true},
		{"*c", "abcd", false},
		{"a*c", "ac", true},
		{"a*c", "abcbc", true},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"**", "x", true},
		{"kube-*", "kube-system", true},
		{"kube-*", "kube", false},
		{"a?c", "abc", false},
		{"[a]", "a", false},
		{"*ab", "aab", true},
		{"abc", "abc", true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		print_message("# %s against %s\n", CASES[i].pattern, CASES[i].text);
		assert_int_equal(str_glob(CASES[i].pattern, CASES[i].text), CASES[i].matches);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_cut_by_code_points),
		cmocka_unit_test(texts_are_fit_into_bytes_between_code_points),
		cmocka_unit_test(copies_belong_to_their_context),
		cmocka_unit_test(a_text_grows),
		cmocka_unit_test(texts_are_compared),
		cmocka_unit_test(only_ascii_is_lowered),
		cmocka_unit_test(whole_numbers_are_strict),
		cmocka_unit_test(numbers_are_strict),
		cmocka_unit_test(durations_are_read),
		cmocka_unit_test(durations_are_written_for_people),
		cmocka_unit_test(dns_labels_are_recognised),
		cmocka_unit_test(stars_stand_for_any_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
