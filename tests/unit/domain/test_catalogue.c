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
#include "domain/catalogue.h"

static enum status parse(void *mem, const char *text, struct catalogue **out)
{
	return catalogue_parse(mem, "c.yaml", text, strlen(text), out);
}

static void what_is_left_out_is_careful(void **state)
{
	SCOPE(mem);
	struct catalogue *c = NULL;

	(void)state;
	assert_int_equal(parse(mem, "functions:\n  - name: b\n  - name: a\n", &c), OK);
	const struct function *f = catalogue_find(c, "a");
	assert_int_equal(c->count, 2);
	assert_string_equal(c->functions[0].name, "a");
	assert_int_equal(f->risk, RISK_MEDIUM);
	assert_int_equal(f->effect, EFFECT_IRREVERSIBLE);
	assert_false(f->idempotent);
	assert_string_equal(f->namespace, "ai");
	assert_int_equal(f->timeout_ms, 60000);
	assert_null(catalogue_find(c, "z"));
	assert_null(catalogue_find(c, NULL));
}

static void mistakes_are_named_with_file_line_and_place(void **state)
{
	static const struct {
		const char *text, *says;
	} CASES[] = {
		{"5", "c.yaml:1"},
		{"functions: 5", "must be a list"},
		{"functions:\n  - name: Bad\n", "c.yaml:2: functions[0].name"},
		{"functions:\n  - name: a\n    risky: low\n",
		 "c.yaml:3: functions[0].risky: unknown key"},
		{"functions:\n  - name: a\n    risk: huge\n", "functions[0].risk"},
		{"functions:\n  - name: a\n    timeout: soon\n", "functions[0].timeout"},
		{"functions:\n  - name: a\n    timeout: 10m\n", "functions[0].timeout"},
		{"functions:\n  - name: a\n  - name: a\n", "stands twice"},
		{"functions:\n  - name: a\n    parameters:\n      p: {type: date}\n",
		 "functions[0].parameters.p.type"},
		{"functions:\n  - name: a\n    parameters:\n      p: {type: string, choice: [x], "
		 "default: y}\n",
		 "default"},
		{"functions:\n  - name: a\n    idempotent: yes\n", "true or false"},
		{"functions:\n  - name: a\n    parameters:\n      n: {type: integer, maximum: 5, "
		 "default: 9}\n",
		 "functions[0].parameters.n.default"},
		{"functions:\n  - name: a\n    parameters:\n      t: {choice: [x], rule: the kind "
		 "of "
		 "label}\n",
		 "functions[0].parameters.t.rule"},
		{"functions:\n  - name: a\n    parameters:\n      n: {type: string}\n"
		 "      m: {type: string, aliases: [n]}\n",
		 "alias"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		struct catalogue *c = NULL;
		assert_int_equal(parse(mem, CASES[n].text, &c), E_INVALID);
		if (strstr(status_message(), CASES[n].says) == NULL)
			fail_msg("'%s' does not say '%s'", status_message(), CASES[n].says);
	}
}

static void a_default_that_describes_a_value_is_left_to_the_function(void **state)
{
	SCOPE(mem);
	struct catalogue *c = NULL;
	json_t *out = NULL;

	(void)state;
	assert_int_equal(parse(mem,
			       "functions:\n  - name: a\n    parameters:\n      n: {type: integer, "
			       "required: true, default: current plus one}\n"
			       "      f: {type: number, default: 1.5}\n",
			       &c),
			 OK);
	assert_int_equal(function_parameters(mem, &c->functions[0], NULL,
					     mem_own(mem, json_object()), NULL, &out),
			 OK);
	assert_string_equal(json_text(mem, out), "{\"f\":1.5}");
}

/* The form in which catalogues come from elsewhere: platform, rule and undo as text, lists in one
 * line, no field beyond them. */
static void a_catalogue_of_the_plain_form_is_read(void **state)
{
	static const char TEXT[] =
		"functions:\n"
		"  - name: workload-restart\n    platform: true\n    description: Start it afresh, "
		"once.\n"
		"    risk: low\n    effect: reversible\n    undo: workload-restart once more\n"
		"    parameters:\n"
		"      name: {type: string, required: true, from: [pod, statefulset, name]}\n"
		"      type: {type: string, required: true, choice: [pod, statefulset], rule: the "
		"kind of "
		"the label that gave the name}\n";
	SCOPE(mem);
	struct catalogue *c = NULL;
	json_t *out = NULL;

	(void)state;
	if (parse(mem, TEXT, &c) != OK)
		fail_msg("%s", status_message());
	const struct function *f = &c->functions[0];
	assert_string_equal(f->undo, "workload-restart once more");
	assert_string_equal(function_parameter(f, "type")->kind_rule, "name");
	json_t *labels = mem_own(mem, json_pack("{s:s}", "statefulset", "db"));
	assert_int_equal(function_parameters(mem, f, NULL, labels, NULL, &out), OK);
	assert_string_equal(json_text(mem, out), "{\"name\":\"db\",\"type\":\"statefulset\"}");
	/* "name" is no kind, and nothing else says which */
	labels = mem_own(mem, json_pack("{s:s}", "name", "db"));
	assert_int_equal(function_parameters(mem, f, NULL, labels, NULL, &out), E_INVALID);
	assert_non_null(strstr(status_message(), "parameter type is missing"));
}

static void a_name_is_a_dns_subdomain(void **state)
{
	static const char *const BAD[] = {"a..b", "a.-b", "a-.b", ".a",	 "a.", "a-",	  "A",
					  "a_b",  "a/b",  "a b",  "a\n", "-",  "\xc3\xa9"};
	SCOPE(mem);
	struct catalogue *c = NULL;
	json_t *out = NULL;

	(void)state;
	assert_int_equal(
		parse(mem,
		      "functions:\n  - name: a\n    parameters:\n      node: {format: name, "
		      "from: [node]}\n",
		      &c),
		OK);
	json_t *labels = mem_own(mem, json_pack("{s:s}", "node", "n-1.rack2.lab"));
	assert_int_equal(function_parameters(mem, c->functions, NULL, labels, NULL, &out), OK);
	for (size_t n = 0; n < sizeof(BAD) / sizeof(BAD[0]); n++) {
		labels = mem_own(mem, json_pack("{s:s}", "node", BAD[n]));
		if (function_parameters(mem, c->functions, NULL, labels, NULL, &out) == OK)
			fail_msg("'%s' passed", BAD[n]);
	}
}

static void the_shipped_catalogue_has_the_platforms_functions(void **state)
{
	static const char *const NAMES[] = {"flux-reconcile-kustomization",
					    "flux-reconcile-gitrepository",
					    "flux-reconcile-helmrelease",
					    "pod-restart",
					    "pod-check-status",
					    "scale-deployment",
					    "check-pvc-status"};
	SCOPE(mem);
	char *text = NULL;
	size_t n = 0;
	struct catalogue *c = NULL;

	(void)state;
	assert_int_equal(
		file_read(mem, SOURCE_ROOT "/etc/catalogue.yaml", LIMIT_FILE_BYTES, &text, &n), OK);
	if (catalogue_parse(mem, "etc/catalogue.yaml", text, n, &c) != OK)
		fail_msg("%s", status_message());
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
		assert_non_null(catalogue_find(c, NAMES[i]));
	assert_non_null(function_parameter(catalogue_find(c, "check-pvc-status"), "pvc_name"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_out_is_careful),
		cmocka_unit_test(mistakes_are_named_with_file_line_and_place),
		cmocka_unit_test(a_default_that_describes_a_value_is_left_to_the_function),
		cmocka_unit_test(a_catalogue_of_the_plain_form_is_read),
		cmocka_unit_test(a_name_is_a_dns_subdomain),
		cmocka_unit_test(the_shipped_catalogue_has_the_platforms_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
