/*
 * What an event means, given what is known (docs/decisions/0003-episodes.md):
 *
 *   same (source, key)                 duplicate, nothing changes
 *   firing, episode known              repeat of its incident
 *   firing, only its end was seen      a new incident that is over already
 *   firing, another episode of an
 *     incident that is still on        joins that incident
 *   firing, else                       a new incident
 *   resolved, incident still on        ends it, unless the event is of an older episode
 *   resolved, nothing known            remembered as the end of that episode
 *
 * An alert of a webhook has no id of its own: its episode is its identity, and no row of `event` is
 * written for it.
 */
#include "store/admit.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "domain/order.h"
#include "store/parts.h"
#include "store/record.h"

/* One event on its way into the database. */
struct arrival {
	struct applying *to;
	const struct record_event *e;
	int64_t received_ms;
	int64_t letter; /* the dead letter that it replays; 0 = none */
	const char *origin;
	uint64_t number; /* of its record */
	uint32_t member;
	enum admit_outcome outcome;
	int64_t incident; /* 0 = none */
};

struct known {
	int64_t incident;	/* 0 = none */
	int64_t last_starts_ms; /* its newest episode */
	int64_t resolved_ms;
	int64_t state;
};

/* Repeats that are held back. */

static struct repeats *held(struct applying *to, const char *fingerprint, int64_t starts_ms)
{
	for (size_t n = 0; n < to->held_count; n++)
		if (to->held[n].starts_ms == starts_ms &&
		    str_eq(to->held[n].fingerprint, fingerprint))
			return &to->held[n];
	return NULL;
}

void admit_count(const struct applying *a)
{
	metric_add(M_ORDER_VIOLATIONS, (double)a->order_violations);
	metric_add(M_SEQUENCE_GAPS, (double)a->sequence_gaps);
	metric_add(M_ORPHAN_RESOLVED, (double)a->orphans);
}

enum status admit_flush(struct applying *to)
{
	for (size_t n = 0; n < to->held_count; n++) {
		const struct repeats *r = &to->held[n];
		if (r->count > 0)
			TRY(database_run(
				to->db,
				"UPDATE incident SET fired_count = fired_count + ?, updated_ms = ?,"
				" last_starts_ms = max(last_starts_ms, ?) WHERE id = ?",
				"iiii", r->count, r->last_ms, r->starts_ms, r->incident));
	}
	to->held_count = 0;
	return OK;
}

/* From now on firing events of this episode only count. */
static enum status hold(const struct arrival *x, int64_t count)
{
	struct applying *to = x->to;

	if (to->held_count == REPEATS_HELD)
		TRY(admit_flush(to));
	struct repeats *r = &to->held[to->held_count++];
	*r = (struct repeats){.incident = x->incident,
			      .starts_ms = x->e->starts_ms,
			      .count = count,
			      .last_ms = x->received_ms};
	str_print(r->fingerprint, sizeof(r->fingerprint), "%s", x->e->fingerprint);
	return OK;
}

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

static enum status find_episode(const struct arrival *x, struct episode *out)
{
	sqlite3_stmt *row = NULL;
	bool more;

	*out = (struct episode){0};
	TRY(database_select(
		x->to->db, &row,
		"SELECT incident, ends_ms FROM episode WHERE fingerprint = ? AND starts_ms = ?",
		"si", x->e->fingerprint, x->e->starts_ms));
	TRY(database_row(x->to->db, row, &more));
	if (!more)
		return OK;
	*out = (struct episode){true, column_int(row, 0), column_int(row, 1)};
	database_end(row);
	return OK;
}

static enum status put_episode(const struct arrival *x, int64_t incident, int64_t ends_ms)
{
	return database_run(x->to->db,
			    "INSERT INTO episode (fingerprint, starts_ms, incident, ends_ms, "
			    "received_ms) VALUES (?, ?, ?, ?, ?)"
			    " ON CONFLICT DO UPDATE SET incident = excluded.incident, ends_ms = "
			    "max(ends_ms, excluded.ends_ms)",
			    "siiii", x->e->fingerprint, x->e->starts_ms, incident, ends_ms,
			    x->received_ms);
}

/* The same however often this record is applied. */
static const char *uid_of(void *mem, const struct arrival *x)
{
	const char *seed = str_fmt(mem, "%s/%llu/%u", x->to->store_uid,
				   (unsigned long long)x->number, x->member);

	return str_ndup(mem, id_sha256(mem, seed, strlen(seed)), 32);
}

static enum status insert_incident(struct arrival *x, int64_t previous, int64_t ends_ms)
{
	SCOPE(mem);
	const struct record_event *e = x->e;

