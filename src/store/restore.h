/*
 * Puts a point back into a new data directory. Every sum and seal is checked before a byte is used, every page and
 * every table after. Until the last step agent-sre.db is a note that no daemon opens; when anything fails the
 * directory is emptied again.
 */
#pragma once

#include <stdint.h>

#include "store/chain.h"

struct restore_options {
	const char *data; /* empty, absent, or left behind by a restore that was cut short */
	struct target *target;
	const struct seal *seal;
	const char *key;  /* what opens the sealed texts in it, written to seal.key; NULL = none */
	const char *by;   /* for the record that is left in restored.json */
	void (*progress)(int64_t done, int64_t whole, void *arg); /* bytes; NULL = none */
	void *arg;
};

struct restore_result {
	struct point *point; /* its tables are what was restored */
	size_t points;       /* read: the full one and the increments up to it */
	int64_t bytes, took_ms;
};

/* The newest point at or before that time. E_NOTFOUND says what there is. */
NODISCARD enum status restore_find(void *mem, struct target *t, int64_t at_ms, struct point_ref *out);

/* E_CONFLICT: not an empty directory, or one that a running agent-sre has. E_DENIED: sealed with another key (the
 * message names its id). E_INVALID: a damaged, missing or exchanged part, by name. E_TRANSIENT: target or disk. */
NODISCARD enum status restore_run(void *mem, const struct restore_options *o, const struct point_ref *ref,
				  struct restore_result *out);
