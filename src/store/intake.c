#include "store/intake.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "store/admit.h"
#include "store/keys.h"
#include "store/ledger.h"
#include "store/record.h"

enum {
	FEED_RECORDS = 1024,
	FEED_BYTES = 1024 * 1024,
	LOAD_SLICE = 20000,
	LAST_RUN_MS = 5000,
	LOOK_MS = 1000,	   /* between looks at a disk that did not take what was written */
	KEYS_ROOM = 262144 /* the least that the filter is made for */
};

struct intake {
	struct intake_options options;
	struct ledger *ledger;
	const char *uid; /* of this store: incidents' uids are made of it */
	int64_t epoch;
	struct writer *writer;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t more, progress;
	struct admission *first, **last;
	size_t count, bytes;
	bool stopping;
	enum status health; /* of the last group, or of the last look at the disk */
	char health_message[256];
	_Atomic uint64_t applied; /* committed: readers see it */
	uint64_t opened;	  /* the last record of earlier runs */
	/* this thread's own */
	struct keys *keys;
	struct database *reader;
	char loaded_source[1100], loaded_key[1100]; /* how far the filter has been filled */
	bool loading;
	/* the writer's own */
	struct applying applying;
	uint64_t reached;
	bool careful; /* one record at a time: the last transaction failed */
	bool bury;    /* the next record cannot be applied: keep it as a dead letter */
};

/* The writer's side. */

static bool waiting(void *arg)
{
	const struct intake *in = arg;

	return ledger_durable(in->ledger) > atomic_load(&in->applied);
}

static enum status feed(void *arg, struct writer *w, struct database *db)
{
	struct intake *in = arg;
	struct applying *a = &in->applying;
	const unsigned char *payload;
	size_t bytes, total = 0;
	uint64_t number;

	*a = (struct applying){.db = db,
			       .writer = w,
			       .store_uid = in->uid,
			       .seal = in->options.seal,
			       .order_rules = in->options.order_rules,
			       .epoch = in->epoch};
	in->reached = atomic_load(&in->applied);
	for (int n = 0; n < (in->careful ? 1 : FEED_RECORDS) && total < FEED_BYTES; n++) {
		enum status s = ledger_read(in->ledger, &number, &payload, &bytes);
		if (s == E_NOTFOUND) {
			in->reached = number - 1; /* what is lost is behind us too */
			break;
		}
		TRY(s);
		TRY(in->bury ? admit_bury(a, number, payload, bytes)
			     : admit_record(a, number, payload, bytes));
		in->reached = number;
		total += bytes;
	}
	TRY(admit_flush(a));
	return database_run(db, "UPDATE intake SET applied = ?", "i", (int64_t)in->reached);
}

/* A failure of one record must not hold up all others for ever; one of the disk holds up
 * everything. */
static void settled(void *arg, enum status s, bool synced)
{
	struct intake *in = arg;

	if (s == OK) {
		in->careful = in->bury = false;
		admit_count(&in->applying);
		if (synced)
			ledger_forget(in->ledger, in->reached);
		pthread_mutex_lock(&in->lock);
		atomic_store(&in->applied, in->reached);
		pthread_cond_broadcast(&in->progress);
		pthread_mutex_unlock(&in->lock);
		return;
	}
	in->bury = in->careful && !in->bury && s != E_TRANSIENT;
	in->careful = true;
	ledger_seek(in->ledger, atomic_load(&in->applied));
}

struct writer_feed intake_feed(struct intake *in)
{
	return (struct writer_feed){.waiting = waiting, .run = feed, .settled = settled, .arg = in};
}

/* The keys. */

static enum status start_loading(struct intake *in)
{
	int64_t keys = 0;

	TRY(database_number(in->reader, &keys, "SELECT count(*) FROM event", ""));
	keys_reset(in->keys, (size_t)keys * 2 > KEYS_ROOM ? (size_t)keys * 2 : KEYS_ROOM);
	in->loaded_source[0] = in->loaded_key[0] = '\0';
	in->loading = true;
	return OK;
}

