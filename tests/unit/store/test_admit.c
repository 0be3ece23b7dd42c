#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static void the_same_event_is_a_duplicate(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fixture_admit(f, "1", "A", 10, 0).outcome, ADMIT_OPENED);
	struct fixture_result r = fixture_admit(f, "1", "A", 10, 0);
	assert_int_equal(r.outcome, ADMIT_DUPLICATE);
	assert_int_equal(r.incident, 1);
	assert_int_equal(fixture_incident(f, 1)->fired_count, 1);
}

static void a_repeat_only_counts(void **state)
{
	struct fixture *f = *state;
	struct job job;

	fixture_admit(f, "1", "A", 10, 0);
	assert_int_equal(fixture_admit(f, "2", "A", 10, 0).outcome, ADMIT_REPEATED);
	assert_int_equal(fixture_incident(f, 1)->fired_count, 2);
	assert_int_equal(fixture_incident(f, 1)->signals, 0);
	assert_int_equal(store_job(f->store, 1, &job), OK);
	assert_string_equal(job.step, "open");
	assert_null(fixture_incident(f, 2));
}

static void a_newer_episode_joins_an_incident_that_is_still_on(void **state)
{
	struct fixture *f = *state;

	fixture_admit(f, "1", "A", 10, 0);
	assert_int_equal(fixture_admit(f, "2", "A", 20, 0).outcome, ADMIT_REPEATED);
	/* the end of the older episode ends nothing, that of the newer one does */
	assert_int_equal(fixture_admit(f, "3", "A", 10, 15).outcome, ADMIT_REPEATED);
	assert_int_equal(fixture_incident(f, 1)->resolved_ms, 0);
	assert_int_equal(fixture_admit(f, "4", "A", 20, 25).outcome, ADMIT_RESOLVED);
	assert_int_equal(fixture_incident(f, 1)->resolved_ms, 25000);
}

static void its_end_wakes_an_incident_once(void **state)
{
	struct fixture *f = *state;

	fixture_admit(f, "1", "A", 10, 0);
	assert_int_equal(fixture_admit(f, "2", "A", 10, 15).outcome, ADMIT_RESOLVED);
	assert_int_equal(fixture_admit(f, "3", "A", 10, 15).outcome, ADMIT_REPEATED);
	struct incident *i = fixture_incident(f, 1);
	assert_int_equal(i->signals, 1);
	assert_string_equal(i->resolved_by, "event");
}

static void an_end_that_comes_first_is_remembered(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fixture_admit(f, "1", "A", 10, 15).outcome, ADMIT_ORPHAN);
	assert_null(fixture_incident(f, 1));
	assert_int_equal(fixture_admit(f, "2", "A", 10, 0).outcome, ADMIT_OPENED);
	assert_int_equal(fixture_incident(f, 1)->resolved_ms, 15000);
}

static void after_its_end_a_new_episode_is_a_new_incident(void **state)
{
	struct fixture *f = *state;

	fixture_admit(f, "1", "A", 10, 0);
	fixture_admit(f, "2", "A", 10, 15);
	assert_int_equal(fixture_admit(f, "3", "A", 20, 0).outcome, ADMIT_OPENED);
	assert_int_equal(fixture_incident(f, 2)->previous, 1);
	assert_int_equal(fixture_admit(f, "4", "B", 20, 0).outcome, ADMIT_OPENED);
	assert_int_equal(fixture_incident(f, 3)->previous, 0);
}

static void everything_is_there_after_reopening(void **state)
{
	struct fixture *f = *state;
	json_t *event = NULL;

	fixture_admit(f, "1", "A", 10, 0);
	fixture_admit(f, "2", "A", 10, 15);
	fixture_reopen(f);
	assert_int_equal(fixture_incident(f, 1)->resolved_ms, 15000);
	assert_int_equal(store_event(f->mem, f->store, "test", "2", &event), OK);
	assert_string_equal(json_string_value(json_object_get(event, "outcome")), "resolved");
	assert_int_equal(fixture_admit(f, "2", "A", 10, 15).outcome, ADMIT_DUPLICATE);
}

/* A tiny model of docs/decisions/0003: at most one incident of an alert is on, and it is the newest
 * one. */
static void random_orders_keep_the_invariants(void **state)
{
	struct fixture *f = *state;
	unsigned seed = 20261124;

	for (int n = 0; n < 1500; n++) {
		char *id = str_fmt(f->mem, "e%d", rand_r(&seed) % 1000);
		const char *alert = rand_r(&seed) % 2 ? "A" : "B";
		int64_t starts = 10 + rand_r(&seed) % 40;
		int64_t ends = rand_r(&seed) % 2 ? starts + 5 : 0;
		struct fixture_result r = fixture_admit(f, id, alert, starts, ends);
		struct incident *i = r.incident == 0 ? NULL : fixture_incident(f, r.incident);
		assert_true((r.outcome == ADMIT_OPENED || r.outcome == ADMIT_RESOLVED) ? i != NULL
										       : true);
		if (r.outcome == ADMIT_RESOLVED)
			assert_true(i->resolved_ms > 0);
	}
	struct incident_filter filter = {.state = -1, .limit = 1000};
	struct incident **all = NULL;
	size_t count = 0;
	int on[2] = {0, 0};
	int64_t newest_on[2] = {0, 0}, newest[2] = {0, 0};
	assert_int_equal(store_incidents(f->mem, f->store, &filter, &all, &count), OK);
	for (size_t n = 0; n < count; n++) {
		int k = str_eq(all[n]->alertname, "A");
		newest[k] = all[n]->id > newest[k] ? all[n]->id : newest[k];
		if (all[n]->resolved_ms == 0) {
			on[k]++;
			newest_on[k] = all[n]->id;
		}
	}
	for (int k = 0; k < 2; k++) {
		assert_true(on[k] <= 1);
		assert_true(on[k] == 0 || newest_on[k] == newest[k]);
	}
	assert_true(count > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_same_event_is_a_duplicate, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(a_repeat_only_counts, fixture_open, fixture_close),
		cmocka_unit_test_setup_teardown(a_newer_episode_joins_an_incident_that_is_still_on,
						fixture_open, fixture_close),
		cmocka_unit_test_setup_teardown(its_end_wakes_an_incident_once, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(an_end_that_comes_first_is_remembered, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(after_its_end_a_new_episode_is_a_new_incident,
						fixture_open, fixture_close),
		cmocka_unit_test_setup_teardown(everything_is_there_after_reopening, fixture_open,
						fixture_close),
		cmocka_unit_test_setup_teardown(random_orders_keep_the_invariants, fixture_open,
						fixture_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
