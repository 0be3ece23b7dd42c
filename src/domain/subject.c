#include "domain/subject.h"

#include <stdbool.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/selector.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static const char *label(const json_t *labels, const char *name)
{
	const char *value = json_str(labels, name);

	return str_empty(value) ? NULL : value;
}

/* The first of the names that has a value; each also as exported_<name>, which wins. */
static const char *pick(void *mem, const json_t *labels, const char *const *names)
{
	for (size_t n = 0; names[n] != NULL; n++) {
		const char *value = label(labels, str_fmt(mem, "exported_%s", names[n]));
		if (value == NULL)
			value = label(labels, names[n]);
		if (value != NULL)
			return str_dup(mem, value);
	}
	return NULL;
}

static bool reports_on_others(const char *name)
{
	static const char *const WORDS[] = {
		"kube-state-metrics", "exporter", "cadvisor", "kubelet", "blackbox", "pushgateway"};

	for (size_t n = 0; name != NULL && n < LENGTH(WORDS); n++)
		if (strstr(name, WORDS[n]) != NULL)
			return true;
	return false;
}

/* job, or container: who scraped the series, or is it. */
static bool is_reporter_itself(const json_t *labels, const char *pod)
{
	static const char *const NAMES[] = {"job", "container", "service"};

	for (size_t n = 0; n < LENGTH(NAMES); n++) {
		const char *name = label(labels, NAMES[n]);
		const char *word = name == NULL ? NULL : strrchr(name, '/');
		word = word == NULL ? name : word + 1;
		if (reports_on_others(word) && strstr(pod, word) != NULL)
			return true;
	}
	return false;
}

static bool is_about_nodes(const json_t *labels)
{
	const char *job = label(labels, "job");

	return job != NULL && (strstr(job, "node-exporter") != NULL ||
			       strstr(job, "node_exporter") != NULL || str_eq(job, "node"));
}

static void find_workload(struct subject *s, const json_t *labels)
{
	static const struct {
		const char *name, *kind;
	} KINDS[] = {
		{"deployment", "deployment"}, {"statefulset", "statefulset"},
		{"daemonset", "daemonset"},   {"cronjob", "cronjob"},
		{"job_name", "job"},	      {"replicaset", "replicaset"},
	};

	for (size_t n = 0; n < LENGTH(KINDS) && s->workload == NULL; n++) {
		s->workload = pick(s, labels, (const char *const[]){KINDS[n].name, NULL});
		s->workload_kind = s->workload == NULL ? NULL : KINDS[n].kind;
	}
}

static void find_service(struct subject *s, const json_t *labels)
{
	static const char *const NAMES[] = {"service", "app", "job", "app_kubernetes_io_name",
					    "service_name"};

	for (size_t n = 0; n < LENGTH(NAMES); n++) {
		const char *value = label(labels, NAMES[n]);
		if (value == NULL || reports_on_others(value))
			continue;
		/* a PodMonitor's job is called "namespace/name" */
		const char *slash = str_eq(NAMES[n], "job") ? strrchr(value, '/') : NULL;
		s->service = str_dup(s, slash == NULL || slash[1] == '\0' ? value : slash + 1);
		s->service_label = NAMES[n];
		return;
	}
}

static void name_it(struct subject *s)
{
	const char *in = s->namespace == NULL ? "" : str_fmt(s, "%s/", s->namespace);

	switch (s->kind) {
	case OBJECT_POD: s->name = str_fmt(s, "pod %s%s", in, s->pod); return;
	case OBJECT_WORKLOAD:
		s->name = str_fmt(s, "%s %s%s", s->workload_kind, in, s->workload);
		return;
	case OBJECT_SERVICE: s->name = str_fmt(s, "service %s%s", in, s->service); return;
	case OBJECT_CLAIM: s->name = str_fmt(s, "volume claim %s%s", in, s->claim); return;
	case OBJECT_NODE:
		s->name = str_fmt(s, "node %s", s->node == NULL ? s->instance : s->node);
		return;
	default: break;
	}
	if (s->namespace != NULL)
		s->name = str_fmt(s, "namespace %s", s->namespace);
	else if (s->instance != NULL)
		s->name = str_fmt(s, "instance %s", s->instance);
	else
		s->name = str_fmt(s, "alert %s",
				  s->alertname == NULL ? "without a name" : s->alertname);
}

