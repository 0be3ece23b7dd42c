#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "chart/words.h"

static void what_could_break_a_drawing_is_taken_out(void **state)
{
	static const struct {
		const char *from, *to;
	} CASES[] = {
		{"plain", "plain"},
		{NULL, ""},
		{" two\t\n words ", "two words"},
		{"a\x01\x1f\x7f\x62", "ab"},
		{"left\u202eright\u2066x\u200f", "leftrightx"},
		{"\xff\xfe"
		 "bad\xc3",
		 "??bad?"},
		{"e\u0301\u0301\u0301\u0301", "e\u0301\u0301"},
		{"<script>", "<script>"}, /* a drawing does not obey it; SVG escapes it */
		{"password=hunter2", "password=[redacted]"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		assert_string_equal(words_clean(mem, CASES[n].from, 50), CASES[n].to);
	}
}

static void what_is_too_long_ends_with_an_ellipsis(void **state)
{
	SCOPE(mem);
	char *long_text = NEW_ARRAY(mem, char, 10001);

	(void)state;
	memset(long_text, 'x', 10000);
	char *cut = words_clean(mem, long_text, 20);
	assert_string_equal(cut, "xxxxxxxxxxxxxxxxxxx\u2026");
}

static void xml_has_entities(void **state)
{
	SCOPE(mem);

	(void)state;
	assert_string_equal(words_xml(mem, "<a b=\"c\">&'</a>"),
			    "&lt;a b=&quot;c&quot;&gt;&amp;&#39;&lt;/a&gt;");
	assert_string_equal(words_xml(mem, ""), "");
}

static void times_are_utc_and_name_another_day(void **state)
{
	SCOPE(mem);
	double at = 1768473660000; /* 2026-01-15T10:41:00Z */

	(void)state;
	assert_string_equal(words_time(mem, at, at + 1000), "10:41");
	assert_string_equal(words_time(mem, at, at + 86400e3), "Jan 15 10:41");
	assert_string_equal(words_date(mem, at), "Jan 15");
	assert_string_equal(words_day(mem, at), "2026-01-15");
}

static void lengths_are_rounded(void **state)
{
	static const struct {
		double ms;
		const char *text;
	} CASES[] = {{40000, "40 s"},	   {300000, "5 min"},	   {-300000, "5 min"},
		     {3600e3, "1 h"},	   {4800e3, "1 h 20 min"}, {86400e3, "1 d"},
		     {97200e3, "1 d 3 h"}, {29000, "29 s"}};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		assert_string_equal(words_length(mem, CASES[n].ms), CASES[n].text);
	}
}

static void a_secret_is_seen_through_invisible_characters(void **state)
{
	SCOPE(mem);

	(void)state;
	assert_null(strstr(words_clean(mem, "pass\u200bword=hunter2", 50), "hunter2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_could_break_a_drawing_is_taken_out),
		cmocka_unit_test(what_is_too_long_ends_with_an_ellipsis),
		cmocka_unit_test(a_secret_is_seen_through_invisible_characters),
		cmocka_unit_test(xml_has_entities),
		cmocka_unit_test(times_are_utc_and_name_another_day),
		cmocka_unit_test(lengths_are_rounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
