#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/adapter.h"

static json_t *parsed(void *mem, const char *text)
{
	json_t *value = NULL;

	if (json_parse(mem, text, strlen(text), &value) != OK)
		fail_msg("%s: %s", text, status_message());
	return value;
}

static enum status run(void *mem, const char *steps, const char *data, char **out)
{
	struct adapter *a = NULL;
	json_t *result = NULL;
	json_t *in = parsed(mem, data);
	const char *before = json_text(mem, in);

	if (adapter_compile(mem, parsed(mem, steps), &a) != OK)
		fail_msg("%s: %s", steps, status_message());
	enum status s = adapter_run(mem, a, in, &result);
	assert_string_equal(json_text(mem, in), before); /* the input is never changed */
	if (s == OK)
		*out = json_text(mem, result);
	return s;
}

static void each_action_does_what_it_says(void **state)
{
	static const struct {
		const char *steps, *data, *want;
	} CASES[] = {
		{"[]", "{\"a\":1}", "{\"a\":1}"},
		{"[{\"rename\":{\"path\":\"/a\",\"to\":\"b\"}}]", "{\"a\":1}", "{\"b\":1}"},
		{"[{\"rename\":{\"path\":\"/a/x\",\"to\":\"y/z\"}}]", "{\"a\":{\"x\":1,\"w\":2}}",
		 "{\"a\":{\"w\":2,\"y/z\":1}}"},
		{"[{\"rename\":{\"path\":\"/a\",\"to\":\"b\"}}]", "{\"c\":1}", "{\"c\":1}"},
		{"[{\"rename\":{\"path\":\"/a\",\"to\":\"b\"}}]", "{\"a\":1,\"b\":2}", "{\"b\":1}"},
		{"[{\"move\":{\"from\":\"/m/n\",\"to\":\"/x/y/z\"}}]", "{\"m\":{\"n\":1}}",
		 "{\"m\":{},\"x\":{\"y\":{\"z\":1}}}"},
		{"[{\"move\":{\"from\":\"/a\",\"to\":\"/a/b\"}}]", "{\"a\":1}",
		 "{\"a\":{\"b\":1}}"},
		{"[{\"default\":{\"path\":\"/s\",\"value\":\"firing\"}}]", "{}",
		 "{\"s\":\"firing\"}"},
		{"[{\"default\":{\"path\":\"/s\",\"value\":1}}]", "{\"s\":null}", "{\"s\":null}"},
		{"[{\"default\":{\"path\":\"/a/b/c\",\"value\":{\"k\":[1]}}}]", "{\"a\":{}}",
		 "{\"a\":{\"b\":{\"c\":{\"k\":[1]}}}}"},
		{"[{\"drop\":\"/a/b\"}]", "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":2}}"},
		{"[{\"drop\":\"/a/b\"}]", "{}", "{}"},
		{"[{\"drop\":\"/a~1b/~0\"}]", "{\"a/b\":{\"~\":1}}", "{\"a/b\":{}}"},
		{"[{\"rename\":{\"path\":\"/a\",\"to\":\"b\"}},{\"rename\":{\"path\":\"/b\",\"to\":"
		 "\"a\"}}]",
		 "{\"a\":[1,{}]}", "{\"a\":[1,{}]}"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		char *out = NULL;
		if (run(mem, CASES[n].steps, CASES[n].data, &out) != OK)
			fail_msg("%s: %s", CASES[n].steps, status_message());
		assert_string_equal(out, CASES[n].want);
	}
}

static void a_path_through_what_is_no_object_is_an_error_with_its_step(void **state)
{
	SCOPE(mem);
	char *out = NULL;

	(void)state;
	assert_int_equal(run(mem, "[{\"drop\":\"/x\"},{\"drop\":\"/a/b\"}]", "{\"a\":[1]}", &out),
			 E_INVALID);
	assert_non_null(strstr(status_message(), "step 2"));
	assert_non_null(strstr(status_message(), "/a/b"));
	assert_int_equal(run(mem, "[{\"move\":{\"from\":\"/a\",\"to\":\"/b/c\"}}]",
			     "{\"a\":1,\"b\":\"text\"}", &out),
			 E_INVALID);
	assert_int_equal(run(mem, "[]", "[1]", &out), E_INVALID);
}

static void mistakes_are_found_when_it_is_compiled(void **state)
{
	static const struct {
		const char *steps, *says;
	} CASES[] = {
		{"{}", "array"},
		{"[5]", "step 1"},
		{"[{\"drop\":\"/a\"},{\"copy\":\"/a\"}]", "step 2"},
		{"[{\"drop\":\"/a\",\"rename\":{\"path\":\"/a\",\"to\":\"b\"}}]", "one of"},
		{"[{\"drop\":\"a\"}]", "JSON pointer"},
		{"[{\"drop\":\"/\"}]", "JSON pointer"},
		{"[{\"drop\":\"/a~2\"}]", "~0"},
		{"[{\"drop\":\"/a~\"}]", "~0"},
		{"[{\"rename\":{\"path\":\"/a\"}}]", "to"},
		{"[{\"rename\":{\"path\":\"/a\",\"to\":\"b\",\"x\":1}}]", "unknown member x"},
		{"[{\"move\":{\"from\":\"/a\"}}]", "JSON pointer"},
		{"[{\"default\":{\"path\":\"/a\"}}]", "value"},
		{"[{\"drop\":\"/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h\"}]", "16"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		struct adapter *a = NULL;
		assert_int_equal(adapter_compile(mem, parsed(mem, CASES[n].steps), &a), E_INVALID);
		if (strstr(status_message(), CASES[n].says) == NULL)
			fail_msg("%s: %s", CASES[n].steps, status_message());
	}
}

static void there_may_be_no_more_steps_than_the_limit(void **state)
{
	SCOPE(mem);
	struct adapter *a = NULL;
	json_t *steps = mem_own(mem, json_array());

	(void)state;
	for (int n = 0; n < ADAPTER_STEPS_MAX; n++)
		json_array_append_new(steps, json_pack("{s:s}", "drop", "/a"));
	assert_int_equal(adapter_compile(mem, steps, &a), OK);
	json_array_append_new(steps, json_pack("{s:s}", "drop", "/a"));
	assert_int_equal(adapter_compile(mem, steps, &a), E_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_action_does_what_it_says),
		cmocka_unit_test(a_path_through_what_is_no_object_is_an_error_with_its_step),
		cmocka_unit_test(mistakes_are_found_when_it_is_compiled),
		cmocka_unit_test(there_may_be_no_more_steps_than_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
