/* What 'agent-sre store' does: store/maintain.h with words for people, or JSON. */
#pragma once

#include <stdbool.h>

#include "config/settings.h"

/* `verb` is check, repair or compact. Prints what is found on stdout, progress on stderr when that is a terminal, the
 * reason of a failure on stderr. Returns 0, or 1: it failed, or something is wrong or lost. */
int daemon_maintain(const struct settings *settings, const char *verb, bool json);
