/* What maintain.c and repair.c share; nobody else includes it. */
#pragma once

#include <stdint.h>

#include <sqlite3.h>

#include "store/maintain.h"

void say(const struct maintenance *m, enum maintain_mark mark, const char *what, const char *detail, ...)
	__attribute__((format(printf, 4, 5)));

/* E_INTERNAL with the words of SQLite. */
NODISCARD enum status raw_open(const char *path, int flags, sqlite3 **out);
NODISCARD enum status raw_run(sqlite3 *db, const char *sql);
/* The first column of the first row; `otherwise` when there is none, or it cannot be read. */
int64_t raw_number(sqlite3 *db, const char *sql, int64_t otherwise);
NODISCARD enum status raw_trouble(sqlite3 *db);

int64_t file_size(const char *path); /* 0 when absent */
/* E_TRANSIENT unless so many bytes are free in the directory. */
NODISCARD enum status want_space(const char *dir, int64_t bytes);

/* Says of every table whether it is whole; *sound becomes false when one is not. */
NODISCARD enum status check_tables(const struct maintenance *m, sqlite3 *db, bool *sound);
