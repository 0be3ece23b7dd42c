#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

enum { STORM = 10000 };

struct request {
	struct event_set set;
	struct event_member *members;
	struct admission admission;
	sem_t answered;
};

static void done(struct admission *a)
{
	sem_post(a->arg);
}

static struct request *request_of(struct fixture *f, enum event_mode mode, size_t count)
{
	struct request *r = NEW(f->mem, struct request);

	r->members = NEW_ARRAY(r, struct event_member, count);
	r->set = (struct event_set){.mode = mode, .members = r->members, .count = count};
	r->admission = (struct admission){.set = &r->set,
					  .origin = "agent",
					  .received_ms = 1000000,
					  .results = NEW_ARRAY(r, struct admit_result, count),
					  .done = done,
					  .arg = &r->answered};
	sem_init(&r->answered, 0, 0);
	return r;
}

static struct request *one(struct fixture *f, const char *id, const char *alert)
{
	struct request *r = request_of(f, EVENT_STRUCTURED, 1);

	r->members[0].event = fixture_event(r, id, alert, 10, 0);
	return r;
}

static void submit(struct fixture *f, struct request *r)
{
	if (store_admit(f->store, &r->admission) != OK)
		fail_msg("%s", status_message());
}

static void await(struct request *r)
{
	while (sem_wait(&r->answered) != 0)
		;
}

