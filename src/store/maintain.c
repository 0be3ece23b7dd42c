#include "store/maintain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/seal.h"
#include "base/str.h"
#include "store/exchange.h"
#include "store/ledger.h"
#include "store/letter_parts.h"
#include "store/maintain_parts.h"
#include "store/record.h"
#include "store/soundness.h"

enum { BUSY_MS = 10000, LOOKS = 5 };

void say(const struct maintenance *m, enum maintain_mark mark, const char *what, const char *detail,
	 ...)
{
	char text[512];
	va_list values;

	va_start(values, detail);
	vsnprintf(text, sizeof(text), detail, values);
	va_end(values);
	m->say(mark, what, text, m->arg);
}

enum status raw_trouble(sqlite3 *db)
{
	int code = sqlite3_errcode(db);
	bool later = code == SQLITE_FULL || code == SQLITE_IOERR || code == SQLITE_BUSY ||
		     code == SQLITE_READONLY;

	return failure(later ? E_TRANSIENT : E_INTERNAL, "store: %s (code %d)", sqlite3_errmsg(db),
		       sqlite3_extended_errcode(db));
}

enum status raw_open(const char *path, int flags, sqlite3 **out)
{
	sqlite3 *db = NULL;
	int code = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL);

	if (code != SQLITE_OK) {
		enum status s = failure(E_INTERNAL, "store: %s cannot be opened: %s", path,
					sqlite3_errstr(code));
		sqlite3_close(db);
		return s;
	}
	sqlite3_extended_result_codes(db, 0);
	sqlite3_busy_timeout(db, BUSY_MS);
	*out = db;
	return OK;
}

enum status raw_run(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? OK : raw_trouble(db);
}

int64_t raw_number(sqlite3 *db, const char *sql, int64_t otherwise)
{
	sqlite3_stmt *row = NULL;
	int64_t value = otherwise;

	if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) == SQLITE_OK &&
	    sqlite3_step(row) == SQLITE_ROW && sqlite3_column_type(row, 0) == SQLITE_INTEGER)
		value = sqlite3_column_int64(row, 0);
	sqlite3_finalize(row);
	return value;
}

int64_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : 0;
}

enum status want_space(const char *dir, int64_t bytes)
{
	char reason[128];
	struct statvfs v;

	if (statvfs(dir, &v) != 0)
		return failure(E_TRANSIENT, "store: %s: %s", dir,
			       strerror_r(errno, reason, sizeof(reason)));
	int64_t free = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
	if (free < bytes)
		return failure(E_TRANSIENT,
			       "store: %lld MB are free in %s, and this needs %lld MB; make room "
			       "and run it again",
			       (long long)(free >> 20), dir, (long long)(bytes >> 20) + 1);
	return OK;
}

/* The database. */

struct looking {
	const struct maintenance *m;
	int found;
};

static void found(const char *where, const char *what, void *arg)
{
	struct looking *l = arg;

	say(l->m, MAINTAIN_BAD, where, "%s", what);
	l->found++;
}

enum status check_tables(const struct maintenance *m, sqlite3 *db, bool *sound)
{
	SCOPE(mem);
	struct looking l = {.m = m};
	char **names = NULL;
	size_t count = 0;

	if (soundness_tables(mem, db, &names, &count) != OK) {
		say(m, MAINTAIN_BAD, "database", "%s", status_message());
		*sound = false;
		return OK;
	}
	for (size_t n = 0; n < count; n++) {
		say(m, MAINTAIN_STEP, names[n], "reading");
		TRY(soundness_table(db, names[n], true, found, &l));
	}
	if (l.found == 0)
		say(m, MAINTAIN_WELL, "database", "%zu tables and their indices are whole", count);
	int before = l.found;
	if (before == 0)
		TRY(soundness_relations(db, found, &l));
	if (before == 0 && l.found == 0)
		say(m, MAINTAIN_WELL, "relations", "every row points at what is there");
	*sound &= l.found == 0;
	return OK;
}

static enum status check_length(const struct maintenance *m, sqlite3 *db, const char *path,
				bool *sound)
{
	SCOPE(mem);
	int64_t want =
		raw_number(db, "PRAGMA page_count", 0) * raw_number(db, "PRAGMA page_size", 0);

	/* with a write-ahead log the missing pages may stand there */
	if (file_size(path) >= want || file_size(str_fmt(mem, "%s-wal", path)) > 0)
		return OK;
	say(m, MAINTAIN_BAD, "database", "cut short: %lld bytes in place of %lld",
	    (long long)file_size(path), (long long)want);
	*sound = false;
	return OK;
}

