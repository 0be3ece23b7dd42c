/*
 * Backups of the live database, taken while it is written to: a full point once a day, increments (only the pages
 * that changed) between them. Everything is sealed; a point counts from the moment its manifest is there, and the
 * manifest is written last. seal.key is never part of a backup.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/seal.h"
#include "base/status.h"
#include "store/point.h"
#include "store/target.h"

struct backup_options {
	const char *data; /* the data directory; may be in use by a daemon */
	struct target *target;
	const struct seal *seal;
	int64_t full_every_ms; /* 0 = 24 h */
};

/* Remembers the digests of the last point, so that the next one need not fetch them. One thread at a time. */
struct backup;
struct backup *backup_new(void *mem, const struct backup_options *o); /* target and seal must outlive it */

struct backup_result {
	char id[POINT_ID_BYTES], parent[POINT_ID_BYTES]; /* parent "" = a full point */
	int64_t time_ms, took_ms;
	int64_t page_size, page_count, pages; /* in the database; shipped */
	int64_t bytes;                        /* shipped, all objects */
	char why_full[256];                   /* when it was not due: why no increment was possible; else "" */
};
/* E_NOTFOUND: no database there. E_TRANSIENT: target or disk, try again. E_CONFLICT, E_DENIED: the target holds
 * points of another store, or of a key that is not here. E_INTERNAL: the database is damaged; nothing
 * is backed up then, so that good points are not replaced by bad ones. */
NODISCARD enum status backup_take(struct backup *b, bool full, int64_t now_ms, struct backup_result *out);

/* Removes the series whose newest point is older than `keep_ms`, never the newest series: so what a kept point needs
 * stays. `*removed` counts points. */
NODISCARD enum status backup_prune(struct target *t, int64_t keep_ms, int64_t now_ms, size_t *removed);
