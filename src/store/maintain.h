/*
 * Looking after the store by hand: is it whole, make it whole, make it small (docs/howto/disk-trouble.md). What is found
 * is said line by line, as it is found.
 */
#pragma once

#include <stdbool.h>

#include "base/status.h"

enum maintain_mark {
	MAINTAIN_STEP, /* what is being done now: for a person who waits */
	MAINTAIN_WELL,
	MAINTAIN_NOTE, /* worth knowing */
	MAINTAIN_BAD,
};

typedef void maintain_fn(enum maintain_mark mark, const char *what, const char *detail, void *arg);

struct maintenance {
	const char *dir;
	const char *encryption_key, *previous_key; /* as in store_options */
	maintain_fn *say;
	void *arg;
};

/* Reads everything and changes nothing; beside a running agent as well. *sound: nothing is wrong. */
NODISCARD enum status store_check(const struct maintenance *m, bool *sound);

/* The agent must be stopped (E_CONFLICT). Copies what is there to <dir>/damaged-<time>/, makes a new database of every
 * row that can be read, and applies the intake log to it. *whole: nothing was lost. A failure before
 * the new one takes the old one's place leaves the store as it was; after that (applying the log) the new one is in
 * place, as far as the log was applied, and what was there is in the copy. */
NODISCARD enum status store_repair(const struct maintenance *m, bool *whole);

/* The agent must be stopped (E_CONFLICT). Gives unused space back to the disk. E_TRANSIENT: there is no room for it. */
NODISCARD enum status store_compact(const struct maintenance *m);
