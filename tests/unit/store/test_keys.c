#include "store/keys.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

static struct key_hash hash(const struct keys *k, int n)
{
	char key[32];

	str_print(key, sizeof(key), "key-%d", n);
	return keys_hash(k, "source", key);
}

static int setup(void **state)
{
	*state = keys_new(NULL);
	return 0;
}

static int teardown(void **state)
{
	talloc_free(*state);
	return 0;
}

static void the_pair_is_the_key(void **state)
{
	struct keys *k = *state;
	char longer[3000];

	str_print(longer, sizeof(longer), "%02999d", 1);
	const struct key_hash h = keys_hash(k, "ab", "c");
	const struct key_hash same = keys_hash(k, "ab", "c");
	const struct key_hash other = keys_hash(k, "a", "bc");
	assert_true(h.low == same.low && h.high == same.high);
	assert_false(h.low == other.low && h.high == other.high);
	const struct key_hash l = keys_hash(k, "a", longer), m = keys_hash(k, "b", longer);
	assert_false(l.low == m.low && l.high == m.high);
}

static void before_the_filter_is_complete_nothing_is_new(void **state)
{
	struct keys *k = *state;

	assert_int_equal(keys_find(k, hash(k, 1)), KEY_UNSURE);
	keys_reset(k, 1000);
	keys_put(k, hash(k, 2));
	assert_int_equal(keys_find(k, hash(k, 1)), KEY_UNSURE);
	keys_complete(k);
	assert_int_equal(keys_find(k, hash(k, 1)), KEY_NEW);
	assert_int_equal(keys_find(k, hash(k, 2)), KEY_UNSURE);
}

static void a_group_that_is_dropped_was_never_there(void **state)
{
	struct keys *k = *state;

	keys_reset(k, 1000);
	keys_complete(k);
	keys_hold(k, hash(k, 1));
	assert_int_equal(keys_find(k, hash(k, 1)), KEY_KNOWN);
	keys_drop(k);
	assert_int_equal(keys_find(k, hash(k, 1)), KEY_NEW);
	for (int n = 0; n < 40000; n++) /* more than what is kept of an empty group */
		keys_hold(k, hash(k, n));
	keys_drop(k);
	for (int n = 0; n < 40000; n++)
		assert_int_equal(keys_find(k, hash(k, n)), KEY_NEW);
	keys_hold(k, hash(k, 1));
	keys_keep(k, 1);
	assert_int_equal(keys_find(k, hash(k, 1)), KEY_KNOWN);
}

static void what_is_not_applied_is_known_exactly_however_much_it_is(void **state)
{
	struct keys *k = *state;

	keys_reset(k, 1000);
	keys_complete(k);
	for (int n = 0; n < 200000; n++) {
		keys_hold(k, hash(k, n));
		if (n % 100 == 99)
			keys_keep(k, (uint64_t)n);
	}
	for (int n = 0; n < 200000; n++)
		assert_int_equal(keys_find(k, hash(k, n)), KEY_KNOWN);
	assert_true(keys_crowded(k));
}

static void what_is_applied_is_forgotten_in_time_but_never_new(void **state)
{
	struct keys *k = *state;
	int unsure = 0;

	keys_reset(k, 400000);
	keys_complete(k);
	for (int n = 0; n < 200000; n++) {
		keys_hold(k, hash(k, n));
		if (n % 100 == 99) {
			keys_keep(k, (uint64_t)n);
			keys_applied(k, (uint64_t)n);
		}
	}
	for (int n = 0; n < 200000; n++) {
		assert_int_not_equal(keys_find(k, hash(k, n)), KEY_NEW);
		unsure += keys_find(k, hash(k, n)) == KEY_UNSURE;
	}
	assert_true(unsure > 100000);
	for (int n = 190000; n < 200000; n++) /* the latest are still known exactly */
		assert_int_equal(keys_find(k, hash(k, n)), KEY_KNOWN);
}

static void the_filter_seldom_takes_a_new_key_for_an_old_one(void **state)
{
	struct keys *k = *state;
	int wrong = 0;

	keys_reset(k, 100000);
	for (int n = 0; n < 100000; n++)
		keys_put(k, hash(k, n));
	keys_complete(k);
	assert_false(keys_crowded(k));
	for (int n = 100000; n < 200000; n++)
		wrong += keys_find(k, hash(k, n)) != KEY_NEW;
	assert_true(wrong < 2000); /* 2 % */
	assert_true(wrong > 0);
}

/* Against a plain table, with groups that fail, applying that lags, and the filter made anew at any
 * moment. */
static void random_use_never_calls_an_old_key_new_nor_a_new_one_known(void **state)
{
	enum { KEYS = 60000 };
	struct keys *k = *state;
	char *kept = NEW_ARRAY(k, char, KEYS), *open = NEW_ARRAY(k, char, KEYS);
	uint64_t *number = NEW_ARRAY(k, uint64_t, KEYS), kept_to = 0, applied = 0;
	unsigned seed = 20261125;
	int loading = -1;

	keys_reset(k, 5000);
	keys_complete(k);
	for (int turn = 0; turn < 30000; turn++) {
		int open_keys[64], count = 1 + rand_r(&seed) % 64;
		for (int n = 0; n < count; n++) {
			int key = open_keys[n] = rand_r(&seed) % KEYS;
			enum key_answer a = keys_find(k, hash(k, key));
			assert_false(kept[key] && a == KEY_NEW);
			assert_false(open[key] && a != KEY_KNOWN);
			assert_false(!kept[key] && !open[key] && a == KEY_KNOWN);
			assert_false(kept[key] && number[key] > applied && a != KEY_KNOWN);
			if (!kept[key] && !open[key]) {
				keys_hold(k, hash(k, key));
				open[key] = 1;
			}
		}
		bool fails = rand_r(&seed) % 10 == 0;
		kept_to += !fails;
		for (int n = 0; n < count; n++) {
			if (open[open_keys[n]] && !fails) {
				kept[open_keys[n]] = 1;
				number[open_keys[n]] = kept_to;
			}
			open[open_keys[n]] = 0;
		}
		if (fails)
			keys_drop(k);
		else
			keys_keep(k, kept_to);
		if (rand_r(&seed) % 4 == 0) {
			applied += (kept_to - applied + 1) / 2;
			keys_applied(k, applied);
		}
		if (loading < 0 && (keys_crowded(k) || rand_r(&seed) % 3000 == 0)) {
			keys_reset(k, 20000);
			loading = 0;
		}
		for (int n = 0; loading >= 0 && n < 1000; n++, loading++) {
			if (loading == KEYS) {
				keys_complete(k);
				loading = -2;
			} else if (kept[loading] && number[loading] <= applied) {
				keys_put(k, hash(k, loading)); /* as the database has it */
			}
		}
	}
}

int main(void)
{
#define KEYS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		KEYS_TEST(the_pair_is_the_key),
		KEYS_TEST(before_the_filter_is_complete_nothing_is_new),
		KEYS_TEST(a_group_that_is_dropped_was_never_there),
		KEYS_TEST(what_is_not_applied_is_known_exactly_however_much_it_is),
		KEYS_TEST(what_is_applied_is_forgotten_in_time_but_never_new),
		KEYS_TEST(the_filter_seldom_takes_a_new_key_for_an_old_one),
		KEYS_TEST(random_use_never_calls_an_old_key_new_nor_a_new_one_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