/* Another connection, as a curious person would use. */
static int64_t ask(struct fixture *f, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *row = NULL;

	assert_int_equal(sqlite3_open(str_fmt(f->mem, "%s/agent-sre.db", f->dir), &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 10000);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
	int code = sqlite3_step(row);
	assert_true(code == SQLITE_ROW || code == SQLITE_DONE);
	int64_t value = code == SQLITE_ROW ? sqlite3_column_int64(row, 0) : 0;
	sqlite3_finalize(row);
	sqlite3_close(db);
	return value;
}

static void watch_updates(struct fixture *f)
{
	ask(f, "CREATE TABLE seen (n INTEGER)");
	ask(f, "CREATE TRIGGER watch AFTER UPDATE OF fired_count ON incident BEGIN INSERT INTO "
	       "seen VALUES (new.fired_count); END");
}

static void a_storm_of_one_alert_is_one_incident_and_one_update(void **state)
{
	struct fixture *f = *state;
	struct request *r = request_of(f, EVENT_WEBHOOK, STORM);
	struct event *e = fixture_event(r, "w", "A", 10, 0);

	watch_updates(f);
	for (int n = 0; n < STORM; n++)
		r->members[n].event = e;
	submit(f, r);
	await(r);
	assert_int_equal(r->admission.status, OK);
	store_catch_up(f->store, 60000);
	assert_int_equal(ask(f, "SELECT count(*) FROM incident"), 1);
	assert_int_equal(fixture_incident(f, 1)->fired_count, STORM);
	assert_int_equal(ask(f, "SELECT count(*) FROM seen"), 1);
	assert_int_equal(ask(f, "SELECT count(*) FROM job"), 1);
}

static void a_storm_in_single_requests_is_one_incident_and_few_updates(void **state)
{
	struct fixture *f = *state;
	struct request **all = NEW_ARRAY(f->mem, struct request *, STORM);

	watch_updates(f);
	for (int n = 0; n < STORM; n++) {
		all[n] = one(f, str_fmt(f->mem, "s%d", n), "A");
		while (store_admit(f->store, &all[n]->admission) == E_RATE)
			usleep(1000);
	}
	for (int n = 0; n < STORM; n++) {
		await(all[n]);
		assert_int_equal(all[n]->admission.status, OK);
	}
	store_catch_up(f->store, 60000);
	assert_int_equal(ask(f, "SELECT count(*) FROM incident"), 1);
	assert_int_equal(fixture_incident(f, 1)->fired_count, STORM);
	assert_int_equal(ask(f, "SELECT count(*) FROM event"), STORM);
	assert_true(ask(f, "SELECT count(*) FROM seen") < STORM / 4);
}

static void a_batch_is_kept_with_what_was_wrong_in_it(void **state)
{
	struct fixture *f = *state;
	struct request *r = request_of(f, EVENT_BATCH, 3);
	json_t *letters = NULL;

	r->members[0].event = fixture_event(r, "1", "A", 10, 0);
	r->members[1] = (struct event_member){.error = "no labels",
					      .category = "data",
					      .id = "2",
					      .source = "test",
					      .type = "t",
					      .raw = "{}"};
	r->members[2].event = fixture_event(r, "3", "B", 10, 0);
	submit(f, r);
	await(r);
	assert_int_equal(r->admission.results[0].outcome, ADMIT_ACCEPTED);
	assert_int_equal(r->admission.results[1].outcome, ADMIT_REJECTED);
	assert_int_equal(r->admission.results[2].outcome, ADMIT_ACCEPTED);
	store_catch_up(f->store, 10000);
	assert_non_null(fixture_incident(f, 2));
	assert_int_equal(store_dead_letters(f->mem, f->store, 10, &letters), OK);
	assert_int_equal(json_array_size(letters), 1);
}

static void duplicates_within_one_batch_and_one_group_are_told_apart(void **state)
{
	struct fixture *f = *state;
	struct request *batch = request_of(f, EVENT_BATCH, 3);
	struct request *same[50];
	int fresh = 0;

	for (int n = 0; n < 3; n++)
		batch->members[n].event = fixture_event(batch, n == 1 ? "y" : "x", "A", 10, 0);
	submit(f, batch);
	for (int n = 0; n < 50; n++) {
		same[n] = one(f, "z", "A");
		submit(f, same[n]);
	}
	await(batch);
	for (int n = 0; n < 50; n++) {
		await(same[n]);
		fresh += same[n]->admission.results[0].outcome == ADMIT_ACCEPTED;
	}
	assert_int_equal(batch->admission.results[0].outcome, ADMIT_ACCEPTED);
	assert_int_equal(batch->admission.results[1].outcome, ADMIT_ACCEPTED);
	assert_int_equal(batch->admission.results[2].outcome, ADMIT_DUPLICATE);
	assert_int_equal(fresh, 1);
	store_catch_up(f->store, 10000);
	assert_int_equal(fixture_incident(f, 1)->fired_count, 3);
}

static struct rlimit file_limit(rlim_t bytes)
{
	struct rlimit before, now;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	now = (struct rlimit){bytes, before.rlim_max};
	setrlimit(RLIMIT_FSIZE, &now);
	return before;
}

static void a_group_that_the_disk_refuses_is_acknowledged_to_nobody(void **state)
{
	struct fixture *f = *state;
	struct request *r[20];

	fixture_admit(f, "first", "A", 10, 0);
	struct rlimit before = file_limit(64);
	for (int n = 0; n < 20; n++) {
		/* each event twice: a duplicate of what is not on disk is not kept either */
		r[n] = one(f, str_fmt(f->mem, "e%d", n / 2), str_fmt(f->mem, "A%d", n / 2));
		submit(f, r[n]);
	}
	for (int n = 0; n < 20; n++) {
		await(r[n]);
		assert_int_not_equal(r[n]->admission.status, OK);
		assert_non_null(strstr(r[n]->admission.message, "store:"));
	}
	assert_int_not_equal(store_health(f->store), OK);
	setrlimit(RLIMIT_FSIZE, &before);
	int64_t until = clock_monotonic() + 20000; /* nobody sends anything, and it gets well */
	while (store_health(f->store) != OK && clock_monotonic() < until)
		usleep(10000);
	assert_int_equal(store_health(f->store), OK);
	fixture_reopen(f);
	store_catch_up(f->store, 10000);
	assert_int_equal(ask(f, "SELECT count(*) FROM incident"), 1);
	for (int n = 0; n < 20; n++) { /* sent again: new the first time */
		struct fixture_result got = fixture_admit(f, str_fmt(f->mem, "e%d", n / 2),
							  str_fmt(f->mem, "A%d", n / 2), 10, 0);
		assert_int_equal(got.outcome, n % 2 == 0 ? ADMIT_OPENED : ADMIT_DUPLICATE);
	}
}

static void reopen_with(struct fixture *f, const struct store_options *o)
{
	store_close(f->store);
	f->store = NULL;
	if (store_open(NULL, o, &f->store) != OK)
		fail_msg("%s", status_message());
}

/* Holds the database: nothing is applied meanwhile. */
static sqlite3 *seize(struct fixture *f)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(str_fmt(f->mem, "%s/agent-sre.db", f->dir), &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 10000);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	return db;
}