	TRY(database_run(
		x->to->db,
		"INSERT INTO incident (uid, state, fingerprint, alertname, labels, annotations, "
		"generator_url,"
		" truncated_alerts, starts_ms, last_starts_ms, received_ms, resolved_ms, "
		"resolved_by, updated_ms,"
		" previous, correlation_id, event_id, event_source, trace_id, span_id, sampled)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"sisssssiiiiisiisssssi", uid_of(mem, x), (int64_t)INCIDENT_OPEN, e->fingerprint,
		e->name, e->labels, e->annotations, e->generator_url, e->truncated_alerts,
		e->starts_ms, e->starts_ms, x->received_ms, ends_ms, ends_ms != 0 ? "event" : "",
		x->received_ms, previous, e->correlation_id, e->id, e->source, e->trace_id,
		e->span_id, (int64_t)e->sampled));
	x->incident = database_last_id(x->to->db);
	return OK;
}

static enum status open_incident(struct arrival *x, int64_t previous, int64_t ends_ms)
{
	SCOPE(mem);
	struct database *db = x->to->db;

	TRY(insert_incident(x, previous, ends_ms));
	TRY(put_episode(x, x->incident, ends_ms));
	TRY(database_run(
		db, "INSERT INTO job (incident, step, attempt, due_ms) VALUES (?, 'open', 0, ?)",
		"ii", x->incident, x->received_ms));
	TRY(journal_add(db, x->incident, x->received_ms, "event", 0, "firing", 0,
			str_fmt(mem, "%s from %s", x->e->id, x->e->source)));
	writer_due(x->to->writer, x->incident, LANE_FLOW, x->received_ms);
	x->outcome = ADMIT_OPENED;
	return hold(x, 0);
}

static enum status repeat(struct arrival *x, int64_t incident)
{
	x->outcome = ADMIT_REPEATED;
	x->incident = incident;
	return OK;
}

static enum status admit_firing(struct arrival *x)
{
	struct episode episode;
	struct known k;
	struct repeats *r = held(x->to, x->e->fingerprint, x->e->starts_ms);

	if (r != NULL) {
		r->count++;
		r->last_ms = x->received_ms;
		return repeat(x, r->incident);
	}
	TRY(find_episode(x, &episode));
	if (episode.known && episode.incident != 0) {
		TRY(repeat(x, episode.incident));
		return hold(x, 1);
	}
	TRY(admit_flush(
		x->to)); /* another episode of a held incident may have moved its last_starts_ms */
	TRY(newest(x->to->db, x->e->fingerprint, &k));
	if (episode.known)
		return open_incident(x, k.incident, episode.ends_ms);
	if (!is_on(&k))
		return open_incident(x, k.incident, 0);
	TRY(put_episode(x, k.incident, 0));
	TRY(repeat(x, k.incident));
	return hold(x, 1);
}

static enum status resolve(struct arrival *x, int64_t incident, int64_t ends_ms)
{
	struct database *db = x->to->db;

	TRY(database_run(
		db,
		"UPDATE incident SET resolved_ms = ?, resolved_by = 'event', signals = signals + 1,"
		" updated_ms = ? WHERE id = ?",
		"iii", ends_ms, x->received_ms, incident));
	TRY(database_run(db, "UPDATE job SET due_ms = min(due_ms, ?) WHERE incident = ?", "ii",
			 x->received_ms, incident));
	if (database_changes(db) > 0)
		writer_due(x->to->writer, incident, LANE_FLOW, x->received_ms);
	TRY(journal_add(db, incident, x->received_ms, "event", 0, "resolved", 0, x->e->id));
	x->incident = incident;
	x->outcome = ADMIT_RESOLVED;
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

static enum status admit_resolved(struct arrival *x)
{
	struct database *db = x->to->db;
	struct episode episode;
	struct known k;
	int64_t ends = x->e->ends_ms != 0 ? x->e->ends_ms : x->received_ms;

	TRY(admit_flush(x->to));
	TRY(find_episode(x, &episode));
	if (episode.known && episode.incident != 0)
		TRY(find_incident(db, episode.incident, &k));
	else
		TRY(newest(db, x->e->fingerprint, &k));
	bool ends_it = is_on(&k) && x->e->starts_ms >= k.last_starts_ms;
	bool belongs = ends_it || episode.incident != 0;
	TRY(put_episode(x, belongs ? k.incident : 0, ends));
	if (ends_it)
		return resolve(x, k.incident, ends);
	if (belongs)
		return repeat(x, k.incident);
	x->outcome = ADMIT_ORPHAN;
	x->to->orphans++;
	return OK;
}

/* Keys and lanes. */

static enum status find_duplicate(struct arrival *x)
{
	sqlite3_stmt *row = NULL;
	bool found;

	TRY(database_select(x->to->db, &row,
			    "SELECT incident FROM event WHERE source = ? AND id = ?", "ss",
			    x->e->source, x->e->key));
	TRY(database_row(x->to->db, row, &found));
	if (!found)
		return OK;
	x->outcome = ADMIT_DUPLICATE;
	x->incident = column_int(row, 0);
	database_end(row);
	return OK;
}

static enum status put_key(const struct arrival *x)
{
	const struct record_event *e = x->e;

