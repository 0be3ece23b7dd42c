#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "base/str.h"
#include "store/maintain.h"

enum { INCIDENTS = 1500, PAGE = 4096 };

struct said {
	char *text;
};

static void hear(enum maintain_mark mark, const char *what, const char *detail, void *arg)
{
	struct said *s = arg;

	if (mark != MAINTAIN_STEP)
		str_add(&s->text, "%d %s: %s\n", mark, what, detail);
}

static void done(struct admission *a)
{
	sem_post(a->arg);
}

/* One batch: an incident, an event and an episode of each number. */
static void fill(struct fixture *f, int from, int count)
{
	SCOPE(mem);
	struct event_member *m = NEW_ARRAY(mem, struct event_member, (size_t)count);
	const struct event_set set = {.mode = EVENT_BATCH, .members = m, .count = (size_t)count};
	struct admission a = {.set = &set,
			      .origin = "agent",
			      .received_ms = 1000000,
			      .results = NEW_ARRAY(mem, struct admit_result, (size_t)count),
			      .done = done};
	sem_t sem;

	for (int n = 0; n < count; n++)
		m[n].event = fixture_event(mem, str_fmt(mem, "event-%d", from + n),
					   str_fmt(mem, "Alert%d", from + n), 10, 0);
	sem_init(&sem, 0, 0);
	a.arg = &sem;
	assert_int_equal(store_admit(f->store, &a), OK);
	while (sem_wait(&sem) != 0)
		;
	assert_int_equal(a.status, OK);
	store_catch_up(f->store, 60000);
}

static void shut(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
}

static const char *database(struct fixture *f)
{
	return str_fmt(f->mem, "%s/agent-sre.db", f->dir);
}

static int64_t ask(struct fixture *f, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *row = NULL;

	assert_int_equal(sqlite3_open(database(f), &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
	int code = sqlite3_step(row);
	assert_true(code == SQLITE_ROW || code == SQLITE_DONE);
	int64_t value = code == SQLITE_ROW ? sqlite3_column_int64(row, 0) : 0;
	sqlite3_finalize(row);
	sqlite3_close(db);
	return value;
}

static bool check(struct fixture *f, struct said *said)
{
	const struct maintenance m = {.dir = f->dir, .say = hear, .arg = said};
	bool sound = false;

	said->text = str_dup(f->mem, "");
	if (store_check(&m, &sound) != OK)
		fail_msg("%s", status_message());
	return sound;
}

static bool repair(struct fixture *f, struct said *said)
{
	const struct maintenance m = {.dir = f->dir, .say = hear, .arg = said};
	bool whole = false;

	said->text = str_dup(f->mem, "");
	if (store_repair(&m, &whole) != OK)
		fail_msg("%s\n%s", status_message(), said->text);
	return whole;
}

static void spoil(struct fixture *f, int64_t page, int from, int n)
{
	unsigned char junk[PAGE];
	int fd = open(database(f), O_WRONLY);

	memset(junk, 0xA5, sizeof(junk));
	assert_int_equal(pwrite(fd, junk, (size_t)n, (page - 1) * PAGE + from), n);
	close(fd);
}

static int64_t leaf_of(struct fixture *f, const char *table, int nth)
{
	return ask(f, str_fmt(f->mem,
			      "SELECT pageno FROM dbstat WHERE name = '%s' AND pagetype = 'leaf' "
			      "ORDER BY path LIMIT 1 OFFSET %d",
			      table, nth));
}

static void a_store_that_is_whole_is_found_whole(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, 50);
	if (!check(f, &said)) /* beside the agent */
		fail_msg("%s", said.text);
	shut(f);
	if (!check(f, &said))
		fail_msg("%s", said.text);
	assert_non_null(strstr(said.text, "1 database: "));
	assert_non_null(strstr(said.text, "1 intake log: 1 records with 50 events are whole"));
}

static void relations_that_do_not_hold_are_told(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, 5);
	shut(f);
	ask(f, "DELETE FROM job WHERE incident = 2");
	ask(f, "INSERT INTO job VALUES (77, 'open', 0, 0)");
	assert_false(check(f, &said));
	assert_non_null(strstr(said.text, "incident 2 is not closed and has no job"));
	assert_non_null(strstr(said.text, "job of incident 77, which is not there"));
	repair(f, &said);
	assert_non_null(strstr(said.text, "incidents go on from their state"));
	assert_true(check(f, &said));
	assert_int_equal(ask(f, "SELECT count(*) FROM job WHERE incident = 2 AND step = 'open'"),
			 1);
	assert_int_equal(ask(f, "SELECT count(*) FROM job"), 5);
}