static enum status check_database(const struct maintenance *m, const char *path, bool *sound,
				  int64_t *applied)
{
	sqlite3 *db = NULL;

	*applied = -1;
	if (file_size(path) == 0) {
		say(m, MAINTAIN_BAD, "database", "%s is not there, or empty", path);
		*sound = false;
		return OK;
	}
	TRY(raw_open(path, SQLITE_OPEN_READONLY, &db));
	enum status s = check_length(m, db, path, sound);
	if (s == OK)
		s = check_tables(m, db, sound);
	*applied = raw_number(db, "SELECT applied FROM intake", -1);
	sqlite3_close(db);
	return s;
}

/* The intake log. */

struct reading {
	const struct seal *seal;
	uint64_t records, events, unreadable, locked;
};

static enum status read_record(uint64_t number, const unsigned char *payload, size_t bytes,
			       void *arg)
{
	SCOPE(mem);
	struct reading *x = arg;
	struct record r;
	struct record_event event;
	struct record_refusal refusal;
	bool refused;

	(void)number;
	x->records++;
	enum status s = record_begin(payload, bytes, &r);
	for (uint32_t n = 0; s == OK && n < r.count; n++, x->events++) {
		s = record_next(mem, &r, x->seal, &event, &refusal, &refused);
		if (s == E_DENIED) { /* the rest can be read all the same */
			x->locked++;
			return OK;
		}
	}
	x->unreadable += s != OK;
	return OK;
}

/* Beside a running agent a file may be used again while it is read: then the position has moved on
 * as well. */
static enum status examine(const struct maintenance *m, const char *path, const struct seal *seal,
			   int64_t applied, struct reading *reading, struct ledger_report *report)
{
	enum status s = OK;

	for (int n = 0; n < LOOKS; n++) {
		sqlite3 *db = NULL;
		*reading = (struct reading){.seal = seal};
		s = ledger_examine(m->dir, applied < 0 ? 0 : (uint64_t)applied, read_record,
				   reading, report);
		if ((s == OK && report->lost == 0 && reading->unreadable == 0) || applied < 0 ||
		    raw_open(path, SQLITE_OPEN_READONLY, &db) != OK)
			return s;
		int64_t now = raw_number(db, "SELECT applied FROM intake", applied);
		sqlite3_close(db);
		if (now == applied)
			return s;
		applied = now;
	}
	return s;
}

static enum status check_log(const struct maintenance *m, const char *path, const struct seal *seal,
			     int64_t applied, bool *sound)
{
	struct ledger_report report;
	struct reading reading;

	say(m, MAINTAIN_STEP, "intake log", "reading");
	TRY(examine(m, path, seal, applied, &reading, &report));
	if (applied < 0) /* nobody knows where it should begin */
		report.lost -= report.lost < report.first - 1 ? report.lost : report.first - 1;
	if (report.lost > 0)
		say(m, MAINTAIN_BAD, "intake log", "%" PRIu64 " accepted records are lost (%s)",
		    report.lost, report.damage);
	if (reading.unreadable > 0)
		say(m, MAINTAIN_BAD, "intake log", "%" PRIu64 " records cannot be decoded",
		    reading.unreadable);
	if (reading.locked > 0)
		say(m, MAINTAIN_BAD, "key", "%" PRIu64 " records are sealed with another key",
		    reading.locked);
	bool bad = report.lost + reading.unreadable + reading.locked > 0;
	if (!bad)
		say(m, MAINTAIN_WELL, "intake log",
		    "%" PRIu64 " records with %" PRIu64 " events are whole", reading.records,
		    reading.events);
	if (applied >= 0 && report.last > (uint64_t)applied)
		say(m, MAINTAIN_NOTE, "position", "%" PRIu64 " records wait to be applied",
		    report.last - (uint64_t)applied);
	*sound &= !bad;
	return OK;
}

/* The key. */