static void what_is_not_applied_has_a_bound(void **state)
{
	struct fixture *f = *state;
	const struct store_options o = {.dir = f->dir, .backlog_limit = 5000};
	struct request *r[200];
	int count = 0;
	enum status s = OK;

	reopen_with(f, &o);
	sqlite3 *db = seize(f);
	while (count < 200) {
		r[count] = one(f, str_fmt(f->mem, "b%d", count), "A");
		s = store_admit(f->store, &r[count]->admission);
		if (s != OK)
			break;
		await(r[count++]);
	}
	assert_int_equal(s, E_RATE);
	assert_int_equal(status_retry_after_ms(), 1000);
	assert_true(count > 5);
	for (int n = 0; n < count; n++)
		assert_int_equal(r[n]->admission.status, OK);
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(db);
	store_catch_up(f->store, 20000);
	assert_int_equal(fixture_incident(f, 1)->fired_count, count);
	fixture_admit(f, "after", "A", 10, 0);
}

static void the_waiting_room_has_a_bound(void **state)
{
	struct fixture *f = *state;
	const struct store_options o = {.dir = f->dir, .queue_limit = 4};
	struct request *r[2000];
	int taken = 0, refused = 0;

	reopen_with(f, &o);
	for (int n = 0; n < 2000; n++) {
		r[taken] = one(f, str_fmt(f->mem, "q%d", n), "A");
		enum status s = store_admit(f->store, &r[taken]->admission);
		assert_true(s == OK || s == E_RATE);
		taken += s == OK;
		refused += s == E_RATE;
	}
	assert_true(refused > 0);
	for (int n = 0; n < taken; n++) {
		await(r[n]);
		assert_int_equal(r[n]->admission.status, OK);
	}
	store_catch_up(f->store, 20000);
	assert_int_equal(fixture_incident(f, 1)->fired_count, taken);
}

static void storm(struct fixture *f, const char *alert)
{
	struct request *r = request_of(f, EVENT_WEBHOOK, STORM);
	struct event *e = fixture_event(r, "w", alert, 10, 0);

	for (int n = 0; n < STORM; n++)
		r->members[n].event = e;
	submit(f, r);
	await(r);
	assert_int_equal(r->admission.status, OK);
}

static bool first_segment_is_kept(struct fixture *f)
{
	return access(str_fmt(f->mem, "%s/intake-%016d.log", f->dir, 1), F_OK) == 0;
}

/* Until then pages of the write-ahead log may be missing on disk whatever a sync says: at the
 * start, and after a failure. */
static void the_log_is_kept_until_a_checkpoint_has_copied_everything(void **state)
{
	struct fixture *f = *state;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(str_fmt(f->mem, "%s/agent-sre.db", f->dir), &db), SQLITE_OK);
	/* an old look at the database: nothing newer can be copied */
	assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM incident", NULL, NULL, NULL),
			 SQLITE_OK);
	for (int n = 0; n < 4; n++)
		storm(f, str_fmt(f->mem, "Storm%d", n));
	store_catch_up(f->store, 60000);
	for (int n = 0; n < 40; n++)
		fixture_admit(f, str_fmt(f->mem, "k%d", n), "A", 10, 0);
	assert_true(first_segment_is_kept(f));
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(db);
	for (int n = 0; n < 40 && first_segment_is_kept(f); n++)
		fixture_admit(f, str_fmt(f->mem, "l%d", n), "A", 10, 0);
	assert_false(first_segment_is_kept(f));
}

