/* Points of a live database, their chains, and the way back: on a directory as target. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/backup.h"
#include "store/restore.h"
#include "store/store.h"
#include "store/tables.h"

static const char KEY[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char OTHER_KEY[] = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

enum { HOUR = 3600 * 1000 };
#define START INT64_C(1768474000000)

struct place {
	void *mem;
	char *root, *data, *vault, *fresh;
	sqlite3 *db;
	struct seal *seal;
	struct target *target;
	struct backup *backup;
};

static void run(sqlite3 *db, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
}

static void rows(struct place *p, int from, int count)
{
	SCOPE(tmp);

	run(p->db,
	    str_fmt(tmp,
		    "WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE "
		    "i < %d) INSERT OR REPLACE INTO thing SELECT i, printf('thing %%d ', i) || "
		    "hex(randomblob(100)), i * 0.5 FROM n",
		    from, from + count - 1));
}

static struct seal *seal_of(void *mem, const char *key)
{
	struct seal *seal = NULL;

	assert_int_equal(seal_new(mem, key, "", "", &seal), OK);
	return seal;
}

static int set_up(void **state)
{
	char name[] = "/tmp/agent-sre-backup-XXXXXX";
	void *mem = mem_check(talloc_new(NULL));
	struct place *p = NEW(mem, struct place);

	assert_non_null(mkdtemp(name));
	p->mem = mem;
	p->root = str_dup(p, name);
	p->data = str_fmt(p, "%s/data", name);
	p->vault = str_fmt(p, "%s/vault/inner", name);
	p->fresh = str_fmt(p, "%s/fresh", name);
	assert_int_equal(mkdir(p->data, 0700), 0);
	assert_int_equal(sqlite3_open(str_fmt(p, "%s/agent-sre.db", p->data), &p->db), SQLITE_OK);
	run(p->db,
	    "PRAGMA journal_mode = WAL; CREATE TABLE thing(id INTEGER PRIMARY KEY, name TEXT, size "
	    "REAL); CREATE INDEX thing_by_name ON thing(name); CREATE TABLE pair(a TEXT, b BLOB, "
	    "PRIMARY KEY(a)) WITHOUT ROWID; INSERT INTO pair VALUES('x', x'00ff'), ('y', NULL);"
	    "CREATE TABLE empty(a); CREATE TABLE intake(applied INTEGER, uid TEXT); INSERT INTO "
	    "intake VALUES (0, 'store-one'); PRAGMA user_version = 4;");
	rows(p, 1, 2000);
	p->seal = seal_of(p, KEY);
	p->target = target_directory(p, p->vault);
	const struct backup_options o = {.data = p->data, .target = p->target, .seal = p->seal};
	p->backup = backup_new(p, &o);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	sqlite3_close(p->db);
	assert_int_equal(directory_clear(p->root), OK);
	rmdir(p->root);
	talloc_free(p->mem);
	return 0;
}

static struct backup_result take(struct place *p, bool full, int64_t now_ms)
{
	struct backup_result r;

	if (backup_take(p->backup, full, now_ms, &r) != OK)
		fail_msg("%s", status_message());
	return r;
}

static enum status restore(struct place *p, int64_t at_ms, struct restore_result *out)
{
	struct restore_options o = {.data = p->fresh, .target = p->target, .seal = p->seal};
	struct point_ref ref = {0};

	TRY(restore_find(p, p->target, at_ms, &ref));
	return restore_run(p, &o, &ref, out);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* The restored database has the same rows as this moment's. */
static void same_as_now(struct place *p)
{
	SCOPE(tmp);
	struct table_digest *want = NULL;
	struct table_digest *have = NULL;
	size_t want_count = 0;
	size_t have_count = 0;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(str_fmt(tmp, "%s/agent-sre.db", p->fresh), &db), SQLITE_OK);
	assert_int_equal(tables_digest(tmp, p->db, &want, &want_count), OK);
	assert_int_equal(tables_digest(tmp, db, &have, &have_count), OK);
	sqlite3_close(db);
	assert_int_equal(want_count, 4);
	if (tables_compare(want, want_count, have, have_count) != OK)
		fail_msg("%s", status_message());
}

