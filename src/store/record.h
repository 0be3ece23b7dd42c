/*
 * What the intake log holds of one request: its events as they will be applied, decoded already, and the members
 * that were refused. A flat little-endian form that is read without parsing JSON. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/seal.h"
#include "base/status.h"
#include "store/store.h"

/* One event of a record; texts point into the record and end with a NUL. */
struct record_event {
	const char *id, *source, *type, *subject, *correlation_id;
	const char *trace_id, *span_id; /* "" = none */
	bool sampled;
	bool keyed; /* (source, id) or the idempotency key identifies it; else only its episode does */
	const char *key; /* idempotency key; the id unless the event brought one */
	const char *partition_key; /* "" = the fingerprint */
	const char *sequence;      /* "" = none */
	enum alert_state state;
	const char *fingerprint, *name, *labels, *annotations, *generator_url; /* labels, annotations: JSON */
	int64_t starts_ms, ends_ms, truncated_alerts;
};

/* One member that was refused. In the log it is sealed: it may hold anything. */
struct record_refusal {
	const char *id, *source, *type, *error, *category, *body;
	const char *partition_key;
	const char *report; /* JSON of event_member.report, "" = none */
};

struct record {
	int64_t received_ms;
	int64_t letter; /* the dead letter that it replays; 0 = none */
	const char *origin;
	uint32_t count;
	const unsigned char *at, *end; /* the members that have not been read */
};

/* Of a decoded request; under mem. E_INVALID when it would be larger than LEDGER_RECORD_LIMIT. */
NODISCARD enum status record_encode(void *mem, const struct admission *a, const struct seal *seal, unsigned char **out,
				    size_t *bytes);

/* E_INTERNAL: not a record of ours. */
NODISCARD enum status record_begin(const unsigned char *payload, size_t bytes, struct record *out);
/* The next member; `*refused` tells which of the two was filled. A refusal lives under mem. E_INTERNAL: damaged;
 * E_DENIED: sealed with a key that is not here. */
NODISCARD enum status record_next(void *mem, struct record *r, const struct seal *seal, struct record_event *event,
				  struct record_refusal *refusal, bool *refused);
