/*
 * What an alert is about: a pod, a workload, a service, a volume claim or a node, read from its labels and, where they
 * say too little, from what Kubernetes' metadata series in Prometheus (kube-state-metrics) say. A name that nobody told
 * stays NULL; nothing stands in for it (AI-001.8). Pure.
 *
 * Exporters put themselves into the labels of what they report on (job, service, pod, instance of kube-state-metrics, of
 * a node exporter, …): those are not taken for the object; with exported_<label> beside <label> the former counts.
 */
#pragma once

#include <stddef.h>

#include <jansson.h>

enum object_kind { OBJECT_NONE, OBJECT_POD, OBJECT_WORKLOAD, OBJECT_SERVICE, OBJECT_CLAIM, OBJECT_NODE };

struct subject {
	enum object_kind kind;
	const char *name;          /* for people: "pod shop/cart-0", "node worker-1"; never NULL */
	const char *alertname;     /* or NULL, as all that follows */
	const char *namespace;
	const char *pod;
	const char *workload, *workload_kind; /* "deployment", "statefulset", "daemonset", "job", …: both or none */
	const char *service;       /* whose spans are looked at: label service, app or job, else the workload (AI-001.7) */
	const char *service_label; /* the label that it came from; NULL = none did */
	const char *claim, *node, *instance, *mountpoint;
};

/* `labels`: an object of strings. Everything under mem. */
struct subject *subject_of(void *mem, const json_t *labels);

/* What can be learned of it. Each fact is an instant query whose series' labels tell it; in the order of learning. */
enum fact { FACT_POD, FACT_OWNER, FACT_DEPLOYMENT, FACT_CLAIM, FACT_NODE, FACT_COUNT };

/* NULL = nothing to ask. */
char *subject_fact_query(void *mem, const struct subject *s, enum fact fact);
void subject_learn(struct subject *s, enum fact fact, const json_t *const *labels, size_t n);

/* After the last fact: a pod or workload whose namespace nobody knows is not looked at, since another namespace can
 * have one of that name. */
void subject_settle(struct subject *s);
