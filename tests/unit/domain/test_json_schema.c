/* What the official suite (tests/contract/test_json_schema_suite.py) does not look at: reports,
 * refusals, bounds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/json_schema.h"

static json_t *parsed(void *mem, const char *text)
{
	json_t *value = NULL;

	if (json_parse(mem, text, strlen(text), &value) != OK)
		fail_msg("%s: %s", text, status_message());
	return value;
}

static struct json_schema *compiled(void *mem, const char *text)
{
	struct json_schema *s = NULL;

	if (json_schema_compile(mem, parsed(mem, text), &s) != OK)
		fail_msg("%s: %s", text, status_message());
	return s;
}

static void a_violation_names_pointer_rule_and_reason(void **state)
{
	static const struct {
		const char *schema, *value, *pointer, *rule, *text;
	} CASES[] = {
		{"{\"required\":[\"a\"]}", "{}", "/a", "required", "/a is missing"},
		{"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":1}", "/a", "type",
		 "/a must be string, is number"},
		{"{\"type\":[\"object\",\"null\"]}", "[]", "", "type",
		 "must be null or object, is array"},
		{"{\"items\":{\"enum\":[1,2]}}", "[1,3]", "/1", "enum", "/1 must be one of [1,2]"},
		{"{\"properties\":{\"a/b\":{\"properties\":{\"~\":{\"minLength\":2}}}}}",
		 "{\"a/b\":{\"~\":\"x\"}}", "/a~1b/~0", "minLength",
		 "/a~1b/~0 must have at least 2 characters"},
		{"{\"additionalProperties\":false}", "{\"x\":1}", "/x", "additionalProperties",
		 "/x is not allowed"},
		{"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "1", "", "anyOf",
		 "fits none of the alternatives"},
		{"{\"maximum\":5}", "5.5", "", "maximum", "must be at most 5"},
		{"{\"pattern\":\"^a\"}", "\"b\"", "", "pattern", "must match ^a"},
		{"false", "1", "", "false", "is not allowed"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		struct json_verdict v;
		json_t *schema = json_loads(CASES[n].schema, JSON_DECODE_ANY, NULL);
		json_t *value = json_loads(CASES[n].value, JSON_DECODE_ANY, NULL);
		struct json_schema *s = NULL;
		assert_int_equal(json_schema_compile(mem, mem_own(mem, schema), &s), OK);
		assert_false(json_schema_accepts(mem, s, mem_own(mem, value), &v));
		assert_int_equal(v.count, 1);
		assert_string_equal(v.violations[0].pointer, CASES[n].pointer);
		assert_string_equal(v.violations[0].rule, CASES[n].rule);
		assert_string_equal(v.violations[0].text, CASES[n].text);
	}
}

static void the_first_violations_are_reported_and_no_more_than_the_limit(void **state)
{
	SCOPE(mem);
	struct json_verdict v;
	struct json_schema *s = compiled(mem, "{\"items\":{\"type\":\"string\"}}");

	(void)state;
	assert_false(json_schema_accepts(mem, s, parsed(mem, "[1,2,3,4,5,6,7,8,9,10]"), &v));
	assert_int_equal(v.count, JSON_VIOLATIONS_MAX);
	assert_string_equal(v.violations[7].pointer, "/7");
	assert_false(json_schema_accepts(mem, s, parsed(mem, "[1]"), NULL));
	assert_true(json_schema_accepts(mem, s, parsed(mem, "[\"x\"]"), &v));
	assert_int_equal(v.count, 0);
}

/* What is quoted goes into JSON: half a code point at its end would make none of it. */
static void what_is_quoted_is_cut_between_code_points(void **state)
{
	static const char *const POINTS[] = {"ä", "日", "🔥"};

	(void)state;
	for (size_t n = 0; n < 3 * 4; n++) {
		SCOPE(mem);
		struct json_verdict v;
		struct json_schema *s = NULL;
		char *name = str_dup(mem, "");
		for (size_t i = 0; i < 196 + n % 4; i++)
			str_add(&name, "x");
		str_add(&name, "%s>>>>>", POINTS[n / 4]);
		json_t *doc = json_pack("{s:{s:i}}", "additionalProperties", "minimum", 2);
		json_t *value = json_pack("{s:i}", name, 1);
		assert_int_equal(json_schema_compile(mem, mem_own(mem, doc), &s), OK);
		assert_false(json_schema_accepts(mem, s, mem_own(mem, value), &v));
		assert_non_null(mem_own(mem, json_string(v.violations[0].text)));
		assert_non_null(strstr(v.violations[0].text, "… must be at least 2"));

		doc = json_pack("{s:s}", "pattern", name + 100);
		assert_int_equal(json_schema_compile(mem, mem_own(mem, doc), &s), OK);
		value = mem_own(mem, json_string("y"));
		assert_false(json_schema_accepts(mem, s, value, &v));
		assert_non_null(mem_own(mem, json_string(v.violations[0].text)));
	}
}

