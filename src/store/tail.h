/*
 * The end of the intake log, read from outside while the daemon writes to it: the records that the database does not
 * hold yet. Its files are recycled as soon as their records are applied, so they are read at once, into memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { TAIL_BYTES_MAX = 512 * 1024 * 1024 };

struct tail_file {
	char *name; /* "intake-0000000000000001.log" */
	uint64_t first; /* record */
	int64_t size;   /* of the file */
	char *bytes;
	size_t used; /* the bytes behind are zeros */
};

/* `applied` is the last record that the snapshot of the database holds. Under mem, oldest first. E_CONFLICT: the
 * daemon has recycled a file that this snapshot needs; take another one. With `gap` a log that begins behind
 * `applied` is taken as it is: records were lost on disk. E_TRANSIENT: more than TAIL_BYTES_MAX wait
 * to be applied, or the disk. */
NODISCARD enum status tail_copy(void *mem, const char *dir, uint64_t applied, bool gap, struct tail_file **out,
				 size_t *count);
