#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/seal.h"
#include "base/str.h"
#include "store/exchange.h"
#include "store/inspector.h"
#include "store/intake.h"
#include "store/parts.h"
#include "store/schema.h"

enum {
	QUEUE_LIMIT = 8192,
	QUEUE_LIMIT_BYTES = 64 * 1024 * 1024,
	BACKLOG_LIMIT = 256 * 1024 * 1024
};

static enum status make_directory(const char *dir)
{
	char reason[128];
	struct stat st;

	if (mkdir(dir, 0700) == 0)
		return OK;
	if (errno != EEXIST)
		return failure(E_INVALID, "store: %s cannot be created: %s", dir,
			       strerror_r(errno, reason, sizeof(reason)));
	if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
		return failure(E_INVALID, "store: %s is not a directory", dir);
	return OK;
}

/* The kernel drops the lock when the process ends, however it ends. */
enum status directory_lock(const char *dir, int *out)
{
	SCOPE(mem);
	char reason[128];
	char *path = str_fmt(mem, "%s/lock", dir);

	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return failure(E_INVALID, "store: %s is not writable: %s", dir,
			       strerror_r(errno, reason, sizeof(reason)));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		close(fd);
		return failure(E_CONFLICT,
			       "store: %s is in use by another agent-sre; stop it, or name another "
			       "directory with --data",
			       dir);
	}
	*out = fd;
	return OK;
}

static enum status prepare(struct database *db)
{
	TRY(database_script(
		db,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
		" PRAGMA journal_size_limit = 67108864;"
		" PRAGMA cache_size = -16384;"));
	return schema_migrate(db);
}

static enum status start_threads(struct store *s, const struct store_options *o,
				 struct database *db)
{
	const struct intake_options options = {
		.dir = s->dir,
		.database = s->path,
		.limit = o->queue_limit == 0 ? QUEUE_LIMIT : o->queue_limit,
		.limit_bytes = o->queue_limit_bytes == 0 ? QUEUE_LIMIT_BYTES : o->queue_limit_bytes,
		.backlog_limit = o->backlog_limit == 0 ? BACKLOG_LIMIT : o->backlog_limit,
		.order_rules = o->order_rules,
		.seal = s->seal,
	};

	TRY(intake_open(s, &options, db, &s->intake));
	const struct writer_feed feed = intake_feed(s->intake);
	TRY(writer_start(s, db, options.limit, options.limit_bytes, &feed, &s->writer));
	TRY(inspector_start(s, s->path, s->writer, &s->inspector));
	return intake_start(s->intake, s->writer);
}

static int drop(struct store *s)
{
	for (int n = 0; n < s->readers_free; n++)
		talloc_free(s->readers[n]);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_cond_destroy(&s->reader_free);
	pthread_mutex_destroy(&s->readers_lock);
	pthread_mutex_destroy(&s->archive_lock);
	return 0;
}

enum status store_open(void *mem, const struct store_options *o, struct store **out)
{
	struct store *s = NEW(mem, struct store);
	struct database *db = NULL;

	s->lock_fd = -1;
	pthread_mutex_init(&s->readers_lock, NULL);
	pthread_cond_init(&s->reader_free, NULL);
	pthread_mutex_init(&s->archive_lock, NULL);
	atomic_init(&s->letter_changes, 1); /* what changed before this start is looked at */
	talloc_set_destructor(s, drop);
	TRY(make_directory(o->dir));
	TRY(directory_lock(o->dir, &s->lock_fd));
	TRY(exchange_settle(o->dir));
	s->path = str_fmt(s, "%s/agent-sre.db", o->dir);
	s->dir = str_dup(s, o->dir);
	s->letter_retention_ms = o->letter_retention_ms;
	s->letter_retention_by_type = o->letter_retention_by_type;
	s->letter_replays_max = o->letter_replays_max;
	TRY(seal_new(s, o->encryption_key, o->previous_key, str_fmt(s, "%s/seal.key", o->dir),
		     &s->seal));
	mode_t before = umask(0077);
	enum status status = database_open(s, s->path, true, &db);
	if (status == OK)
		status = prepare(db);
	umask(before);
	TRY(status);
	TRY(inspector_look(db, s->path));
	database_use_seal(db, s->seal);
	TRY(letters_start(db, s->seal));
	TRY(start_threads(s, o, db));
	*out = s;
	return OK;
}

