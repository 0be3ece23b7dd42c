#include "domain/queries.h"

#include "base/mem.h"
#include "base/str.h"
#include "domain/promql.h"
#include "domain/selector.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

enum { QUERIES_MAX = 24, MATCHERS_MAX = 8, RATE_WINDOW_S = 300 };

struct builder {
	void *mem;
	const struct subject *subject;
	const char *window;		   /* "5m" */
	struct matcher base[MATCHERS_MAX]; /* in every selector */
	size_t base_count;
	const char *by; /* of the sums: "namespace, pod" */
	struct metric_query *out;
	size_t count;
};

static char *duration(void *mem, int64_t seconds)
{
	return seconds % 60 == 0 ? str_fmt(mem, "%lldm", (long long)seconds / 60)
				 : str_fmt(mem, "%llds", (long long)seconds);
}

static void add(struct builder *b, enum series_role role, const char *by, const char *text)
{
	if (b->count < QUERIES_MAX)
		b->out[b->count++] = (struct metric_query){role, text, by};
}

static void match(struct builder *b, const char *name, const char *sign, const char *value)
{
	if (b->base_count < MATCHERS_MAX)
		b->base[b->base_count++] = (struct matcher){name, sign, value};
}

/* The metric's series of the subject, with further matchers. */
static char *selected(struct builder *b, const char *metric, const struct matcher *more, size_t n)
{
	struct matcher all[MATCHERS_MAX * 2];
	size_t count = 0;

	for (; count < b->base_count; count++)
		all[count] = b->base[count];
	for (size_t i = 0; i < n && count < LENGTH(all); i++)
		all[count++] = more[i];
	return selector_text(b->mem, metric, all, count);
}

static char *sum(struct builder *b, const char *what)
{
	return str_fmt(b->mem, "sum by (%s) (%s)", b->by, what);
}

static char *rate(struct builder *b, const char *selector)
{
	return str_fmt(b->mem, "rate(%s[%s])", selector, b->window);
}

static char *either(struct builder *b, const char *first, const char *second)
{
	return first == NULL ? str_dup(b->mem, second) : str_fmt(b->mem, "%s or %s", first, second);
}

/* cAdvisor tells of each container, of the pod's pause container, and of the pod as a whole, which
 * has no label container; some tell only of the latter. */
static char *containers(struct builder *b, const char *metric, bool counter)
{
	static const struct matcher REAL[] = {{"container", "!=", ""}, {"container", "!=", "POD"}};
	char *each = selected(b, metric, REAL, LENGTH(REAL));
	char *whole = selected(b, metric, NULL, 0);

	return either(b, sum(b, counter ? rate(b, each) : each),
		      sum(b, counter ? rate(b, whole) : whole));
}

static char *limit(struct builder *b, const char *resource)
{
	const struct matcher m[] = {{"resource", "=", resource}};

	return sum(b, selected(b, "kube_pod_container_resource_limits", m, 1));
}

static void add_containers(struct builder *b)
{
	char *throttled =
		sum(b, rate(b, selected(b, "container_cpu_cfs_throttled_periods_total", NULL, 0)));
	char *periods = sum(b, rate(b, selected(b, "container_cpu_cfs_periods_total", NULL, 0)));

	add(b, SERIES_CPU, "pod", containers(b, "container_cpu_usage_seconds_total", true));
	add(b, SERIES_CPU_LIMIT, "pod", limit(b, "cpu"));
	add(b, SERIES_THROTTLED, "pod", str_fmt(b->mem, "%s / %s", throttled, periods));
	add(b, SERIES_MEMORY, "pod",
	    either(b, containers(b, "container_memory_usage_bytes", false),
		   containers(b, "container_memory_working_set_bytes", false)));
	add(b, SERIES_MEMORY_LIMIT, "pod", limit(b, "memory"));
	add(b, SERIES_RESTARTS, "pod",
	    sum(b, selected(b, "kube_pod_container_status_restarts_total", NULL, 0)));
}

/* Requests are counted under the names of Prometheus' client libraries and of OpenTelemetry's
 * semantic conventions. */
