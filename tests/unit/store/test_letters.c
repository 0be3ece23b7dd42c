#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/database.h"
#include "store/letters.h"

#include "fixture.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const int64_t DAY_MS = 24 * 3600 * 1000;
static const char SECRET[] = "quince-81-marmot";

static void buried(enum status s, void *arg)
{
	assert_int_equal(s, OK);
	sem_post(arg);
}

static struct dead_letter letter(const char *id, const char *body)
{
	return (struct dead_letter){.event_id = id,
				    .event_type = "test.type",
				    .event_source = "test",
				    .subject = "",
				    .correlation_id = id,
				    .reason = "data.status is missing",
				    .category = "data",
				    .permanent = true,
				    .stage = "intake",
				    .attempts = 1,
				    .origin = "agent",
				    .received_ms = DAY_MS,
				    .failed_ms = DAY_MS,
				    .body = body,
				    .mode = "structured",
				    .content_type = "application/cloudevents+json"};
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

static void bury_plain(struct fixture *f, const char *id)
{
	struct dead_letter d = letter(id, "{}");

	bury(f, &d);
}

static json_t *shown(struct fixture *f, int64_t id)
{
	json_t *l = NULL;

	if (store_letter(f->mem, f->store, id, &l) != OK)
		fail_msg("%s", status_message());
	return l;
}

static json_t *listed(struct fixture *f, const struct letter_filter *filter)
{
	json_t *l = NULL;

	if (store_letters(f->mem, f->store, filter, &l) != OK)
		fail_msg("%s", status_message());
	return l;
}

static size_t count(struct fixture *f, const char *state, bool archived)
{
	const struct letter_filter filter = {.state = state, .archived = archived, .limit = 100};

	return json_array_size(listed(f, &filter));
}

static bool file_holds(struct fixture *f, const char *path, const char *text)
{
	char *all = NULL;
	size_t n = 0;

	assert_int_equal(file_read(f->mem, path, 1 << 26, &all, &n), OK);
	return memmem(all, n, text, strlen(text)) != NULL;
}

static bool directory_holds(struct fixture *f, const char *dir, const char *text)
{
	DIR *d = opendir(dir);
	bool found = false;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		const char *path = str_fmt(f->mem, "%s/%s", dir, e->d_name);
		if (e->d_name[0] == '.')
			continue;
		found = found || (e->d_type == DT_DIR ? directory_holds(f, path, text)
						      : file_holds(f, path, text));
	}
	closedir(d);
	return found;
}

static void what_came_is_on_disk_only_sealed(void **state)
{
	struct fixture *f = *state;
	struct dead_letter d = letter("e1", str_fmt(f->mem, "{\"x\": \"%s\"}", SECRET));

	d.reason = str_fmt(f->mem, "line 1, column 2: '}' expected near '%s'", SECRET);
	d.subject = str_fmt(f->mem, "password=%s", SECRET);
	d.headers = mem_own(f->mem, json_pack("{s:s}", "ce-x", SECRET));
	bury(f, &d);
	assert_false(directory_holds(f, f->dir, SECRET));
	assert_int_equal(store_letter_archive(f->store, 1, DAY_MS), OK);
	assert_int_equal(count(f, "all", true), 1);
	assert_false(directory_holds(f, f->dir, SECRET));
	fixture_reopen(f);
	assert_false(directory_holds(f, f->dir, SECRET));
	assert_true(directory_holds(f, f->dir, "test.type")); /* the search itself can find */
	assert_non_null(
		strstr(json_text(f->mem, shown(f, 1)), SECRET)); /* x and ce-x tell nobody */
}