static enum object_kind kind_of(const struct subject *s, bool about_nodes)
{
	if (s->claim != NULL)
		return OBJECT_CLAIM;
	if (s->pod != NULL)
		return OBJECT_POD;
	if (s->workload != NULL)
		return OBJECT_WORKLOAD;
	if (about_nodes && (s->node != NULL || s->instance != NULL))
		return OBJECT_NODE;
	if (s->service_label != NULL)
		return OBJECT_SERVICE;
	return s->node != NULL ? OBJECT_NODE : OBJECT_NONE;
}

struct subject *subject_of(void *mem, const json_t *labels)
{
	static const char *const NAMESPACES[] = {"namespace", "kubernetes_namespace", NULL};
	static const char *const PODS[] = {"pod", "pod_name", "kubernetes_pod_name", NULL};
	static const char *const CLAIMS[] = {"persistentvolumeclaim", NULL};
	static const char *const NODES[] = {"node", "kubernetes_node", "nodename", NULL};
	static const char *const INSTANCES[] = {"instance", NULL};
	static const char *const MOUNTS[] = {"mountpoint", NULL};
	struct subject *s = NEW(mem, struct subject);
	const char *alertname = label(labels, "alertname");
	bool about_nodes = is_about_nodes(labels);

	s->alertname = str_dup(s, alertname);
	s->namespace = pick(s, labels, NAMESPACES);
	s->pod = pick(s, labels, PODS);
	if (s->pod != NULL && is_reporter_itself(labels, s->pod)) {
		s->pod = NULL;
		if (about_nodes)
			s->namespace = NULL;
	}
	s->claim = pick(s, labels, CLAIMS);
	s->node = pick(s, labels, NODES);
	s->instance = pick(s, labels, INSTANCES);
	s->mountpoint = pick(s, labels, MOUNTS);
	find_workload(s, labels);
	find_service(s, labels);
	s->kind = kind_of(s, about_nodes);
	if (s->service == NULL && s->workload != NULL)
		s->service = s->workload;
	name_it(s);
	return s;
}

static char *of_pod(void *mem, const struct subject *s, const char *metric)
{
	struct matcher m[] = {{"pod", "=", s->pod}, {"namespace", "=", s->namespace}};

	return selector_text(mem, metric, m, s->namespace == NULL ? 1 : 2);
}

static char *deployment_query(void *mem, const struct subject *s)
{
	const struct matcher sets[] = {{"namespace", "=", s->namespace}};
	const struct matcher owner[] = {{"namespace", "=", s->namespace},
					{"pod", "=", s->pod},
					{"owner_kind", "=", "ReplicaSet"}};

	return str_fmt(mem,
		       "%s and on (namespace, replicaset) label_replace(%s, \"replicaset\", "
		       "\"$1\", \"owner_name\", \"(.*)\")",
		       selector_text(mem, "kube_replicaset_owner", sets, 1),
		       selector_text(mem, "kube_pod_owner", owner, 3));
}

static char *claim_query(void *mem, const struct subject *s)
{
	static const char METRIC[] = "kube_pod_spec_volumes_persistentvolumeclaims_info";
	const struct matcher m[] = {{"namespace", "=", s->namespace},
				    {"persistentvolumeclaim", "=", s->claim}};

	return s->claim != NULL ? selector_text(mem, METRIC, m, 2) : of_pod(mem, s, METRIC);
}