static void add_requests(struct builder *b, const char *by)
{
	static const struct {
		const char *metric, *code;
	} COUNTERS[] = {
		{"http_requests_total", "code"},
		{"http_requests_total", "status"},
		{"http_requests_total", "status_code"},
		{"http_server_request_duration_seconds_count", "http_response_status_code"},
	};
	static const char *const HISTOGRAMS[] = {"http_request_duration_seconds_bucket",
						 "http_server_request_duration_seconds_bucket"};
	char *requests = NULL;
	char *errors = NULL;
	char *latency = NULL;

	for (size_t n = 0; n < LENGTH(COUNTERS); n++) {
		const struct matcher failed[] = {{COUNTERS[n].code, "=~", "5.."}};
		const char *metric = COUNTERS[n].metric;
		if (n == 0 || !str_eq(metric, COUNTERS[n - 1].metric))
			requests =
				either(b, requests, sum(b, rate(b, selected(b, metric, NULL, 0))));
		errors = either(b, errors, sum(b, rate(b, selected(b, metric, failed, 1))));
	}
	for (size_t n = 0; n < LENGTH(HISTOGRAMS); n++)
		latency = either(b, latency,
				 str_fmt(b->mem, "histogram_quantile(0.95, sum by (%s, le) (%s))",
					 b->by, rate(b, selected(b, HISTOGRAMS[n], NULL, 0))));
	add(b, SERIES_REQUESTS, by, requests);
	add(b, SERIES_ERRORS, by, errors);
	add(b, SERIES_LATENCY, by, latency);
}

static void add_claim(struct builder *b)
{
	const struct subject *s = b->subject;
	const struct matcher m[] = {{"namespace", "=", s->namespace},
				    {"persistentvolumeclaim", "=", s->claim}};
	static const char FORMAT[] = "max by (namespace, persistentvolumeclaim) (%s)";

	if (s->claim == NULL || s->namespace == NULL)
		return;
	add(b, SERIES_DISK, "persistentvolumeclaim",
	    str_fmt(b->mem, FORMAT,
		    selector_text(b->mem, "kubelet_volume_stats_used_bytes", m, 2)));
	add(b, SERIES_DISK_LIMIT, "persistentvolumeclaim",
	    str_fmt(b->mem, FORMAT,
		    selector_text(b->mem, "kubelet_volume_stats_capacity_bytes", m, 2)));
}

/* `and` asks for no one-to-one match: a pod that was made anew may have several info series. */
static void add_neighbours(struct builder *b)
{
	const struct subject *s = b->subject;
	const struct matcher on_node[] = {{"node", "=", s->node}};
	const struct matcher own[] = {{"namespace", "=", s->namespace}, {"pod", "=", s->pod}};
	const struct matcher real[] = {{"container", "!=", ""}, {"container", "!=", "POD"}};

	if (s->node == NULL)
		return;
	char *there = selector_text(b->mem, "kube_pod_info", on_node, 1);
	if (s->pod != NULL && s->namespace != NULL)
		there = str_fmt(b->mem, "(%s unless on (namespace, pod) %s)", there,
				selector_text(b->mem, "kube_pod_info", own, 2));
	add(b, SERIES_NEIGHBOUR_CPU, "pod",
	    str_fmt(b->mem, "sum by (namespace, pod) (%s and on (namespace, pod) %s)",
		    rate(b, selector_text(b->mem, "container_cpu_usage_seconds_total", real, 2)),
		    there));
}

/* A node exporter's series carry the node's name as a label, or an address, which node_uname_info
 * leads to. */
static void add_node_cpu(struct builder *b)
{
	const struct subject *s = b->subject;
	const struct matcher idle[] = {{"mode", "=", "idle"}};
	const struct matcher by_instance[] = {{"mode", "=", "idle"},
					      {"instance", "=", s->instance}};
	const struct matcher by_node[] = {{"mode", "=", "idle"}, {"node", "=", s->node}};
	const struct matcher name[] = {{"nodename", "=", s->node}};
	static const char METRIC[] = "node_cpu_seconds_total";
	char *spare;

	if (s->kind == OBJECT_NODE && s->instance != NULL)
		spare = rate(b, selector_text(b->mem, METRIC, by_instance, 2));
	else if (s->node != NULL)
		spare = str_fmt(b->mem, "%s or %s and on (instance) %s",
				rate(b, selector_text(b->mem, METRIC, by_node, 2)),
				rate(b, selector_text(b->mem, METRIC, idle, 1)),
				selector_text(b->mem, "node_uname_info", name, 1));
	else
		return;
	add(b, SERIES_NODE_CPU, s->kind == OBJECT_NODE ? NULL : "instance",
	    str_fmt(b->mem, "1 - avg by (instance) (%s)", spare));
}