/* What store_letter_tickets and the ticket lane leave: the owner is the negative id of the group.
 */
static void add_failure_group(struct fixture *f)
{
	ask(f, "INSERT INTO failure_group (id, group_key, letter, seed, opened_ms, told_ms) VALUES "
	       "(5, 'k', 1, 's', 1, 1)");
	ask(f, "INSERT INTO ticket_op (incident, slot, kind, uuid, payload, created_ms, due_ms) "
	       "VALUES (-5, 0, 'comment', 'u', '{}', 1, 1)");
	ask(f, "INSERT INTO ticket_ref VALUES (-5, 0, 'id', 'SRE-9', 'https://t/SRE-9', 1)");
	ask(f, "INSERT INTO journal (incident, at_ms, step, attempt, outcome, duration_ms, note) "
	       "VALUES (-5, 1, 'ticket create', 1, 'done', 1, '')");
}

static int64_t rows_of_group(struct fixture *f)
{
	return ask(f, "SELECT (SELECT count(*) FROM ticket_op WHERE incident = -5) + 10 * (SELECT "
		      "count(*) FROM ticket_ref WHERE incident = -5) + 100 * (SELECT count(*) FROM "
		      "journal WHERE incident = -5)");
}

static void tickets_of_failure_groups_are_sound_and_kept(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, 5);
	shut(f);
	add_failure_group(f);
	if (!check(f, &said))
		fail_msg("%s", said.text);
	if (!repair(f, &said))
		fail_msg("%s", said.text);
	assert_int_equal(rows_of_group(f), 111);
	assert_true(check(f, &said));
}

static void tickets_of_a_lost_failure_group_are_told(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, 5);
	shut(f);
	add_failure_group(f);
	ask(f, "DELETE FROM failure_group");
	assert_false(check(f, &said));
	assert_non_null(strstr(said.text, "of failure group 5, which is not there"));
	assert_false(repair(f, &said));
	assert_non_null(strstr(said.text, "failure group 5 SRE-9"));
	assert_null(strstr(said.text, "INC--"));
	assert_int_equal(rows_of_group(f), 0);
	assert_true(check(f, &said));
}

/* Retention takes the group and leaves the reference, and archives letters under their numbers. */
static void numbers_of_what_is_gone_are_not_given_again(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, 5);
	shut(f);
	ask(f, "INSERT INTO sqlite_sequence (name, seq) VALUES ('dead_letter', 17)");
	ask(f, "INSERT INTO ticket_ref VALUES (-5, 0, 'id', 'SRE-9', 'https://t/SRE-9', 1)");
	if (!repair(f, &said))
		fail_msg("%s", said.text);
	assert_int_equal(ask(f, "SELECT seq FROM sqlite_sequence WHERE name = 'dead_letter'"), 17);
	assert_int_equal(ask(f, "SELECT seq FROM sqlite_sequence WHERE name = 'failure_group'"), 5);
	assert_int_equal(ask(f, "SELECT seq FROM sqlite_sequence WHERE name = 'incident'"), 5);
}

static void repairing_what_is_whole_changes_no_row(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, 200);
	shut(f);
	int64_t uids = ask(f, "SELECT sum(unicode(uid) * id) FROM incident");
	if (!repair(f, &said))
		fail_msg("%s", said.text);
	assert_int_equal(ask(f, "SELECT count(*) FROM incident"), 200);
	assert_int_equal(ask(f, "SELECT count(*) FROM event"), 200);
	assert_int_equal(ask(f, "SELECT count(*) FROM journal"), 200);
	assert_int_equal(ask(f, "SELECT sum(unicode(uid) * id) FROM incident"), uids);
	assert_true(check(f, &said));
}

