/* The end of the intake log, copied while a ledger writes to it and recycles its files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "store/ledger.h"
#include "store/tail.h"
#include "store/target.h"

enum { RECORD_BYTES = 200 * 1024 };

struct logs {
	void *mem;
	char *root, *data, *copy;
};

static int set_up(void **state)
{
	char name[] = "/tmp/agent-sre-tail-XXXXXX";
	void *mem = mem_check(talloc_new(NULL));
	struct logs *l = NEW(mem, struct logs);

	assert_non_null(mkdtemp(name));
	*l = (struct logs){mem, str_dup(mem, name), str_fmt(mem, "%s/data", name),
			   str_fmt(mem, "%s/copy", name)};
	assert_int_equal(mkdir(l->data, 0700), 0);
	*state = l;
	return 0;
}

static int tear_down(void **state)
{
	struct logs *l = *state;

	assert_int_equal(directory_clear(l->root), OK);
	rmdir(l->root);
	talloc_free(l->mem);
	return 0;
}

static struct ledger *open_at(void *mem, const char *dir, uint64_t applied, uint32_t epoch)
{
	struct ledger *l = NULL;

	if (ledger_open(mem, dir, applied, epoch, &l) != OK)
		fail_msg("%s", status_message());
	return l;
}

static void add(struct ledger *l, char *payload, size_t bytes)
{
	uint64_t number = ledger_append(l, payload, bytes);

	(void)number;
	assert_int_equal(ledger_sync(l), OK);
}

/* What a restore does with the files. */
static void put_back(struct logs *l, const struct tail_file *files, size_t count)
{
	SCOPE(tmp);

	assert_int_equal(mkdir(l->copy, 0700), 0);
	for (size_t n = 0; n < count; n++) {
		const char *path = str_fmt(tmp, "%s/%s", l->copy, files[n].name);
		assert_int_equal(file_write_durably(path, files[n].bytes, files[n].used), OK);
		assert_int_equal(truncate(path, files[n].size), 0);
	}
}

/* Every record behind `applied` is there, the last one at least `durable`. */
static void complete(struct logs *l, uint64_t applied, uint64_t durable)
{
	SCOPE(tmp);
	const unsigned char *payload = NULL;
	const char *damage = NULL;
	uint64_t number = 0;
	size_t bytes = 0;
	struct ledger *copy = open_at(tmp, l->copy, applied, 1000);
	uint64_t want = applied + 1;

	for (; ledger_read(copy, &number, &payload, &bytes) == OK; want++) {
		uint64_t written = 0;
		assert_int_equal(number, want);
		memcpy(&written, payload, sizeof(written));
		assert_int_equal(written, want);
	}
	assert_true(want > durable);
	assert_int_equal(ledger_lost(copy, &damage), 0);
}

static void the_records_behind_the_applied_one_come_back(void **state)
{
	struct logs *l = *state;
	struct ledger *ledger = open_at(l, l->data, 0, 1);
	char payload[100] = {0};
	struct tail_file *files = NULL;
	size_t count = 0;

	for (uint64_t n = 1; n <= 100; n++) {
		memcpy(payload, &n, sizeof(n));
		add(ledger, payload, n == 100 ? 8 : sizeof(payload)); /* most of it zeros */
	}
	assert_int_equal(tail_copy(l, l->data, 40, false, &files, &count), OK);
	assert_int_equal(count, 1);
	assert_true(files[0].used < 20000);
	assert_int_equal(files[0].size, 4 * 1024 * 1024);
	put_back(l, files, count);
	complete(l, 40, 100);
}

static void files_whose_records_are_all_applied_stay_away(void **state)
{
	struct logs *l = *state;
	struct ledger *ledger = open_at(l, l->data, 0, 1);
	char *payload = NEW_ARRAY(l, char, RECORD_BYTES);
	struct tail_file *files = NULL;
	size_t count = 0;

	for (uint64_t n = 1; n <= 60; n++) {
		memcpy(payload, &n, sizeof(n));
		add(ledger, payload, RECORD_BYTES);
	}
	assert_int_equal(tail_copy(l, l->data, 0, false, &files, &count), OK);
	size_t all = count;
	assert_true(all >= 3);
	assert_int_equal(tail_copy(l, l->data, 59, false, &files, &count), OK);
	assert_int_equal(count, 1);
	put_back(l, files, count);
	complete(l, 59, 60);
}