void store_close(struct store *s)
{
	inspector_stop(s->inspector);
	intake_stop(s->intake);
	writer_stop(s->writer);
	talloc_free(s);
}

enum status store_health(struct store *s)
{
	TRY(writer_health(s->writer));
	return intake_health(s->intake);
}

enum status store_admit(struct store *s, struct admission *a)
{
	return intake_admit(s->intake, a);
}

void store_catch_up(struct store *s, int64_t timeout_ms)
{
	intake_catch_up(s->intake, timeout_ms);
}

struct store_intake store_intake(struct store *s)
{
	return intake_state(s->intake);
}

void store_set_full(struct store *s, bool full)
{
	atomic_store(&s->full, full);
}

bool store_is_full(struct store *s)
{
	return atomic_load(&s->full);
}

void store_on_due(struct store *s, store_due_fn *due, void *arg)
{
	writer_on_due(s->writer, due, arg);
}

static struct database *wait_for_reader(struct store *s)
{
	struct database *db = NULL;

	pthread_mutex_lock(&s->readers_lock);
	while (s->readers_free == 0 && s->readers_open == READERS_MAX)
		pthread_cond_wait(&s->reader_free, &s->readers_lock);
	if (s->readers_free > 0)
		db = s->readers[--s->readers_free];
	else
		s->readers_open++;
	pthread_mutex_unlock(&s->readers_lock);
	return db;
}

/* `db` is NULL when the place was taken and could not be filled. */
static void give(struct store *s, struct database *db)
{
	pthread_mutex_lock(&s->readers_lock);
	if (db != NULL)
		s->readers[s->readers_free++] = db;
	else
		s->readers_open--;
	pthread_cond_signal(&s->reader_free);
	pthread_mutex_unlock(&s->readers_lock);
}

enum status reader_take(struct store *s, struct database **out)
{
	*out = wait_for_reader(s);
	if (*out != NULL)
		return OK;
	/* rootless: it wanders between threads */
	enum status status = database_open(NULL, s->path, false, out);
	if (status != OK)
		give(s, NULL);
	return status;
}

void reader_give(struct store *s, struct database *db)
{
	if (database_is_damaged(db))
		writer_condemn(s->writer, DATABASE_DAMAGED);
	give(s, db);
}

static enum status each(struct database *db, const char *sql, enum lane lane, store_due_fn *due,
			void *arg)
{
	sqlite3_stmt *row = NULL;
	bool more = true;

	TRY(database_select(db, &row, sql, ""));
	for (;;) {
		TRY(database_row(db, row, &more));
		if (!more)
			return OK;
		due(column_int(row, 0), lane, column_int(row, 1), arg);
	}
}

enum status store_each_due(struct store *s, store_due_fn *due, void *arg)
{
	struct database *db = NULL;

	TRY(reader_take(s, &db));
	enum status status = each(db, "SELECT incident, due_ms FROM job", LANE_FLOW, due, arg);
	if (status == OK)
		status = each(db,
			      "SELECT incident, min(due_ms) FROM ticket_op WHERE state = 0 GROUP "
			      "BY incident",
			      LANE_TICKET, due, arg);
	if (status == OK)
		status =
			each(db,
			     "SELECT incident, min(due_ms) FROM inquiry WHERE settled_ms = 0 GROUP "
			     "BY incident",
			     LANE_INQUIRY, due, arg);
	reader_give(s, db);
	return status;
}

enum status store_counts(struct store *s, struct store_counts *out)
{
	struct database *db = NULL;
	sqlite3_stmt *row = NULL;
	bool more = true;

	*out = (struct store_counts){0};
	TRY(reader_take(s, &db));
	enum status status = database_select(
		db, &row, "SELECT state, count(*) FROM incident WHERE state <> 6 GROUP BY state",
		"");
	while (status == OK && more) {
		status = database_row(db, row, &more);
		if (status == OK && more && column_int(row, 0) >= 0 &&
		    column_int(row, 0) < INCIDENT_STATE_COUNT)
			out->incidents[column_int(row, 0)] = column_int(row, 1);
	}
	if (status == OK)
		status = database_number(db, &out->jobs, "SELECT count(*) FROM job", "");
	if (status == OK)
		status = database_number(db, &out->ticket_ops,
					 "SELECT count(*) FROM ticket_op WHERE state = 0", "");
	if (status == OK)
		status = database_number(
			db, &out->dead_letters,
			"SELECT count(*) FROM dead_letter WHERE state <> 'resolved'", "");
	reader_give(s, db);
	return status;
}

