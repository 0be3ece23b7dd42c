#include "store/database.h"

#include <pthread.h>
#include <stdarg.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { STATEMENTS_MAX = 128, BUSY_MS = 5000 };

struct database {
	sqlite3 *handle;
	const struct seal *seal;
	struct {
		const char *sql;
		sqlite3_stmt *statement;
	} cache[STATEMENTS_MAX];
	int cached;
	int wal_frames; /* of the log of the last commit */
	bool damaged;
};

static const char ADVICE[] = "stop the agent, then run 'agent-sre store repair'";

/* What the engine should do about it, and words that help a person. */
static enum status trouble(struct database *db)
{
	int code = sqlite3_extended_errcode(db->handle);
	const char *text = sqlite3_errmsg(db->handle);

	switch (code & 0xff) {
	case SQLITE_FULL:
		return failure(E_TRANSIENT,
			       "store: the disk is full; make room in the data directory");
	case SQLITE_READONLY:
		return failure(E_TRANSIENT, "store: the data directory is read-only (%s)", text);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return failure(E_TRANSIENT, "store: locked by another process (%s)", text);
	case SQLITE_IOERR:
		return failure(E_TRANSIENT, "store: the disk does not answer (%s, code %d)", text,
			       code);
	case SQLITE_CORRUPT:
		db->damaged = true;
		return failure(E_INTERNAL, "store: the database is damaged (%s); %s", text, ADVICE);
	case SQLITE_NOTADB:
		db->damaged = true;
		return failure(E_INVALID,
			       "store: the file agent-sre.db is not a database of ours; if it was "
			       "one, %s",
			       ADVICE);
	case SQLITE_CANTOPEN:
		return failure(E_INVALID, "store: the database cannot be opened (%s)", text);
	case SQLITE_CONSTRAINT: return failure(E_CONFLICT, "store: %s", text);
	default: return failure(E_INTERNAL, "store: %s (code %d)", text, code);
	}
}

static int finish(struct database *db)
{
	for (int n = 0; n < db->cached; n++)
		sqlite3_finalize(db->cache[n].statement);
	sqlite3_close(db->handle);
	return 0;
}

static int count_frames(void *arg, sqlite3 *handle, const char *name, int frames)
{
	struct database *db = arg;

	(void)handle;
	(void)name;
	db->wal_frames = frames;
	return SQLITE_OK;
}

/* SQLite counts its memory behind one mutex for all connections, and nobody reads the count. */
static void forgo_counting(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

enum status database_open(void *mem, const char *path, bool writable, struct database **out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, forgo_counting);
	struct database *db = NEW(mem, struct database);
	int flags = SQLITE_OPEN_NOMUTEX |
		    (writable ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);

	int code = sqlite3_open_v2(path, &db->handle, flags, NULL);
	if (db->handle == NULL)
		return failure(E_INTERNAL, "store: out of memory");
	talloc_set_destructor(db, finish);
	if (code != SQLITE_OK)
		return trouble(db);
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_timeout(db->handle, BUSY_MS);
	if (writable) /* in place of SQLite's own checkpoints, which do not tell when they fail */
		sqlite3_wal_hook(db->handle, count_frames, db);
	*out = db;
	return OK;
}

enum status database_script(struct database *db, const char *sql)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? OK : trouble(db);
}

static enum status prepared(struct database *db, const char *sql, sqlite3_stmt **out)
{
	for (int n = 0; n < db->cached; n++) {
		if (db->cache[n].sql == sql) {
			*out = db->cache[n].statement;
			return OK;
		}
	}
	if (db->cached == STATEMENTS_MAX)
		return failure(E_INTERNAL, "store: too many statements");
	if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) !=
	    SQLITE_OK)
		return trouble(db);
	db->cache[db->cached].sql = sql;
	db->cache[db->cached++].statement = *out;
	return OK;
}