/* A slice at a time, between groups. What fails is tried again; meanwhile the database is asked. */
static enum status load_slice(struct intake *in)
{
	sqlite3_stmt *row = NULL;
	bool more = true;
	int n = 0;

	TRY(database_select(in->reader, &row,
			    "SELECT source, id FROM event WHERE (source, id) > (?, ?) ORDER BY "
			    "source, id LIMIT 20000",
			    "ss", in->loaded_source, in->loaded_key));
	for (;; n++) {
		TRY(database_row(in->reader, row, &more));
		if (!more)
			break;
		const char *source = (const char *)sqlite3_column_text(row, 0);
		const char *key = (const char *)sqlite3_column_text(row, 1);
		keys_put(in->keys, keys_hash(in->keys, source, key));
		str_print(in->loaded_source, sizeof(in->loaded_source), "%s", source);
		str_print(in->loaded_key, sizeof(in->loaded_key), "%s", key);
	}
	if (n < LOAD_SLICE) {
		keys_complete(in->keys);
		in->loading = false;
	}
	return OK;
}

static void tend_keys(struct intake *in)
{
	keys_applied(in->keys, atomic_load(&in->applied));
	if (!in->loading && keys_crowded(in->keys))
		in->loading = start_loading(in) == OK;
	if (in->loading && load_slice(in) != OK)
		in->loading = start_loading(in) == OK;
}

static enum status ask_database(struct intake *in, void *mem, const struct event *e, bool *known,
				const char **correlation_id)
{
	sqlite3_stmt *row = NULL;

	TRY(database_select(in->reader, &row,
			    "SELECT correlation_id FROM event WHERE source = ? AND id = ?", "ss",
			    e->source, e->key));
	TRY(database_row(in->reader, row, known));
	if (*known) {
		*correlation_id = column_text(mem, row, 0);
		database_end(row);
	}
	return OK;
}

/* What a dead letter is replayed for may have come before and taken no effect: memory knows it and
 * only the database is right. */
static enum status look_up(struct intake *in, const struct admission *a, const struct event *e,
			   struct admit_result *r, bool *known)
{
	struct key_hash h = keys_hash(in->keys, e->source, e->key);
	enum key_answer answer = keys_find(in->keys, h);

	metric_add(M_IDEMPOTENCY_CACHE, 1, answer == KEY_UNSURE ? "miss" : "hit");
	*known = answer == KEY_KNOWN && a->letter == 0;
	if (answer != KEY_NEW) {
		bool stored = false;
		TRY(ask_database(in, a->results, e, &stored, &r->correlation_id));
		*known |= stored;
	}
	return OK;
}

/* Only when all members could be looked up: a key that is held counts as kept when the group is. */
static void hold(struct intake *in, struct admission *a)
{
	for (size_t n = 0; n < a->set->count && a->set->mode != EVENT_WEBHOOK; n++) {
		const struct event *e = a->set->members[n].event;
		if (e == NULL || a->results[n].outcome != ADMIT_ACCEPTED)
			continue;
		struct key_hash h = keys_hash(in->keys, e->source, e->key);
		if (keys_find(in->keys, h) != KEY_KNOWN)
			keys_hold(in->keys, h);
		else if (a->letter ==
			 0) /* by an earlier member; a replay was known, and held back */
			a->results[n].outcome = ADMIT_DUPLICATE;
	}
}

/* What is known of the events before the answer; *fresh: at least one member must be written. */
static enum status look(struct intake *in, struct admission *a, bool *fresh)
{
	*fresh = false;
	for (size_t n = 0; n < a->set->count; n++) {
		const struct event *e = a->set->members[n].event;
		struct admit_result *r = &a->results[n];
		bool known = false;
		*r = (struct admit_result){.outcome = e == NULL ? ADMIT_REJECTED : ADMIT_ACCEPTED};
		if (e != NULL && a->set->mode != EVENT_WEBHOOK)
			TRY(look_up(in, a, e, r, &known));
		if (known)
			r->outcome = ADMIT_DUPLICATE;
		*fresh |= !known;
	}
	return OK;
}

/* Requests. */

