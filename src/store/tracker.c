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

static enum status carry_out(struct database *db, struct applying *a)
{
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

static enum status apply(struct write *op, struct writer *w, struct database *db)
{
	(void)w;
	return carry_out(db, (struct applying *)op);
}

static void name_ticket(void *mem, const struct applying *a, const char *base_url,
			struct ticket_ref *out)
{
	out->id = str_dup(mem, a->what->uuid);
	out->key = str_fmt(mem, "%s-%lld", a->team, (long long)a->number);
	out->url = str_fmt(mem, "%s/tickets/%s", base_url, out->key);
}

enum status store_tracker_apply(void *mem, struct store *s, const struct ticket_op *op,
				const struct ticket_ref *ref, const char *team,
				const char *base_url, int64_t now_ms, struct ticket_ref *out)
{
	struct applying a = {
		.op = {.run = apply}, .what = op, .ref = ref, .team = team, .now_ms = now_ms};

	TRY(writer_await(s->writer, &a.op));
	if (op->kind == TICKET_CREATE)
		name_ticket(mem, &a, base_url, out);
	return OK;
}

void store_embed_tracker(struct store *s, const char *team, const char *base_url)
{
	s->tracker_team = team;
	s->tracker_url = base_url;
}

/* Of the incident's slot; id NULL when it has no ticket. */
static enum status find_ref(void *mem, struct database *db, int64_t incident, enum ticket_slot slot,
			    struct ticket_ref *out)
{
	sqlite3_stmt *row = NULL;
	bool more;

	*out = (struct ticket_ref){0};
	TRY(database_select(db, &row,
			    "SELECT id, key, url FROM ticket_ref WHERE incident = ? AND slot = ?",
			    "ii", incident, (int64_t)slot));
	TRY(database_row(db, row, &more));
	if (!more)
		return OK;
	*out = (struct ticket_ref){column_text(mem, row, 0), column_text(mem, row, 1),
				   column_text(mem, row, 2)};
	database_end(row);
	return OK;
}

/* Remembered as carried out; false when it was before. */
static enum status remember(struct database *db, int64_t incident, const struct ticket_op *op,
			    int64_t now_ms, bool *fresh)
{
	SCOPE(mem);

	TRY(database_run(db,
			 "INSERT INTO ticket_op (incident, slot, kind, uuid, payload, created_ms, "
			 "due_ms, state)"
			 " VALUES (?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT(uuid) DO NOTHING",
			 "iisssii", incident, (int64_t)op->slot, ticket_kind_name(op->kind),
			 op->uuid, json_text(mem, op->payload), now_ms, now_ms));
	*fresh = database_changes(db) > 0;
	return OK;
}

static enum status take_one(void *mem, struct store *s, struct database *db, int64_t incident,
			    const struct ticket_op *op, int64_t now_ms, struct commit_result *out)
{
	struct ticket_ref ref = {0};
	bool fresh = false;

	TRY(find_ref(mem, db, incident, op->slot, &ref));
	struct applying a = {.what = op, .ref = &ref, .team = s->tracker_team, .now_ms = now_ms};
	TRY(remember(db, incident, op, now_ms, &fresh));
	if (!fresh)
		return OK;
	TRY(carry_out(db, &a));
	bool created = op->kind == TICKET_CREATE;
	if (created)
		name_ticket(mem, &a, s->tracker_url, &ref);
	if (created && op->slot == TICKET_ALERT)
		str_print(out->ticket_key, sizeof(out->ticket_key), "%s", ref.key);
	return ticket_delivered(db, incident, op, 0, created ? &ref : NULL, NULL, now_ms, now_ms);
}

enum status tracker_take(struct store *s, struct database *db, int64_t incident,
			 const struct ticket_op *ops, size_t count, int64_t now_ms,
			 struct commit_result *out, bool *done)
{
	SCOPE(mem);
	int64_t waits = 0;
	enum status status = OK;

	*done = false;
	TRY(database_number(
		db, &waits,
		"SELECT EXISTS (SELECT 1 FROM ticket_op WHERE incident = ? AND state <> 1)", "i",
		incident));
	if (waits != 0)
		return OK;
	TRY(database_run(db, "SAVEPOINT tickets", ""));
	for (size_t n = 0; status == OK && n < count; n++)
		status = take_one(mem, s, db, incident, &ops[n], now_ms, out);
	*done = status == OK;
	if (!*done && !database_in_transaction(db))
		return status; /* the disk: all is undone already */
	if (!*done)
		TRY(database_run(db, "ROLLBACK TO tickets", ""));
	return database_run(db, "RELEASE tickets", "");
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
