#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/plan.h"

static const char CATALOGUE[] =
	"functions:\n"
	"  - name: pod-restart\n    risk: low\n    effect: reversible\n    parameters:\n"
	"      name: {type: string, required: true, format: name, from: [pod, pod_name, "
	"deployment, name]}\n"
	"      namespace: {type: string, required: true, format: name, from: [namespace]}\n"
	"      type: {type: string, choice: [pod, deployment], default: pod, rule: the kind of the "
	"label that gave the name}\n"
	"  - name: scale-deployment\n    parameters:\n"
	"      name: {type: string, required: true, from: [deployment]}\n"
	"      namespace: {type: string, required: true, from: [namespace]}\n"
	"      replicas: {type: integer, required: true, minimum: 1, maximum: 50, from: "
	"[expected]}\n"
	"  - name: check-pvc-status\n    parameters:\n"
	"      name: {type: string, from: [persistentvolumeclaim], aliases: [pvc_name]}\n"
	"      selector: {type: string, format: selector, from: []}\n"
	"      namespace: {type: string, required: true, from: [namespace]}\n";

#define FLUX(kind) \
	"  - name: flux-reconcile-" kind "\n    parameters:\n" \
	"      name: {type: string, required: true, from: [name]}\n" \
	"      namespace: {type: string, from: [namespace], default: flux-system}\n"

static struct catalogue *catalogue(void *mem)
{
	struct catalogue *c = NULL;
	char *text = str_dup(mem, CATALOGUE);

	str_add(&text, "%s", FLUX("kustomization") FLUX("gitrepository") FLUX("helmrelease"));
	if (catalogue_parse(mem, "test", text, strlen(text), &c) != OK)
		fail_msg("%s", status_message());
	return c;
}

static enum status choose(void *mem, json_t *labels, json_t *annotations, struct plan **out)
{
	static const char *const PROTECTED[] = {"kube-system", NULL};

	return plan_from_annotations(mem, mem_own(mem, labels), mem_own(mem, annotations),
				     catalogue(mem), PROTECTED, out);
}

static void accepted(json_t *labels, json_t *annotations, const char *function,
		     const char *parameters)
{
	SCOPE(mem);
	struct plan *p = NULL;

	if (choose(mem, labels, annotations, &p) != OK)
		fail_msg("%s", status_message());
	assert_string_equal(p->function, function);
	assert_string_equal(json_text(mem, p->parameters), parameters);
	assert_true(p->confidence >= 1.0);
	assert_string_equal(p->method, "annotation");
}

static void refused(json_t *labels, json_t *annotations, const char *why)
{
	SCOPE(mem);
	struct plan *p = NULL;
	enum status s = choose(mem, labels, annotations, &p);

	assert_true(s == E_INVALID || s == E_DENIED);
	assert_null(p);
	if (strstr(status_message(), why) == NULL)
		fail_msg("'%s' does not say '%s'", status_message(), why);
}

static json_t *pod(void)
{
	return json_pack("{s:s, s:s}", "pod", "web-0", "namespace", "shop");
}

static json_t *calls(const char *function, const char *parameters)
{
	return json_pack("{s:s, s:s*}", "lambda_function", function, "lambda_parameters",
			 parameters);
}

static void an_annotation_is_taken_with_its_parameters(void **state)
{
	(void)state;
	accepted(pod(),
		 calls("pod-restart",
		       "{\"name\":\"web-0\",\"namespace\":\"shop\",\"type\":\"pod\"}"),
		 "pod-restart", "{\"name\":\"web-0\",\"namespace\":\"shop\",\"type\":\"pod\"}");
}

static void
missing_parameters_come_from_labels_and_the_kind_from_the_label_that_gave_the_name(void **state)
{
	(void)state;
	accepted(pod(), calls("pod-restart", NULL), "pod-restart",
		 "{\"name\":\"web-0\",\"namespace\":\"shop\",\"type\":\"pod\"}");
	accepted(json_pack("{s:s, s:s}", "deployment", "web", "namespace", "shop"),
		 calls("pod-restart", NULL), "pod-restart",
		 "{\"name\":\"web\",\"namespace\":\"shop\",\"type\":\"deployment\"}");
	accepted(json_pack("{s:s, s:s}", "pod_name", "web-0", "namespace", "shop"),
		 calls("pod-restart", NULL), "pod-restart",
		 "{\"name\":\"web-0\",\"namespace\":\"shop\",\"type\":\"pod\"}");
}

