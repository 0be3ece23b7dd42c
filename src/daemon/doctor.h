/* `agent-sre doctor`: configuration, store and each configured peer, checked with a real call. */
#pragma once

#include <stdbool.h>

#include "config/settings.h"

/* Prints one line per check with what to do about a failure. 0 = all well (warnings allowed), 1 = not. */
int daemon_doctor(const struct settings *settings, bool json);
