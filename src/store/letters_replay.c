/*
 * A replay is claimed, then settled. The claim counts it, so that a letter that kills the program
 * cannot do so for ever; a claim that was never settled is undone at start.
 */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/seal.h"
#include "base/str.h"
#include "store/letter_parts.h"

enum { REPLAYS_MAX = 5, HISTORY_MAX = 50 };

static enum status read_row(void *mem, struct database *db, int64_t id, sqlite3_stmt **row)
{
	bool more = false;

	(void)mem;
	TRY(database_select(db, row,
			    "SELECT sealed, origin, category, event_id, correlation_id, "
			    "received_ms, stage, incident, event_type"
			    " FROM dead_letter WHERE id = ?",
			    "i", id));
	TRY(database_row(db, *row, &more));
	return more ? OK
		    : failure(E_NOTFOUND, "no dead letter %lld that could be replayed",
			      (long long)id);
}

static enum status open_row(void *mem, const struct store *s, sqlite3_stmt *row,
			    struct letter_original *o)
{
	json_t *frame = NULL;

	if (!str_eq(column_text(mem, row, 6), "intake") && column_int(row, 7) != 0)
		return failure(E_INVALID,
			       "its event was admitted as %s; there is nothing to replay",
			       incident_name(mem, column_int(row, 7)));
	if (sqlite3_column_bytes(row, 0) == 0)
		return failure(E_INVALID, "nothing was kept that could be replayed");
	TRY(letter_open(mem, s->seal, sqlite3_column_blob(row, 0),
			(size_t)sqlite3_column_bytes(row, 0), &frame, &o->body, &o->body_bytes));
	if (json_is_true(json_object_get(frame, "truncated")))
		return failure(E_INVALID, "only the head of the event was kept: it was too large");
	o->mode = json_str(frame, "mode");
	o->content_type = json_str(frame, "content_type");
	o->headers = json_object_get(frame, "headers");
	o->origin = column_text(mem, row, 1);
	o->kind = column_text(mem, row, 2);
	o->event_id = column_text(mem, row, 3);
	o->correlation_id = column_text(mem, row, 4);
	o->received_ms = column_int(row, 5);
	o->event_type = column_text(mem, row, 8);
	o->origin_detail = json_object_get(frame, "origin");
	return OK;
}

static enum status read_original(void *mem, struct store *s, struct letter_original *o)
{
	struct database *db = NULL;
	sqlite3_stmt *row = NULL;

	TRY(reader_take(s, &db));
	enum status status = read_row(mem, db, o->id, &row);
	if (status == OK) {
		status = open_row(mem, s, row, o);
		database_end(row);
	}
	reader_give(s, db);
	return status;
}

struct claim {
	struct write op;
	int64_t id;
	int64_t replays_max;
};

enum status letter_refusal(struct database *db, int64_t id)
{
	SCOPE(mem);
	sqlite3_stmt *row = NULL;
	bool more = false;

	TRY(database_select(db, &row,
			    "SELECT state, pending_action, replays FROM dead_letter WHERE id = ?",
			    "i", id));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "no dead letter %lld", (long long)id);
	const char *state = column_text(mem, row, 0);
	const char *action = column_text(mem, row, 1);
	int64_t replays = column_int(row, 2);
	database_end(row);
	if (!str_empty(action))
		return failure(E_CONFLICT, "another action is pending: %s", action);
	if (!str_eq(state, "pending"))
		return failure(E_CONFLICT, "it is %s", state);
	return failure(E_CONFLICT,
		       "it was replayed %lld times, which is as often as allowed (dlq.max_replays)",
		       (long long)replays);
}

static enum status take(struct write *op, struct writer *w, struct database *db)
{
	const struct claim *c = (const struct claim *)op;

	(void)w;
	TRY(database_run(
		db,
		"UPDATE dead_letter SET state = 'replaying', replays = replays + 1"
		" WHERE id = ? AND state = 'pending' AND pending_action = '' AND replays < ?",
		"ii", c->id, c->replays_max));
	return database_changes(db) == 1 ? OK : letter_refusal(db, c->id);
}

enum status store_letter_claim(void *mem, struct store *s, int64_t id, int64_t now_ms,
			       struct letter_original **out)
{
	struct letter_original *o = NEW(mem, struct letter_original);
	struct claim c = {
		.op = {.run = take},
		.id = id,
		.replays_max = s->letter_replays_max == 0 ? REPLAYS_MAX : s->letter_replays_max,
	};

	(void)now_ms;
	o->id = id;
	TRY(read_original(mem, s, o));
	TRY(writer_await(s->writer, &c.op));
	*out = o;
	return OK;
}

struct settling {
	struct write op;
	int64_t id, now_ms;
	const struct letter_outcome *outcome;
};

static json_t *history_line(void *mem, const struct settling *s)
{
	json_t *line =
		json_pack("{s:s, s:s, s:b, s:s}", "at", clock_format(mem, s->now_ms), "by",
			  s->outcome->by, "success", s->outcome->done, "outcome", s->outcome->what);

	mem_check(line);
	if (s->outcome->incident != 0)
		json_object_set_new(line, "incident",
				    json_string(incident_name(mem, s->outcome->incident)));
	return line;
}

static enum status extended_history(void *mem, struct database *db, const struct settling *s,
				    char **out)
{
	sqlite3_stmt *row = NULL;
	json_t *history = NULL;
	bool more = false;

	TRY(database_select(
		db, &row,
		"SELECT replay_history FROM dead_letter WHERE id = ? AND state = 'replaying'", "i",
		s->id));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_CONFLICT, "dead letter %lld is not being replayed",
			       (long long)s->id);
	const char *text = column_text(mem, row, 0);
	database_end(row);
	TRY(json_parse(mem, text, strlen(text), &history));
	json_array_append_new(history, history_line(mem, s));
	while (json_array_size(history) > HISTORY_MAX)
		json_array_remove(history, 0);
	*out = json_text(mem, history);
	return OK;
}

static enum status settle(struct write *op, struct writer *w, struct database *db)
{
	const struct settling *s = (const struct settling *)op;
	const struct letter_outcome *o = s->outcome;
	SCOPE(mem);
	char *history = NULL;

	(void)w;
	TRY(extended_history(mem, db, s, &history));
	return database_run(
		db,
		"UPDATE dead_letter SET state = ?, attempts = attempts + ?, replays = replays - ?,"
		" replay_history = ?, partition_key = coalesce(?, partition_key) WHERE id = ?",
		"siissi", o->done ? "resolved" : "pending", (int64_t)(!o->done && o->counts),
		(int64_t)!o->counts, history, o->partition_key, s->id);
}

enum status store_letter_settle(struct store *s, int64_t id, const struct letter_outcome *o,
				int64_t now_ms)
{
	struct settling op = {.op = {.run = settle}, .id = id, .now_ms = now_ms, .outcome = o};

	TRY(writer_await(s->writer, &op.op));
	atomic_fetch_add(&s->letter_changes, 1);
	metric_add(M_DLQ_REPLAY, 1, o->done ? "success" : o->counts ? "failure" : "refused");
	return OK;
}
