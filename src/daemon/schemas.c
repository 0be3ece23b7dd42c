/*
 * Whatever changes, the whole registry is built anew from its three sources and takes the place of
 * the present one only when all of it is right.
 */
#include "daemon/schemas.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "daemon/audit.h"
#include "daemon/reply.h"
#include "daemon/schema_files.h"
#include "domain/schema.h"
#include "store/schemas.h"

enum {
	COUNTED_MAX = 512,
	DOCUMENTS_MAX = 64, /* of one request */
	TROUBLE_BYTES = 1024
};

/* How far the counters of one version are in the store. */
struct counted {
	char type[64], version[16];
	double received, errors;
};

struct schemas {
	const char *path;
	struct store *store;
	pthread_mutex_t lock; /* of a change, and of all that follows */
	char digest[65];      /* of the files that are loaded */
	char trouble[TROUBLE_BYTES];
	struct counted counted[COUNTED_MAX];
	size_t counted_count;
};

/* What a registry is built from. */
struct sources {
	struct schema_source *list;
	size_t count;
};

static void add_source(void *mem, struct sources *all, const json_t *document, const char *origin)
{
	all->list = GROW(mem, all->list, struct schema_source, all->count + 1);
	all->list[all->count++] = (struct schema_source){.document = document, .origin = origin};
}

static enum status load_files(void *mem, const struct schemas *s, struct sources *all)
{
	*all = (struct sources){0};
	if (str_empty(s->path))
		return OK;
	if (schema_files_load(mem, s->path, &all->list, &all->count) != OK)
		return failure_in(E_INVALID, "schemas");
	return OK;
}

static bool is_same(const struct schema_entry *e, const json_t *document)
{
	return str_eq(e->type, json_str(document, "type")) &&
	       str_eq(e->version, json_str(document, "version"));
}

static bool is_replaced(const struct schema_entry *e, const struct schema_entry *by, size_t count)
{
	for (size_t n = 0; n < count; n++)
		if (is_same(e, by[n].document))
			return true;
	return false;
}

/* What is in the store, less what `more` replaces, then that. */
static void add_entries(void *mem, struct sources *all, const struct schema_entry *kept,
			size_t kept_count, const struct schema_entry *more, size_t count)
{
	for (size_t n = 0; n < kept_count; n++)
		if (!is_replaced(&kept[n], more, count))
			add_source(mem, all, kept[n].document, "run time");
	for (size_t n = 0; n < count; n++)
		add_source(mem, all, more[n].document, "run time");
}

static const char *digest_of(void *mem, const struct sources *files)
{
	json_t *all = mem_own(mem, json_array());

	for (size_t n = 0; n < files->count; n++) {
		json_array_append_new(all, json_string(files->list[n].origin));
		json_array_append(all, (json_t *)files->list[n].document);
	}
	const char *text = json_text(mem, all);
	return id_sha256(mem, text, strlen(text));
}

static void settle_in(struct schemas *s, struct schema_registry *r, const char *digest)
{
	schema_install(r);
	str_print(s->digest, sizeof(s->digest), "%s", digest);
}

/* Says it once, however often it is found. */
static void note_trouble(struct schemas *s, const char *why)
{
	if (str_eq(s->trouble, why))
		return;
	str_print(s->trouble, sizeof(s->trouble), "%s", why);
	log_event(LOG_ERROR, "schemas_not_loaded", "error", s->trouble, NULL);
}

/* Files and store together; when the store's no longer fit, the files alone. */
static enum status load(void *mem, struct schemas *s)
{
	struct sources all;
	struct schema_entry *kept = NULL;
	size_t kept_count = 0;
	struct schema_registry *r = NULL;

