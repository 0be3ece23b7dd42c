/* A restore on trial: the newest point, into a directory that goes away again. */
#pragma once

#include "daemon/depot.h"
#include "store/restore.h"

struct drill_options {
	const struct settings *settings;
	struct target *target;
	const struct depot_keys *keys;
	const char *work; /* a directory with room for the store */
	void (*progress)(int64_t done, int64_t whole, void *arg); /* NULL = none */
};

struct drill_result {
	struct restore_result restored; /* compared page by page and table by table */
	int64_t incidents, jobs, took_ms;
};

/* Restores, opens the result as the daemon would (migrations, intake log), and remembers in the target that it went
 * well. Statuses of restore_find, restore_run and store_open. */
NODISCARD enum status drill_run(void *mem, const struct drill_options *o, int64_t now_ms, struct drill_result *out);

/* Removes what a drill that was killed has left in `work`; what is younger than a day may be of a running one. */
void drill_clean(const char *work, int64_t now_ms);
