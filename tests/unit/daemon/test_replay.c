#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <semaphore.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "daemon/replay.h"
#include "store/database.h"

#include "fixture.h"

static void buried(enum status s, void *arg)
{
	assert_int_equal(s, OK);
	sem_post(arg);
}

/* What a program with a mistake refused, and the present one can read. */
static struct dead_letter letter(const char *body)
{
	return (struct dead_letter){.event_id = "",
				    .event_type = "",
				    .event_source = "",
				    .subject = "",
				    .correlation_id = "",
				    .reason = "a mistake of ours",
				    .category = "data",
				    .permanent = true,
				    .stage = "intake",
				    .attempts = 1,
				    .origin = "agent",
				    .received_ms = 1000,
				    .failed_ms = 1000,
				    .body = body};
}

static void bury_letter(struct fixture *f, const struct dead_letter *d)
{
	sem_t done;

	sem_init(&done, 0, 0);
	assert_int_equal(store_bury(f->store, d, buried, &done), OK);
	while (sem_wait(&done) != 0)
		;
	sem_destroy(&done);
}

static void bury(struct fixture *f, const char *body)
{
	struct dead_letter d = letter(body);

	bury_letter(f, &d);
}

static const char *event(struct fixture *f, const char *id, const char *alert, const char *status)
{
	bool firing = str_eq(status, "firing");

	return str_fmt(f->mem,
		       "{\"specversion\": \"1.0\", \"id\": \"%s\", \"source\": \"test\", \"type\": "
		       "\"%s\", \"data\":"
		       " {\"status\": \"%s\", \"labels\": {\"alertname\": \"%s\"}, \"startsAt\": "
		       "\"2026-01-01T00:00:00Z\"%s}}",
		       id, firing ? EVENT_TYPE_FIRED : EVENT_TYPE_RESOLVED, status, alert,
		       firing ? "" : ", \"endsAt\": \"2026-01-01T01:00:00Z\"");
}

static json_t *one(struct fixture *f, int64_t id)
{
	struct replay *r = replay_new(f->mem, f->store);
	json_t *out = NULL;

	if (replay_one(f->mem, r, id, "test", &out) != OK)
		fail_msg("%s", status_message());
	return out;
}

static void assert_result(const json_t *result, bool success, const char *outcome)
{
	assert_string_equal(json_str(result, "outcome"), outcome);
	assert_int_equal(json_is_true(json_object_get(result, "success")), success);
}

static size_t incidents(struct fixture *f)
{
	const struct incident_filter filter = {.state = -1, .limit = 100};
	struct incident **found = NULL;
	size_t n = 0;

	assert_int_equal(store_incidents(f->mem, f->store, &filter, &found, &n), OK);
	return n;
}

static const char *state_of(struct fixture *f, int64_t id)
{
	json_t *l = NULL;

	assert_int_equal(store_letter(f->mem, f->store, id, &l), OK);
	return json_str(l, "state");
}

static void a_replay_takes_effect_once(void **state)
{
	struct fixture *f = *state;
	struct replay *r = replay_new(f->mem, f->store);
	json_t *out = NULL;

	bury(f, event(f, "e1", "A", "firing"));
	json_t *result = one(f, 1);
	assert_result(result, true, "opened");
	assert_string_equal(json_str(result, "incident"), "INC-1");
	assert_string_equal(state_of(f, 1), "resolved");
	assert_int_equal(replay_one(f->mem, r, 1, "test", &out), E_CONFLICT);
	assert_int_equal(incidents(f), 1);
}

static void what_was_admitted_before_a_crash_is_a_duplicate_after_it(void **state)
{
	struct fixture *f = *state;
	struct letter_original *o = NULL;

	bury(f, event(f, "e1", "A", "firing"));
	fixture_admit(f, "e1", "A", 1767225600, 0); /* the effect of the replay that was cut off */
	assert_int_equal(store_letter_claim(f->mem, f->store, 1, 0, &o), OK);
	fixture_reopen(f);
	assert_result(one(f, 1), true, "duplicate");
	assert_int_equal(incidents(f), 1);
}

