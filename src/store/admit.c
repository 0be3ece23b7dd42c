/*
 * What an event means, given what is known (docs/decisions/0003-episodes.md):
 *
 *   same (source, id)                  duplicate, nothing changes
 *   firing, episode known              repeat of its incident
 *   firing, only its end was seen      a new incident that is over already
 *   firing, another episode of an
 *     incident that is still on        joins that incident
 *   firing, else                       a new incident
 *   resolved, incident still on        ends it, unless the event is of an older episode
 *   resolved, nothing known            remembered as the end of that episode
 */
#include <string.h>

#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/parts.h"

struct admitting {
	struct write op;
	struct admission *a;
};

struct known {
	int64_t incident;	/* 0 = none */
	int64_t last_starts_ms; /* its newest episode */
	int64_t resolved_ms;
	int64_t state;
};

static enum status read_known(struct database *db, sqlite3_stmt *row, struct known *out)
{
	bool more;

	*out = (struct known){0};
	TRY(database_row(db, row, &more));
	if (!more)
		return OK;
	*out = (struct known){column_int(row, 0), column_int(row, 1), column_int(row, 2),
			      column_int(row, 3)};
	database_end(row);
	return OK;
}

/* The newest incident of this fingerprint. */
static enum status newest(struct database *db, const char *fingerprint, struct known *out)
{
	sqlite3_stmt *row = NULL;

	TRY(database_select(
		db, &row,
		"SELECT id, last_starts_ms, resolved_ms, state FROM incident WHERE fingerprint = ?"
		" ORDER BY id DESC LIMIT 1",
		"s", fingerprint));
	return read_known(db, row, out);
}

static bool is_on(const struct known *k)
{
	return k->incident != 0 && k->state != INCIDENT_CLOSED && k->resolved_ms == 0;
}

struct episode {
	bool known;
	int64_t incident; /* 0 = only its end was seen */
	int64_t ends_ms;
};

static enum status find_episode(struct database *db, const struct alert *a, struct episode *out)
{
	sqlite3_stmt *row = NULL;
	bool more;

	*out = (struct episode){0};
	TRY(database_select(
		db, &row,
		"SELECT incident, ends_ms FROM episode WHERE fingerprint = ? AND starts_ms = ?",
		"si", a->fingerprint, a->starts_ms));
	TRY(database_row(db, row, &more));
	if (!more)
		return OK;
	*out = (struct episode){true, column_int(row, 0), column_int(row, 1)};
	database_end(row);
	return OK;
}

static enum status put_episode(struct database *db, const struct alert *a, int64_t incident,
			       int64_t ends_ms, int64_t now_ms)
{
	return database_run(db,
			    "INSERT INTO episode (fingerprint, starts_ms, incident, ends_ms, "
			    "received_ms) VALUES (?, ?, ?, ?, ?)"
			    " ON CONFLICT DO UPDATE SET incident = excluded.incident, ends_ms = "
			    "max(ends_ms, excluded.ends_ms)",
			    "siiii", a->fingerprint, a->starts_ms, incident, ends_ms, now_ms);
}

static enum status insert_incident(void *mem, struct database *db, const struct event *e,
				   int64_t previous, int64_t ends_ms, int64_t now_ms, int64_t *id)
{
	const struct alert *a = e->alert;

	TRY(database_run(
		db,
		"INSERT INTO incident (uid, state, fingerprint, alertname, labels, annotations, "
		"generator_url,"
		" truncated_alerts, starts_ms, last_starts_ms, received_ms, resolved_ms, "
		"resolved_by, updated_ms,"
		" previous, correlation_id, event_id, event_source, trace_id, span_id, sampled)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"sisssssiiiiisiisssssi", id_random_hex(mem, 16), (int64_t)INCIDENT_OPEN,
		a->fingerprint, a->name, json_text(mem, a->labels), json_text(mem, a->annotations),
		a->generator_url, a->truncated_alerts, a->starts_ms, a->starts_ms, now_ms, ends_ms,
		ends_ms != 0 ? "event" : "", now_ms, previous, e->correlation_id, e->id, e->source,
		e->trace.trace_id, e->trace.span_id, (int64_t)e->trace.sampled));
	*id = database_last_id(db);
	return OK;
}

static enum status open_incident(struct database *db, struct writer *w, const struct event *e,
				 int64_t previous, int64_t ends_ms, int64_t now_ms,
				 struct admit_result *r)
{
	SCOPE(mem);