static void what_would_be_ignored_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *schema, *says;
	} CASES[] = {
		{"{\"properties\":{\"a\":{\"type\":\"text\"}}}",
		 "properties: a: type: unknown type"},
		{"{\"unevaluatedProperties\":false}", "unevaluatedProperties: an unknown keyword"},
		{"{\"format\":\"email\"}", "only date-time and uri"},
		{"{\"$ref\":\"http://example.com/s\"}", "only references into this document"},
		{"{\"$ref\":\"#/definitions/a\"}", "leads nowhere"},
		{"{\"$ref\":\"#\"}", "refers to itself without end"},
		{"{\"definitions\":{\"a\":{\"allOf\":[{\"$ref\":\"#/definitions/a\"}]}}}",
		 "refers to itself without end"},
		{"{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\"}", "only draft-07"},
		{"{\"required\":[1]}", "required: must be an array of strings"},
		{"{\"minLength\":-1}", "minLength: must be a whole number"},
		{"{\"minLength\":1.5}", "minLength: must be a whole number"},
		{"{\"multipleOf\":0}", "multipleOf: must be above 0"},
		{"{\"anyOf\":[]}", "anyOf: must be an array of schemas"},
		{"{\"pattern\":\"(\"}", "pattern: "},
		{"{\"items\":[1]}", "a schema must be an object or a boolean"},
		{"{\"properties\":{\"a\":[\"b\"]}}", "properties: a: a schema must be"},
		{"{\"patternProperties\":{\"(\":[\"b\"]}}",
		 "patternProperties: (: a schema must be"},
		{"{\"type\":[]}", "type: must name a type"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		struct json_schema *s = NULL;
		assert_int_equal(json_schema_compile(mem, parsed(mem, CASES[n].schema), &s),
				 E_INVALID);
		if (strstr(status_message(), CASES[n].says) == NULL)
			fail_msg("%s: %s", CASES[n].schema, status_message());
	}
}

static void a_schema_that_refers_to_itself_further_down_is_fine(void **state)
{
	SCOPE(mem);
	struct json_schema *s = compiled(mem, "{\"properties\":{\"next\":{\"$ref\":\"#\"},\"v\":"
					      "{\"type\":\"number\"}},\"required\":[\"v\"]}");

	(void)state;
	assert_true(json_schema_accepts(mem, s, parsed(mem, "{\"v\":1,\"next\":{\"v\":2}}"), NULL));
	assert_false(json_schema_accepts(mem, s, parsed(mem, "{\"v\":1,\"next\":{}}"), NULL));
}

/* Each alone is small enough. */
static void all_patterns_together_are_bounded(void **state)
{
	SCOPE(mem);
	json_t *all = json_array();
	json_t *doc = mem_own(mem, json_pack("{s:o}", "allOf", all));
	struct json_schema *s = NULL;

	(void)state;
	for (int n = 0; n < 32; n++)
		json_array_append_new(all, json_pack("{s:s}", "pattern", "(ab){999}"));
	assert_int_equal(json_schema_compile(mem, doc, &s), OK);
	json_array_append_new(all, json_pack("{s:{s:{}}}", "patternProperties", "(ab){999}"));
	assert_int_equal(json_schema_compile(mem, doc, &s), E_INVALID);
	assert_non_null(strstr(status_message(), "all patterns together"));
}

/* Each references the next: what the document's own depth does not bound. */
static void chains_of_references_are_bounded(void **state)
{
	SCOPE(mem);
	json_t *definitions = json_object();
	struct json_schema *s = NULL;

	(void)state;
	for (int n = 0; n < 1000; n++)
		json_object_set_new(definitions, str_fmt(mem, "d%d", n),
				    json_pack("{s:[{s:s}]}", "allOf", "$ref",
					      str_fmt(mem, "#/definitions/d%d", n + 1)));
	json_object_set_new(definitions, "d1000", json_object());
	json_t *doc = mem_own(mem, json_pack("{s:o, s:s}", "definitions", definitions, "$ref",
					     "#/definitions/d0"));
	assert_int_equal(json_schema_compile(mem, doc, &s), E_INVALID);
	assert_non_null(strstr(status_message(), "nested deeper"));
}