static void a_full_point_comes_back_whole(void **state)
{
	struct place *p = *state;
	struct restore_result r;

	struct backup_result b = take(p, false, START);
	assert_string_equal(b.parent, "");
	assert_int_equal(b.pages, b.page_count);
	assert_int_equal(b.page_size, 4096);
	assert_int_equal(restore(p, INT64_MAX, &r), OK);
	same_as_now(p);
	assert_int_equal(r.points, 1);
	assert_int_equal(r.point->time_ms, START);
	assert_int_equal(r.point->tables[3].rows, 2000);
	assert_string_equal(r.point->tables[3].name, "thing");
	assert_false(exists(str_fmt(p, "%s/agent-sre.db.restoring", p->fresh)));
	assert_false(exists(str_fmt(p, "%s/agent-sre.db.restoring-wal", p->fresh)));
	assert_true(exists(str_fmt(p, "%s/restored.json", p->fresh)));
}

static void an_increment_ships_only_what_changed(void **state)
{
	struct place *p = *state;
	struct restore_result r;

	struct backup_result full = take(p, false, START);
	struct backup_result idle = take(p, false, START + 1000);
	assert_string_equal(idle.parent, full.id);
	assert_in_range(idle.pages, 0, 1); /* its first page has a counter */
	rows(p, 5, 1);
	struct backup_result b = take(p, false, START + 2000);
	assert_string_equal(b.parent, idle.id);
	assert_in_range(b.pages, 1, 8);
	assert_true(b.bytes < full.bytes / 4);
	assert_int_equal(restore(p, INT64_MAX, &r), OK);
	assert_int_equal(r.points, 3);
	same_as_now(p);
}

static void any_point_of_a_chain_can_be_restored(void **state)
{
	struct place *p = *state;
	struct restore_result r;

	take(p, false, START);
	rows(p, 2001, 500);
	take(p, false, START + 1000);
	run(p->db, "DELETE FROM thing WHERE id > 100; VACUUM;");
	take(p, false, START + 2000);
	rows(p, 101, 4000);
	take(p, false, START + 3000);
	assert_int_equal(restore(p, START - 1, &r), E_NOTFOUND);
	assert_non_null(strstr(status_message(), "oldest point is of 2026-01-15T10:46:40Z"));
	static const struct {
		int64_t at, rows, points;
	} CASES[] = {
		{0, 2000, 1}, {999, 2000, 1}, {1500, 2500, 2}, {2000, 100, 3}, {9999, 4100, 4}};
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		assert_int_equal(restore(p, START + CASES[n].at, &r), OK);
		assert_int_equal(r.point->tables[3].rows, CASES[n].rows);
		assert_int_equal(r.points, CASES[n].points);
		if (n < 4)
			assert_int_equal(directory_clear(p->fresh), OK);
	}
	same_as_now(p);
}

static void a_full_point_is_made_when_it_is_due_or_wanted(void **state)
{
	struct place *p = *state;

	take(p, false, START);
	assert_string_not_equal(take(p, false, START + 23 * HOUR).parent, "");
	assert_string_equal(take(p, false, START + 24 * HOUR).parent, "");
	assert_string_not_equal(take(p, false, START + 25 * HOUR).parent, "");
	assert_string_equal(take(p, true, START + 26 * HOUR).parent, "");
}

static void points_are_in_order_when_the_clock_goes_back(void **state)
{
	struct place *p = *state;
	struct backup_result first = take(p, false, START);
	struct backup_result second = take(p, false, START - 2 * HOUR);
	struct backup_result third = take(p, true, START - HOUR);

	assert_true(strcmp(first.id, second.id) < 0);
	assert_true(strcmp(second.id, third.id) < 0);
}

static void another_process_goes_on_where_the_first_one_ended(void **state)
{
	struct place *p = *state;
	const struct backup_options o = {.data = p->data, .target = p->target, .seal = p->seal};
	struct backup_result r;
	struct restore_result back;

	struct backup_result first = take(p, false, START);
	rows(p, 3000, 10);
	struct backup *other = backup_new(p, &o);
	assert_int_equal(backup_take(other, false, START + 1000, &r), OK);
	assert_string_equal(r.parent, first.id);
	rows(p, 4000, 10);
	/* and the first one sees what the other did */
	struct backup_result last = take(p, false, START + 2000);
	assert_string_equal(last.parent, r.id);
	assert_int_equal(restore(p, INT64_MAX, &back), OK);
	assert_int_equal(back.points, 3);
	same_as_now(p);
}

struct writing {
	struct place *p;
	atomic_bool stop;
	atomic_int rounds;
};

