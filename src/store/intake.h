/*
 * The way in. One thread gathers the requests that wait, writes them as one group to the intake log with one sync,
 * and answers them; the writer applies the log to the database (store/admit.c) a moment later. Duplicates are
 * recognised before the answer, from memory nearly always, and recognised once more where it counts, when applied.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/seal.h"
#include "store/database.h"
#include "store/store.h"
#include "store/writer.h"

struct intake;

struct intake_options {
	const char *dir, *database; /* paths */
	size_t limit, limit_bytes;  /* of requests that wait */
	uint64_t backlog_limit;     /* bytes of the log that are not applied */
	const char *const *order_rules; /* of order.h */
	const struct seal *seal;    /* what was refused is sealed in the log; NULL = in the clear */
};

/* Opens the log behind the record that `db` has applied; applied is read, and the epoch of this opening written. */
NODISCARD enum status intake_open(void *mem, const struct intake_options *o, struct database *db, struct intake **out);
/* For writer_start. */
struct writer_feed intake_feed(struct intake *in);
/* Starts taking in. `w` applies. */
NODISCARD enum status intake_start(struct intake *in, struct writer *w);
/* Finishes what waits. Before writer_stop. */
void intake_stop(struct intake *in);

/* store_admit. */
NODISCARD enum status intake_admit(struct intake *in, struct admission *a);

/* Waits until everything that was answered by now can be read, at most so long. */
void intake_catch_up(struct intake *in, int64_t timeout_ms);

struct store_intake intake_state(struct intake *in);
/* OK while the last group could be made durable; else why not. */
NODISCARD enum status intake_health(struct intake *in);
