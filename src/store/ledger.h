/*
 * The intake log: what was accepted, in order, before anything is answered. An append-only sequence of numbered
 * records in segment files of zeroed, recycled blocks, so that one fdatasync of a group of records changes no file
 * metadata. The database applies the records a moment later and stores the number of the last one it holds in the
 * same transaction; at start, reading goes on from there (docs/decisions/0007-intake-log.md).
 *
 * A record: 40 bytes of header { magic, payload bytes, number, durable, epoch, kind, checksum } and the payload, padded
 * to 8 bytes. `durable` is the last number that was known to be on disk when the record was written: a damaged record
 * with a whole one behind it that calls it durable is damage; any other is the torn end of the last write.
 *
 * Not thread-safe, but for ledger_read, which one other thread may call beside the appending one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct ledger;

enum { LEDGER_RECORD_LIMIT = 64 * 1024 * 1024 };

/* Opens the log in `dir`; the next record gets the number behind the last whole one, at least applied + 1. `epoch`
 * must be larger at each opening. Damaged records are passed over and counted, the file is kept under another name.
 * E_TRANSIENT: the disk. */
NODISCARD enum status ledger_open(void *mem, const char *dir, uint64_t applied, uint32_t epoch, struct ledger **out);

/* A look at the log in `dir` that changes nothing, beside a running agent as well: each whole record in order. A failure
 * of `record` ends it. */
struct ledger_report {
	uint64_t first, last; /* records; last < first: none */
	uint64_t bytes;	      /* of all files */
	uint64_t lost;	      /* damaged or missing, and not applied */
	uint32_t epoch;	      /* the largest */
	char damage[96];      /* the first damaged file, or "" */
};
typedef enum status ledger_record_fn(uint64_t number, const unsigned char *payload, size_t bytes, void *arg);
NODISCARD enum status ledger_examine(const char *dir, uint64_t applied, ledger_record_fn *record, void *arg,
				     struct ledger_report *out);

/* Accepted records that are damaged and could not be given back, and what was kept of them. Any thread; the text does
 * not change once it is not "". */
uint64_t ledger_lost(const struct ledger *l, const char **where);

/* Adds a record to the open group; it is copied. Returns its number. */
uint64_t ledger_append(struct ledger *l, const void *payload, size_t bytes);
/* Writes the open group and waits until it is on disk. After a failure none of the group counts, also not after
 * the next start, and its numbers are given again. E_TRANSIENT: disk full, read-only, broken; the message says which. */
NODISCARD enum status ledger_sync(struct ledger *l);

/* After opening, or after a failure: makes ready to write, and tells whether a group could be written now. OK at once
 * when nothing is to be done. */
NODISCARD enum status ledger_mend(struct ledger *l);

/* The last record that is on disk. */
uint64_t ledger_durable(const struct ledger *l);

/* Reads on, from applied + 1 after opening: up to the next durable record. E_NOTFOUND: no more now; *number is the next
 * one then, all before it were given or are lost. The payload is valid until the next call. */
NODISCARD enum status ledger_read(struct ledger *l, uint64_t *number, const unsigned char **payload, size_t *bytes);
/* Goes back (or on) to the record behind this one, which must not have been forgotten. */
void ledger_seek(struct ledger *l, uint64_t number);

/* The records up to this one are durable elsewhere, their blocks may be used again. Called by the reading thread. */
void ledger_forget(struct ledger *l, uint64_t number);

/* Bytes of durable records that have not been read. */
uint64_t ledger_backlog(const struct ledger *l);