static void add_node_resources(struct builder *b)
{
	const struct subject *s = b->subject;
	const struct matcher m[] = {{"instance", "=", s->instance},
				    {"mountpoint", "=", s->mountpoint}};
	void *mem = b->mem;

	if (s->instance == NULL)
		return;
	add(b, SERIES_MEMORY, NULL,
	    str_fmt(mem, "%s - %s", selector_text(mem, "node_memory_MemTotal_bytes", m, 1),
		    selector_text(mem, "node_memory_MemAvailable_bytes", m, 1)));
	add(b, SERIES_MEMORY_LIMIT, NULL, selector_text(mem, "node_memory_MemTotal_bytes", m, 1));
	if (s->mountpoint == NULL)
		return;
	add(b, SERIES_DISK, "mountpoint",
	    str_fmt(mem, "%s - %s", selector_text(mem, "node_filesystem_size_bytes", m, 2),
		    selector_text(mem, "node_filesystem_avail_bytes", m, 2)));
	add(b, SERIES_DISK_LIMIT, "mountpoint",
	    selector_text(mem, "node_filesystem_size_bytes", m, 2));
}

/* How a workload calls its pods. */
static char *pods_of(void *mem, const char *kind, const char *name)
{
	static const struct {
		const char *kind, *tail;
	} TAILS[] = {
		{"deployment", "-[a-z0-9]{5,10}-[a-z0-9]{5}"},
		{"statefulset", "-[0-9]+"},
		{"daemonset", "-[a-z0-9]{5}"},
		{"replicaset", "-[a-z0-9]{5}"},
		{"job", "-[a-z0-9]{5}"},
		{"cronjob", "-[0-9]+-[a-z0-9]{5}"},
	};
	/* of a service or of another kind of owner: any of these */
	const char *tail = "-([0-9]+|[a-z0-9]{5}|[a-z0-9]{5,10}-[a-z0-9]{5})";

	for (size_t n = 0; n < LENGTH(TAILS); n++)
		if (str_eq(TAILS[n].kind, kind))
			tail = TAILS[n].tail;
	return str_fmt(mem, "%s%s", selector_literal(mem, name), tail);
}

/* The matchers of the subject's pods; false when they are not known. */
static bool match_pods(struct builder *b)
{
	const struct subject *s = b->subject;

	if (s->namespace == NULL)
		return false;
	match(b, "namespace", "=", s->namespace);
	if (s->pod != NULL)
		match(b, "pod", "=", s->pod);
	else if (s->workload != NULL)
		match(b, "pod", "=~", pods_of(b->mem, s->workload_kind, s->workload));
	else if (s->service_label != NULL && s->kind == OBJECT_SERVICE)
		match(b, "pod", "=~", pods_of(b->mem, NULL, s->service));
	else
		return false;
	return true;
}

/* An image that came with a roll-out came with other pods: those of the whole workload tell. */
static void add_version(struct builder *b)
{
	const struct subject *s = b->subject;
	struct matcher m[] = {{"namespace", "=", s->namespace}, {"pod", "=", s->pod}};

	if (s->workload != NULL)
		m[1] = (struct matcher){"pod", "=~",
					pods_of(b->mem, s->workload_kind, s->workload)};
	else if (s->pod == NULL)
		m[1] = (struct matcher){"pod", "=~", pods_of(b->mem, NULL, s->service)};
	add(b, SERIES_VERSION, "image",
	    str_fmt(b->mem, "max by (namespace, container, image) (%s)",
		    selector_text(b->mem, "kube_pod_container_info", m, 2)));
}

