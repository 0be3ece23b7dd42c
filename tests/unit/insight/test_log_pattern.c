#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include "insight/log_pattern.h"

static const struct window WINDOW = {0, 7200000, 3600000};
enum { SPLIT = 3600000 };

static void what_changes_from_line_to_line_is_masked(void **state)
{
	static const char *const PAIRS[][2] = {
		{"request 4711 done in 12ms", "request <n> done in <n>"},
		{"user 550e8400-e29b-41d4-a716-446655440000 left", "user <id> left"},
		{"commit deadbeef1 by bob", "commit <id> by bob"},
		{"at 0x7fff12 in main", "at <id> in main"},
		{"from 10.0.12.7:8080", "from <ip>:<n>"},
		{"open /var/lib/cart/data.db: denied", "open <path> denied"},
		{"GET http://stock:8080/v1/items/7 failed", "GET http://stock:<n><path> failed"},
		{"key \"order:17\" not found", "key <text> not found"},
		{"can't read bob's file", "can't read bob's file"},
		{"{\"level\":\"error\",\"msg\":\"lost 3 items\",\"user\":\"x\"}",
		 "{level:error,msg:lost <n> items,user:<text>}"},
		{"pod cart-7f9c4b5d68-x2x4z is gone", "pod <id> is gone"},
		{"java.lang.NullPointerException: x", "java.lang.NullPointerException: x"},
		{"HTTP2 v1.2.3 used  a   lot", "HTTP<n> v<n>.<n>.<n> used a lot"},
		{"", ""},
		{"   ", ""},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(PAIRS) / sizeof(PAIRS[0]); n++) {
		SCOPE(mem);
		assert_string_equal(log_mask(mem, PAIRS[n][0]), PAIRS[n][1]);
	}
}

static void a_level_comes_with_the_line_or_stands_at_its_head(void **state)
{
	static const struct {
		struct log_line line;
		enum line_level level;
	} CASES[] = {
		{{0, "error", "x"}, LEVEL_ERROR},
		{{0, "WARNING", "x"}, LEVEL_WARN},
		{{0, "", "[ERROR] x"}, LEVEL_ERROR},
		{{0, "", "ts=1 level=warn x"}, LEVEL_WARN},
		{{0, "", "2026-01-01 INFO x"}, LEVEL_INFO},
		{{0, "", "no error was found"}, LEVEL_UNKNOWN},
		{{0, "odd", "panic: x"}, LEVEL_ERROR},
		{{0, "", ""}, LEVEL_UNKNOWN},
		{{0, "", "a b c d e ERROR"}, LEVEL_UNKNOWN},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++)
		assert_int_equal(line_level_of(&CASES[n].line), CASES[n].level);
}

static void a_failure_has_a_kind_and_the_name_of_its_class(void **state)
{
	static const struct {
		const char *text, *name;
		enum failure_kind kind;
	} CASES[] = {
		{"java.lang.OutOfMemoryError: Java heap space", "OutOfMemoryError", FAILURE_MEMORY},
		{"fatal error: runtime: out of memory", "out of memory", FAILURE_MEMORY},
		{"dial tcp: connect: connection refused", "connection refused", FAILURE_REFUSED},
		{"net.SocketTimeoutException: Read timed out", "SocketTimeoutException",
		 FAILURE_TIMEOUT},
		{"context deadline exceeded", "timeout", FAILURE_TIMEOUT},
		{"OSError: [Errno 28] No space left on device", "OSError", FAILURE_DISK},
		{"KeyError: 'x'", "KeyError", FAILURE_OTHER},
		{"panic: index out of range", "crash", FAILURE_CRASH},
		{"no errors were found", NULL, FAILURE_NONE},
		{"the Error of his ways", NULL, FAILURE_NONE},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		const char *name = NULL;
		assert_int_equal(log_failure(mem, CASES[n].text, &name), CASES[n].kind);
		assert_true(str_eq(name, CASES[n].name));
	}
}

static void a_failed_call_names_the_other_side(void **state)
{
	static const char *const CASES[][2] = {
		{"Connection refused: stock:8080", "stock"},
		{"Get \"http://stock.shop:8080/v1\": refused", "stock.shop"},
		{"dial tcp 10.0.0.7:8080: connection refused", NULL},
		{"at Cart.java:1234, pid:4711, status:500", NULL},
		{"refused", NULL},
		{"", NULL},
		{"://", NULL},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		assert_true(str_eq(log_peer(mem, CASES[n][0]), CASES[n][1]));
	}
}

static void lines_that_differ_in_a_name_become_one_template(void **state)
{
	SCOPE(mem);
	static const struct log_line LINES[] = {
		{1000, "info", "order 17 of bob was shipped to home"},
		{2000, "info", "order 18 of eve was shipped to home"},
		{SPLIT, "info", "order 99 of ann was shipped to home"},
		{SPLIT + 1000, "info", "cache is warm"},
	};
	struct log_summary s;

	(void)state;
	log_summarise(mem, LINES, 4, &WINDOW, SPLIT, &s);
	assert_int_equal(s.pattern_count, 2);
	assert_string_equal(s.patterns[0].text, "order <n> of <*> was shipped to home");
	assert_int_equal(s.patterns[0].count, 3);
	assert_int_equal(s.patterns[0].before, 2);
	assert_int_equal(s.patterns[0].after, 1);
	assert_int_equal(s.patterns[0].first_ms, 1000);
	assert_int_equal(s.patterns[0].last_ms, SPLIT);
	assert_string_equal(s.patterns[0].example, LINES[0].text);
	assert_true(fabs(s.patterns[0].rate_before - 2.0 / 60) < 1e-12);
	assert_false(s.patterns[0].is_new);
	assert_false(s.patterns[1].is_new); /* one line is no pattern yet */
}