/* Half a megabyte for each look at an incident: not kept as long as the incident. */
static const int64_t PICTURES_KEPT_MS = INT64_C(3) * 24 * 3600 * 1000;

struct expiry {
	struct write op;
	int64_t older_than_ms, pictures_older_than_ms;
};

static enum status expire(struct write *op, struct writer *w, struct database *db)
{
	static const char *const STATEMENTS[] = {
		"DELETE FROM event WHERE (source, id) IN (SELECT source, id FROM event WHERE "
		"received_ms < ?"
		" AND incident NOT IN (SELECT id FROM incident WHERE state <> 6)"
		/* a letter that can still be replayed needs to be known by then (DEC-26) */
		" AND NOT EXISTS (SELECT 1 FROM dead_letter d WHERE d.event_source = event.source"
		" AND d.event_id = event.id)"
		" AND NOT EXISTS (SELECT 1 FROM archived_letter d WHERE d.event_source = "
		"event.source"
		" AND d.event_id = event.id) LIMIT 2000)",
		"DELETE FROM lane WHERE (source, key) IN (SELECT source, key FROM lane WHERE "
		"seen_ms < ? LIMIT 2000)",
		"DELETE FROM episode WHERE (fingerprint, starts_ms) IN (SELECT fingerprint, "
		"starts_ms FROM episode"
		" WHERE received_ms < ? AND incident NOT IN (SELECT id FROM incident WHERE state "
		"<> 6) LIMIT 2000)",
		"DELETE FROM peer_partition WHERE healed_ms <> 0 AND healed_ms < ?",
		"DELETE FROM call WHERE id IN (SELECT id FROM call WHERE at_ms < ? LIMIT 2000)",
		"DELETE FROM journal WHERE id IN (SELECT j.id FROM journal j JOIN incident i ON "
		"i.id = j.incident"
		" WHERE i.state = 6 AND i.closed_ms < ? LIMIT 2000)",
		"DELETE FROM ticket_op WHERE seq IN (SELECT t.seq FROM ticket_op t JOIN incident i "
		"ON i.id = t.incident"
		" WHERE t.state <> 0 AND i.state = 6 AND i.closed_ms < ? LIMIT 2000)",
		"DELETE FROM inquiry WHERE incident IN (SELECT q.incident FROM inquiry q JOIN "
		"incident i "
		"ON i.id = q.incident WHERE i.state = 6 AND i.closed_ms < ? LIMIT 2000)",
		"DELETE FROM incident WHERE id IN (SELECT id FROM incident i WHERE state = 6 AND "
		"closed_ms < ?"
		" AND NOT EXISTS (SELECT 1 FROM ticket_op t WHERE t.incident = i.id)"
		" AND NOT EXISTS (SELECT 1 FROM journal j WHERE j.incident = i.id)"
		" AND NOT EXISTS (SELECT 1 FROM inquiry q WHERE q.incident = i.id)"
		" AND NOT EXISTS (SELECT 1 FROM picture p WHERE p.incident = i.id) LIMIT 500)",
	};
	const struct expiry *e = (const struct expiry *)op;

	(void)w;
	TRY(database_run(
		db,
		"DELETE FROM picture WHERE id IN (SELECT p.id FROM picture p JOIN incident i ON "
		"i.id = p.incident WHERE i.state = 6 AND i.closed_ms < ? LIMIT 2000)",
		"i", e->pictures_older_than_ms));
	for (size_t n = 0; n < sizeof(STATEMENTS) / sizeof(STATEMENTS[0]); n++)
		TRY(database_run(db, STATEMENTS[n], "i", e->older_than_ms));
	return OK;
}

enum status store_expire(struct store *s, int64_t older_than_ms)
{
	int64_t pictures = clock_now() - PICTURES_KEPT_MS;
	struct expiry e = {.op = {.run = expire},
			   .older_than_ms = older_than_ms,
			   .pictures_older_than_ms =
				   pictures > older_than_ms ? pictures : older_than_ms};

	return writer_await(s->writer, &e.op);
}