static void incidents_that_are_lost_and_stand_in_the_log_come_back_with_their_uid(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, INCIDENTS);
	shut(f);
	ask(f, "PRAGMA wal_checkpoint(TRUNCATE)");
	const char *sql = "SELECT count(DISTINCT uid) FROM incident";
	int64_t sum =
		ask(f, "SELECT sum(length(uid) + unicode(uid) + unicode(substr(uid, 9))) FROM "
		       "incident");
	int64_t page = leaf_of(f, "incident", 7);
	spoil(f, page, 0, PAGE);
	assert_false(check(f, &said));
	assert_non_null(strstr(said.text, "3 incident: "));
	assert_false(repair(f, &said));
	assert_non_null(strstr(said.text, "cannot be read"));
	assert_non_null(strstr(said.text, "taken from the log again"));
	assert_int_equal(ask(f, sql), INCIDENTS);
	assert_int_equal(ask(f, "SELECT sum(length(uid) + unicode(uid) + unicode(substr(uid, 9))) "
				"FROM incident"),
			 sum);
	assert_int_equal(ask(f, "SELECT count(*) FROM job"), INCIDENTS);
	assert_int_equal(ask(f, "SELECT count(*) FROM event"), INCIDENTS);
	assert_true(ask(f, "SELECT max(id) FROM incident") > INCIDENTS); /* no number twice */
	if (!check(f, &said))
		fail_msg("%s", said.text);
}

static void an_incident_that_had_begun_is_not_begun_again(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, INCIDENTS);
	shut(f);
	ask(f, "PRAGMA wal_checkpoint(TRUNCATE)");
	ask(f, "INSERT INTO journal (incident, at_ms, step, attempt, outcome, duration_ms, note) "
	       "SELECT id, 1, 'remediate', 0, 'done', 1, '' FROM incident");
	ask(f, "PRAGMA wal_checkpoint(TRUNCATE)");
	spoil(f, leaf_of(f, "incident", 7), 0, PAGE);
	assert_false(repair(f, &said));
	assert_non_null(strstr(said.text, "had begun and are lost (INC-"));
	int64_t left = ask(f, "SELECT count(*) FROM incident");
	assert_true(left < INCIDENTS && left > INCIDENTS - 100);
	assert_int_equal(ask(f, "SELECT count(*) FROM event"), INCIDENTS); /* still duplicates */
	if (!check(f, &said))
		fail_msg("%s", said.text);
}

static void keys_of_a_bad_page_are_found_by_their_index(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, INCIDENTS);
	shut(f);
	ask(f, "PRAGMA wal_checkpoint(TRUNCATE)");
	int64_t first = leaf_of(f, "event", 2), second = leaf_of(f, "event", 9);
	spoil(f, first, 0, PAGE);
	spoil(f, second, 0, PAGE);
	assert_false(repair(f, &said));
	int64_t left = ask(f, "SELECT count(*) FROM event");
	/* two pages are lost, and not all that lies between them */
	assert_true(left < INCIDENTS && left > INCIDENTS - 250);
	assert_int_equal(ask(f, "SELECT count(*) FROM incident"), INCIDENTS);
	if (!check(f, &said))
		fail_msg("%s", said.text);
}

static void a_bad_page_of_the_index_as_well_is_a_loss(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, INCIDENTS);
	shut(f);
	ask(f, "PRAGMA wal_checkpoint(TRUNCATE)");
	int64_t page = leaf_of(f, "event", 2), index = leaf_of(f, "event_by_time", 0);
	spoil(f, page, 0, PAGE);
	spoil(f, index, 0, PAGE);
	assert_false(repair(f, &said));
	assert_non_null(strstr(said.text, "3 event: "));
}

static void a_row_that_does_not_fit_is_a_loss(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, 5);
	shut(f);
	ask(f, "DROP TABLE call");
	ask(f, "CREATE TABLE call (id INTEGER PRIMARY KEY, function TEXT, target TEXT, "
	       "fingerprint TEXT, at_ms INTEGER)");
	ask(f, "INSERT INTO call VALUES (1, 'f', 't', 'p', 1), (2, NULL, 't', 'p', 1)");
	assert_false(repair(f, &said));
	assert_non_null(strstr(said.text, "call: 1 rows saved, up to 1 cannot be read"));
}

/* The last cell of a leaf of a table: its number becomes `to`, of two bytes as it was. */
static void renumber_last(struct fixture *f, int64_t page, int to)
{
	unsigned char bytes[PAGE];
	int fd = open(database(f), O_RDWR);

	assert_int_equal(pread(fd, bytes, PAGE, (page - 1) * PAGE), PAGE);
	assert_int_equal(bytes[0], 13);
	int count = bytes[3] << 8 | bytes[4];
	int cell = bytes[8 + 2 * (count - 1)] << 8 | bytes[9 + 2 * (count - 1)];
	assert_true(bytes[cell] < 128 && bytes[cell + 1] >= 128);
	bytes[cell + 1] = (unsigned char)(128 | to >> 7);
	bytes[cell + 2] = (unsigned char)(to & 127);
	assert_int_equal(pwrite(fd, bytes, PAGE, (page - 1) * PAGE), PAGE);
	close(fd);
}