static void what_is_still_wrong_stays_and_is_not_buried_again(void **state)
{
	struct fixture *f = *state;
	const struct letter_filter all = {.state = "all", .limit = 10};
	json_t *letters = NULL;

	bury(f, event(f, "e1", "A", "smouldering"));
	/* json_is_true evaluates its argument twice */
	json_t *result = one(f, 1);
	assert_false(json_is_true(json_object_get(result, "success")));
	assert_string_equal(state_of(f, 1), "pending");
	assert_int_equal(store_letters(f->mem, f->store, &all, &letters), OK);
	assert_int_equal(json_array_size(letters), 1);
	assert_int_equal(json_int(json_array_get(letters, 0), "attempts", 0), 2);
	assert_int_equal(incidents(f), 0);
}

static void binary_events_come_back_by_their_headers(void **state)
{
	struct fixture *f = *state;
	struct dead_letter d =
		letter("{\"status\": \"firing\", \"labels\": {\"alertname\": \"B\"}}");

	d.mode = "binary";
	d.content_type = "application/json";
	d.headers = mem_own(f->mem, json_pack("{s:s, s:s, s:s, s:s, s:s}", "ce-specversion", "1.0",
					      "ce-id", "b1", "ce-source", "test", "ce-type",
					      EVENT_TYPE_FIRED, "x-correlation-id", "corr-1"));
	bury_letter(f, &d);
	assert_result(one(f, 1), true, "opened");
	assert_string_equal(fixture_incident(f, 1)->correlation_id, "corr-1");
	assert_int_equal(fixture_incident(f, 1)->starts_ms, 1000); /* as when it came */
}

static void webhooks_come_back_with_their_receiver(void **state)
{
	struct fixture *f = *state;
	json_t *known = NULL;

	bury(f, "{\"version\": \"4\", \"receiver\": \"team\", \"alerts\": [{\"status\": "
		"\"firing\", \"labels\":"
		" {\"alertname\": \"C\"}, \"startsAt\": \"2026-01-01T00:00:00Z\"}]}");
	assert_result(one(f, 1), true, "opened");
	const struct incident *i = fixture_incident(f, 1);
	assert_string_equal(i->alertname, "C");
	assert_int_equal(
		store_event(f->mem, f->store, "prometheus/alertmanager/team", i->event_id, &known),
		OK);
}

static void of_a_batch_what_is_right_is_admitted_once_and_the_letter_stays(void **state)
{
	struct fixture *f = *state;

	bury(f, str_fmt(f->mem, "[%s, {\"id\": 5}, %s]", event(f, "e1", "A", "firing"),
			event(f, "e2", "B", "firing")));
	for (int n = 0; n < 2; n++) {
		json_t *result = one(f, 1);
		assert_false(json_is_true(json_object_get(result, "success")));
		assert_non_null(strstr(json_str(result, "outcome"), "events[1]"));
		assert_int_equal(incidents(f), 2);
	}
	assert_string_equal(state_of(f, 1), "pending");
}

static json_t *many(struct fixture *f, struct replay *r, size_t count, int64_t after)
{
	const struct replay_request request = {.count = count, .by = "test", .filter.after = after};
	json_t *out = NULL;

	assert_int_equal(replay_many(f->mem, r, &request, &out), OK);
	return out;
}

static void many_go_oldest_first(void **state)
{
	struct fixture *f = *state;

	bury(f, event(f, "e1", "A", "firing"));
	bury(f, "{");
	bury(f, event(f, "e2", "A", "resolved"));
	json_t *out = many(f, replay_new(f->mem, f->store), 100, 0);
	assert_int_equal(json_int(out, "succeeded", -1), 2);
	assert_int_equal(json_int(out, "failed", -1), 1);
	assert_true(json_is_true(json_object_get(out, "done")));
	const json_t *results = json_object_get(out, "results");
	assert_result(json_array_get(results, 0), true, "opened");
	assert_result(json_array_get(results, 2), true, "resolved");
	assert_int_equal(fixture_incident(f, 1)->resolved_ms, 1767229200000);
}