	TRY(insert_incident(mem, db, e, previous, ends_ms, now_ms, &r->incident));
	TRY(put_episode(db, e->alert, r->incident, ends_ms, now_ms));
	TRY(database_run(
		db, "INSERT INTO job (incident, step, attempt, due_ms) VALUES (?, 'open', 0, ?)",
		"ii", r->incident, now_ms));
	TRY(journal_add(db, r->incident, now_ms, "event", 0, "firing", 0,
			str_fmt(mem, "%s from %s", e->id, e->source)));
	writer_due(w, r->incident, LANE_FLOW, now_ms);
	r->outcome = ADMIT_OPENED;
	return OK;
}

static enum status repeat(struct database *db, const struct alert *a, int64_t incident, bool fired,
			  int64_t now_ms, struct admit_result *r)
{
	r->outcome = ADMIT_REPEATED;
	r->incident = incident;
	if (!fired)
		return OK;
	return database_run(db,
			    "UPDATE incident SET fired_count = fired_count + 1, updated_ms = ?,"
			    " last_starts_ms = max(last_starts_ms, ?) WHERE id = ?",
			    "iii", now_ms, a->starts_ms, incident);
}

static enum status admit_firing(struct database *db, struct writer *w, const struct event *e,
				int64_t now_ms, struct admit_result *r)
{
	const struct alert *a = e->alert;
	struct episode episode;
	struct known k;

	TRY(find_episode(db, a, &episode));
	if (episode.known && episode.incident != 0)
		return repeat(db, a, episode.incident, true, now_ms, r);
	TRY(newest(db, a->fingerprint, &k));
	if (episode.known)
		return open_incident(db, w, e, k.incident, episode.ends_ms, now_ms, r);
	if (!is_on(&k))
		return open_incident(db, w, e, k.incident, 0, now_ms, r);
	TRY(put_episode(db, a, k.incident, 0, now_ms));
	return repeat(db, a, k.incident, true, now_ms, r);
}

static enum status resolve(struct database *db, struct writer *w, const struct event *e,
			   int64_t incident, int64_t now_ms, struct admit_result *r)
{
	int64_t ends = e->alert->ends_ms != 0 ? e->alert->ends_ms : now_ms;

	TRY(database_run(
		db,
		"UPDATE incident SET resolved_ms = ?, resolved_by = 'event', signals = signals + 1,"
		" updated_ms = ? WHERE id = ?",
		"iii", ends, now_ms, incident));
	TRY(database_run(db, "UPDATE job SET due_ms = min(due_ms, ?) WHERE incident = ?", "ii",
			 now_ms, incident));
	if (database_changes(db) > 0)
		writer_due(w, incident, LANE_FLOW, now_ms);
	TRY(journal_add(db, incident, now_ms, "event", 0, "resolved", 0, e->id));
	r->incident = incident;
	r->outcome = ADMIT_RESOLVED;
	return OK;
}

static enum status find_incident(struct database *db, int64_t id, struct known *out)
{
	sqlite3_stmt *row = NULL;

	TRY(database_select(
		db, &row,
		"SELECT id, last_starts_ms, resolved_ms, state FROM incident WHERE id = ?", "i",
		id));
	return read_known(db, row, out);
}

static enum status admit_resolved(struct database *db, struct writer *w, const struct event *e,
				  int64_t now_ms, struct admit_result *r)
{
	const struct alert *a = e->alert;
	struct episode episode;
	struct known k;
	int64_t ends = a->ends_ms != 0 ? a->ends_ms : now_ms;

	TRY(find_episode(db, a, &episode));
	if (episode.known && episode.incident != 0)
		TRY(find_incident(db, episode.incident, &k));
	else
		TRY(newest(db, a->fingerprint, &k));
	bool ends_it = is_on(&k) && a->starts_ms >= k.last_starts_ms;
	bool belongs = ends_it || episode.incident != 0;
	TRY(put_episode(db, a, belongs ? k.incident : 0, ends, now_ms));
	if (ends_it)
		return resolve(db, w, e, k.incident, now_ms, r);
	if (belongs)
		return repeat(db, a, k.incident, false, now_ms, r);
	r->outcome = ADMIT_ORPHAN;
	return OK;
}

static enum status find_duplicate(void *mem, struct database *db, const struct event *e,
				  struct admit_result *r, bool *found)
{
	sqlite3_stmt *row = NULL;

