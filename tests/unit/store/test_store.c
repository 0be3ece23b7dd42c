#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

static struct step_commit commit_of(const struct incident *i)
{
	return (struct step_commit){.after = i,
				    .step = "open",
				    .outcome = "done",
				    .note = "n",
				    .next_step = "plan",
				    .due_ms = 5000,
				    .now_ms = 2000};
}

static enum status commit_one(struct store *s, const struct step_commit *c, int64_t *due_ms)
{
	struct commit_result r;

	TRY(store_commit_steps(s, c, 1, &r));
	*due_ms = r.due_ms;
	return OK;
}

static void a_commit_leaves_state_timeline_and_the_next_step(void **state)
{
	struct fixture *f = *state;
	struct journal_entry *rows = NULL;
	struct job job;
	size_t count = 0;
	int64_t due = 0;

	fixture_admit(f, "1", "A", 10, 0);
	struct incident *i = fixture_incident(f, 1);
	i->state = INCIDENT_VERIFYING;
	i->escalation = "why";
	struct step_commit c = commit_of(i);
	assert_int_equal(commit_one(f->store, &c, &due), OK);
	assert_int_equal(due, 5000);
	fixture_reopen(f);
	i = fixture_incident(f, 1);
	assert_int_equal(i->state, INCIDENT_VERIFYING);
	assert_string_equal(i->escalation, "why");
	assert_int_equal(store_job(f->store, 1, &job), OK);
	assert_string_equal(job.step, "plan");
	assert_int_equal(store_journal(f->mem, f->store, 1, &rows, &count), OK);
	assert_int_equal(count, 2);
	assert_string_equal(rows[1].step, "open");
}

static void a_signal_during_a_step_makes_the_next_one_due_at_once(void **state)
{
	struct fixture *f = *state;
	int64_t due = 0;

	fixture_admit(f, "1", "A", 10, 0);
	struct incident *i = fixture_incident(f, 1);
	fixture_admit(f, "2", "A", 10, 15);
	struct step_commit c = commit_of(i);
	assert_int_equal(commit_one(f->store, &c, &due), OK);
	assert_int_equal(due, 2000);
	assert_int_equal(fixture_incident(f, 1)->resolved_ms,
			 15000); /* the step did not overwrite what arrived */
}

static void the_last_step_ends_the_job(void **state)
{
	struct fixture *f = *state;
	struct job job;
	int64_t due = 0;
	struct store_counts counts;

	fixture_admit(f, "1", "A", 10, 0);
	struct incident *i = fixture_incident(f, 1);
	i->state = INCIDENT_CLOSED;
	struct step_commit c = commit_of(i);
	c.next_step = NULL;
	c.closed = true;
	assert_int_equal(commit_one(f->store, &c, &due), OK);
	assert_int_equal(store_job(f->store, 1, &job), E_NOTFOUND);
	assert_int_equal(fixture_incident(f, 1)->closed_ms, 2000);
	assert_int_equal(store_counts(f->store, &counts), OK);
	assert_int_equal(counts.jobs, 0);
}

static struct plan *a_plan(void *mem)
{
	struct plan *p = NEW(mem, struct plan);

	*p = (struct plan){.function = "f",
			   .namespace = "ai",
			   .parameters = mem_own(mem, json_object()),
			   .method = "annotation",
			   .reasoning = "",
			   .why = "",
			   .digest = "0123456789abcdef",
			   .target = "t"};
	return p;
}