	TRY(load_files(mem, s, &all));
	const char *digest = digest_of(mem, &all);
	size_t file_count = all.count;
	TRY(store_schemas(mem, s->store, &kept, &kept_count));
	add_entries(mem, &all, kept, kept_count, NULL, 0);
	if (schema_registry_new(all.list, all.count, &r) == OK) {
		settle_in(s, r, digest);
		s->trouble[0] = '\0';
		return OK;
	}
	const char *why = str_dup(mem, status_message());
	TRY(schema_registry_new(all.list, file_count, &r));
	settle_in(s, r, digest);
	note_trouble(s, why);
	return OK;
}

static bool files_changed(void *mem, const struct schemas *s)
{
	struct sources files;

	return load_files(mem, s, &files) != OK || !str_eq(digest_of(mem, &files), s->digest);
}

static void reload(struct schemas *s)
{
	SCOPE(mem);

	if (str_empty(s->trouble) && !files_changed(mem, s))
		return;
	if (load(mem, s) != OK)
		note_trouble(s, status_message());
	else if (str_empty(s->trouble))
		log_event(LOG_INFO, "schemas_loaded", "path", s->path, NULL);
}

static struct counted *counted_of(struct schemas *s, const char *type, const char *version)
{
	for (size_t n = 0; n < s->counted_count; n++)
		if (str_eq(s->counted[n].type, type) && str_eq(s->counted[n].version, version))
			return &s->counted[n];
	if (s->counted_count == COUNTED_MAX)
		return NULL;
	struct counted *c = &s->counted[s->counted_count++];
	*c = (struct counted){0};
	str_print(c->type, sizeof(c->type), "%s", type);
	str_print(c->version, sizeof(c->version), "%s", version);
	return c;
}

struct tally {
	struct schema_usage *more;
	struct counted **from; /* of each of `more` */
	size_t count;
};

static void tally_one(struct schemas *s, struct tally *t, const char *type, const char *version)
{
	struct counted *c = counted_of(s, type, version);

	if (c == NULL)
		return;
	double received = metric_value(M_SCHEMA_USAGE, type, version);
	double errors = metric_value(M_SCHEMA_ERRORS, type, version);
	if (received <= c->received && errors <= c->errors)
		return;
	t->from[t->count] = c;
	t->more[t->count++] = (struct schema_usage){.type = type,
						    .version = version,
						    .received = (int64_t)(received - c->received),
						    .errors = (int64_t)(errors - c->errors),
						    .last_seen_ms = clock_now()};
}

/* What was counted since the last time goes to the store. */
static void keep_counts(struct schemas *s)
{
	SCOPE(mem);
	struct schema_registry *r = schema_current();
	const json_t *versions = schema_list(mem, r, clock_now());
	struct tally t = {.more = NEW_ARRAY(mem, struct schema_usage, COUNTED_MAX),
			  .from = NEW_ARRAY(mem, struct counted *, COUNTED_MAX)};
	size_t n;
	json_t *v;
	const char *last = NULL;

	json_array_foreach (versions, n, v) {
		const char *type = json_str(v, "type");
		tally_one(s, &t, type, json_str(v, "version"));
		if (!str_eq(type, last))
			tally_one(s, &t, type, SCHEMA_UNKNOWN);
		last = type;
	}
	schema_registry_release(r);
	if (t.count == 0)
		return;
	if (store_schema_usage_add(s->store, t.more, t.count) != OK) {
		log_event(LOG_ERROR, "schema_usage_not_kept", "error", status_message(), NULL);
		return;
	}
	for (n = 0; n < t.count; n++) {
		t.from[n]->received += (double)t.more[n].received;
		t.from[n]->errors += (double)t.more[n].errors;
	}
}

enum status schemas_start(void *mem, const char *path, struct store *store, struct schemas **out)
{
	SCOPE(tmp);
	struct schemas *s = NEW(mem, struct schemas);

	s->path = path;
	s->store = store;
	pthread_mutex_init(&s->lock, NULL);
	TRY(load(tmp, s));
	*out = s;
	return OK;
}

void schemas_refresh(struct schemas *s)
{
	pthread_mutex_lock(&s->lock);
	reload(s);
	keep_counts(s);
	pthread_mutex_unlock(&s->lock);
}

