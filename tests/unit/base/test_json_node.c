#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/json_node.h"
#include "base/json_out.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

static const struct node *nodes(void *mem, const char *text)
{
	const struct node *n = NULL;

	if (node_parse(mem, text, strlen(text), &n) != OK)
		fail_msg("%s: %s", text, status_message());
	return n;
}

static void members_are_found_and_walked(void **state)
{
	SCOPE(mem);
	const struct node *doc = nodes(
		mem, "{\"a\":{\"x\":[1,[2,3],{}]},\"b\":\"t\",\"c\":-7,\"d\":1.5,\"e\":null}");
	const char *const NAMES[] = {"a", "b", "c", "d", "e"};
	size_t n = 0;

	(void)state;
	NODE_MEMBERS(key, doc)
	assert_string_equal(key->text, NAMES[n++]);
	assert_int_equal(n, 5);
	assert_string_equal(node_str(doc, "b"), "t");
	assert_null(node_str(doc, "c"));
	assert_int_equal(node_int(doc, "c", 0), -7);
	assert_int_equal(node_int(doc, "d", 9), 9);
	assert_int_equal(node_get(doc, "e")->kind, NODE_NULL);
	assert_null(node_get(doc, "x"));
	assert_null(node_get(NULL, "x"));
	assert_null(node_get(node_get(doc, "b"), "x"));
	n = 0;
	NODE_EACH(element, node_get(node_get(doc, "a"), "x"))
	n += element->kind == NODE_ARRAY ? 10 : 1;
	assert_int_equal(n, 12);
}

static void it_reads_what_jansson_reads(void **state)
{
	static const char *const TEXTS[] = {
		"{}",
		"[]",
		"\"\"",
		" {\"k\" : [ true , false , null ] } \n",
		"[0,-0,1e3,1E-2,0.5,-12.25e+1,1e-400,9223372036854775807]",
		"\"\\u0041\\ud83d\\ude00\\n\\t\\b\\f\\r\\\\\\/\\\"\"",
		"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
		"{\"\":{\"\":{\"\":1}}}",
		("{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"j\":"
		 "10,"
		 "\"k\":11,\"l\":12,\"m\":13,\"n\":14,\"o\":15,\"p\":16,\"q\":17,\"r\":18}"),
	};

	(void)state;
	for (size_t n = 0; n < sizeof(TEXTS) / sizeof(TEXTS[0]); n++) {
		SCOPE(mem);
		json_t *want = mem_own(mem, json_loads(TEXTS[n], JSON_DECODE_ANY, NULL));
		const struct node *doc = nodes(mem, TEXTS[n]);
		assert_true(json_equal(node_json(mem, doc), want));
		assert_true(json_equal(node_json(mem, node_of(mem, want)), want));
	}
}

static void every_cut_of_a_text_is_refused(void **state)
{
	static const char TEXT[] =
		"{\"a\":[1.5e3,\"x\\u00e9\\ud83d\\ude00\xc3\xa9\",true,null],\"b\":{\"c\":{}}}";

	(void)state;
	for (size_t n = 0; n < strlen(TEXT); n++) {
		SCOPE(mem);
		const struct node *doc = NULL;
		/* of exactly n bytes: a read beyond them is seen by the sanitizer */
		char *cut = mem_check(talloc_memdup(mem, TEXT, n + (n == 0)));
		assert_int_equal(node_parse(mem, cut, n, &doc), E_INVALID);
	}
}

static void a_key_that_repeats_is_refused_among_many(void **state)
{
	SCOPE(mem);
	char *text = str_dup(mem, "{\"k0\":0");
	const struct node *doc = NULL;

	(void)state;
	for (int n = 1; n < 40; n++)
		str_add(&text, ",\"k%d\":%d", n, n);
	char *twice = str_fmt(mem, "%s,\"k7\":1}", text);
	str_add(&text, "}");
	assert_int_equal(nodes(mem, text)->size, 40);
	assert_int_equal(node_parse(mem, twice, strlen(twice), &doc), E_INVALID);
	assert_non_null(strstr(status_message(), "duplicate"));
}

static void what_is_written_reads_back(void **state)
{
	static const char HARD[] = "a\"b\\c\n\t\x01\x1f/\x7f\xc3\xa9";
	SCOPE(mem);
	struct json_out o;
	json_t *doc = NULL;

	(void)state;
	json_out_begin(&o, mem, 1); /* grows */
	json_out_raw(&o, "{");
	json_out_member(&o, "first", HARD);
	json_out_member(&o, "second", "");
	json_out_raw(&o, ",\"list\":[");
	json_out_string(&o, "x");
	json_out_raw(&o, "]}");
	assert_int_equal(strlen(o.text), o.used);
	assert_int_equal(json_parse(mem, o.text, o.used, &doc), OK);
	assert_string_equal(json_str(doc, "first"), HARD);
	assert_string_equal(json_str(doc, "second"), "");
	json_out_begin(&o, mem, 0);
	json_out_string(&o, HARD);
	assert_string_equal(o.text, json_text(mem, mem_own(mem, json_string(HARD))));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_found_and_walked),
		cmocka_unit_test(it_reads_what_jansson_reads),
		cmocka_unit_test(every_cut_of_a_text_is_refused),
		cmocka_unit_test(a_key_that_repeats_is_refused_among_many),
		cmocka_unit_test(what_is_written_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