/* seal_new would make a new key where one is missing, and hide that the old one is gone. */
static enum status open_seal(void *mem, const struct maintenance *m, struct seal **seal,
			     bool *sound)
{
	const char *path = str_fmt(mem, "%s/seal.key", m->dir);

	*seal = NULL;
	if (str_empty(m->encryption_key) && access(path, R_OK) != 0) {
		say(m, MAINTAIN_BAD, "key",
		    "%s cannot be read: what was refused stays sealed for ever without it", path);
		*sound = false;
		return OK;
	}
	if (seal_new(mem, m->encryption_key, m->previous_key, path, seal) != OK) {
		say(m, MAINTAIN_BAD, "key", "%s", status_message());
		*sound = false;
	}
	return OK;
}

static enum status try_letters(const struct maintenance *m, sqlite3 *db, const struct seal *seal,
			       bool *sound)
{
	sqlite3_stmt *row = NULL;
	long opened = 0, locked = 0;

	if (sqlite3_prepare_v2(db, "SELECT sealed FROM dead_letter WHERE sealed IS NOT NULL", -1,
			       &row, NULL) != SQLITE_OK)
		return OK; /* said already */
	while (sqlite3_step(row) == SQLITE_ROW) {
		SCOPE(mem);
		char *plain = NULL;
		size_t n = 0;
		enum status s = seal_unlock(mem, seal, LETTER_CONTEXT, sqlite3_column_blob(row, 0),
					    (size_t)sqlite3_column_bytes(row, 0), &plain, &n);
		opened += s == OK;
		locked += s != OK;
	}
	sqlite3_finalize(row);
	if (locked > 0)
		say(m, MAINTAIN_BAD, "key",
		    "%ld dead letters do not open with the key that is here", locked);
	else
		say(m, MAINTAIN_WELL, "key", "it opens all %ld sealed dead letters", opened);
	*sound &= locked == 0;
	return OK;
}

static enum status check_letters(const struct maintenance *m, const char *path,
				 const struct seal *seal, bool *sound)
{
	sqlite3 *db = NULL;

	if (seal == NULL || raw_open(path, SQLITE_OPEN_READONLY, &db) != OK)
		return OK; /* said already */
	enum status s = try_letters(m, db, seal, sound);
	sqlite3_close(db);
	return s;
}

enum status store_check(const struct maintenance *m, bool *sound)
{
	SCOPE(mem);
	const char *path = str_fmt(mem, "%s/agent-sre.db", m->dir);
	struct seal *seal = NULL;
	int64_t applied;

	*sound = true;
	if (access(m->dir, R_OK | X_OK) != 0)
		return failure(E_INVALID,
			       "store: there is no directory %s to read; name it with --data",
			       m->dir);
	TRY(check_database(m, path, sound, &applied));
	TRY(open_seal(mem, m, &seal, sound));
	TRY(check_log(m, path, seal, applied, sound));
	return check_letters(m, path, seal, sound);
}

/* Compaction. */

static enum status compact(const struct maintenance *m, sqlite3 *db, const char *path)
{
	SCOPE(mem);
	const char *wal = str_fmt(mem, "%s-wal", path);
	int64_t before = file_size(path) + file_size(wal);

	/* a second copy, and the same once more in the write-ahead log */
	TRY(want_space(m->dir, 2 * before + (1 << 20)));
	say(m, MAINTAIN_STEP, "write-ahead log", "emptying");
	TRY(raw_run(db, "PRAGMA wal_checkpoint(TRUNCATE)"));
	say(m, MAINTAIN_STEP, "database", "rewriting");
	TRY(raw_run(db, "VACUUM"));
	TRY(raw_run(db, "PRAGMA wal_checkpoint(TRUNCATE)"));
	int64_t after = file_size(path) + file_size(wal);
	say(m, MAINTAIN_WELL, "database", "%lld kB before, %lld kB after", (long long)before / 1024,
	    (long long)after / 1024);
	return OK;
}

enum status store_compact(const struct maintenance *m)
{
	SCOPE(mem);
	const char *path = str_fmt(mem, "%s/agent-sre.db", m->dir);
	sqlite3 *db = NULL;
	int lock = -1;

	TRY(directory_lock(m->dir, &lock));
	enum status s = exchange_settle(m->dir);
	if (s == OK)
		s = raw_open(path, SQLITE_OPEN_READWRITE, &db);
	if (s == OK) {
		s = compact(m, db, path);
		if (s == E_INTERNAL)
			s = failure_in(
				s, "the database may be damaged; 'agent-sre store check' tells");
	}
	sqlite3_close(db);
	close(lock);
	return s;
}