static void a_count_stops_a_run_and_the_next_one_goes_on(void **state)
{
	struct fixture *f = *state;
	struct replay *r = replay_new(f->mem, f->store);

	for (int n = 0; n < 25; n++)
		bury(f, event(f, str_fmt(f->mem, "e%d", n), str_fmt(f->mem, "A%d", n), "firing"));
	int64_t begun = clock_monotonic();
	json_t *out = many(f, r, 21, 0);
	assert_true(clock_monotonic() - begun >= 200); /* two pauses */
	assert_int_equal(json_int(out, "succeeded", -1), 21);
	assert_true(json_is_false(json_object_get(out, "done")));
	assert_int_equal(json_int(out, "last", 0), 21);
	out = many(f, r, 21, 21);
	assert_int_equal(json_int(out, "succeeded", -1), 4);
	assert_true(json_is_true(json_object_get(out, "done")));
	assert_int_equal(incidents(f), 25);
}

static void a_program_that_stops_begins_no_replay(void **state)
{
	struct fixture *f = *state;
	struct replay *r = replay_new(f->mem, f->store);
	json_t *out = NULL;

	bury(f, event(f, "e1", "A", "firing"));
	replay_cancel(r);
	assert_int_equal(replay_one(f->mem, r, 1, "test", &out), E_CANCELED);
	assert_true(json_is_false(json_object_get(many(f, r, 10, 0), "done")));
	assert_string_equal(state_of(f, 1), "pending");
}

static void script(struct fixture *f, const char *sql)
{
	struct database *db = NULL;

	assert_int_equal(database_open(NULL, str_fmt(f->mem, "%s/agent-sre.db", f->dir), true, &db),
			 OK);
	assert_int_equal(database_script(db, sql), OK);
	talloc_free(db);
}

static void an_outcome_that_could_not_be_stored_is_not_forgotten(void **state)
{
	struct fixture *f = *state;
	struct replay *r = replay_new(f->mem, f->store);
	json_t *out = NULL;
	json_t *l = NULL;

	bury(f, event(f, "e1", "A", "firing"));
	bury(f, event(f, "e2", "B", "firing"));
	script(f, "CREATE TRIGGER full BEFORE UPDATE OF state ON dead_letter"
		  " WHEN OLD.state = 'replaying' BEGIN SELECT RAISE(ABORT, 'full'); END;");
	void *passing = talloc_new(NULL);
	assert_int_equal(replay_one(passing, r, 1, "ann", &out), E_TRANSIENT);
	talloc_free(passing);
	assert_string_equal(state_of(f, 1), "replaying");
	script(f, "DROP TRIGGER full;");
	assert_int_equal(replay_one(f->mem, r, 2, "bob", &out), OK);
	assert_int_equal(store_letter(f->mem, f->store, 1, &l), OK);
	assert_string_equal(json_str(l, "state"), "resolved");
	assert_int_equal(json_int(l, "replays", -1), 1);
	const json_t *said = json_array_get(json_object_get(l, "replay_history"), 0);
	assert_string_equal(json_str(said, "by"), "ann");
	assert_string_equal(json_str(said, "outcome"), "opened");
	assert_string_equal(json_str(said, "incident"), "INC-1");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_replay_takes_effect_once),
		CASE(what_was_admitted_before_a_crash_is_a_duplicate_after_it),
		CASE(what_is_still_wrong_stays_and_is_not_buried_again),
		CASE(binary_events_come_back_by_their_headers),
		CASE(webhooks_come_back_with_their_receiver),
		CASE(of_a_batch_what_is_right_is_admitted_once_and_the_letter_stays),
		CASE(many_go_oldest_first),
		CASE(a_count_stops_a_run_and_the_next_one_goes_on),
		CASE(a_program_that_stops_begins_no_replay),
		CASE(an_outcome_that_could_not_be_stored_is_not_forgotten),
	};

	log_init(LOG_ERROR, 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