static void text_becomes_the_declared_type(void **state)
{
	(void)state;
	accepted(json_pack("{s:s, s:s}", "deployment", "web", "namespace", "shop"),
		 calls("scale-deployment",
		       "{\"name\":\"web\",\"namespace\":\"shop\",\"replicas\":\"3\"}"),
		 "scale-deployment", "{\"name\":\"web\",\"namespace\":\"shop\",\"replicas\":3}");
}

static void an_alias_is_the_declared_parameter(void **state)
{
	(void)state;
	accepted(json_pack("{s:s, s:s}", "persistentvolumeclaim", "data-0", "namespace", "shop"),
		 calls("check-pvc-status", "{\"pvc_name\":\"data-0\",\"namespace\":\"shop\"}"),
		 "check-pvc-status", "{\"name\":\"data-0\",\"namespace\":\"shop\"}");
	refused(json_pack("{s:s, s:s}", "persistentvolumeclaim", "data-0", "namespace", "shop"),
		calls("check-pvc-status",
		      "{\"pvc_name\":\"data-0\",\"name\":\"data-0\",\"namespace\":\"shop\"}"),
		"twice");
}

static void names_that_look_like_hosts_are_refused(void **state)
{
	static const char *const NAMES[] = {"attacker.example/x?",
					    "a@b",
					    "169.254.169.254",
					    "x#",
					    "evil.com/",
					    "Pod-Restart",
					    "",
					    "-x",
					    "x-",
					    "a_b"};

	(void)state;
	for (size_t n = 0; n < sizeof(NAMES) / sizeof(NAMES[0]); n++)
		refused(pod(), calls(NAMES[n], NULL), "is not a function name");
	refused(pod(), calls("scale-pod", NULL), "not in the catalogue");
}

