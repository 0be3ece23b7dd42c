#include "store/ledger.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

enum { HEADER = 40, SEGMENT = 4 * 1024 * 1024, MANY = 20000 };

struct log {
	void *mem;
	char *dir;
	struct ledger *ledger;
	uint32_t epoch;
};

static void open_at(struct log *g, uint64_t applied)
{
	talloc_free(g->ledger);
	g->ledger = NULL;
	if (ledger_open(g->mem, g->dir, applied, ++g->epoch, &g->ledger) != OK)
		fail_msg("%s", status_message());
}

static int setup(void **state)
{
	char name[] = "/tmp/agent-sre-ledger-XXXXXX";
	void *mem = mem_check(talloc_new(NULL));
	struct log *g = NEW(mem, struct log);

	g->mem = mem;
	assert_non_null(mkdtemp(name));
	g->dir = str_dup(g, name);
	open_at(g, 0);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct log *g = *state;
	DIR *d = opendir(g->dir);

	for (struct dirent *e; (e = readdir(d)) != NULL;)
		unlink(str_fmt(g->mem, "%s/%s", g->dir, e->d_name));
	closedir(d);
	rmdir(g->dir);
	talloc_free(g->mem);
	return 0;
}

static char *path_of(struct log *g, uint64_t first)
{
	return str_fmt(g->mem, "%s/intake-%016" PRIx64 ".log", g->dir, first);
}

static int files(struct log *g, const char *end)
{
	DIR *d = opendir(g->dir);
	int n = 0;

	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += str_ends(e->d_name, end);
	closedir(d);
	return n;
}

/* Each in a group of its own. */
static void put(struct log *g, int from, int to)
{
	for (int n = from; n <= to; n++) {
		char text[32];
		str_print(text, sizeof(text), "record %d", n);
		assert_int_equal(ledger_append(g->ledger, text, strlen(text) + 1), n);
		assert_int_equal(ledger_sync(g->ledger), OK);
	}
}

static void group(struct log *g, int from, int to)
{
	for (int n = from; n <= to; n++) {
		char text[32];
		str_print(text, sizeof(text), "record %d", n);
		assert_int_equal(ledger_append(g->ledger, text, strlen(text) + 1), n);
	}
	assert_int_equal(ledger_sync(g->ledger), OK);
}

static void expect(struct log *g, int number)
{
	const unsigned char *payload;
	uint64_t got;
	size_t bytes;
	char text[32];

	if (ledger_read(g->ledger, &got, &payload, &bytes) != OK)
		fail_msg("record %d: %s", number, status_message());
	assert_int_equal(got, number);
	str_print(text, sizeof(text), "record %d", number);
	assert_int_equal(bytes, strlen(text) + 1);
	assert_string_equal((const char *)payload, text);
}

static void expect_no_more(struct log *g, int next)
{
	const unsigned char *payload;
	uint64_t number;
	size_t bytes;

	assert_int_equal(ledger_read(g->ledger, &number, &payload, &bytes), E_NOTFOUND);
	assert_int_equal(number, next);
}

