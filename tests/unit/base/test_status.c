#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const enum status ALL[] = {E_INVALID, E_NOTFOUND, E_CONFLICT, E_DENIED,	E_TRANSIENT,
				  E_TIMEOUT, E_RATE,	 E_CANCELED, E_INTERNAL};

static void every_failure_carries_a_message(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(ALL); i++) {
		assert_int_equal(failure(ALL[i], "row %zu", i), ALL[i]);
		assert_true(str_starts(status_message(), "row "));
		assert_int_equal(failure(ALL[i], "%s", ""), ALL[i]);
		assert_string_equal(status_message(), status_name(ALL[i]));
		assert_int_equal(failure_after(5, ALL[i], "%s", ""), ALL[i]);
		assert_string_equal(status_message(), status_name(ALL[i]));
		assert_int_equal(failure_in(ALL[i], "around"), ALL[i]);
		assert_true(str_starts(status_message(), "around: "));
	}
}

static enum status refuse_json(void *mem)
{
	json_t *out = NULL;
	return json_parse(mem, "{", 1, &out);
}

static enum status refuse_depth(void *mem)
{
	json_t *out = NULL;
	char text[64];
	memset(text, '[', sizeof(text));
	return json_parse(mem, text, sizeof(text), &out);
}

static enum status refuse_map(void *mem)
{
	json_t *out = NULL;
	return json_string_map(mem, mem_own(mem, json_pack("{s:i}", "labels", 1)), "labels", &out);
}

static enum status refuse_file(void *mem)
{
	char *out = NULL;
	size_t n = 0;
	return file_read(mem, "/nonexistent/file", 10, &out, &n);
}

static enum status refuse_yaml(void *mem)
{
	json_t *out = NULL;
	return yaml_parse(mem, "f", "[", 1, &out, NULL);
}

static enum status refuse_time(void *mem)
{
	int64_t out = 0;
	(void)mem;
	return clock_parse("", &out);
}

static enum status refuse_int(void *mem)
{
	long long out = 0;
	(void)mem;
	return str_to_int("", 0, 1, &out);
}

static enum status refuse_double(void *mem)
{
	double out = 0;
	(void)mem;
	return str_to_double("", &out);
}

static enum status refuse_duration(void *mem)
{
	long long out = 0;
	(void)mem;
	return str_to_duration("", &out);
}

static enum status refuse_level(void *mem)
{
	enum log_level out = LOG_INFO;
	(void)mem;
	return log_level_parse("", &out);
}

static void no_function_fails_with_an_old_message(void **state)
{
	enum status (*const refusals[])(void *mem) = {
		refuse_json, refuse_depth, refuse_map,	  refuse_file,	   refuse_yaml,
		refuse_time, refuse_int,   refuse_double, refuse_duration, refuse_level,
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(refusals); i++) {
		failure(E_INTERNAL, "old");
		assert_int_not_equal(refusals[i](tmp), OK);
		assert_string_not_equal(status_message(), "old");
		assert_true(strlen(status_message()) > 5);
	}
}

static void context_stands_in_front(void **state)
{
	(void)state;
	failure(E_INVALID, "labels must be an object");
	assert_int_equal(failure_in(E_INVALID, "alert %d", 3), E_INVALID);
	assert_string_equal(status_message(), "alert 3: labels must be an object");
}

static void a_message_may_be_made_of_the_message_before(void **state)
{
	(void)state;
	failure(E_INVALID, "first");
	failure(E_TRANSIENT, "second after %s", status_message());
	assert_string_equal(status_message(), "second after first");
	failure_in(E_TRANSIENT, "about %s", status_message());
	assert_string_equal(status_message(), "about second after first: second after first");
}

static void a_message_is_one_line_of_utf8(void **state)
{
	static const struct {
		const char *given, *kept;
	} CASES[] = {
		{"a\nb\r\nc\td", "a b  c d"},
		{"bell\a escape\x1b[31m del\x7f", "bell  escape [31m del "},
		{"next\xc2\x85line csi\xc2\x9b", "next  line csi  "},
		{"größe 🔥", "größe 🔥"},
		{"broken \xff\xc3. end\xe2\x82", "broken ??. end??"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		failure(E_INVALID, "%s", CASES[i].given);
		assert_string_equal(status_message(), CASES[i].kept);
		failure(E_INVALID, "x");
		failure_in(E_INVALID, "%s", CASES[i].given);
		assert_true(str_starts(status_message(), CASES[i].kept));
	}
}

static void a_long_message_is_cut_between_code_points(void **state)
{
	(void)state;
	for (int shift = 0; shift < 4; shift++) {
		SCOPE(tmp);
		char *text = str_ndup(tmp, "aaa", (size_t)shift);
		for (int i = 0; i < 400; i++)
			str_add(&text, "🔥");
		failure(E_INVALID, "%s", text);
		size_t n = strlen(status_message());
		assert_in_range(n, 1020, 1023);
		assert_int_equal((n - (size_t)shift) % 4, 0);
		assert_null(strchr(status_message(), '?'));
		failure_in(E_INVALID, "%s", text);
		assert_null(strchr(status_message(), '?'));
	}
}

static void the_pause_lives_until_the_next_failure(void **state)
{
	(void)state;
	failure_after(1500, E_RATE, "slow down");
	assert_int_equal(status_retry_after_ms(), 1500);
	failure_in(E_RATE, "linear");
	assert_int_equal(status_retry_after_ms(), 1500);
	failure(E_TRANSIENT, "refused");
	assert_int_equal(status_retry_after_ms(), 0);
}

static void only_transient_timeout_and_rate_are_retried(void **state)
{
	(void)state;
	assert_false(status_is_retryable(OK));
	for (size_t i = 0; i < COUNT(ALL); i++) {
		int expected = ALL[i] == E_TRANSIENT || ALL[i] == E_TIMEOUT || ALL[i] == E_RATE;
		assert_int_equal(status_is_retryable(ALL[i]), expected);
	}
}

static void every_status_has_a_name_of_its_own(void **state)
{
	(void)state;
	assert_string_equal(status_name(OK), "ok");
	for (size_t i = 0; i < COUNT(ALL); i++) {
		assert_string_not_equal(status_name(ALL[i]), "unknown");
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(status_name(ALL[i]), status_name(ALL[k]));
	}
}

static void *fail_elsewhere(void *arg)
{
	char *seen = arg;

	snprintf(seen, 64, "%s", status_message());
	failure_after(9, E_RATE, "theirs");
	return NULL;
}

static void threads_have_messages_of_their_own(void **state)
{
	pthread_t thread;
	char seen[64] = "nothing ran";

	(void)state;
	failure(E_INVALID, "ours");
	assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, seen), 0);
	pthread_join(thread, NULL);
	assert_string_equal(seen, "");
	assert_string_equal(status_message(), "ours");
	assert_int_equal(status_retry_after_ms(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failure_carries_a_message),
		cmocka_unit_test(no_function_fails_with_an_old_message),
		cmocka_unit_test(context_stands_in_front),
		cmocka_unit_test(a_message_may_be_made_of_the_message_before),
		cmocka_unit_test(a_message_is_one_line_of_utf8),
		cmocka_unit_test(a_long_message_is_cut_between_code_points),
		cmocka_unit_test(the_pause_lives_until_the_next_failure),
		cmocka_unit_test(only_transient_timeout_and_rate_are_retried),
		cmocka_unit_test(every_status_has_a_name_of_its_own),
		cmocka_unit_test(threads_have_messages_of_their_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
