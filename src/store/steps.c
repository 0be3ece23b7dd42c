/* What steps leave behind, what is due next, and what people decide. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/parts.h"

enum { HOUR_MS = 3600000, HISTORY_MOST = 100000 /* no limit is higher */ };

static enum status read_job(struct database *db, int64_t incident, struct job *out)
{
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(database_select(db, &row, "SELECT step, attempt, due_ms FROM job WHERE incident = ?",
			    "i", incident));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "the flow of INC-%lld has ended", (long long)incident);
	str_print(out->step, sizeof(out->step), "%s", (const char *)sqlite3_column_text(row, 0));
	out->attempt = (int)column_int(row, 1);
	out->due_ms = column_int(row, 2);
	database_end(row);
	return OK;
}

enum status store_job(struct store *s, int64_t incident, struct job *out)
{
	struct database *db = NULL;

	TRY(reader_take(s, &db));
	enum status status = read_job(db, incident, out);
	reader_give(s, db);
	return status;
}

struct committing {
	struct write op;
	struct store *store;
	const struct step_commit *commits;
	size_t count;
	struct commit_result result;
};

static enum status save_incident(struct database *db, const struct step_commit *c)
{
	SCOPE(mem);
	const struct incident *i = c->after;
	char *memory = json_text(mem, incident_memory_encode(mem, i));

	return database_run(db,
			    "UPDATE incident SET state = ?, memory = ?, updated_ms = ?, closed_ms "
			    "= ? WHERE id = ?",
			    "isiii", (int64_t)i->state, memory, c->now_ms,
			    c->closed ? c->now_ms : i->closed_ms, i->id);
}

static enum status save_resolution(struct database *db, const struct step_commit *c)
{
	const struct incident *i = c->after;

	if (!c->resolved)
		return OK;
	TRY(database_run(db,
			 "UPDATE incident SET resolved_ms = ?, resolved_by = ? WHERE id = ? AND "
			 "resolved_ms = 0",
			 "isi", i->resolved_ms, i->resolved_by, i->id));
	return database_run(db, "UPDATE episode SET ends_ms = ? WHERE incident = ? AND ends_ms = 0",
			    "ii", i->resolved_ms, i->id);
}

static enum status save_approval(struct database *db, const struct step_commit *c)
{
	const struct incident *i = c->after;

	if (c->approval == NULL)
		return OK;
	/* a decision that arrived while the step ran stays: only "expired" and "pending" come from
	 * steps */
	return database_run(
		db,
		"UPDATE incident SET approval = ?, approval_by = '', approval_digest = ?, "
		"approval_expires_ms = ?"
		" WHERE id = ? AND NOT (approval IN ('approved', 'rejected') AND signals <> ?)",
		"ssiii", c->approval, i->plan == NULL ? "" : i->plan->digest,
		i->approval_expires_ms, i->id, i->signals);
}

static enum status save_job(struct database *db, const struct step_commit *c, int64_t *due_ms)
{
	int64_t signals = 0;

	*due_ms = c->due_ms;
	if (c->next_step == NULL)
		return database_run(db, "DELETE FROM job WHERE incident = ?", "i", c->after->id);
	TRY(database_number(db, &signals, "SELECT signals FROM incident WHERE id = ?", "i",
			    c->after->id));
	if (signals != c->after->signals && *due_ms > c->now_ms)
		*due_ms = c->now_ms;
	return database_run(db,
			    "UPDATE job SET step = ?, attempt = ?, due_ms = ? WHERE incident = ?",
			    "siii", c->next_step, (int64_t)c->next_attempt, *due_ms, c->after->id);
}

static enum status save_call(struct database *db, const struct step_commit *c)
{
	const struct incident *i = c->after;

	if (!c->calls_function)
		return OK;
	return database_run(
		db, "INSERT INTO call (function, target, fingerprint, at_ms) VALUES (?, ?, ?, ?)",
		"sssi", i->plan->function, i->plan->target, i->fingerprint, c->now_ms);
}

/* What each step adds. */
static enum status save_additions(struct committing *k, struct writer *w, struct database *db,
				  const struct step_commit *c)
{
	int64_t letter;

	TRY(save_resolution(db, c));
	TRY(save_approval(db, c));
	TRY(save_call(db, c));
	TRY(ticket_ops_take(k->store, w, db, c->after->id, c->ops, c->op_count, c->now_ms,
			    &k->result));
	TRY(inquiry_add(db, w, c->after->id, c->inquiry, c->now_ms));
	if (c->dead != NULL)
		TRY(letter_add(db, c->dead, &letter));
	if (c->note == NULL)
		return OK;
	return journal_add(db, c->after->id, c->started_ms, c->step, c->attempt, c->outcome,
			   c->duration_ms, c->note);
}