static void a_number_of_a_torn_page_hides_no_rows(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, INCIDENTS);
	shut(f);
	ask(f, "PRAGMA wal_checkpoint(TRUNCATE)");
	assert_int_equal(ask(f, "SELECT count(*) FROM journal"), INCIDENTS);
	int64_t torn = leaf_of(f, "journal", 6), bad = leaf_of(f, "journal", 7);
	int64_t gone = ask(f, str_fmt(f->mem,
				      "SELECT ncell FROM dbstat WHERE name = 'journal' AND pageno "
				      "= %lld",
				      (long long)bad));
	renumber_last(f, torn, 16383);
	spoil(f, bad, 0, PAGE);
	assert_false(repair(f, &said));
	assert_int_equal(ask(f, "SELECT count(*) FROM journal WHERE id <= 1500"),
			 INCIDENTS - gone - 1);
}

/* The last cell of a leaf of a table: a record of one column, and its number is far below 0. */
static void number_below_zero(struct fixture *f, int64_t page)
{
	static const unsigned char CELL[] = {2,	   0xc0, 0x80, 0x80, 0x80, 0x80,
					     0x80, 0x80, 0x80, 9,    2,	   0};
	unsigned char at[2], count[2];
	int fd = open(database(f), O_RDWR);

	assert_int_equal(pread(fd, count, 2, (page - 1) * PAGE + 3), 2);
	assert_int_equal(pread(fd, at, 2, (page - 1) * PAGE + 6 + 2 * (count[0] << 8 | count[1])),
			 2);
	assert_int_equal(pwrite(fd, CELL, sizeof(CELL), (page - 1) * PAGE + (at[0] << 8 | at[1])),
			 sizeof(CELL));
	close(fd);
}

static void a_number_of_a_torn_page_may_be_any(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, INCIDENTS);
	shut(f);
	ask(f, "PRAGMA wal_checkpoint(TRUNCATE)");
	number_below_zero(f, leaf_of(f, "journal", 6));
	assert_int_equal(ask(f, "SELECT count(*) FROM journal NOT INDEXED WHERE +id < 0"), 1);
	assert_false(repair(f, &said));
	assert_int_equal(ask(f, "SELECT count(*) FROM journal"), INCIDENTS - 1);
}

/* The last leaf of the timeline has one row. */
static void grow_by_one_leaf(struct fixture *f)
{
	const char *leaves =
		"SELECT count(*) FROM dbstat WHERE name = 'journal' AND pagetype = 'leaf'";

	for (int64_t before = ask(f, leaves); ask(f, leaves) == before;)
		ask(f, "INSERT INTO journal SELECT id + 1, incident, at_ms, step, attempt, "
		       "outcome, duration_ms, note FROM journal ORDER BY id DESC LIMIT 1");
}

static void a_number_of_the_torn_last_row_hides_no_loss(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, INCIDENTS);
	shut(f);
	ask(f, "UPDATE journal SET id = id + 10000");
	grow_by_one_leaf(f);
	ask(f, "PRAGMA wal_checkpoint(TRUNCATE)");
	int leaves = (int)ask(f, "SELECT count(*) FROM dbstat WHERE name = 'journal' AND pagetype "
				 "= 'leaf'");
	int64_t bad = leaf_of(f, "journal", leaves - 2), last = leaf_of(f, "journal", leaves - 1);
	spoil(f, bad, 0, PAGE);
	renumber_last(f, last, 200);
	assert_false(repair(f, &said));
	assert_non_null(strstr(said.text, "3 journal: "));
}

static void the_first_page_can_be_replaced(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, 300);
	shut(f);
	ask(f, "PRAGMA wal_checkpoint(TRUNCATE)");
	spoil(f, 1, 0, PAGE);
	assert_false(check(f, &said));
	assert_false(repair(f, &said));
	assert_non_null(strstr(said.text, "its first page is damaged"));
	assert_int_equal(ask(f, "SELECT count(*) FROM incident"), 300);
	assert_true(check(f, &said));
}

