/* Settings for the commands that take --config. */
#pragma once

#include "cli/command.h"
#include "config/settings.h"

/* From --config FILE, the environment, and the options listen, data, catalogue and mode where the
 * command has them. */
NODISCARD enum status load_settings(const struct invocation *i, bool wipe, struct settings **out,
				    struct setting_source **sources);
