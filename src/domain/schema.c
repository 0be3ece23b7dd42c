/*
 * For every event type that this agent knows a family of versions and the adapters between them.
 * From each version the shortest way to one that is read as it is (native) is found when the
 * registry is made; applying it is then a walk along that way.
 */
#include "domain/schema.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "domain/adapter.h"
#include "domain/event.h"
#include "domain/json_schema.h"

#define FIRST "v1.0"
#define UNKNOWN "unknown"

static const char *const TYPES[] = {EVENT_TYPE_FIRED, EVENT_TYPE_RESOLVED};

enum { TYPE_COUNT = sizeof(TYPES) / sizeof(TYPES[0]), HOPS_MAX = 256, DAY_MS = 24 * 3600 * 1000 };

struct hop {
	const char *from, *to;
	const json_t *steps;
	struct adapter *adapter;
};

struct version {
	const char *type, *name, *origin;
	const json_t *document, *schema_document; /* schema_document NULL = none */
	json_t *changes;			  /* that break; NULL = none */
	struct json_schema *schema;
	bool built_in; /* its schema demands no more than decoding does */
	bool native;
	bool from_native;	/* adapters lead here from a native version */
	const struct hop *next; /* towards a native version; NULL = none */
	bool deprecated;
	int64_t deprecated_ms, end_ms;
};

struct family {
	const char *type;
	struct version *versions[SCHEMA_VERSIONS_MAX];
	size_t count;
	struct hop *hops[HOPS_MAX];
	size_t hop_count;
};

struct schema_registry {
	struct family families[TYPE_COUNT];
	int holds; /* under current_lock */
};

static pthread_mutex_t current_lock = PTHREAD_MUTEX_INITIALIZER;
static struct schema_registry *current;

#define ALERT_PROPERTIES \
	"\"status\":{\"enum\":[\"firing\",\"resolved\"]}," \
	"\"labels\":{\"type\":[\"object\",\"null\"],\"additionalProperties\":{\"type\":" \
	"\"string\"}}," \
	"\"annotations\":{\"type\":[\"object\",\"null\"],\"additionalProperties\":{\"type\":" \
	"\"string\"}}," \
	"\"startsAt\":{\"type\":[\"string\",\"null\"]},\"endsAt\":{\"type\":[\"string\",\"null\"]" \
	"}"
/* the name may stand in the labels alone */
#define NAMED_V1 \
	"\"anyOf\":[{\"required\":[\"alertname\"]},{\"required\":[\"labels\"],\"properties\":" \
	"{\"labels\":{\"type\":\"object\",\"required\":[\"alertname\"]}}}]"
#define ALERT_TYPES "\"type\":\"io.homelab.prometheus.alert.*\""

static const char *const BUILT_IN[] = {
	"{" ALERT_TYPES ",\"version\":\"v1.0\",\"schema\":{\"type\":\"object\",\"properties\":"
	"{" ALERT_PROPERTIES "},\"required\":[\"status\"]," NAMED_V1 "},"
	"\"adapters\":{\"v1.0->v2.0\":[{\"rename\":{\"path\":\"/alertname\",\"to\":\"alert_name\"}}"
	"]}}",
	"{" ALERT_TYPES ",\"version\":\"v1.1\",\"schema\":{\"type\":\"object\",\"properties\":"
	"{" ALERT_PROPERTIES ",\"slo\":{\"type\":[\"string\",\"null\"]}},"
	"\"required\":[\"status\"]," NAMED_V1 "}}",
	"{" ALERT_TYPES ",\"version\":\"v2.0\",\"schema\":{\"type\":\"object\",\"properties\":"
	"{" ALERT_PROPERTIES ",\"slo\":{\"type\":[\"string\",\"null\"]},"
	"\"alert_name\":{\"type\":\"string\",\"minLength\":1}},"
	"\"required\":[\"status\",\"alert_name\"]},"
	"\"breaking_changes\":[\"alertname is called alert_name\"],"
	"\"adapters\":{\"v2.0->v1.0\":[{\"rename\":{\"path\":\"/alert_name\",\"to\":\"alertname\"}}"
	"]}}",
};

