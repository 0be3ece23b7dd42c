/*
 * The backups that serve makes by itself: one thread that ships a point to every target when it is due, removes old
 * series, restores the newest point on trial, and says in metrics and log how that went. A failure is tried again
 * after a minute at most; nothing else of the daemon waits for it.
 */
#pragma once

#include "config/settings.h"

struct backups;

/* True when backup.target is set. */
bool backups_are_configured(const struct settings *s);

/* After store_open. E_INVALID: a target that is none, or without credentials. Borrows settings. */
NODISCARD enum status backups_start(void *mem, const struct settings *s, struct backups **out);
/* Cancels what is under way: it is no point then. NULL is legal. */
void backups_stop(struct backups *b);