/* `change` bytes of the nth record of a segment whose records are of this length. */
static void damage(struct log *g, uint64_t first, off_t at, const void *bytes, size_t n)
{
	int fd = open(path_of(g, first), O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
	close(fd);
}

/* "record n" and its NUL take 16 bytes for n < 10^7 */
enum { LENGTH = HEADER + 16 };

static uint64_t lost(struct log *g)
{
	const char *where;

	return ledger_lost(g->ledger, &where);
}

static void what_was_synced_is_read_in_order(void **state)
{
	struct log *g = *state;

	expect_no_more(g, 1);
	put(g, 1, 3);
	group(g, 4, 9);
	assert_int_equal(ledger_durable(g->ledger), 9);
	assert_int_equal(ledger_backlog(g->ledger), 9 * LENGTH);
	for (int n = 1; n <= 9; n++)
		expect(g, n);
	expect_no_more(g, 10);
	assert_int_equal(ledger_backlog(g->ledger), 0);
}

static void an_open_group_is_not_read(void **state)
{
	struct log *g = *state;

	assert_int_equal(ledger_append(g->ledger, "x", 1), 1);
	expect_no_more(g, 1);
	assert_int_equal(ledger_durable(g->ledger), 0);
	assert_int_equal(ledger_sync(g->ledger), OK);
	assert_int_equal(ledger_durable(g->ledger), 1);
}

static void reading_goes_on_behind_what_is_applied(void **state)
{
	struct log *g = *state;

	put(g, 1, 20);
	for (int applied = 0; applied <= 20; applied++) {
		open_at(g, applied);
		for (int n = applied + 1; n <= 20; n++)
			expect(g, n);
		expect_no_more(g, 21);
		assert_int_equal(lost(g), 0);
	}
	put(g, 21, 21);
	expect(g, 21);
}

static void seeking_goes_back_and_on(void **state)
{
	struct log *g = *state;

	put(g, 1, 20);
	open_at(g, 0);
	put(g, 21, 30); /* in another segment */
	static const int TO[] = {0, 25, 3, 19, 20, 21, 29, 30, 7};
	for (size_t n = 0; n < sizeof(TO) / sizeof(TO[0]); n++) {
		ledger_seek(g->ledger, (uint64_t)TO[n]);
		for (int k = TO[n] + 1; k <= 30; k++)
			expect(g, k);
		expect_no_more(g, 31);
	}
}

static void a_read_that_fails_for_want_of_a_descriptor_skips_nothing(void **state)
{
	struct log *g = *state;
	const unsigned char *payload;
	struct rlimit before, none;
	uint64_t number;
	size_t bytes;

	put(g, 1, 9);
	ledger_seek(g->ledger, 4);
	getrlimit(RLIMIT_NOFILE, &before);
	none = (struct rlimit){0, before.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	assert_int_equal(ledger_read(g->ledger, &number, &payload, &bytes), E_TRANSIENT);
	setrlimit(RLIMIT_NOFILE, &before);
	for (int n = 5; n <= 9; n++)
		expect(g, n);
	assert_int_equal(lost(g), 0);
}

static void a_full_segment_is_followed_and_recycled(void **state)
{
	struct log *g = *state;
	unsigned char *big = NEW_ARRAY(g->mem, unsigned char, SEGMENT / 3);
	const unsigned char *payload;
	uint64_t number;
	size_t bytes;

	for (int n = 1; n <= 30; n++) {
		memset(big, n, SEGMENT / 3);
		assert_int_equal(ledger_append(g->ledger, big, SEGMENT / 3), n);
		assert_int_equal(ledger_sync(g->ledger), OK);
		assert_int_equal(ledger_read(g->ledger, &number, &payload, &bytes), OK);
		assert_int_equal(number, n);
		assert_int_equal(bytes, SEGMENT / 3);
		assert_int_equal(payload[0], n);
		assert_int_equal(payload[bytes - 1], n);
		ledger_forget(g->ledger, number);
		assert_true(files(g, ".log") <= 3); /* one read, one written, one spare */
	}
	open_at(g, 28);
	for (int n = 29; n <= 30; n++) {
		assert_int_equal(ledger_read(g->ledger, &number, &payload, &bytes), OK);
		assert_int_equal(payload[bytes - 1], n);
	}
	expect_no_more(g, 31);
	assert_int_equal(lost(g), 0);
}

static void nothing_of_its_earlier_use_is_read_from_a_recycled_segment(void **state)
{
	struct log *g = *state;
	int n = 1;

	/* records of one length lie at the same places in each use */
	for (int round = 0; round < 4; round++) {
		uint64_t first = (uint64_t)n;
		for (int k = 0; k < MANY; k += 1000, n += 1000)
			group(g, n, n + 999);
		for (int k = (int)first; k < n; k++)
			expect(g, k);
		ledger_forget(g->ledger, (uint64_t)n - 1);
		open_at(g, (uint64_t)n - 1);
		expect_no_more(g, n);
		assert_int_equal(lost(g), 0);
		put(g, n, n + 2);
		open_at(g, (uint64_t)n - 1);
		for (int k = n; k < n + 3; k++)
			expect(g, k);
		expect_no_more(g, n + 3);
		n += 3;
	}
}

static void a_record_larger_than_a_segment_gets_one_of_its_own_size(void **state)
{
	struct log *g = *state;
	size_t size = 3 * SEGMENT + 5;
	unsigned char *big = NEW_ARRAY(g->mem, unsigned char, size);
	const unsigned char *payload;
	uint64_t number;
	size_t bytes;

	put(g, 1, 2);
	memset(big, 'b', size);
	assert_int_equal(ledger_append(g->ledger, big, size), 3);
	assert_int_equal(ledger_sync(g->ledger), OK);
	put(g, 4, 5);
	open_at(g, 1);
	expect(g, 2);
	assert_int_equal(ledger_read(g->ledger, &number, &payload, &bytes), OK);
	assert_int_equal(bytes, size);
	assert_memory_equal(payload, big, size);
	expect(g, 4);
	expect(g, 5);
	expect_no_more(g, 6);
}

static void a_torn_end_is_no_record_wherever_it_is_cut(void **state)
{
	struct log *g = *state;

	put(g, 1, 4);
	char *path = path_of(g, 1);
	for (int cut = 1; cut <= LENGTH; cut++) {
		char *copy = str_fmt(g->mem, "%s/copy", g->dir);
		static unsigned char bytes[4 * LENGTH];
		int fd = open(path, O_RDONLY);
		assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
		close(fd);
		memset(bytes + 4 * LENGTH - cut, 0, (size_t)cut);
		mkdir(copy, 0700);
		fd = open(str_fmt(g->mem, "%s/intake-%016d.log", copy, 1),
			  O_CREAT | O_TRUNC | O_WRONLY, 0600);
		assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
		close(fd);
		struct log h = {.mem = g->mem, .dir = copy, .epoch = 9};
		open_at(&h, 0);
		/* the last bytes pad the payload "record 4\0" with zeros: nothing was torn */
		int whole = cut <= 8 ? 4 : 3;
		for (int n = 1; n <= whole; n++)
			expect(&h, n);
		expect_no_more(&h, whole + 1);
		assert_int_equal(lost(&h), 0);
		put(&h, whole + 1, whole + 1); /* its number is given again */
		open_at(&h, 0);
		for (int n = 1; n <= whole + 1; n++)
			expect(&h, n);
		expect_no_more(&h, whole + 2);
		void *none = &h;
		talloc_free(h.ledger);
		(void)none;
		DIR *d = opendir(copy);
		for (struct dirent *e; (e = readdir(d)) != NULL;)
			unlink(str_fmt(g->mem, "%s/%s", copy, e->d_name));
		closedir(d);
		rmdir(copy);
	}
}

static void damage_in_the_middle_is_passed_over_counted_and_kept(void **state)
{
	struct log *g = *state;
	const char *where;

	put(g, 1, 3);
	group(g, 4, 7);
	put(g, 8, 9);
	damage(g, 1, 4 * LENGTH + HEADER + 2, "X", 1); /* record 5, of a group */
	open_at(g, 0);
	assert_int_equal(ledger_lost(g->ledger, &where), 1);
	assert_string_equal(where, "intake-0000000000000001.log.damaged");
	assert_int_equal(files(g, ".damaged"), 1);
	for (int n = 1; n <= 9; n++)
		if (n != 5)
			expect(g, n);
	expect_no_more(g, 10);
	assert_int_equal(lost(g), 1); /* reading counts nothing twice */
	ledger_seek(g->ledger, 3);
	expect(g, 4);
	expect(g, 6);
	ledger_seek(g->ledger, 5);
	expect(g, 6);
	assert_int_equal(lost(g), 1);
	/* what is damaged is not lost when it has been applied */
	open_at(g, 5);
	assert_int_equal(lost(g), 0);
	expect(g, 6);
}

static void a_lost_header_and_several_lost_records_are_counted(void **state)
{
	struct log *g = *state;
	unsigned char zeros[2 * LENGTH] = {0};

	put(g, 1, 9);
	damage(g, 1, 2 * LENGTH, zeros, sizeof(zeros)); /* 3 and 4 */
	damage(g, 1, 6 * LENGTH + 8, "\x63", 1);	/* the number of 7 */
	open_at(g, 0);
	assert_int_equal(lost(g), 3);
	static const int LEFT[] = {1, 2, 5, 6, 8, 9};
	for (size_t n = 0; n < 6; n++)
		expect(g, LEFT[n]);
	expect_no_more(g, 10);
}

static void the_end_of_a_segment_that_another_follows_is_damage(void **state)
{
	struct log *g = *state;

	group(g, 1, 5);
	open_at(g, 0);
	put(g, 6, 7);
	damage(g, 1, 2 * LENGTH + HEADER, "X", 1); /* 3: 4 and 5 are whole */
	open_at(g, 0);
	assert_int_equal(lost(g), 1);
	static const int LEFT[] = {1, 2, 4, 5, 6, 7};
	for (size_t n = 0; n < 6; n++)
		expect(g, LEFT[n]);
	assert_int_equal(truncate(path_of(g, 1), 3 * LENGTH + 9), 0);
	open_at(g, 0);
	assert_int_equal(lost(g), 3);
	expect(g, 1);
	expect(g, 2);
	expect(g, 6);
}

static void damage_while_it_runs_is_passed_over_too(void **state)
{
	struct log *g = *state;

	put(g, 1, 5);
	damage(g, 1, 4 * LENGTH + HEADER, "X", 1); /* the last one */
	for (int n = 1; n <= 4; n++)
		expect(g, n);
	expect_no_more(g, 6);
	assert_int_equal(lost(g), 1);
	ledger_seek(g->ledger, 4);
	expect_no_more(g, 6);
	assert_int_equal(lost(g), 1);
	put(g, 6, 7);
	expect(g, 6);
	expect(g, 7);
	expect_no_more(g, 8);
}

static void records_that_are_gone_are_counted(void **state)
{
	struct log *g = *state;

	put(g, 1, 5);
	open_at(g, 5);
	put(g, 6, 7);
	unlink(path_of(g, 1));
	open_at(g, 2);
	assert_int_equal(lost(g), 3);
	expect(g, 6);
	expect(g, 7);
	expect_no_more(g, 8);
}

static void a_log_that_ends_before_what_is_applied_goes_on_behind_it(void **state)
{
	struct log *g = *state;

	put(g, 1, 5);
	open_at(g, 9);
	expect_no_more(g, 10);
	put(g, 10, 11);
	open_at(g, 9);
	expect(g, 10);
	expect(g, 11);
	assert_int_equal(lost(g), 0);
}

static void an_older_epoch_does_not_follow_a_newer_one(void **state)
{
	struct log *g = *state;

	put(g, 1, 2);
	/* 3, written by an earlier opening, right behind */
	struct log old = {.mem = g->mem, .dir = str_fmt(g->mem, "%s/old", g->dir), .epoch = 0};
	unsigned char record[LENGTH];
	mkdir(old.dir, 0700);
	g->epoch = 4;
	open_at(g, 2);
	put(g, 3, 3);	  /* epoch 5 */
	open_at(&old, 3); /* epoch 1 */
	put(&old, 4, 4);
	int fd = open(path_of(&old, 4), O_RDONLY);
	assert_int_equal(pread(fd, record, sizeof(record), 0), LENGTH);
	close(fd);
	damage(g, 3, LENGTH, record, sizeof(record));
	open_at(g, 2);
	expect(g, 3);
	expect_no_more(g, 4);
	talloc_free(old.ledger);
	assert_int_equal(system(str_fmt(g->mem, "rm -r %s", old.dir)), 0);
}

static void a_log_that_is_newer_than_its_database_goes_on(void **state)
{
	struct log *g = *state;

	g->epoch = 9;
	open_at(g, 0);
	put(g, 1, 3);
	g->epoch = 4; /* a database of an earlier day was put in its place */
	open_at(g, 1);
	put(g, 4, 6);
	for (int n = 2; n <= 6; n++)
		expect(g, n);
	open_at(g, 0);
	for (int n = 1; n <= 6; n++)
		expect(g, n);
	assert_int_equal(lost(g), 0);
}

static void a_group_that_the_disk_refuses_does_not_count_and_its_numbers_come_again(void **state)
{
	struct log *g = *state;
	struct rlimit before, none;

	put(g, 1, 3);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	none = (struct rlimit){3 * LENGTH + 20, before.rlim_max};
	setrlimit(RLIMIT_FSIZE, &none);
	for (int n = 0; n < 3; n++) {
		assert_int_equal(ledger_append(g->ledger, "record 4", 9), 4);
		assert_int_equal(ledger_append(g->ledger, "record 5", 9), 5);
		assert_int_equal(ledger_sync(g->ledger), E_TRANSIENT);
		assert_non_null(strstr(status_message(), "the disk is full"));
		assert_int_equal(ledger_mend(g->ledger), E_TRANSIENT);
	}
	assert_int_equal(ledger_durable(g->ledger), 3);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(ledger_mend(g->ledger), OK);
	put(g, 4, 6);
	for (int n = 1; n <= 6; n++)
		expect(g, n);
	expect_no_more(g, 7);
	open_at(g, 0);
	for (int n = 1; n <= 6; n++)
		expect(g, n);
	expect_no_more(g, 7);
	assert_int_equal(lost(g), 0);
}

static void what_could_not_be_written_is_not_found_at_the_next_start(void **state)
{
	struct log *g = *state;
	struct rlimit before, none;

	put(g, 1, 3);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	/* 4 fits, 5 does not: the file holds a whole record of a group that was refused */
	none = (struct rlimit){4 * LENGTH + 20, before.rlim_max};
	setrlimit(RLIMIT_FSIZE, &none);
	assert_int_equal(ledger_append(g->ledger, "record 4", 9), 4);
	assert_int_equal(ledger_append(g->ledger, "record 5", 9), 5);
	assert_int_equal(ledger_sync(g->ledger), E_TRANSIENT);
	setrlimit(RLIMIT_FSIZE, &before);
	open_at(g, 0);
	for (int n = 1; n <= 3; n++)
		expect(g, n);
	expect_no_more(g, 4);
}

static void a_name_that_is_not_exactly_ours_is_left_alone(void **state)
{
	struct log *g = *state;
	static const char *const NAMES[] = {"intake-1.log", "intake-0000000000000000.log",
					    "intake-00000000000000G1.log",
					    "intake-0000000000000001.log.damaged", "intake-+1.log"};

	for (size_t n = 0; n < 5; n++)
		close(open(str_fmt(g->mem, "%s/%s", g->dir, NAMES[n]), O_CREAT | O_WRONLY, 0600));
	open_at(g, 0);
	expect_no_more(g, 1);
	put(g, 1, 1);
	expect(g, 1);
	for (size_t n = 0; n < 5; n++)
		assert_int_equal(access(str_fmt(g->mem, "%s/%s", g->dir, NAMES[n]), F_OK), 0);
}

static void *append_many(void *arg)
{
	struct log *g = arg;
	unsigned seed = 7;

	for (int n = 1; n <= MANY;) {
		int some = 1 + rand_r(&seed) % 200;
		for (int k = 0; k < some && n <= MANY; k++, n++) {
			char text[512];
			str_print(text, sizeof(text), "record %d%0*d", n,
				  (int)(rand_r(&seed) % 300), 0);
			ledger_append(g->ledger, text, strlen(text) + 1);
		}
		if (ledger_sync(g->ledger) != OK)
			abort();
	}
	return NULL;
}

static void another_thread_reads_while_one_appends(void **state)
{
	struct log *g = *state;
	const unsigned char *payload;
	uint64_t number;
	size_t bytes;
	pthread_t thread;
	char text[32];

	pthread_create(&thread, NULL, append_many, g);
	for (int next = 1; next <= MANY;) {
		enum status s = ledger_read(g->ledger, &number, &payload, &bytes);
		if (s == E_NOTFOUND)
			continue;
		assert_int_equal(s, OK);
		assert_int_equal(number, next);
		str_print(text, sizeof(text), "record %d", next);
		assert_true(str_starts((const char *)payload, text));
		if (next % 1000 == 0) {
			ledger_forget(g->ledger, number);
			ledger_seek(g->ledger, number);
			(void)ledger_backlog(g->ledger);
		}
		next++;
	}
	pthread_join(thread, NULL);
	assert_int_equal(lost(g), 0);
}

int main(void)
{
#define LEDGER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		LEDGER_TEST(what_was_synced_is_read_in_order),
		LEDGER_TEST(an_open_group_is_not_read),
		LEDGER_TEST(reading_goes_on_behind_what_is_applied),
		LEDGER_TEST(seeking_goes_back_and_on),
		LEDGER_TEST(a_read_that_fails_for_want_of_a_descriptor_skips_nothing),
		LEDGER_TEST(a_full_segment_is_followed_and_recycled),
		LEDGER_TEST(nothing_of_its_earlier_use_is_read_from_a_recycled_segment),
		LEDGER_TEST(a_record_larger_than_a_segment_gets_one_of_its_own_size),
		LEDGER_TEST(a_torn_end_is_no_record_wherever_it_is_cut),
		LEDGER_TEST(damage_in_the_middle_is_passed_over_counted_and_kept),
		LEDGER_TEST(a_lost_header_and_several_lost_records_are_counted),
		LEDGER_TEST(the_end_of_a_segment_that_another_follows_is_damage),
		LEDGER_TEST(damage_while_it_runs_is_passed_over_too),
		LEDGER_TEST(records_that_are_gone_are_counted),
		LEDGER_TEST(a_log_that_ends_before_what_is_applied_goes_on_behind_it),
		LEDGER_TEST(an_older_epoch_does_not_follow_a_newer_one),
		LEDGER_TEST(
			a_group_that_the_disk_refuses_does_not_count_and_its_numbers_come_again),
		LEDGER_TEST(a_log_that_is_newer_than_its_database_goes_on),
		LEDGER_TEST(what_could_not_be_written_is_not_found_at_the_next_start),
		LEDGER_TEST(a_name_that_is_not_exactly_ours_is_left_alone),
		LEDGER_TEST(another_thread_reads_while_one_appends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
