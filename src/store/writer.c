#include "store/writer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "base/thread.h"

#ifdef AGENT_SRE_TESTING
#include <fcntl.h>
#endif

enum {
	GROUP_MAX = 4096,
	WRITER_NICE = 3,     /* behind intake, before the workers */
	UNSYNCED_MAX = 16,   /* transactions of the feed alone until one is synced all the same */
	WAL_FRAMES = 4000,   /* pages in the write-ahead log that are worth a checkpoint */
	TRY_PAUSE_MS = 1000, /* after a failure */
	GATHER_MS = 3 /* what the feed brings has been answered: many records in one transaction
			 cost less */
};

struct due {
	int64_t incident, due_ms;
	enum lane lane;
};

struct writer {
	struct database *db;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more, room;
	struct write *first, **last;
	size_t count, bytes, limit, limit_bytes;
	bool stopping;
	enum status health;
	char health_message[256];
	char condemned[256];	 /* why nothing is written any more; "" = it is */
	struct writer_feed feed; /* .run NULL = none */
	/* the writer thread's own */
	struct due *dues;
	size_t due_count;
	store_due_fn *due;
	void *due_arg;
	bool full; /* transactions are synced */
	int unsynced;
	/* A sync has failed, maybe in an earlier process: pages of the write-ahead log may be
	 * missing on disk, and no later sync brings them there. Only a checkpoint that copies them
	 * does. */
	bool distrust;
	enum status feed_failed; /* of this transaction */
	int64_t try_after;	 /* monotonic ms: until then the feed is left alone, and a disk that
				    failed too */
};

void writer_on_due(struct writer *w, store_due_fn *due, void *arg)
{
	pthread_mutex_lock(
		&w->lock); /* what an earlier run left in the log is being applied already */
	w->due_arg = arg;
	w->due = due;
	pthread_mutex_unlock(&w->lock);
}

void writer_due(struct writer *w, int64_t incident, enum lane lane, int64_t due_ms)
{
	if (w->due_count == talloc_array_length(w->dues))
		w->dues = GROW(w, w->dues, struct due, w->due_count * 2);
	w->dues[w->due_count++] = (struct due){incident, due_ms, lane};
}

#ifdef AGENT_SRE_TESTING
void writer_crash_point(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static long committed;
	const char *at = getenv("AGENT_SRE_CRASH_AFTER");
	const char *log = getenv("AGENT_SRE_CRASH_LOG");
	char line[32];

	pthread_mutex_lock(&lock);
	committed++;
	if (log != NULL) {
		int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		str_print(line, sizeof(line), "%ld\n", committed);
		if (fd >= 0 && write(fd, line, strlen(line)) > 0)
			close(fd);
	}
	str_print(line, sizeof(line), "%ld", committed);
	if (at != NULL && str_eq(at, line))
		_exit(137);
	pthread_mutex_unlock(&lock);
}
#else
void writer_crash_point(void)
{
}
#endif

static void note_failure(struct write *op, enum status s)
{
	op->status = s;
	str_print(op->message, sizeof(op->message), "%s", status_message());
}

static void fail_group(struct write *group, enum status s)
{
	for (struct write *op = group; op != NULL; op = op->next)
		note_failure(op, s);
}

/* A full disk makes SQLite roll back the whole transaction by itself; then all are lost. */
static enum status run_one(struct writer *w, struct write *op, bool alone)
{
	op->due_mark = w->due_count;
	if (!alone)
		TRY(database_run(w->db, "SAVEPOINT one", ""));
	enum status s = op->run(op, w, w->db);
	if (s == OK)
		return alone ? OK : database_run(w->db, "RELEASE one", "");
	note_failure(op, s);
	w->due_count = op->due_mark;
	if (!database_in_transaction(w->db))
		return s;
	if (alone)
		return OK; /* the caller rolls back */
	TRY(database_run(w->db, "ROLLBACK TO one", ""));
	return database_run(w->db, "RELEASE one", "");
}

static enum status run_feed(struct writer *w, bool *fed)
{
	w->feed_failed = OK;
	*fed = w->feed.run != NULL && w->feed.waiting(w->feed.arg) &&
	       clock_monotonic() >= w->try_after;
	if (!*fed)
		return OK;
	TRY(database_run(w->db, "SAVEPOINT feed", ""));
	enum status s = w->feed.run(w->feed.arg, w, w->db);
	if (s == OK)
		return database_run(w->db, "RELEASE feed", "");
	w->feed_failed = s;
	w->due_count = 0;
	if (!database_in_transaction(w->db))
		return s;
	TRY(database_run(w->db, "ROLLBACK TO feed", ""));
	return database_run(w->db, "RELEASE feed", "");
}

