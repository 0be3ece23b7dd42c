/*
 * Repair never works on the only copy: what is there is copied aside first, rows are read from the
 * old database into a new one, and the new one takes its place when it is whole. What is missing
 * then and stands in the intake log is applied again: an incident gets the uid that it had, so its
 * ticket and its calls are known at the peers.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/exchange.h"
#include "store/ledger.h"
#include "store/maintain_parts.h"
#include "store/parts.h"
#include "store/salvage.h"
#include "store/schema.h"
#include "store/soundness.h"
#include "store/target.h"

enum { PAGE_ONE = 4096, COPY_BYTES = 256 * 1024, APPLY_MS = 600000, IDS_SHOWN = 10 };

struct repair {
	const struct maintenance *m;
	const char *old, *fresh; /* paths */
	char *aside;
	sqlite3 *from, *to;
	struct ledger_report log;
	int64_t lost; /* rows, at most */
	bool whole;
};

static enum status trouble(const char *what, const char *path)
{
	char reason[128];

	return failure(E_TRANSIENT, "store: cannot %s %s: %s", what, path,
		       strerror_r(errno, reason, sizeof(reason)));
}

/* Files. */

/* What the disk does not give back is left out: zeros stand in its place. */
static enum status copy_bytes(int in, int out, const char *path, int64_t *unread)
{
	static unsigned char buffer[COPY_BYTES];
	off_t size = lseek(in, 0, SEEK_END);

	for (off_t at = 0; at < size;) {
		size_t want = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;
		ssize_t got = pread(in, buffer, want, at);
		if (got <= 0) {
			want = want > PAGE_ONE ? PAGE_ONE : want;
			memset(buffer, 0, want);
			got = pread(in, buffer, want, at);
			*unread += got <= 0 ? (int64_t)want : 0;
			got = got <= 0 ? (ssize_t)want : got;
		}
		if (pwrite(out, buffer, (size_t)got, at) != got)
			return trouble("write", path);
		at += got;
	}
	return fsync(out) == 0 ? OK : trouble("sync", path);
}

static enum status copy_file(const char *from, const char *to, int64_t *unread)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	enum status s = in < 0	  ? trouble("open", from)
			: out < 0 ? trouble("create", to)
				  : copy_bytes(in, out, to, unread);

	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return s;
}

static bool is_ours(const char *name)
{
	return str_eq(name, "agent-sre.db") || str_eq(name, "agent-sre.db-wal") ||
	       (str_starts(name, "intake-") && !str_eq(name, "intake-spare.log"));
}

static int64_t sum_files(struct repair *r, void *mem, bool copies, enum status *s)
{
	DIR *d = opendir(r->m->dir);
	const struct dirent *e = NULL;
	int64_t bytes = 0, unread = 0;

	if (d == NULL) {
		*s = trouble("list", r->m->dir);
		return 0;
	}
	while (*s == OK && (errno = 0, e = readdir(d)) != NULL) {
		if (!is_ours(e->d_name))
			continue;
		const char *path = str_fmt(mem, "%s/%s", r->m->dir, e->d_name);
		bytes += file_size(path);
		if (copies)
			*s = copy_file(path, str_fmt(mem, "%s/%s", r->aside, e->d_name), &unread);
	}
	if (*s == OK && errno != 0) /* no copy is sure to hold everything */
		*s = trouble("list", r->m->dir);
	closedir(d);
	if (unread > 0)
		say(r->m, MAINTAIN_BAD, "disk", "%lld bytes cannot be read; replace this disk",
		    (long long)unread);
	return bytes;
}

static enum status put_aside(struct repair *r, void *mem)
{
	enum status s = OK;
	int64_t now = clock_now();
	int64_t bytes = sum_files(r, mem, false, &s);

	TRY(s);
	TRY(want_space(r->m->dir, 3 * bytes + (16 << 20)));
	r->aside = str_fmt(mem, "%s/damaged-%s", r->m->dir, clock_format(mem, now));
	for (char *c = r->aside + strlen(r->m->dir); *c != '\0'; c++)
		*c = *c == ':' || *c == '.' ? '-' : *c;
	if (mkdir(r->aside, 0700) != 0)
		return trouble("create", r->aside);
	say(r->m, MAINTAIN_STEP, "copy", "%lld kB to %s", (long long)bytes / 1024, r->aside);
	sum_files(r, mem, true, &s);
	TRY(s);
	TRY(directory_sync(r->aside));
	TRY(directory_sync(r->m->dir));
	say(r->m, MAINTAIN_NOTE, "copy", "everything as it was is in %s", r->aside);
	return OK;
}

