/* What every table holds, in one number and one digest: to compare a restored database with what was backed up. */
#pragma once

#include <sqlite3.h>

#include "base/status.h"
#include "store/point.h"

/* Sorted by name. E_INTERNAL: the database is damaged. */
NODISCARD enum status tables_digest(void *mem, sqlite3 *db, struct table_digest **out, size_t *count);

/* E_INVALID says which table differs, and how. */
NODISCARD enum status tables_compare(const struct table_digest *want, size_t want_count,
				     const struct table_digest *have, size_t have_count);