static void add_service(struct builder *b)
{
	const struct subject *s = b->subject;

	b->base_count = 0;
	if (s->namespace != NULL)
		match(b, "namespace", "=", s->namespace);
	match(b, s->service_label, "=", s->service);
	b->by = s->namespace == NULL ? s->service_label
				     : str_fmt(b->mem, "namespace, %s", s->service_label);
	add_requests(b, NULL);
}

void queries_metrics(void *mem, const struct subject *s, int64_t step_ms, struct metric_query **out,
		     size_t *count)
{
	int64_t step_s = (step_ms + 999) / 1000;
	struct builder b = {
		.mem = mem,
		.subject = s,
		.window = duration(mem, step_s > RATE_WINDOW_S ? step_s : RATE_WINDOW_S),
		.by = "namespace, pod",
		.out = NEW_ARRAY(mem, struct metric_query, QUERIES_MAX),
	};

	if (match_pods(&b)) {
		add_containers(&b);
		if (s->kind != OBJECT_SERVICE)
			add_requests(&b, "pod");
		add_version(&b);
	}
	if (s->kind == OBJECT_SERVICE)
		add_service(&b);
	if (s->kind == OBJECT_NODE)
		add_node_resources(&b);
	add_claim(&b);
	add_neighbours(&b);
	add_node_cpu(&b);
	*out = b.out;
	*count = b.count;
}

struct metric_query queries_rule(void *mem, const char *expr)
{
	struct comparison c;

	if (promql_comparison(mem, expr, &c) != OK)
		return (struct metric_query){SERIES_RULE, str_dup(mem, expr), NULL};
	return (struct metric_query){SERIES_RULE, c.left, NULL};
}

static char *streams(void *mem, const struct subject *s)
{
	struct builder b = {.mem = mem, .subject = s};

	if (!match_pods(&b)) {
		b.base_count = 0;
		if (s->namespace != NULL && s->kind != OBJECT_NODE)
			match(&b, "namespace", "=", s->namespace);
		else if (s->kind == OBJECT_SERVICE)
			match(&b, s->service_label, "=", s->service);
		else
			return NULL;
	}
	return selector_text(mem, "", b.base, b.base_count);
}

/* Only the namespace: the lines of everything in it. */
static bool is_whole_namespace(const struct subject *s)
{
	return s->pod == NULL && s->workload == NULL && s->kind != OBJECT_SERVICE;
}

char *queries_logs(void *mem, const struct subject *s, bool trouble)
{
	static const char WORDS[] =
		"(?i)(error|exception|traceback|fatal|panic|fail|critical|out ?of ?memory|oom|"
		"killed|refused|timeout|timed out|denied|unavailable|no space)";
	char *selector = streams(mem, s);

	if (selector == NULL)
		return NULL;
	if (trouble || is_whole_namespace(s))
		return str_fmt(mem, "%s |~ %s | json", selector, selector_quote(mem, WORDS));
	return str_fmt(mem, "%s | json", selector);
}

/* Without a parser: that would fail the whole query at the first line that is no JSON. */
char *queries_log_volume(void *mem, const struct subject *s, int64_t step_ms)
{
	char *selector = streams(mem, s);

	if (selector == NULL)
		return NULL;
	return str_fmt(mem, "sum by (level, detected_level) (count_over_time(%s[%s]))", selector,
		       duration(mem, (step_ms + 999) / 1000));
}

/* A name with control characters is no service's; and not every reader of TraceQL knows their
 * escapes. */
static bool is_plain(const char *name)
{
	for (const char *c = name; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f || str_starts(c, "\xef\xbb\xbf"))
			return false;
	return true;
}

char *queries_traces(void *mem, const struct subject *s, enum trace_choice choice)
{
	static const char *const MORE[] = {[TRACES_SLOW] = " && duration > 1s",
					   [TRACES_FAILED] = " && status = error",
					   [TRACES_ANY] = ""};

	if (s->service == NULL || !is_plain(s->service))
		return NULL;
	return str_fmt(mem, "{ resource.service.name = %s%s }", selector_quote(mem, s->service),
		       MORE[choice]);
}