static void a_decision_is_final_and_bound_to_the_plan(void **state)
{
	struct fixture *f = *state;
	int64_t due = 0;

	fixture_admit(f, "1", "A", 10, 0);
	assert_int_equal(store_decide(f->store, 1, NULL, true, "p", 3000), E_CONFLICT);
	assert_int_equal(store_decide(f->store, 9, NULL, true, "p", 3000), E_NOTFOUND);
	struct incident *i = fixture_incident(f, 1);
	i->plan = a_plan(f->mem);
	i->approval_expires_ms = 9000;
	struct step_commit c = commit_of(i);
	c.approval = "pending";
	assert_int_equal(commit_one(f->store, &c, &due), OK);
	assert_int_equal(store_decide(f->store, 1, "ffffffff", true, "p", 3000), E_CONFLICT);
	assert_int_equal(store_decide(f->store, 1, "0123", true, "p", 3000), E_CONFLICT);
	assert_int_equal(store_decide(f->store, 1, NULL, true, "p", 9000),
			 E_CONFLICT); /* expired */
	assert_int_equal(store_decide(f->store, 1, "01234567", true, "p", 3000), OK);
	assert_int_equal(store_decide(f->store, 1, NULL, false, "q", 3000), E_CONFLICT);
	assert_string_equal(fixture_incident(f, 1)->approval, "approved");
	assert_string_equal(fixture_incident(f, 1)->approval_by, "p");
	assert_int_equal(fixture_incident(f, 1)->signals, 1);
}

static void calls_are_counted_for_limits(void **state)
{
	struct fixture *f = *state;
	struct history h;
	int64_t due = 0;

	fixture_admit(f, "1", "A", 10, 0);
	struct incident *i = fixture_incident(f, 1);
	i->plan = a_plan(f->mem);
	struct step_commit c = commit_of(i);
	c.calls_function = true;
	c.now_ms = 10000000;
	assert_int_equal(commit_one(f->store, &c, &due), OK);
	assert_int_equal(store_history(f->store, "f", "t", i->fingerprint, 10000001, &h), OK);
	assert_int_equal(h.calls_last_hour, 1);
	assert_int_equal(h.actions_for_alert, 1);
	assert_int_equal(h.last_call_ms, 10000000);
	assert_int_equal(store_history(f->store, "f", "t", i->fingerprint, 10000001 + 3600000, &h),
			 OK);
	assert_int_equal(h.calls_last_hour, 0);
}

static void add_ops(struct fixture *f)
{
	int64_t due = 0;
	struct incident *i = fixture_incident(f, 1);
	const struct ticket_op ops[] = {
		{.kind = TICKET_CREATE,
		 .uuid = "u1",
		 .payload = mem_own(f->mem, json_pack("{s:s, s:s, s:i}", "title", "T", "body", "B",
						      "priority", 2))},
		{.kind = TICKET_COMMENT,
		 .uuid = "u2",
		 .payload = mem_own(f->mem, json_pack("{s:s}", "body", "C"))},
	};
	struct step_commit c = commit_of(i);

	c.ops = ops;
	c.op_count = 2;
	assert_int_equal(commit_one(f->store, &c, &due), OK);
	assert_int_equal(commit_one(f->store, &c, &due), OK); /* known ids are not appended again */
}

/* The oldest that waits, or NULL. */
static const struct ticket_work *oldest(struct fixture *f)
{
	struct ticket_work *w = NULL;
	size_t count;

	assert_int_equal(store_ticket_waiting(f->mem, f->store, 1, 1, &w, &count), OK);
	return count == 0 ? NULL : w;
}

static void operations_are_delivered_in_order_and_once(void **state)
{
	struct fixture *f = *state;
	const struct ticket_ref ref = {"id-1", "SRE-1", "http://t/SRE-1"};

	fixture_admit(f, "1", "A", 10, 0);
	add_ops(f);
	const struct ticket_work *w = oldest(f);
	assert_int_equal(w->op.kind, TICKET_CREATE);
	assert_null(w->ref.id);
	assert_int_equal(store_ticket_retry(f->store, 1, w->op.seq, "down", 7000, 3000), OK);
	w = oldest(f);
	assert_int_equal(w->due_ms, 7000);
	assert_int_equal(w->attempt, 1);
	const struct ticket_delivery created = {w, ref, NULL, 3000, 3001};
	assert_int_equal(store_ticket_done(f->store, 1, &created, 1), OK);
	w = oldest(f);
	assert_int_equal(w->op.kind, TICKET_COMMENT);
	assert_string_equal(w->ref.id, "id-1");
	const struct ticket_delivery commented = {w, {0}, NULL, 3000, 3001};
	assert_int_equal(store_ticket_done(f->store, 1, &commented, 1), OK);
	assert_null(oldest(f));
	assert_string_equal(fixture_incident(f, 1)->ticket_key, "SRE-1");
}

