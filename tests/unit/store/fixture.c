#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

static struct store *opened(struct fixture *f)
{
	const struct store_options o = {.dir = f->dir};
	struct store *s = NULL;

	if (store_open(NULL, &o, &s) != OK)
		fail_msg("%s", status_message());
	return s;
}

int fixture_open(void **state)
{
	char name[] = "/tmp/agent-sre-store-XXXXXX";
	void *mem = mem_check(talloc_new(NULL));
	struct fixture *f = NEW(mem, struct fixture);

	f->mem = mem;
	assert_non_null(mkdtemp(name));
	f->dir = str_dup(f, name);
	f->store = opened(f);
	*state = f;
	return 0;
}

static void remove_all(struct fixture *f, const char *dir)
{
	DIR *d = opendir(dir);

	if (d == NULL)
		return;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		const char *path = str_fmt(f, "%s/%s", dir, e->d_name);
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			remove_all(f, path);
		else
			unlink(path);
	}
	closedir(d);
	rmdir(dir);
}

int fixture_close(void **state)
{
	struct fixture *f = *state;

	if (f->store != NULL)
		store_close(f->store);
	remove_all(f, f->dir);
	talloc_free(f->mem);
	return 0;
}

void fixture_reopen(struct fixture *f)
{
	store_close(f->store);
	f->store = opened(f);
}

static void done(struct admission *a)
{
	sem_post(a->arg);
}

struct event *fixture_event(void *mem, const char *id, const char *alert, int64_t starts,
			    int64_t ends)
{
	struct event *e = NEW(mem, struct event);
	struct alert *a = NEW(mem, struct alert);

	*a = (struct alert){.state = ends == 0 ? ALERT_FIRING : ALERT_RESOLVED,
			    .name = alert,
			    .labels = {NEW_ARRAY(mem, struct label, 1), 1},
			    .starts_ms = starts * 1000,
			    .ends_ms = ends * 1000,
			    .generator_url = "",
			    .receiver = "",
			    .group_key = ""};
	a->labels.at[0] = (struct label){"alertname", alert};
	a->fingerprint = alert_fingerprint(mem, &a->labels);
	*e = (struct event){.id = id,
			    .source = "test",
			    .type = EVENT_TYPE_FIRED,
			    .subject = "",
			    .schema = "",
			    .version = "v1.0",
			    .slo = "",
			    .key = id,
			    .partition_key = "",
			    .sequence = "",
			    .correlation_id = id,
			    .alert = a};
	return e;
}

static void find_out(struct fixture *f, const char *id, struct fixture_result *r)
{
	SCOPE(mem);
	json_t *known = NULL;

	store_catch_up(f->store, 10000);
	if (store_event(mem, f->store, "test", id, &known) != OK)
		fail_msg("%s", status_message());
	for (int n = 0; r->outcome != ADMIT_DUPLICATE && n <= ADMIT_HELD; n++)
		if (str_eq(json_str(known, "outcome"), admit_outcome_name((enum admit_outcome)n)))
			r->outcome = (enum admit_outcome)n;
	if (json_str(known, "incident") != NULL)
		assert_int_equal(incident_id_parse(json_str(known, "incident"), &r->incident), OK);
}

struct fixture_result fixture_admit(struct fixture *f, const char *id, const char *alert,
				    int64_t starts, int64_t ends)
{
	SCOPE(mem);
	struct event_member m = {.event = fixture_event(mem, id, alert, starts, ends)};
	const struct event_set set = {.mode = EVENT_STRUCTURED, .members = &m, .count = 1};
	struct admission a = {.set = &set,
			      .origin = "agent",
			      .received_ms = 1000000,
			      .results = NEW_ARRAY(mem, struct admit_result, 1),
			      .done = done};
	struct fixture_result r = {0};
	sem_t sem;

	sem_init(&sem, 0, 0);
	a.arg = &sem;
	assert_int_equal(store_admit(f->store, &a), OK);
	while (sem_wait(&sem) != 0)
		;
	if (a.status != OK)
		fail_msg("%s", a.message);
	r.outcome = a.results[0].outcome;
	find_out(f, id, &r);
	return r;
}

struct incident *fixture_incident(struct fixture *f, int64_t id)
{
	struct incident *i = NULL;

	return store_incident(f->mem, f->store, id, &i) == OK ? i : NULL;
}
