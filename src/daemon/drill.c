#include "daemon/drill.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/store.h"

enum { ABANDONED_MS = 24 * 3600 * 1000 };

static const char PREFIX[] = "drill-";

static enum status count(struct store *store, struct drill_result *out)
{
	struct store_counts c;

	TRY(store_health(store));
	TRY(store_counts(store, &c));
	for (int n = 0; n < INCIDENT_STATE_COUNT; n++)
		out->incidents += c.incidents[n];
	out->jobs = c.jobs;
	return OK;
}

static enum status open_store(const struct drill_options *o, const char *dir,
			      struct drill_result *out)
{
	SCOPE(tmp);
	struct store *store = NULL;
	const struct store_options options = {
		.dir = dir,
		.encryption_key = o->settings->encryption_key,
		.previous_key = o->settings->encryption_previous_key,
	};

	TRY(store_open(tmp, &options, &store));
	enum status s = count(store, out);
	store_close(store);
	return s;
}

static enum status restore(void *mem, const struct drill_options *o, const char *dir,
			   struct drill_result *out)
{
	const struct restore_options options = {
		.data = dir,
		.target = o->target,
		.seal = o->keys->seal,
		.key = o->keys->text,
		.by = "drill",
		.progress = o->progress,
	};
	struct point_ref ref;

	TRY(restore_find(mem, o->target, INT64_MAX, &ref));
	return restore_run(mem, &options, &ref, &out->restored);
}

enum status drill_run(void *mem, const struct drill_options *o, int64_t now_ms,
		      struct drill_result *out)
{
	SCOPE(tmp);
	const char *dir = str_fmt(tmp, "%s/%s%s", o->work, PREFIX, id_random_hex(tmp, 6));
	int64_t began = clock_monotonic();

	*out = (struct drill_result){0};
	TRY(restore(mem, o, dir, out));
	enum status s = open_store(o, dir, out);
	if (s != OK)
		s = failure_in(s, "the restored store does not open");
	if (s == OK)
		s = directory_clear(dir);
	else if (directory_clear(dir) != OK)
		s = failure_in(s, "the drill failed, and its directory stays");
	rmdir(dir);
	TRY(s);
	out->took_ms = clock_monotonic() - began;
	return depot_note_drill(o->target, o->keys->seal, now_ms);
}

void drill_clean(const char *work, int64_t now_ms)
{
	SCOPE(tmp);
	DIR *d = opendir(work);
	struct stat st;

	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		const char *path = str_fmt(tmp, "%s/%s", work, e->d_name);
		if (!str_starts(e->d_name, PREFIX) || lstat(path, &st) != 0 ||
		    !S_ISDIR(st.st_mode) || st.st_mtime > (now_ms - ABANDONED_MS) / 1000)
			continue;
		if (directory_clear(path) == OK)
			rmdir(path);
	}
	if (d != NULL)
		closedir(d);
}
