#include "store/point.h"

#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/target.h"

enum {
	PARTS_MAX = 1024 * 1024,
	TABLES_MAX = 256,
	ENTRIES_HEAD = 12,
	FILE_NAME_MAX = 128,
	STORE_UID_MAX = 64
};

static const char *const KINDS[PART_KINDS] = {"pages", "digests", "file"};
static const char *const MAGIC[PART_KINDS] = {"ASPG", "ASDG", ""};
static const char POINT_END[] = ".point";
static const char PART_END[] = ".part";

void point_id(char out[POINT_ID_BYTES], int64_t time_ms)
{
	unsigned char random[4];
	time_t seconds = (time_t)(time_ms / 1000);
	struct tm t;

	id_random(random, sizeof(random));
	gmtime_r(&seconds, &t);
	str_print(out, POINT_ID_BYTES, "%04d%02d%02dT%02d%02d%02d%03dZ-%02x%02x%02x%02x",
		  (t.tm_year + 1900) % 10000, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min,
		  t.tm_sec, (int)(time_ms % 1000), random[0], random[1], random[2], random[3]);
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool has_shape(const char *text, const char *shape)
{
	for (; *shape != '\0'; shape++, text++) {
		bool fits = *shape == 'd'   ? *text >= '0' && *text <= '9'
			    : *shape == 'x' ? is_hex(*text)
					    : *text == *shape;
		if (!fits)
			return false;
	}
	return *text == '\0';
}

static enum status read_time(const char *id, int64_t *out)
{
	char text[32];

	str_print(text, sizeof(text), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2s.%.3sZ", id, id + 4, id + 6,
		  id + 9, id + 11, id + 13, id + 15);
	return clock_parse(text, out);
}

bool point_id_fits(const char *id)
{
	int64_t when;

	return has_shape(id, "ddddddddTdddddddddZ-xxxxxxxx") && read_time(id, &when) == OK;
}

int64_t point_id_time(const char *id)
{
	int64_t when = 0;

	return read_time(id, &when) == OK ? when : 0;
}

char *point_name(void *mem, const char *series, const char *id)
{
	return str_fmt(mem, "%s/%s%s", series, id, POINT_END);
}

bool point_name_parse(void *mem, const char *name, char **series, char **id)
{
	size_t length = POINT_ID_BYTES - 1;

	if (strlen(name) != 2 * length + 1 + strlen(POINT_END) || name[length] != '/' ||
	    !str_ends(name, POINT_END))
		return false;
	*series = str_ndup(mem, name, length);
	*id = str_ndup(mem, name + length + 1, length);
	return point_id_fits(*series) && point_id_fits(*id);
}

bool point_file_fits(const char *file)
{
	const char *slash = strchr(file, '/');

	if (!target_name_fits(file) || strlen(file) >= FILE_NAME_MAX)
		return false;
	if (slash == NULL)
		return str_starts(file, "intake-") && str_ends(file, ".log");
	return str_starts(file, "archive/") && strchr(slash + 1, '/') == NULL;
}

/* "<series>/<point>-000001.part", of this series. */
static bool part_name_fits(const char *name, const char *series)
{
	SCOPE(tmp);
	size_t length = POINT_ID_BYTES - 1;

	if (strlen(name) != 2 * length + 1 + 7 + strlen(PART_END) || !str_ends(name, PART_END) ||
	    !str_starts(name, series) || name[length] != '/')
		return false;
	const char *rest = name + length + 1;
	return point_id_fits(str_ndup(tmp, rest, length)) &&
	       has_shape(str_ndup(tmp, rest + length, 7), "-dddddd");
}

static bool is_digest(const char *text)
{
	return has_shape(text, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
}

static json_t *encode_part(const struct part *p)
{
	json_t *out = json_pack("{s:s, s:s, s:I, s:s}", "kind", KINDS[p->kind], "name", p->name,
				"bytes", (json_int_t)p->bytes, "sha256", p->sha256);

	if (p->kind == PART_FILE) {
		json_object_set_new(out, "file", json_string(p->file));
		json_object_set_new(out, "offset", json_integer(p->offset));
		json_object_set_new(out, "length", json_integer(p->length));
		json_object_set_new(out, "size", json_integer(p->size));
		json_object_set_new(out, "plain_sha256", json_string(p->plain_sha256));
	}
	return out;
}

char *point_encode(void *mem, const struct point *p)
{
	SCOPE(tmp);
	json_t *parts = json_array();
	json_t *tables = json_array();

	for (size_t n = 0; n < p->part_count; n++)
		json_array_append_new(parts, encode_part(&p->parts[n]));
	for (size_t n = 0; n < p->table_count; n++)
		json_array_append_new(tables,
				      json_pack("{s:s, s:I, s:s}", "name", p->tables[n].name,
						"rows", (json_int_t)p->tables[n].rows, "digest",
						p->tables[n].digest));
	json_t *all = mem_own(
		tmp,
		json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:s, "
			  "s:o, s:o}",
			  "format", POINT_FORMAT, "id", p->id, "series", p->series, "store",
			  p->store, "parent", p->parent, "kind",
			  *p->parent == '\0' ? "full" : "increment", "time_ms",
			  (json_int_t)p->time_ms, "time", clock_format(tmp, p->time_ms),
			  "page_size", (json_int_t)p->page_size, "page_count",
			  (json_int_t)p->page_count, "pages", (json_int_t)p->pages, "schema",
			  (json_int_t)p->schema, "took_ms", (json_int_t)p->took_ms, "program",
			  "agent-sre " AGENT_SRE_VERSION, "parts", parts, "tables", tables));
	return json_text(mem, all);
}

static enum status wrong(const char *what)
{
	return failure(E_INVALID, "backup: the manifest has a bad %s", what);
}

static enum status text_of(void *mem, const json_t *object, const char *key, size_t most,
			   char **out)
{
	const char *text = json_str(object, key);

	if (text == NULL || strlen(text) > most)
		return wrong(key);
	*out = str_dup(mem, text);
	return OK;
}

static enum status number_of(const json_t *object, const char *key, int64_t least, int64_t most,
			     int64_t *out)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < least ||
	    json_integer_value(value) > most)
		return wrong(key);
	*out = json_integer_value(value);
	return OK;
}

