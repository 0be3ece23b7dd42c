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
#include "domain/schema_parts.h"

#define FIRST "v1.0"

enum { DAY_MS = 24 * 3600 * 1000 };

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

const char *schema_version_of(void *mem, const char *dataschema)
{
	if (str_empty(dataschema))
		return FIRST;
	size_t n = strcspn(dataschema, "?#");
	size_t from = n;
	while (from > 0 && dataschema[from - 1] != '/')
		from--;
	char *name = str_ndup(mem, dataschema + from, n - from);
	return schema_is_version(name) ? name : SCHEMA_UNKNOWN;
}

static const struct family *family_of(const struct schema_registry *r, const char *type)
{
	for (size_t n = 0; n < SCHEMA_TYPE_COUNT; n++)
		if (str_eq(r->families[n].type, type))
			return &r->families[n];
	return NULL;
}

static enum status add_built_in(struct schema_registry *r)
{
	SCOPE(tmp);
	json_t *doc = NULL;

	for (size_t n = 0; n < sizeof(BUILT_IN) / sizeof(BUILT_IN[0]); n++) {
		TRY(json_parse(tmp, BUILT_IN[n], strlen(BUILT_IN[n]), &doc));
		TRY(schema_read(r, &(struct schema_source){.document = doc, .origin = "built in"},
				true));
	}
	return OK;
}