static void parameters_that_cannot_be_trusted_are_refused(void **state)
{
	static const struct {
		const char *parameters, *why;
	} CASES[] = {
		{"[]", "must be a JSON object"},
		{"{", "not JSON"},
		{"{\"name\":\"{{ $labels.pod }}\"}", "template"},
		{"{\"name\":\"web-0\",\"name\":\"web-0\"}", "not JSON"},
		{"{\"name\":\"other\",\"namespace\":\"shop\"}", "none of the alert's labels"},
		{"{\"name\":\"web-0\",\"namespace\":\"other\"}", "none of the alert's labels"},
		{"{\"name\":\"\",\"namespace\":\"shop\"}", "empty"},
		{"{\"name\":null,\"namespace\":\"shop\"}", "plain value"},
		{"{\"name\":\"web-0\",\"force\":true}", "no parameter 'force'"},
		{"{\"name\":\"web-0\",\"type\":\"node\"}", "choices"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++)
		refused(pod(), calls("pod-restart", CASES[n].parameters), CASES[n].why);
}

static void a_label_with_a_quote_cannot_inject_a_key(void **state)
{
	(void)state;
	/* what Prometheus makes of pod = x","namespace":"kube-system */
	refused(json_pack("{s:s, s:s}", "pod", "x\",\"namespace\":\"kube-system", "namespace",
			  "shop"),
		calls("pod-restart",
		      "{\"name\":\"x\",\"namespace\":\"kube-system\",\"namespace\":\"shop\"}"),
		"not JSON");
	refused(json_pack("{s:s, s:s}", "pod", "x\",\"namespace\":\"kube-system", "namespace",
			  "shop"),
		calls("pod-restart", "{\"name\":\"x\",\"namespace\":\"kube-system\"}"),
		"none of the alert's labels");
}

static void arguments_are_guarded(void **state)
{
	(void)state;
	refused(json_pack("{s:s, s:s}", "pod", "--help", "namespace", "shop"),
		calls("pod-restart", NULL), "'-'");
	refused(json_pack("{s:s, s:s}", "pod", "Web_0", "namespace", "shop"),
		calls("pod-restart", NULL), "Kubernetes name");
	refused(json_pack("{s:s, s:s}", "pod", "web-0", "namespace", "kube-system"),
		calls("pod-restart", NULL), "protected");
	refused(pod(), calls("check-pvc-status", "{\"selector\":\"a;b\"}"), "selector");
	for (int n = 0; n < 2; n++)
		refused(json_pack("{s:s, s:s}", "deployment", "web", "namespace", "shop"),
			calls("scale-deployment",
			      n == 0 ? "{\"replicas\":0}" : "{\"replicas\":1000000}"),
			"bounds");
}

static void nothing_is_invented(void **state)
{
	(void)state;
	refused(json_pack("{s:s}", "namespace", "shop"), calls("pod-restart", NULL),
		"parameter name is missing");
	refused(json_pack("{s:s}", "pod", "web-0"), calls("pod-restart", NULL),
		"parameter namespace is missing");
	refused(json_pack("{s:s, s:s}", "deployment", "", "namespace", "shop"),
		calls("scale-deployment", "{\"replicas\":3}"), "name is missing");
}

static void flux_reconcile_is_split_into_its_three_parts(void **state)
{
	(void)state;
	accepted(json_pack("{s:s, s:s}", "name", "x", "namespace", "y"),
		 json_pack("{s:s}", "flux_reconcile", "gitrepository:x:y"),
		 "flux-reconcile-gitrepository", "{\"name\":\"x\",\"namespace\":\"y\"}");
	accepted(json_pack("{s:s, s:s}", "name", "x", "namespace", "y"),
		 json_pack("{s:s}", "flux_reconcile", "helmrelease:x:y"),
		 "flux-reconcile-helmrelease", "{\"name\":\"x\",\"namespace\":\"y\"}");
	accepted(json_pack("{s:s, s:s}", "name", "x", "namespace", "y"),
		 json_pack("{s:s}", "flux_reconcile", "kustomization:x:y"),
		 "flux-reconcile-kustomization", "{\"name\":\"x\",\"namespace\":\"y\"}");
	accepted(json_pack("{s:s}", "name", "x"), json_pack("{s:s}", "flux_reconcile", "true"),
		 "flux-reconcile-kustomization", "{\"name\":\"x\",\"namespace\":\"flux-system\"}");
	refused(json_pack("{s:s}", "name", "x"), json_pack("{s:s}", "flux_reconcile", "pod:x:y"),
		"kind");
	refused(json_pack("{s:s}", "name", "x"),
		json_pack("{s:s}", "flux_reconcile", "helmrelease:x"), "kind:name:namespace");
	refused(json_pack("{s:s}", "name", "x"),
		json_pack("{s:s}", "flux_reconcile", "helmrelease:x:y:z"), "kind:name:namespace");
}

static void the_alerts_kind_chooses_the_flux_function(void **state)
{
	(void)state;
	accepted(json_pack("{s:s, s:s, s:s}", "name", "x", "namespace", "y", "kind", "HelmRelease"),
		 calls("flux-reconcile-kustomization", NULL), "flux-reconcile-helmrelease",
		 "{\"name\":\"x\",\"namespace\":\"y\"}");
}

static void no_annotation_is_not_found(void **state)
{
	SCOPE(mem);
	struct plan *p = NULL;

	(void)state;
	assert_int_equal(choose(mem, pod(), json_pack("{s:s}", "summary", "x"), &p), E_NOTFOUND);
}

static void a_flux_annotation_that_says_no_steers_nothing(void **state)
{
	static const char *const WORDS[] = {"false", "False", "no", "0", ""};

	(void)state;
	for (size_t n = 0; n < sizeof(WORDS) / sizeof(WORDS[0]); n++) {
		SCOPE(mem);
		struct plan *p = NULL;
		assert_int_equal(
			choose(mem, pod(), json_pack("{s:s}", "flux_reconcile", WORDS[n]), &p),
			E_NOTFOUND);
	}
}

static void a_truthy_flux_annotation_reads_kind_and_namespace_beside_it(void **state)
{
	(void)state;
	accepted(json_pack("{s:s, s:s}", "name", "x", "namespace", "y"),
		 json_pack("{s:s, s:s, s:s}", "flux_reconcile", "yes", "flux_reconcile_kind",
			   "HelmRelease", "flux_reconcile_namespace", "y"),
		 "flux-reconcile-helmrelease", "{\"name\":\"x\",\"namespace\":\"y\"}");
	refused(json_pack("{s:s, s:s}", "name", "x", "namespace", "y"),
		json_pack("{s:s, s:s}", "flux_reconcile", "1", "flux_reconcile_namespace", "z"),
		"none of the alert's labels");
	refused(json_pack("{s:s}", "name", "x"),
		json_pack("{s:s, s:s}", "flux_reconcile", "true", "flux_reconcile_kind", "Pod"),
		"flux_reconcile_kind");
	refused(json_pack("{s:s, s:s}", "name", "x", "namespace", "y"),
		json_pack("{s:s}", "flux_reconcile", "kustomization:{{ $labels.name }}:y"),
		"none of the alert's labels");
}

static void only_flux_functions_follow_the_label_kind(void **state)
{
	(void)state;
	accepted(json_pack("{s:s, s:s, s:s}", "pod", "web-0", "namespace", "shop", "kind",
			   "HelmRelease"),
		 calls("pod-restart", NULL), "pod-restart",
		 "{\"name\":\"web-0\",\"namespace\":\"shop\",\"type\":\"pod\"}");
	accepted(json_pack("{s:s, s:s, s:s}", "name", "x", "namespace", "y", "kind", "Bucket"),
		 calls("flux-reconcile-kustomization", NULL), "flux-reconcile-kustomization",
		 "{\"name\":\"x\",\"namespace\":\"y\"}");
}

static void too_long_parameters_are_refused(void **state)
{
	SCOPE(mem);
	char *text = str_fmt(mem, "{\"name\":\"web-0\"%9000s}", "");

	(void)state;
	refused(pod(), calls("pod-restart", text), "longer than");
}

static void a_plan_survives_the_store(void **state)
{
	SCOPE(mem);
	struct plan *p = NULL;
	struct plan *again = NULL;

	(void)state;
	assert_int_equal(choose(mem, pod(), calls("pod-restart", NULL), &p), OK);
	p->digest = p->target = "d";
	p->why = "w";
	p->decision = DECIDE_ASK;
	assert_int_equal(plan_decode(mem, plan_encode(mem, p), &again), OK);
	assert_string_equal(again->function, p->function);
	assert_string_equal(json_text(mem, again->parameters), json_text(mem, p->parameters));
	assert_int_equal(again->decision, DECIDE_ASK);
	assert_int_equal(plan_decode(mem, mem_own(mem, json_object()), &again), E_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_annotation_is_taken_with_its_parameters),
		cmocka_unit_test(
			missing_parameters_come_from_labels_and_the_kind_from_the_label_that_gave_the_name),
		cmocka_unit_test(text_becomes_the_declared_type),
		cmocka_unit_test(an_alias_is_the_declared_parameter),
		cmocka_unit_test(names_that_look_like_hosts_are_refused),
		cmocka_unit_test(parameters_that_cannot_be_trusted_are_refused),
		cmocka_unit_test(a_label_with_a_quote_cannot_inject_a_key),
		cmocka_unit_test(arguments_are_guarded),
		cmocka_unit_test(nothing_is_invented),
		cmocka_unit_test(flux_reconcile_is_split_into_its_three_parts),
		cmocka_unit_test(the_alerts_kind_chooses_the_flux_function),
		cmocka_unit_test(no_annotation_is_not_found),
		cmocka_unit_test(a_flux_annotation_that_says_no_steers_nothing),
		cmocka_unit_test(a_truthy_flux_annotation_reads_kind_and_namespace_beside_it),
		cmocka_unit_test(only_flux_functions_follow_the_label_kind),
		cmocka_unit_test(too_long_parameters_are_refused),
		cmocka_unit_test(a_plan_survives_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