static size_t digits(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n <= 4 ? n : 0;
}

/* v<major>.<minor> */
static bool is_version(const char *s)
{
	size_t major = *s == 'v' ? digits(s + 1) : 0;

	if (major == 0 || s[1 + major] != '.')
		return false;
	size_t minor = digits(s + major + 2);
	return minor > 0 && s[major + 2 + minor] == '\0';
}

const char *schema_version_of(void *mem, const char *dataschema)
{
	if (str_empty(dataschema))
		return FIRST;
	size_t n = strcspn(dataschema, "?#");
	size_t from = n;
	while (from > 0 && dataschema[from - 1] != '/')
		from--;
	char *name = str_ndup(mem, dataschema + from, n - from);
	return is_version(name) ? name : UNKNOWN;
}

static struct version *find(const struct family *f, const char *name)
{
	for (size_t n = 0; n < f->count; n++)
		if (str_eq(f->versions[n]->name, name))
			return f->versions[n];
	return NULL;
}

static const struct family *family_of(const struct schema_registry *r, const char *type)
{
	for (size_t n = 0; n < TYPE_COUNT; n++)
		if (str_eq(r->families[n].type, type))
			return &r->families[n];
	return NULL;
}

/* Reading documents. */

static enum status check_members(const json_t *doc)
{
	static const char *const KNOWN[] = {"type",
					    "version",
					    "schema",
					    "adapters",
					    "breaking_changes",
					    "deprecated",
					    "deprecation_date",
					    "end_of_life_date",
					    "activate_without_adapter",
					    "description"};
	const char *name;
	json_t *value;

	if (!json_is_object(doc))
		return failure(E_INVALID, "a schema version must be an object");
	json_object_foreach ((json_t *)doc, name, value) {
		bool known = false;
		for (size_t n = 0; n < sizeof(KNOWN) / sizeof(KNOWN[0]); n++)
			known = known || str_eq(name, KNOWN[n]);
		if (!known)
			return failure(E_INVALID, "unknown member %.60s", name);
	}
	if (json_str(doc, "type") == NULL || json_str(doc, "version") == NULL)
		return failure(E_INVALID, "type and version must be given, as strings");
	if (!is_version(json_str(doc, "version")))
		return failure(E_INVALID, "version must read v<major>.<minor>, as in v2.0");
	return OK;
}

static enum status read_time(const json_t *doc, const char *key, int64_t *ms)
{
	const json_t *value = json_object_get(doc, key);

	if (value == NULL)
		return OK;
	if (!json_is_string(value) || clock_parse(json_string_value(value), ms) != OK)
		return failure(E_INVALID, "%s must be an RFC 3339 time", key);
	return OK;
}

static enum status read_deprecation(const json_t *doc, struct version *v)
{
	const json_t *said = json_object_get(doc, "deprecated");

	if (said != NULL && !json_is_boolean(said))
		return failure(E_INVALID, "deprecated must be true or false");
	v->deprecated = json_is_true(said);
	v->deprecated_ms = 0;
	TRY(read_time(doc, "deprecation_date", &v->deprecated_ms));
	v->end_ms = v->deprecated_ms == 0 ? 0 : v->deprecated_ms + SCHEMA_NOTICE_MS;
	TRY(read_time(doc, "end_of_life_date", &v->end_ms));
	if (v->deprecated && v->deprecated_ms == 0)
		return failure(E_INVALID, "a deprecated version needs deprecation_date");
	if (!v->deprecated && v->end_ms != 0)
		return failure(E_INVALID, "dates of an end need deprecated: true");
	if (v->end_ms < v->deprecated_ms + (v->deprecated ? SCHEMA_NOTICE_MS : 0))
		return failure(E_INVALID,
			       "end_of_life_date must be 90 days or more after the notice "
			       "(deprecation_date)");
	return OK;
}