/* A lone operation that fails is undone with the transaction. */
static enum status run_all(struct writer *w, struct write *group, bool *fed)
{
	/* at once: a transaction that has read already would not wait for another process */
	TRY(database_run(w->db, "BEGIN IMMEDIATE", ""));
	TRY(run_feed(w, fed));
	if (!*fed && group == NULL) /* the last transaction failed: is it over? */
		TRY(database_run(w->db, "UPDATE intake SET epoch = epoch", ""));
	bool alone = !*fed && group != NULL && group->next == NULL;
	for (struct write *op = group; op != NULL; op = op->next)
		TRY(run_one(w, op, alone));
	if (alone && group->status != OK)
		return database_run(w->db, "ROLLBACK", "");
	return database_run(w->db, "COMMIT", "");
}

/* What the feed brings is durable already; it is synced along with operations, or now and then. */
static enum status choose_sync(struct writer *w, const struct write *group)
{
	bool full = group != NULL || w->unsynced >= UNSYNCED_MAX;

	w->unsynced = full ? 0 : w->unsynced + 1;
	if (full == w->full)
		return OK;
	w->full = full;
	return database_script(w->db,
			       full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
}

static void remember_health(struct writer *w, enum status s)
{
	pthread_mutex_lock(&w->lock);
	w->health = s;
	if (s != OK)
		str_print(w->health_message, sizeof(w->health_message), "%s", status_message());
	pthread_mutex_unlock(&w->lock);
}

static void undo(struct writer *w, struct write *group, enum status s)
{
	metric_add(M_STORE_ERRORS, 1);
	w->due_count = 0;
	fail_group(group, s);
	if (database_in_transaction(w->db) && database_run(w->db, "ROLLBACK", "") != OK)
		fail_group(group, E_INTERNAL);
}

static void settle_feed(struct writer *w, enum status s)
{
	if (s == OK)
		s = w->feed_failed;
	w->feed.settled(w->feed.arg, s, s == OK && w->full && !w->distrust);
}

/* What is committed stays committed if this fails; it is tried again after the next transaction. */
static void checkpoint(struct writer *w)
{
	bool complete = false;

	if (!w->distrust && database_wal_frames(w->db) < WAL_FRAMES)
		return;
	if (database_checkpoint(w->db, &complete) != OK)
		w->distrust = true;
	else if (complete)
		w->distrust = false;
}

void writer_condemn(struct writer *w, const char *why)
{
	pthread_mutex_lock(&w->lock);
	if (w->condemned[0] == '\0')
		str_print(w->condemned, sizeof(w->condemned), "%s", why);
	pthread_mutex_unlock(&w->lock);
}

/* Writing to a database that is known to be damaged can only make it worse. */
static enum status may_write(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	enum status s = w->condemned[0] == '\0' ? OK : failure(E_INTERNAL, "%s", w->condemned);
	pthread_mutex_unlock(&w->lock);
	return s;
}

static void write_group(struct writer *w, struct write *group, size_t count)
{
	int64_t before = database_total_changes(w->db);
	int64_t began = clock_monotonic();
	bool fed = false;

	w->due_count = 0;
	for (struct write *op = group; op != NULL; op = op->next)
		op->status = OK;
	enum status s = may_write(w);
	if (s == OK)
		s = choose_sync(w, group);
	if (s == OK)
		s = run_all(w, group, &fed);
	if (s != OK) {
		w->distrust = true;
		undo(w, group, s);
	} else {
		checkpoint(w);
	}
	remember_health(w, s == OK ? w->feed_failed : s);
	if (database_is_damaged(w->db))
		writer_condemn(w, DATABASE_DAMAGED);
	if (s != OK || w->feed_failed != OK)
		w->try_after = clock_monotonic() + TRY_PAUSE_MS;
	else if (fed)
		w->try_after = clock_monotonic() + GATHER_MS;
	if (fed)
		settle_feed(w, s);
	if (count > 0)
		metric_observe(M_STORE_GROUP, (double)count);
	metric_observe(M_STORE_COMMIT, (double)(clock_monotonic() - began) / 1000.0);
	if (s == OK && database_total_changes(w->db) != before)
		writer_crash_point();
}

static void report(struct writer *w, struct write *group)
{
	pthread_mutex_lock(&w->lock);
	store_due_fn *due = w->due;
	void *arg = w->due_arg;
	pthread_mutex_unlock(&w->lock);
	for (size_t n = 0; n < w->due_count && due != NULL; n++)
		due(w->dues[n].incident, w->dues[n].lane, w->dues[n].due_ms, arg);
	for (struct write *op = group, *next; op != NULL; op = next) {
		next = op->next; /* op may be gone once it is settled */
		op->settled(op, op->status, op->message);
	}
}

static bool feed_waits(const struct writer *w)
{
	return w->feed.run != NULL && w->feed.waiting(w->feed.arg);
}

/* For something to do; false when there never will be. After a failure it looks now and then
 * whether that is over: nobody writes to a store that says it is not well. */
static bool wait_for_work(struct writer *w)
{
	while (w->first == NULL) {
		bool waits = feed_waits(w);
		bool tries = waits || w->health != OK;
		int64_t pause = w->try_after - clock_monotonic();
		if (w->stopping && !(waits && w->health == OK))
			return false;
		if (tries && pause <= 0)
			return true;
		if (tries) {
			struct timespec until = clock_deadline(pause);
			pthread_cond_timedwait(&w->more, &w->lock, &until);
		} else {
			pthread_cond_wait(&w->more, &w->lock);
		}
	}
	return true;
}

/* NULL with true: only the feed has something. */
static bool take_group(struct writer *w, struct write **group, size_t *count)
{
	struct write **end = group;

	pthread_mutex_lock(&w->lock);
	bool work = wait_for_work(w);
	*group = w->first;
	for (*count = 0; *end != NULL && *count < GROUP_MAX; (*count)++) {
		w->bytes -= (*end)->bytes;
		end = &(*end)->next;
	}
	w->first = *end;
	if (w->first == NULL)
		w->last = &w->first;
	w->count -= *count;
	*end = NULL;
	pthread_cond_broadcast(&w->room);
	pthread_mutex_unlock(&w->lock);
	return work;
}

static void *serve(void *arg)
{
	struct writer *w = arg;
	struct write *group;
	size_t count;

	thread_step_back(WRITER_NICE);
	while (take_group(w, &group, &count)) {
		write_group(w, group, count);
		report(w, group);
	}
	return NULL;
}

void writer_wake(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->lock);
}

