/*
 * THE WORKFLOW. An incident walks these steps; each is one file, one function. A step gets a fresh
 * copy of the incident, does its work with blocking calls, changes the copy, and says what comes next;
 * the engine makes all of it durable in one transaction (engine.c). A crash anywhere runs the step
 * again from the last transaction, so a step looks before it acts.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/backoff.h"
#include "base/status.h"
#include "clients/alertmanager.h"
#include "clients/function.h"
#include "clients/prometheus.h"
#include "domain/catalogue.h"
#include "domain/incident.h"
#include "domain/policy.h"
#include "domain/story.h"
#include "flow/gather.h"
#include "flow/on_call.h"
#include "flow/slm.h"
#include "flow/tracker.h"
#include "net/watch.h"
#include "store/store.h"

/* STEP(name, tries, class, what it leaves behind). After `tries` failed tries the incident goes to a
 * person and a dead letter is written. The class bounds how many workers its steps may hold. */
#define FLOW_STEPS(STEP)                                                                     \
	STEP(open, 8, QUICK, "the ticket's creation is decided and durable")                 \
	STEP(assess, 8, QUERY, "the SLO's state and who is on call are known, or known to be unavailable; back to open") \
	STEP(plan, 8, QUICK, "a function and its parameters are chosen and judged, or a person is told why not") \
	STEP(approve, 8, QUICK, "a person approved or rejected, or time ran out")            \
	STEP(remediate, 5, CALL, "the function was called at most once per intent; its answer is stored") \
	STEP(verify, 60, QUERY, "Prometheus' own word on whether the alert is over")        \
	STEP(escalate, 8, QUICK, "a person has everything that is known")                    \
	STEP(close, 60, QUERY, "the alert is resolved and the ticket is closed")

enum step {
#define STEP_ENUM(name, tries, class, leaves) STEP_##name,
	FLOW_STEPS(STEP_ENUM)
#undef STEP_ENUM
	STEP_COUNT
};

/* Shares of the worker pool. */
enum work_class { WORK_QUICK, WORK_QUERY, WORK_CALL, WORK_TICKET, WORK_INQUIRY, WORK_CLASS_COUNT };

/* What waits for peers that are away. It is all in the store already; this says how much of it is waiting, and tells
 * what becomes of it. Called on workers' threads, may block. */
struct outbox {
	size_t limit; /* lanes that may wait for one peer; 0 = no bound */
	/* One more than that waits: it goes to the dead letters too, and on like the others. */
	void (*overflowed)(int64_t incident, enum lane lane, int peer, void *arg);
	/* All `woken` lanes were visited since the peer is back; `replayed` of them got on. */
	void (*replayed)(int peer, int64_t woken, int64_t replayed, int64_t took_ms, void *arg);
	void *arg;
};

/* What all steps share; made at start, read-only afterwards. */
struct flow {
	struct store *store;
	struct http_client *http;
	struct watch *watch;               /* NULL = every peer is there */
	struct outbox outbox;
	const struct catalogue *catalogue; /* maybe empty, never NULL */
	struct policy policy;
	const char *const *protected_namespaces;
	struct prometheus prometheus;
	struct alertmanager alertmanager; /* url NULL = not configured */
	struct sources sources;           /* of evidence */
	struct function_options functions;
	struct tracker *tracker;
	struct backoff retry;
	const char *process;              /* random per start: marks intents of this process */
	struct slm *slm;                  /* NULL = switched off */
	struct on_call *on_call;
	int64_t approval_timeout_ms;
	const char *approval_timeout_action;
	int64_t verify_first_ms, verify_budget_ms, resolve_poll_ms;
	bool investigates;                /* investigate.enabled */
	atomic_bool stopping;
};