static void a_letter_is_shown_whole_and_redacted(void **state)
{
	static const char *const MEMBERS[] = {
		"dlq_id",	   "event_id",	      "event_type",	 "event_source",
		"subject",	   "partition_key",   "idempotency_key", "correlation_id",
		"received_at",	   "failed_at",	      "failure_reason",	 "failure_category",
		"permanence",	   "stage",	      "attempts",	 "last_error",
		"schema",	   "origin",	      "state",		 "pending_action",
		"linear_issue_id", "retention_until", "replay_history",	 "event",
	};
	struct fixture *f = *state;
	struct dead_letter d =
		letter("e1", "{\"data\": {\"labels\": {\"api_key\": \"k1\", \"pod\": \"p\"}}}");

	d.schema = mem_own(f->mem, json_pack("{s:s}", "dataschema", "urn:x"));
	d.origin_detail = mem_own(f->mem, json_pack("{s:s}", "queue", "q1"));
	bury(f, &d);
	json_t *l = shown(f, 1);
	for (size_t n = 0; n < COUNT(MEMBERS); n++)
		if (json_object_get(l, MEMBERS[n]) == NULL)
			fail_msg("%s is missing", MEMBERS[n]);
	const json_t *labels = json_object_get(
		json_object_get(json_object_get(json_object_get(l, "event"), "body"), "data"),
		"labels");
	assert_string_equal(json_str(labels, "api_key"), "[redacted]");
	assert_string_equal(json_str(labels, "pod"), "p");
	assert_string_equal(json_str(l, "failure_category"), "validation_failure");
	assert_string_equal(json_str(json_object_get(l, "origin"), "queue"), "q1");
	assert_string_equal(json_str(json_object_get(l, "origin"), "kind"), "agent");
	assert_string_equal(json_str(json_object_get(l, "schema"), "dataschema"), "urn:x");
	assert_string_equal(json_str(l, "retention_until"), "1970-02-01T00:00:00Z");
}

static void any_bytes_survive_for_the_replay(void **state)
{
	static const char BODY[] = "\xff\0{\"a\n\":\0}";
	struct fixture *f = *state;
	struct dead_letter d = letter("e1", BODY);
	struct letter_original *o = NULL;

	d.body_bytes = sizeof(BODY) - 1;
	d.headers = mem_own(f->mem, json_pack("{s:s}", "ce-id", "e1"));
	bury(f, &d);
	assert_int_equal(store_letter_claim(f->mem, f->store, 1, DAY_MS, &o), OK);
	assert_int_equal(o->body_bytes, sizeof(BODY) - 1);
	assert_memory_equal(o->body, BODY, sizeof(BODY));
	assert_string_equal(o->content_type, "application/cloudevents+json");
	assert_string_equal(json_str(o->headers, "ce-id"), "e1");
	assert_int_equal(o->received_ms, DAY_MS);
}

static void headers_fill_what_nobody_could_read(void **state)
{
	struct fixture *f = *state;
	struct dead_letter d = letter("", "not json");

	d.event_type = d.event_source = d.correlation_id = "";
	d.headers = mem_own(f->mem, json_pack("{s:s, s:s, s:s, s:s}", "ce-id", "h1", "ce-source",
					      "h2", "ce-type", "h3", "x-correlation-id", "h4"));
	bury(f, &d);
	json_t *l = shown(f, 1);
	assert_string_equal(json_str(l, "event_id"), "h1");
	assert_string_equal(json_str(l, "event_source"), "h2");
	assert_string_equal(json_str(l, "event_type"), "h3");
	assert_string_equal(json_str(l, "correlation_id"), "h4");
}

