/* Documents become versions and adapters of the families. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/event.h"
#include "domain/schema_parts.h"

const char *const SCHEMA_TYPES[SCHEMA_TYPE_COUNT] = {EVENT_TYPE_FIRED, EVENT_TYPE_RESOLVED};

static size_t digits(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n <= 4 && (n == 1 || s[0] != '0') ? n : 0;
}

bool schema_is_version(const char *s)
{
	size_t major = *s == 'v' ? digits(s + 1) : 0;

	if (major == 0 || s[1 + major] != '.')
		return false;
	size_t minor = digits(s + major + 2);
	return minor > 0 && s[major + 2 + minor] == '\0';
}

size_t schema_place(const struct family *f, const char *name)
{
	size_t n = 0;

	while (n < f->count && !str_eq(f->versions[n]->name, name))
		n++;
	return n;
}

struct version *schema_find(const struct family *f, const char *name)
{
	size_t n = schema_place(f, name);

	return n < f->count ? f->versions[n] : NULL;
}

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
	if (json_dumpb(doc, NULL, 0, JSON_COMPACT) > SCHEMA_DOCUMENT_BYTES)
		return failure(E_INVALID, "is longer than %d KiB", SCHEMA_DOCUMENT_BYTES / 1024);
	json_object_foreach ((json_t *)doc, name, value) {
		bool known = false;
		for (size_t n = 0; n < sizeof(KNOWN) / sizeof(KNOWN[0]); n++)
			known = known || str_eq(name, KNOWN[n]);
		if (!known)
			return failure(E_INVALID, "unknown member %.60s", name);
	}
	if (json_str(doc, "type") == NULL || json_str(doc, "version") == NULL)
		return failure(E_INVALID, "type and version must be given, as strings");
	if (!schema_is_version(json_str(doc, "version")))
		return failure(E_INVALID, "version must read v<major>.<minor>, as in v2.0");
	const json_t *forced = json_object_get(doc, "activate_without_adapter");
	if (forced != NULL && !json_is_boolean(forced))
		return failure(E_INVALID, "activate_without_adapter must be true or false");
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

	if (said == NULL && json_object_get(doc, "deprecation_date") == NULL &&
	    json_object_get(doc, "end_of_life_date") == NULL)
		return OK;
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
	if (f->hop_count == SCHEMA_HOPS_MAX)
		return failure(E_INVALID, "more than %d adapters of one type", SCHEMA_HOPS_MAX);
	f->hops[f->hop_count] = mem_check(talloc_memdup(hop->adapter, hop, sizeof(*hop)));
	f->hop_count++;
	return OK;
}

static void remove_hop(struct family *f, const struct hop *hop)
{
	for (size_t n = 0; n < f->hop_count; n++)
		if (str_eq(f->hops[n]->from, hop->from) && str_eq(f->hops[n]->to, hop->to))
			f->hops[n--] = f->hops[--f->hop_count];
}

static enum status read_hop(void *mem, const char *name, const json_t *steps, struct hop *hop)
{
	const char *arrow = strstr(name, "->");

	if (arrow == NULL)
		return failure(E_INVALID, "must be named as in \"v1.0->v2.0\"");
	hop->from = str_ndup(mem, name, (size_t)(arrow - name));
	hop->to = str_dup(mem, arrow + 2);
	hop->steps = steps;
	if (!schema_is_version(hop->from) || !schema_is_version(hop->to) ||
	    str_eq(hop->from, hop->to))
		return failure(E_INVALID, "must lead from one version to another");
	return json_is_null(steps) ? OK : adapter_compile(mem, steps, &hop->adapter);
}

static enum status read_hops(void *mem, const json_t *doc, const char *origin, struct family *f)
{
	const json_t *adapters = json_object_get(doc, "adapters");
	const char *version = json_str(doc, "version");
	const char *name;
	json_t *steps;

	if (adapters != NULL && !json_is_object(adapters))
		return failure(E_INVALID, "adapters must be an object");
	json_object_foreach ((json_t *)adapters, name, steps) {
		struct hop hop = {.origin = origin};
		enum status s = read_hop(mem, name, steps, &hop);
		if (s == OK && !str_eq(hop.from, version) && !str_eq(hop.to, version))
			s = failure(E_INVALID, "does not concern %s", version);
		if (s == OK && hop.adapter == NULL)
			remove_hop(f, &hop);
		else if (s == OK)
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
	struct version *old = schema_find(f, name);

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
	const json_t *forced = json_object_get(doc, "activate_without_adapter");
	if (forced != NULL)
		v->forced = json_is_true(forced);
	if (json_object_get(doc, "schema") != NULL)
		v->built_in = built_in;
	TRY(read_schema(mem, doc, v));
	TRY(read_breaking(doc, v, is_new));
	TRY(read_deprecation(doc, v));
	return read_hops(mem, doc, v->origin, f);
}

enum status schema_read(struct schema_registry *r, const struct schema_source *source,
			bool built_in)
{
	bool known = false;

	TRY(check_members(source->document));
	const char *type = json_str(source->document, "type");
	for (size_t n = 0; n < SCHEMA_TYPE_COUNT; n++) {
		if (!str_glob(type, SCHEMA_TYPES[n]))
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