void schemas_stop(struct schemas *s)
{
	pthread_mutex_lock(&s->lock);
	keep_counts(s);
	pthread_mutex_unlock(&s->lock);
}

static const struct schema_usage *usage_of(const struct schema_usage *all, size_t count,
					   const char *type, const char *version)
{
	for (size_t n = 0; n < count; n++)
		if (str_eq(all[n].type, type) && str_eq(all[n].version, version))
			return &all[n];
	return NULL;
}

static void show_usage(void *mem, json_t *to, const struct schema_usage *u)
{
	json_object_set_new(to, "usage", json_integer(u == NULL ? 0 : u->received));
	json_object_set_new(to, "validation_errors", json_integer(u == NULL ? 0 : u->errors));
	if (u != NULL)
		json_object_set_new(to, "last_seen",
				    json_string(clock_format(mem, u->last_seen_ms)));
}

/* What came of versions that nobody knows, by type. */
static json_t *unknown_of(void *mem, const struct schema_usage *usage, size_t count)
{
	json_t *all = json_array();

	for (size_t n = 0; n < count; n++) {
		if (!str_eq(usage[n].version, SCHEMA_UNKNOWN))
			continue;
		json_t *one = json_pack("{s:s, s:I, s:s}", "type", usage[n].type,
					"validation_errors", (json_int_t)usage[n].errors,
					"last_seen", clock_format(mem, usage[n].last_seen_ms));
		json_array_append_new(all, mem_check(one));
	}
	return all;
}

static bool is_wanted(const json_t *version, const char *type, const char *name)
{
	return (str_empty(type) || str_eq(type, json_str(version, "type"))) &&
	       (str_empty(name) || str_eq(name, json_str(version, "version")));
}

static enum status list(struct http_exchange *x, struct schemas *s)
{
	void *mem = http_mem(x);
	struct schema_usage *usage = NULL;
	size_t count = 0;
	size_t n;
	json_t *v;

	pthread_mutex_lock(&s->lock);
	keep_counts(s);
	const char *trouble = str_dup(mem, s->trouble);
	pthread_mutex_unlock(&s->lock);
	TRY(store_schema_usage(mem, s->store, &usage, &count));
	struct schema_registry *r = schema_current();
	const json_t *all = schema_list(mem, r, clock_now());
	schema_registry_release(r);
	json_t *wanted = json_array();
	json_array_foreach (all, n, v) {
		if (!is_wanted(v, http_query(x, "type"), http_query(x, "version")))
			continue;
		show_usage(mem, v,
			   usage_of(usage, count, json_str(v, "type"), json_str(v, "version")));
		json_array_append(wanted, v);
	}
	json_t *reply = json_pack("{s:o, s:o}", "versions", wanted, "unknown",
				  unknown_of(mem, usage, count));
	if (!str_empty(trouble))
		json_object_set_new(reply, "trouble", json_string(trouble));
	reply_json(x, 200, reply);
	return OK;
}

static enum status read_documents(struct http_exchange *x, json_t **out)
{
	size_t n;
	const char *text = http_body(x, &n);

	TRY(json_parse(http_mem(x), text, n, out));
	if (!json_is_array(*out)) {
		json_t *list = mem_own(http_mem(x), json_array());
		json_array_append(list, *out);
		*out = list;
	}
	if (json_array_size(*out) == 0 || json_array_size(*out) > DOCUMENTS_MAX)
		return failure(E_INVALID, "want one schema document, or a list of 1 to %d",
			       DOCUMENTS_MAX);
	return OK;
}

static const json_t *document_before(const struct schema_entry *kept, size_t count,
				     const json_t *document)
{
	for (size_t n = 0; n < count; n++)
		if (is_same(&kept[n], document))
			return kept[n].document;
	return NULL;
}