static enum status read_schema(void *mem, const json_t *doc, struct version *v)
{
	json_t *schema = json_object_get(doc, "schema");

	if (schema == NULL)
		return OK;
	enum status s = json_schema_compile(mem, schema, &v->schema);
	if (s != OK)
		return failure_in(s, "schema");
	v->schema_document = schema;
	return OK;
}

static enum status add_hop(struct family *f, const struct hop *hop)
{
	for (size_t n = 0; n < f->hop_count; n++) {
		if (str_eq(f->hops[n]->from, hop->from) && str_eq(f->hops[n]->to, hop->to)) {
			*f->hops[n] = *hop;
			return OK;
		}
	}
	if (f->hop_count == HOPS_MAX)
		return failure(E_INVALID, "more than %d adapters of one type", HOPS_MAX);
	f->hops[f->hop_count] = mem_check(talloc_memdup(hop->adapter, hop, sizeof(*hop)));
	f->hop_count++;
	return OK;
}

static enum status read_hop(void *mem, const char *name, const json_t *steps, struct hop *hop)
{
	const char *arrow = strstr(name, "->");

	if (arrow == NULL)
		return failure(E_INVALID, "must be named as in \"v1.0->v2.0\"");
	hop->from = str_ndup(mem, name, (size_t)(arrow - name));
	hop->to = str_dup(mem, arrow + 2);
	hop->steps = steps;
	if (!is_version(hop->from) || !is_version(hop->to) || str_eq(hop->from, hop->to))
		return failure(E_INVALID, "must lead from one version to another");
	return adapter_compile(mem, steps, &hop->adapter);
}

static enum status read_hops(void *mem, const json_t *doc, struct family *f)
{
	const json_t *adapters = json_object_get(doc, "adapters");
	const char *version = json_str(doc, "version");
	const char *name;
	json_t *steps;

	if (adapters != NULL && !json_is_object(adapters))
		return failure(E_INVALID, "adapters must be an object");
	json_object_foreach ((json_t *)adapters, name, steps) {
		struct hop hop = {0};
		enum status s = read_hop(mem, name, steps, &hop);
		if (s == OK && !str_eq(hop.from, version) && !str_eq(hop.to, version))
			s = failure(E_INVALID, "does not concern %s", version);
		if (s == OK)
			s = add_hop(f, &hop);
		if (s != OK)
			return failure_in(s, "adapters/%.60s", name);
	}
	return OK;
}

/* v1.x is the internal record with members more or fewer, unless it says that it breaks. */
static enum status read_breaking(json_t *doc, struct version *v, bool is_new)
{
	json_t *changes = json_object_get(doc, "breaking_changes");
	size_t n;
	json_t *text;

	if (changes != NULL && !json_is_array(changes))
		return failure(E_INVALID, "breaking_changes must be an array");
	json_array_foreach (changes, n, text)
		if (!json_is_string(text))
			return failure(E_INVALID, "breaking_changes must hold strings");
	if (changes != NULL || is_new) {
		v->changes = changes;
		v->native = str_starts(v->name, "v1.") && json_array_size(changes) == 0;
	}
	return OK;
}

/* What a replacement does not say stays as it was. */
static struct version *version_for(void *mem, struct family *f, const char *name)
{
	struct version *old = find(f, name);

	if (old != NULL || f->count == SCHEMA_VERSIONS_MAX)
		return old;
	struct version *v = NEW(mem, struct version);
	v->type = f->type;
	v->name = str_dup(v, name);
	f->versions[f->count++] = v;
	return v;
}

