/* The tables, as a list of migrations: version n is reached by running entry n-1. */
#pragma once

#include "base/status.h"
#include "store/database.h"

/* Brings the database to the newest version; E_INVALID when it is newer than this program, or not ours. */
NODISCARD enum status schema_migrate(struct database *db);
