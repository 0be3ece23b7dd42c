/*
 * Partitions, past and present: which peer was away, from when to when, how it showed, and what waited for it. And the
 * dead letters of an outbox that was full: the work itself stays where it is and goes on by itself; its letter says
 * that it waits, and is resolved when it went on. All of them block until durable.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "store/store.h"

enum { PARTITIONS_MOST = 1000 };

struct partition {
	const char *component; /* prometheus, alertmanager, linear, function, otlp, broker */
	const char *name;      /* the peer: the component, or one of its hosts */
	const char *kind, *error;
	int64_t detected_ms;
};

/* Nothing when one of this name is open: that of an earlier process goes on. */
NODISCARD enum status store_partition_begin(struct store *s, const struct partition *p);
/* `buffered` lanes waited. `*detected_ms` (may be NULL) is when it began, 0 when none was open. */
NODISCARD enum status store_partition_end(struct store *s, const char *name, int64_t healed_ms, int64_t buffered,
					  int64_t *detected_ms);
/* `replayed` lanes more got on since the newest partition of this name. */
NODISCARD enum status store_partition_replayed(struct store *s, const char *name, int64_t replayed);
NODISCARD enum status store_partition_is_open(struct store *s, const char *name, bool *out);

/* Newest first: {id, component, peer, state: "active" | "healed", kind, error, detected_at, healed_at?, seconds,
 * buffered, replayed}. */
NODISCARD enum status store_partitions(void *mem, struct store *s, size_t limit, int64_t now_ms, json_t **out);

/* A lane waits for `name` beyond the bound: one dead letter of kind "outbox" for it, however often this is said. */
NODISCARD enum status store_outbox_overflow(struct store *s, int64_t incident, enum lane lane, const char *name,
					    int64_t limit, int64_t now_ms);
/* The letters of `name` that were written until `until_ms` are resolved; `*count` of them. */
NODISCARD enum status store_outbox_settle(struct store *s, const char *name, int64_t until_ms, int64_t now_ms,
					  int64_t *count);