/* New entries for the store, each complete by itself. */
static struct schema_entry *entries_of(void *mem, const json_t *documents, const char *by,
				       const struct schema_entry *kept, size_t kept_count)
{
	struct schema_entry *all = NEW_ARRAY(mem, struct schema_entry, json_array_size(documents));
	int64_t now = clock_now();
	size_t n;
	json_t *doc;

	json_array_foreach (documents, n, doc) {
		if (json_is_object(doc))
			schema_document_complete(doc, document_before(kept, kept_count, doc), now);
		all[n] = (struct schema_entry){.type = json_str(doc, "type"),
					       .version = json_str(doc, "version"),
					       .document = doc,
					       .by = by,
					       .added_ms = now};
	}
	return all;
}

static enum status check_twice(const struct schema_entry *all, size_t count)
{
	for (size_t n = 0; n < count; n++)
		if (is_replaced(&all[n], all + n + 1, count - n - 1) && all[n].version != NULL)
			return failure(E_INVALID, "%.20s of %.100s stands twice in the list",
				       all[n].version, all[n].type == NULL ? "" : all[n].type);
	return OK;
}

/* Under the lock. Nothing is installed before it is on disk. */
static enum status add(void *mem, struct schemas *s, const json_t *documents, const char *by)
{
	struct sources all;
	struct schema_entry *kept = NULL;
	size_t kept_count = 0;
	struct schema_registry *r = NULL;
	size_t count = json_array_size(documents);

	TRY(load_files(mem, s, &all));
	const char *digest = digest_of(mem, &all);
	TRY(store_schemas(mem, s->store, &kept, &kept_count));
	const struct schema_entry *more = entries_of(mem, documents, by, kept, kept_count);
	TRY(check_twice(more, count));
	add_entries(mem, &all, kept, kept_count, more, count);
	TRY(schema_registry_new(all.list, all.count, &r));
	enum status status = store_schemas_put(s->store, more, count);
	if (status != OK) {
		schema_registry_release(r);
		return status;
	}
	settle_in(s, r, digest);
	s->trouble[0] = '\0';
	return OK;
}

static char *target_of(void *mem, const json_t *documents)
{
	char *text = str_dup(mem, "schemas");
	size_t n;
	json_t *doc;

	json_array_foreach (documents, n, doc) {
		const char *type = json_str(doc, "type");
		const char *version = json_str(doc, "version");
		str_add(&text, "%s%s/%s", n == 0 ? "/" : ", ",
			str_fit(mem, type == NULL ? "?" : type, 100),
			str_fit(mem, version == NULL ? "?" : version, 20));
		if (strlen(text) > 500)
			break;
	}
	return text;
}

static enum status post(struct http_exchange *x, struct schemas *s)
{
	void *mem = http_mem(x);
	json_t *documents = NULL;
	const char *by = audit_who(x, http_query(x, "by"));

	TRY(read_documents(x, &documents));
	const char *target = target_of(mem, documents);
	pthread_mutex_lock(&s->lock);
	enum status status = add(mem, s, documents, by);
	pthread_mutex_unlock(&s->lock);
	audit(by, "schemas.add", target, status == OK ? "success" : status_message(), NULL);
	TRY(status);
	reply_json(x, 200, json_pack("{s:s, s:O}", "status", "added", "schemas", documents));
	return OK;
}

bool schemas_knows(const char *path)
{
	return str_eq(path, "/schemas");
}

static enum status answer(struct http_exchange *x, struct schemas *s)
{
	const char *method = http_method(x);

	if (str_eq(method, "GET") || str_eq(method, "HEAD"))
		return list(x, s);
	if (str_eq(method, "POST"))
		return post(x, s);
	reply_error(x, 405, "method not allowed", "GET, POST");
	return OK;
}

void schemas_handle(struct http_exchange *x, void *schemas)
{
	enum status s = answer(x, schemas);

	if (s == E_INTERNAL)
		log_event(LOG_ERROR, "api_failed", "path", http_path(x), "error", status_message(),
			  NULL);
	if (s != OK)
		reply_status(x, s);
}