static void *write_all_the_time(void *arg)
{
	struct writing *w = arg;
	sqlite3 *db = NULL;
	SCOPE(tmp);

	sqlite3_open(str_fmt(tmp, "%s/agent-sre.db", w->p->data), &db);
	sqlite3_busy_timeout(db, 5000);
	/* both sides of a transfer change in one transaction: a torn copy would show */
	while (!atomic_load(&w->stop)) {
		run(db,
		    "BEGIN IMMEDIATE; UPDATE thing SET size = size + 1 WHERE id % 7 = 0; UPDATE "
		    "thing SET size = size - 1 WHERE id % 7 = 1 AND id < 2000; COMMIT;");
		atomic_fetch_add(&w->rounds, 1);
	}
	sqlite3_close(db);
	return NULL;
}

static double sum(const char *path)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *row = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_prepare_v2(db, "SELECT sum(size) FROM thing", -1, &row, NULL);
	assert_int_equal(sqlite3_step(row), SQLITE_ROW);
	double value = sqlite3_column_double(row, 0);
	sqlite3_finalize(row);
	sqlite3_close(db);
	return value;
}

static void points_under_writes_are_consistent(void **state)
{
	struct place *p = *state;
	struct writing w = {.p = p};
	struct restore_result r;
	pthread_t thread;

	run(p->db, "DELETE FROM thing WHERE id > 1995"); /* as many of both kinds */
	double want = sum(str_fmt(p, "%s/agent-sre.db", p->data));
	pthread_create(&thread, NULL, write_all_the_time, &w);
	while (atomic_load(&w.rounds) == 0)
		usleep(1000);
	for (int n = 0; n < 10; n++)
		take(p, false, START + n * 1000);
	atomic_store(&w.stop, true);
	pthread_join(thread, NULL);
	for (int n = 0; n < 10; n++) {
		assert_int_equal(restore(p, START + n * 1000, &r), OK);
		assert_true(sum(str_fmt(p, "%s/agent-sre.db", p->fresh)) == want);
		assert_int_equal(directory_clear(p->fresh), OK);
	}
	assert_true(atomic_load(&w.rounds) > 1);
}

static void write_file(const char *path, const char *bytes, size_t n)
{
	unlink(path);
	assert_int_equal(file_write_durably(path, bytes, n), OK);
}

static void read_back(struct place *p, const char *name, char **text, size_t *n)
{
	assert_int_equal(
		file_read(p, str_fmt(p, "%s/%s", p->fresh, name), 8 * 1024 * 1024, text, n), OK);
}

static void the_intake_log_and_the_archive_belong_to_a_point(void **state)
{
	struct place *p = *state;
	struct restore_result r;
	size_t size = 3 * 1024 * 1024;
	char *log = NEW_ARRAY(p, char, size);
	char *text = NULL;
	size_t n = 0;

	memset(log, 'r', 1500000);
	write_file(str_fmt(p, "%s/intake-0000000000000001.log", p->data), log, size);
	write_file(str_fmt(p, "%s/intake-spare.log", p->data), log, size);
	mkdir(str_fmt(p, "%s/archive", p->data), 0700);
	write_file(str_fmt(p, "%s/archive/dlq-2026-01.jsonl", p->data), "one\n", 4);
	write_file(str_fmt(p, "%s/seal.key", p->data), KEY, strlen(KEY));
	take(p, false, START);
	struct backup_result same = take(p, false, START + 1000);
	assert_true(same.bytes < 64 * 1024); /* what is there already is not sent again */
	assert_int_equal(restore(p, INT64_MAX, &r), OK);
	read_back(p, "intake-0000000000000001.log", &text, &n);
	assert_int_equal(n, size);
	assert_memory_equal(text, log, size);
	read_back(p, "archive/dlq-2026-01.jsonl", &text, &n);
	assert_string_equal(text, "one\n");
	assert_false(exists(str_fmt(p, "%s/intake-spare.log", p->fresh)));
	assert_false(exists(str_fmt(p, "%s/seal.key", p->fresh)));
}

static void an_archive_that_cannot_be_read_fails_the_point(void **state)
{
	struct place *p = *state;
	struct backup_result r;
	const char *archive = str_fmt(p, "%s/archive", p->data);

	write_file(archive, "x", 1); /* in the place of the directory */
	assert_int_equal(backup_take(p->backup, false, START, &r), E_TRANSIENT);
	assert_non_null(strstr(status_message(), "archive: "));
	assert_int_equal(unlink(archive), 0);
	assert_int_equal(backup_take(p->backup, false, START, &r), OK);
}

