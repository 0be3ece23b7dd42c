#include "daemon/backup.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "daemon/depot.h"
#include "daemon/drill.h"
#include "store/backup.h"
#include "store/chain.h"

struct running {
	const struct backup_command *c;
	void *mem;
	struct http_client *http;
	struct depot_keys keys;
	struct target *target;
};

static int failed(void)
{
	fprintf(stderr, "agent-sre: %s\n", status_message());
	return 1;
}

static char *size_text(void *mem, int64_t bytes)
{
	static const char *const UNITS[] = {"KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes / 1024;
	int n = 0;

	for (; value >= 1024 && n < 3; n++)
		value /= 1024;
	return str_fmt(mem, "%.1f %s", value, UNITS[n]);
}

static enum status open_target(struct running *r, const char *name)
{
	if (r->http == NULL)
		TRY(http_client_new(r->mem, "agent-sre/" AGENT_SRE_VERSION, &r->http));
	if (name == NULL)
		name = r->c->settings->backup_target[0];
	if (name == NULL)
		return failure(E_INVALID, "which place? name a directory or s3://BUCKET/PREFIX, or "
					  "set backup.target (AGENT_SRE_BACKUP_TARGET)");
	return depot_open(r->mem, r->c->settings, r->http, name, &r->target);
}

static void print_progress(int64_t done, int64_t whole, void *arg)
{
	int *shown = arg;
	int percent = whole <= 0 ? 100 : (int)(done * 100 / whole);

	if (percent == *shown || isatty(STDERR_FILENO) == 0)
		return;
	*shown = percent;
	fprintf(stderr, "\r%3d %%%s", percent, done >= whole ? "\r     \r" : "");
}

/* Backup. */

static enum status is_young(struct running *r, bool *young)
{
	struct point_ref *refs = NULL;
	size_t count = 0;

	*young = false;
	if (r->c->full || r->c->now)
		return OK;
	TRY(points_list(r->mem, r->target, &refs, &count));
	if (count == 0)
		return OK;
	int64_t age = clock_now() - refs[count - 1].time_ms;
	*young = age >= 0 && age < r->c->settings->backup_every;
	if (*young && !r->c->json)
		printf("%s: the newest point is %s old, nothing is due; --now takes one all the "
		       "same\n",
		       r->target->name, str_duration(r->mem, age));
	return OK;
}

static void print_backup(const struct running *r, const struct backup_result *b)
{
	bool full = b->parent[0] == '\0';

	if (r->c->json) {
		json_t *view = mem_own(r->mem, json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}",
							 "target", r->target->name, "point", b->id,
							 "kind", full ? "full" : "increment",
							 "time", clock_format(r->mem, b->time_ms),
							 "bytes", (json_int_t)b->bytes, "pages",
							 (json_int_t)b->pages, "page_count",
							 (json_int_t)b->page_count, "took_ms",
							 (json_int_t)b->took_ms));
		printf("%s\n", json_text(r->mem, view));
		return;
	}
	printf("%s: point %s (%s), %s in %s, %lld of %lld pages\n", r->target->name, b->id,
	       full ? "full" : "increment", size_text(r->mem, b->bytes),
	       str_duration(r->mem, b->took_ms), (long long)b->pages, (long long)b->page_count);
	if (b->why_full[0] != '\0')
		printf("full, because the points there cannot be built on: %s\n", b->why_full);
}

static enum status back_up_to(struct running *r, const char *name)
{
	struct backup_result result;
	bool young = false;

	TRY(open_target(r, name));
	TRY(is_young(r, &young));
	if (young)
		return OK;
	const struct backup_options o = {
		.data = r->c->settings->data,
		.target = r->target,
		.seal = r->keys.seal,
		.full_every_ms = r->c->settings->backup_full_every,
	};
	TRY(backup_take(backup_new(r->mem, &o), r->c->full, clock_now(), &result));
	print_backup(r, &result);
	return OK;
}

int daemon_backup(const struct backup_command *c)
{
	SCOPE(mem);
	struct running r = {.c = c, .mem = mem};
	const char *const only[] = {c->target, NULL};
	const char *const *names = c->target != NULL ? only : c->settings->backup_target;
	int code = 0;

	if (depot_keys(mem, c->settings, c->key_file, &r.keys) != OK)
		return failed();
	if (names[0] == NULL && open_target(&r, NULL) != OK)
		return failed();
	/* one place that fails does not keep the others from getting theirs */
	for (size_t n = 0; names[n] != NULL; n++)
		if (back_up_to(&r, names[n]) != OK)
			code = failed();
	return code;
}

/* Restore. */

static void print_tables(const struct point *p)
{
	for (size_t n = 0; n < p->table_count; n++)
		if (p->tables[n].rows > 0)
			printf("  %-20s %lld rows\n", p->tables[n].name,
			       (long long)p->tables[n].rows);
}

static json_t *restored_view(void *mem, const struct restore_result *x)
{
	json_t *tables = json_object();

	for (size_t n = 0; n < x->point->table_count; n++)
		json_object_set_new(tables, x->point->tables[n].name,
				    json_integer(x->point->tables[n].rows));
	return mem_own(mem, json_pack("{s:s, s:s, s:I, s:I, s:I, s:o}", "point", x->point->id,
				      "time", clock_format(mem, x->point->time_ms), "points",
				      (json_int_t)x->points, "bytes", (json_int_t)x->bytes,
				      "took_ms", (json_int_t)x->took_ms, "tables", tables));
}