static void what_was_there_is_kept_aside(void **state)
{
	struct fixture *f = *state;
	struct said said;
	struct stat before, after;

	fill(f, 0, 300);
	shut(f);
	spoil(f, 9, 0, PAGE);
	assert_int_equal(stat(database(f), &before), 0);
	repair(f, &said);
	DIR *d = opendir(f->dir);
	int found = 0;
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		if (!str_starts(e->d_name, "damaged-"))
			continue;
		found++;
		assert_int_equal(
			stat(str_fmt(f->mem, "%s/%s/agent-sre.db", f->dir, e->d_name), &after), 0);
		assert_int_equal(after.st_size, before.st_size);
		assert_int_equal(
			access(str_fmt(f->mem, "%s/%s/intake-%016d.log", f->dir, e->d_name, 1),
			       R_OK),
			0);
	}
	closedir(d);
	assert_int_equal(found, 1);
}

/* Leaves the database with a write-ahead log beside it that holds its newest rows. */
static void shut_with_a_log(struct fixture *f)
{
	const char *keep = str_fmt(f->mem, "%s/keep", f->dir);

	ask(f, "PRAGMA wal_checkpoint(TRUNCATE)");
	ask(f, "CREATE TABLE only_in_the_log (a)");
	assert_int_equal(
		system(str_fmt(f->mem, "mkdir %s && cp %s/agent-sre.db* %s", keep, f->dir, keep)),
		0);
	shut(f);
	assert_int_equal(
		system(str_fmt(f->mem,
			       "rm %s/agent-sre.db* && rm %s/*-shm && mv %s/* %s && rmdir %s",
			       f->dir, keep, keep, f->dir, keep)),
		0);
}