static enum status add_to_family(void *mem, struct family *f, const struct schema_source *source,
				 bool built_in)
{
	json_t *doc = mem_own(mem, json_deep_copy(source->document));
	struct version *v = version_for(mem, f, json_str(doc, "version"));

	if (v == NULL)
		return failure(E_INVALID, "more than %d versions of one type", SCHEMA_VERSIONS_MAX);
	bool is_new = v->document == NULL;
	v->document = doc;
	v->origin = str_dup(mem, source->origin);
	if (json_object_get(doc, "schema") != NULL)
		v->built_in = built_in;
	TRY(read_schema(mem, doc, v));
	TRY(read_breaking(doc, v, is_new));
	TRY(read_deprecation(doc, v));
	return read_hops(mem, doc, f);
}

static enum status add(struct schema_registry *r, const struct schema_source *source, bool built_in)
{
	bool known = false;

	TRY(check_members(source->document));
	const char *type = json_str(source->document, "type");
	for (size_t n = 0; n < TYPE_COUNT; n++) {
		if (!str_glob(type, TYPES[n]))
			continue;
		known = true;
		TRY(add_to_family(r, &r->families[n], source, built_in));
	}
	if (!known)
		return failure(E_INVALID,
			       "type %.100s is none that this agent knows: want " EVENT_TYPE_FIRED
			       " or " EVENT_TYPE_RESOLVED,
			       type);
	return OK;
}

static enum status add_built_in(struct schema_registry *r)
{
	SCOPE(tmp);
	json_t *doc = NULL;

	for (size_t n = 0; n < sizeof(BUILT_IN) / sizeof(BUILT_IN[0]); n++) {
		TRY(json_parse(tmp, BUILT_IN[n], strlen(BUILT_IN[n]), &doc));
		TRY(add(r, &(struct schema_source){.document = doc, .origin = "built in"}, true));
	}
	return OK;
}

void schema_document_complete(json_t *doc, const json_t *old, int64_t now_ms)
{
	SCOPE(tmp);
	bool ends = json_is_true(json_object_get(doc, "deprecated"));

	if (old != NULL)
		json_object_update_missing(doc, (json_t *)old);
	if (json_is_false(json_object_get(doc, "deprecated"))) {
		json_object_del(doc, "deprecation_date");
		json_object_del(doc, "end_of_life_date");
	}
	if (ends && json_object_get(doc, "deprecation_date") == NULL)
		json_object_set_new(doc, "deprecation_date",
				    json_string(clock_format(tmp, now_ms)));
}

/* The ways between versions. */

static bool arrives(const struct version *v)
{
	return v->native || v->next != NULL;
}

/* One hop more in each round: the way found first is the shortest. */
static void find_ways(struct family *f)
{
	bool found = true;

	while (found) {
		const struct hop *step[SCHEMA_VERSIONS_MAX] = {NULL};
		found = false;
		for (size_t h = 0; h < f->hop_count; h++) {
			const struct version *to = find(f, f->hops[h]->to);
			for (size_t n = 0; n < f->count; n++)
				if (str_eq(f->versions[n]->name, f->hops[h]->from) &&
				    !arrives(f->versions[n]) && to != NULL && arrives(to))
					step[n] = f->hops[h];
		}
		for (size_t n = 0; n < f->count; n++) {
			found = found || step[n] != NULL;
			if (step[n] != NULL)
				f->versions[n]->next = step[n];
		}
	}
	for (size_t n = 0; n < f->count; n++)
		f->versions[n]->from_native = f->versions[n]->native;
	for (size_t round = 0; round < f->count; round++) {
		for (size_t h = 0; h < f->hop_count; h++) {
			const struct version *from = find(f, f->hops[h]->from);
			struct version *to = find(f, f->hops[h]->to);
			if (from != NULL && to != NULL && from->from_native)
				to->from_native = true;
		}
	}
}

static enum status check_ways(const struct family *f)
{
	for (size_t h = 0; h < f->hop_count; h++)
		if (find(f, f->hops[h]->from) == NULL || find(f, f->hops[h]->to) == NULL)
			return failure(E_INVALID, "adapter %s->%s: no such version",
				       f->hops[h]->from, f->hops[h]->to);
	for (size_t n = 0; n < f->count; n++) {
		const struct version *v = f->versions[n];
		bool forced =
			json_is_true(json_object_get(v->document, "activate_without_adapter"));
		if (!arrives(v) && !forced)
			return failure(
				E_INVALID,
				"%s of %s breaks and has no adapter: it needs one that leads "
				"to a version this agent reads, such as \"%s->" FIRST "\"",
				v->name, v->type, v->name);
	}
	return OK;
}