static void filters_choose(void **state)
{
	static const struct {
		struct letter_filter f;
		const char *want; /* event ids, newest first */
	} CASES[] = {
		{{0}, "dcba"},
		{{.category = "validation_failure"}, "ca"},
		{{.category = "data"}, "ca"},
		{{.category = "poison_message"}, "b"},
		{{.category = "timeout"}, "d"},
		{{.reason = "STATUS"}, "ca"},
		{{.correlation_id = "b"}, "b"},
		{{.type = "other"}, "c"},
		{{.text = "OtHeR"}, "c"},
		{{.text = "%"}, ""},
		{{.from_ms = 2000}, "dcb"},
		{{.to_ms = 2000}, "a"},
		{{.from_ms = 2000, .to_ms = 4000}, "cb"},
		{{.before = 3}, "ba"},
		{{.after = 2}, "dc"},
		{{.oldest_first = true}, "abcd"},
		{{.state = "resolved"}, ""},
		{{.state = "pending"}, "dcba"},
		{{.state = "all", .limit = 2}, "dc"},
		{{.archived = true}, ""},
	};
	struct fixture *f = *state;
	struct dead_letter d[] = {letter("a", "{}"), letter("b", "{"), letter("c", "{}"),
				  letter("d", NULL)};

	d[1].category = "parse";
	d[1].reason = "line 3, column 4: unexpected";
	d[2].event_type = "other";
	d[3].category = "timeout"; /* a broker's letter names a category itself */
	d[3].reason = "no answer";
	for (size_t n = 0; n < COUNT(d); n++) {
		d[n].failed_ms = 1000 * ((int64_t)n + 1);
		bury(f, &d[n]);
	}
	for (size_t n = 0; n < COUNT(CASES); n++) {
		struct letter_filter filter = CASES[n].f;
		char *got = str_dup(f->mem, "");
		size_t i;
		json_t *l;
		filter.limit = filter.limit == 0 ? 100 : filter.limit;
		json_array_foreach (listed(f, &filter), i, l)
			str_add(&got, "%s", json_str(l, "event_id"));
		if (!str_eq(got, CASES[n].want))
			fail_msg("case %zu: %s, want %s", n, got, CASES[n].want);
	}
	json_t *none = NULL;
	const struct letter_filter wrong = {.state = "gone", .limit = 1};
	assert_int_equal(store_letters(f->mem, f->store, &wrong, &none), E_INVALID);
}

static void a_category_finds_each_of_its_kinds(void **state)
{
	static const char *const KINDS[] = {"key", "order"};
	struct fixture *f = *state;

	for (size_t n = 0; n < COUNT(KINDS); n++) {
		struct dead_letter d = letter(KINDS[n], "{}");
		d.category = KINDS[n];
		bury(f, &d);
		const char *category = json_str(shown(f, (int64_t)n + 1), "failure_category");
		const struct letter_filter filter = {.category = category, .limit = 10};
		assert_int_equal(json_array_size(listed(f, &filter)), 1);
	}
}

static void letters_of_one_pattern_are_one_group(void **state)
{
	struct fixture *f = *state;
	struct dead_letter d = letter("a", "{}");
	json_t *groups = NULL;

	for (int n = 0; n < 5; n++) {
		d.reason = n == 4 ? "other" : str_fmt(f->mem, "events[%d].data is wrong", n);
		d.failed_ms = 1000 * (n + 1);
		bury(f, &d);
	}
	assert_int_equal(store_letter_groups(f->mem, f->store, 10, &groups), OK);
	assert_int_equal(json_array_size(groups), 2);
	const json_t *g = json_array_get(groups, 0);
	assert_int_equal(json_int(g, "count", 0), 4);
	assert_true(json_real_value(json_object_get(g, "share")) == 0.8);
	assert_string_equal(json_str(g, "pattern"), "events[<n>].data is wrong");
	assert_string_equal(json_str(g, "first_seen"), "1970-01-01T00:00:01Z");
	assert_string_equal(json_str(g, "last_seen"), "1970-01-01T00:00:04Z");
	assert_int_equal(json_int(json_object_get(g, "example"), "dlq_id", 0), 4);
	const struct letter_filter filter = {.group = json_str(g, "group"), .limit = 10};
	assert_int_equal(json_array_size(listed(f, &filter)), 4);
}

static enum status settle(struct fixture *f, int64_t id, bool success, const char *what)
{
	const struct letter_outcome o = {
		.done = success, .what = what, .by = "test", .counts = true, .incident = 7};

	return store_letter_settle(f->store, id, &o, 2 * DAY_MS);
}