/* A schema and a value that together would take very long: they end early, as a failure. */
static void work_is_bounded_and_too_much_of_it_is_no_success(void **state)
{
	SCOPE(mem);
	struct json_verdict v;
	json_t *array = mem_own(mem, json_array());
	struct json_schema *unique = compiled(mem, "{\"uniqueItems\":true}");
	struct json_schema *never =
		compiled(mem, "{\"not\":{\"uniqueItems\":true,\"items\":{\"type\":\"string\"}}}");
	int64_t began = clock_monotonic();

	(void)state;
	for (int n = 0; n < 20000; n++)
		json_array_append_new(array, json_integer(n));
	assert_false(json_schema_accepts(mem, unique, array, &v));
	assert_string_equal(v.violations[0].rule, "work");
	assert_false(json_schema_accepts(mem, never, array, &v));
	assert_int_equal(v.count, 1);
	assert_true(clock_monotonic() - began < 1500);
}

/* A thousand names, patterns or dependencies for each of two thousand small items. */
static void what_finds_nothing_is_work_too(void **state)
{
	SCOPE(mem);
	json_t *names = mem_own(mem, json_array());
	json_t *dependencies = mem_own(mem, json_object());
	json_t *objects = mem_own(mem, json_array());
	json_t *texts = mem_own(mem, json_array());

	(void)state;
	for (int n = 0; n < 1000; n++) {
		json_array_append_new(names, json_string(str_fmt(mem, "n%d", n)));
		json_object_set_new(dependencies, str_fmt(mem, "n%d", n), json_array());
	}
	for (int n = 0; n < 2000; n++) {
		json_array_append_new(objects, json_object());
		json_array_append_new(texts, json_string(""));
	}
	const struct {
		json_t *schema;
		const json_t *value;
	} CASES[] = {
		{json_pack("{s:{s:[{s:O}, b]}}", "items", "anyOf", "required", names, 1), objects},
		{json_pack("{s:{s:O}}", "items", "dependencies", dependencies), objects},
		{json_pack("{s:{s:s}}", "items", "pattern", "(ab){0,600}"), texts},
	};
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		struct json_schema *s = NULL;
		struct json_verdict v;
		assert_int_equal(json_schema_compile(mem, mem_own(mem, CASES[n].schema), &s), OK);
		if (json_schema_accepts(mem, s, CASES[n].value, &v))
			fail_msg("case %zu costs nothing", n);
		assert_string_equal(v.violations[0].rule, "work");
	}
}

/* Texts for reports are made only where somebody reads them. */
static void a_large_constant_costs_nothing_where_nobody_listens(void **state)
{
	SCOPE(mem);
	json_t *array = mem_own(mem, json_array());
	char *large = NEW_ARRAY(mem, char, 200001);
	struct json_schema *s = NULL;
	struct json_verdict v;

	(void)state;
	memset(large, 'x', 200000);
	json_t *doc = mem_own(mem, json_pack("{s:{s:{s:s}}}", "not", "items", "const", large));
	json_t *many = mem_own(mem, json_pack("{s:{s:s}}", "items", "const", large));
	for (int n = 0; n < 50000; n++)
		json_array_append_new(array, json_integer(n));
	int64_t began = clock_monotonic();
	assert_int_equal(json_schema_compile(mem, doc, &s), OK);
	assert_true(json_schema_accepts(mem, s, array, &v));
	assert_int_equal(json_schema_compile(mem, many, &s), OK);
	assert_false(json_schema_accepts(mem, s, array, &v));
	assert_true(clock_monotonic() - began < 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_violation_names_pointer_rule_and_reason),
		cmocka_unit_test(the_first_violations_are_reported_and_no_more_than_the_limit),
		cmocka_unit_test(what_is_quoted_is_cut_between_code_points),
		cmocka_unit_test(what_would_be_ignored_is_refused_with_its_place),
		cmocka_unit_test(a_schema_that_refers_to_itself_further_down_is_fine),
		cmocka_unit_test(all_patterns_together_are_bounded),
		cmocka_unit_test(chains_of_references_are_bounded),
		cmocka_unit_test(work_is_bounded_and_too_much_of_it_is_no_success),
		cmocka_unit_test(what_finds_nothing_is_work_too),
		cmocka_unit_test(a_large_constant_costs_nothing_where_nobody_listens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