enum status schema_registry_new(const struct schema_source *sources, size_t count,
				struct schema_registry **out)
{
	SCOPE(tmp);
	struct schema_registry *r = NEW(tmp, struct schema_registry);

	for (size_t n = 0; n < TYPE_COUNT; n++)
		r->families[n].type = TYPES[n];
	TRY(add_built_in(r));
	for (size_t n = 0; n < count; n++) {
		enum status s = add(r, &sources[n], false);
		if (s != OK)
			return failure_in(s, "%s", sources[n].origin);
	}
	for (size_t n = 0; n < TYPE_COUNT; n++) {
		find_ways(&r->families[n]);
		TRY(check_ways(&r->families[n]));
	}
	r->holds = 1;
	*out = talloc_steal(NULL, r);
	return OK;
}

void schema_registry_release(struct schema_registry *r)
{
	pthread_mutex_lock(&current_lock);
	bool gone = --r->holds == 0;
	pthread_mutex_unlock(&current_lock);
	if (gone)
		talloc_free(r);
}

/* A counter that begins at 1 has not increased for Prometheus: all of them begin at 0. */
static void begin_counters(const struct schema_registry *r)
{
	for (size_t t = 0; t < TYPE_COUNT; t++) {
		const struct family *f = &r->families[t];
		metric_add(M_SCHEMA_ERRORS, 0, f->type, UNKNOWN);
		for (size_t n = 0; n < f->count; n++) {
			const struct version *v = f->versions[n];
			metric_add(M_SCHEMA_ERRORS, 0, f->type, v->name);
			metric_add(M_SCHEMA_USAGE, 0, f->type, v->name);
			metric_set(M_SCHEMA_DEPRECATED, v->deprecated, f->type, v->name);
		}
	}
}

struct schema_registry *schema_current(void)
{
	pthread_mutex_lock(&current_lock);
	if (current == NULL) {
		enum status s = schema_registry_new(NULL, 0, &current);
		assert(s == OK); /* what is built in is right */
		(void)s;
		begin_counters(current);
	}
	struct schema_registry *r = current;
	r->holds++;
	pthread_mutex_unlock(&current_lock);
	return r;
}

void schema_install(struct schema_registry *r)
{
	begin_counters(r);
	pthread_mutex_lock(&current_lock);
	struct schema_registry *old = current;
	current = r;
	pthread_mutex_unlock(&current_lock);
	if (old != NULL)
		schema_registry_release(old);
}

/* Applying it. */

static json_t *supported(const struct family *f)
{
	json_t *names = json_array();

	for (size_t n = 0; f != NULL && n < f->count; n++)
		json_array_append_new(names, json_string(f->versions[n]->name));
	return names;
}

static json_t *report_of(void *mem, const struct family *f, const char *type,
			 const char *dataschema, const char *version)
{
	return mem_own(mem, json_pack("{s:s, s:s, s:s, s:o, s:[]}", "type", type, "dataschema",
				      dataschema == NULL ? "" : dataschema, "detected_version",
				      version, "supported", supported(f), "violations"));
}

static void add_violation(json_t *report, const char *rule, const char *pointer,
			  const char *message)
{
	json_array_append_new(json_object_get(report, "violations"),
			      mem_check(json_pack("{s:s, s:s, s:s}", "rule", rule, "pointer",
						  pointer, "message", message)));
}

static void add_violations(void *mem, json_t *report, const struct json_verdict *verdict)
{
	for (size_t n = 0; n < verdict->count; n++) {
		const struct json_violation *v = &verdict->violations[n];
		add_violation(report, v->rule, str_fmt(mem, "/data%s", v->pointer), v->text);
	}
}