static char *node_query(void *mem, const struct subject *s)
{
	const struct matcher by_name[] = {{"nodename", "=", s->node}};
	const struct matcher by_instance[] = {{"instance", "=", s->instance}};

	return selector_text(mem, "node_uname_info", s->node != NULL ? by_name : by_instance, 1);
}

char *subject_fact_query(void *mem, const struct subject *s, enum fact fact)
{
	bool pod = s->pod != NULL;
	bool known_pod = pod && s->namespace != NULL;

	switch (fact) {
	case FACT_POD: return pod ? of_pod(mem, s, "kube_pod_info") : NULL;
	case FACT_OWNER: return known_pod ? of_pod(mem, s, "kube_pod_owner") : NULL;
	case FACT_DEPLOYMENT: return known_pod ? deployment_query(mem, s) : NULL;
	case FACT_CLAIM:
		return known_pod || (s->claim != NULL && s->namespace != NULL) ? claim_query(mem, s)
									       : NULL;
	case FACT_NODE: return s->kind == OBJECT_NODE ? node_query(mem, s) : NULL;
	default: return NULL;
	}
}

/* The value that all series have, or NULL. */
static const char *common(const json_t *const *labels, size_t n, const char *name)
{
	const char *value = n == 0 ? NULL : label(labels[0], name);

	for (size_t i = 1; value != NULL && i < n; i++)
		if (!str_eq(value, label(labels[i], name)))
			return NULL;
	return value;
}

static void fill(struct subject *s, const char **field, const char *value)
{
	if (*field == NULL && value != NULL)
		*field = str_dup(s, value);
}

/* A Deployment calls its ReplicaSets <name>-<hash of the pod template>, in this alphabet. */
static char *without_hash(void *mem, const char *name)
{
	const char *dash = strrchr(name, '-');
	size_t n = dash == NULL ? 0 : strspn(dash + 1, "bcdfghjklmnpqrstvwxz0123456789");

	if (dash == NULL || dash == name || n < 5 || n > 10 || dash[1 + n] != '\0')
		return NULL;
	return str_ndup(mem, name, (size_t)(dash - name));
}

static void set_owner(struct subject *s, const char *kind, const char *name)
{
	if (kind == NULL || name == NULL || str_eq(kind, "<none>") || str_eq(kind, "Node"))
		return;
	const char *deployment = str_eq(kind, "ReplicaSet") ? without_hash(s, name) : NULL;
	s->workload_kind = deployment != NULL ? "deployment" : str_lower(s, kind);
	s->workload = deployment != NULL ? deployment : str_dup(s, name);
}

void subject_learn(struct subject *s, enum fact fact, const json_t *const *labels, size_t n)
{
	switch (fact) {
	case FACT_POD:
		fill(s, &s->namespace, common(labels, n, "namespace"));
		fill(s, &s->node, common(labels, n, "node"));
		if (s->workload == NULL)
			set_owner(s, common(labels, n, "created_by_kind"),
				  common(labels, n, "created_by_name"));
		break;
	case FACT_OWNER:
	case FACT_DEPLOYMENT:
		set_owner(s, common(labels, n, "owner_kind"), common(labels, n, "owner_name"));
		break;
	case FACT_CLAIM:
		if (s->claim != NULL && n > 0)
			fill(s, &s->pod, label(labels[0], "pod"));
		else if (n > 0)
			fill(s, &s->claim, label(labels[0], "persistentvolumeclaim"));
		break;
	case FACT_NODE:
		fill(s, &s->node, common(labels, n, "nodename"));
		fill(s, &s->instance, common(labels, n, "instance"));
		break;
	default: break;
	}
}

void subject_settle(struct subject *s)
{
	if (s->service == NULL)
		s->service = s->workload;
	if (s->namespace == NULL && s->kind != OBJECT_NODE) {
		s->pod = NULL;
		s->claim = NULL;
		s->workload = NULL;
		s->workload_kind = NULL;
		s->kind = kind_of(s, false);
	}
	name_it(s);
}
