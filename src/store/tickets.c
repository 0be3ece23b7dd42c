/* The ticket lane: operations of one incident, delivered in order, each known by its own id. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/parts.h"

enum status ticket_ops_add(struct database *db, struct writer *w, int64_t incident,
			   const struct ticket_op *ops, size_t count, int64_t now_ms)
{
	for (size_t n = 0; n < count; n++) {
		SCOPE(mem);
		TRY(database_run(db,
				 "INSERT INTO ticket_op (incident, slot, kind, uuid, payload, "
				 "created_ms, due_ms)"
				 " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT(uuid) DO NOTHING",
				 "iisssii", incident, (int64_t)ops[n].slot,
				 ticket_kind_name(ops[n].kind), ops[n].uuid,
				 json_text(mem, ops[n].payload), now_ms, now_ms));
	}
	if (count > 0)
		writer_due(w, incident, LANE_TICKET, now_ms);
	return OK;
}

enum status ticket_ops_take(struct store *s, struct writer *w, struct database *db,
			    int64_t incident, const struct ticket_op *ops, size_t count,
			    int64_t now_ms, struct commit_result *r)
{
	bool done = false;

	if (count == 0)
		return OK;
	if (s->tracker_team != NULL)
		TRY(tracker_take(s, db, incident, ops, count, now_ms, r, &done));
	r->tickets_done &= done;
	return done ? OK : ticket_ops_add(db, w, incident, ops, count, now_ms);
}

static enum status read_work(void *mem, sqlite3_stmt *row, struct ticket_work *work)
{
	const char *payload = (const char *)sqlite3_column_text(row, 4);

	*work = (struct ticket_work){0};

	work->op.seq = column_int(row, 0);
	work->op.slot = (enum ticket_slot)column_int(row, 1);
	TRY(ticket_kind_parse((const char *)sqlite3_column_text(row, 2), &work->op.kind));
	work->op.uuid = column_text(mem, row, 3);
	TRY(json_parse(mem, payload, strlen(payload), &work->op.payload));
	work->attempt = (int)column_int(row, 5);
	work->due_ms = column_int(row, 6);
	work->created_ms = column_int(row, 7);
	if (sqlite3_column_type(row, 8) != SQLITE_NULL)
		work->ref = (struct ticket_ref){column_text(mem, row, 8), column_text(mem, row, 9),
						column_text(mem, row, 10)};
	return OK;
}

/* A ticket that was never created (its CREATE is buried) takes no operations. */
static enum status select_waiting(struct database *db, int64_t incident, size_t max,
				  sqlite3_stmt **row)
{
	return database_select(
		db, row,
		"SELECT o.seq, o.slot, o.kind, o.uuid, o.payload, o.attempt, o.due_ms, "
		"o.created_ms,"
		" r.id, r.key, r.url FROM ticket_op o"
		" LEFT JOIN ticket_ref r ON r.incident = o.incident AND r.slot = o.slot"
		" WHERE o.incident = ?1 AND o.state = 0 AND NOT EXISTS (SELECT 1 FROM ticket_op b"
		" WHERE b.incident = ?1 AND b.slot = o.slot AND b.state = 2 AND b.kind = 'create')"
		" ORDER BY o.seq LIMIT ?2",
		"ii", incident, (int64_t)max);
}

static enum status read_waiting(void *mem, struct database *db, int64_t incident, size_t max,
				struct ticket_work *out, size_t *count)
{
	sqlite3_stmt *row = NULL;
	bool more = true;

	TRY(select_waiting(db, incident, max, &row));
	for (*count = 0; *count < max; ++*count) {
		TRY(database_row(db, row, &more));
		if (!more)
			return OK;
		enum status s = read_work(mem, row, &out[*count]);
		if (s != OK) {
			database_end(row);
			return s;
		}
	}
	database_end(row);
	return OK;
}

enum status store_ticket_waiting(void *mem, struct store *s, int64_t incident, size_t max,
				 struct ticket_work **out, size_t *count)
{
	struct database *db = NULL;

	*out = NEW_ARRAY(mem, struct ticket_work, max);
	TRY(reader_take(s, &db));
	enum status status = read_waiting(mem, db, incident, max, *out, count);
	reader_give(s, db);
	return status;
}

struct settling {
	struct write op;
	int64_t incident, seq, now_ms, due_ms;
	const char *error;
};

static enum status kind_of(void *mem, struct database *db, int64_t seq, const char **kind,
			   int64_t *slot, int64_t *attempt)
{
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(database_select(db, &row, "SELECT kind, slot, attempt FROM ticket_op WHERE seq = ?",
			    "i", seq));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "no such ticket operation");
	*kind = column_text(mem, row, 0);
	*slot = column_int(row, 1);
	*attempt = column_int(row, 2);
	database_end(row);
	return OK;
}

