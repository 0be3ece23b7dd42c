/*
 * The dead letters over HTTP (names.md section 4): find and show them at any desk, change them at one desk of their
 * own, one call after the other. Every change is one line "audit" in the log.
 *
 * GET /dlq?state=&reason=&category=&type=&correlation_id=&group=&text=&from=&to=&before=&limit=&archived=true
 * GET /dlq/groups, GET /dlq/{id}; POST /dlq/{id}/replay {by}; POST /dlq/replay {filter, count, rate, by};
 * POST /dlq/archive {ids | filter, by}; DELETE /dlq/{id}?confirm=TOKEN&by=
 */
#pragma once

#include <stdbool.h>

#include "daemon/replay.h"
#include "net/http_server.h"

struct dlq {
	struct store *store;
	struct replay *replay;
};

bool dlq_knows(const char *path);
/* True when the request may take long and must go to the desk of its own. */
bool dlq_is_slow(const struct http_exchange *x);
/* An http_handler_fn; `dlq` is a struct dlq. */
void dlq_handle(struct http_exchange *x, void *dlq);

/* One round of the tickets of groups: each second. Logs what went wrong. */
void dlq_tickets(struct store *store, const struct letter_ticket_rules *rules);
/* Sets the gauges that are derived from the store. */
void dlq_gauges(struct store *store);
/* Moves what is older than its retention to the archive, and forgets tickets completed before `retention_ms`; logs
 * what went wrong. */
void dlq_expire(struct store *store, int64_t retention_ms);