static bool is_full(const struct writer *w, const struct write *op)
{
	return w->count >= w->limit || (w->count > 0 && w->bytes + op->bytes > w->limit_bytes);
}

static void enqueue(struct writer *w, struct write *op)
{
	op->next = NULL;
	*w->last = op;
	w->last = &op->next;
	w->count++;
	w->bytes += op->bytes;
	pthread_cond_signal(&w->more);
}

enum status writer_submit(struct writer *w, struct write *op)
{
	pthread_mutex_lock(&w->lock);
	bool stopping = w->stopping;
	bool full = is_full(w, op);
	if (!stopping && !full)
		enqueue(w, op);
	pthread_mutex_unlock(&w->lock);
	if (stopping)
		return failure(E_CANCELED, "the store is closing");
	return full ? failure_after(1000, E_RATE, "too many writes are waiting for the disk") : OK;
}

static void wake(struct write *op, enum status s, const char *message)
{
	(void)s;
	(void)message;
	sem_post(&op->done);
}

enum status writer_await(struct writer *w, struct write *op)
{
	sem_init(&op->done, 0, 0);
	op->settled = wake;
	pthread_mutex_lock(&w->lock);
	while (is_full(w, op) && !w->stopping)
		pthread_cond_wait(&w->room, &w->lock);
	bool stopping = w->stopping;
	if (!stopping)
		enqueue(w, op);
	pthread_mutex_unlock(&w->lock);
	if (stopping)
		return failure(E_CANCELED, "the store is closing");
	while (sem_wait(&op->done) != 0)
		;
	sem_destroy(&op->done);
	return op->status == OK ? OK : failure(op->status, "%s", op->message);
}

enum status writer_start(void *mem, struct database *db, size_t limit, size_t limit_bytes,
			 const struct writer_feed *feed, struct writer **out)
{
	struct writer *w = NEW(mem, struct writer);

	w->db = db;
	w->limit = limit;
	w->limit_bytes = limit_bytes;
	w->full = true;
	w->distrust = true;
	if (feed != NULL)
		w->feed = *feed;
	w->last = &w->first;
	w->dues = NEW_ARRAY(w, struct due, 64);
	pthread_mutex_init(&w->lock, NULL);
	clock_condition_init(&w->more);
	clock_condition_init(&w->room);
	if (pthread_create(&w->thread, NULL, serve, w) != 0)
		return failure(E_INTERNAL, "store: cannot start the writer thread");
	*out = w;
	return OK;
}

void writer_stop(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->more);
	pthread_cond_broadcast(&w->room);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->more);
	pthread_cond_destroy(&w->room);
}

enum status writer_health(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	enum status s = OK;
	if (w->condemned[0] != '\0')
		s = failure(E_INTERNAL, "%s", w->condemned);
	else if (w->health != OK)
		s = failure(w->health, "%s", w->health_message);
	pthread_mutex_unlock(&w->lock);
	return s;
}
