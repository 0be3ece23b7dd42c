#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "domain/severity.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void words_and_numbers_of_levels_are_known(void **state)
{
	static const char *const CASES[][2] = {
		{"ERROR", "error"},  {"err", "error"}, {"Critical", "error"},	{"fatal", "error"},
		{"warning", "warn"}, {"WARN", "warn"}, {"Information", "info"}, {"notice", "info"},
		{"TRACE", "debug"},  {"50", "error"},  {"40", "warn"},		{"30", "info"},
		{"20", "debug"},     {"7", ""},	       {"unknown", ""},		{"", ""},
		{"5x", ""},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++)
		assert_string_equal(severity_of_word(CASES[n][0]), CASES[n][1]);
	assert_string_equal(severity_of_word(NULL), "");
}

static void lines_tell_their_level_in_many_ways(void **state)
{
	static const char *const CASES[][2] = {
		{"{\"level\":\"error\",\"msg\":\"no info\"}", "error"},
		{"{\"severity\":\"WARNING\"}", "warn"},
		{"{\"level\":30,\"msg\":\"ERROR in the text\"}", "info"},
		{"{\"log.level\":\"debug\"}", "debug"},
		{"{\"msg\":\"without\"}", ""},
		{"{\"msg\": \"half", ""},
		{"ts=2026-01-15 level=warn msg=\"error\"", "warn"},
		{"level=\"error\" msg=x", "error"},
		{"sublevel=error", ""},
		{"E1125 18:04:05.123456       1 controller.go:114] sync failed", "error"},
		{"W1125 18:04:05.1 x", "warn"},
		{"I112 18:04", ""},
		{"2026-01-15 10:00:00,123 ERROR [main] c.e.Cart - boom", "error"},
		{"10:00:00 [warn] 7#7: upstream", "warn"},
		{"[INFO] started", "info"},
		{"an error is only mentioned", ""},
		{"java.lang.OutOfMemoryError: Java heap space; Exception in thread", "error"},
		{"Traceback (most recent call last):", "error"},
		{"GET / 200", ""},
		{"", ""},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++)
		if (*CASES[n][1] != *severity_of_line(CASES[n][0]))
			fail_msg("%s: %s", CASES[n][0], severity_of_line(CASES[n][0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_and_numbers_of_levels_are_known),
		cmocka_unit_test(lines_tell_their_level_in_many_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