enum status ticket_delivered(struct database *db, int64_t incident, const struct ticket_op *op,
			     int attempt, const struct ticket_ref *ref, const char *text,
			     int64_t started_ms, int64_t now_ms)
{
	SCOPE(mem);
	const char *note = text;

	if (ref != NULL) {
		TRY(database_run(db,
				 "INSERT INTO ticket_ref (incident, slot, id, key, url, "
				 "created_ms) VALUES (?, ?, ?, ?, ?, ?)"
				 " ON CONFLICT DO UPDATE SET id = excluded.id, key = excluded.key, "
				 "url = excluded.url",
				 "iisssi", incident, (int64_t)op->slot, ref->id, ref->key, ref->url,
				 now_ms));
		note = str_fmt(mem, "%s %s%s%s", ref->key, ref->url, str_empty(text) ? "" : "; ",
			       str_empty(text) ? "" : text);
	}
	return journal_add(db, incident, started_ms, "ticket", attempt, ticket_kind_name(op->kind),
			   now_ms - started_ms, note);
}

struct delivering {
	struct write op;
	int64_t incident;
	const struct ticket_delivery *done;
	size_t count;
};

static enum status deliver(struct write *op, struct writer *w, struct database *db)
{
	const struct delivering *all = (const struct delivering *)op;

	(void)w;
	for (size_t n = 0; n < all->count; n++) {
		const struct ticket_delivery *d = &all->done[n];
		const struct ticket_work *k = d->work;
		TRY(database_run(db, "UPDATE ticket_op SET state = 1 WHERE seq = ?", "i",
				 k->op.seq));
		TRY(ticket_delivered(db, all->incident, &k->op, k->attempt,
				     k->op.kind == TICKET_CREATE ? &d->ref : NULL, d->note,
				     d->started_ms, d->done_ms));
	}
	return OK;
}

enum status store_ticket_done(struct store *s, int64_t incident, const struct ticket_delivery *done,
			      size_t count)
{
	struct delivering all = {
		.op = {.run = deliver}, .incident = incident, .done = done, .count = count};

	return writer_await(s->writer, &all.op);
}

static enum status put_off(struct write *op, struct writer *w, struct database *db)
{
	SCOPE(mem);
	const struct settling *t = (const struct settling *)op;
	const char *kind = NULL;
	int64_t slot = 0;
	int64_t attempt = 0;

	(void)w;
	TRY(kind_of(mem, db, t->seq, &kind, &slot, &attempt));
	TRY(database_run(db, "UPDATE ticket_op SET attempt = attempt + 1, due_ms = ? WHERE seq = ?",
			 "ii", t->due_ms, t->seq));
	if (attempt > 0)
		return OK; /* the first failure is worth a line, not every one of a long outage */
	return journal_add(db, t->incident, t->now_ms, "ticket", 0, "retry", 0,
			   str_fmt(mem, "%s: %s", kind, t->error));
}

enum status store_ticket_retry(struct store *s, int64_t incident, int64_t seq, const char *error,
			       int64_t due_ms, int64_t now_ms)
{
	struct settling t = {.op = {.run = put_off},
			     .incident = incident,
			     .seq = seq,
			     .due_ms = due_ms,
			     .now_ms = now_ms,
			     .error = error};

	return writer_await(s->writer, &t.op);
}

static enum status bury_letter(struct database *db, const struct settling *t, const char *kind,
			       int64_t attempt)
{
	SCOPE(mem);
	sqlite3_stmt *row = NULL;
	bool more;
	int64_t id;

	TRY(database_select(
		db, &row,
		"SELECT i.event_id, i.event_source, i.alertname, i.correlation_id, i.received_ms, "
		"o.payload"
		" FROM ticket_op o LEFT JOIN incident i ON o.incident = i.id WHERE o.seq = ?",
		"i", t->seq));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "no such ticket operation");
	const struct dead_letter d = {
		.event_id = column_text(mem, row, 0),
		.event_type = "",
		.event_source = column_text(mem, row, 1),
		.subject = column_text(mem, row, 2),
		.correlation_id = column_text(mem, row, 3),
		.reason = str_fmt(mem, "ticket operation %s: %s", kind, t->error),
		.category = "ticket",
		.permanent = true,
		.stage = "ticket",
		.attempts = (int)attempt + 1,
		.origin = "agent",
		.received_ms = column_int(row, 4),
		.failed_ms = t->now_ms,
		.incident = t->incident > 0 ? t->incident : 0, /* of a group: letters_tickets.c */
		.body = column_text(mem, row, 5),
	};
	database_end(row);
	return letter_add(db, &d, &id);
}

static enum status bury(struct write *op, struct writer *w, struct database *db)
{
	SCOPE(mem);
	const struct settling *t = (const struct settling *)op;
	const char *kind = NULL;
	int64_t slot = 0;
	int64_t attempt = 0;

	(void)w;
	TRY(kind_of(mem, db, t->seq, &kind, &slot, &attempt));
	TRY(bury_letter(db, t, kind, attempt));
	TRY(database_run(db, "UPDATE ticket_op SET state = 2, attempt = attempt + 1 WHERE seq = ?",
			 "i", t->seq));
	return journal_add(db, t->incident, t->now_ms, "ticket", (int)attempt, "refused", 0,
			   str_fmt(mem, "%s: %s", kind, t->error));
}

enum status store_ticket_bury(struct store *s, int64_t incident, int64_t seq, const char *error,
			      int64_t now_ms)
{
	struct settling t = {.op = {.run = bury},
			     .incident = incident,
			     .seq = seq,
			     .now_ms = now_ms,
			     .error = error};

	return writer_await(s->writer, &t.op);
}
