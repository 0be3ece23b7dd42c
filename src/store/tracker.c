/* The embedded tracker: the same life cycle as Linear's, in two tables. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/parts.h"

struct applying {
	struct write op;
	const struct ticket_op *what;
	const struct ticket_ref *ref;
	const char *team;
	int64_t now_ms;
	int64_t number; /* of a created ticket */
};

static enum status find_number(struct database *db, const char *uuid, int64_t *out)
{
	return database_number(db, out, "SELECT number FROM ticket WHERE id = ?", "s", uuid);
}

static enum status create(struct database *db, struct applying *a)
{
	SCOPE(mem);
	const json_t *p = a->what->payload;
	const char *assignee = json_str(p, "assignee");
	json_t *labels = json_object_get(p, "labels");

	enum status s = find_number(db, a->what->uuid, &a->number);
	if (s != E_NOTFOUND)
		return s;
	TRY(database_run(db,
			 "INSERT INTO ticket (id, key, title, body, priority, state, labels, "
			 "assignee, created_ms)"
			 " VALUES (?, '', ?, ?, ?, 'unstarted', ?, ?, ?)",
			 "sssissi", a->what->uuid, json_str(p, "title"), json_str(p, "body"),
			 json_int(p, "priority", 0), labels == NULL ? "[]" : json_text(mem, labels),
			 assignee == NULL ? "" : assignee, a->now_ms));
	a->number = database_last_id(db);
	return database_run(db, "UPDATE ticket SET key = ? WHERE number = ?", "si",
			    str_fmt(mem, "%s-%lld", a->team, (long long)a->number), a->number);
}

static enum status add_labels(struct database *db, const struct applying *a)
{
	SCOPE(mem);
	sqlite3_stmt *row = NULL;
	json_t *labels = NULL;
	json_t *name;
	size_t n;
	bool more;

	TRY(database_select(db, &row, "SELECT labels FROM ticket WHERE id = ?", "s", a->ref->id));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "no such ticket");
	char *text = column_text(mem, row, 0);
	database_end(row);
	TRY(json_parse(mem, text, strlen(text), &labels));
	json_array_foreach (json_object_get(a->what->payload, "names"), n, name) {
		size_t k;
		json_t *have;
		bool there = false;
		json_array_foreach (labels, k, have)
			there = there || json_equal(have, name);
		if (!there)
			json_array_append(labels, name);
	}
	return database_run(db, "UPDATE ticket SET labels = ? WHERE id = ?", "ss",
			    json_text(mem, labels), a->ref->id);
}

static enum status set_state(struct database *db, const struct applying *a)
{
	const char *type = json_str(a->what->payload, "type");
	bool over = str_eq(type, "completed");

	return database_run(db,
			    "UPDATE ticket SET state = ?, closed_ms = CASE WHEN ? THEN ? ELSE 0 "
			    "END WHERE id = ?",
			    "siis", type, (int64_t)over, a->now_ms, a->ref->id);
}

/* One line for the ticket's history; a known uuid adds none. */
static enum status add_entry(struct database *db, const struct applying *a)
{
	SCOPE(mem);
	const json_t *p = a->what->payload;
	const char *body =
		a->what->kind == TICKET_COMMENT ? json_str(p, "body") : json_text(mem, p);

	return database_run(
		db,
		"INSERT INTO ticket_entry (uuid, ticket, at_ms, kind, body) VALUES (?, ?, ?, ?, ?)"
		" ON CONFLICT(uuid) DO NOTHING",
		"ssiss", a->what->uuid, a->ref->id, a->now_ms, ticket_kind_name(a->what->kind),
		body == NULL ? "" : body);
}

static enum status apply(struct write *op, struct writer *w, struct database *db)
{
	struct applying *a = (struct applying *)op;

	(void)w;
	if (a->what->kind == TICKET_CREATE)
		return create(db, a);
	if (a->ref == NULL || a->ref->id == NULL)
		return failure(E_INVALID, "the ticket does not exist");
	if (a->what->kind == TICKET_LABEL)
		TRY(add_labels(db, a));
	if (a->what->kind == TICKET_STATE)
		TRY(set_state(db, a));
	if (a->what->kind == TICKET_ASSIGN)
		TRY(database_run(db, "UPDATE ticket SET assignee = ? WHERE id = ?", "ss",
				 json_str(a->what->payload, "email"), a->ref->id));
	return add_entry(db, a);
}

enum status store_tracker_apply(void *mem, struct store *s, const struct ticket_op *op,
				const struct ticket_ref *ref, const char *team,
				const char *base_url, int64_t now_ms, struct ticket_ref *out)
{
	struct applying a = {
		.op = {.run = apply}, .what = op, .ref = ref, .team = team, .now_ms = now_ms};

	TRY(writer_await(s->writer, &a.op));
	if (op->kind != TICKET_CREATE)
		return OK;
	out->id = str_dup(mem, op->uuid);
	out->key = str_fmt(mem, "%s-%lld", team, (long long)a.number);
	out->url = str_fmt(mem, "%s/tickets/%s", base_url, out->key);
	return OK;
}

static enum status read_entries(void *mem, struct database *db, const char *ticket, json_t *out)
{
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(database_select(db, &row,
			    "SELECT at_ms, kind, body FROM ticket_entry WHERE ticket = ? ORDER BY "
			    "id LIMIT 1000",
			    "s", ticket));
	for (;;) {
		TRY(database_row(db, row, &more));
		if (!more)
			return OK;
		json_array_append_new(out, json_pack("{s:s, s:s, s:s}", "at",
						     clock_format(mem, column_int(row, 0)), "kind",
						     column_text(mem, row, 1), "body",
						     column_text(mem, row, 2)));
	}
}

static enum status read_ticket(void *mem, struct database *db, const char *key, json_t **out)
{
	sqlite3_stmt *row = NULL;
	json_t *labels = NULL;
	bool more;

	TRY(database_select(db, &row,
			    "SELECT id, key, title, body, priority, state, labels, assignee, "
			    "created_ms, closed_ms"
			    " FROM ticket WHERE key = ?",
			    "s", key));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "there is no ticket %.60s here", key);
	char *id = column_text(mem, row, 0);
	char *text = column_text(mem, row, 6);
	json_t *t = mem_own(
		mem,
		json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s}", "id", id, "key",
			  column_text(mem, row, 1), "title", column_text(mem, row, 2), "body",
			  column_text(mem, row, 3), "priority", (json_int_t)column_int(row, 4),
			  "state", column_text(mem, row, 5), "assignee", column_text(mem, row, 7),
			  "created_at", clock_format(mem, column_int(row, 8))));
	if (column_int(row, 9) != 0)
		json_object_set_new(t, "closed_at",
				    json_string(clock_format(mem, column_int(row, 9))));
	database_end(row);
	TRY(json_parse(mem, text, strlen(text), &labels));
	json_object_set(t, "labels", labels);
	json_t *entries = json_array();
	json_object_set_new(t, "entries", entries);
	*out = t;
	return read_entries(mem, db, id, entries);
}

enum status store_tracker_ticket(void *mem, struct store *s, const char *key, json_t **out)
{
	struct database *db = NULL;

	TRY(reader_take(s, &db));
	enum status status = read_ticket(mem, db, key, out);
	reader_give(s, db);
	return status;
}
