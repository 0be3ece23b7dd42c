#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void times_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} CASES[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-01-15T10:45:00Z", 1768473900000},
		{"2026-01-15t10:45:00z", 1768473900000},
		{"2026-01-15 10:45:00Z", 1768473900000},
		{"2026-01-15T10:45:00.1Z", 1768473900100},
		{"2026-01-15T10:45:00.12Z", 1768473900120},
		{"2026-01-15T10:45:00.123Z", 1768473900123},
		{"2026-01-15T10:45:00.1234Z", 1768473900123},
		{"2026-01-15T10:45:00.12345Z", 1768473900123},
		{"2026-01-15T10:45:00.123456Z", 1768473900123},
		{"2026-01-15T10:45:00.1234567Z", 1768473900123},
		{"2026-01-15T10:45:00.12345678Z", 1768473900123},
		{"2026-01-15T10:45:00.999999999Z", 1768473900999},
		{"2026-01-15T10:45:00.000000001Z", 1768473900000},
		{"2026-01-15T10:45:00+05:30", 1768454100000},
		{"2026-01-15T10:45:00-08:00", 1768502700000},
		{"2026-01-15T10:45:00.5-08:00", 1768502700500},
		{"2026-01-15T10:45:00+23:59", 1768387560000},
		{"2026-12-31T23:59:59+00:00", 1798761599000},
		{"2026-12-31T23:59:59-00:00", 1798761599000},
		{"2016-12-31T23:59:60Z", 1483228800000},
		{"2024-02-29T23:59:59Z", 1709251199000},
		{"2000-02-29T00:00:00Z", 951782400000},
		{"2400-02-29T12:00:00Z", 13574606400000},
		{"1900-03-01T00:00:00Z", -2203891200000},
		{"1969-12-31T23:59:59Z", -1000},
		{"9999-12-31T23:59:59Z", 253402300799000},
		{"0001-06-01T00:00:00Z", -62122550400000},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		int64_t ms = -7;
		print_message("# %s\n", CASES[i].text);
		assert_int_equal(clock_parse(CASES[i].text, &ms), OK);
		assert_int_equal(ms, CASES[i].ms);
	}
}

static void the_zero_time_reads_as_zero(void **state)
{
	static const char *const CASES[] = {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z",
					    "0001-01-01T00:00:00+00:00"};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		int64_t ms = -7;
		assert_int_equal(clock_parse(CASES[i], &ms), OK);
		assert_int_equal(ms, 0);
	}
}

static void what_is_no_time_is_refused(void **state)
{
	static const char *const CASES[] = {
		"",
		"now",
		"2026",
		"2026-01-15",
		"2026-01-15T10:45Z",
		"2026-01-15T10:45:00",
		"2026-01-15T10:45:00.Z",
		"2026-01-15T10:45:00.1234567890Z",
		"2026-01-15T10:45:00,5Z",
		"2026-01-15T10:45:00 Z",
		" 2026-01-15T10:45:00Z",
		"2026-01-15T10:45:00Z ",
		"2026-01-15T10:45:00ZZ",
		"2026-01-15T10:45:00+0530",
		"2026-01-15T10:45:00+5:30",
		"2026-01-15T10:45:00+24:00",
		"2026-01-15T10:45:00+05:60",
		"2026-01-15T10:45:00+05",
		"2026-01-15T10:45:00+",
		"2026-01-15X10:45:00Z",
		"2026/01/15T10:45:00Z",
		"26-01-15T10:45:00Z",
		"+026-01-15T10:45:00Z",
		"12026-01-15T10:45:00Z",
		"2026-1-15T10:45:00Z",
		"2026-00-15T10:45:00Z",
		"2026-13-15T10:45:00Z",
		"2026-01-00T10:45:00Z",
		"2026-01-32T10:45:00Z",
		"2026-04-31T10:45:00Z",
		"2026-02-29T10:45:00Z",
		"2100-02-29T10:45:00Z",
		"2024-02-30T10:45:00Z",
		"2026-01-15T24:00:00Z",
		"2026-01-15T10:60:00Z",
		"2026-01-15T10:45:61Z",
		"2026-01-15T-1:45:00Z",
		"1768473900",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		int64_t ms = -7;
		print_message("# '%s'\n", CASES[i]);
		assert_int_equal(clock_parse(CASES[i], &ms), E_INVALID);
		assert_int_equal(ms, -7);
	}
}