static void a_replay_ends_resolved_or_pending_with_its_history(void **state)
{
	struct fixture *f = *state;
	struct letter_original *o = NULL;

	bury_plain(f, "a");
	assert_int_equal(settle(f, 1, true, "unasked"), E_CONFLICT);
	assert_int_equal(store_letter_claim(f->mem, f->store, 1, 0, &o), OK);
	assert_string_equal(json_str(shown(f, 1), "state"), "replaying");
	assert_int_equal(store_letter_claim(f->mem, f->store, 1, 0, &o), E_CONFLICT);
	assert_int_equal(store_letter_archive(f->store, 1, 0), E_CONFLICT);
	assert_int_equal(settle(f, 1, false, "still wrong"), OK);
	assert_string_equal(json_str(shown(f, 1), "state"), "pending");
	assert_int_equal(json_int(shown(f, 1), "attempts", 0), 2);
	assert_int_equal(store_letter_claim(f->mem, f->store, 1, 0, &o), OK);
	assert_int_equal(settle(f, 1, true, "opened"), OK);
	json_t *l = shown(f, 1);
	assert_string_equal(json_str(l, "state"), "resolved");
	assert_int_equal(json_int(l, "attempts", 0), 2);
	const json_t *history = json_object_get(l, "replay_history");
	assert_int_equal(json_array_size(history), 2);
	assert_string_equal(json_str(json_array_get(history, 0), "outcome"), "still wrong");
	assert_string_equal(json_str(json_array_get(history, 1), "incident"), "INC-7");
	assert_int_equal(store_letter_claim(f->mem, f->store, 1, 0, &o), E_CONFLICT);
	assert_int_equal(count(f, "", false), 0);
	assert_int_equal(count(f, "resolved", false), 1);
	assert_int_equal(store_letter_claim(f->mem, f->store, 9, 0, &o), E_NOTFOUND);
}

static void replays_of_one_letter_are_capped(void **state)
{
	struct fixture *f = *state;
	struct letter_original *o = NULL;
	const struct letter_outcome refused = {.what = "no room", .by = "test"};

	bury_plain(f, "a");
	assert_int_equal(store_letter_claim(f->mem, f->store, 1, 0, &o), OK);
	assert_int_equal(store_letter_settle(f->store, 1, &refused, 0), OK); /* does not count */
	assert_int_equal(json_int(shown(f, 1), "attempts", 0), 1);
	for (int n = 0; n < 5; n++) {
		assert_int_equal(store_letter_claim(f->mem, f->store, 1, 0, &o), OK);
		assert_int_equal(settle(f, 1, false, "wrong"), OK);
	}
	assert_int_equal(store_letter_claim(f->mem, f->store, 1, 0, &o), E_CONFLICT);
	assert_non_null(strstr(status_message(), "5 times"));
}

static void a_replay_that_was_cut_off_is_pending_again(void **state)
{
	struct fixture *f = *state;
	struct letter_original *o = NULL;

	bury_plain(f, "a");
	assert_int_equal(store_letter_claim(f->mem, f->store, 1, 0, &o), OK);
	fixture_reopen(f);
	assert_string_equal(json_str(shown(f, 1), "state"), "pending");
	assert_int_equal(json_int(shown(f, 1), "replays", -1),
			 1); /* it counts: it may have ended the program */
	assert_int_equal(store_letter_claim(f->mem, f->store, 1, 0, &o), OK);
}

static void what_cannot_be_replayed_says_why(void **state)
{
	struct fixture *f = *state;
	struct dead_letter big = letter("a", "the head of something large");
	struct dead_letter step = letter("b", NULL);
	struct letter_original *o = NULL;

	big.category = "oversize";
	bury(f, &big);
	step.stage = "remediate";
	step.category = "step";
	step.incident = 3;
	bury(f, &step);
	assert_int_equal(store_letter_claim(f->mem, f->store, 1, 0, &o), E_INVALID);
	assert_non_null(strstr(status_message(), "head"));
	assert_int_equal(store_letter_claim(f->mem, f->store, 2, 0, &o), E_INVALID);
	assert_non_null(strstr(status_message(), "INC-3"));
}