static void put_file(struct fixture *f, const char *name)
{
	int fd = open(str_fmt(f->mem, "%s/%s", f->dir, name), O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static bool has_file(struct fixture *f, const char *name)
{
	return access(str_fmt(f->mem, "%s/%s", f->dir, name), F_OK) == 0;
}

static int64_t rows_of_the_log(struct fixture *f)
{
	return ask(f, "SELECT count(*) FROM sqlite_schema WHERE name = 'only_in_the_log'");
}

static void a_crash_before_the_exchange_gives_the_old_database_its_log_back(void **state)
{
	struct fixture *f = *state;

	fill(f, 0, 20);
	shut_with_a_log(f);
	const char *wal = str_fmt(f->mem, "%s-wal", database(f));
	assert_int_equal(rename(wal, str_fmt(f->mem, "%s.old", wal)), 0);
	put_file(f, "agent-sre.db.new");
	const struct store_options o = {.dir = f->dir};
	if (store_open(NULL, &o, &f->store) != OK)
		fail_msg("%s", status_message());
	assert_int_equal(rows_of_the_log(f), 1);
	assert_false(has_file(f, "agent-sre.db-wal.old"));
}

static void a_crash_after_the_exchange_leaves_the_new_database_without_the_old_log(void **state)
{
	struct fixture *f = *state;
	struct said said;

	fill(f, 0, 20);
	shut_with_a_log(f);
	const char *wal = str_fmt(f->mem, "%s-wal", database(f));
	assert_int_equal(rename(wal, str_fmt(f->mem, "%s.old", wal)), 0);
	if (!repair(f, &said)) /* settles it as store_open does */
		fail_msg("%s", said.text);
	assert_int_equal(rows_of_the_log(f), 0);
	assert_false(has_file(f, "agent-sre.db-wal.old"));
	assert_int_equal(ask(f, "SELECT count(*) FROM incident"), 20);
}

static void a_store_in_use_is_not_repaired(void **state)
{
	struct fixture *f = *state;
	struct said said = {.text = str_dup(f->mem, "")};
	const struct maintenance m = {.dir = f->dir, .say = hear, .arg = &said};
	bool whole;

	assert_int_equal(store_repair(&m, &whole), E_CONFLICT);
	assert_int_equal(store_compact(&m), E_CONFLICT);
	assert_non_null(strstr(status_message(), "in use by another agent-sre"));
}

static void compaction_gives_space_back(void **state)
{
	struct fixture *f = *state;
	struct said said = {.text = str_dup(f->mem, "")};
	const struct maintenance m = {.dir = f->dir, .say = hear, .arg = &said};
	struct stat before, after;

	fill(f, 0, INCIDENTS);
	shut(f);
	ask(f, "DELETE FROM journal");
	ask(f, "PRAGMA wal_checkpoint(TRUNCATE)");
	assert_int_equal(stat(database(f), &before), 0);
	if (store_compact(&m) != OK)
		fail_msg("%s", status_message());
	assert_int_equal(stat(database(f), &after), 0);
	assert_true(after.st_size < before.st_size);
	assert_true(check(f, &said));
}

/* Any damage: the check or the repair never crashes, and after it the store opens, is whole and
 * takes events. */
static void random_damage_is_repaired_or_refused_with_words(void **state)
{
	struct fixture *f = *state;
	struct said said;
	unsigned seed = 20261125;
	int repaired = 0;
	char *good = str_fmt(f->mem, "%s/good", f->dir);

	fill(f, 0, 400);
	shut(f);
	ask(f, "PRAGMA wal_checkpoint(TRUNCATE)");
	assert_int_equal(system(str_fmt(f->mem, "mkdir %s && cp %s/*.* %s", good, f->dir, good)),
			 0);
	for (int n = 0; n < 25; n++) {
		int64_t pages = ask(f, "PRAGMA page_count");
		for (int k = rand_r(&seed) % 4; k >= 0; k--) {
			int from = rand_r(&seed) % (PAGE - 200);
			spoil(f, 1 + rand_r(&seed) % pages, from, 1 + rand_r(&seed) % 200);
		}
		if (n % 5 == 4)
			assert_int_equal(
				truncate(database(f), (1 + rand_r(&seed) % pages) * PAGE - n), 0);
		check(f, &said);
		const struct maintenance m = {.dir = f->dir, .say = hear, .arg = &said};
		bool whole;
		enum status s = store_repair(&m, &whole);
		if (s == OK) {
			repaired++;
			if (!check(f, &said))
				fail_msg("%d: %s", n, said.text);
			const struct store_options o = {.dir = f->dir};
			if (store_open(NULL, &o, &f->store) != OK)
				fail_msg("%d: %s", n, status_message());
			fixture_admit(f, str_fmt(f->mem, "new-%d", n), "New", 10 + n, 0);
			shut(f);
		} else {
			assert_non_null(strstr(status_message(), "restore a backup"));
		}
		assert_int_equal(
			system(str_fmt(f->mem,
				       "cd %s && rm -rf damaged-* intake-* *.db* && cp good/* .",
				       f->dir)),
			0);
	}
	assert_true(repaired > 15);
	assert_int_equal(system(str_fmt(f->mem, "rm -rf %s", good)), 0);
}

int main(void)
{
#define REPAIR_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
	const struct CMUnitTest tests[] = {
		REPAIR_TEST(a_store_that_is_whole_is_found_whole),
		REPAIR_TEST(relations_that_do_not_hold_are_told),
		REPAIR_TEST(tickets_of_failure_groups_are_sound_and_kept),
		REPAIR_TEST(tickets_of_a_lost_failure_group_are_told),
		REPAIR_TEST(numbers_of_what_is_gone_are_not_given_again),
		REPAIR_TEST(repairing_what_is_whole_changes_no_row),
		REPAIR_TEST(incidents_that_are_lost_and_stand_in_the_log_come_back_with_their_uid),
		REPAIR_TEST(an_incident_that_had_begun_is_not_begun_again),
		REPAIR_TEST(keys_of_a_bad_page_are_found_by_their_index),
		REPAIR_TEST(a_bad_page_of_the_index_as_well_is_a_loss),
		REPAIR_TEST(a_row_that_does_not_fit_is_a_loss),
		REPAIR_TEST(a_number_of_a_torn_page_hides_no_rows),
		REPAIR_TEST(a_number_of_a_torn_page_may_be_any),
		REPAIR_TEST(a_number_of_the_torn_last_row_hides_no_loss),
		REPAIR_TEST(the_first_page_can_be_replaced),
		REPAIR_TEST(what_was_there_is_kept_aside),
		REPAIR_TEST(a_crash_before_the_exchange_gives_the_old_database_its_log_back),
		REPAIR_TEST(a_crash_after_the_exchange_leaves_the_new_database_without_the_old_log),
		REPAIR_TEST(a_store_in_use_is_not_repaired),
		REPAIR_TEST(compaction_gives_space_back),
		REPAIR_TEST(random_damage_is_repaired_or_refused_with_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
