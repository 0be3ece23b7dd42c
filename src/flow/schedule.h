/*
 * When to work on what, and by whom: a heap of due lanes in memory (the durable truth is the store's;
 * it is rebuilt from there at start), and a pool of worker threads started on demand. A lane is never
 * given to two workers at once: a signal that arrives while one works on it is remembered and looked
 * at as soon as it is done. A lane that needs a peer that is away waits here, holding nothing, until
 * that is back.
 */
#pragma once

#include <stdint.h>

#include "base/status.h"
#include "flow/flow.h"

struct schedule;

/* Starts the dispatcher and loads what is due from the store. `max_workers` ≥ 1. When loading fails, *out is
 * set none the less and wants schedule_stop. */
NODISCARD enum status schedule_start(void *mem, struct flow *flow, int max_workers, struct schedule **out);

/* A store_due_fn; arg is the struct schedule. */
void schedule_due(int64_t incident, enum lane lane, int64_t due_ms, void *arg);

/* The peer is back: every lane that waits for it is due now, the oldest incident first, as many at once as their class
 * may have workers. */
void schedule_wake(struct schedule *s, int peer);
/* Lanes that wait for that peer. */
size_t schedule_waiting(struct schedule *s, int peer);

/* Starts no more steps, lets running ones finish for at most drain_ms, then cancels their calls
 * (http_client_stop; such steps run again after the next start), and ends the threads. */
void schedule_stop(struct schedule *s, int64_t drain_ms);
