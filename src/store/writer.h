/*
 * The one thread that writes. It takes everything that waits, runs it as one transaction, each operation
 * in a savepoint, commits with one fsync, and only then reports to each operation. While it syncs, the next
 * group gathers: an idle system commits a lone operation at once, a busy one forms large groups.
 */
#pragma once

#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "store/database.h"
#include "store/store.h"

struct writer;

/* Embedded in what is written; lives until `settled` was called. */
struct write {
	/* Inside the transaction. A failure undoes this operation alone. May call writer_due. */
	enum status (*run)(struct write *op, struct writer *w, struct database *db);
	/* After the commit (or instead of it), exactly once, on the writer thread: must not block. */
	void (*settled)(struct write *op, enum status s, const char *message);
	size_t bytes; /* counts towards the bound of the waiting room */
	/* the writer's own */
	struct write *next;
	enum status status;
	char message[256];
	size_t due_mark;
	sem_t done; /* writer_await's */
};

/* What waits elsewhere in order, already durable there: the intake log. The writer takes some of it into each
 * transaction, before the operations. A transaction of nothing else is not synced: what the feed holds would be
 * applied again after a power cut. */
struct writer_feed {
	bool (*waiting)(void *arg); /* any thread; cheap */
	/* Inside the transaction. A failure undoes what it did and nothing else. */
	enum status (*run)(void *arg, struct writer *w, struct database *db);
	/* After the commit or the failure. `synced`: everything that was ever applied is on disk now. */
	void (*settled)(void *arg, enum status s, bool synced);
	void *arg;
};

/* `feed` may be NULL; it is copied. */
NODISCARD enum status writer_start(void *mem, struct database *db, size_t limit, size_t limit_bytes,
				   const struct writer_feed *feed, struct writer **out);
/* Something waits in the feed. */
void writer_wake(struct writer *w);
/* Runs what waits, then ends the thread. */
void writer_stop(struct writer *w);

/* E_RATE when the waiting room is full, E_CANCELED after writer_stop; then `settled` is not called. */
NODISCARD enum status writer_submit(struct writer *w, struct write *op);

/* Submits and waits; sets this thread's message. `settled` is ignored. Waits for room as well. */
NODISCARD enum status writer_await(struct writer *w, struct write *op);

/* From `run`: reported after the commit. */
void writer_due(struct writer *w, int64_t incident, enum lane lane, int64_t due_ms);
void writer_on_due(struct writer *w, store_due_fn *due, void *arg);

/* Nothing is written from now on, and writer_health says so: the database was found to be damaged. Any thread. */
void writer_condemn(struct writer *w, const char *why);

/* The outcome of the last commit. */
NODISCARD enum status writer_health(struct writer *w);

/* Where a test may end the process (AGENT_SRE_CRASH_AFTER): after everything that became durable. */
void writer_crash_point(void);