static enum status decode_file(void *mem, const json_t *value, struct part *p)
{
	TRY(text_of(mem, value, "file", FILE_NAME_MAX, &p->file));
	TRY(number_of(value, "offset", 0, INT64_MAX / 2, &p->offset));
	TRY(number_of(value, "length", 0, PART_PLAIN_BYTES, &p->length));
	TRY(number_of(value, "size", p->offset + p->length, INT64_MAX / 2, &p->size));
	TRY(text_of(mem, value, "plain_sha256", POINT_SHA_BYTES, &p->plain_sha256));
	if (!point_file_fits(p->file))
		return wrong("file");
	return is_digest(p->plain_sha256) ? OK : wrong("plain_sha256");
}

static enum status decode_part(void *mem, const json_t *value, const char *series, struct part *p)
{
	const char *kind = json_str(value, "kind");

	p->kind = PART_KINDS;
	for (int n = 0; n < PART_KINDS; n++)
		if (str_eq(kind, KINDS[n]))
			p->kind = (enum part_kind)n;
	if (p->kind == PART_KINDS)
		return wrong("kind");
	TRY(text_of(mem, value, "name", 256, &p->name));
	TRY(number_of(value, "bytes", SEAL_OVERHEAD, TARGET_OBJECT_BYTES, &p->bytes));
	TRY(text_of(mem, value, "sha256", POINT_SHA_BYTES, &p->sha256));
	if (!part_name_fits(p->name, series))
		return wrong("name");
	if (!is_digest(p->sha256))
		return wrong("sha256");
	p->file = str_dup(mem, "");
	p->plain_sha256 = str_dup(mem, "");
	return p->kind == PART_FILE ? decode_file(mem, value, p) : OK;
}

static enum status decode_table(void *mem, const json_t *value, struct table_digest *t)
{
	TRY(text_of(mem, value, "name", 256, &t->name));
	TRY(number_of(value, "rows", 0, INT64_MAX, &t->rows));
	TRY(text_of(mem, value, "digest", POINT_SHA_BYTES, &t->digest));
	return is_digest(t->digest) ? OK : wrong("digest");
}

static enum status array_of(const json_t *doc, const char *key, size_t most, const json_t **out)
{
	*out = json_object_get(doc, key);
	return json_is_array(*out) && json_array_size(*out) <= most ? OK : wrong(key);
}

static enum status decode_lists(const json_t *doc, struct point *p)
{
	const json_t *parts = NULL;
	const json_t *tables = NULL;

	TRY(array_of(doc, "parts", PARTS_MAX, &parts));
	TRY(array_of(doc, "tables", TABLES_MAX, &tables));
	p->part_count = json_array_size(parts);
	p->parts = NEW_ARRAY(p, struct part, p->part_count);
	for (size_t n = 0; n < p->part_count; n++)
		TRY(decode_part(p, json_array_get(parts, n), p->series, &p->parts[n]));
	p->table_count = json_array_size(tables);
	p->tables = NEW_ARRAY(p, struct table_digest, p->table_count);
	for (size_t n = 0; n < p->table_count; n++)
		TRY(decode_table(p, json_array_get(tables, n), &p->tables[n]));
	return OK;
}

