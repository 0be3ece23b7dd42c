/* Whether a database of ours is whole: its pages, its indices, and what its tables say of each other. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <sqlite3.h>

#include "base/status.h"

/* What is wrong, and where ("table", "relation", …). */
typedef void finding_fn(const char *where, const char *what, void *arg);

/* The names of our tables, sorted. E_INTERNAL: not even they can be read. */
NODISCARD enum status soundness_tables(void *mem, sqlite3 *db, char ***names, size_t *count);

/* All pages of a table and its indices; thorough: also that each row stands in each index. OK also when something was
 * found. E_CANCELED: interrupted. */
NODISCARD enum status soundness_table(sqlite3 *db, const char *table, bool thorough, finding_fn *found, void *arg);

/* Rows that point at nothing: a job without its incident, and the like. */
NODISCARD enum status soundness_relations(sqlite3 *db, finding_fn *found, void *arg);
