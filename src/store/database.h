/*
 * One SQLite connection with its prepared statements. Belongs to one thread at a time.
 *
 * Statements are cached by the address of their text, so `sql` must be a literal. Parameters follow as a
 * format and values, in the order of the question marks: 's' const char * (NULL → NULL), 'i' int64_t,
 * 'd' double, 'b' const void * and size_t (one blob; NULL → NULL).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/status.h"

struct database;
struct seal;

/* A child of mem; closed when freed. */
NODISCARD enum status database_open(void *mem, const char *path, bool writable, struct database **out);

NODISCARD enum status database_script(struct database *db, const char *sql); /* several statements, no cache */
NODISCARD enum status database_run(struct database *db, const char *sql, const char *format, ...);

/* Rows: database_select, then database_row until *more is false. A statement left early is ended by
 * database_end. Columns are read with sqlite3_column_* or the helpers below. */
NODISCARD enum status database_select(struct database *db, sqlite3_stmt **row, const char *sql, const char *format, ...);
NODISCARD enum status database_row(struct database *db, sqlite3_stmt *row, bool *more);
void database_end(sqlite3_stmt *row);

/* The first column of the first row; E_NOTFOUND when there is none (no message is needed). */
NODISCARD enum status database_number(struct database *db, int64_t *out, const char *sql, const char *format, ...);

char *column_text(void *mem, sqlite3_stmt *row, int column); /* "" for NULL */
int64_t column_int(sqlite3_stmt *row, int column);

int64_t database_changes(struct database *db);      /* rows changed by the last statement */
int64_t database_total_changes(struct database *db);
int64_t database_last_id(struct database *db);
bool database_in_transaction(struct database *db);

/* Moves what was committed from the write-ahead log into the database file, and syncs both, as far as no reader is in the
 * way; *complete: all of it. Nobody else does: a failed sync must not be overlooked. */
NODISCARD enum status database_checkpoint(struct database *db, bool *complete);
int database_wal_frames(const struct database *db); /* pages in the write-ahead log after the last commit */

#define DATABASE_DAMAGED "store: the database is damaged; stop the agent, then run 'agent-sre store repair'"
/* A statement has met a page that is not whole. It stays so. */
bool database_is_damaged(const struct database *db);

/* What encrypts the texts that must not be readable on disk; kept beside the connection for whoever writes them. */
void database_use_seal(struct database *db, const struct seal *seal);
const struct seal *database_seal(const struct database *db); /* NULL before database_use_seal */
