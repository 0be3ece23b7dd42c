/* The pages of a live database, and what its tables hold. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "store/pages.h"
#include "store/tables.h"

static void run(sqlite3 *db, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
}

struct files {
	char folder[40], path[80], copy[80];
	sqlite3 *db;
};

static void open_files(struct files *f, const char *pragma)
{
	str_print(f->folder, sizeof(f->folder), "/tmp/agent-sre-pages-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	str_print(f->path, sizeof(f->path), "%s/a.db", f->folder);
	str_print(f->copy, sizeof(f->copy), "%s/b.db", f->folder);
	assert_int_equal(sqlite3_open(f->path, &f->db), SQLITE_OK);
	run(f->db, pragma);
	run(f->db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c BLOB, d REAL);"
		   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
		   "INSERT INTO t SELECT i, hex(randomblob(40)), randomblob(9), i / 3.0 FROM n;");
}

static void close_files(struct files *f)
{
	char name[90];

	sqlite3_close(f->db);
	static const char *const ENDS[] = {"", "-wal", "-shm", "-journal"};
	for (size_t n = 0; n < 4; n++) {
		str_print(name, sizeof(name), "%s%s", f->path, ENDS[n]);
		unlink(name);
		str_print(name, sizeof(name), "%s%s", f->copy, ENDS[n]);
		unlink(name);
	}
	assert_int_equal(rmdir(f->folder), 0);
}

struct copying {
	FILE *out;
	sqlite3 *write; /* into this database meanwhile */
	uint32_t count, last;
	size_t fail_at;
};

static enum status copy_page(uint32_t number, const unsigned char *bytes, size_t n, void *arg)
{
	struct copying *c = arg;

	c->count++;
	c->last = number;
	if (c->count == c->fail_at)
		return failure(E_TRANSIENT, "enough");
	if (c->write != NULL && c->count % 50 == 0)
		run(c->write, "UPDATE t SET b = 'changed' WHERE a % 7 = 0");
	assert_int_equal(fseek(c->out, (long)((number - 1) * n), SEEK_SET), 0);
	assert_int_equal(fwrite(bytes, 1, n, c->out), n);
	return OK;
}

static void same_tables(sqlite3 *a, const char *copy)
{
	SCOPE(mem);
	struct table_digest *want = NULL;
	struct table_digest *have = NULL;
	size_t want_count = 0;
	size_t have_count = 0;
	sqlite3 *b = NULL;

	assert_int_equal(sqlite3_open(copy, &b), SQLITE_OK);
	assert_int_equal(tables_digest(mem, a, &want, &want_count), OK);
	assert_int_equal(tables_digest(mem, b, &have, &have_count), OK);
	sqlite3_close(b);
	if (tables_compare(want, want_count, have, have_count) != OK)
		fail_msg("%s", status_message());
}

static void copies(const char *pragma, uint32_t page_size)
{
	struct files f;
	uint32_t size = 0;
	uint32_t count = 0;

	open_files(&f, pragma);
	struct copying c = {.out = fopen(f.copy, "wb")};
	assert_int_equal(pages_each(f.db, copy_page, &c, &size, &count), OK);
	fclose(c.out);
	assert_int_equal(size, page_size);
	assert_int_equal(c.count, count);
	assert_int_equal(c.last, 1);
	same_tables(f.db, f.copy);
	close_files(&f);
}

static void every_page_comes_once_and_the_first_one_last(void **state)
{
	(void)state;
	copies("PRAGMA journal_mode = WAL", 4096);
	copies("PRAGMA page_size = 512", 512);
	copies("PRAGMA page_size = 65536; PRAGMA journal_mode = WAL", 65536);
}

static void the_pages_are_of_one_moment_while_others_write(void **state)
{
	struct files f;
	uint32_t size = 0;
	uint32_t count = 0;
	sqlite3 *reader = NULL;

	(void)state;
	open_files(&f, "PRAGMA journal_mode = WAL");
	assert_int_equal(sqlite3_open(f.path, &reader), SQLITE_OK);
	run(reader, "BEGIN; SELECT count(*) FROM t");
	struct copying c = {.out = fopen(f.copy, "wb"), .write = f.db};
	assert_int_equal(pages_each(reader, copy_page, &c, &size, &count), OK);
	fclose(c.out);
	assert_true(c.count > 50);
	same_tables(reader, f.copy); /* which still sees its moment */
	run(reader, "COMMIT");
	sqlite3_close(reader);
	close_files(&f);
}

static void a_failure_ends_the_reading(void **state)
{
	struct files f;
	uint32_t size = 0;
	uint32_t count = 0;

	(void)state;
	open_files(&f, "PRAGMA journal_mode = WAL");
	struct copying c = {.out = fopen(f.copy, "wb"), .fail_at = 3};
	assert_int_equal(pages_each(f.db, copy_page, &c, &size, &count), E_TRANSIENT);
	assert_string_equal(status_message(), "enough");
	assert_int_equal(c.count, 3);
	fclose(c.out);
	close_files(&f);
}

static void digests(void *mem, const char *sql, struct table_digest **out, size_t *count)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	run(db, sql);
	assert_int_equal(tables_digest(mem, db, out, count), OK);
	sqlite3_close(db);
}

static void a_difference_of_tables_is_named(void **state)
{
	static const struct {
		const char *sql, *says; /* NULL: no difference */
	} CASES[] = {
		{"CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x'), (2, 'y')", NULL},
		{"CREATE TABLE t(a, b); INSERT INTO t VALUES (2, 'y'), (1, 'x')", NULL},
		{"CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x'), (2, 'z')",
		 "table t has other"},
		{"CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x'), ('2', 'y')",
		 "table t has other"},
		{"CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'xy'), (2, '')",
		 "table t has other"},
		{"CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x')",
		 "table t has 1 rows in place of 2"},
		{"CREATE TABLE u(a, b)", "table u in place of t"},
		{"CREATE TABLE t(a, b); CREATE TABLE u(a)", "2 tables in place of 1"},
	};
	SCOPE(mem);
	struct table_digest *want = NULL;
	size_t want_count = 0;

	(void)state;
	digests(mem, CASES[0].sql, &want, &want_count);
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		struct table_digest *have = NULL;
		size_t count = 0;
		digests(mem, CASES[n].sql, &have, &count);
		enum status s = tables_compare(want, want_count, have, count);
		assert_int_equal(s, CASES[n].says == NULL ? OK : E_INVALID);
		if (s != OK && strstr(status_message(), CASES[n].says) == NULL)
			fail_msg("%s", status_message());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_page_comes_once_and_the_first_one_last),
		cmocka_unit_test(the_pages_are_of_one_moment_while_others_write),
		cmocka_unit_test(a_failure_ends_the_reading),
		cmocka_unit_test(a_difference_of_tables_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
