/* Every row of a damaged database that can still be read, into a new one of the same tables. */
#pragma once

#include <stdint.h>

#include <sqlite3.h>

#include "base/status.h"

struct salvaged {
	const char *table;
	int64_t rows;
	int64_t lost; /* at most so many more, by their numbers or keys */
};

/* `to` has all our tables, empty. `known` is the largest row number that is known for the table, 0 = none. Damage is no
 * failure: E_TRANSIENT is the disk of `to`. */
NODISCARD enum status salvage_table(sqlite3 *from, sqlite3 *to, const char *table, int64_t known, struct salvaged *out);
