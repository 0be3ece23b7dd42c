#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A literal with its length, so that it may hold NULs. */
#define BYTES(s) s, sizeof(s) - 1

static void what_is_not_strict_json_is_refused(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		const char *says;
	} CASES[] = {
		{BYTES(""), "line 1, column 0: "},
		{BYTES(" "), "line 1, column 1: "},
		{BYTES("{"), "line 1, column 1: "},
		{BYTES("{} {}"), "end of file expected"},
		{BYTES("{\"a\":1,\n\"a\":2}"), "line 2, column 3: duplicate object key"},
		{BYTES("{\"a\":{\"b\":1,\"b\":1}}"), "duplicate object key"},
		{BYTES("{\"a\":1,\"\\u0061\":2}"), "duplicate object key"},
		{BYTES("[\"a\\u0000b\"]"), "\\u0000 is not allowed"},
		{BYTES("{\"a\\u0000b\":1}"), "\\u0000"},
		{BYTES("[\"a\0b\"]"), "line 1"},
		{BYTES("[1]\0"), "line 1"},
		{BYTES("\0[1]"), "line 1"},
		{BYTES("[\"\xff\"]"), "unable to decode byte 0xff"},
		{BYTES("[\"\xc3\x28\"]"), "unable to decode"},
		{BYTES("[\"\xc0\x80\"]"), "unable to decode"},
		{BYTES("[\"\xed\xa0\x80\"]"), "unable to decode"},
		{BYTES("[\"\xf4\x90\x80\x80\"]"), "unable to decode"},
		{BYTES("[\"\xe2\x82"), "unable to decode"},
		{BYTES("\xef\xbb\xbf{}"), "line 1"},
		{BYTES("[\"\\ud83d\"]"), "invalid Unicode"},
		{BYTES("[\"a\nb\"]"), "unexpected newline"},
		{BYTES("[\"\\x41\"]"), "invalid escape"},
		{BYTES("[1e999]"), "real number overflow"},
		{BYTES("[9223372036854775808]"), "too big integer"},
		{BYTES("[01]"), "line 1"},
		{BYTES("[+1]"), "line 1"},
		{BYTES("[NaN]"), "line 1"},
		{BYTES("[1,]"), "line 1"},
		{BYTES("{'a':1}"), "line 1"},
		{BYTES("[1] // why"), "line 1"},
		{BYTES("]]]][[[["), "line 1"},
		{BYTES("\"\\"), "line 1"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		SCOPE(tmp);
		json_t *out = NULL;
		print_message("# row %zu: %s\n", i, CASES[i].says);
		assert_int_equal(json_parse(tmp, CASES[i].text, CASES[i].n, &out), E_INVALID);
		if (strstr(status_message(), CASES[i].says) == NULL)
			assert_string_equal(status_message(), CASES[i].says);
		assert_null(out);
	}
}

static void strict_json_is_accepted(void **state)
{
	static const struct {
		const char *text, *compact;
	} CASES[] = {
		{"{}", "{}"},
		{" [ ] \r\n\t", "[]"},
		{"null", "null"},
		{"\"x\"", "\"x\""},
		{"-0", "0"},
		{"[9223372036854775807,-9223372036854775808]",
		 "[9223372036854775807,-9223372036854775808]"},
		{"[0.1, 1e3, 1.5]", "[0.1, 1000.0, 1.5]"},
		{"{\"b\":1,\"a\":{\"d\":true,\"c\":null}}",
		 "{\"a\":{\"c\":null,\"d\":true},\"b\":1}"},
		{"[\"\\u00e9\\ud83d\\udd25\\/\\\"\"]", "[\"é🔥/\\\"\"]"},
		{"[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"]",
		 "[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"]"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		SCOPE(tmp);
		json_t *out = NULL;
		assert_int_equal(json_parse(tmp, CASES[i].text, strlen(CASES[i].text), &out), OK);
		json_t *expected = NULL;
		assert_int_equal(
			json_parse(tmp, CASES[i].compact, strlen(CASES[i].compact), &expected), OK);
		assert_true(json_equal(out, expected));
		if (strchr(CASES[i].compact, ' ') == NULL)
			assert_string_equal(json_text(tmp, out), CASES[i].compact);
	}
}

static enum status parse_nested(void *mem, const char *open, const char *shut, int depth)
{
	json_t *out = NULL;
	char *text = str_dup(mem, "");

	for (int i = 0; i < depth; i++)
		str_add(&text, "%s", open);
	str_add(&text, "1");
	for (int i = 0; i < depth; i++)
		str_add(&text, "%s", shut);
	return json_parse(mem, text, strlen(text), &out);
}

static void nesting_has_a_limit(void **state)
{
	SCOPE(tmp);

	(void)state;
	assert_int_equal(parse_nested(tmp, "[", "]", LIMIT_JSON_DEPTH), OK);
	assert_int_equal(parse_nested(tmp, "[", "]", LIMIT_JSON_DEPTH + 1), E_INVALID);
	assert_non_null(strstr(status_message(), "deeper than 32"));
	assert_int_equal(parse_nested(tmp, "{\"a\":", "}", LIMIT_JSON_DEPTH), OK);
	assert_int_equal(parse_nested(tmp, "{\"a\":", "}", LIMIT_JSON_DEPTH + 1), E_INVALID);
	assert_int_equal(parse_nested(tmp, "[{\"a\":", "}]", LIMIT_JSON_DEPTH / 2), OK);
	assert_int_equal(parse_nested(tmp, "[{\"a\":", "}]", LIMIT_JSON_DEPTH / 2 + 1), E_INVALID);
}

