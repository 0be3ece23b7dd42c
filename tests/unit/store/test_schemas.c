#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "store/schemas.h"

#include "fixture.h"

static struct schema_entry entry(struct fixture *f, const char *type, const char *version,
				 const char *description)
{
	return (struct schema_entry){
		.type = type,
		.version = version,
		.document = mem_own(f->mem, json_pack("{s:s}", "description", description)),
		.by = "someone@127.0.0.1",
		.added_ms = 1000};
}

static void put(struct fixture *f, const struct schema_entry *entries, size_t count)
{
	assert_int_equal(store_schemas_put(f->store, entries, count), OK);
}

static void documents_are_kept_in_order_and_the_newest_of_a_version_stands_last(void **state)
{
	struct fixture *f = *state;
	const struct schema_entry first[] = {entry(f, "a", "v1.2", "one"),
					     entry(f, "a", "v3.0", "two")};
	const struct schema_entry again = entry(f, "a", "v1.2", "three");
	struct schema_entry *all = NULL;
	size_t count = 0;

	assert_int_equal(store_schemas(f->mem, f->store, &all, &count), OK);
	assert_int_equal(count, 0);
	put(f, first, 2);
	put(f, &again, 1);
	fixture_reopen(f);
	assert_int_equal(store_schemas(f->mem, f->store, &all, &count), OK);
	assert_int_equal(count, 2);
	assert_string_equal(all[0].version, "v3.0");
	assert_string_equal(all[1].version, "v1.2");
	assert_string_equal(json_str(all[1].document, "description"), "three");
	assert_string_equal(all[1].by, "someone@127.0.0.1");
	assert_int_equal(all[1].added_ms, 1000);
}

static void a_list_is_kept_as_a_whole_or_not_at_all(void **state)
{
	struct fixture *f = *state;
	struct schema_entry some[] = {entry(f, "a", "v1.2", "one"), entry(f, "a", "v3.0", "two")};
	struct schema_entry *all = NULL;
	size_t count = 0;

	some[1].version = NULL; /* what the table refuses */
	assert_int_not_equal(store_schemas_put(f->store, some, 2), OK);
	assert_int_equal(store_schemas(f->mem, f->store, &all, &count), OK);
	assert_int_equal(count, 0);
}

static void usage_adds_up_over_restarts(void **state)
{
	static const struct schema_usage FIRST[] = {{"b", "v1.0", 3, 0, 5000},
						    {"a", "v2.0", 1, 1, 4000}};
	static const struct schema_usage MORE[] = {{"b", "v1.0", 2, 1, 4500}};
	struct fixture *f = *state;
	struct schema_usage *all = NULL;
	size_t count = 0;

	assert_int_equal(store_schema_usage_add(f->store, FIRST, 2), OK);
	fixture_reopen(f);
	assert_int_equal(store_schema_usage_add(f->store, MORE, 1), OK);
	assert_int_equal(store_schema_usage(f->mem, f->store, &all, &count), OK);
	assert_int_equal(count, 2);
	assert_string_equal(all[0].type, "a");
	assert_string_equal(all[1].version, "v1.0");
	assert_int_equal(all[1].received, 5);
	assert_int_equal(all[1].errors, 1);
	assert_int_equal(all[1].last_seen_ms, 5000); /* never goes back */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			documents_are_kept_in_order_and_the_newest_of_a_version_stands_last,
			fixture_open, fixture_close),
		cmocka_unit_test_setup_teardown(a_list_is_kept_as_a_whole_or_not_at_all,
						fixture_open, fixture_close),
		cmocka_unit_test_setup_teardown(usage_adds_up_over_restarts, fixture_open,
						fixture_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
