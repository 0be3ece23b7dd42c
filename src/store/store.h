/*
 * Durable facts. One directory, locked by one process: the intake log, where events are on disk before
 * they are answered, and a SQLite database (WAL) that they are applied to a moment later, where
 * everything else is. Every write to the database goes through one writer thread that gathers all
 * operations waiting at that moment into one transaction with one fsync (group commit); each operation
 * runs in a savepoint of its own, so that one that fails does not take its group down. Nothing is
 * reported as done before the fsync that covers it. Reads borrow a read-only connection from a small pool.
 *
 * All functions may be called from any thread. Times are ms since the epoch, passed in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "domain/event.h"
#include "domain/incident.h"
#include "domain/policy.h"
#include "domain/ticket.h"

struct store;

struct store_options {
	const char *dir;          /* created with mode 0700 when absent */
	const char *encryption_key, *previous_key; /* of seal.h; NULL or "": <dir>/seal.key */
	int64_t letter_retention_ms;               /* 0 = 30 days */
	const char *const *letter_retention_by_type; /* "type=7d", NULL-terminated; NULL = none */
	int letter_replays_max;                    /* 0 = 5 */
	const char *const *order_rules; /* of order.h; NULL = none; must stay */
	size_t queue_limit;       /* requests, and operations, that may wait for the disk; 0 = 8192 */
	size_t queue_limit_bytes; /* of requests that wait; 0 = 64 MiB */
	size_t backlog_limit;     /* bytes that are accepted and not applied; 0 = 256 MiB */
};

/* E_CONFLICT: another process holds the directory; E_INVALID: not writable, not ours, newer schema; E_INTERNAL: damaged,
 * the message says what to do. */
NODISCARD enum status store_open(void *mem, const struct store_options *o, struct store **out);
/* Finishes what waits (it becomes durable and is reported), then closes. */
void store_close(struct store *s);
/* OK while the last transaction succeeded; else the status and message of its failure. */
NODISCARD enum status store_health(struct store *s);

/* Work that is due. */

/* Two lanes of an incident that advance beside each other: its steps, and its ticket's operations. A group of dead
 * letters has a ticket lane too; its "incident" is negative. */
enum lane { LANE_FLOW, LANE_TICKET, LANE_INQUIRY };

/* Called (on the writer thread, after the fsync) when something outside a worker made a lane due:
 * a new incident, a resolved event, an approval, the first waiting ticket operation. Set once, at start,
 * before store_each_due; must not block. */
typedef void store_due_fn(int64_t incident, enum lane lane, int64_t due_ms, void *arg);
void store_on_due(struct store *s, store_due_fn *due, void *arg);

/* Calls `due` for every job and every ticket lane with waiting operations: once, at start. */
NODISCARD enum status store_each_due(struct store *s, store_due_fn *due, void *arg);

/* Intake. */

/* What an event came to. The answer to a request knows duplicate, rejected and accepted; the others are known when the event has
 * been applied (store_catch_up, store_event). */
enum admit_outcome {
	ADMIT_OPENED,    /* a new incident */
	ADMIT_REPEATED,  /* one more "firing" for a known episode, or for an incident still open */
	ADMIT_RESOLVED,  /* it ends a known incident */
	ADMIT_ORPHAN,    /* resolved, but no incident is known: remembered, so that a late "firing" of
			    the same episode is known to be over */
	ADMIT_DUPLICATE, /* same source and id as an earlier event */
	ADMIT_REJECTED,  /* the member was refused; it goes to the dead letters */
	ADMIT_ACCEPTED,  /* on disk, and new as far as is known */
	ADMIT_STALE,     /* a replay that came after later events of its key: changes nothing */
	ADMIT_HELD,      /* an earlier event of its key is a dead letter, so it became one */
};
const char *admit_outcome_name(enum admit_outcome o); /* "opened", … */

struct admit_result {
	enum admit_outcome outcome; /* duplicate, rejected or accepted */
	const char *correlation_id; /* of a duplicate, as first admitted; NULL = not known now */
};

/* One request's events: durable together or not at all. `set`, `results` and everything in them
 * belong to the caller and must stay until `done`. */
struct admission {
	const struct event_set *set;
	const char *origin; /* "agent" or "webhook": origin.kind of dead letters */
	int64_t received_ms;
	int64_t letter;     /* the dead letter that this replays; 0 = none */
	struct admit_result *results; /* set->count of them, talloc'd: what is found hangs there */
	enum status status;           /* of the whole: OK = all of it is on disk */
	char message[256];            /* why not */
	void (*done)(struct admission *a); /* on the intake thread, exactly once; must not block */
	void *arg;
	/* the intake's own */
	unsigned char *record;
	size_t record_bytes;
	struct admission *next;
};

