#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/letters.h"
#include "store/partitions.h"

#include "fixture.h"

static void begin(struct fixture *f, const char *name, int64_t at_ms)
{
	const struct partition p = {.component = "function",
				    .name = name,
				    .kind = "refused",
				    .error = "nobody listens",
				    .detected_ms = at_ms};

	assert_int_equal(store_partition_begin(f->store, &p), OK);
}

static json_t *rows(struct fixture *f, int64_t now_ms)
{
	json_t *found = NULL;

	assert_int_equal(store_partitions(f->mem, f->store, 100, now_ms, &found), OK);
	return found;
}

static void assert_row(const json_t *row, const char *peer, const char *state, double seconds)
{
	assert_string_equal(json_str(row, "peer"), peer);
	assert_string_equal(json_str(row, "state"), state);
	assert_true(json_number_value(json_object_get(row, "seconds")) == seconds);
}

static void a_partition_begins_once_and_ends_once(void **state)
{
	struct fixture *f = *state;
	int64_t since = -1;
	bool open = false;

	assert_int_equal(store_partition_is_open(f->store, "a", &open), OK);
	assert_false(open);
	begin(f, "a", 1000);
	begin(f, "a", 5000); /* the next process sees it as well: it is the same one */
	assert_int_equal(store_partition_is_open(f->store, "a", &open), OK);
	assert_true(open);
	assert_int_equal(json_array_size(rows(f, 3000)), 1);
	assert_row(json_array_get(rows(f, 3000), 0), "a", "active", 2.0);
	assert_null(json_object_get(json_array_get(rows(f, 3000), 0), "healed_at"));

	assert_int_equal(store_partition_end(f->store, "a", 9000, 7, &since), OK);
	assert_int_equal(since, 1000);
	assert_int_equal(store_partition_replayed(f->store, "a", 4), OK);
	assert_int_equal(store_partition_replayed(f->store, "a", 2), OK);
	const json_t *row = json_array_get(rows(f, 99000), 0);
	assert_row(row, "a", "healed", 8.0);
	assert_int_equal(json_int(row, "buffered", 0), 7);
	assert_int_equal(json_int(row, "replayed", 0), 6);
	assert_string_equal(json_str(row, "component"), "function");
	assert_string_equal(json_str(row, "kind"), "refused");

	assert_int_equal(store_partition_end(f->store, "a", 10000, 1, &since), OK);
	assert_int_equal(since, 0); /* nothing was open, nothing changed */
	assert_row(json_array_get(rows(f, 99000), 0), "a", "healed", 8.0);
}

static void partitions_of_peers_are_apart_and_survive_a_restart(void **state)
{
	struct fixture *f = *state;

	begin(f, "a", 1000);
	begin(f, "b", 2000);
	assert_int_equal(store_partition_end(f->store, "a", 3000, 0, NULL), OK);
	begin(f, "a", 4000);
	fixture_reopen(f);
	json_t *all = rows(f, 5000);
	assert_int_equal(json_array_size(all), 3);
	assert_row(json_array_get(all, 0), "a", "active",
		   1.0); /* active ones first, newest first */
	assert_row(json_array_get(all, 1), "b", "active", 3.0);
	assert_row(json_array_get(all, 2), "a", "healed", 2.0);
}

static void a_clock_that_goes_back_makes_no_negative_time(void **state)
{
	struct fixture *f = *state;

	begin(f, "a", 5000);
	assert_int_equal(store_partition_end(f->store, "a", 1000, 0, NULL), OK);
	assert_row(json_array_get(rows(f, 9000), 0), "a", "healed", 0.0);
}

static void old_partitions_expire_and_active_ones_do_not(void **state)
{
	struct fixture *f = *state;

	begin(f, "old", 1000);
	assert_int_equal(store_partition_end(f->store, "old", 2000, 0, NULL), OK);
	begin(f, "active", 1000);
	assert_int_equal(store_expire(f->store, 1000000), OK);
	assert_int_equal(json_array_size(rows(f, 5000)), 1);
	assert_string_equal(json_str(json_array_get(rows(f, 5000), 0), "peer"), "active");
}

static json_t *letters(struct fixture *f, const char *state)
{
	const struct letter_filter all = {.state = state, .limit = 100};
	json_t *found = NULL;

	assert_int_equal(store_letters(f->mem, f->store, &all, &found), OK);
	return found;
}

static void overflow(struct fixture *f, int64_t incident, enum lane lane, const char *name,
		     int64_t now)
{
	assert_int_equal(store_outbox_overflow(f->store, incident, lane, name, 5, now), OK);
}

static void a_lane_without_room_has_one_letter_until_its_peer_is_back(void **state)
{
	struct fixture *f = *state;
	int64_t count = 0;

	fixture_admit(f, "e1", "A", 1000, 0);
	fixture_admit(f, "e2", "B", 1000, 0);
	for (int n = 0; n < 3; n++) {
		overflow(f, 1, LANE_TICKET, "linear", 10 + n);
		overflow(f, 2, LANE_TICKET, "linear", 20 + n);
		overflow(f, 2, LANE_FLOW, "function", 30 + n);
	}
	assert_int_equal(json_array_size(letters(f, "pending")), 3);
	const json_t *newest = json_array_get(letters(f, "pending"), 0);
	assert_string_equal(json_str(newest, "stage"), "open"); /* the step that the lane is at */
	assert_string_equal(json_str(newest, "incident"), "INC-2");
	assert_string_equal(json_str(newest, "permanence"), "transient");

	assert_int_equal(store_outbox_settle(f->store, "linear", 15, 100, &count), OK);
	assert_int_equal(count, 1); /* the other one is younger than what went on */
	assert_int_equal(store_outbox_settle(f->store, "linear", 100, 100, &count), OK);
	assert_int_equal(count, 1);
	assert_int_equal(store_outbox_settle(f->store, "linear", 100, 100, &count), OK);
	assert_int_equal(count, 0);
	assert_int_equal(json_array_size(letters(f, "pending")), 1);
	assert_int_equal(json_array_size(letters(f, "resolved")), 2);

	overflow(f, 1, LANE_TICKET, "linear", 200); /* the next outage */
	assert_int_equal(json_array_size(letters(f, "pending")), 2);
}

static void a_letter_of_the_outbox_is_not_replayed_by_hand(void **state)
{
	struct fixture *f = *state;
	struct letter_original *o = NULL;

	fixture_admit(f, "e1", "A", 1000, 0);
	overflow(f, 1, LANE_TICKET, "linear", 10);
	assert_int_equal(store_letter_claim(f->mem, f->store, 1, 0, &o), E_INVALID);
	assert_int_equal(store_outbox_overflow(f->store, 99, LANE_FLOW, "x", 5, 1), E_NOTFOUND);
}

static void fullness_is_a_word_that_is_kept(void **state)
{
	struct fixture *f = *state;

	assert_false(store_is_full(f->store));
	store_set_full(f->store, true);
	assert_true(store_is_full(f->store));
	store_set_full(f->store, false);
	assert_false(store_is_full(f->store));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_partition_begins_once_and_ends_once),
		TEST(partitions_of_peers_are_apart_and_survive_a_restart),
		TEST(a_clock_that_goes_back_makes_no_negative_time),
		TEST(old_partitions_expire_and_active_ones_do_not),
		TEST(a_lane_without_room_has_one_letter_until_its_peer_is_back),
		TEST(a_letter_of_the_outbox_is_not_replayed_by_hand),
		TEST(fullness_is_a_word_that_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
