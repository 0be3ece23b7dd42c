#include "store/restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/tables.h"

/* In the place of the database until the end: SQLite says that it is none, so no daemon starts. */
static const char NOTE[] =
	"A restore into this directory was not finished: run agent-sre restore again, or remove "
	"the directory.\n";

enum {
	LOCK_PAGE_AT = 0x40000000, /* SQLite never uses the page that holds this byte */
	MIB = 1024 * 1024
};

struct restoring {
	const struct restore_options *o;
	struct point **chain;
	size_t count;
	const struct point *point; /* the last of the chain */
	const char *note, *draft;  /* agent-sre.db, and what becomes it */
	int lock, fd;
	int64_t done, whole;
	bool created; /* the directory */
	bool locked;  /* it is ours: nobody else's work stands in it */
};

static enum status trouble(const char *path, const char *what)
{
	int why = errno;
	char reason[128];

	return failure(why == EACCES || why == EPERM || why == EROFS ? E_DENIED : E_TRANSIENT,
		       "%s: %s: %s", path, what, strerror_r(why, reason, sizeof(reason)));
}

/* Choosing. */

enum status restore_find(void *mem, struct target *t, int64_t at_ms, struct point_ref *out)
{
	SCOPE(tmp);
	struct point_ref *all = NULL;
	size_t count = 0;

	TRY(points_list(mem, t, &all, &count));
	if (count == 0)
		return failure(E_NOTFOUND, "%s holds no backup", t->name);
	for (size_t n = count; n-- > 0;) {
		if (all[n].time_ms > at_ms)
			continue;
		*out = all[n];
		return OK;
	}
	return failure(E_NOTFOUND, "%s holds nothing of %s; its oldest point is of %s", t->name,
		       clock_format(tmp, at_ms), clock_format(tmp, all[0].time_ms));
}

/* The directory. */

static enum status look_inside(struct restoring *r, bool *other)
{
	DIR *d = opendir(r->o->data);
	const struct dirent *e = NULL;
	enum status s = OK;
	char *text = NULL;
	size_t n = 0;
	SCOPE(tmp);

	if (d == NULL)
		return trouble(r->o->data, "cannot be listed");
	*other = false;
	while ((errno = 0, e = readdir(d)) != NULL)
		*other = *other || (!str_eq(e->d_name, ".") && !str_eq(e->d_name, "..") &&
				    !str_eq(e->d_name, "lost+found") && !str_eq(e->d_name, "lock"));
	if (errno != 0) /* what is behind may be somebody's */
		s = trouble(r->o->data, "cannot be listed");
	closedir(d);
	TRY(s);
	/* what our note stands in is ours */
	if (*other && file_read(tmp, r->note, sizeof(NOTE), &text, &n) == OK && str_eq(text, NOTE))
		*other = false;
	return OK;
}

static enum status take_directory(struct restoring *r)
{
	SCOPE(tmp);
	const char *lock = str_fmt(tmp, "%s/lock", r->o->data);
	bool other = false;

	r->created = mkdir(r->o->data, 0700) == 0;
	if (!r->created && errno != EEXIST)
		return trouble(r->o->data, "cannot be created");
	bool had_lock = access(lock, F_OK) == 0;
	r->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (r->lock < 0)
		return trouble(lock, "cannot be opened");
	if (flock(r->lock, LOCK_EX | LOCK_NB) != 0)
		return failure(
			E_CONFLICT,
			"%s is in use by a running agent-sre: name a new directory, and stop "
			"the old agent before the restored one starts",
			r->o->data);
	TRY(look_inside(r, &other));
	r->locked = !other;
	if (other && !had_lock)
		unlink(lock);
	if (other)
		return failure(E_CONFLICT, "%s is not empty: name a new directory with --data",
			       r->o->data);
	TRY(directory_clear(r->o->data));
	/* the lock's name too is gone: hold it under its name, and never let go of it meanwhile */
	int old = r->lock;
	r->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	r->locked = r->lock >= 0 && flock(r->lock, LOCK_EX | LOCK_NB) == 0;
	close(old);
	if (!r->locked)
		return trouble(lock, "cannot be locked");
	TRY(file_write_durably(r->note, NOTE, strlen(NOTE)));
	return directory_sync(r->o->data);
}

static enum status check_room(const struct restoring *r)
{
	struct statvfs fs;
	uint64_t need = (uint64_t)r->point->page_count * (uint64_t)r->point->page_size;

	for (size_t n = 0; n < r->point->part_count; n++)
		need += r->point->parts[n].kind == PART_FILE ? (uint64_t)r->point->parts[n].length
							     : 0;
	if (statvfs(r->o->data, &fs) != 0)
		return trouble(r->o->data, "cannot be looked at");
	uint64_t have = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (have < need)
		return failure(E_TRANSIENT, "%s has room for %llu MiB, the restore needs %llu MiB",
			       r->o->data, (unsigned long long)have / MIB,
			       (unsigned long long)need / MIB);
	return OK;
}

