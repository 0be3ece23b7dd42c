#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <semaphore.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/letters.h"

#include "fixture.h"

static const struct letter_ticket_rules RULES = {
	.above = 3, .on_call = "oncall@example.com", .base_url = "https://agent.example"};
enum { START = 1000000, MINUTE = 60000 };

static void buried(enum status s, void *arg)
{
	assert_int_equal(s, OK);
	sem_post(arg);
}

static struct dead_letter letter(const char *id, const char *reason, bool permanent)
{
	return (struct dead_letter){.event_id = id,
				    .event_type = "t",
				    .event_source = "s",
				    .subject = "",
				    .correlation_id = id,
				    .reason = reason,
				    .category = "data",
				    .permanent = permanent,
				    .stage = "intake",
				    .attempts = 1,
				    .origin = "agent",
				    .received_ms = START,
				    .failed_ms = START,
				    .body = "{}"};
}

static void bury(struct fixture *f, const struct dead_letter *d)
{
	sem_t done;

	sem_init(&done, 0, 0);
	assert_int_equal(store_bury(f->store, d, buried, &done), OK);
	while (sem_wait(&done) != 0)
		;
	sem_destroy(&done);
}

static void bury_some(struct fixture *f, const char *reason, bool permanent, int count)
{
	for (int n = 0; n < count; n++) {
		struct dead_letter d = letter(str_fmt(f->mem, "e%d", n), reason, permanent);
		bury(f, &d);
	}
}

static void round_at(struct fixture *f, int64_t now_ms)
{
	assert_int_equal(store_letter_tickets(f->store, &RULES, now_ms), OK);
}

/* The oldest operation that waits, or NULL. */
static const struct ticket_work *oldest(struct fixture *f, int64_t group)
{
	struct ticket_work *w = NULL;
	size_t count;

	assert_int_equal(store_ticket_waiting(f->mem, f->store, -group, 1, &w, &count), OK);
	return count == 0 ? NULL : w;
}

/* Delivers the lane's next operation; its kind, and its payload in `*payload`. */
static const char *deliver(struct fixture *f, int64_t group, json_t **payload)
{
	const struct ticket_work *w = oldest(f, group);

	if (w == NULL)
		return "";
	*payload = w->op.payload;
	const struct ticket_delivery done = {
		w, {"id", "SRE-9", "https://tickets.example/SRE-9"}, NULL, START, START};
	assert_int_equal(store_ticket_done(f->store, -group, &done, 1), OK);
	return ticket_kind_name(w->op.kind);
}

static void resolve(struct fixture *f, int64_t id)
{
	struct letter_original *o = NULL;
	const struct letter_outcome done = {
		.done = true, .what = "opened", .by = "test", .counts = true};

	assert_int_equal(store_letter_claim(f->mem, f->store, id, START, &o), OK);
	assert_int_equal(store_letter_settle(f->store, id, &done, START), OK);
}

static void assert_body(const json_t *payload, const char *words)
{
	if (strstr(json_str(payload, "body"), words) == NULL)
		fail_msg("wanted: %s\ngot: %s", words, json_str(payload, "body"));
}

static void a_permanent_failure_opens_one_ticket_that_is_told_and_closed(void **state)
{
	struct fixture *f = *state;
	json_t *p = NULL;
	json_t *l = NULL;

	bury_some(f, "data.status is missing", true, 3);
	round_at(f, START);
	round_at(f, START + 1000);
	assert_string_equal(deliver(f, 1, &p), "create");
	assert_string_equal(json_str(p, "assignee"), "oncall@example.com");
	assert_body(p, "Waiting: 3, of them 3");
	assert_string_equal(deliver(f, 1, &p), "link");
	assert_string_equal(json_str(p, "url"), "https://agent.example/dlq/3");
	assert_string_equal(deliver(f, 1, &p), "");
	assert_int_equal(store_letter(f->mem, f->store, 1, &l), OK);
	assert_string_equal(json_str(l, "linear_issue_id"), "SRE-9");
	resolve(f, 1);
	round_at(f, START + 2000); /* too soon after the opening */
	assert_string_equal(deliver(f, 1, &p), "");
	round_at(f, START + 2 * MINUTE);
	assert_string_equal(deliver(f, 1, &p), "comment");
	assert_body(p, "1 replayed successfully, 2 still wait");
	round_at(f, START + 4 * MINUTE);
	assert_string_equal(deliver(f, 1, &p), "");
	resolve(f, 2);
	resolve(f, 3);
	round_at(f, START + 4 * MINUTE + 1); /* the end does not wait */
	assert_string_equal(deliver(f, 1, &p), "comment");
	assert_body(p, "3 were replayed");
	assert_string_equal(deliver(f, 1, &p), "state");
	assert_string_equal(json_str(p, "type"), "completed");
	round_at(f, START + 9 * MINUTE);
	assert_string_equal(deliver(f, 1, &p), "");
	assert_string_equal(deliver(f, 2, &p), "");
}

