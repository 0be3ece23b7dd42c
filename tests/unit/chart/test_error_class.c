#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "chart/error_class.h"

static void an_error_is_known_by_its_name(void **state)
{
	static const struct {
		const char *line, *class;
	} CASES[] = {
		{"java.lang.OutOfMemoryError: Java heap space", "OutOfMemoryError"},
		{"at 10:41 caught com.a.b$PoolTimeoutException.", "PoolTimeoutException"},
		{"container cart was OOMKilled", "OOMKilled"},
		{"Error: Error ValueError", "ValueError"},
		{"timeout after 5000 ms on 10.0.0.7", "timeout after <n> ms on <n>.<n>.<n>.<n>"},
		{"", "(empty line)"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		assert_string_equal(error_class_of(mem, CASES[n].line), CASES[n].class);
	}
}

static void lines_that_differ_in_numbers_are_of_one_class(void **state)
{
	SCOPE(mem);

	(void)state;
	assert_string_equal(error_class_of(mem, "no answer from 12 in 30 ms"),
			    error_class_of(mem, "no answer from 7 in 4000 ms"));
}

static void a_long_line_has_a_short_class(void **state)
{
	SCOPE(mem);
	char *line = NEW_ARRAY(mem, char, 20001);

	(void)state;
	memset(line, 'a', 20000);
	assert_true(strlen(error_class_of(mem, line)) < 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_is_known_by_its_name),
		cmocka_unit_test(lines_that_differ_in_numbers_are_of_one_class),
		cmocka_unit_test(a_long_line_has_a_short_class),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