static void what_waits_is_read_and_settled_in_one_go(void **state)
{
	struct fixture *f = *state;
	struct ticket_work *w = NULL;
	size_t count;
	const struct ticket_ref ref = {"id-1", "SRE-1", "http://t/SRE-1"};

	fixture_admit(f, "1", "A", 10, 0);
	add_ops(f);
	assert_int_equal(store_ticket_waiting(f->mem, f->store, 1, 16, &w, &count), OK);
	assert_int_equal(count, 2);
	assert_int_equal(w[0].op.kind, TICKET_CREATE);
	assert_int_equal(w[1].op.kind, TICKET_COMMENT);
	const struct ticket_delivery done[] = {{&w[0], ref, NULL, 3000, 3001},
					       {&w[1], {0}, NULL, 3001, 3002}};
	assert_int_equal(store_ticket_done(f->store, 1, done, 2), OK);
	assert_null(oldest(f));
	assert_string_equal(fixture_incident(f, 1)->ticket_key, "SRE-1");
}

static void a_refused_creation_blocks_its_ticket_and_is_kept(void **state)
{
	struct fixture *f = *state;
	json_t *letters = NULL;

	fixture_admit(f, "1", "A", 10, 0);
	add_ops(f);
	assert_int_equal(store_ticket_bury(f->store, 1, oldest(f)->op.seq, "no such team", 3000),
			 OK);
	assert_null(oldest(f));
	assert_int_equal(store_dead_letters(f->mem, f->store, 10, &letters), OK);
	assert_int_equal(json_array_size(letters), 1);
	assert_string_equal(json_str(json_array_get(letters, 0), "failure_kind"), "ticket");
}

static void the_embedded_tracker_does_nothing_twice(void **state)
{
	struct fixture *f = *state;
	struct ticket_ref ref = {0};
	struct ticket_ref again = {0};
	json_t *t = NULL;
	const struct ticket_op create = {
		.kind = TICKET_CREATE,
		.uuid = "u1",
		.payload = mem_own(f->mem, json_pack("{s:s, s:s, s:i, s:[s]}", "title", "T", "body",
						     "B", "priority", 1, "labels", "alert"))};
	const struct ticket_op label = {
		.kind = TICKET_LABEL,
		.uuid = "u2",
		.payload = mem_own(f->mem, json_pack("{s:[s, s]}", "names", "alert", "x"))};
	const struct ticket_op close = {
		.kind = TICKET_STATE,
		.uuid = "u3",
		.payload = mem_own(f->mem, json_pack("{s:s}", "type", "completed"))};

	for (int n = 0; n < 2; n++) {
		assert_int_equal(store_tracker_apply(f->mem, f->store, &create, NULL, "OPS",
						     "http://h", 1000, n == 0 ? &ref : &again),
				 OK);
		assert_int_equal(store_tracker_apply(f->mem, f->store, &label, &ref, "OPS",
						     "http://h", 1000, NULL),
				 OK);
		assert_int_equal(store_tracker_apply(f->mem, f->store, &close, &ref, "OPS",
						     "http://h", 2000, NULL),
				 OK);
	}
	assert_string_equal(ref.key, "OPS-1");
	assert_string_equal(again.key, "OPS-1");
	assert_string_equal(ref.url, "http://h/tickets/OPS-1");
	assert_int_equal(store_tracker_ticket(f->mem, f->store, "OPS-1", &t), OK);
	assert_string_equal(json_str(t, "state"), "completed");
	assert_int_equal(json_array_size(json_object_get(t, "labels")), 2);
	assert_int_equal(json_array_size(json_object_get(t, "entries")), 2);
	assert_int_equal(store_tracker_ticket(f->mem, f->store, "OPS-2", &t), E_NOTFOUND);
}