static void transient_failures_need_to_be_many(void **state)
{
	struct fixture *f = *state;
	json_t *p = NULL;

	bury_some(f, "nobody answers", false, 3);
	round_at(f, START);
	assert_string_equal(deliver(f, 1, &p), "");
	bury_some(f, "nobody answers", false, 1);
	round_at(f, START + 1000);
	assert_string_equal(deliver(f, 1, &p), "create");
	assert_int_equal(json_int(p, "priority", 0), 3);
}

static void what_the_tracker_or_an_incident_has_already_opens_none(void **state)
{
	struct fixture *f = *state;
	json_t *p = NULL;
	struct dead_letter refused = letter("a", "ticket operation create: no", true);
	struct dead_letter known = letter("b", "step remediate failed", true);

	refused.stage = "ticket";
	known.incident = fixture_admit(f, "b", "A", 1000, 0).incident;
	bury(f, &refused);
	bury(f, &known);
	round_at(f, START);
	assert_string_equal(deliver(f, 1, &p), "");
}

static void a_refused_ticket_is_a_dead_letter_and_no_further_ticket(void **state)
{
	struct fixture *f = *state;
	json_t *p = NULL;
	json_t *l = NULL;

	bury_some(f, "data.status is missing", true, 1);
	round_at(f, START);
	assert_int_equal(
		store_ticket_bury(f->store, -1, oldest(f, 1)->op.seq, "no such team", START), OK);
	assert_int_equal(store_letter(f->mem, f->store, 2, &l), OK);
	assert_string_equal(json_str(l, "failure_reason"), "ticket operation create: no such team");
	assert_null(json_str(l, "incident"));
	round_at(f, START + 1000);
	assert_string_equal(deliver(f, 1, &p), "");
	assert_string_equal(deliver(f, 2, &p), "");
}

static void after_a_restart_nothing_is_said_twice_and_nothing_forgotten(void **state)
{
	struct fixture *f = *state;
	json_t *p = NULL;

	bury_some(f, "data.status is missing", true, 1);
	round_at(f, START);
	fixture_reopen(f);
	round_at(f, START + 1000);
	assert_string_equal(deliver(f, 1, &p), "create");
	assert_string_equal(deliver(f, 1, &p), "link");
	resolve(f, 1);
	fixture_reopen(f); /* before the round that would have seen it */
	round_at(f, START + 2000);
	assert_string_equal(deliver(f, 1, &p), "comment");
	assert_string_equal(deliver(f, 1, &p), "state");
	assert_int_equal(store_letter_tickets_forget(f->store, START + 3000), OK);
	round_at(f, START + 3000);
	assert_string_equal(deliver(f, 1, &p), "");
}

static void not_more_than_fifty_are_open_at_a_time(void **state)
{
	struct fixture *f = *state;
	json_t *p = NULL;
	int opened = 0;

	for (int n = 0; n < 60; n++) {
		struct dead_letter d =
			letter(str_fmt(f->mem, "e%d", n),
			       str_fmt(f->mem, "failure %c%c", 'a' + n % 26, 'a' + n / 26), true);
		bury(f, &d);
	}
	for (int n = 0; n < 3; n++)
		round_at(f, START + n * 1000);
	for (int n = 1; n <= 60; n++)
		opened += str_eq(deliver(f, n, &p), "create");
	assert_int_equal(opened, 50);
	for (int n = 1; n <= 60; n++) /* ids of letters whose group has one */
		resolve(f, n);
	bury_some(f, "one more", true, 1);
	round_at(f, START + 5000);
	round_at(f, START + 6000);
	assert_string_equal(deliver(f, 51, &p), "create");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_permanent_failure_opens_one_ticket_that_is_told_and_closed),
		CASE(transient_failures_need_to_be_many),
		CASE(what_the_tracker_or_an_incident_has_already_opens_none),
		CASE(a_refused_ticket_is_a_dead_letter_and_no_further_ticket),
		CASE(after_a_restart_nothing_is_said_twice_and_nothing_forgotten),
		CASE(not_more_than_fifty_are_open_at_a_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
