#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void what_is_not_utf8_becomes_question_marks(void **state)
{
	static const struct {
		const char *text, *clean;
	} CASES[] = {
		{"", ""},
		{"plain", "plain"},
		{"é日🔥\x7f", "é日🔥\x7f"},
		{"\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf",
		 "\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"},
		{"\x80", "?"},
		{"\xff\xfe", "??"},
		{"\xc0\x80 \xc1\xbf", "?? ??"},
		{"\xe0\x9f\xbf", "???"},
		{"\xf0\x8f\xbf\xbf", "????"},
		{"\xed\xa0\x80", "???"},
		{"\xed\x9f\xbf", "\xed\x9f\xbf"},
		{"\xf4\x90\x80\x80", "????"},
		{"\xf5\x80\x80\x80", "????"},
		{"a\xc3", "a?"},
		{"a\xe2\x82", "a??"},
		{"a\xf0\x9f\x94z", "a???z"},
		{"\xc3(\xc3\xa9", "?(é"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		char out[64];
		assert_int_equal(utf8_copy(out, sizeof(out), CASES[i].text),
				 strlen(CASES[i].clean));
		assert_string_equal(out, CASES[i].clean);
	}
}

static void what_does_not_fit_is_cut_between_code_points(void **state)
{
	static const struct {
		size_t room;
		const char *kept;
	} CASES[] = {
		{1, ""},     {2, "a"},	  {3, "a"},	 {4, "aé"},	 {5, "aé"},	 {6, "aé"},
		{7, "aé日"}, {8, "aé日"}, {11, "aé日🔥"}, {12, "aé日🔥z"}, {99, "aé日🔥z"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		SCOPE(tmp);
		char *out = NEW_ARRAY(tmp, char, CASES[i].room);
		assert_int_equal(utf8_copy(out, CASES[i].room, "aé日🔥z"), strlen(CASES[i].kept));
		assert_string_equal(out, CASES[i].kept);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_utf8_becomes_question_marks),
		cmocka_unit_test(what_does_not_fit_is_cut_between_code_points),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