/* Joins the open group; `done` follows. E_RATE (and no `done`) when the waiting room is full, or when too much that was
 * accepted has not been applied; E_INVALID: the events are too large together. */
NODISCARD enum status store_admit(struct store *s, struct admission *a);

/* Waits until everything that was answered by now can be read, at most so long. */
void store_catch_up(struct store *s, int64_t timeout_ms);

struct store_intake {
	uint64_t accepted, applied; /* records of the intake log, ever */
	uint64_t backlog_bytes;     /* accepted and not applied */
	uint64_t lost;              /* accepted, and damaged on disk before they were applied */
	const char *damage;         /* the file that was kept of them */
	int64_t epoch;              /* of this opening: fencing token */
};
struct store_intake store_intake(struct store *s);
/* Nothing more can be kept for what is away: whoever sends keeps it. Said by daemon/partitions.h. */
void store_set_full(struct store *s, bool full);
bool store_is_full(struct store *s);

/* What is known of an event: {event_id, event_source, correlation_id, received_at, outcome,
 * incident?, state?}. E_NOTFOUND. */
NODISCARD enum status store_event(void *mem, struct store *s, const char *source, const char *id, json_t **out);

/* Incidents and their steps. */

NODISCARD enum status store_incident(void *mem, struct store *s, int64_t id, struct incident **out);

struct incident_filter {
	int state;          /* enum incident_state, or -1 = any, -2 = all that are not closed */
	int64_t before;     /* only ids below this one; 0 = no bound */
	const char *ticket; /* only the one with this ticket key; NULL = any */
	size_t limit;       /* 1..1000 */
};
/* Newest first. */
NODISCARD enum status store_incidents(void *mem, struct store *s, const struct incident_filter *f,
				      struct incident ***out, size_t *count);

struct job {
	char step[24];
	int attempt;    /* tries of this step that have failed */
	int64_t due_ms;
};
/* The incident's job; E_NOTFOUND when its flow has ended. */
NODISCARD enum status store_job(struct store *s, int64_t incident, struct job *out);

struct dead_letter {
	const char *event_id, *event_type, *event_source, *subject, *correlation_id; /* "" = unknown */
	const char *reason;   /* failure_reason: one sentence */
	const char *category; /* parse, envelope, type, data, oversize, step, ticket */
	bool permanent;
	const char *stage;    /* intake, or the step's name */
	int attempts;
	const char *origin;   /* agent, webhook */
	int64_t received_ms, failed_ms;
	int64_t incident;     /* 0 = none */
	const char *body;     /* what came, or its head when oversize; NULL = none */
	/* what is needed to decode the body again; all of it may be missing */
	size_t body_bytes;        /* 0 = up to the NUL */
	const char *mode;         /* event_mode_name, or "" = by the looks of the body */
	const char *content_type;
	const json_t *headers;    /* object of strings: ce-*, traceparent, x-correlation-id */
	/* more about it */
	const char *partition_key;
	const json_t *schema;     /* {dataschema, detected_version, supported[], violations[]} */
	const json_t *origin_detail; /* of a broker: {queue, exchange, routing_key, headers} */
};

/* When an incident is investigated: as soon as it is opened, and when its remedy was judged (inquiries.h). */
enum inquiry_stage { INQUIRY_NONE, INQUIRY_INITIAL, INQUIRY_POST_REMEDIATION };

/* What one run of one step leaves behind; all of it becomes durable in one transaction. */
struct step_commit {
	const struct incident *after;   /* state and memory (incident_memory_encode); id and signals as loaded */
	const char *step;               /* that ran */
	int attempt;
	const char *outcome;            /* done, wait, retry, failed, escalated, … */
	const char *note;               /* one sentence for the timeline; NULL = no journal row */
	int64_t started_ms, duration_ms;
	const char *next_step;          /* NULL = the flow has ended */
	int next_attempt;
	int64_t due_ms;
	bool resolved;                  /* this step found by polling that the alert is over:
					   after->resolved_ms and resolved_by are written if not set yet */
	bool closed;                    /* closed_ms = now_ms */
	const char *approval;           /* "pending" opens an approval for after->plan->digest until
					   after->approval_expires_ms; "expired" ends it; NULL = unchanged */
	bool calls_function;            /* an intent: counts towards cooldown and hourly limits */
	const struct ticket_op *ops;    /* appended to the ticket lane, in this order */
	size_t op_count;
	const struct dead_letter *dead; /* NULL = none */
	enum inquiry_stage inquiry;     /* this one is wanted from now on; asking again changes nothing */
	int64_t now_ms;
};

struct commit_result {
	int64_t due_ms;      /* when the next step is due: now when a signal arrived since the incident was loaded, else
				the last commit's due_ms */
	bool tickets_done;   /* the embedded tracker has carried out the operations already */
	char ticket_key[32]; /* of the ticket that it created for the alert; "" = none */
};