static void archived_letters_can_still_be_found_and_shown(void **state)
{
	struct fixture *f = *state;

	bury_plain(f, "a");
	bury_plain(f, "b");
	json_t *before = shown(f, 1);
	assert_int_equal(store_letter_archive(f->store, 1, DAY_MS * 40), OK);
	assert_int_equal(store_letter_archive(f->store, 2, DAY_MS * 40), OK);
	assert_int_equal(store_letter_archive(f->store, 2, DAY_MS * 40), E_NOTFOUND);
	assert_int_equal(count(f, "all", false), 0);
	assert_int_equal(count(f, "all", true), 2);
	fixture_reopen(f);
	for (int id = 1; id <= 2; id++) {
		json_t *l = shown(f, id);
		assert_string_equal(json_str(l, "event_id"), id == 1 ? "a" : "b");
		assert_string_equal(json_str(l, "state"), "archived");
		assert_string_equal(json_str(l, "archived_at"), "1970-02-10T00:00:00Z");
	}
	assert_true(json_equal(json_object_get(shown(f, 1), "event"),
			       json_object_get(before, "event")));
	struct stat st;
	assert_int_equal(stat(str_fmt(f->mem, "%s/archive/1970-02.jsonl", f->dir), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void old_letters_are_archived_by_type_but_never_with_an_action_pending(void **state)
{
	static const char *const RULES[] = {"long.type=90d", "short.type=2d", NULL};
	const struct store_options options = {.letter_retention_by_type = RULES,
					      .letter_retention_ms = 10 * DAY_MS};
	struct fixture *f = *state;
	struct dead_letter d = letter("a", "{}");
	static const char *const TYPES[] = {"test.type", "long.type", "short.type", "short.type"};
	struct letter_original *o = NULL;
	size_t archived = 0;

	store_close(f->store);
	struct store_options with = options;
	with.dir = f->dir;
	assert_int_equal(store_open(NULL, &with, &f->store), OK);
	for (size_t n = 0; n < COUNT(TYPES); n++) {
		d.event_type = TYPES[n];
		bury(f, &d);
	}
	assert_int_equal(store_letter_claim(f->mem, f->store, 4, 0, &o), OK);
	assert_int_equal(store_letters_expire(f->store, DAY_MS + 5 * DAY_MS, &archived), OK);
	assert_int_equal(archived, 1);
	assert_int_equal(store_letters_expire(f->store, DAY_MS + 11 * DAY_MS, &archived), OK);
	assert_int_equal(archived, 1);
	assert_int_equal(store_letters_expire(f->store, DAY_MS + 91 * DAY_MS, &archived), OK);
	assert_int_equal(archived, 1);
	assert_int_equal(store_letters_expire(f->store, DAY_MS + 91 * DAY_MS, &archived), OK);
	assert_int_equal(archived, 0);
	assert_int_equal(count(f, "replaying", false), 1);
	assert_int_equal(count(f, "all", true), 3);
}

static void an_archive_that_cannot_be_written_keeps_the_letter(void **state)
{
	struct fixture *f = *state;
	char *text = NULL;
	size_t n = 0;

	bury_plain(f, "a");
	FILE *file = fopen(str_fmt(f->mem, "%s/archive", f->dir),
			   "we"); /* where the directory should be */
	assert_non_null(file);
	fclose(file);
	assert_int_equal(store_letter_archive(f->store, 1, DAY_MS), E_TRANSIENT);
	assert_string_equal(json_str(shown(f, 1), "state"), "pending");
	assert_string_equal(json_str(shown(f, 1), "pending_action"), "");
	assert_int_equal(file_read(f->mem, str_fmt(f->mem, "%s/archive", f->dir), 10, &text, &n),
			 OK);
	assert_int_equal(n, 0);
}

static bool archive_is_ill;

/* In place of the C library's: of a file of the archive nothing is known while it is ill. */
int fstat(int fd, struct stat *st)
{
	char link[64], path[512] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (archive_is_ill && readlink(link, path, sizeof(path) - 1) > 0 &&
	    strstr(path, "/archive/") != NULL) {
		errno = EIO;
		return -1;
	}
	return fstatat(fd, "", st, AT_EMPTY_PATH);
}

static void an_archive_of_unknown_size_is_not_cut(void **state)
{
	struct fixture *f = *state;

	bury_plain(f, "a");
	bury_plain(f, "b");
	assert_int_equal(store_letter_archive(f->store, 1, DAY_MS), OK);
	archive_is_ill = true;
	enum status s = store_letter_archive(f->store, 2, DAY_MS);
	archive_is_ill = false;
	assert_int_equal(s, E_TRANSIENT);
	assert_string_equal(json_str(shown(f, 1), "state"), "archived");
	assert_string_equal(json_str(shown(f, 2), "state"), "pending");
}

static void a_line_that_a_crash_cut_off_spoils_no_other(void **state)
{
	struct fixture *f = *state;
	char *text = NULL;
	size_t n = 0;
	json_t *line = NULL;

	bury_plain(f, "a");
	bury_plain(f, "b");
	assert_int_equal(store_letter_archive(f->store, 1, clock_now()), OK);
	const char *path =
		str_fmt(f->mem, "%s/archive/%.7s.jsonl", f->dir, clock_format(f->mem, clock_now()));
	FILE *file = fopen(path, "a");
	assert_non_null(file);
	fputs("{\"v\": 1, \"dlq_id\": 2, \"ent", file);
	fclose(file);
	assert_int_equal(store_letter_archive(f->store, 2, clock_now()), OK);
	assert_string_equal(json_str(shown(f, 1), "event_id"), "a");
	assert_string_equal(json_str(shown(f, 2), "event_id"), "b");
	assert_int_equal(file_read(f->mem, path, 1 << 20, &text, &n), OK);
	text[n - 1] = '\0';
	const char *last = strrchr(text, '\n') + 1;
	assert_int_equal(json_parse(f->mem, last, strlen(last), &line), OK);
	assert_int_equal(json_int(line, "dlq_id", 0), 2);
}

static void a_drop_needs_the_token_of_that_letter(void **state)
{
	struct fixture *f = *state;

	bury_plain(f, "a");
	bury_plain(f, "b");
	const char *token = json_str(shown(f, 1), "drop_token");
	assert_int_equal(store_letter_drop(f->store, 2, token), E_DENIED);
	assert_int_equal(store_letter_drop(f->store, 1, ""), E_DENIED);
	assert_int_equal(count(f, "", false), 2);
	assert_int_equal(store_letter_drop(f->store, 1, token), OK);
	assert_int_equal(store_letter_drop(f->store, 1, token), E_NOTFOUND);
	assert_int_equal(count(f, "", false), 1);
}

static void letters_of_older_versions_are_sealed_at_start(void **state)
{
	struct fixture *f = *state;
	struct database *db = NULL;
	struct letter_original *o = NULL;

	store_close(f->store);
	const char *path = str_fmt(f->mem, "%s/agent-sre.db", f->dir);
	assert_int_equal(database_open(NULL, path, true, &db), OK);
	const char *sql = str_fmt(f->mem,
				  "INSERT INTO dead_letter (event_id, event_type, event_source, "
				  "subject, correlation_id,"
				  " reason, category, permanent, stage, attempts, origin, "
				  "received_ms, failed_ms, incident,"
				  " body) VALUES ('o', 't', 's', '', 'o', 'old', 'data', 1, "
				  "'intake', 1, 'agent', 1, 1, 0,"
				  " '{\"x\": \"%s\"}')",
				  SECRET);
	assert_int_equal(database_script(db, sql), OK);
	talloc_free(db);
	assert_true(directory_holds(f, f->dir, SECRET));
	const struct store_options options = {.dir = f->dir};
	assert_int_equal(store_open(NULL, &options, &f->store), OK);
	assert_int_equal(store_letter_claim(f->mem, f->store, 1, 0, &o), OK);
	assert_non_null(strstr(o->body, SECRET));
	fixture_reopen(f);
	assert_false(directory_holds(f, f->dir, SECRET));
}

static void without_the_key_there_are_still_the_facts(void **state)
{
	struct fixture *f = *state;
	struct letter_original *o = NULL;
	const struct store_options other = {
		.dir = f->dir,
		.encryption_key =
			"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};

	bury_plain(f, "a");
	store_close(f->store);
	assert_int_equal(store_open(NULL, &other, &f->store), OK);
	json_t *l = shown(f, 1);
	assert_string_equal(json_str(l, "failure_reason"), "data.status is missing");
	assert_true(json_is_null(json_object_get(l, "event")));
	assert_non_null(strstr(json_str(l, "event_unreadable"), "which is not here"));
	assert_int_equal(store_letter_claim(f->mem, f->store, 1, 0, &o), E_DENIED);
	assert_string_equal(json_str(shown(f, 1), "state"), "pending");
}

static void bury_message(struct fixture *f, const char *body, const char *queue, const char *key)
{
	struct dead_letter d = letter("m", body);

	d.stage = "broker";
	d.origin = "rabbitmq";
	d.origin_detail =
		mem_own(f->mem, json_pack("{s:s, s:s}", "died_in", queue, "routing_key", key));
	bury(f, &d);
}

static void messages_are_one_letter_only_when_they_are_the_same(void **state)
{
	struct fixture *f = *state;

	for (int n = 0; n < 2; n++) {
		bury_message(f, "{\"n\": 1}", "orders", "k");
		bury_message(f, "{\"n\": 2}", "orders", "k");
		bury_message(f, "{\"n\": 1}", "bills", "k");
		bury_message(f, "{\"n\": 1}", "orders", "other");
		assert_int_equal(count(f, "pending", false), 4);
	}
}

static void a_refused_event_is_merged_only_with_itself(void **state)
{
	struct fixture *f = *state;

	bury_plain(f, "m");
	bury_message(f, "{\"n\": 1}", "orders", "k");
	assert_int_equal(count(f, "pending", false), 2);
	bury_message(f, "{}", "orders", "k");
	assert_int_equal(count(f, "pending", false), 2);
	assert_int_equal(json_int(shown(f, 1), "attempts", 0), 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_came_is_on_disk_only_sealed),
		CASE(a_letter_is_shown_whole_and_redacted),
		CASE(any_bytes_survive_for_the_replay),
		CASE(headers_fill_what_nobody_could_read),
		CASE(filters_choose),
		CASE(a_category_finds_each_of_its_kinds),
		CASE(letters_of_one_pattern_are_one_group),
		CASE(a_replay_ends_resolved_or_pending_with_its_history),
		CASE(replays_of_one_letter_are_capped),
		CASE(a_replay_that_was_cut_off_is_pending_again),
		CASE(what_cannot_be_replayed_says_why),
		CASE(archived_letters_can_still_be_found_and_shown),
		CASE(old_letters_are_archived_by_type_but_never_with_an_action_pending),
		CASE(an_archive_that_cannot_be_written_keeps_the_letter),
		CASE(an_archive_of_unknown_size_is_not_cut),
		CASE(a_line_that_a_crash_cut_off_spoils_no_other),
		CASE(a_drop_needs_the_token_of_that_letter),
		CASE(letters_of_older_versions_are_sealed_at_start),
		CASE(without_the_key_there_are_still_the_facts),
		CASE(messages_are_one_letter_only_when_they_are_the_same),
		CASE(a_refused_event_is_merged_only_with_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