/* Parts. */

static void advance(struct restoring *r, int64_t bytes)
{
	r->done += bytes;
	if (r->o->progress != NULL)
		r->o->progress(r->done, r->whole, r->o->arg);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_needed(const struct restoring *r, const struct point *p, const struct part *part)
{
	return part->kind != PART_FILE || p == r->point;
}

/* A part that is missing is known before the hour that the others may take. */
static enum status check_presence(struct restoring *r)
{
	SCOPE(tmp);
	char **names = NULL;
	size_t count = 0;

	TRY(r->o->target->list(tmp, r->o->target, &names, &count));
	for (size_t n = 0; n < r->count; n++) {
		const struct point *p = r->chain[n];
		for (size_t k = 0; k < p->part_count; k++) {
			if (!is_needed(r, p, &p->parts[k]))
				continue;
			r->whole += p->parts[k].bytes;
			if (count == 0 || bsearch(&p->parts[k].name, names, count, sizeof(*names),
						  by_text) == NULL)
				return failure(E_INVALID, "%s: it is missing", p->parts[k].name);
		}
	}
	return OK;
}

static enum status write_at(int fd, const char *path, const void *bytes, size_t n, int64_t at)
{
	const char *from = bytes;

	while (n > 0) {
		ssize_t wrote = pwrite(fd, from, n, (off_t)at);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return trouble(path, "cannot be written");
		from += wrote;
		at += wrote;
		n -= (size_t)wrote;
	}
	return OK;
}

static enum status put_page(uint32_t number, const unsigned char *bytes, void *arg)
{
	struct restoring *r = arg;
	size_t size = (size_t)r->point->page_size;

	/* the database was larger then */
	if (number > r->point->page_count)
		return OK;
	return write_at(r->fd, r->draft, bytes, size, (int64_t)(number - 1) * (int64_t)size);
}

static enum status put_pages(struct restoring *r, const struct point *p)
{
	for (size_t n = 0; n < p->part_count; n++) {
		SCOPE(tmp);
		char *plain = NULL;
		size_t bytes = 0;
		if (p->parts[n].kind != PART_PAGES)
			continue;
		TRY(part_load(tmp, r->o->target, r->o->seal, &p->parts[n], &plain, &bytes));
		enum status s = entries_each(PART_PAGES, plain, bytes, (uint32_t)p->page_size,
					     (uint32_t)p->page_count, put_page, r);
		if (s != OK)
			return failure_in(s, "%s", p->parts[n].name);
		advance(r, p->parts[n].bytes);
	}
	return OK;
}

/* Every page is what the chain says it is. */
static enum status check_pages(struct restoring *r)
{
	SCOPE(tmp);
	const struct point *p = r->point;
	unsigned char *want = NULL;
	unsigned char have[DIGEST_BYTES];
	size_t size = (size_t)p->page_size;
	unsigned char *page = NEW_ARRAY(tmp, unsigned char, size);

	TRY(chain_digests(tmp, r->o->target, r->o->seal, r->chain, r->count, &want));
	for (int64_t n = 0; n < p->page_count; n++) {
		if (n == LOCK_PAGE_AT / p->page_size)
			continue;
		if (pread(r->fd, page, size, (off_t)(n * p->page_size)) != (ssize_t)size)
			return trouble(r->draft, "cannot be read back");
		page_digest(have, page, size);
		if (memcmp(have, want + n * DIGEST_BYTES, DIGEST_BYTES) != 0)
			return failure(E_INVALID,
				       "backup: page %lld of %lld is not what the point says",
				       (long long)n + 1, (long long)p->page_count);
	}
	return OK;
}

static enum status put_database(struct restoring *r)
{
	const struct point *p = r->point;

	r->fd = open(r->draft, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (r->fd < 0)
		return trouble(r->draft, "cannot be created");
	for (size_t n = 0; n < r->count; n++)
		TRY(put_pages(r, r->chain[n]));
	if (ftruncate(r->fd, (off_t)(p->page_count * p->page_size)) != 0 || fsync(r->fd) != 0)
		return trouble(r->draft, "cannot be written");
	return check_pages(r);
}

/* Tables. */

static enum status sqlite_trouble(sqlite3 *db)
{
	return failure(E_INTERNAL, "the restored database cannot be read (%s)", sqlite3_errmsg(db));
}

static enum status check_structure(sqlite3 *db)
{
	sqlite3_stmt *row = NULL;
	enum status s = OK;

	if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &row, NULL) != SQLITE_OK ||
	    sqlite3_step(row) != SQLITE_ROW)
		s = sqlite_trouble(db);
	else if (!str_eq((const char *)sqlite3_column_text(row, 0), "ok"))
		s = failure(E_INVALID, "the restored database is damaged: %s",
			    (const char *)sqlite3_column_text(row, 0));
	sqlite3_finalize(row);
	return s;
}

static enum status check_tables(const struct restoring *r)
{
	SCOPE(tmp);
	struct table_digest *have = NULL;
	size_t count = 0;
	sqlite3 *db = NULL;