static void the_key_is_never_in_the_target_and_nothing_there_is_readable(void **state)
{
	struct place *p = *state;
	char **names = NULL;
	size_t count = 0;

	write_file(str_fmt(p, "%s/seal.key", p->data), KEY, strlen(KEY));
	take(p, false, START);
	assert_int_equal(p->target->list(p, p->target, &names, &count), OK);
	assert_true(count >= 3);
	for (size_t k = 0; k < count; k++) {
		char *bytes = NULL;
		size_t n = 0;
		assert_int_equal(p->target->get(p, p->target, names[k], &bytes, &n), OK);
		assert_null(memmem(bytes, n, KEY, 16));
		assert_null(memmem(bytes, n, "SQLite format", 13));
		assert_null(memmem(bytes, n, "thing", 5));
		assert_null(memmem(bytes, n, "sha256", 6));
	}
}

/* The name of some object of this kind. */
static char *object_of(struct place *p, const char *suffix)
{
	char **names = NULL;
	size_t count = 0;

	assert_int_equal(p->target->list(p, p->target, &names, &count), OK);
	for (size_t n = 0; n < count; n++)
		if (str_ends(names[n], suffix))
			return names[n];
	fail_msg("no %s", suffix);
	return NULL;
}

static void refuses(struct place *p, enum status want, const char *word)
{
	struct restore_result r;

	assert_int_equal(restore(p, INT64_MAX, &r), want);
	if (strstr(status_message(), word) == NULL)
		fail_msg("wanted '%s' in: %s", word, status_message());
	assert_false(exists(p->fresh));
}

static void damage(struct place *p, const char *name, size_t at, size_t keep)
{
	SCOPE(tmp);
	char *path = str_fmt(tmp, "%s/%s", p->vault, name);
	char *bytes = NULL;
	size_t n = 0;

	assert_int_equal(file_read(tmp, path, TARGET_OBJECT_BYTES, &bytes, &n), OK);
	bytes[at < n ? at : n - 1] ^= 1;
	write_file(path, bytes, keep < n ? keep : n);
}

static void every_kind_of_damage_is_found_and_named(void **state)
{
	struct place *p = *state;

	take(p, false, START);
	char *part = object_of(p, "-000001.part");
	char *manifest = object_of(p, ".point");
	damage(p, part, 5000, SIZE_MAX);
	refuses(p, E_INVALID, part);
	damage(p, part, 5000, SIZE_MAX); /* mended */
	damage(p, part, 0, SIZE_MAX);
	refuses(p, E_INVALID, part);
	damage(p, part, 0, SIZE_MAX);
	damage(p, manifest, 200, SIZE_MAX);
	refuses(p, E_INVALID, manifest);
	damage(p, manifest, 200, SIZE_MAX);
	struct restore_result r;
	assert_int_equal(restore(p, INT64_MAX, &r), OK);
}

static void a_cut_part_a_missing_one_and_an_exchanged_one_are_named(void **state)
{
	struct place *p = *state;

	take(p, false, START);
	char *first = object_of(p, "-000001.part");
	char *second = str_dup(p, first);
	second[strlen(second) - 6] = '2';
	char *first_path = str_fmt(p, "%s/%s", p->vault, first);
	char *second_path = str_fmt(p, "%s/%s", p->vault, second);
	char *third_path = str_fmt(p, "%s/third", p->vault);

	assert_int_equal(rename(first_path, third_path), 0);
	refuses(p, E_INVALID, "missing");
	assert_int_equal(rename(second_path, first_path), 0);
	assert_int_equal(rename(third_path, second_path), 0);
	refuses(p, E_INVALID, ".part: ");
	assert_int_equal(rename(first_path, third_path), 0);
	assert_int_equal(rename(second_path, first_path), 0);
	assert_int_equal(rename(third_path, second_path), 0);
	damage(p, first, 0, 1000);
	refuses(p, E_INVALID, first);
}

static void after_damage_the_next_point_is_a_full_one(void **state)
{
	struct place *p = *state;
	const struct backup_options o = {.data = p->data, .target = p->target, .seal = p->seal};
	struct backup_result r;
	struct restore_result back;

	take(p, false, START);
	char *manifest = object_of(p, ".point");
	damage(p, manifest, 200, SIZE_MAX);
	assert_int_equal(backup_take(backup_new(p, &o), false, START + 1000, &r), OK);
	assert_string_equal(r.parent, "");
	assert_non_null(strstr(r.why_full, manifest));
	assert_int_equal(restore(p, INT64_MAX, &back), OK);
	same_as_now(p);
}