/* How a step ended. */
enum outcome_kind {
	OUTCOME_NEXT, /* go on with `next`, now or at due_ms */
	OUTCOME_WAIT, /* come back to this step at due_ms, or when a signal arrives */
	OUTCOME_END,  /* the flow has ended: the incident is closed */
	OUTCOME_AWAY, /* it needs `peer`, which is away: come back when that is back, or a signal arrives, or
			 at due_ms (0 = never). No try is used; nothing is written unless operations were added */
};

struct outcome {
	enum outcome_kind kind;
	enum step next;
	int64_t due_ms;      /* 0 = now */
	int peer;            /* with AWAY */
	const char *word;    /* for the timeline: "done", "asked", "recovered", …; NULL = from kind */
	const char *note;    /* one sentence for the timeline; NULL with WAIT = no row */
	bool quick;          /* the next step, too, waits for nothing and has no effect outside: it may run before this
				one is committed, and is committed with it */
	bool resolved;       /* found by polling that the alert is over */
	bool calls_function; /* this commit is the intent of a call */
	enum inquiry_stage inquiry; /* the incident is to be investigated, beside what follows */
	const char *approval; /* see struct step_commit */
	const char *dead;     /* given up after the last try: the reason for the dead letter; NULL = not */
};

/* One run of one step. */
struct run {
	void *mem;                  /* lives until the step is committed */
	const struct flow *flow;
	struct incident *incident;  /* the step's own copy: change it freely */
	int attempt;                /* tries of this step that have failed */
	int64_t now_ms;             /* at the start of the step */
	int64_t due_ms;             /* since when it is due */
	struct ticket_op *ops;      /* filled by run_ticket */
	size_t op_count;
};

/* A non-OK status is a failed try: retryable ones come back with backoff, the others hand the incident
 * to a person. */
typedef enum status step_fn(struct run *run, struct outcome *out);

#define STEP_DECLARE(name, tries, class, leaves) step_fn step_##name;
FLOW_STEPS(STEP_DECLARE)
#undef STEP_DECLARE

struct step_info {
	const char *name;
	int tries;
	enum work_class class;
	const char *leaves_behind;
	step_fn *run;
};

extern const struct step_info flow_steps[STEP_COUNT];

/* E_INTERNAL names an unknown step: a store written by a newer version. */
NODISCARD enum status flow_step_parse(const char *name, enum step *out);

/* Checks the table and that every step's transitions exist; daemon start refuses otherwise (P01). */
NODISCARD enum status flow_check(void);

/* The SLO of run->incident as it is now; NULL when it names none. The first waits for nothing and is false when Prometheus
 * must be asked; the second asks, for SLM's deadline at most. Without an answer the context says that it is unavailable, and
 * why: SLM is off, Prometheus is away, ... E_CANCELED when stopping. */
bool run_recall_slo(struct run *run, struct slo_context **out);
NODISCARD enum status run_ask_slo(struct run *run, struct slo_context **out);

/* Appends an operation to the incident's ticket lane. Its uuid is derived from the incident's uid and
 * `purpose`, which must be unique within the incident. `payload` is stolen (a new reference). */
void run_ticket(struct run *run, enum ticket_slot slot, enum ticket_kind kind, const char *purpose,
		json_t *payload);
/* The same for the commonest kind. */
void run_comment(struct run *run, const char *purpose, const char *markdown);

/* The step needs a peer that is away. `latest_ms` as in struct outcome. */
enum status run_await(struct outcome *out, int peer, int64_t latest_ms);

/* Is what this call would go to away? Then *peer is it. */
bool flow_is_away(const struct flow *flow, const char *component, const char *url, int *peer);

/* Remembers a candidate that was not taken, or did not help. */
void run_reject(struct run *run, const char *function, const char *digest, const char *reason);

/* The remedy is spent: it is remembered as rejected, and step_plan looks for another candidate. */
enum status run_replan(struct run *run, struct outcome *out, const char *word, const char *reason);

/* Sends the incident to a person: state, reason, and the outcome that leads to step_escalate. */
enum status run_escalate(struct run *run, struct outcome *out, const char *word, const char *reason);