void schema_document_complete(json_t *doc, const json_t *old, int64_t now_ms)
{
	SCOPE(tmp);
	bool ends = json_is_true(json_object_get(doc, "deprecated"));
	json_t *adapters = json_object_get(doc, "adapters");

	if (json_is_object(adapters))
		json_object_update_missing(adapters, json_object_get(old, "adapters"));
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

/* From every version the hop to take towards those where `there` is true. One hop more in each
 * round: the way found first is the shortest. */
static void find_steps(const struct family *f, bool *there, const struct hop **steps)
{
	bool found = true;

	while (found) {
		bool reached[SCHEMA_VERSIONS_MAX] = {false};
		found = false;
		for (size_t h = 0; h < f->hop_count; h++) {
			size_t from = schema_place(f, f->hops[h]->from);
			size_t to = schema_place(f, f->hops[h]->to);
			if (from == f->count || to == f->count || there[from] || !there[to])
				continue;
			steps[from] = f->hops[h];
			reached[from] = true;
			found = true;
		}
		for (size_t n = 0; n < f->count; n++)
			there[n] = there[n] || reached[n];
	}
}

static void mark_from_native(struct family *f)
{
	for (size_t n = 0; n < f->count; n++)
		f->versions[n]->from_native = f->versions[n]->native;
	for (size_t round = 0; round < f->count; round++) {
		for (size_t h = 0; h < f->hop_count; h++) {
			const struct version *from = schema_find(f, f->hops[h]->from);
			struct version *to = schema_find(f, f->hops[h]->to);
			if (from != NULL && to != NULL && from->from_native)
				to->from_native = true;
		}
	}
}

static void find_ways(struct family *f)
{
	const struct hop *steps[SCHEMA_VERSIONS_MAX] = {NULL};
	bool there[SCHEMA_VERSIONS_MAX] = {false};

	for (size_t n = 0; n < f->count; n++)
		there[n] = f->versions[n]->native;
	find_steps(f, there, steps);
	for (size_t n = 0; n < f->count; n++)
		f->versions[n]->next = steps[n];
	mark_from_native(f);
}

static enum status check_ways(const struct family *f)
{
	for (size_t h = 0; h < f->hop_count; h++)
		if (schema_find(f, f->hops[h]->from) == NULL ||
		    schema_find(f, f->hops[h]->to) == NULL)
			return failure(E_INVALID, "%s: adapter %s->%s: no such version",
				       f->hops[h]->origin, f->hops[h]->from, f->hops[h]->to);
	for (size_t n = 0; n < f->count; n++) {
		const struct version *v = f->versions[n];
		if (!arrives(v) && !v->forced)
			return failure(
				E_INVALID,
				"%s: %s of %s breaks and has no adapter: it needs one that leads "
				"to a version this agent reads, such as \"%s->" FIRST "\"",
				v->origin, v->name, v->type, v->name);
	}
	return OK;
}

static enum status fill(struct schema_registry *r, const struct schema_source *sources,
			size_t count)
{
	for (size_t n = 0; n < SCHEMA_TYPE_COUNT; n++)
		r->families[n].type = SCHEMA_TYPES[n];
	TRY(add_built_in(r));
	for (size_t n = 0; n < count; n++) {
		enum status s = schema_read(r, &sources[n], false);
		if (s != OK)
			return failure_in(s, "%s", sources[n].origin);
	}
	for (size_t n = 0; n < SCHEMA_TYPE_COUNT; n++) {
		find_ways(&r->families[n]);
		TRY(check_ways(&r->families[n]));
	}
	return OK;
}

enum status schema_registry_new(const struct schema_source *sources, size_t count,
				struct schema_registry **out)
{
	struct schema_registry *r = NEW(NULL, struct schema_registry);

	r->holds = 1;
	enum status s = fill(r, sources, count);
	if (s == OK)
		*out = r;
	else
		talloc_free(r);
	return s;
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
	for (size_t t = 0; t < SCHEMA_TYPE_COUNT; t++) {
		const struct family *f = &r->families[t];
		metric_add(M_SCHEMA_ERRORS, 0, f->type, SCHEMA_UNKNOWN);
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

/* A version that is gone is not deprecated any more. */
static void end_gauges(const struct schema_registry *old, const struct schema_registry *new)
{
	for (size_t t = 0; t < SCHEMA_TYPE_COUNT; t++) {
		const struct family *f = &old->families[t];
		for (size_t n = 0; n < f->count; n++)
			if (schema_find(&new->families[t], f->versions[n]->name) == NULL)
				metric_set(M_SCHEMA_DEPRECATED, 0, f->type, f->versions[n]->name);
	}
}

void schema_install(struct schema_registry *r)
{
	begin_counters(r);
	pthread_mutex_lock(&current_lock);
	struct schema_registry *old = current;
	current = r;
	pthread_mutex_unlock(&current_lock);
	if (old == NULL)
		return;
	end_gauges(old, r);
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

static enum status no_way(const char *from, const char *to)
{
	return failure(E_INVALID, "No transformation defined for %s->%s", from, to);
}

static enum status missing_way(const struct version *v, struct schema_outcome *out)
{
	enum status s = no_way(v->name, FIRST);

	add_violation(out->report, "adapter", "/dataschema", status_message());
	metric_add(M_SCHEMA_TRANSFORMS, 1, v->name, FIRST, "missing");
	return s;
}

static enum status transform(void *mem, const struct family *f, const struct version *from,
			     const char *dataschema, struct schema_outcome *out)
{
	const struct version *v = from;
	json_t *data = NULL;

	for (; !v->native; v = schema_find(f, v->next->to)) {
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

static enum status walk(void *mem, const struct family *f, size_t from, size_t to,
			const json_t **data)
{
	const struct hop *steps[SCHEMA_VERSIONS_MAX] = {NULL};
	bool there[SCHEMA_VERSIONS_MAX] = {false};
	json_t *after = NULL;

	there[to] = true;
	find_steps(f, there, steps);
	if (!there[from])
		return no_way(f->versions[from]->name, f->versions[to]->name);
	for (; from != to; from = schema_place(f, steps[from]->to)) {
		TRY(adapter_run(mem, steps[from]->adapter, *data, &after));
		*data = after;
	}
	return OK;
}

enum status schema_transform(void *mem, const struct schema_registry *r, const json_t *event,
			     const char *to, json_t **out)
{
	const char *type = json_str(event, "type");
	const struct family *f = family_of(r, type);
	const char *dataschema = json_str(event, "dataschema");
	const char *from = schema_version_of(mem, dataschema);
	const json_t *data = json_object_get(event, "data");

	if (f == NULL)
		return failure(E_INVALID, "type %.100s is not known", type == NULL ? "" : type);
	size_t start = schema_place(f, from);
	size_t end = schema_place(f, to);
	if (start == f->count || end == f->count)
		return no_way(from, to);
	TRY(walk(mem, f, start, end, &data));
	*out = mem_own(mem, json_copy((json_t *)event));
	json_object_set(*out, "data", (json_t *)data);
	if (start != end)
		json_object_set_new(
			*out, "dataschema",
			json_string(dataschema_for(mem, dataschema == NULL ? "" : dataschema, to)));
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
	metric_add(M_SCHEMA_ERRORS, 1, f->type, SCHEMA_UNKNOWN);
	return s;
}

enum status schema_apply(void *mem, const struct schema_registry *r, const char *type,
			 const char *dataschema, const json_t *data, struct schema_outcome *out)
{
	const struct family *f = family_of(r, type);
	const char *detected = schema_version_of(mem, dataschema);
	const struct version *v = f == NULL ? NULL : schema_find(f, detected);
	const json_t *slo = json_object_get(data, "slo");
	enum status s = OK;

	*out = (struct schema_outcome){.version = v == NULL ? SCHEMA_UNKNOWN : detected,
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
		      const char *dataschema, const json_t *data, const char *why)
{
	const struct family *f = family_of(r, type);
	const char *detected = schema_version_of(mem, dataschema);
	const struct version *v = f == NULL ? NULL : schema_find(f, detected);
	json_t *report = report_of(mem, f, type, dataschema, detected);
	struct json_verdict verdict;

	if (v == NULL)
		return report;
	metric_add(M_SCHEMA_ERRORS, 1, f->type, v->name);
	if (v->schema != NULL && !json_schema_accepts(mem, v->schema, data, &verdict))
		add_violations(mem, report, &verdict);
	else
		add_violation(report, "alert", "/data", why);
	return report;
}

/* Showing it. */

static json_t *way_of(const struct family *f, const struct version *v)
{
	json_t *names = json_array();

	for (; v != NULL && !v->native && v->next != NULL; v = schema_find(f, v->next->to))
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
	json_t *one = json_pack("{s:s, s:s, s:s, s:b, s:o, s:O?, s:o, s:o, s:b, s:b, s:b}", "type",
				v->type, "version", v->name, "origin", v->origin, "internal",
				v->native, "path", way_of(f, v), "schema", v->schema_document,
				"adapters", adapters_of(f, v), "breaking_changes",
				v->changes == NULL ? json_array() : json_incref(v->changes),
				"deprecated", v->deprecated, "forward_compatible", arrives(v),
				"backward_compatible", v->from_native);

	show_deprecation(mem, v, now_ms, mem_check(one));
	return one;
}

json_t *schema_list(void *mem, const struct schema_registry *r, int64_t now_ms)
{
	json_t *all = mem_own(mem, json_array());

	for (size_t t = 0; t < SCHEMA_TYPE_COUNT; t++) {
		const struct family *f = &r->families[t];
		for (size_t n = 0; n < f->count; n++)
			json_array_append_new(all, show(mem, f, f->versions[n], now_ms));
	}
	return all;
}