static void a_missing_link_of_the_chain_is_named(void **state)
{
	struct place *p = *state;

	take(p, false, START);
	rows(p, 1, 100);
	struct backup_result middle = take(p, false, START + 1000);
	rows(p, 1, 100);
	take(p, false, START + 2000);
	char *name = object_of(p, str_fmt(p, "%s.point", middle.id));
	assert_int_equal(p->target->remove(p->target, name), OK);
	refuses(p, E_INVALID, middle.id);
}

static void manifests_cannot_be_exchanged(void **state)
{
	struct place *p = *state;

	struct backup_result a = take(p, false, START);
	rows(p, 1, 100);
	struct backup_result b = take(p, false, START + 1000);
	char *one = str_fmt(p, "%s/%s", p->vault, point_name(p, a.id, a.id));
	char *two = str_fmt(p, "%s/%s", p->vault, point_name(p, a.id, b.id));
	assert_int_equal(unlink(two), 0);
	assert_int_equal(link(one, two), 0);
	refuses(p, E_INVALID, b.id);
}

static void another_key_is_refused_with_the_id_of_the_needed_one(void **state)
{
	struct place *p = *state;

	take(p, false, START);
	p->seal = seal_of(p, OTHER_KEY);
	refuses(p, E_DENIED, "630dcd29"); /* of SHA-256 of KEY */
	/* and the one who holds the other key does not write beside it */
	const struct backup_options o = {.data = p->data, .target = p->target, .seal = p->seal};
	struct backup_result r;
	assert_int_equal(backup_take(backup_new(p, &o), false, START + 1000, &r), E_DENIED);
	assert_non_null(strstr(status_message(), "630dcd29"));
	assert_non_null(strstr(status_message(), "name another place"));
}

static void points_of_a_lost_store_are_not_buried_under_those_of_an_empty_one(void **state)
{
	struct place *p = *state;
	const struct backup_options o = {.data = p->data, .target = p->target, .seal = p->seal};
	struct backup_result r;

	take(p, false, START);
	run(p->db, "DELETE FROM thing; UPDATE intake SET uid = 'store-two'");
	assert_int_equal(backup_take(p->backup, false, START + 1000, &r), E_CONFLICT);
	assert_int_equal(backup_take(backup_new(p, &o), true, START + 2000, &r), E_CONFLICT);
	assert_non_null(strstr(status_message(), "holds backups of another store"));
	/* what comes back from a backup is the same store, and goes on */
	struct restore_result back;
	assert_int_equal(restore(p, INT64_MAX, &back), OK);
	const struct backup_options again = {
		.data = p->fresh, .target = p->target, .seal = p->seal};
	assert_int_equal(backup_take(backup_new(p, &again), false, START + 3000, &r), OK);
	assert_string_not_equal(r.parent, "");
}

static void a_directory_that_is_not_empty_stays_as_it_is(void **state)
{
	struct place *p = *state;
	struct restore_result r;

	take(p, false, START);
	assert_int_equal(mkdir(p->fresh, 0700), 0);
	write_file(str_fmt(p, "%s/agent-sre.db", p->fresh), "mine", 4);
	assert_int_equal(restore(p, INT64_MAX, &r), E_CONFLICT);
	assert_non_null(strstr(status_message(), "not empty"));
	char *text = NULL;
	size_t n = 0;
	read_back(p, "agent-sre.db", &text, &n);
	assert_string_equal(text, "mine");
	assert_false(exists(str_fmt(p, "%s/lock", p->fresh)));
}

static void a_directory_in_use_is_refused(void **state)
{
	struct place *p = *state;
	struct restore_result r;

	take(p, false, START);
	assert_int_equal(mkdir(p->fresh, 0700), 0);
	int fd = open(str_fmt(p, "%s/lock", p->fresh), O_RDWR | O_CREAT, 0600);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(restore(p, INT64_MAX, &r), E_CONFLICT);
	assert_non_null(strstr(status_message(), "in use by a running agent-sre"));
	close(fd);
	assert_int_equal(restore(p, INT64_MAX, &r), OK);
}