static void a_file_that_was_recycled_is_missed(void **state)
{
	struct logs *l = *state;
	struct ledger *ledger = open_at(l, l->data, 0, 1);
	char *payload = NEW_ARRAY(l, char, RECORD_BYTES);
	const unsigned char *seen = NULL;
	struct tail_file *files = NULL;
	uint64_t number = 0;
	size_t count = 0;

	for (uint64_t n = 1; n <= 60; n++) {
		memcpy(payload, &n, sizeof(n));
		add(ledger, payload, RECORD_BYTES);
	}
	while (ledger_read(ledger, &number, &seen, &count) == OK)
		;
	ledger_forget(ledger, 50);
	assert_int_equal(tail_copy(l, l->data, 3, false, &files, &count), E_CONFLICT);
	assert_int_equal(tail_copy(l, l->data, 50, false, &files, &count), OK);
	assert_int_equal(tail_copy(l, l->data, 3, true, &files, &count), OK);
}

static void an_empty_directory_has_no_tail(void **state)
{
	struct logs *l = *state;
	struct tail_file *files = NULL;
	size_t count = 1;

	assert_int_equal(tail_copy(l, l->data, 7, false, &files, &count), OK);
	assert_int_equal(count, 0);
}

struct load {
	struct ledger *ledger;
	_Atomic uint64_t durable, applied;
	atomic_bool stop;
};

static void *append_all_the_time(void *arg)
{
	struct load *load = arg;
	SCOPE(tmp);
	char *payload = NEW_ARRAY(tmp, char, RECORD_BYTES);

	for (uint64_t n = 1; !atomic_load(&load->stop); n++) {
		memcpy(payload, &n, sizeof(n));
		memset(payload + 8, (int)(n % 3), 20000);
		if (ledger_append(load->ledger, payload, n % 2 == 0 ? RECORD_BYTES : 8) != n ||
		    ledger_sync(load->ledger) != OK)
			abort();
		atomic_store(&load->durable, n);
	}
	return NULL;
}

static void *apply_all_the_time(void *arg)
{
	struct load *load = arg;
	const unsigned char *payload = NULL;
	uint64_t number = 0;
	size_t bytes = 0;

	while (!atomic_load(&load->stop)) {
		if (ledger_read(load->ledger, &number, &payload, &bytes) != OK) {
			usleep(100);
			continue;
		}
		if (number % 16 != 0)
			continue;
		atomic_store(&load->applied,
			     number); /* the database has it, then the file may go */
		ledger_forget(load->ledger, number);
	}
	return NULL;
}

static void nothing_durable_is_missing_while_files_are_recycled(void **state)
{
	struct logs *l = *state;
	struct load load = {.ledger = open_at(l, l->data, 0, 1)};
	pthread_t threads[2];

	pthread_create(&threads[0], NULL, append_all_the_time, &load);
	pthread_create(&threads[1], NULL, apply_all_the_time, &load);
	int copies = 0;
	for (int n = 0; n < 200 && copies < 25; n++) {
		SCOPE(tmp);
		struct tail_file *files = NULL;
		size_t count = 0;
		usleep(5000);
		uint64_t durable = atomic_load(&load.durable);
		uint64_t applied = atomic_load(&load.applied);
		enum status s = tail_copy(tmp, l->data, applied, false, &files, &count);
		assert_true(s == OK || s == E_CONFLICT);
		if (s != OK || count == 0)
			continue;
		put_back(l, files, count);
		complete(l, applied, durable);
		assert_int_equal(directory_clear(l->copy), OK);
		rmdir(l->copy);
		copies++;
	}
	atomic_store(&load.stop, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	assert_true(copies >= 10);
	assert_true(atomic_load(&load.applied) > 100);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_records_behind_the_applied_one_come_back),
		TEST(files_whose_records_are_all_applied_stay_away),
		TEST(a_file_that_was_recycled_is_missed),
		TEST(an_empty_directory_has_no_tail),
		TEST(nothing_durable_is_missing_while_files_are_recycled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