static void copy_database(struct fixture *f, const char *from, const char *to)
{
	static char bytes[64 * 1024];
	FILE *in = fopen(str_fmt(f->mem, "%s/%s", f->dir, from), "rb");
	FILE *out = fopen(str_fmt(f->mem, "%s/%s", f->dir, to), "wb");
	size_t n;

	assert_non_null(in);
	while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0)
		assert_int_equal(fwrite(bytes, 1, n, out), n);
	fclose(in);
	assert_int_equal(fclose(out), 0);
}

static void a_day(struct fixture *f)
{
	fixture_admit(f, "2", "A", 10, 0);
	fixture_admit(f, "3", "B", 10, 0);
	fixture_admit(f, "3", "B", 10, 0);
	fixture_admit(f, "4", "A", 10, 15);
	fixture_admit(f, "5", "A", 20, 0);
	fixture_admit(f, "6", "C", 10, 15);
	struct request *r = request_of(f, EVENT_WEBHOOK, 100);
	for (int n = 0; n < 100; n++)
		r->members[n].event = fixture_event(r, "w", n % 2 ? "B" : "D", 10, 0);
	submit(f, r);
	await(r);
	store_catch_up(f->store, 10000);
}

static char *summary(struct fixture *f)
{
	char *text = str_dup(f->mem, "");

	for (int n = 1; n <= 5; n++) {
		const struct incident *i = fixture_incident(f, n);
		if (i != NULL)
			str_add(&text, "%s %s %d %lld %lld; ", i->uid, i->alertname,
				(int)i->fired_count, (long long)i->resolved_ms,
				(long long)i->previous);
	}
	return text;
}

static void a_database_of_an_earlier_moment_becomes_the_same_again(void **state)
{
	struct fixture *f = *state;

	fixture_admit(f, "1", "A", 10, 0);
	store_close(f->store);
	copy_database(f, "agent-sre.db", "earlier");
	f->store = NULL;
	const struct store_options o = {.dir = f->dir};
	assert_int_equal(store_open(NULL, &o, &f->store), OK);
	a_day(f);
	char *before = summary(f);
	int64_t events = ask(f, "SELECT count(*) FROM event");
	store_close(f->store);
	copy_database(f, "earlier", "agent-sre.db");
	unlink(str_fmt(f->mem, "%s/agent-sre.db-wal", f->dir));
	assert_int_equal(store_open(NULL, &o, &f->store), OK);
	store_catch_up(f->store, 20000);
	assert_string_equal(summary(f), before);
	assert_int_equal(ask(f, "SELECT count(*) FROM event"), events);
	assert_int_equal(ask(f, "SELECT count(*) FROM incident"), 4);
}

static void a_position_that_is_set_back_doubles_no_incident(void **state)
{
	struct fixture *f = *state;

	fixture_admit(f, "1", "A", 10, 0);
	fixture_admit(f, "2", "B", 10, 0);
	fixture_admit(f, "3", "A", 10, 15);
	char *before = summary(f);
	store_close(f->store);
	f->store = NULL;
	ask(f, "UPDATE intake SET applied = 0");
	const struct store_options o = {.dir = f->dir};
	assert_int_equal(store_open(NULL, &o, &f->store), OK);
	store_catch_up(f->store, 10000);
	assert_string_equal(summary(f), before);
	assert_int_equal(ask(f, "SELECT count(*) FROM job"), 2);
}

int main(void)
{
#define INTAKE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
	const struct CMUnitTest tests[] = {
		INTAKE_TEST(a_storm_of_one_alert_is_one_incident_and_one_update),
		INTAKE_TEST(a_storm_in_single_requests_is_one_incident_and_few_updates),
		INTAKE_TEST(a_batch_is_kept_with_what_was_wrong_in_it),
		INTAKE_TEST(duplicates_within_one_batch_and_one_group_are_told_apart),
		INTAKE_TEST(a_group_that_the_disk_refuses_is_acknowledged_to_nobody),
		INTAKE_TEST(what_is_not_applied_has_a_bound),
		INTAKE_TEST(the_waiting_room_has_a_bound),
		INTAKE_TEST(the_log_is_kept_until_a_checkpoint_has_copied_everything),
		INTAKE_TEST(a_database_of_an_earlier_moment_becomes_the_same_again),
		INTAKE_TEST(a_position_that_is_set_back_doubles_no_incident),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
