/*
 * Partitions of peers (SRE-012): what the watch says becomes log lines, metrics, rows of the store, and lanes that are
 * woken; and it is shown. One thread writes what is to be kept, so that a disk in trouble holds up neither the looks
 * nor the waking.
 *
 * GET /health (no token: names of peers and words only, no hosts, no messages)
 * GET /partitions?limit= (with token)
 */
#pragma once

#include "config/settings.h"
#include "flow/flow.h"
#include "flow/schedule.h"
#include "net/http_server.h"

struct partitions;

/* Makes the watch of `flow` from the settings, and the outbox's hooks. Before schedule_start. Borrows all. */
NODISCARD enum status partitions_new(void *mem, const struct settings *s, struct flow *flow, struct partitions **out);
/* Begins to look. After schedule_start. */
NODISCARD enum status partitions_start(struct partitions *p, struct schedule *schedule);
/* After schedule_stop, before store_close. NULL is legal. */
void partitions_stop(struct partitions *p);

/* Answers at once, from memory. */
void partitions_health(struct http_exchange *x, struct partitions *p);
/* Sets the gauges. */
void partitions_gauges(struct partitions *p);