static enum status validate(void *mem, const struct version *v, const json_t *data,
			    struct schema_outcome *out)
{
	struct json_verdict verdict;
	int64_t began = clock_monotonic();
	bool good = json_schema_accepts(mem, v->schema, data, &verdict);

	metric_observe(M_SCHEMA_SECONDS, (double)(clock_monotonic() - began) / 1000.0);
	if (good)
		return OK;
	add_violations(mem, out->report, &verdict);
	const struct json_violation *first = &verdict.violations[0];
	return failure(E_INVALID, "data%s%s (rule %s of schema version %s)",
		       *first->pointer == '\0' ? " " : "", first->text, first->rule, v->name);
}

static char *dataschema_for(void *mem, const char *dataschema, const char *version)
{
	const char *slash = strrchr(dataschema, '/');
	size_t keep = slash == NULL ? 0 : (size_t)(slash + 1 - dataschema);

	return str_fmt(mem, "%.*s%s", (int)keep, dataschema, version);
}

static enum status missing_way(const struct version *v, struct schema_outcome *out)
{
	enum status s = failure(E_INVALID, "No transformation defined for %s->" FIRST, v->name);

	add_violation(out->report, "adapter", "/dataschema", status_message());
	metric_add(M_SCHEMA_TRANSFORMS, 1, v->name, FIRST, "missing");
	return s;
}

static enum status transform(void *mem, const struct family *f, const struct version *from,
			     const char *dataschema, struct schema_outcome *out)
{
	const struct version *v = from;
	json_t *data = NULL;

	for (; !v->native; v = find(f, v->next->to)) {
		if (v->next == NULL)
			return missing_way(from, out);
		enum status s = adapter_run(mem, v->next->adapter, out->data, &data);
		if (s != OK) {
			s = failure_in(s, "data: transformation %s->%s", v->next->from,
				       v->next->to);
			add_violation(out->report, "adapter", "/data", status_message());
			metric_add(M_SCHEMA_TRANSFORMS, 1, from->name, v->next->to, "failure");
			return s;
		}
		out->data = data;
	}
	if (v == from)
		return OK;
	metric_add(M_SCHEMA_TRANSFORMS, 1, from->name, v->name, "success");
	out->dataschema = dataschema_for(mem, dataschema, v->name);
	return OK;
}

/* What decoding checks anyway is not checked twice. */
static bool is_checked_by_decoding(const struct version *v, const json_t *slo)
{
	return v->native && v->built_in &&
	       (slo == NULL || json_is_string(slo) || v->schema_document == NULL ||
		str_eq(v->name, FIRST));
}

static enum status unknown_version(const struct family *f, const char *dataschema,
				   struct schema_outcome *out)
{
	enum status s =
		failure(E_INVALID,
			"dataschema %.200s names an unknown schema version; see GET /schemas"
			" for those that are known",
			dataschema);

	add_violation(out->report, "version", "/dataschema", status_message());
	metric_add(M_SCHEMA_ERRORS, 1, f->type, UNKNOWN);
	return s;
}

enum status schema_apply(void *mem, const struct schema_registry *r, const char *type,
			 const char *dataschema, const json_t *data, struct schema_outcome *out)
{
	const struct family *f = family_of(r, type);
	const char *detected = schema_version_of(mem, dataschema);
	const struct version *v = f == NULL ? NULL : find(f, detected);
	const json_t *slo = json_object_get(data, "slo");
	enum status s = OK;

	*out = (struct schema_outcome){.version = v == NULL ? UNKNOWN : detected,
				       .data = data,
				       .dataschema = dataschema == NULL ? "" : dataschema};
	if (f == NULL)
		return failure(E_INVALID, "type %.100s is not known", type);
	if (v != NULL) {
		metric_add(M_SCHEMA_USAGE, 1, f->type, v->name);
		out->slo = json_is_string(slo) ? str_dup(mem, json_string_value(slo)) : "";
		if (is_checked_by_decoding(v, slo))
			return OK;
	}
	out->report = report_of(mem, f, type, dataschema, detected);
	if (v == NULL)
		return unknown_version(f, out->dataschema, out);
	if (v->schema != NULL)
		s = validate(mem, v, data, out);
	if (s == OK)
		s = transform(mem, f, v, out->dataschema, out);
	if (s != OK)
		metric_add(M_SCHEMA_ERRORS, 1, f->type, v->name);
	else if (out->data != data && json_str(out->data, "slo") != NULL)
		out->slo = str_dup(mem, json_str(out->data, "slo"));
	return s;
}

