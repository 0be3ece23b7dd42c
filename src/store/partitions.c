#include "store/partitions.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "store/parts.h"

enum { KEPT_MOST = 10000 }; /* a peer that flaps for days must not fill the disk */

struct beginning {
	struct write op;
	const struct partition *p;
};

static enum status begin(struct write *op, struct writer *w, struct database *db)
{
	const struct partition *p = ((const struct beginning *)op)->p;

	(void)w;
	TRY(database_run(db,
			 "INSERT INTO peer_partition (component, name, kind, error, detected_ms)"
			 " SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS"
			 " (SELECT 1 FROM peer_partition WHERE name = ?2 AND healed_ms = 0)",
			 "ssssi", p->component, p->name, p->kind, p->error, p->detected_ms));
	return database_run(db,
			    "DELETE FROM peer_partition WHERE healed_ms <> 0 AND id <="
			    " (SELECT max(id) FROM peer_partition) - ?",
			    "i", (int64_t)KEPT_MOST);
}

enum status store_partition_begin(struct store *s, const struct partition *p)
{
	struct beginning b = {.op = {.run = begin}, .p = p};

	return writer_await(s->writer, &b.op);
}

struct ending {
	struct write op;
	const char *name;
	int64_t healed_ms, buffered, replayed;
	int64_t detected_ms; /* out */
};

static enum status open_since(struct database *db, const char *name, int64_t *detected_ms)
{
	enum status s = database_number(db, detected_ms,
					"SELECT detected_ms FROM peer_partition WHERE name = ? AND "
					"healed_ms = 0",
					"s", name);

	if (s == E_NOTFOUND)
		*detected_ms = 0;
	return s == E_NOTFOUND ? OK : s;
}

static enum status end(struct write *op, struct writer *w, struct database *db)
{
	struct ending *e = (struct ending *)op;

	(void)w;
	TRY(open_since(db, e->name, &e->detected_ms));
	return database_run(db,
			    "UPDATE peer_partition SET healed_ms = max(?, detected_ms), buffered = "
			    "? WHERE name = ? AND healed_ms = 0",
			    "iis", e->healed_ms, e->buffered, e->name);
}

enum status store_partition_end(struct store *s, const char *name, int64_t healed_ms,
				int64_t buffered, int64_t *detected_ms)
{
	struct ending e = {
		.op = {.run = end}, .name = name, .healed_ms = healed_ms, .buffered = buffered};

	TRY(writer_await(s->writer, &e.op));
	if (detected_ms != NULL)
		*detected_ms = e.detected_ms;
	return OK;
}

static enum status add_replayed(struct write *op, struct writer *w, struct database *db)
{
	const struct ending *e = (const struct ending *)op;

	(void)w;
	return database_run(db,
			    "UPDATE peer_partition SET replayed = replayed + ? WHERE id ="
			    " (SELECT max(id) FROM peer_partition WHERE name = ?)",
			    "is", e->replayed, e->name);
}

enum status store_partition_replayed(struct store *s, const char *name, int64_t replayed)
{
	struct ending e = {.op = {.run = add_replayed}, .name = name, .replayed = replayed};

	return writer_await(s->writer, &e.op);
}

enum status store_partition_is_open(struct store *s, const char *name, bool *out)
{
	struct database *db = NULL;
	int64_t since = 0;

	TRY(reader_take(s, &db));
	enum status status = open_since(db, name, &since);
	reader_give(s, db);
	*out = since != 0;
	return status;
}

static json_t *view(void *mem, sqlite3_stmt *row, int64_t now_ms)
{
	int64_t detected = column_int(row, 5);
	int64_t healed = column_int(row, 6);
	json_t *v = json_pack(
		"{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:I, s:I}", "id",
		(json_int_t)column_int(row, 0), "component", column_text(mem, row, 1), "peer",
		column_text(mem, row, 2), "state", healed == 0 ? "active" : "healed", "kind",
		column_text(mem, row, 3), "error", column_text(mem, row, 4), "detected_at",
		clock_format(mem, detected), "seconds",
		(double)((healed == 0 ? now_ms : healed) - detected) / 1000.0, "buffered",
		(json_int_t)column_int(row, 7), "replayed", (json_int_t)column_int(row, 8));

	mem_check(v);
	if (healed != 0)
		json_object_set_new(v, "healed_at", json_string(clock_format(mem, healed)));
	return v;
}

static enum status list(void *mem, struct database *db, size_t limit, int64_t now_ms, json_t *out)
{
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(database_select(db, &row,
			    "SELECT id, component, name, kind, error, detected_ms, healed_ms, "
			    "buffered, replayed"
			    " FROM peer_partition ORDER BY healed_ms <> 0, id DESC LIMIT ?",
			    "i", (int64_t)limit));
	for (;;) {
		TRY(database_row(db, row, &more));
		if (!more)
			return OK;
		json_array_append_new(out, view(mem, row, now_ms));
	}
}