static void times_are_written(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} CASES[] = {
		{0, "1970-01-01T00:00:00Z"},
		{1768473900000, "2026-01-15T10:45:00Z"},
		{1768473900001, "2026-01-15T10:45:00.001Z"},
		{1768473900120, "2026-01-15T10:45:00.120Z"},
		{1709251199999, "2024-02-29T23:59:59.999Z"},
		{-1, "1969-12-31T23:59:59.999Z"},
		{-1000, "1969-12-31T23:59:59Z"},
		{-62122550400000, "0001-06-01T00:00:00Z"},
		{253402300799000, "9999-12-31T23:59:59Z"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		int64_t ms = -7;
		const char *text = clock_format(tmp, CASES[i].ms);
		assert_string_equal(text, CASES[i].text);
		assert_int_equal(clock_parse(text, &ms), OK);
		assert_int_equal(ms, CASES[i].ms);
	}
}

static void every_day_of_four_centuries_comes_back(void **state)
{
	const int64_t day_ms = 86400000;

	(void)state;
	for (int64_t day = -25567; day < 120000; day += 13) {
		SCOPE(tmp);
		int64_t ms = -7;
		int64_t expected = day * day_ms + (day * 7919) % day_ms;
		assert_int_equal(clock_parse(clock_format(tmp, expected), &ms), OK);
		assert_int_equal(ms, expected);
	}
}

static void the_clocks_run(void **state)
{
	(void)state;
	int64_t wall = clock_now();
	int64_t mono = clock_monotonic();
	usleep(20000);
	assert_true(clock_monotonic() - mono >= 19);
	assert_true(clock_now() > wall);
	assert_true(wall > 1735689600000);
}

#ifdef AGENT_SRE_TESTING
static int clock_file(char path[64])
{
	int fd = memfd_create("clock", 0);

	assert_true(fd >= 0);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	setenv("AGENT_SRE_TEST_CLOCK", path, 1);
	return fd;
}

static void a_test_clock_must_be_a_file_of_eight_bytes(void **state)
{
	char path[64];

	(void)state;
	setenv("AGENT_SRE_TEST_CLOCK", "/nonexistent/clock", 1);
	assert_int_equal(clock_init(), E_INVALID);
	int fd = clock_file(path);
	assert_int_equal(clock_init(), E_INVALID);
	assert_non_null(strstr(status_message(), path));
	assert_false(clock_is_fake());
	close(fd);
	unsetenv("AGENT_SRE_TEST_CLOCK");
}

/* The last one: the clock of the process stays replaced. */
static void a_test_moves_the_wall_clock_only(void **state)
{
	char path[64];
	int64_t now = 1000;

	(void)state;
	assert_int_equal(clock_init(), OK);
	assert_false(clock_is_fake());
	int fd = clock_file(path);
	assert_int_equal(pwrite(fd, &now, sizeof(now), 0), sizeof(now));
	assert_int_equal(clock_init(), OK);
	assert_true(clock_is_fake());
	assert_int_equal(clock_now(), 1000);
	now = 5000;
	assert_int_equal(pwrite(fd, &now, sizeof(now), 0), sizeof(now));
	assert_int_equal(clock_now(), 5000);
	assert_true(clock_monotonic() != 5000);
	close(fd);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(the_zero_time_reads_as_zero),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(times_are_written),
		cmocka_unit_test(every_day_of_four_centuries_comes_back),
		cmocka_unit_test(the_clocks_run),
#ifdef AGENT_SRE_TESTING
		cmocka_unit_test(a_test_clock_must_be_a_file_of_eight_bytes),
		cmocka_unit_test(a_test_moves_the_wall_clock_only),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