/* What one step left behind, or several that followed one another with nothing outside between them: `after` of all
 * is the incident as it is now, and the last one says what comes next. One transaction. Blocks until durable. */
NODISCARD enum status store_commit_steps(struct store *s, const struct step_commit *commits, size_t count,
					 struct commit_result *out);

struct journal_entry {
	int64_t at_ms, duration_ms;
	const char *step;    /* a step, "ticket", "event", "approval" */
	int attempt;
	const char *outcome;
	const char *note;
};
/* Oldest first; events, approvals and delivered ticket operations included. */
NODISCARD enum status store_journal(void *mem, struct store *s, int64_t incident,
				    struct journal_entry **out, size_t *count);

/* Records a person's decision on the pending approval. `digest` must be a prefix (≥ 8) of the plan's,
 * or NULL. E_NOTFOUND: no such incident. E_CONFLICT: nothing is pending, it is decided already, it
 * has expired, or the plan has changed; the message says which. Blocks until durable. */
NODISCARD enum status store_decide(struct store *s, int64_t incident, const char *digest, bool approve,
				   const char *by, int64_t now_ms);

NODISCARD enum status store_history(struct store *s, const char *function, const char *target,
				    const char *fingerprint, int64_t now_ms, struct history *out);

/* True while an older incident of the same fingerprint has not been closed. */
NODISCARD enum status store_has_open_predecessor(struct store *s, int64_t incident, bool *out);

/* The ticket lane. */

struct ticket_work {
	struct ticket_op op;
	struct ticket_ref ref; /* the slot's ticket; id NULL before CREATE was delivered */
	int attempt;           /* tries that have failed */
	int64_t due_ms;
	int64_t created_ms;    /* when the operation was decided */
};
/* What waits in the incident's lane, the oldest first, at most `max`; *count is 0 when nothing does. Operations on a
 * ticket whose CREATE was buried are left out. */
NODISCARD enum status store_ticket_waiting(void *mem, struct store *s, int64_t incident, size_t max,
					   struct ticket_work **out, size_t *count);

struct ticket_delivery {
	const struct ticket_work *work;
	struct ticket_ref ref; /* after CREATE */
	const char *note;      /* for the timeline, or NULL */
	int64_t started_ms, done_ms;
};
/* All of them in one transaction. Blocks until durable. */
NODISCARD enum status store_ticket_done(struct store *s, int64_t incident, const struct ticket_delivery *done,
					size_t count);
NODISCARD enum status store_ticket_retry(struct store *s, int64_t incident, int64_t seq, const char *error,
					 int64_t due_ms, int64_t now_ms);
/* Refused for good: a dead letter is written. A buried CREATE blocks its slot's later operations,
 * any other one does not. */
NODISCARD enum status store_ticket_bury(struct store *s, int64_t incident, int64_t seq, const char *error,
					int64_t now_ms);

/* The embedded tracker. */

/* From now on operations that steps decide are carried out by the embedded tracker in the same transaction, unless
 * older ones of the incident still wait. Before the first write; the texts must stay. */
void store_embed_tracker(struct store *s, const char *team, const char *base_url);

/* Carries out one operation; a known uuid changes nothing. `ref` is the ticket (CREATE: ignored);
 * `*out` is set after CREATE, under mem. Keys are "<team>-<number>", URLs "<base_url>/tickets/<key>". */
NODISCARD enum status store_tracker_apply(void *mem, struct store *s, const struct ticket_op *op,
					  const struct ticket_ref *ref, const char *team,
					  const char *base_url, int64_t now_ms, struct ticket_ref *out);
/* {id, key, title, body, priority, state, labels[], assignee, created_at, closed_at, entries:[{at,
 * kind, body}]}. E_NOTFOUND. */
NODISCARD enum status store_tracker_ticket(void *mem, struct store *s, const char *key, json_t **out);

/* Dead letters. */

/* Asynchronous; `done` (may be NULL) is called on the writer thread with OK once durable. Copies
 * what it needs. E_RATE when the waiting room is full. */
NODISCARD enum status store_bury(struct store *s, const struct dead_letter *d,
				 void (*done)(enum status s, void *arg), void *arg);
/* The newest open ones, as store/letters.h shows them in lists. */
NODISCARD enum status store_dead_letters(void *mem, struct store *s, size_t limit, json_t **out);

/* Numbers. */

struct store_counts {
	int64_t incidents[INCIDENT_STATE_COUNT]; /* CLOSED is not counted and stays 0 */
	int64_t jobs, ticket_ops, dead_letters; /* dead letters: the open ones */
};
NODISCARD enum status store_counts(struct store *s, struct store_counts *out);

/* Deletes events and closed incidents older than this, and pictures of incidents closed more than three days ago; a small
 * bite per call. */
NODISCARD enum status store_expire(struct store *s, int64_t older_than_ms);