	TRY(database_select(
		db, &row, "SELECT incident, correlation_id FROM event WHERE source = ? AND id = ?",
		"ss", e->source, e->id));
	TRY(database_row(db, row, found));
	if (!*found)
		return OK;
	r->outcome = ADMIT_DUPLICATE;
	r->incident = column_int(row, 0);
	r->correlation_id = column_text(mem, row, 1);
	database_end(row);
	return OK;
}

static enum status admit_event(void *mem, struct database *db, struct writer *w,
			       const struct event *e, int64_t now_ms, struct admit_result *r)
{
	bool duplicate = false;

	TRY(find_duplicate(mem, db, e, r, &duplicate));
	if (duplicate)
		return OK;
	if (e->alert->state == ALERT_FIRING)
		TRY(admit_firing(db, w, e, now_ms, r));
	else
		TRY(admit_resolved(db, w, e, now_ms, r));
	r->correlation_id = e->correlation_id;
	return database_run(db,
			    "INSERT INTO event (source, id, incident, received_ms, correlation_id, "
			    "outcome) VALUES (?, ?, ?, ?, ?, ?)",
			    "ssiisi", e->source, e->id, r->incident, now_ms, e->correlation_id,
			    (int64_t)r->outcome);
}

static enum status bury_member(struct database *db, const struct admission *a,
			       const struct event_member *m, struct admit_result *r)
{
	const struct dead_letter d = {
		.event_id = m->id,
		.event_type = m->type,
		.event_source = m->source,
		.subject = "",
		.correlation_id = m->id,
		.reason = m->error,
		.category = m->category,
		.permanent = true,
		.stage = "intake",
		.attempts = 1,
		.origin = a->origin,
		.received_ms = a->received_ms,
		.failed_ms = a->received_ms,
		.body = m->raw,
	};

	r->outcome = ADMIT_REJECTED;
	return letter_add(db, &d, &r->dead_letter);
}

static enum status run(struct write *op, struct writer *w, struct database *db)
{
	struct admission *a = ((struct admitting *)op)->a;

	for (size_t n = 0; n < a->set->count; n++) {
		const struct event_member *m = &a->set->members[n];
		a->results[n] = (struct admit_result){0};
		if (m->event == NULL)
			TRY(bury_member(db, a, m, &a->results[n]));
		else
			TRY(admit_event(a->results, db, w, m->event, a->received_ms,
					&a->results[n]));
	}
	return OK;
}

static void settled(struct write *op, enum status s, const char *message)
{
	struct admission *a = ((struct admitting *)op)->a;

	a->status = s;
	a->message = message;
	a->done(a);
	talloc_free(op);
}

static size_t size_of(const struct event_set *set)
{
	/* what an event weighs in memory, roughly; the bodies are bounded one by one already */
	return set->count * 4096;
}

enum status store_admit(struct store *s, struct admission *a)
{
	struct admitting *op = NEW(NULL, struct admitting);

	op->op = (struct write){.run = run, .settled = settled, .bytes = size_of(a->set)};
	op->a = a;
	enum status status = writer_submit(s->writer, &op->op);
	if (status != OK)
		talloc_free(op);
	return status;
}

enum status store_event(void *mem, struct store *s, const char *source, const char *id,
			json_t **out)
{
	static const char *const OUTCOMES[] = {"opened", "repeated",  "resolved",
					       "orphan", "duplicate", "rejected"};
	struct database *db = NULL;
	sqlite3_stmt *row = NULL;
	bool more = false;

	TRY(reader_take(s, &db));
	enum status status =
		database_select(db, &row,
				"SELECT e.incident, e.received_ms, e.correlation_id, e.outcome, "
				"coalesce(i.state, -1)"
				" FROM event e LEFT JOIN incident i ON i.id = e.incident"
				" WHERE e.source = ? AND e.id = ?",
				"ss", source, id);
	if (status == OK)
		status = database_row(db, row, &more);
	if (status == OK && !more)
		status = failure(E_NOTFOUND, "no such event");
	if (status == OK) {
		*out = mem_own(mem, json_pack("{s:s, s:s, s:s, s:I, s:s}", "event_id", id,
					      "event_source", source, "correlation_id",
					      column_text(mem, row, 2), "received_ms",
					      (json_int_t)column_int(row, 1), "outcome",
					      OUTCOMES[column_int(row, 3) % 6]));
		if (column_int(row, 4) >= 0) {
			json_object_set_new(*out, "incident",
					    json_string(incident_name(mem, column_int(row, 0))));
			json_object_set_new(*out, "state",
					    json_string(incident_state_name(
						    (enum incident_state)column_int(row, 4))));
		}
		database_end(row);
	}
	reader_give(s, db);
	return status;
}