static enum status commit(struct write *op, struct writer *w, struct database *db)
{
	struct committing *k = (struct committing *)op;
	const struct step_commit *last = &k->commits[k->count - 1];

	k->result = (struct commit_result){.tickets_done = true};
	for (size_t n = 0; n < k->count; n++)
		TRY(save_additions(k, w, db, &k->commits[n]));
	TRY(save_incident(db, last));
	return save_job(db, last, &k->result.due_ms);
}

enum status store_commit_steps(struct store *s, const struct step_commit *commits, size_t count,
			       struct commit_result *out)
{
	struct committing k = {
		.op = {.run = commit}, .store = s, .commits = commits, .count = count};

	TRY(writer_await(s->writer, &k.op));
	*out = k.result;
	return OK;
}

struct deciding {
	struct write op;
	int64_t incident, now_ms;
	const char *digest, *by;
	bool approve;
};

static enum status check_pending(const struct deciding *d, sqlite3_stmt *row)
{
	const char *approval = (const char *)sqlite3_column_text(row, 0);
	const char *digest = (const char *)sqlite3_column_text(row, 1);

	if (str_eq(approval, "approved") || str_eq(approval, "rejected"))
		return failure(E_CONFLICT, "INC-%lld is %s already, by %.100s",
			       (long long)d->incident, approval,
			       (const char *)sqlite3_column_text(row, 3));
	if (!str_eq(approval, "pending"))
		return failure(E_CONFLICT, "INC-%lld waits for no approval",
			       (long long)d->incident);
	if (column_int(row, 2) <= d->now_ms)
		return failure(E_CONFLICT, "the approval of INC-%lld has expired",
			       (long long)d->incident);
	if (d->digest != NULL && (strlen(d->digest) < 8 || !str_starts(digest, d->digest)))
		return failure(E_CONFLICT, "the plan of INC-%lld has changed; look at it again",
			       (long long)d->incident);
	return OK;
}

static enum status decide(struct write *op, struct writer *w, struct database *db)
{
	SCOPE(mem);
	const struct deciding *d = (const struct deciding *)op;
	const char *word = d->approve ? "approved" : "rejected";
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(database_select(db, &row,
			    "SELECT approval, approval_digest, approval_expires_ms, approval_by "
			    "FROM incident WHERE id = ?",
			    "i", d->incident));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "there is no incident INC-%lld", (long long)d->incident);
	enum status s = check_pending(d, row);
	database_end(row);
	TRY(s);
	TRY(database_run(db,
			 "UPDATE incident SET approval = ?, approval_by = ?, signals = signals + "
			 "1, updated_ms = ? WHERE id = ?",
			 "ssii", word, d->by, d->now_ms, d->incident));
	TRY(database_run(db, "UPDATE job SET due_ms = min(due_ms, ?) WHERE incident = ?", "ii",
			 d->now_ms, d->incident));
	writer_due(w, d->incident, LANE_FLOW, d->now_ms);
	return journal_add(db, d->incident, d->now_ms, "approval", 0, word, 0,
			   str_fmt(mem, "by %s", d->by));
}

enum status store_decide(struct store *s, int64_t incident, const char *digest, bool approve,
			 const char *by, int64_t now_ms)
{
	struct deciding d = {.op = {.run = decide},
			     .incident = incident,
			     .now_ms = now_ms,
			     .digest = digest,
			     .by = by,
			     .approve = approve};

	return writer_await(s->writer, &d.op);
}

static enum status count_calls(struct database *db, const char *function, const char *target,
			       const char *fingerprint, int64_t since, struct history *out)
{
	int64_t n = 0;

	TRY(database_number(
		db, &n,
		"SELECT count(*) FROM (SELECT 1 FROM call WHERE function = ? AND at_ms > ? "
		"LIMIT ?)",
		"sii", function, since, (int64_t)HISTORY_MOST));
	out->calls_last_hour = (int)n;
	TRY(database_number(db, &out->last_call_ms,
			    "SELECT coalesce(max(at_ms), 0) FROM call WHERE target = ?", "s",
			    target));
	TRY(database_number(db, &n, "SELECT count(*) FROM call WHERE fingerprint = ? AND at_ms > ?",
			    "si", fingerprint, since));
	out->actions_for_alert = (int)n;
	return OK;
}

enum status store_history(struct store *s, const char *function, const char *target,
			  const char *fingerprint, int64_t now_ms, struct history *out)
{
	struct database *db = NULL;

	*out = (struct history){0};
	TRY(reader_take(s, &db));
	enum status status = count_calls(db, function, target, fingerprint, now_ms - HOUR_MS, out);
	reader_give(s, db);
	return status;
}
