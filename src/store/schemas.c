#include "store/schemas.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "store/parts.h"

static enum status read_entry(void *mem, sqlite3_stmt *row, struct schema_entry *e)
{
	*e = (struct schema_entry){.type = column_text(mem, row, 0),
				   .version = column_text(mem, row, 1),
				   .by = column_text(mem, row, 3),
				   .added_ms = column_int(row, 4)};
	const char *text = column_text(mem, row, 2);
	if (json_parse(mem, text, strlen(text), &e->document) != OK)
		return failure_in(E_INTERNAL, "store: schema %s of %s", e->version, e->type);
	return OK;
}

static enum status read_entries(void *mem, struct database *db, struct schema_entry **out,
				size_t *count)
{
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(database_select(
		db, &row,
		"SELECT type, version, document, added_by, added_ms FROM event_schema ORDER BY id",
		""));
	for (;;) {
		TRY(database_row(db, row, &more));
		if (!more)
			return OK;
		*out = GROW(mem, *out, struct schema_entry, *count + 1);
		enum status s = read_entry(mem, row, &(*out)[*count]);
		if (s != OK) {
			database_end(row);
			return s;
		}
		*count += 1;
	}
}

enum status store_schemas(void *mem, struct store *s, struct schema_entry **out, size_t *count)
{
	struct database *db = NULL;

	*out = NULL;
	*count = 0;
	TRY(reader_take(s, &db));
	enum status status = read_entries(mem, db, out, count);
	reader_give(s, db);
	return status;
}

struct putting {
	struct write op;
	const struct schema_entry *entries;
	size_t count;
};

static enum status put(struct write *op, struct writer *w, struct database *db)
{
	const struct putting *p = (const struct putting *)op;

	(void)w;
	for (size_t n = 0; n < p->count; n++) {
		SCOPE(tmp);
		const struct schema_entry *e = &p->entries[n];
		TRY(database_run(db,
				 "INSERT OR REPLACE INTO event_schema (type, version, document, "
				 "added_by, added_ms) VALUES (?, ?, ?, ?, ?)",
				 "ssssi", e->type, e->version, json_text(tmp, e->document), e->by,
				 e->added_ms));
	}
	return OK;
}

enum status store_schemas_put(struct store *s, const struct schema_entry *entries, size_t count)
{
	struct putting p = {.op = {.run = put}, .entries = entries, .count = count};

	return writer_await(s->writer, &p.op);
}

static enum status read_usage(void *mem, struct database *db, struct schema_usage **out,
			      size_t *count)
{
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(database_select(db, &row,
			    "SELECT type, version, received, errors, last_seen_ms FROM "
			    "event_schema_usage ORDER BY type, version",
			    ""));
	for (;;) {
		TRY(database_row(db, row, &more));
		if (!more)
			return OK;
		*out = GROW(mem, *out, struct schema_usage, *count + 1);
		(*out)[(*count)++] = (struct schema_usage){.type = column_text(mem, row, 0),
							   .version = column_text(mem, row, 1),
							   .received = column_int(row, 2),
							   .errors = column_int(row, 3),
							   .last_seen_ms = column_int(row, 4)};
	}
}

enum status store_schema_usage(void *mem, struct store *s, struct schema_usage **out, size_t *count)
{
	struct database *db = NULL;

	*out = NULL;
	*count = 0;
	TRY(reader_take(s, &db));
	enum status status = read_usage(mem, db, out, count);
	reader_give(s, db);
	return status;
}

struct counting {
	struct write op;
	const struct schema_usage *more;
	size_t count;
};

static enum status count_in(struct write *op, struct writer *w, struct database *db)
{
	const struct counting *c = (const struct counting *)op;

	(void)w;
	for (size_t n = 0; n < c->count; n++) {
		const struct schema_usage *u = &c->more[n];
		TRY(database_run(db,
				 "INSERT INTO event_schema_usage VALUES (?, ?, ?, ?, ?) ON "
				 "CONFLICT (type, version) DO UPDATE SET received = received + "
				 "excluded.received, errors = errors + excluded.errors, "
				 "last_seen_ms = max(last_seen_ms, excluded.last_seen_ms)",
				 "ssiii", u->type, u->version, u->received, u->errors,
				 u->last_seen_ms));
	}
	return OK;
}

enum status store_schema_usage_add(struct store *s, const struct schema_usage *more, size_t count)
{
	struct counting c = {.op = {.run = count_in}, .more = more, .count = count};

	return writer_await(s->writer, &c.op);
}