static void wide_is_not_deep(void **state)
{
	SCOPE(tmp);
	char *text = str_dup(tmp, "[[]");
	json_t *out = NULL;

	(void)state;
	for (int i = 0; i < 100; i++)
		str_add(&text, ",[{}]");
	str_add(&text, "]");
	assert_int_equal(json_parse(tmp, text, strlen(text), &out), OK);
	assert_int_equal(json_array_size(out), 101);
}

static void only_the_given_bytes_are_read(void **state)
{
	SCOPE(tmp);
	json_t *out = NULL;

	(void)state;
	const char *text = talloc_memdup(tmp, "[1]", 3);
	assert_int_equal(json_parse(tmp, text, 3, &out), OK);
	assert_int_equal(json_parse(tmp, text, 2, &out), E_INVALID);
	assert_int_equal(json_parse(tmp, NULL, 0, &out), E_INVALID);
}

static void members_are_read(void **state)
{
	SCOPE(tmp);
	static const char TEXT[] = "{\"s\":\"x\",\"i\":7,\"n\":null,\"r\":1.5,\"e\":\"\"}";
	json_t *o = NULL;

	(void)state;
	assert_int_equal(json_parse(tmp, BYTES(TEXT), &o), OK);
	assert_string_equal(json_str(o, "s"), "x");
	assert_string_equal(json_str(o, "e"), "");
	assert_null(json_str(o, "i"));
	assert_null(json_str(o, "n"));
	assert_null(json_str(o, "absent"));
	assert_null(json_str(NULL, "s"));
	assert_int_equal(json_int(o, "i", 3), 7);
	assert_int_equal(json_int(o, "r", 3), 3);
	assert_int_equal(json_int(o, "s", 3), 3);
	assert_int_equal(json_int(o, "absent", 3), 3);
}

static void a_map_holds_texts_only(void **state)
{
	static const struct {
		const char *text;
		enum status s;
		const char *gives; /* or what the message holds */
	} CASES[] = {
		{"{\"labels\":{\"a\":\"1\",\"b\":\"\"}}", OK, "{\"a\":\"1\",\"b\":\"\"}"},
		{"{\"labels\":{}}", OK, "{}"},
		{"{\"labels\":null}", OK, "{}"},
		{"{}", OK, "{}"},
		{"{\"labels\":{\"a\":1}}", E_INVALID, "labels.a must be a string"},
		{"{\"labels\":{\"a\":true}}", E_INVALID, "labels.a must be a string"},
		{"{\"labels\":{\"a\":null}}", E_INVALID, "labels.a must be a string"},
		{"{\"labels\":{\"a\":\"x\",\"b\":{}}}", E_INVALID, "labels.b must be a string"},
		{"{\"labels\":[]}", E_INVALID, "labels must be an object of strings"},
		{"{\"labels\":\"\"}", E_INVALID, "labels must be an object of strings"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		SCOPE(tmp);
		json_t *o = NULL;
		json_t *map = NULL;
		assert_int_equal(json_parse(tmp, CASES[i].text, strlen(CASES[i].text), &o), OK);
		assert_int_equal(json_string_map(tmp, o, "labels", &map), CASES[i].s);
		assert_string_equal(map == NULL ? status_message() : json_text(tmp, map),
				    CASES[i].gives);
	}
}

static void a_value_lives_as_long_as_its_tree(void **state)
{
	void *outer = talloc_new(NULL);
	json_t *map = NULL;

	(void)state;
	{
		SCOPE(inner);
		json_t *o = NULL;
		assert_int_equal(json_parse(inner, BYTES("{\"m\":{\"k\":\"v\"}}"), &o), OK);
		assert_int_equal(json_string_map(outer, o, "m", &map), OK);
	}
	assert_string_equal(json_str(map, "k"), "v");
	talloc_free(outer);
}

static void files_are_read_up_to_their_limit(void **state)
{
	SCOPE(tmp);
	char *text = NULL;
	size_t n = 0;
	int fd = memfd_create("text", 0);

	(void)state;
	const char *path = str_fmt(tmp, "/proc/self/fd/%d", fd);
	assert_int_equal(write(fd, "ab\0cd", 5), 5);
	assert_int_equal(file_read(tmp, path, 5, &text, &n), OK);
	assert_int_equal(n, 5);
	assert_memory_equal(text, "ab\0cd", 6);
	text = NULL;
	assert_int_equal(file_read(tmp, path, 4, &text, &n), E_INVALID);
	assert_non_null(strstr(status_message(), "larger than 4 bytes"));
	assert_null(text);
	assert_int_equal(file_read(tmp, "/nonexistent/file", 4, &text, &n), E_NOTFOUND);
	assert_string_equal(status_message(), "/nonexistent/file: No such file or directory");
	assert_int_equal(file_read(tmp, "/proc/self", 4, &text, &n), E_INVALID);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_strict_json_is_refused),
		cmocka_unit_test(strict_json_is_accepted),
		cmocka_unit_test(nesting_has_a_limit),
		cmocka_unit_test(wide_is_not_deep),
		cmocka_unit_test(only_the_given_bytes_are_read),
		cmocka_unit_test(members_are_read),
		cmocka_unit_test(a_map_holds_texts_only),
		cmocka_unit_test(a_value_lives_as_long_as_its_tree),
		cmocka_unit_test(files_are_read_up_to_their_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