static void the_directory_belongs_to_one(void **state)
{
	struct fixture *f = *state;
	const struct store_options o = {.dir = f->dir};
	struct store *second = NULL;

	assert_int_equal(store_open(f->mem, &o, &second), E_CONFLICT);
	assert_null(second);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct store_options o = {.dir = f->dir};
	struct store *s = NULL;

	store_close(f->store);
	f->store = NULL;
	FILE *file = fopen(str_fmt(f->mem, "%s/agent-sre.db", f->dir), "w");
	for (int n = 0; n < 2000; n++)
		fputs("this is not a database ", file);
	fclose(file);
	unlink(str_fmt(f->mem, "%s/agent-sre.db-wal", f->dir));
	assert_int_equal(store_open(f->mem, &o, &s), E_INVALID);
	assert_non_null(strstr(status_message(), "not a database"));
}

static struct rlimit file_limit(rlim_t bytes)
{
	struct rlimit before, now;

	getrlimit(RLIMIT_FSIZE, &before);
	now = (struct rlimit){bytes, before.rlim_max};
	setrlimit(RLIMIT_FSIZE, &now);
	return before;
}

static void a_disk_that_takes_no_more_acknowledges_nothing_and_recovers(void **state)
{
	struct fixture *f = *state;
	struct incident *i;
	int64_t due = 0;
	enum status s = OK;

	fixture_admit(f, "1", "A", 10, 0);
	i = fixture_incident(f, 1);
	struct step_commit c = commit_of(i);
	c.note = str_fmt(f->mem, "%0*d", 100000, 0);
	signal(SIGXFSZ, SIG_IGN);
	struct rlimit before = file_limit(300 * 1024);
	for (int n = 0; n < 20 && s == OK; n++)
		s = commit_one(f->store, &c, &due);
	assert_int_not_equal(s, OK);
	assert_non_null(strstr(status_message(), "store:"));
	assert_int_not_equal(store_health(f->store), OK);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(commit_one(f->store, &c, &due), OK);
	assert_int_equal(store_health(f->store), OK);
	fixture_reopen(f);
	assert_non_null(fixture_incident(f, 1));
}

struct sender {
	struct fixture *f;
	int from;
};

static void *send_many(void *arg)
{
	struct sender *s = arg;

	for (int n = 0; n < 50; n++) {
		SCOPE(mem);
		fixture_admit(s->f, str_fmt(mem, "%d", s->from + n),
			      str_fmt(mem, "A%d", s->from + n), 10, 0);
	}
	return NULL;
}

static void count_due(int64_t incident, enum lane lane, int64_t due_ms, void *arg)
{
	(void)incident;
	(void)due_ms;
	*(int *)arg += lane == LANE_FLOW;
}

static void many_threads_lose_nothing(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[16];
	struct sender senders[16];
	int due = 0;

	for (int n = 0; n < 16; n++) {
		senders[n] = (struct sender){f, n * 1000};
		pthread_create(&threads[n], NULL, send_many, &senders[n]);
	}
	for (int n = 0; n < 16; n++)
		pthread_join(threads[n], NULL);
	assert_int_equal(store_each_due(f->store, count_due, &due), OK);
	assert_int_equal(due, 800);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
	const struct CMUnitTest tests[] = {
		STORE_TEST(a_commit_leaves_state_timeline_and_the_next_step),
		STORE_TEST(a_signal_during_a_step_makes_the_next_one_due_at_once),
		STORE_TEST(the_last_step_ends_the_job),
		STORE_TEST(a_decision_is_final_and_bound_to_the_plan),
		STORE_TEST(calls_are_counted_for_limits),
		STORE_TEST(operations_are_delivered_in_order_and_once),
		STORE_TEST(what_waits_is_read_and_settled_in_one_go),
		STORE_TEST(a_refused_creation_blocks_its_ticket_and_is_kept),
		STORE_TEST(the_embedded_tracker_does_nothing_twice),
		STORE_TEST(the_directory_belongs_to_one),
		STORE_TEST(a_file_that_is_no_database_is_refused),
		STORE_TEST(a_disk_that_takes_no_more_acknowledges_nothing_and_recovers),
		STORE_TEST(many_threads_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