static enum status bind(struct database *db, sqlite3_stmt *st, const char *format, va_list values)
{
	for (int n = 0; format[n] != '\0'; n++) {
		int code = SQLITE_MISUSE;
		if (format[n] == 's')
			code = sqlite3_bind_text(st, n + 1, va_arg(values, const char *), -1,
						 SQLITE_STATIC);
		else if (format[n] == 'i')
			code = sqlite3_bind_int64(st, n + 1, va_arg(values, int64_t));
		else if (format[n] == 'd')
			code = sqlite3_bind_double(st, n + 1, va_arg(values, double));
		else if (format[n] == 'b') {
			const void *bytes = va_arg(values, const void *);
			code = sqlite3_bind_blob64(st, n + 1, bytes, va_arg(values, size_t),
						   SQLITE_STATIC);
		}
		if (code != SQLITE_OK)
			return trouble(db);
	}
	return OK;
}

static enum status select_list(struct database *db, sqlite3_stmt **row, const char *sql,
			       const char *format, va_list values)
{
	sqlite3_stmt *st = NULL;

	TRY(prepared(db, sql, &st));
	sqlite3_reset(st);
	TRY(bind(db, st, format, values));
	*row = st;
	return OK;
}

enum status database_select(struct database *db, sqlite3_stmt **row, const char *sql,
			    const char *format, ...)
{
	va_list values;

	va_start(values, format);
	enum status s = select_list(db, row, sql, format, values);
	va_end(values);
	return s;
}

enum status database_row(struct database *db, sqlite3_stmt *row, bool *more)
{
	int code = sqlite3_step(row);

	*more = code == SQLITE_ROW;
	if (*more)
		return OK;
	enum status s = code == SQLITE_DONE ? OK : trouble(db);
	database_end(row);
	return s;
}

void database_end(sqlite3_stmt *row)
{
	sqlite3_reset(row);
	sqlite3_clear_bindings(row);
}

enum status database_run(struct database *db, const char *sql, const char *format, ...)
{
	sqlite3_stmt *st = NULL;
	va_list values;
	bool more;

	va_start(values, format);
	enum status s = select_list(db, &st, sql, format, values);
	va_end(values);
	TRY(s);
	TRY(database_row(db, st, &more));
	if (more)
		database_end(st);
	return OK;
}

enum status database_number(struct database *db, int64_t *out, const char *sql, const char *format,
			    ...)
{
	sqlite3_stmt *st = NULL;
	va_list values;
	bool more;

	va_start(values, format);
	enum status s = select_list(db, &st, sql, format, values);
	va_end(values);
	TRY(s);
	TRY(database_row(db, st, &more));
	if (!more)
		return failure(E_NOTFOUND, "no such row");
	*out = sqlite3_column_int64(st, 0);
	database_end(st);
	return OK;
}

char *column_text(void *mem, sqlite3_stmt *row, int column)
{
	const unsigned char *text = sqlite3_column_text(row, column);

	return str_dup(mem, text == NULL ? "" : (const char *)text);
}

int64_t column_int(sqlite3_stmt *row, int column)
{
	return sqlite3_column_int64(row, column);
}

int64_t database_changes(struct database *db)
{
	return sqlite3_changes64(db->handle);
}

int64_t database_total_changes(struct database *db)
{
	return sqlite3_total_changes64(db->handle);
}

int64_t database_last_id(struct database *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}

bool database_in_transaction(struct database *db)
{
	return sqlite3_get_autocommit(db->handle) == 0;
}

enum status database_checkpoint(struct database *db, bool *complete)
{
	int frames = 0, copied = 0;
	int code = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames,
					     &copied);

	*complete = code == SQLITE_OK && frames == copied;
	return code == SQLITE_OK || code == SQLITE_BUSY ? OK : trouble(db);
}

int database_wal_frames(const struct database *db)
{
	return db->wal_frames;
}

bool database_is_damaged(const struct database *db)
{
	return db->damaged;
}

void database_use_seal(struct database *db, const struct seal *seal)
{
	db->seal = seal;
}

const struct seal *database_seal(const struct database *db)
{
	return db->seal;
}