	return database_run(x->to->db,
			    "INSERT INTO event (source, id, incident, received_ms, correlation_id, "
			    "outcome, event_id, epoch) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			    "ssiisisi", e->source, e->key, x->incident, x->received_ms,
			    e->correlation_id, (int64_t)x->outcome,
			    str_eq(e->id, e->key) ? "" : e->id, x->to->epoch);
}

static const char *lane_of(const struct record_event *e)
{
	return str_empty(e->partition_key) ? e->fingerprint : e->partition_key;
}

struct lane_state {
	int64_t sequence; /* the newest; -1 = none */
	int64_t seen_ms;  /* when its newest event came; 0 = never */
};

static enum status read_lane(const struct arrival *x, struct lane_state *out)
{
	sqlite3_stmt *row = NULL;
	bool more;

	*out = (struct lane_state){.sequence = -1};
	TRY(database_select(x->to->db, &row,
			    "SELECT sequence, seen_ms FROM lane WHERE source = ? AND key = ?", "ss",
			    x->e->source, lane_of(x->e)));
	TRY(database_row(x->to->db, row, &more));
	if (!more)
		return OK;
	*out = (struct lane_state){column_int(row, 0), column_int(row, 1)};
	database_end(row);
	return OK;
}

static enum status put_lane(const struct arrival *x, int64_t sequence)
{
	return database_run(x->to->db,
			    "INSERT INTO lane (source, key, sequence, seen_ms) VALUES (?, ?, ?, ?)"
			    " ON CONFLICT DO UPDATE SET sequence = max(sequence, "
			    "excluded.sequence),"
			    " seen_ms = max(seen_ms, excluded.seen_ms)",
			    "ssii", x->e->source, lane_of(x->e), sequence, x->received_ms);
}

/* Order is the order of admission; a sequence only tells what was missed or came late (SRE-011.1),
 * and the event takes effect all the same: what it means depends on its episode, not on when it
 * came. */
static enum status follow_lane(const struct arrival *x, enum order_policy policy)
{
	struct lane_state lane;
	long long sequence = -1;

	bool numbered = !str_empty(x->e->sequence) &&
			str_to_int(x->e->sequence, 0, INT64_MAX, &sequence) == OK;
	if (!numbered && policy != ORDER_SKIP)
		return OK;
	TRY(read_lane(x, &lane));
	if (numbered && lane.sequence >= 0 && sequence <= lane.sequence)
		x->to->order_violations++;
	else if (numbered && lane.sequence >= 0)
		x->to->sequence_gaps += (uint64_t)(sequence - lane.sequence - 1);
	return put_lane(x, sequence);
}

/* Later events of the key than the dead letter that this replays. */
static enum status is_stale(const struct arrival *x, bool *stale)
{
	struct lane_state lane;
	int64_t since = 0;

	TRY(database_number(x->to->db, &since,
			    "SELECT coalesce(max(received_ms), 0) FROM dead_letter WHERE id = ?",
			    "i", x->letter));
	TRY(read_lane(x, &lane));
	*stale = lane.seen_ms > since;
	return OK;
}

static enum status is_blocked(const struct arrival *x, bool *blocked)
{
	int64_t found = 0;

	TRY(database_number(x->to->db, &found,
			    "SELECT EXISTS (SELECT 1 FROM dead_letter WHERE event_source = ?1 AND "
			    "partition_key = ?2"
			    " AND state <> 'resolved' AND (?3 = 0 OR id < ?3))",
			    "ssi", x->e->source, lane_of(x->e), x->letter));
	*blocked = found != 0;
	return OK;
}

/* The event as it could have come, to be decoded again by a replay. */
static char *structured(void *mem, const struct record_event *e)
{
	json_t *labels = NULL;
	json_t *notes = NULL;

	if (json_parse(mem, e->labels, strlen(e->labels), &labels) != OK ||
	    json_parse(mem, e->annotations, strlen(e->annotations), &notes) != OK)
		return NULL;
	json_t *data = json_pack("{s:s, s:O, s:O, s:s, s:s}", "status", alert_state_name(e->state),
				 "labels", labels, "annotations", notes, "startsAt",
				 clock_format(mem, e->starts_ms), "generatorURL", e->generator_url);
	mem_check(data);
	if (e->ends_ms != 0)
		json_object_set_new(data, "endsAt", json_string(clock_format(mem, e->ends_ms)));
	json_t *event = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "specversion", "1.0",
				  "id", e->id, "source", e->source, "type", e->type,
				  "correlationid", e->correlation_id, "idempotencykey", e->key,
				  "partitionkey", lane_of(e), "data", data);
	mem_check(event);
	if (!str_empty(e->subject))
		json_object_set_new(event, "subject", json_string(e->subject));
	if (!str_empty(e->sequence))
		json_object_set_new(event, "sequence", json_string(e->sequence));
	return json_text(mem, mem_own(mem, event));
}