static enum status remove_database(void *mem, const char *path)
{
	static const char *const ENDS[] = {"", "-wal", "-shm", "-journal"};

	for (size_t n = 0; n < sizeof(ENDS) / sizeof(ENDS[0]); n++) {
		const char *name = str_fmt(mem, "%s%s", path, ENDS[n]);
		if (unlink(name) != 0 && errno != ENOENT)
			return trouble("remove", name);
	}
	return OK;
}

/* The new database. */

static enum status make_fresh(struct repair *r, void *mem)
{
	struct database *db = NULL;

	TRY(remove_database(mem, r->fresh));
	mode_t before = umask(0077);
	enum status s = database_open(mem, r->fresh, true, &db);
	umask(before);
	TRY(s);
	s = schema_migrate(db);
	talloc_free(db);
	TRY(s);
	TRY(raw_open(r->fresh, SQLITE_OPEN_READWRITE, &r->to));
	/* synced once, at the end */
	TRY(raw_run(r->to, "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; BEGIN;"));
	return raw_run(r->to, "DELETE FROM intake");
}

static bool readable(sqlite3 *db)
{
	return raw_number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'incident'", 0) > 0;
}

/* The first page leads to all others. One of a database that was made alike may do in its place;
 * whether it does is told by the row of `intake`. */
static enum status with_another_first_page(struct repair *r, void *mem, const char *copy)
{
	static unsigned char page[PAGE_ONE];
	int64_t unread = 0;
	uint32_t pages = (uint32_t)(file_size(r->old) / PAGE_ONE);
	const unsigned char size[4] = {(unsigned char)(pages >> 24), (unsigned char)(pages >> 16),
				       (unsigned char)(pages >> 8), (unsigned char)pages};

	TRY(remove_database(mem, copy));
	TRY(copy_file(r->old, copy, &unread));
	int fd = open(r->fresh, O_RDONLY | O_CLOEXEC);
	bool done = fd >= 0 && pread(fd, page, sizeof(page), 0) == sizeof(page);
	if (fd >= 0)
		close(fd);
	memcpy(page + 28, size, sizeof(size));
	memset(page + 32, 0, 8);	 /* no free pages are known */
	memcpy(page + 92, page + 24, 4); /* and the number of pages is right */
	fd = done ? open(copy, O_WRONLY | O_CLOEXEC) : -1;
	done = fd >= 0 && pwrite(fd, page, sizeof(page), 0) == sizeof(page);
	if (fd >= 0)
		close(fd);
	return done ? OK : trouble("write", copy);
}

static enum status open_old(struct repair *r, void *mem)
{
	const char *copy = str_fmt(mem, "%s.first-page", r->old);

	if (raw_open(r->old, SQLITE_OPEN_READONLY, &r->from) == OK && readable(r->from))
		return OK;
	sqlite3_close(r->from);
	r->from = NULL;
	say(r->m, MAINTAIN_BAD, "database", "its first page is damaged; another is tried");
	r->whole = false;
	if (file_size(r->old) < PAGE_ONE)
		return failure(E_INTERNAL,
			       "store: nothing is left of the database; restore a backup");
	TRY(with_another_first_page(r, mem, copy));
	TRY(raw_open(copy, SQLITE_OPEN_READONLY, &r->from));
	if (raw_number(r->from, "SELECT length(uid) FROM intake WHERE one = 1", 0) != 32)
		return failure(E_INTERNAL, "store: the database cannot be read without its first "
					   "page; restore a backup");
	return OK;
}

static int64_t known_number(struct repair *r, const char *table)
{
	char *sql = mem_check(
		sqlite3_mprintf("SELECT seq FROM sqlite_sequence WHERE name = %Q", table));
	int64_t seq = raw_number(r->from, sql, 0);

	sqlite3_free(sql);
	return seq < INT64_MAX / 2 ? seq : 0; /* no number of ours: of a torn page */
}

/* Numbers are never given again, also not those of rows that are gone: others name them. */
static enum status keep_number(struct repair *r, const char *table)
{
	int64_t known = known_number(r, table);

