#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Everything is logged into a file in memory, which `taken` empties. */
static int file;

static int open_file(void **state)
{
	(void)state;
	file = memfd_create("log", 0);
	log_init(LOG_DEBUG, file);
	log_scope_clear();
	return fcntl(file, F_SETFL, O_APPEND);
}

static int close_file(void **state)
{
	(void)state;
	return close(file);
}

static char *taken(void *mem)
{
	char *text = NULL;
	size_t n = 0;

	assert_int_equal(
		file_read(mem, str_fmt(mem, "/proc/self/fd/%d", file), LIMIT_FILE_BYTES, &text, &n),
		OK);
	assert_int_equal(strlen(text), n);
	assert_int_equal(ftruncate(file, 0), 0);
	lseek(file, 0, SEEK_SET);
	return text;
}

/* The one line that was logged, which must be one JSON object and one newline. */
static json_t *one_line(void *mem)
{
	char *text = taken(mem);
	json_t *line = NULL;

	assert_true(str_ends(text, "}\n"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_int_equal(json_parse(mem, text, strlen(text), &line), OK);
	assert_true(json_is_object(line));
	return line;
}

static void a_line_has_time_level_event_and_fields(void **state)
{
	SCOPE(tmp);
	int64_t ms = 0;

	(void)state;
	log_event(LOG_WARN, "remediation_failed", "lambda_function", "restart-worker", "absent",
		  NULL, "cannot_fix", "true", NULL);
	const char *text = taken(tmp);
	assert_true(str_starts(text, "{\"ts\":\"20"));
	const char *rest = strstr(text, "\"level\"");
	assert_non_null(rest);
	assert_string_equal(rest,
			    "\"level\":\"warn\",\"event\":\"remediation_failed\","
			    "\"lambda_function\":\"restart-worker\",\"cannot_fix\":\"true\"}\n");
	log_event(LOG_INFO, "plain", NULL);
	json_t *line = one_line(tmp);
	assert_int_equal(json_object_size(line), 3);
	assert_int_equal(clock_parse(json_str(line, "ts"), &ms), OK);
	assert_in_range(ms, clock_now() - 60000, clock_now());
}

static void a_value_cannot_forge_a_line(void **state)
{
	static const struct {
		const char *value, *logged;
	} CASES[] = {
		{"x\n{\"level\":\"error\",\"event\":\"forged\"}",
		 "x\n{\"level\":\"error\",\"event\":\"forged\"}"},
		{"x\"}\n{\"event\":\"forged\"}\n", "x\"}\n{\"event\":\"forged\"}\n"},
		{"\r\n\t\b\x1b[2J\\\"", "\r\n\t\b\x1b[2J\\\""},
		{"x\",\"level\":\"debug", "x\",\"level\":\"debug"},
		{"größe 🔥", "größe 🔥"},
		{"broken \xff\xc3", "broken ??"},
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		SCOPE(tmp);
		log_scope("correlation_id", CASES[i].value);
		log_event(LOG_INFO, CASES[i].value, "alertname", CASES[i].value, NULL);
		json_t *line = one_line(tmp);
		assert_int_equal(json_object_size(line), 5);
		assert_string_equal(json_str(line, "level"), "info");
		assert_string_equal(json_str(line, "event"), CASES[i].logged);
		assert_string_equal(json_str(line, "alertname"), CASES[i].logged);
		assert_string_equal(json_str(line, "correlation_id"), CASES[i].logged);
	}
	log_scope_clear();
}

static void lines_below_the_threshold_do_not_appear(void **state)
{
	SCOPE(tmp);

	(void)state;
	for (int least = LOG_DEBUG; least <= LOG_ERROR; least++) {
		int lines = 0;
		log_init((enum log_level)least, file);
		for (int level = LOG_DEBUG; level <= LOG_ERROR; level++)
			log_event((enum log_level)level, "x", NULL);
		for (const char *c = taken(tmp); *c != '\0'; c++)
			lines += *c == '\n';
		assert_int_equal(lines, LOG_ERROR - least + 1);
	}
	log_init(LOG_DEBUG, file);
}

static void levels_are_read(void **state)
{
	static const struct {
		const char *word;
		enum status s;
		enum log_level level;
	} CASES[] = {
		{"debug", OK, LOG_DEBUG},      {"info", OK, LOG_INFO},
		{"warn", OK, LOG_WARN},	       {"error", OK, LOG_ERROR},
		{"INFO", E_INVALID, LOG_WARN}, {"warning", E_INVALID, LOG_WARN},
		{"", E_INVALID, LOG_WARN},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		enum log_level level = LOG_WARN;
		assert_int_equal(log_level_parse(CASES[i].word, &level), CASES[i].s);
		assert_int_equal(level, CASES[i].level);
	}
}

static void the_scope_is_in_every_line_of_its_thread(void **state)
{
	SCOPE(tmp);

	(void)state;
	log_scope("incident", "i-1");
	log_scope("step", "open");
	log_scope("step", "plan");
	log_scope("absent", NULL);
	log_event(LOG_INFO, "x", NULL);
	json_t *line = one_line(tmp);
	assert_string_equal(json_str(line, "incident"), "i-1");
	assert_string_equal(json_str(line, "step"), "plan");
	assert_int_equal(json_object_size(line), 5);
	log_scope("incident", NULL);
	log_event(LOG_INFO, "x", NULL);
	line = one_line(tmp);
	assert_null(json_str(line, "incident"));
	assert_string_equal(json_str(line, "step"), "plan");
	log_scope_clear();
	log_event(LOG_INFO, "x", NULL);
	assert_int_equal(json_object_size(one_line(tmp)), 3);
}

static void a_scope_has_eight_fields_and_short_values(void **state)
{
	static const char *const NAMES[] = {"f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9"};
	SCOPE(tmp);
	char *text = str_dup(tmp, "x");

	(void)state;
	for (int i = 0; i < 300; i++)
		str_add(&text, "é");
	for (size_t i = 0; i < COUNT(NAMES); i++)
		log_scope(NAMES[i], text);
	log_event(LOG_INFO, "x", NULL);
	json_t *line = one_line(tmp);
	assert_int_equal(json_object_size(line), 3 + 8);
	assert_null(json_str(line, "f9"));
	assert_int_equal(strlen(json_str(line, "f8")), 255);
	log_scope("f1", "short");
	log_event(LOG_INFO, "x", NULL);
	assert_string_equal(json_str(one_line(tmp), "f1"), "short");
	log_scope_clear();
}

enum { THREADS = 6, LINES = 300 };

static void *log_much(void *arg)
{
	log_scope("thread", arg);
	for (int i = 0; i < LINES; i++)
		log_event(LOG_INFO, "x", "same", arg, NULL);
	return NULL;
}

static void lines_of_several_threads_stay_whole(void **state)
{
	static char names[THREADS][2] = {"a", "b", "c", "d", "e", "f"};
	SCOPE(tmp);
	pthread_t threads[THREADS];
	int lines = 0;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, log_much, names[i]), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (const char *at = taken(tmp); *at != '\0'; lines++) {
		json_t *line = NULL;
		size_t n = strcspn(at, "\n");
		assert_int_equal(json_parse(tmp, at, n, &line), OK);
		assert_string_equal(json_str(line, "thread"), json_str(line, "same"));
		at += n + 1;
	}
	assert_int_equal(lines, THREADS * LINES);
}

static void *drain(void *arg)
{
	const int *from = arg;
	char part[1000];
	size_t got = 0;

	for (ssize_t n = 1; n > 0; got += (size_t)n)
		n = read(*from, part, sizeof(part));
	return (void *)got;
}

static void a_line_longer_than_a_pipe_is_written_whole(void **state)
{
	SCOPE(tmp);
	pthread_t reader;
	void *got = NULL;
	int ends[2];

	(void)state;
	char *text = NEW_ARRAY(tmp, char, 300001);
	memset(text, 'x', 300000);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&reader, NULL, drain, &ends[0]), 0);
	log_init(LOG_DEBUG, ends[1]);
	log_event(LOG_INFO, "x", "text", text, NULL);
	log_init(LOG_DEBUG, file);
	close(ends[1]);
	pthread_join(reader, &got);
	close(ends[0]);
	assert_true((size_t)got > 300000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_time_level_event_and_fields),
		cmocka_unit_test(a_value_cannot_forge_a_line),
		cmocka_unit_test(lines_below_the_threshold_do_not_appear),
		cmocka_unit_test(levels_are_read),
		cmocka_unit_test(the_scope_is_in_every_line_of_its_thread),
		cmocka_unit_test(a_scope_has_eight_fields_and_short_values),
		cmocka_unit_test(lines_of_several_threads_stay_whole),
		cmocka_unit_test(a_line_longer_than_a_pipe_is_written_whole),
	};
	return cmocka_run_group_tests(tests, open_file, close_file);
}
