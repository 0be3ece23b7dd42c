/*
 * The record that walks the flow: one episode (fingerprint + startsAt) of one alert. Loaded from the
 * store by the engine, changed only through the outcome of a step.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "base/trace.h"
#include "domain/plan.h"
#include "domain/slo.h"

/* I(id, name, what it means for a person) in the order of life. */
#define INCIDENT_STATES(I) \
	I(OPEN, "open", "admitted; ticket on its way, remedy being chosen") \
	I(APPROVAL, "approval", "a person must approve or reject the action") \
	I(REMEDIATING, "remediating", "the function is being called") \
	I(VERIFYING, "verifying", "Prometheus is being asked whether it helped") \
	I(RECOVERED, "recovered", "the remedy is verified; waiting for the alert to resolve") \
	I(ESCALATED, "escalated", "handed to a person; closes when the alert resolves") \
	I(CLOSED, "closed", "the alert is resolved and the ticket is closed")

enum incident_state {
#define INCIDENT_ENUM(id, name, meaning) INCIDENT_##id,
	INCIDENT_STATES(INCIDENT_ENUM)
#undef INCIDENT_ENUM
	INCIDENT_STATE_COUNT
};

const char *incident_state_name(enum incident_state s);
NODISCARD enum status incident_state_parse(const char *word, enum incident_state *out);

/* True when a step may move an incident from one state to the other. */
bool incident_may_become(enum incident_state from, enum incident_state to);

enum call_result { CALL_NONE, CALL_SUCCESS, CALL_FAILED, CALL_UNKNOWN };

/* One remediation: the intent is durable before the call, the result after it. */
struct action {
	const char *key;        /* idempotency key, the same on every try */
	const char *process;    /* the process that wrote the intent: another one cannot know whether
				   the call went out */
	int64_t intent_ms;
	int64_t called_ms;      /* 0 = not yet */
	int64_t finished_ms;    /* 0 = not yet */
	int tries;
	enum call_result result;
	const char *message;    /* the function's words, or what went wrong */
	bool cannot_fix;        /* retrying cannot help */
};

enum verdict { VERDICT_NONE, VERDICT_RECOVERED, VERDICT_NOT_RECOVERED, VERDICT_INCONCLUSIVE };

struct verification {
	int64_t started_ms;
	int64_t deadline_ms;
	int polls;
	enum verdict verdict;
	json_t *checks; /* array of {name, passed: true|false|null, observed, limit, detail}: the last poll's */
	const char *reason; /* why it is inconclusive or not recovered */
};

struct incident {
	int64_t id;             /* shown as INC-<id> */
	const char *uid;        /* random, 32 hex digits: the seed of every client-generated id */
	enum incident_state state;
	int64_t signals;        /* counts what arrived from outside (resolved, approval, repeats) */

	const char *fingerprint;
	const char *alertname;
	json_t *labels, *annotations;
	const char *generator_url;
	int64_t truncated_alerts;
	int64_t starts_ms;
	int64_t received_ms;    /* when its first event was durable */
	int64_t resolved_ms;    /* endsAt; 0 = not resolved */
	const char *resolved_by; /* "event", "prometheus", "alertmanager"; "" */
	int64_t closed_ms;
	int64_t updated_ms;
	int64_t fired_count;    /* events that said "firing" */
	int64_t previous;       /* the earlier incident of the same fingerprint; 0 = none */
	const char *correlation_id, *event_id, *event_source;
	struct trace_context trace;

	/* what the steps found; NULL until then */
	struct slo_context *slo; /* when its ticket was opened; NULL = it names no SLO */
	const char *assignee;    /* who is on call then; "" = nobody, NULL = not looked up yet */
	struct plan *plan;
	struct action *action;
	struct verification *verification;
	int plans_tried;
	json_t *rejected;       /* array of {function, reason}: candidates that were not taken */
	const char *escalation; /* why it was handed over; "" = not */
	bool dead;              /* a step was exhausted: there is a dead letter */

	/* the ticket, "" until it exists */
	const char *ticket_id, *ticket_key, *ticket_url;
	int64_t ticket_ms;
	const char *approval_by; /* who decided; "" */
	const char *approval;    /* "", "pending", "approved", "rejected", "expired" */
	int64_t approval_expires_ms;
};

/* The part that steps change, as one JSON document for the store, and back (into i). */
json_t *incident_memory_encode(void *mem, const struct incident *i);
NODISCARD enum status incident_memory_decode(void *mem, const json_t *doc, struct incident *i);

const char *verdict_name(enum verdict v);         /* "recovered", "not_recovered", "inconclusive", "" */
const char *call_result_name(enum call_result r); /* "success", "failed", "unknown", "" */

/* The label slo, else the annotation, which is where data.slo of an event is kept; NULL = none. Borrowed. */
const char *incident_slo(const struct incident *i);

/* "INC-17" ↔ 17; a bare number is accepted too. */
char *incident_name(void *mem, int64_t id);
NODISCARD enum status incident_id_parse(const char *text, int64_t *out);