	if (known <= 0)
		return OK;
	char *sql = mem_check(sqlite3_mprintf(
		"INSERT INTO sqlite_sequence (name, seq) SELECT %Q, 0 WHERE %Q NOT IN"
		" (SELECT name FROM sqlite_sequence);"
		"UPDATE sqlite_sequence SET seq = max(seq, %lld) WHERE name = %Q",
		table, table, (long long)known, table));
	enum status s = raw_run(r->to, sql);
	sqlite3_free(sql);
	return s;
}

static enum status salvage_all(struct repair *r)
{
	SCOPE(mem);
	char **names = NULL;
	size_t count = 0;

	TRY(soundness_tables(mem, r->to, &names, &count));
	for (size_t n = 0; n < count; n++) {
		struct salvaged got;
		say(r->m, MAINTAIN_STEP, names[n], "reading");
		TRY(salvage_table(r->from, r->to, names[n], known_number(r, names[n]), &got));
		TRY(keep_number(r, names[n]));
		if (got.lost > 0)
			say(r->m, MAINTAIN_BAD, names[n],
			    "%lld rows saved, up to %lld cannot be read", (long long)got.rows,
			    (long long)got.lost);
		else if (got.rows > 0)
			say(r->m, MAINTAIN_WELL, names[n], "%lld rows saved", (long long)got.rows);
		r->lost += got.lost;
		r->whole &= got.lost == 0;
	}
	return OK;
}

/* Relations. */

/* The number of a row that is lost stands in the rows that belong to it. */
static const char NUMBERS[] =
	"DELETE FROM sqlite_sequence WHERE name = 'incident';"
	"INSERT INTO sqlite_sequence (name, seq) SELECT 'incident', max(n) FROM ("
	" SELECT coalesce(max(id), 0) AS n FROM incident UNION ALL SELECT coalesce(max(incident), "
	"0) FROM job"
	" UNION ALL SELECT coalesce(max(incident), 0) FROM journal"
	" UNION ALL SELECT coalesce(max(incident), 0) FROM ticket_op"
	" UNION ALL SELECT coalesce(max(incident), 0) FROM ticket_ref"
	" UNION ALL SELECT coalesce(max(incident), 0) FROM event"
	" UNION ALL SELECT coalesce(max(incident), 0) FROM episode UNION ALL SELECT ?1);"
	"INSERT INTO sqlite_sequence (name, seq) SELECT 'failure_group', 0"
	" WHERE 'failure_group' NOT IN (SELECT name FROM sqlite_sequence);"
	"UPDATE sqlite_sequence SET seq = max(seq, (SELECT coalesce(max(-incident), 0) FROM ("
	" SELECT incident FROM journal UNION ALL SELECT incident FROM ticket_op"
	" UNION ALL SELECT incident FROM ticket_ref))) WHERE name = 'failure_group';";

/* What a row of the ticket lane or the timeline may belong to: an incident, or a failure group by
 * its negative id. */
#define OWNERS "(SELECT id FROM incident UNION ALL SELECT -id FROM failure_group)"

/* Lost incidents of which nothing but their admission is known: to admit them again does nothing
 * twice. */
static const char MARK_FRESH[] =
	"CREATE TEMP TABLE fresh AS SELECT incident FROM journal"
	" WHERE incident > 0 AND incident NOT IN (SELECT id FROM incident)"
	" AND incident NOT IN (SELECT incident FROM ticket_op)"
	" AND incident NOT IN (SELECT incident FROM ticket_ref)"
	" GROUP BY incident HAVING sum(step <> 'event') = 0;"
	"CREATE TEMP TABLE gone AS SELECT incident FROM journal"
	" WHERE incident NOT IN " OWNERS " UNION SELECT incident FROM job"
	" WHERE incident NOT IN (SELECT id FROM incident) UNION SELECT incident FROM ticket_op"
	" WHERE incident NOT IN " OWNERS ";"
	"DELETE FROM gone WHERE incident IN (SELECT incident FROM fresh);";