static enum status find_time(const char *to, int64_t *at_ms)
{
	*at_ms = INT64_MAX;
	if (str_empty(to) || str_eq(to, "latest"))
		return OK;
	if (clock_parse(to, at_ms) != OK)
		return failure(E_INVALID,
			       "--to: want latest, or a time such as 2026-01-15T10:45:00Z");
	return OK;
}

/* What is needed is said by the seal: its key id. */
static enum status with_key_advice(enum status s, bool have_key)
{
	char why[512];

	if (s != E_DENIED || have_key)
		return s;
	str_print(why, sizeof(why), "%s", status_message());
	return failure(s, "%s; name the key file with --key FILE, or set encryption.key", why);
}

static enum status restore(struct running *r, struct restore_result *out)
{
	int shown = -1;
	int64_t at_ms = 0;
	struct point_ref ref;

	TRY(find_time(r->c->to, &at_ms));
	TRY(open_target(r, r->c->target));
	enum status s = depot_keys(r->mem, r->c->settings, r->c->key_file, &r->keys);
	bool have_key = s == OK;
	if (s != OK && s != E_NOTFOUND)
		return s;
	TRY(restore_find(r->mem, r->target, at_ms, &ref));
	const struct restore_options o = {
		.data = r->c->settings->data,
		.target = r->target,
		.seal = r->keys.seal,
		.key = r->keys.text,
		.by = r->c->by,
		.progress = print_progress,
		.arg = &shown,
	};
	return with_key_advice(restore_run(r->mem, &o, &ref, out), have_key);
}

int daemon_restore(const struct backup_command *c)
{
	SCOPE(mem);
	struct running r = {.c = c, .mem = mem};
	struct restore_result x;

	if (restore(&r, &x) != OK)
		return failed();
	if (c->json) {
		printf("%s\n", json_text(mem, restored_view(mem, &x)));
		return 0;
	}
	printf("restored into %s what was there at %s\n(point %s; %zu points, %s read in %s)\n",
	       c->settings->data, clock_format(mem, x.point->time_ms), x.point->id, x.points,
	       size_text(mem, x.bytes), str_duration(mem, x.took_ms));
	print_tables(x.point);
	printf("What the old agent did after that moment is not known here: make sure that it is "
	       "stopped, and when\nfunctions are not idempotent, start with --mode supervised "
	       "first.\n");
	return 0;
}

static void print_point(const struct point_ref *ref, void *mem)
{
	printf("%-26s %-10s %s\n", clock_format(mem, ref->time_ms),
	       str_eq(ref->id, ref->series) ? "full" : "increment", ref->id);
}

int daemon_restore_list(const struct backup_command *c)
{
	SCOPE(mem);
	struct running r = {.c = c, .mem = mem};
	struct point_ref *refs = NULL;
	size_t count = 0;
	json_t *list = mem_own(mem, json_array());

	if (open_target(&r, c->target) != OK || points_list(mem, r.target, &refs, &count) != OK)
		return failed();
	if (count == 0 && !c->json)
		printf("%s holds no backup\n", r.target->name);
	for (size_t n = 0; n < count; n++) {
		if (!c->json)
			print_point(&refs[n], mem);
		json_array_append_new(
			list,
			json_pack("{s:s, s:s, s:s}", "time", clock_format(mem, refs[n].time_ms),
				  "kind", str_eq(refs[n].id, refs[n].series) ? "full" : "increment",
				  "point", refs[n].id));
	}
	if (c->json)
		printf("%s\n", json_text(mem, list));
	return 0;
}

/* Drill. */

static const char *work_of(const struct backup_command *c)
{
	struct stat st;
	const char *temporary = getenv("TMPDIR");

	if (c->work != NULL)
		return c->work;
	if (stat(c->settings->data, &st) == 0 && S_ISDIR(st.st_mode))
		return c->settings->data;
	return str_empty(temporary) ? "/tmp" : temporary;
}

static enum status drill(struct running *r, struct drill_result *out)
{
	TRY(open_target(r, r->c->target));
	enum status s = depot_keys(r->mem, r->c->settings, r->c->key_file, &r->keys);
	bool have_key = s == OK;
	if (s != OK && s != E_NOTFOUND)
		return s;
	const struct drill_options o = {.settings = r->c->settings,
					.target = r->target,
					.keys = &r->keys,
					.work = work_of(r->c)};
	return with_key_advice(drill_run(r->mem, &o, clock_now(), out), have_key);
}

int daemon_backup_drill(const struct backup_command *c)
{
	SCOPE(mem);
	struct running r = {.c = c, .mem = mem};
	struct drill_result d;

	if (drill(&r, &d) != OK) {
		fprintf(stderr, "agent-sre: the drill failed: %s\n", status_message());
		return 1;
	}
	if (c->json) {
		json_t *view = restored_view(mem, &d.restored);
		json_object_set_new(view, "took_ms", json_integer(d.took_ms));
		printf("%s\n", json_text(mem, view));
		return 0;
	}
	printf("%s: the point of %s can be restored: every page and table is as it was, and the "
	       "store opens\n(point %s; %zu points, %s read, %s in all)\n",
	       r.target->name, clock_format(mem, d.restored.point->time_ms), d.restored.point->id,
	       d.restored.points, size_text(mem, d.restored.bytes), str_duration(mem, d.took_ms));
	print_tables(d.restored.point);
	return 0;
}
