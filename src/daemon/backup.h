/* What 'agent-sre backup' and 'agent-sre restore' do. They work on the files, whether a daemon runs or not. Each prints
 * its result on stdout, reasons on stderr, and returns 0, or 1 when it failed. */
#pragma once

#include <stdbool.h>

#include "config/settings.h"

struct backup_command {
	const struct settings *settings;
	const char *target;   /* NULL = every backup.target (backup), the first one (the others) */
	const char *key_file; /* NULL: see depot_keys */
	bool full, now;       /* backup: all of it; also when the newest point is young */
	const char *to;       /* restore: "latest", or an RFC 3339 time */
	const char *work;     /* drill: where; NULL = the data directory if there is one, else TMPDIR or /tmp */
	const char *by;
	bool json;
};

int daemon_backup(const struct backup_command *c);
int daemon_backup_drill(const struct backup_command *c);
/* Into settings->data. */
int daemon_restore(const struct backup_command *c);
int daemon_restore_list(const struct backup_command *c);