/* As after kill -9 in the middle: the note stands where the database will be. */
static void a_restore_cut_short_opens_as_no_store_and_can_be_run_again(void **state)
{
	struct place *p = *state;
	struct restore_result r;
	struct store *store = NULL;
	const struct store_options o = {.dir = p->fresh, .encryption_key = KEY};
	static const char NOTE[] =
		"A restore into this directory was not finished: run agent-sre restore again, or "
		"remove the directory.\n";
	char *note = NULL;
	size_t n = 0;

	take(p, false, START);
	assert_int_equal(mkdir(p->fresh, 0700), 0);
	write_file(str_fmt(p, "%s/agent-sre.db", p->fresh), NOTE, strlen(NOTE));
	write_file(str_fmt(p, "%s/agent-sre.db.restoring", p->fresh), "half", 4);
	void *mem = talloc_new(NULL);
	assert_int_equal(store_open(mem, &o, &store), E_INVALID);
	talloc_free(mem);
	read_back(p, "agent-sre.db", &note, &n);
	assert_string_equal(note, NOTE);
	assert_int_equal(restore(p, INT64_MAX, &r), OK);
	same_as_now(p);
}

static enum status (*real_get)(void *, struct target *, const char *, char **, size_t *);
static int gets_left;
static const char *seen_data;
static bool seen_note;

static enum status failing_get(void *mem, struct target *t, const char *name, char **out, size_t *n)
{
	SCOPE(tmp);
	char *text = NULL;
	size_t bytes = 0;

	if (gets_left-- > 0)
		return real_get(mem, t, name, out, n);
	const char *path = str_fmt(tmp, "%s/agent-sre.db", seen_data);
	seen_note = file_read(tmp, path, 1024, &text, &bytes) == OK &&
		    str_starts(text, "A restore into this directory was not finished");
	return failure(E_TRANSIENT, "the line went dead");
}

static void a_restore_that_fails_half_way_leaves_nothing(void **state)
{
	struct place *p = *state;
	struct restore_result r;

	rows(p, 1, 20000);
	take(p, false, START);
	real_get = p->target->get;
	p->target->get = failing_get;
	seen_data = p->fresh;
	gets_left = 2;
	assert_int_equal(restore(p, INT64_MAX, &r), E_TRANSIENT);
	assert_non_null(strstr(status_message(), ".part: the line went dead"));
	assert_true(seen_note);
	assert_false(exists(p->fresh));
}

static enum status (*real_put)(struct target *, const char *, const void *, size_t);
static int puts_left;

static enum status failing_put(struct target *t, const char *name, const void *bytes, size_t n)
{
	if (puts_left-- > 0)
		return real_put(t, name, bytes, n);
	return failure(E_TRANSIENT, "no room");
}

static void a_backup_that_fails_half_way_is_no_point_and_the_next_one_is_whole(void **state)
{
	struct place *p = *state;
	struct backup_result b;
	struct restore_result r;

	take(p, false, START);
	rows(p, 1, 20000);
	real_put = p->target->put;
	p->target->put = failing_put;
	for (int n = 0; n < 3; n++) {
		puts_left = n;
		assert_int_equal(backup_take(p->backup, false, START + 1000, &b), E_TRANSIENT);
	}
	p->target->put = real_put;
	assert_int_equal(restore(p, INT64_MAX, &r), OK);
	assert_int_equal(r.point->time_ms, START);
	assert_int_equal(directory_clear(p->fresh), OK);
	assert_string_not_equal(take(p, false, START + 2000).parent, "");
	assert_int_equal(restore(p, INT64_MAX, &r), OK);
	same_as_now(p);
}

static void a_damaged_database_is_not_backed_up(void **state)
{
	struct place *p = *state;
	struct backup_result b;
	char *path = str_fmt(p, "%s/agent-sre.db", p->data);

	take(p, false, START);
	run(p->db, "PRAGMA wal_checkpoint(TRUNCATE)");
	sqlite3_close(p->db);
	p->db = NULL;
	int fd = open(path, O_WRONLY);
	for (int n = 2; n < 40; n++)
		assert_int_equal(pwrite(fd, "broken all over", 15, n * 4096), 15);
	close(fd);
	assert_int_equal(backup_take(p->backup, false, START + 1000, &b), E_INTERNAL);
	struct restore_result r;
	assert_int_equal(restore(p, INT64_MAX, &r), OK);
	assert_int_equal(r.point->time_ms, START);
}