static const struct {
	const char *sql, *what;
} MENDS[] = {
	{"DELETE FROM event WHERE incident IN (SELECT incident FROM fresh)", NULL},
	{"DELETE FROM episode WHERE incident IN (SELECT incident FROM fresh)", NULL},
	{"DELETE FROM job WHERE incident NOT IN (SELECT id FROM incident)",
	 "jobs of lost incidents removed"},
	{"DELETE FROM job WHERE incident IN (SELECT id FROM incident WHERE state = 6)",
	 "jobs of closed incidents removed"},
	{"INSERT INTO job (incident, step, attempt, due_ms) SELECT id, CASE state WHEN 0 THEN "
	 "'open' WHEN 1 THEN"
	 " 'approve' WHEN 2 THEN 'remediate' WHEN 3 THEN 'verify' WHEN 4 THEN 'close' ELSE "
	 "'escalate' END, 0, "
	 "updated_ms"
	 " FROM incident WHERE state <> 6 AND id NOT IN (SELECT incident FROM job)",
	 "incidents go on from their state: their jobs were lost"},
	{"DELETE FROM ticket_op WHERE incident NOT IN " OWNERS,
	 "ticket operations of lost incidents removed"},
	{"DELETE FROM journal WHERE incident NOT IN " OWNERS,
	 "lines of timelines of lost incidents removed"},
	{"DELETE FROM inquiry WHERE incident NOT IN (SELECT id FROM incident)",
	 "inquiries into lost incidents removed"},
	{"DELETE FROM picture WHERE incident NOT IN (SELECT id FROM incident)",
	 "pictures of lost incidents removed"},
	{"DELETE FROM ticket_ref WHERE incident IN (SELECT incident FROM gone)",
	 "references to tickets of lost incidents removed"},
};

static enum status number_on(struct repair *r)
{
	sqlite3_stmt *st = NULL;
	const char *sql = NUMBERS;

	while (*sql != '\0') {
		if (sqlite3_prepare_v2(r->to, sql, -1, &st, &sql) != SQLITE_OK)
			return raw_trouble(r->to);
		if (sqlite3_bind_parameter_count(st) > 0)
			sqlite3_bind_int64(st, 1, known_number(r, "incident"));
		int code = sqlite3_step(st);
		sqlite3_finalize(st);
		if (code != SQLITE_DONE)
			return raw_trouble(r->to);
	}
	return OK;
}

static void add_owner(char **list, sqlite3_stmt *row)
{
	int64_t owner = sqlite3_column_int64(row, 0);
	const char *key = (const char *)sqlite3_column_text(row, 1);

	str_add(list, "%s%s%" PRIu64, **list == '\0' ? "" : ", ",
		owner > 0 ? "INC-" : "failure group ",
		owner > 0 ? (uint64_t)owner : 0 - (uint64_t)owner);
	if (key != NULL)
		str_add(list, " %s", key);
}

static void name_gone(struct repair *r)
{
	sqlite3_stmt *row = NULL;
	SCOPE(mem);
	char *list = str_dup(mem, "");
	int n = 0;

	if (sqlite3_prepare_v2(
		    r->to,
		    "SELECT g.incident, (SELECT key FROM ticket_ref t WHERE t.incident = "
		    "g.incident LIMIT 1) FROM gone g ORDER BY 1",
		    -1, &row, NULL) != SQLITE_OK)
		return;
	for (; sqlite3_step(row) == SQLITE_ROW; n++)
		if (n < IDS_SHOWN)
			add_owner(&list, row);
	sqlite3_finalize(row);
	if (n == 0)
		return;
	say(r->m, MAINTAIN_BAD, "incidents",
	    "%d had begun and are lost (%s%s); look at their tickets by hand", n, list,
	    n > IDS_SHOWN ? ", …" : "");
	r->whole = false;
}

static enum status mend_relations(struct repair *r)
{
	TRY(number_on(r));
	TRY(raw_run(r->to, MARK_FRESH));
	name_gone(r);
	for (size_t n = 0; n < sizeof(MENDS) / sizeof(MENDS[0]); n++) {
		TRY(raw_run(r->to, MENDS[n].sql));
		int changes = sqlite3_changes(r->to);
		if (changes > 0 && MENDS[n].what != NULL)
			say(r->m, MAINTAIN_NOTE, "relations", "%d %s", changes, MENDS[n].what);
	}
	return OK;
}

/* The position. */

static enum status set_position(struct repair *r)
{
	sqlite3_stmt *st = NULL;
	int64_t fresh = raw_number(r->to, "SELECT count(*) FROM fresh", 0);
	int64_t applied = raw_number(r->to, "SELECT applied FROM intake", -1);
	int64_t epoch = raw_number(r->to, "SELECT epoch FROM intake", 0);
	int64_t before_log = (int64_t)r->log.first - 1;

