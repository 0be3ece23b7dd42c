#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/subject.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const json_t *labels(void *mem, const char *text)
{
	json_t *doc = NULL;

	assert_int_equal(json_parse(mem, text, strlen(text), &doc), OK);
	return doc;
}

static void many_kinds_of_alerts_name_their_object(void **state)
{
	static const struct {
		const char *labels;
		enum object_kind kind;
		const char *name, *service;
	} CASES[] = {
		{"{\"namespace\":\"shop\",\"pod\":\"cart-0\",\"app\":\"cart\"}", OBJECT_POD,
		 "pod shop/cart-0", "cart"},
		{"{\"namespace\":\"shop\",\"pod\":\"cart-0\",\"service\":\"s\",\"app\":\"a\","
		 "\"job\":\"j\"}",
		 OBJECT_POD, "pod shop/cart-0", "s"},
		/* kube-state-metrics reports on others */
		{"{\"namespace\":\"shop\",\"pod\":\"cart-0\",\"container\":\"cart\","
		 "\"job\":\"kube-state-metrics\",\"service\":\"x-kube-state-metrics\","
		 "\"instance\":\"10.0.0.9:8080\"}",
		 OBJECT_POD, "pod shop/cart-0", NULL},
		{"{\"exported_namespace\":\"shop\",\"exported_pod\":\"cart-0\",\"namespace\":"
		 "\"monitoring\","
		 "\"pod\":\"kube-state-metrics-7d\",\"job\":\"kube-state-metrics\"}",
		 OBJECT_POD, "pod shop/cart-0", NULL},
		{"{\"namespace\":\"shop\",\"deployment\":\"cart\",\"pod\":\"kube-state-metrics-7d-"
		 "x\","
		 "\"job\":\"kube-state-metrics\"}",
		 OBJECT_WORKLOAD, "deployment shop/cart", "cart"},
		{"{\"namespace\":\"shop\",\"statefulset\":\"db\"}", OBJECT_WORKLOAD,
		 "statefulset shop/db", "db"},
		{"{\"namespace\":\"shop\",\"job_name\":\"nightly-1\",\"job\":\"kube-state-"
		 "metrics\"}",
		 OBJECT_WORKLOAD, "job shop/nightly-1", "nightly-1"},
		{"{\"namespace\":\"shop\",\"job\":\"shop/cart\"}", OBJECT_SERVICE,
		 "service shop/cart", "cart"},
		{"{\"job\":\"api\",\"instance\":\"10.0.0.7:8080\"}", OBJECT_SERVICE, "service api",
		 "api"},
		{"{\"namespace\":\"shop\",\"persistentvolumeclaim\":\"data-db-0\",\"job\":"
		 "\"kubelet\","
		 "\"node\":\"w1\"}",
		 OBJECT_CLAIM, "volume claim shop/data-db-0", NULL},
		{"{\"job\":\"node-exporter\",\"instance\":\"10.0.0.7:9100\",\"namespace\":"
		 "\"monitoring\","
		 "\"pod\":\"node-exporter-abcde\",\"container\":\"node-exporter\",\"mountpoint\":"
		 "\"/\"}",
		 OBJECT_NODE, "node 10.0.0.7:9100", NULL},
		{"{\"node\":\"w1\",\"job\":\"kube-state-metrics\"}", OBJECT_NODE, "node w1", NULL},
		{"{\"namespace\":\"shop\"}", OBJECT_NONE, "namespace shop", NULL},
		{"{\"alertname\":\"Watchdog\"}", OBJECT_NONE, "alert Watchdog", NULL},
		{"{\"pod\":\"\",\"namespace\":\"\",\"alertname\":\"A\"}", OBJECT_NONE, "alert A",
		 NULL},
		{"{}", OBJECT_NONE, "alert without a name", NULL},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		const struct subject *s = subject_of(mem, labels(mem, CASES[n].labels));
		if (s->kind != CASES[n].kind || !str_eq(s->name, CASES[n].name) ||
		    !str_eq(s->service, CASES[n].service))
			fail_msg("%s: %d %s, service %s", CASES[n].labels, (int)s->kind, s->name,
				 s->service == NULL ? "none" : s->service);
	}
}

static void learn(void *mem, struct subject *s, enum fact fact, const char *series)
{
	const json_t *list = labels(mem, series);
	const json_t *one[4];

	for (size_t n = 0; n < json_array_size(list); n++)
		one[n] = json_array_get(list, n);
	subject_learn(s, fact, one, json_array_size(list));
}