json_t *schema_report(void *mem, const struct schema_registry *r, const char *type,
		      const char *dataschema, const json_t *data)
{
	const struct family *f = family_of(r, type);
	const char *detected = schema_version_of(mem, dataschema);
	const struct version *v = f == NULL ? NULL : find(f, detected);
	json_t *report = report_of(mem, f, type, dataschema, detected);
	struct json_verdict verdict;

	if (v == NULL)
		return report;
	metric_add(M_SCHEMA_ERRORS, 1, f->type, v->name);
	if (v->schema != NULL && !json_schema_accepts(mem, v->schema, data, &verdict))
		add_violations(mem, report, &verdict);
	return report;
}

/* Showing it. */

static json_t *way_of(const struct family *f, const struct version *v)
{
	json_t *names = json_array();

	for (; v != NULL && !v->native && v->next != NULL; v = find(f, v->next->to))
		json_array_append_new(names, json_string(v->next->to));
	return names;
}

static json_t *adapters_of(const struct family *f, const struct version *v)
{
	json_t *all = json_object();
	char name[32];

	for (size_t h = 0; h < f->hop_count; h++) {
		if (!str_eq(f->hops[h]->from, v->name))
			continue;
		str_print(name, sizeof(name), "%s->%s", f->hops[h]->from, f->hops[h]->to);
		json_object_set(all, name, (json_t *)f->hops[h]->steps);
	}
	return all;
}

static void show_deprecation(void *mem, const struct version *v, int64_t now_ms, json_t *to)
{
	if (!v->deprecated)
		return;
	int64_t left = v->end_ms > now_ms ? (v->end_ms - now_ms + DAY_MS - 1) / DAY_MS : 0;
	json_object_set_new(to, "deprecation_date",
			    json_string(clock_format(mem, v->deprecated_ms)));
	json_object_set_new(to, "end_of_life_date", json_string(clock_format(mem, v->end_ms)));
	json_object_set_new(to, "days_left", json_integer(left));
}

static json_t *show(void *mem, const struct family *f, const struct version *v, int64_t now_ms)
{
	json_t *one = json_pack(
		"{s:s, s:s, s:s, s:b, s:o, s:O?, s:o, s:o, s:b, s:b, s:b, s:I, s:I}", "type",
		v->type, "version", v->name, "origin", v->origin, "internal", v->native, "path",
		way_of(f, v), "schema", v->schema_document, "adapters", adapters_of(f, v),
		"breaking_changes", v->changes == NULL ? json_array() : json_incref(v->changes),
		"deprecated", v->deprecated, "forward_compatible", arrives(v),
		"backward_compatible", v->from_native, "usage",
		(json_int_t)metric_value(M_SCHEMA_USAGE, v->type, v->name), "validation_errors",
		(json_int_t)metric_value(M_SCHEMA_ERRORS, v->type, v->name));

	show_deprecation(mem, v, now_ms, mem_check(one));
	return one;
}

json_t *schema_list(void *mem, const struct schema_registry *r, int64_t now_ms)
{
	json_t *all = mem_own(mem, json_array());

	for (size_t t = 0; t < TYPE_COUNT; t++) {
		const struct family *f = &r->families[t];
		for (size_t n = 0; n < f->count; n++)
			json_array_append_new(all, show(mem, f, f->versions[n], now_ms));
	}
	return all;
}
