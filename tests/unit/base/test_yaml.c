#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A literal with its length, so that it may hold NULs. */
#define BYTES(s) s, sizeof(s) - 1

static void documents_become_json(void **state)
{
	static const struct {
		const char *yaml, *json;
	} CASES[] = {
		{"", "{}"},
		{"# nothing\n", "{}"},
		{"---\n", "{}"},
		{"---\n...\n", "{}"},
		{"%YAML 1.2\n---\na: 1\n", "{\"a\":1}"},
		{"a: 1\nb: x\n", "{\"a\":1,\"b\":\"x\"}"},
		{"- 1\n- - 2\n  - 3\n", "[1,[2,3]]"},
		{"a: {b: [1, {c: d}]}", "{\"a\":{\"b\":[1,{\"c\":\"d\"}]}}"},
		{"{\"a\": [true, false, null]}", "{\"a\":[true,false,null]}"},
		{"a:\nb: \n", "{\"a\":null,\"b\":null}"},
		{"a:\n- 1\n", "{\"a\":[1]}"},
		{"a: []\nb: {}\n", "{\"a\":[],\"b\":{}}"},
		{"a: |\n  one\n  two\n", "{\"a\":\"one\\ntwo\\n\"}"},
		{"a: >-\n  one\n  two\n", "{\"a\":\"one two\"}"},
		{"a: one\n  two\n", "{\"a\":\"one two\"}"},
		{"a: 'it''s'\nb: \"\\t\\u00e9\\x41\"\n", "{\"a\":\"it's\",\"b\":\"\\té"
							 "A\"}"},
		{"a: x # remark\n", "{\"a\":\"x\"}"},
		{"a: http://host:80/#x\n", "{\"a\":\"http://host:80/#x\"}"},
		{"? a\n: 1\n", "{\"a\":1}"},
		{"? |\n  long key\n: 1\n", "{\"long key\\n\":1}"},
		{"404: x\ntrue: y\nnull: z\n", "{\"404\":\"x\",\"null\":\"z\",\"true\":\"y\"}"},
		{"\"\": 1\n", "{\"\":1}"},
		{"<<: 1\n", "{\"<<\":1}"},
		{"a: 1\r\nb:\r\n  - 2\r\n", "{\"a\":1,\"b\":[2]}"},
		{"\xef\xbb\xbfgröße: 日本 🔥\n", "{\"größe\":\"日本 🔥\"}"},
		{"just text", "\"just text\""},
		{"7", "7"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		SCOPE(tmp);
		json_t *out = NULL;
		print_message("# %s\n", CASES[i].json);
		assert_int_equal(
			yaml_parse(tmp, "f", CASES[i].yaml, strlen(CASES[i].yaml), &out, NULL), OK);
		assert_string_equal(json_text(tmp, out), CASES[i].json);
	}
}

static void plain_scalars_follow_the_grammar_of_json(void **state)
{
	static const struct {
		const char *yaml, *json;
	} CASES[] = {
		{"0", "0"},
		{"-0", "0"},
		{"10", "10"},
		{"-7", "-7"},
		{"1.5", "1.5"},
		{"-0.25", "-0.25"},
		{"25e-2", "0.25"},
		{"1E+2", "100.0"},
		{"9223372036854775807", "9223372036854775807"},
		{"-9223372036854775808", "-9223372036854775808"},
		{"true", "true"},
		{"false", "false"},
		{"null", "null"},
		{"True", "\"True\""},
		{"TRUE", "\"TRUE\""},
		{"Null", "\"Null\""},
		{"no", "\"no\""},
		{"yes", "\"yes\""},
		{"on", "\"on\""},
		{"~", "\"~\""},
		{"010", "\"010\""},
		{"00", "\"00\""},
		{"-01", "\"-01\""},
		{"+1", "\"+1\""},
		{"0x1f", "\"0x1f\""},
		{"0o17", "\"0o17\""},
		{"1_000", "\"1_000\""},
		{"1,5", "\"1,5\""},
		{"5.", "\"5.\""},
		{".5", "\".5\""},
		{"1e", "\"1e\""},
		{"1e+", "\"1e+\""},
		{"1.e3", "\"1.e3\""},
		{"--1", "\"--1\""},
		{".inf", "\".inf\""},
		{".nan", "\".nan\""},
		{"NaN", "\"NaN\""},
		{"1 2", "\"1 2\""},
		{"12:30:45", "\"12:30:45\""},
		{"2026-01-15", "\"2026-01-15\""},
		{"1.2.3", "\"1.2.3\""},
		{"30s", "\"30s\""},
		{"99999999999999999999s", "\"99999999999999999999s\""},
		{"'1'", "\"1\""},
		{"\"true\"", "\"true\""},
		{"'null'", "\"null\""},
		{"''", "\"\""},
		{"|\n  1", "\"1\""},
		{">-\n  true", "\"true\""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		SCOPE(tmp);
		json_t *out = NULL;
		const char *text = str_fmt(tmp, "a: %s", CASES[i].yaml);
		print_message("# %s\n", CASES[i].json);
		assert_int_equal(yaml_parse(tmp, "f", text, strlen(text), &out, NULL), OK);
		assert_string_equal(json_text(tmp, json_object_get(out, "a")), CASES[i].json);
	}
}

static void what_is_not_supported_is_refused_with_its_place(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		const char *says;
	} CASES[] = {
		{BYTES("a: 1\nb: 2\na: 3\n"), "f.yaml:3:1: the key 'a' appears twice"},
		{BYTES("x:\n  a: 1\n  'a': 2\n"), "f.yaml:3:3: the key 'a' appears twice"},
		{BYTES("{a: 1, \"\\x61\": 2}"), "f.yaml:1:8: the key 'a' appears twice"},
		{BYTES("a:\n  - &x 1\n"), "f.yaml:2:5: anchors are not supported"},
		{BYTES("a: &x [1]\n"), "f.yaml:1:4: anchors are not supported"},
		{BYTES("a: &x {b: 1}\n"), "f.yaml:1:4: anchors are not supported"},
		{BYTES("&x a: 1\n"), "f.yaml:1:1: anchors are not supported"},
		{BYTES("a: &x\n"), "f.yaml:1:4: anchors are not supported"},
		{BYTES("--- &x\n"), "f.yaml:1:5: anchors are not supported"},
		{BYTES("a: *x\n"), "f.yaml:1:4: aliases are not supported"},
		{BYTES("*x : 1\n"), "f.yaml:1:1: aliases are not supported"},
		{BYTES("<<: *x\n"), "f.yaml:1:5: aliases are not supported"},
		{BYTES("a: !!str 5\n"), "f.yaml:1:4: tags are not supported"},
		{BYTES("a: !own {}\n"), "f.yaml:1:4: tags are not supported"},
		{BYTES("a: !<x:y> []\n"), "f.yaml:1:4: tags are not supported"},
		{BYTES("a: ! 5\n"), "f.yaml:1:4: tags are not supported"},
		{BYTES("größe: ! '5'\n"), "f.yaml:1:8: tags are not supported"},
		{BYTES("a: 日本\r\nb: ! 5\n"), "f.yaml:2:4: tags are not supported"},
		{BYTES("a: ! [5]\n"), "f.yaml:1:4: tags are not supported"},
		{BYTES("a: !\n"), "f.yaml:1:4: tags are not supported"},
		{BYTES("!!str a: 1\n"), "f.yaml:1:1: tags are not supported"},
		{BYTES("--- !!map\n"), "f.yaml:1:5: tags are not supported"},
		{BYTES("a: 1\n---\nb: 2\n"), "f.yaml:2:1: a second document"},
		{BYTES("--- {}\n--- {}\n"), "f.yaml:2:1: a second document"},
		{BYTES("[a]: 1\n"), "f.yaml:1:1: a key must be text"},
		{BYTES("{a: 1}: 1\n"), "f.yaml:1:1: a key must be text"},
		{BYTES("?\n: 1\n"), "f.yaml:1:2: a key is missing before ':'"},
		{BYTES("a: 99999999999999999999\n"),
		 "f.yaml:1:4: the number 99999999999999999999 is too large; quotes make it text"},
		{BYTES("a: 1e999\n"), "f.yaml:1:4: the number 1e999 is too large"},
		{BYTES("a: \"x\\0y\"\n"), "f.yaml:1:4: a NUL character in a text"},
		{BYTES("\"x\\0y\": 1\n"), "f.yaml:1:1: a NUL character in a text"},
		{BYTES("a: x\0y\n"), "f.yaml:1:5: control characters are not allowed"},
		{BYTES("a: 1\nb: \xff\n"), "f.yaml:2:4: invalid leading UTF-8 octet"},
		{BYTES("é: \xc3(\n"), "f.yaml:1:5: invalid trailing UTF-8 octet"},
		{BYTES("\xff\xfe"
		       "a\0:\0 \0"),
		 "f.yaml:1:1: invalid leading UTF-8 octet"},
		{BYTES("a: \"\\ud800\"\n"), "f.yaml:1:"},
		{BYTES("a: [1, 2\n"), "f.yaml:2:1: did not find expected ',' or ']'"},
		{BYTES("a: 'x\n"), "f.yaml:2:1: found unexpected end of stream"},
		{BYTES("a:\n\tb: 1\n"), "f.yaml:2:1: found character that cannot start any token"},
		{BYTES("a: 1\n b: 2\n"), "f.yaml:2:3: mapping values are not allowed"},
		{BYTES("a: b: c\n"), "f.yaml:1:5: mapping values are not allowed"},
		{BYTES("a: @x\n"), "f.yaml:1:4: found character that cannot start any token"},
		{BYTES("%YAML 3.0\n---\na: 1\n"), "f.yaml:1:1: found incompatible YAML document"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		SCOPE(tmp);
		json_t *out = NULL;
		json_t *lines = NULL;
		print_message("# row %zu: %s\n", i, CASES[i].says);
		assert_int_equal(yaml_parse(tmp, "f.yaml", CASES[i].text, CASES[i].n, &out, &lines),
				 E_INVALID);
		if (!str_starts(status_message(), CASES[i].says))
			assert_string_equal(status_message(), CASES[i].says);
		assert_null(out);
		assert_null(lines);
	}
}

static enum status parse_nested(void *mem, const char *open, const char *shut, int depth)
{
	json_t *out = NULL;
	char *text = str_dup(mem, "");

	for (int i = 0; i < depth; i++)
		str_add(&text, "%s", open);
	for (int i = 0; i < depth; i++)
		str_add(&text, "%s", shut);
	return yaml_parse(mem, "f", text, strlen(text), &out, NULL);
}

static void nesting_has_a_limit(void **state)
{
	SCOPE(tmp);

	(void)state;
	assert_int_equal(parse_nested(tmp, "[", "]", LIMIT_JSON_DEPTH), OK);
	assert_int_equal(parse_nested(tmp, "[", "]", LIMIT_JSON_DEPTH + 1), E_INVALID);
	assert_string_equal(status_message(), "f:1:33: nested deeper than 32 levels");
	assert_int_equal(parse_nested(tmp, "{a: ", "}", LIMIT_JSON_DEPTH), OK);
	assert_int_equal(parse_nested(tmp, "{a: ", "}", LIMIT_JSON_DEPTH + 1), E_INVALID);
	assert_int_equal(parse_nested(tmp, "- ", "", LIMIT_JSON_DEPTH), OK);
	assert_int_equal(parse_nested(tmp, "- ", "", LIMIT_JSON_DEPTH + 1), E_INVALID);
	assert_int_equal(parse_nested(tmp, "[", "]", 3000), E_INVALID);
}

static void wide_is_not_deep(void **state)
{
	SCOPE(tmp);
	json_t *out = NULL;
	char *text = str_dup(tmp, "");

	(void)state;
	for (int i = 0; i < 100; i++)
		str_add(&text, "- [{a: []}]\n");
	assert_int_equal(yaml_parse(tmp, "f", text, strlen(text), &out, NULL), OK);
	assert_int_equal(json_array_size(out), 100);
}

static void every_key_has_its_line(void **state)
{
	static const char TEXT[] = "# head\n"
				   "a:\n"
				   "  b: 1\n"
				   "  list:\n"
				   "    - x\n"
				   "\n"
				   "    - d: 1\n"
				   "      c: |\n"
				   "        text\n"
				   "        text\n"
				   "    -\n"
				   "      - 5\n"
				   "flow: {x: [1,\n"
				   "  2]}\n"
				   "'dotted.key': {e: }\n";
	static const struct {
		const char *path;
		int line;
	} CASES[] = {
		{"a", 2},	   {"a.b", 3},		 {"a.list", 4},	       {"a.list[0]", 5},
		{"a.list[1]", 7},  {"a.list[1].d", 7},	 {"a.list[1].c", 8},   {"a.list[2]", 12},
		{"flow", 13},	   {"a.list[2][0]", 12}, {"flow.x", 13},       {"flow.x[0]", 13},
		{"flow.x[1]", 14}, {"dotted.key", 15},	 {"dotted.key.e", 15},
	};
	SCOPE(tmp);
	json_t *out = NULL;
	json_t *lines = NULL;

	(void)state;
	assert_int_equal(yaml_parse(tmp, "f", BYTES(TEXT), &out, &lines), OK);
	for (size_t i = 0; i < COUNT(CASES); i++) {
		print_message("# %s\n", CASES[i].path);
		assert_int_equal(json_int(lines, CASES[i].path, 0), CASES[i].line);
	}
	assert_int_equal(json_object_size(lines), COUNT(CASES));
	assert_int_equal(yaml_parse(tmp, "f", BYTES("- a\n- b: 1\n"), &out, &lines), OK);
	assert_string_equal(json_text(tmp, lines), "{\"[0]\":1,\"[1]\":2,\"[1].b\":2}");
	assert_int_equal(yaml_parse(tmp, "f", BYTES(""), &out, &lines), OK);
	assert_string_equal(json_text(tmp, lines), "{}");
}

static void a_key_has_a_longest_length(void **state)
{
	SCOPE(tmp);
	json_t *out = NULL;
	char *key = NEW_ARRAY(tmp, char, LIMIT_LABEL_VALUE_BYTES + 2);

	(void)state;
	memset(key, 'k', LIMIT_LABEL_VALUE_BYTES);
	const char *good = str_fmt(tmp, "? %s\n: 1\n", key);
	assert_int_equal(yaml_parse(tmp, "f", good, strlen(good), &out, NULL), OK);
	key[LIMIT_LABEL_VALUE_BYTES] = 'k';
	const char *bad = str_fmt(tmp, "? %s\n: 1\n", key);
	assert_int_equal(yaml_parse(tmp, "f", bad, strlen(bad), &out, NULL), E_INVALID);
	assert_string_equal(status_message(), "f:1:3: a key is longer than 4096 bytes");
}

static void paths_cannot_outgrow_memory(void **state)
{
	SCOPE(tmp);
	json_t *out = NULL;
	json_t *lines = NULL;
	char *key = NEW_ARRAY(tmp, char, 4001);
	char *text = str_dup(tmp, "");

	(void)state;
	memset(key, 'k', 4000);
	for (int i = 0; i < 16; i++)
		str_add(&text, "{? %s : ", key);
	str_add(&text, "[");
	for (int i = 0; i < 1000; i++)
		str_add(&text, "1,");
	str_add(&text, "]");
	for (int i = 0; i < 16; i++)
		str_add(&text, "}");
	assert_int_equal(yaml_parse(tmp, "f", text, strlen(text), &out, NULL), OK);
	assert_int_equal(yaml_parse(tmp, "f", text, strlen(text), &out, &lines), E_INVALID);
	assert_non_null(strstr(status_message(), "too many keys for one document"));
}

static void only_the_given_bytes_are_read(void **state)
{
	SCOPE(tmp);
	json_t *out = NULL;

	(void)state;
	const char *text = talloc_memdup(tmp, "a: 12", 5);
	assert_int_equal(yaml_parse(tmp, "f", text, 5, &out, NULL), OK);
	assert_int_equal(json_int(out, "a", 0), 12);
	assert_int_equal(yaml_parse(tmp, "f", text, 4, &out, NULL), OK);
	assert_int_equal(json_int(out, "a", 0), 1);
}

static void several_documents_are_an_array(void **state)
{
	static const struct {
		const char *yaml, *json;
	} CASES[] = {
		{"", "[]"},
		{"---\n---\n", "[]"},
		{"a: 1\n", "[{\"a\":1}]"},
		{"a: 1\n---\n---\nb: 2\n...\n---\n- 3\n", "[{\"a\":1},{\"b\":2},[3]]"},
	};
	SCOPE(tmp);
	json_t *out = NULL;
	json_t *lines = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		const char *yaml = CASES[i].yaml;
		assert_int_equal(yaml_parse_all(tmp, "f", yaml, strlen(yaml), &out, &lines), OK);
		assert_string_equal(json_text(tmp, out), CASES[i].json);
		assert_int_equal(json_array_size(lines), json_array_size(out));
		assert_int_equal(yaml_parse_all(tmp, "f", yaml, strlen(yaml), &out, NULL), OK);
		assert_string_equal(json_text(tmp, out), CASES[i].json);
	}
	assert_string_equal(json_text(tmp, lines), "[{\"a\":1},{\"b\":4},{\"[0]\":7}]");
	assert_int_equal(yaml_parse_all(tmp, "f", BYTES("a: 1\n---\nb: [\n"), &out, &lines),
			 E_INVALID);
	assert_true(str_starts(status_message(), "f:"));
}

static void what_is_written_reads_back(void **state)
{
	static const char *const VALUES[] = {
		"{}",
		"[]",
		"7",
		"\"x\"",
		"{\"a\":[1,[2,[]],{\"b\":{\"c d\":null}}],\"e\":{}}",
		"[[[1]],[{\"a\":[{\"b\":true}]}]]",
		"{\"no\":\"yes\",\"x\":\"# - : {\\\"\\n\"}",
		"[\"\\u007f\\u0080\\u0085\\u2028\\u2029\\ufeff\\ufffe\\u00a0\\u00e9\\u20ac🔥\"]",
		"[0.1,1e300,-2.5e-7,9007199254740993]",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(VALUES); i++) {
		SCOPE(tmp);
		json_t *value = mem_own(tmp, json_loads(VALUES[i], JSON_DECODE_ANY, NULL));
		char *text = yaml_text(tmp, value);
		json_t *back = NULL;
		print_message("# %s\n", VALUES[i]);
		assert_int_equal(yaml_parse(tmp, "f", text, strlen(text), &back, NULL), OK);
		assert_true(json_equal(value, back));
	}
	SCOPE(tmp);
	json_t *value = mem_own(tmp, json_loads("{\"a\":[{\"b\":1,\"c\":[2]},3]}", 0, NULL));
	assert_string_equal(yaml_text(tmp, value), "a:\n  - b: 1\n    c:\n      - 2\n  - 3\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_documents_are_an_array),
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(documents_become_json),
		cmocka_unit_test(plain_scalars_follow_the_grammar_of_json),
		cmocka_unit_test(what_is_not_supported_is_refused_with_its_place),
		cmocka_unit_test(nesting_has_a_limit),
		cmocka_unit_test(wide_is_not_deep),
		cmocka_unit_test(every_key_has_its_line),
		cmocka_unit_test(a_key_has_a_longest_length),
		cmocka_unit_test(paths_cannot_outgrow_memory),
		cmocka_unit_test(only_the_given_bytes_are_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