static void the_owning_deployment_is_learned(void **state)
{
	SCOPE(mem);
	struct subject *s = subject_of(
		mem, labels(mem, "{\"namespace\":\"shop\",\"pod\":\"cart-7d9f8b6c5d-x2x9z\"}"));

	(void)state;
	assert_string_equal(subject_fact_query(mem, s, FACT_POD),
			    "kube_pod_info{pod=\"cart-7d9f8b6c5d-x2x9z\",namespace=\"shop\"}");
	assert_string_equal(
		subject_fact_query(mem, s, FACT_DEPLOYMENT),
		"kube_replicaset_owner{namespace=\"shop\"} and on (namespace, replicaset) "
		"label_replace(kube_pod_owner{namespace=\"shop\",pod=\"cart-7d9f8b6c5d-x2x9z\","
		"owner_kind=\"ReplicaSet\"}, \"replicaset\", \"$1\", \"owner_name\", \"(.*)\")");
	learn(mem, s, FACT_POD,
	      "[{\"node\":\"w1\",\"created_by_kind\":\"ReplicaSet\",\"created_by_name\":\"cart-"
	      "7d9f8b6c5d\"}]");
	assert_string_equal(s->workload, "cart");
	assert_string_equal(s->node, "w1");
	learn(mem, s, FACT_OWNER,
	      "[{\"owner_kind\":\"ReplicaSet\",\"owner_name\":\"cart-7d9f8b6c5d\"}]");
	learn(mem, s, FACT_DEPLOYMENT, "[{\"owner_kind\":\"Rollout\",\"owner_name\":\"cart\"}]");
	learn(mem, s, FACT_CLAIM, "[{\"persistentvolumeclaim\":\"data\"}]");
	subject_settle(s);
	assert_string_equal(s->workload_kind, "rollout");
	assert_string_equal(s->service, "cart");
	assert_string_equal(s->claim, "data");
	assert_string_equal(s->name, "pod shop/cart-7d9f8b6c5d-x2x9z");
}

static void answers_that_disagree_teach_nothing(void **state)
{
	SCOPE(mem);
	struct subject *s =
		subject_of(mem, labels(mem, "{\"pod\":\"cart-0\",\"alertname\":\"A\"}"));

	(void)state;
	assert_string_equal(subject_fact_query(mem, s, FACT_POD), "kube_pod_info{pod=\"cart-0\"}");
	assert_null(subject_fact_query(mem, s, FACT_OWNER));
	learn(mem, s, FACT_POD,
	      "[{\"namespace\":\"a\",\"node\":\"w1\"},{\"namespace\":\"b\",\"node\":\"w1\"}]");
	assert_null(s->namespace);
	assert_string_equal(s->node, "w1");
	subject_settle(s);
	assert_int_equal(s->kind, OBJECT_NODE);
	assert_null(s->pod);
}

static void a_namespace_that_only_one_pod_has_is_learned(void **state)
{
	SCOPE(mem);
	struct subject *s = subject_of(mem, labels(mem, "{\"pod\":\"cart-0\"}"));

	(void)state;
	learn(mem, s, FACT_POD,
	      "[{\"namespace\":\"shop\",\"created_by_kind\":\"StatefulSet\",\"created_by_name\":"
	      "\"cart\"}]");
	subject_settle(s);
	assert_string_equal(s->name, "pod shop/cart-0");
	assert_string_equal(s->workload_kind, "statefulset");
}

static void a_pod_of_nobody_has_no_workload(void **state)
{
	SCOPE(mem);
	struct subject *s = subject_of(mem, labels(mem, "{\"namespace\":\"n\",\"pod\":\"p\"}"));

	(void)state;
	learn(mem, s, FACT_POD,
	      "[{\"created_by_kind\":\"<none>\",\"created_by_name\":\"<none>\"}]");
	learn(mem, s, FACT_OWNER, "[]");
	subject_settle(s);
	assert_null(s->workload);
	assert_null(s->service);
}

static void a_claim_leads_to_its_pod_and_a_node_to_its_exporter(void **state)
{
	SCOPE(mem);
	struct subject *c = subject_of(
		mem, labels(mem, "{\"namespace\":\"n\",\"persistentvolumeclaim\":\"d\"}"));
	struct subject *d = subject_of(mem, labels(mem, "{\"node\":\"w1\"}"));

	(void)state;
	assert_string_equal(subject_fact_query(mem, c, FACT_CLAIM),
			    "kube_pod_spec_volumes_persistentvolumeclaims_info{namespace=\"n\","
			    "persistentvolumeclaim=\"d\"}");
	learn(mem, c, FACT_CLAIM, "[{\"pod\":\"db-0\"},{\"pod\":\"db-1\"}]");
	assert_string_equal(c->pod, "db-0");
	assert_int_equal(c->kind, OBJECT_CLAIM);
	assert_string_equal(subject_fact_query(mem, d, FACT_NODE),
			    "node_uname_info{nodename=\"w1\"}");
	learn(mem, d, FACT_NODE, "[{\"instance\":\"10.0.0.7:9100\"}]");
	assert_string_equal(d->instance, "10.0.0.7:9100");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_kinds_of_alerts_name_their_object),
		cmocka_unit_test(the_owning_deployment_is_learned),
		cmocka_unit_test(answers_that_disagree_teach_nothing),
		cmocka_unit_test(a_namespace_that_only_one_pod_has_is_learned),
		cmocka_unit_test(a_pod_of_nobody_has_no_workload),
		cmocka_unit_test(a_claim_leads_to_its_pod_and_a_node_to_its_exporter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
