/* The daemon: start order, stop order, signals. */
#pragma once

#include "config/settings.h"

/* Runs until SIGTERM or SIGINT, then drains. Logs to stdout. 0 = stopped on request, 1 = could not
 * start (the reason is on stderr). */
int daemon_serve(const struct settings *settings);