	int code =
		sqlite3_open_v2(r->draft, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	enum status s = code == SQLITE_OK ? check_structure(db) : sqlite_trouble(db);
	if (s == OK)
		s = tables_digest(tmp, db, &have, &count);
	if (s == OK)
		s = tables_compare(r->point->tables, r->point->table_count, have, count);
	sqlite3_close(db);
	return s;
}

/* Files beside the database. */

static enum status put_piece(struct restoring *r, const struct part *p)
{
	SCOPE(tmp);
	const char *path = str_fmt(tmp, "%s/%s", r->o->data, p->file);
	char *plain = NULL;
	size_t n = 0;

	TRY(part_load(tmp, r->o->target, r->o->seal, p, &plain, &n));
	if ((int64_t)n != p->length)
		return failure(E_INVALID, "%s: a piece of the wrong length", p->name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return trouble(path, "cannot be created");
	enum status s = write_at(fd, path, plain, n, p->offset);
	if (s == OK && (ftruncate(fd, (off_t)p->size) != 0 || fsync(fd) != 0))
		s = trouble(path, "cannot be written");
	close(fd);
	TRY(s);
	advance(r, p->bytes);
	return OK;
}

static enum status put_files(struct restoring *r)
{
	SCOPE(tmp);
	const char *archive = str_fmt(tmp, "%s/archive", r->o->data);
	const struct point *p = r->point;
	bool archived = false;

	for (size_t n = 0; n < p->part_count; n++) {
		if (p->parts[n].kind != PART_FILE)
			continue;
		if (!archived && str_starts(p->parts[n].file, "archive/")) {
			archived = true;
			if (mkdir(archive, 0700) != 0)
				return trouble(archive, "cannot be created");
		}
		TRY(put_piece(r, &p->parts[n]));
	}
	return archived ? directory_sync(archive) : OK;
}

static enum status put_key(const struct restoring *r)
{
	SCOPE(tmp);

	if (r->o->key == NULL)
		return OK;
	return file_write_durably(str_fmt(tmp, "%s/seal.key", r->o->data), r->o->key,
				  strlen(r->o->key));
}

/* Who restored what, for whoever asks later. */
static enum status put_record(const struct restoring *r)
{
	SCOPE(tmp);
	json_t *record = mem_own(tmp, json_pack("{s:s, s:s, s:s, s:s, s:s}", "from",
						r->o->target->name, "point", r->point->id, "time",
						clock_format(tmp, r->point->time_ms), "restored_at",
						clock_format(tmp, clock_now()), "by",
						r->o->by == NULL ? "" : r->o->by));
	const char *text = str_fmt(tmp, "%s\n", json_text(tmp, record));

	return file_write_durably(str_fmt(tmp, "%s/restored.json", r->o->data), text, strlen(text));
}

static enum status finish(struct restoring *r)
{
	TRY(put_key(r));
	TRY(put_record(r));
	TRY(directory_sync(r->o->data));
	if (rename(r->draft, r->note) != 0)
		return trouble(r->note, "cannot be renamed into place");
	return directory_sync(r->o->data);
}

static enum status put_all(struct restoring *r)
{
	TRY(check_room(r));
	TRY(put_database(r));
	enum status s = check_tables(r);
	if (s != OK)
		return failure_in(s, "point %s", r->point->id);
	TRY(put_files(r));
	return finish(r);
}

static void undo(struct restoring *r)
{
	SCOPE(tmp);
	const char *why = str_dup(tmp, status_message());

	if (directory_clear(r->o->data) != OK)
		failure(E_TRANSIENT, "%s; %s", why, status_message());
	else
		failure(E_TRANSIENT, "%s", why);
	if (r->created)
		rmdir(r->o->data);
}

static enum status restore(struct restoring *r)
{
	enum status s = check_presence(r);

	if (s == OK)
		s = take_directory(r);
	if (s == OK) {
		s = put_all(r);
		if (s != OK)
			undo(r);
	} else if (r->created && r->locked) {
		undo(r);
	}
	if (r->fd >= 0)
		close(r->fd);
	if (r->lock >= 0)
		close(r->lock);
	return s;
}

enum status restore_run(void *mem, const struct restore_options *o, const struct point_ref *ref,
			struct restore_result *out)
{
	int64_t began = clock_monotonic();
	struct restoring r = {.o = o, .lock = -1, .fd = -1};

	r.note = str_fmt(mem, "%s/agent-sre.db", o->data);
	r.draft = str_fmt(mem, "%s.restoring", r.note);
	TRY(chain_load(mem, o->target, o->seal, ref->series, ref->id, &r.chain, &r.count));
	r.point = r.chain[r.count - 1];
	TRY(restore(&r));
	*out = (struct restore_result){.point = r.chain[r.count - 1],
				       .points = r.count,
				       .bytes = r.done,
				       .took_ms = clock_monotonic() - began};
	return OK;
}