/* A replay that is still blocked stays the letter that it is. */
static enum status hold_back(struct arrival *x)
{
	SCOPE(mem);
	const struct record_event *e = x->e;
	int64_t id;
	const struct dead_letter d = {
		.event_id = e->id,
		.event_type = e->type,
		.event_source = e->source,
		.subject = e->subject,
		.correlation_id = e->correlation_id,
		.reason = "an earlier event of its partition key waits in the dead letters",
		.category = "order",
		.stage = "intake",
		.attempts = 1,
		.origin = x->origin,
		.received_ms = x->received_ms,
		.failed_ms = x->received_ms,
		.body = structured(mem, e),
		.partition_key = lane_of(e),
	};

	x->outcome = ADMIT_HELD;
	return x->letter != 0 ? OK : letter_add(x->to->db, &d, &id);
}

static enum status heed_order(struct arrival *x, enum order_policy policy)
{
	bool stale = false;
	bool blocked = false;

	if (policy == ORDER_SKIP && x->letter != 0)
		TRY(is_stale(x, &stale));
	if (policy == ORDER_BLOCK)
		TRY(is_blocked(x, &blocked));
	if (stale)
		x->outcome = ADMIT_STALE;
	return blocked ? hold_back(x) : OK;
}

static enum status admit_event(struct arrival *x)
{
	enum order_policy policy = order_policy_of(x->to->order_rules, x->e->type);

	x->outcome = ADMIT_ACCEPTED;
	if (x->e->keyed)
		TRY(find_duplicate(x));
	if (x->outcome == ADMIT_DUPLICATE)
		return OK;
	TRY(heed_order(x, policy));
	if (x->outcome == ADMIT_HELD)
		return OK;
	TRY(follow_lane(x, policy));
	if (x->outcome == ADMIT_ACCEPTED)
		TRY(x->e->state == ALERT_FIRING ? admit_firing(x) : admit_resolved(x));
	return x->e->keyed ? put_key(x) : OK;
}

/* Refusals. */

static enum status bury_member(struct applying *to, const struct record *r,
			       const struct record_refusal *refusal)
{
	SCOPE(mem);
	json_t *report = NULL;
	int64_t id;

	if (!str_empty(refusal->report))
		TRY(json_parse(mem, refusal->report, strlen(refusal->report), &report));
	const struct dead_letter d = {
		.event_id = refusal->id,
		.event_type = refusal->type,
		.event_source = refusal->source,
		.subject = "",
		.correlation_id = refusal->id,
		.reason = refusal->error,
		.category = refusal->category,
		.permanent = true,
		.stage = "intake",
		.attempts = 1,
		.origin = r->origin,
		.received_ms = r->received_ms,
		.failed_ms = r->received_ms,
		.body = refusal->body,
		.partition_key = refusal->partition_key,
		.schema = report,
	};
	return letter_add(to->db, &d, &id);
}

enum status admit_record(struct applying *to, uint64_t number, const unsigned char *payload,
			 size_t bytes)
{
	SCOPE(mem);
	struct record r;
	struct record_event event;
	struct record_refusal refusal;
	bool refused;

	TRY(record_begin(payload, bytes, &r));
	for (uint32_t n = 0; n < r.count; n++) {
		TRY(record_next(mem, &r, to->seal, &event, &refusal, &refused));
		struct arrival x = {.to = to,
				    .e = &event,
				    .received_ms = r.received_ms,
				    .letter = r.letter,
				    .origin = r.origin,
				    .number = number,
				    .member = n};
		TRY(refused ? bury_member(to, &r, &refusal) : admit_event(&x));
	}
	return OK;
}

enum status admit_bury(struct applying *to, uint64_t number, const unsigned char *payload,
		       size_t bytes)
{
	SCOPE(mem);
	struct record r;
	int64_t id;
	bool ours = record_begin(payload, bytes, &r) == OK;
	const struct dead_letter d = {
		.event_id = "",
		.event_type = "",
		.event_source = "",
		.subject = "",
		.correlation_id = "",
		.reason = str_fmt(mem, "record %llu of the intake log cannot be applied",
				  (unsigned long long)number),
		.category = "partial_processing",
		.permanent = true,
		.stage = "intake",
		.attempts = 2,
		.origin = ours ? r.origin : "agent",
		.received_ms = ours ? r.received_ms : 0,
		.failed_ms = ours ? r.received_ms : 0,
		.body = (const char *)payload,
		.body_bytes = bytes,
	};

	return letter_add(to->db, &d, &id);
}