static enum status decode_numbers(const json_t *doc, struct point *p)
{
	TRY(number_of(doc, "time_ms", 0, INT64_MAX / 2, &p->time_ms));
	TRY(number_of(doc, "page_size", 512, 65536, &p->page_size));
	if ((p->page_size & (p->page_size - 1)) != 0)
		return wrong("page_size");
	TRY(number_of(doc, "page_count", 1, PAGES_MAX, &p->page_count));
	TRY(number_of(doc, "pages", 0, p->page_count, &p->pages));
	TRY(number_of(doc, "schema", 0, INT32_MAX, &p->schema));
	return number_of(doc, "took_ms", 0, INT64_MAX / 2, &p->took_ms);
}

static enum status check_ids(const struct point *p)
{
	if (!point_id_fits(p->id))
		return wrong("id");
	if (!point_id_fits(p->series))
		return wrong("series");
	if (*p->parent == '\0')
		return str_eq(p->id, p->series) ? OK : wrong("parent");
	/* a chain always leads back in time, so that following it ends */
	return point_id_fits(p->parent) && strcmp(p->parent, p->id) < 0 ? OK : wrong("parent");
}

enum status point_decode(void *mem, const char *text, size_t n, struct point **out)
{
	SCOPE(tmp);
	struct point *p = NEW(mem, struct point);
	json_t *doc = NULL;
	int64_t format = 0;

	TRY(json_parse(tmp, text, n, &doc));
	TRY(number_of(doc, "format", 1, INT32_MAX, &format));
	if (format != POINT_FORMAT)
		return failure(E_INVALID,
			       "backup: format %lld is of a newer agent-sre: restore with that",
			       (long long)format);
	TRY(text_of(p, doc, "id", POINT_ID_BYTES, &p->id));
	TRY(text_of(p, doc, "series", POINT_ID_BYTES, &p->series));
	TRY(text_of(p, doc, "parent", POINT_ID_BYTES, &p->parent));
	TRY(text_of(p, doc, "store", STORE_UID_MAX, &p->store));
	TRY(check_ids(p));
	TRY(decode_numbers(doc, p));
	TRY(decode_lists(doc, p));
	*out = p;
	return OK;
}

static void store_u32(unsigned char *to, uint32_t value)
{
	for (int n = 0; n < 4; n++)
		to[n] = (unsigned char)(value >> (8 * n));
}

static uint32_t load_u32(const unsigned char *from)
{
	return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
	       (uint32_t)from[3] << 24;
}

void entries_begin(void *mem, struct page_writer *w, enum part_kind kind, uint32_t entry_bytes)
{
	if (w->bytes == NULL)
		w->bytes = NEW_ARRAY(mem, unsigned char,
				     ENTRIES_HEAD + PART_PLAIN_BYTES + 4 + entry_bytes);
	memcpy(w->bytes, MAGIC[kind], 4);
	store_u32(w->bytes + 4, entry_bytes);
	w->used = ENTRIES_HEAD;
	w->entry_bytes = entry_bytes;
	w->count = 0;
	store_u32(w->bytes + 8, 0);
}

bool entries_add(struct page_writer *w, uint32_t number, const unsigned char *bytes)
{
	store_u32(w->bytes + w->used, number);
	memcpy(w->bytes + w->used + 4, bytes, w->entry_bytes);
	w->used += 4 + (size_t)w->entry_bytes;
	store_u32(w->bytes + 8, ++w->count);
	return w->used - ENTRIES_HEAD + 4 + w->entry_bytes > PART_PLAIN_BYTES;
}

enum status entries_each(enum part_kind kind, const char *plain, size_t n, uint32_t entry_bytes,
			 uint32_t page_count, entry_fn *entry, void *arg)
{
	const unsigned char *at = (const unsigned char *)plain;

	if (n < ENTRIES_HEAD || memcmp(at, MAGIC[kind], 4) != 0 || load_u32(at + 4) != entry_bytes)
		return failure(E_INVALID, "backup: a part of the wrong kind");
	uint32_t count = load_u32(at + 8);
	if (n - ENTRIES_HEAD != count * (4 + (uint64_t)entry_bytes))
		return failure(E_INVALID, "backup: a part of the wrong length");
	at += ENTRIES_HEAD;
	for (uint32_t k = 0; k < count; k++, at += 4 + entry_bytes) {
		uint32_t number = load_u32(at);
		if (number < 1 || number > page_count)
			return failure(E_INVALID, "backup: a part with page %u of %u", number,
				       page_count);
		TRY(entry(number, at + 4, arg));
	}
	return OK;
}

void page_digest(unsigned char out[DIGEST_BYTES], const unsigned char *page, size_t n)
{
	unsigned char all[EVP_MAX_MD_SIZE];

	mem_check(EVP_Digest(page, n, all, NULL, EVP_sha256(), NULL) == 1 ? out : NULL);
	memcpy(out, all, DIGEST_BYTES);
}
