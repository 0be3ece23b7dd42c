/* What the files of this folder share; nobody else includes it. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "store/database.h"
#include "store/store.h"
#include "store/writer.h"

/* Reading waits for little but the processor: more at once are no faster. And a connection is dear to open: it reads the
 * whole schema, and prepares every statement anew. */
enum { READERS_MAX = 16 };

/* How far the rounds of letters_tickets.c have come; theirs alone. */
struct letter_watch {
	int64_t newest, changes, scanned_ms;
};

struct store {
	const char *path;
	const char *dir;
	struct seal *seal;
	int64_t letter_retention_ms;
	const char *const *letter_retention_by_type;
	int letter_replays_max;
	pthread_mutex_t archive_lock; /* one archives at a time */
	_Atomic int64_t letter_changes; /* grows whenever letters may have left their group */
	struct letter_watch letter_watch;
	int lock_fd;
	const char *tracker_team, *tracker_url; /* of the embedded tracker; NULL = tickets go elsewhere */
	struct intake *intake;
	struct inspector *inspector;
	struct writer *writer;
	pthread_mutex_t readers_lock;
	pthread_cond_t reader_free;
	struct database *readers[READERS_MAX]; /* the free ones, the last used on top */
	int readers_free, readers_open;
	atomic_bool full;
};

/* The store in this directory is ours until *fd is closed. E_CONFLICT: another process has it. */
NODISCARD enum status directory_lock(const char *dir, int *fd);

/* A read-only connection for one query or a few; give it back. Waits for one when all are in use: who holds one takes
 * no second. */
NODISCARD enum status reader_take(struct store *s, struct database **out);
void reader_give(struct store *s, struct database *db);

/* Inside a write. */
NODISCARD enum status journal_add(struct database *db, int64_t incident, int64_t at_ms, const char *step, int attempt,
				  const char *outcome, int64_t duration_ms, const char *note);
/* Seals what came. */
NODISCARD enum status letter_add(struct database *db, const struct dead_letter *d, int64_t *id);
NODISCARD enum status ticket_ops_add(struct database *db, struct writer *w, int64_t incident, const struct ticket_op *ops,
				     size_t count, int64_t now_ms);
/* Carries them out with the embedded tracker when tickets live there, else adds them to the lane; notes in `r` what was
 * done. */
NODISCARD enum status ticket_ops_take(struct store *s, struct writer *w, struct database *db, int64_t incident,
				      const struct ticket_op *ops, size_t count, int64_t now_ms, struct commit_result *r);
/* INQUIRY_NONE adds none. */
NODISCARD enum status inquiry_add(struct database *db, struct writer *w, int64_t incident, enum inquiry_stage stage,
				  int64_t now_ms);

/* What there is to remember of an operation that was carried out. `ref` after CREATE, else NULL. */
NODISCARD enum status ticket_delivered(struct database *db, int64_t incident, const struct ticket_op *op, int attempt,
				       const struct ticket_ref *ref, const char *note, int64_t started_ms, int64_t now_ms);
/* Carries out new operations with the embedded tracker. False in *done: older ones wait, or one could not be carried
 * out; then it and those behind it wait in the lane. */
NODISCARD enum status tracker_take(struct store *s, struct database *db, int64_t incident, const struct ticket_op *ops,
				   size_t count, int64_t now_ms, struct commit_result *out, bool *done);

/* At start, before anything is written: undoes what was cut short, and seals letters of older versions. */
NODISCARD enum status letters_start(struct database *db, const struct seal *seal);