	if (applied < 0)
		say(r->m, MAINTAIN_BAD, "position",
		    "lost; the whole log is applied again: repeats may be counted twice");
	r->whole &= applied >= 0;
	if (applied < 0 || (fresh > 0 && before_log < applied))
		applied = before_log;
	if (fresh > 0)
		say(r->m, MAINTAIN_NOTE, "incidents",
		    "%lld that had only been admitted are taken from the log again",
		    (long long)fresh);
	if (sqlite3_prepare_v2(
		    r->to,
		    "INSERT INTO intake (one, applied, epoch, uid) VALUES (1, ?1, ?2, "
		    "lower(hex(randomblob(16)))) ON CONFLICT DO UPDATE SET applied = ?1, "
		    "epoch = ?2",
		    -1, &st, NULL) != SQLITE_OK)
		return raw_trouble(r->to);
	sqlite3_bind_int64(st, 1, applied);
	sqlite3_bind_int64(st, 2, epoch > r->log.epoch ? epoch : r->log.epoch);
	int code = sqlite3_step(st);
	sqlite3_finalize(st);
	return code == SQLITE_DONE ? OK : raw_trouble(r->to);
}

static enum status rebuild(struct repair *r, void *mem)
{
	bool sound = true;

	TRY(ledger_examine(r->m->dir, 0, NULL, NULL, &r->log));
	TRY(make_fresh(r, mem));
	TRY(raw_run(r->to, "COMMIT"));
	TRY(open_old(r, mem));
	TRY(raw_run(r->to, "BEGIN"));
	TRY(salvage_all(r));
	TRY(mend_relations(r));
	TRY(set_position(r));
	TRY(raw_run(r->to, "COMMIT"));
	TRY(check_tables(r->m, r->to, &sound));
	return sound ? OK
		     : failure(E_INTERNAL, "store: the new database is not whole; nothing was "
					   "changed, restore a backup");
}

static void shut(struct repair *r, void *mem)
{
	sqlite3_close(r->from);
	sqlite3_close(r->to);
	enum status gone = remove_database(mem, str_fmt(mem, "%s.first-page", r->old));
	if (gone != OK)
		say(r->m, MAINTAIN_NOTE, "copy", "%s", status_message());
}

/* As the agent does at its start. */
static enum status apply_log(struct repair *r, void *mem)
{
	const struct store_options o = {.dir = r->m->dir,
					.encryption_key = r->m->encryption_key,
					.previous_key = r->m->previous_key};
	struct store *s = NULL;

	say(r->m, MAINTAIN_STEP, "intake log", "applying");
	TRY(store_open(mem, &o, &s));
	store_catch_up(s, APPLY_MS);
	const struct store_intake in = store_intake(s);
	enum status health = store_health(s);
	if (in.lost > 0)
		say(r->m, MAINTAIN_BAD, "intake log", "%" PRIu64 " accepted records are lost (%s)",
		    in.lost, in.damage);
	else if (health == OK)
		say(r->m, MAINTAIN_WELL, "intake log", "applied up to record %" PRIu64, in.applied);
	r->whole &= in.lost == 0;
	store_close(s);
	return health;
}

static enum status repair(struct repair *r, void *mem)
{
	TRY(put_aside(r, mem));
	enum status s = rebuild(r, mem);
	/* closing must not lose the words of the failure */
	const char *words = str_dup(mem, status_message());
	shut(r, mem);
	if (s == OK)
		return exchange_database(r->m->dir);
	(void)!unlink(r->fresh);
	return failure(s, "%s", words);
}

enum status store_repair(const struct maintenance *m, bool *whole)
{
	SCOPE(mem);
	struct repair r = {.m = m,
			   .old = str_fmt(mem, "%s/agent-sre.db", m->dir),
			   .fresh = str_fmt(mem, "%s/agent-sre.db.new", m->dir),
			   .whole = true};
	int lock = -1;

	TRY(directory_lock(m->dir, &lock));
	enum status s = exchange_settle(m->dir);
	if (s == OK)
		s = repair(&r, mem);
	close(lock);
	TRY(s);
	s = apply_log(&r, mem);
	*whole = r.whole;
	return s;
}