static size_t points_left(struct place *p)
{
	struct point_ref *refs = NULL;
	size_t count = 0;

	assert_int_equal(points_list(p, p->target, &refs, &count), OK);
	return count;
}

static void old_series_go_and_the_newest_one_stays_for_ever(void **state)
{
	struct place *p = *state;
	struct restore_result r;
	const int64_t day = 24 * (int64_t)HOUR;
	size_t removed = 0;

	take(p, false, START);
	take(p, false, START + HOUR);
	take(p, true, START + 10 * day);
	take(p, false, START + 10 * day + HOUR);
	assert_int_equal(backup_prune(p->target, 30 * day, START + 30 * day, &removed), OK);
	assert_int_equal(removed, 0);
	assert_int_equal(backup_prune(p->target, 30 * day, START + 31 * day, &removed), OK);
	assert_int_equal(removed, 2);
	assert_int_equal(points_left(p), 2);
	assert_int_equal(backup_prune(p->target, 30 * day, START + 1000 * day, &removed), OK);
	assert_int_equal(removed, 0);
	assert_int_equal(restore(p, INT64_MAX, &r), OK);
	same_as_now(p);
}

static void parts_without_a_point_are_removed_when_they_are_old(void **state)
{
	struct place *p = *state;
	struct backup_result b;
	size_t removed = 0;
	char **names = NULL;
	size_t count = 0;

	real_put = p->target->put;
	p->target->put = failing_put;
	puts_left = 1;
	assert_int_equal(backup_take(p->backup, false, START, &b), E_TRANSIENT);
	p->target->put = real_put;
	take(p, false, START + 1000);
	size_t before = 0;
	assert_int_equal(p->target->list(p, p->target, &names, &before), OK);
	assert_int_equal(
		backup_prune(p->target, 30 * 24 * (int64_t)HOUR, START + 23 * HOUR, &removed), OK);
	assert_int_equal(p->target->list(p, p->target, &names, &count), OK);
	assert_int_equal(count, before);
	assert_int_equal(
		backup_prune(p->target, 30 * 24 * (int64_t)HOUR, START + 25 * HOUR, &removed), OK);
	assert_int_equal(p->target->list(p, p->target, &names, &count), OK);
	assert_int_equal(count, before - 1);
}

static void without_a_database_there_is_nothing_to_back_up(void **state)
{
	struct place *p = *state;
	const struct backup_options o = {
		.data = str_fmt(p, "%s/none", p->root), .target = p->target, .seal = p->seal};
	struct backup_result b;

	assert_int_equal(backup_take(backup_new(p, &o), false, START, &b), E_NOTFOUND);
	assert_false(exists(o.data));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_full_point_comes_back_whole),
		TEST(an_increment_ships_only_what_changed),
		TEST(any_point_of_a_chain_can_be_restored),
		TEST(a_full_point_is_made_when_it_is_due_or_wanted),
		TEST(points_are_in_order_when_the_clock_goes_back),
		TEST(another_process_goes_on_where_the_first_one_ended),
		TEST(points_under_writes_are_consistent),
		TEST(the_intake_log_and_the_archive_belong_to_a_point),
		TEST(an_archive_that_cannot_be_read_fails_the_point),
		TEST(the_key_is_never_in_the_target_and_nothing_there_is_readable),
		TEST(every_kind_of_damage_is_found_and_named),
		TEST(a_cut_part_a_missing_one_and_an_exchanged_one_are_named),
		TEST(after_damage_the_next_point_is_a_full_one),
		TEST(a_missing_link_of_the_chain_is_named),
		TEST(manifests_cannot_be_exchanged),
		TEST(another_key_is_refused_with_the_id_of_the_needed_one),
		TEST(points_of_a_lost_store_are_not_buried_under_those_of_an_empty_one),
		TEST(a_directory_that_is_not_empty_stays_as_it_is),
		TEST(a_directory_in_use_is_refused),
		TEST(a_restore_cut_short_opens_as_no_store_and_can_be_run_again),
		TEST(a_restore_that_fails_half_way_leaves_nothing),
		TEST(a_backup_that_fails_half_way_is_no_point_and_the_next_one_is_whole),
		TEST(a_damaged_database_is_not_backed_up),
		TEST(old_series_go_and_the_newest_one_stays_for_ever),
		TEST(parts_without_a_point_are_removed_when_they_are_old),
		TEST(without_a_database_there_is_nothing_to_back_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