static void refuse(struct admission *a, enum status s)
{
	a->status = s;
	str_print(a->message, sizeof(a->message), "%s", status_message());
}

static void enter(struct intake *in, struct admission *a)
{
	bool fresh = false;

	a->status = OK;
	enum status s = look(in, a, &fresh);
	if (s != OK) {
		refuse(a, s);
		if (database_is_damaged(in->reader))
			writer_condemn(in->writer, DATABASE_DAMAGED);
		return;
	}
	hold(in, a);
	if (fresh)
		ledger_append(in->ledger, a->record, a->record_bytes);
}

static void note_health(struct intake *in, enum status s)
{
	pthread_mutex_lock(&in->lock);
	in->health = s;
	if (s != OK)
		str_print(in->health_message, sizeof(in->health_message), "%s", status_message());
	pthread_mutex_unlock(&in->lock);
}

enum status intake_health(struct intake *in)
{
	pthread_mutex_lock(&in->lock);
	enum status s = in->health == OK ? OK : failure(in->health, "%s", in->health_message);
	pthread_mutex_unlock(&in->lock);
	return s;
}

/* What was accepted before the last end and is not in the database yet would not be recognised. */
static enum status finish_last_run(struct intake *in)
{
	if (atomic_load(&in->applied) < in->opened)
		intake_catch_up(in, LAST_RUN_MS);
	return atomic_load(&in->applied) >= in->opened
		       ? OK
		       : failure(E_TRANSIENT, "store: events of the last run are still applied");
}

/* A database that cannot be written to would never catch up: then nothing is accepted either. */
static enum status write_group(struct intake *in, struct admission *group)
{
	TRY(writer_health(in->writer));
	TRY(finish_last_run(in));
	int64_t began = clock_monotonic();
	for (struct admission *a = group; a != NULL; a = a->next)
		enter(in, a);
	metric_observe(M_IDEMPOTENCY_CHECK, (double)(clock_monotonic() - began) / 1000.0);
	return ledger_sync(in->ledger);
}

static void commit(struct intake *in, struct admission *group)
{
	int64_t began = clock_monotonic();
	enum status s = write_group(in, group);

	if (s == OK)
		keys_keep(in->keys, ledger_durable(in->ledger));
	else
		keys_drop(in->keys);
	note_health(in, s);
	for (struct admission *a = group; s != OK && a != NULL; a = a->next)
		if (a->status == OK)
			refuse(a, s);
	metric_observe(M_INTAKE_COMMIT, (double)(clock_monotonic() - began) / 1000.0);
	if (s != OK)
		metric_add(M_STORE_ERRORS, 1);
}

static void answer(struct admission *group)
{
	for (struct admission *a = group, *next; a != NULL; a = next) {
		next = a->next; /* a is gone once it is answered */
		a->done(a);
	}
}

/* Nobody may come to a store that says it is not well: it finds out by itself when it is again. */
static void wait_for_requests(struct intake *in)
{
	struct timespec until = clock_deadline(LOOK_MS);

	if (in->health == OK)
		pthread_cond_wait(&in->more, &in->lock);
	else
		pthread_cond_timedwait(&in->more, &in->lock, &until);
}

static void tend_health(struct intake *in)
{
	if (intake_health(in) != OK)
		note_health(in, ledger_mend(in->ledger));
}

static struct admission *take(struct intake *in, bool *going)
{
	pthread_mutex_lock(&in->lock);
	if (in->first == NULL && !in->stopping && !in->loading)
		wait_for_requests(in);
	struct admission *group = in->first;
	in->first = NULL;
	in->last = &in->first;
	in->count = in->bytes = 0;
	*going = group != NULL || !in->stopping;
	pthread_mutex_unlock(&in->lock);
	return group;
}

static size_t length_of(const struct admission *group)
{
	size_t n = 0;

	for (; group != NULL; group = group->next)
		n++;
	return n;
}

