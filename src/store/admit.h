/*
 * The writer's side of the way in: applies records of the intake log to the database, many in one transaction. Applying
 * a record again gives the same incidents (their uid is made of the store's uid and the record's number), so a
 * transaction that a power cut took back loses nothing and doubles nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/seal.h"
#include "base/status.h"
#include "store/database.h"
#include "store/writer.h"

enum { REPEATS_HELD = 64 };

/* Repeats of one episode that are counted in memory until admit_flush: a storm of one alert is one update. */
struct repeats {
	char fingerprint[17];
	int64_t incident, starts_ms, count, last_ms;
};

/* One transaction's worth of applying; begins zeroed but for these: */
struct applying {
	struct database *db;
	struct writer *writer;
	const char *store_uid;
	const struct seal *seal; /* opens what record.h sealed */
	const char *const *order_rules; /* of order.h */
	int64_t epoch;           /* of this opening: the fencing token in each key's row */
	/* its own */
	struct repeats held[REPEATS_HELD];
	size_t held_count;
	/* counted here, and in metrics only when the transaction has succeeded (admit_count) */
	uint64_t order_violations, sequence_gaps, orphans;
};

/* All members of one record. Fails for the disk, or E_INTERNAL for a record that is not ours. */
NODISCARD enum status admit_record(struct applying *a, uint64_t number, const unsigned char *payload, size_t bytes);

/* A record that cannot be applied becomes a dead letter, so that those behind it can go on. */
NODISCARD enum status admit_bury(struct applying *a, uint64_t number, const unsigned char *payload, size_t bytes);

/* After the commit. */
void admit_count(const struct applying *a);

/* Writes what is held. Before the transaction ends. */
NODISCARD enum status admit_flush(struct applying *a);