enum status store_partitions(void *mem, struct store *s, size_t limit, int64_t now_ms, json_t **out)
{
	struct database *db = NULL;

	*out = mem_own(mem, json_array());
	TRY(reader_take(s, &db));
	enum status status = list(mem, db, limit, now_ms, *out);
	reader_give(s, db);
	return status;
}

struct overflowing {
	struct write op;
	int64_t incident, limit, now_ms;
	enum lane lane;
	const char *name;
};

static const char *stage_of(void *mem, struct database *db, const struct overflowing *o)
{
	sqlite3_stmt *row = NULL;
	bool more = false;
	const char *step = "";

	if (o->lane == LANE_TICKET)
		return "ticket";
	if (database_select(db, &row, "SELECT step FROM job WHERE incident = ?", "i",
			    o->incident) == OK &&
	    database_row(db, row, &more) == OK && more) {
		step = column_text(mem, row, 0);
		database_end(row);
	}
	return step;
}

static enum status add_letter(void *mem, struct database *db, const struct overflowing *o,
			      const char *stage)
{
	sqlite3_stmt *row = NULL;
	bool more;
	int64_t id;

	TRY(database_select(db, &row,
			    "SELECT event_id, event_source, alertname, correlation_id, received_ms"
			    " FROM incident WHERE id = ?",
			    "i", o->incident));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "there is no incident %lld", (long long)o->incident);
	const struct dead_letter d = {
		.event_id = column_text(mem, row, 0),
		.event_type = "",
		.event_source = column_text(mem, row, 1),
		.subject = column_text(mem, row, 2),
		.correlation_id = column_text(mem, row, 3),
		.reason = str_fmt(mem,
				  "%s is away and %lld incidents wait for it already "
				  "(outbox.limit); this goes on by itself when it is back",
				  o->name, (long long)o->limit),
		.category = "outbox",
		.stage = stage,
		.attempts = 1,
		.origin = "agent",
		.received_ms = column_int(row, 4),
		.failed_ms = o->now_ms,
		.incident = o->incident,
		.partition_key = o->name,
	};
	database_end(row);
	return letter_add(db, &d, &id);
}

static enum status overflow(struct write *op, struct writer *w, struct database *db)
{
	SCOPE(mem);
	const struct overflowing *o = (const struct overflowing *)op;
	const char *stage = stage_of(mem, db, o);
	int64_t there = 0;

	(void)w;
	TRY(database_number(db, &there,
			    "SELECT count(*) FROM dead_letter WHERE incident = ? AND category = "
			    "'outbox' AND state = 'pending' AND (stage = 'ticket') = ?",
			    "ii", o->incident, (int64_t)(o->lane == LANE_TICKET)));
	return there > 0 ? OK : add_letter(mem, db, o, stage);
}

enum status store_outbox_overflow(struct store *s, int64_t incident, enum lane lane,
				  const char *name, int64_t limit, int64_t now_ms)
{
	struct overflowing o = {.op = {.run = overflow},
				.incident = incident,
				.limit = limit,
				.now_ms = now_ms,
				.lane = lane,
				.name = name};

	return writer_await(s->writer, &o.op);
}

struct settling {
	struct write op;
	const char *name;
	int64_t until_ms, now_ms, count;
};

static enum status settle(struct write *op, struct writer *w, struct database *db)
{
	SCOPE(mem);
	struct settling *t = (struct settling *)op;

	(void)w;
	TRY(database_run(
		db,
		"UPDATE dead_letter SET state = 'resolved', replays = replays + 1, replay_history ="
		" json_array(json_object('at', ?, 'by', 'agent', 'success', json('true'),"
		" 'outcome', 'went on when the peer was back'))"
		" WHERE category = 'outbox' AND state = 'pending' AND partition_key = ? AND "
		"failed_ms <= ?",
		"ssi", clock_format(mem, t->now_ms), t->name, t->until_ms));
	t->count = database_changes(db);
	return OK;
}

static enum status count_letters(struct store *s, const char *name, int64_t *count)
{
	struct database *db = NULL;

	TRY(reader_take(s, &db));
	enum status status = database_number(
		db, count,
		"SELECT count(*) FROM dead_letter WHERE category = 'outbox' AND state = 'pending' "
		"AND partition_key = ?",
		"s", name);
	reader_give(s, db);
	return status;
}

enum status store_outbox_settle(struct store *s, const char *name, int64_t until_ms, int64_t now_ms,
				int64_t *count)
{
	struct settling t = {
		.op = {.run = settle}, .name = name, .until_ms = until_ms, .now_ms = now_ms};

	*count = 0;
	TRY(count_letters(s, name, count));
	if (*count == 0)
		return OK; /* nothing is written */
	TRY(writer_await(s->writer, &t.op));
	*count = t.count;
	metric_add(M_DLQ_REPLAY, (double)t.count, "success");
	return OK;
}