static void *serve(void *arg)
{
	struct intake *in = arg;
	bool going = true;

	/* both take a moment, and nobody waits for them before the first request */
	note_health(in, ledger_mend(in->ledger));
	in->loading = start_loading(in) == OK;
	while (going) {
		struct admission *group = take(in, &going);
		if (group == NULL) {
			tend_health(in);
		} else {
			commit(in, group);
			metric_observe(M_INTAKE_GROUP, (double)length_of(group));
			writer_crash_point();
			writer_wake(in->writer);
			answer(group);
		}
		tend_keys(in);
	}
	return NULL;
}

enum status intake_admit(struct intake *in, struct admission *a)
{
	TRY(record_encode(a->results, a, in->options.seal, &a->record, &a->record_bytes));
	if (ledger_backlog(in->ledger) > in->options.backlog_limit)
		return failure_after(1000, E_RATE, "too many events wait to be applied");
	a->next = NULL;
	pthread_mutex_lock(&in->lock);
	bool stopping = in->stopping;
	bool full = in->count >= in->options.limit ||
		    (in->count > 0 && in->bytes + a->record_bytes > in->options.limit_bytes);
	if (!stopping && !full) {
		*in->last = a;
		in->last = &a->next;
		in->count++;
		in->bytes += a->record_bytes;
		pthread_cond_signal(&in->more);
	}
	pthread_mutex_unlock(&in->lock);
	if (stopping)
		return failure(E_CANCELED, "the store is closing");
	return full ? failure_after(1000, E_RATE, "too many events are waiting for the disk") : OK;
}

void intake_catch_up(struct intake *in, int64_t timeout_ms)
{
	uint64_t target = ledger_durable(in->ledger);
	struct timespec until = clock_deadline(timeout_ms);

	if (atomic_load(&in->applied) >= target)
		return;
	pthread_mutex_lock(&in->lock);
	while (atomic_load(&in->applied) < target &&
	       pthread_cond_timedwait(&in->progress, &in->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&in->lock);
}

struct store_intake intake_state(struct intake *in)
{
	struct store_intake s = {
		.accepted = ledger_durable(in->ledger),
		.applied = atomic_load(&in->applied),
		.backlog_bytes = ledger_backlog(in->ledger),
		.epoch = in->epoch,
	};

	s.lost = ledger_lost(in->ledger, &s.damage);
	return s;
}

static enum status read_position(struct intake *in, struct database *db)
{
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(database_run(db, "UPDATE intake SET epoch = epoch + 1", ""));
	TRY(database_select(db, &row, "SELECT applied, epoch, uid FROM intake", ""));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_INTERNAL, "store: the position of the intake log is missing");
	atomic_store(&in->applied, (uint64_t)column_int(row, 0));
	in->epoch = column_int(row, 1);
	in->uid = column_text(in, row, 2);
	database_end(row);
	return OK;
}

static int drop(struct intake *in)
{
	pthread_mutex_destroy(&in->lock);
	pthread_cond_destroy(&in->more);
	pthread_cond_destroy(&in->progress);
	return 0;
}

enum status intake_open(void *mem, const struct intake_options *o, struct database *db,
			struct intake **out)
{
	struct intake *in = NEW(mem, struct intake);

	in->options = *o;
	in->last = &in->first;
	in->keys = keys_new(in);
	pthread_mutex_init(&in->lock, NULL);
	clock_condition_init(&in->more);
	clock_condition_init(&in->progress);
	talloc_set_destructor(in, drop);
	TRY(read_position(in, db));
	TRY(ledger_open(in, o->dir, atomic_load(&in->applied), (uint32_t)in->epoch, &in->ledger));
	TRY(database_open(in, o->database, false, &in->reader));
	in->opened = ledger_durable(in->ledger);
	*out = in;
	return OK;
}

enum status intake_start(struct intake *in, struct writer *w)
{
	in->writer = w;
	if (pthread_create(&in->thread, NULL, serve, in) != 0)
		return failure(E_INTERNAL, "store: cannot start the intake thread");
	in->started = true;
	return OK;
}

void intake_stop(struct intake *in)
{
	if (!in->started)
		return;
	pthread_mutex_lock(&in->lock);
	in->stopping = true;
	pthread_cond_broadcast(&in->more);
	pthread_mutex_unlock(&in->lock);
	pthread_join(in->thread, NULL);
	in->started = false;
}