static void lines_of_another_length_or_beginning_stay_apart(void **state)
{
	SCOPE(mem);
	static const struct log_line LINES[] = {{1, "", "read a b c d"},
						{1, "", "write a b c d"},
						{1, "", "read a b c d e"},
						{1, "", "read x y z d"}};
	struct log_summary s;

	(void)state;
	log_summarise(mem, LINES, 4, &WINDOW, SPLIT, &s);
	assert_int_equal(s.pattern_count, 4);
}

static void new_failures_are_counted_by_class(void **state)
{
	SCOPE(mem);
	struct log_line lines[12];
	struct log_summary s;

	(void)state;
	for (int n = 0; n < 12; n++)
		lines[n] = (struct log_line){n < 6 ? 1000 * n : SPLIT + 1000 * n, "error",
					     n < 6 ? "metrics push took 7 ms"
						   : "java.lang.OutOfMemoryError: heap"};
	log_summarise(mem, lines, 12, &WINDOW, SPLIT, &s);
	assert_int_equal(s.errors_before, 6);
	assert_int_equal(s.errors_after, 6);
	assert_int_equal(s.class_count, 1);
	assert_string_equal(s.classes[0].name, "OutOfMemoryError");
	assert_int_equal(s.classes[0].before, 0);
	assert_int_equal(s.classes[0].after, 6);
	assert_true(s.patterns[1].is_new);
	assert_int_equal(s.patterns[1].level, LEVEL_ERROR);
	assert_int_equal(s.patterns[1].failure, FAILURE_MEMORY);
}

static void an_info_line_that_mentions_an_error_is_no_failure(void **state)
{
	SCOPE(mem);
	static const struct log_line LINE = {1, "info",
					     "retry after SocketTimeoutException went well"};
	struct log_summary s;

	(void)state;
	log_summarise(mem, &LINE, 1, &WINDOW, SPLIT, &s);
	assert_int_equal(s.class_count, 0);
}

static void a_hundred_thousand_lines_that_are_all_different_stay_bounded(void **state)
{
	SCOPE(mem);
	enum { MANY = 100000 };
	struct log_line *lines = NEW_ARRAY(mem, struct log_line, MANY);
	struct log_summary s;
	size_t counted = 0;

	(void)state;
	for (int n = 0; n < MANY; n++) {
		char word[8] = {0};
		for (int k = 0, rest = n; k < 6; k++, rest /= 10)
			word[k] = (char)('g' + rest % 10);
		lines[n] = (struct log_line){n, n % 3 ? "error" : "",
					     str_fmt(mem, "same %s %sa %sb %sc %sd %sError: e",
						     word, word, word, word, word, word)};
	}
	log_summarise(mem, lines, MANY, &WINDOW, SPLIT, &s);
	for (size_t n = 0; n < s.pattern_count; n++)
		counted += s.patterns[n].count;
	assert_int_equal(counted + s.ungrouped, MANY);
	assert_true(s.pattern_count <= 800);
	assert_true(s.class_count <= 64);
}

static void long_and_broken_lines_are_cut(void **state)
{
	SCOPE(mem);
	char *huge = NEW_ARRAY(mem, char, 1 << 20);
	struct log_line lines[3] = {{0, "", huge}, {0, "", "\"'\"'\\"}, {0, "", "\xff\xfe \x80"}};
	struct log_summary s;

	(void)state;
	memset(huge, '7', (1 << 20) - 1);
	for (int n = 0; n < (1 << 20) - 1; n += 2)
		huge[n] = 'a' + n % 26;
	log_summarise(mem, lines, 3, &WINDOW, SPLIT, &s);
	assert_int_equal(s.pattern_count, 3);
	log_summarise(mem, NULL, 0, &WINDOW, SPLIT, &s);
	assert_int_equal(s.pattern_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_changes_from_line_to_line_is_masked),
		cmocka_unit_test(a_level_comes_with_the_line_or_stands_at_its_head),
		cmocka_unit_test(a_failure_has_a_kind_and_the_name_of_its_class),
		cmocka_unit_test(a_failed_call_names_the_other_side),
		cmocka_unit_test(lines_that_differ_in_a_name_become_one_template),
		cmocka_unit_test(lines_of_another_length_or_beginning_stay_apart),
		cmocka_unit_test(new_failures_are_counted_by_class),
		cmocka_unit_test(an_info_line_that_mentions_an_error_is_no_failure),
		cmocka_unit_test(a_hundred_thousand_lines_that_are_all_different_stay_bounded),
		cmocka_unit_test(long_and_broken_lines_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
