#include "store/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/chain.h"
#include "store/pages.h"
#include "store/tables.h"
#include "store/tail.h"

enum {
	FULL_EVERY_MS = 24 * 3600 * 1000,
	ORPHAN_MS = 24 * 3600 * 1000,
	SNAPSHOT_TRIES = 20,
	BUSY_MS = 5000
};

struct backup {
	struct backup_options options;
	struct point *last; /* NULL = look it up */
	unsigned char *digests;
	int64_t full_ms;   /* when the series of `last` began */
	int64_t newest_ms; /* of all points there: the next one is later, whatever the clock says */
};

struct taking {
	struct backup *b;
	struct point *point;
	const struct point *base; /* NULL = a full point */
	const unsigned char *base_digests;
	unsigned char *digests;
	size_t digest_room;
	struct page_writer pages, sums;
	struct tail_file *tail;
	size_t tail_count;
	int64_t bytes;
	int serial; /* of the next part */
};

struct backup *backup_new(void *mem, const struct backup_options *o)
{
	struct backup *b = NEW(mem, struct backup);

	b->options = *o;
	b->options.data = str_dup(b, o->data);
	if (b->options.full_every_ms == 0)
		b->options.full_every_ms = FULL_EVERY_MS;
	return b;
}

static enum status trouble(sqlite3 *db)
{
	int code = sqlite3_extended_errcode(db);
	int kind = code & 0xff;

	return failure(kind == SQLITE_BUSY || kind == SQLITE_IOERR ? E_TRANSIENT
		       : kind == SQLITE_CANTOPEN		   ? E_NOTFOUND
								   : E_INTERNAL,
		       "store: the database cannot be read (%s, code %d)", sqlite3_errmsg(db),
		       code);
}

static enum status number_of(sqlite3 *db, const char *sql, int64_t *out)
{
	sqlite3_stmt *row = NULL;
	enum status s = OK;

	if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK ||
	    sqlite3_step(row) != SQLITE_ROW)
		s = trouble(db);
	else
		*out = sqlite3_column_int64(row, 0);
	sqlite3_finalize(row);
	return s;
}

/* Databases from before the intake log have no such table. */
static enum status knows_intake(sqlite3 *db, bool *out)
{
	int64_t known = 0;

	TRY(number_of(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'intake'", &known));
	*out = known != 0;
	return OK;
}

static enum status read_applied(sqlite3 *db, int64_t *out)
{
	bool known = false;

	*out = 0;
	TRY(knows_intake(db, &known));
	return !known ? OK : number_of(db, "SELECT coalesce(max(applied), 0) FROM intake", out);
}

static enum status read_store(void *mem, sqlite3 *db, char **out)
{
	sqlite3_stmt *row = NULL;
	bool known = false;
	enum status s = OK;

	*out = str_dup(mem, "");
	TRY(knows_intake(db, &known));
	if (!known)
		return OK;
	if (sqlite3_prepare_v2(db, "SELECT uid FROM intake", -1, &row, NULL) != SQLITE_OK ||
	    sqlite3_step(row) != SQLITE_ROW)
		s = trouble(db);
	else
		*out = str_dup(mem, (const char *)sqlite3_column_text(row, 0));
	sqlite3_finalize(row);
	return s;
}

/* Parts. */

static struct part *new_part(struct taking *t, enum part_kind kind)
{
	struct point *p = t->point;

	p->parts = GROW(p, p->parts, struct part, p->part_count + 1);
	struct part *part = &p->parts[p->part_count++];
	*part = (struct part){.kind = kind, .file = str_dup(p, ""), .plain_sha256 = str_dup(p, "")};
	return part;
}

static enum status ship(struct taking *t, struct part *part, const void *plain, size_t n)
{
	SCOPE(tmp);
	const struct backup_options *o = &t->b->options;
	const char *name =
		str_fmt(tmp, "%s/%s-%06d.part", t->point->series, t->point->id, ++t->serial);

	if (t->serial > 999999)
		return failure(E_INVALID, "backup: the database is too large");
	TRY(part_save(t->point, o->target, o->seal, name, plain, n, part));
	t->bytes += part->bytes;
	return OK;
}

static enum status ship_entries(struct taking *t, struct page_writer *w, enum part_kind kind)
{
	if (w->bytes == NULL || w->count == 0)
		return OK;
	TRY(ship(t, new_part(t, kind), w->bytes, w->used));
	entries_begin(t->point, w, kind, w->entry_bytes);
	return OK;
}

/* Pages. */

static bool is_known(const struct taking *t, uint32_t number, const unsigned char *digest)
{
	return t->base != NULL && number <= t->base->page_count &&
	       memcmp(t->base_digests + (size_t)(number - 1) * DIGEST_BYTES, digest,
		      DIGEST_BYTES) == 0;
}

static void remember(struct taking *t, uint32_t number, const unsigned char *digest)
{
	size_t end = (size_t)number * DIGEST_BYTES;

	if (end > t->digest_room) {
		size_t room = 2 * end;
		t->digests = GROW(t->point, t->digests, unsigned char, room);
		memset(t->digests + t->digest_room, 0, room - t->digest_room);
		t->digest_room = room;
	}
	memcpy(t->digests + end - DIGEST_BYTES, digest, DIGEST_BYTES);
}

static enum status take_page(uint32_t number, const unsigned char *bytes, size_t n, void *arg)
{
	struct taking *t = arg;
	unsigned char digest[DIGEST_BYTES];

	if (number > PAGES_MAX)
		return failure(E_INVALID, "backup: the database is too large");
	page_digest(digest, bytes, n);
	remember(t, number, digest);
	if (is_known(t, number, digest))
		return OK;
	if (t->pages.bytes == NULL) {
		entries_begin(t->point, &t->pages, PART_PAGES, (uint32_t)n);
		entries_begin(t->point, &t->sums, PART_DIGESTS, DIGEST_BYTES);
	}
	t->point->pages++;
	if (entries_add(&t->pages, number, bytes))
		TRY(ship_entries(t, &t->pages, PART_PAGES));
	if (entries_add(&t->sums, number, digest))
		TRY(ship_entries(t, &t->sums, PART_DIGESTS));
	return OK;
}

static enum status take_pages(struct taking *t, sqlite3 *db)
{
	struct point *p = t->point;
	uint32_t size = 0;
	uint32_t count = 0;

	TRY(pages_each(db, take_page, t, &size, &count));
	TRY(ship_entries(t, &t->pages, PART_PAGES));
	TRY(ship_entries(t, &t->sums, PART_DIGESTS));
	p->page_size = size;
	p->page_count = count;
	TRY(number_of(db, "PRAGMA user_version", &p->schema));
	return tables_digest(p, db, &p->tables, &p->table_count);
}

/* Files beside the database. */

static const struct part *same_piece(const struct taking *t, const struct part *piece)
{
	for (size_t n = 0; t->base != NULL && n < t->base->part_count; n++) {
		const struct part *p = &t->base->parts[n];
		if (p->kind == PART_FILE && p->offset == piece->offset &&
		    p->length == piece->length && str_eq(p->file, piece->file) &&
		    str_eq(p->plain_sha256, piece->plain_sha256))
			return p;
	}
	return NULL;
}

struct piece {
	const char *file;
	int64_t offset, size; /* where it stands in the file; of the whole file */
	const char *bytes;
	size_t n;
};

static enum status take_piece(struct taking *t, const struct piece *from)
{
	struct part *part = new_part(t, PART_FILE);

	part->file = str_dup(t->point, from->file);
	part->offset = from->offset;
	part->length = (int64_t)from->n;
	part->size = from->size;
	part->plain_sha256 = id_sha256(t->point, from->bytes, from->n);
	const struct part *same = same_piece(t, part);
	if (same == NULL)
		return ship(t, part, from->bytes, from->n);
	part->name = str_dup(t->point, same->name);
	part->bytes = same->bytes;
	part->sha256 = str_dup(t->point, same->sha256);
	return OK;
}

static enum status take_tail(struct taking *t, const struct tail_file *f)
{
	struct piece p = {.file = f->name, .size = f->size};

	do {
		size_t left = f->used - (size_t)p.offset;
		p.bytes = f->bytes + p.offset;
		p.n = left < PART_PLAIN_BYTES ? left : PART_PLAIN_BYTES;
		TRY(take_piece(t, &p));
		p.offset += (int64_t)p.n;
	} while (p.offset < (int64_t)f->used);
	return OK;
}

static enum status unread(const char *name)
{
	char reason[128];

	return failure(E_TRANSIENT, "%s: %s", name, strerror_r(errno, reason, sizeof(reason)));
}

static enum status read_piece(int fd, const char *name, char *to, int64_t offset, size_t *n)
{
	for (*n = 0; *n < PART_PLAIN_BYTES;) {
		ssize_t got = pread(fd, to + *n, PART_PLAIN_BYTES - *n, offset + (off_t)*n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return unread(name);
		if (got == 0)
			return OK;
		*n += (size_t)got;
	}
	return OK;
}

/* An archive file only ever grows: what the snapshot knows of is whole. */
static enum status take_archive(struct taking *t, int fd, const char *name)
{
	SCOPE(tmp);
	char *bytes = NEW_ARRAY(tmp, char, PART_PLAIN_BYTES);
	struct piece p = {.file = name, .bytes = bytes};
	struct stat st;

	if (fstat(fd, &st) != 0)
		return unread(name);
	if (!S_ISREG(st.st_mode))
		return OK;
	p.size = st.st_size;
	while (p.offset < p.size) {
		int64_t left = p.size - p.offset;
		TRY(read_piece(fd, name, bytes, p.offset, &p.n));
		if ((int64_t)p.n > left)
			p.n = (size_t)left;
		if (p.n == 0)
			return failure(E_TRANSIENT, "%s: cut while it was copied", name);
		TRY(take_piece(t, &p));
		p.offset += (int64_t)p.n;
	}
	return OK;
}

static enum status take_entry(struct taking *t, DIR *d, const char *entry)
{
	SCOPE(tmp);
	char *name = str_fmt(tmp, "archive/%s", entry);

	if (!point_file_fits(name))
		return OK;
	int fd = openat(dirfd(d), entry, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) /* removed meanwhile, or a link: that is none of ours */
		return errno == ENOENT || errno == ELOOP ? OK : unread(name);
	enum status s = take_archive(t, fd, name);
	close(fd);
	return s;
}

/* A point without an archive that is there would count as whole: what cannot be read fails it. */
static enum status take_archives(struct taking *t)
{
	SCOPE(tmp);
	DIR *d = opendir(str_fmt(tmp, "%s/archive", t->b->options.data));
	const struct dirent *e = NULL;
	enum status s = OK;

	if (d == NULL)
		return errno == ENOENT ? OK : unread("archive");
	while (s == OK && (errno = 0, e = readdir(d)) != NULL)
		s = take_entry(t, d, e->d_name);
	if (s == OK && errno != 0)
		s = unread("archive");
	closedir(d);
	return s;
}

/* What to build on. */

static void forget(struct backup *b)
{
	talloc_free(b->last);
	b->last = NULL;
	b->digests = NULL;
}

/* The newest point may be of somebody else: a backup by hand beside the daemon's. */
static enum status find_newest(void *mem, struct backup *b, struct point_ref *newest)
{
	struct point_ref *refs = NULL;
	size_t count = 0;

	TRY(points_list(mem, b->options.target, &refs, &count));
	*newest = count == 0 ? (struct point_ref){0} : refs[count - 1];
	b->newest_ms = newest->time_ms;
	if (b->last != NULL && !str_eq(b->last->id, newest->id))
		forget(b);
	return OK;
}

static enum status recall(struct backup *b, const struct point_ref *newest)
{
	SCOPE(tmp);
	const struct backup_options *o = &b->options;
	struct point **chain = NULL;
	size_t count = 0;

	if (b->last != NULL || newest->id == NULL)
		return OK;
	TRY(chain_load(tmp, o->target, o->seal, newest->series, newest->id, &chain, &count));
	struct point *last = chain[count - 1];
	TRY(chain_digests(last, o->target, o->seal, chain, count, &b->digests));
	b->full_ms = chain[0]->time_ms;
	b->last = talloc_move(b, &last);
	return OK;
}

static bool is_full_due(const struct backup *b, int64_t now_ms)
{
	return b->last == NULL || now_ms - b->full_ms >= b->options.full_every_ms ||
	       now_ms < b->full_ms;
}

/* An agent that has lost its disk begins with an empty store: what it ships must not take the place
 * of the points that could bring back the lost one. */
static enum status check_owner(const struct backup *b, const char *store)
{
	const struct point *last = b->last;

	if (last == NULL || *last->store == '\0' || str_eq(last->store, store))
		return OK;
	return failure(E_CONFLICT,
		       "%s holds backups of another store: restore that one, or name another place "
		       "for this one",
		       b->options.target->name);
}

/* A damaged point is a reason for a full one, not for none. */
static enum status choose_base(struct backup *b, const char *store, bool full, int64_t now_ms,
			       int64_t page_size, struct backup_result *out)
{
	SCOPE(tmp);
	struct point_ref newest;

	TRY(find_newest(tmp, b, &newest));
	enum status s = recall(b, &newest);
	if (s == E_DENIED)
		return failure_in(s,
				  "%s holds backups of another key; set "
				  "encryption.previous_key, or name another place",
				  b->options.target->name);
	if (status_is_retryable(s) || s == E_CANCELED)
		return s;
	if (s == OK)
		TRY(check_owner(b, store));
	if (s != OK)
		str_print(out->why_full, sizeof(out->why_full), "%s", status_message());
	if (s != OK || full || is_full_due(b, now_ms) || b->last->page_size != page_size)
		forget(b);
	return OK;
}

static void begin(struct taking *t, struct backup *b, const char *store, int64_t now_ms)
{
	char id[POINT_ID_BYTES];
	int64_t time_ms = now_ms;

	/* ids sort as the points were taken, also when the clock was set back */
	if (time_ms <= b->newest_ms)
		time_ms = b->newest_ms + 1;
	point_id(id, time_ms);
	struct point *p = NEW(NULL, struct point);
	p->id = str_dup(p, id);
	p->series = str_dup(p, b->last == NULL ? id : b->last->series);
	p->parent = str_dup(p, b->last == NULL ? "" : b->last->id);
	p->store = str_dup(p, store);
	p->time_ms = time_ms;
	*t = (struct taking){.b = b, .point = p, .base = b->last, .base_digests = b->digests};
}

/* The database as it is now, and the records that it lacks. Each try is a snapshot of its own. */
static enum status begin_snapshot(void *mem, struct taking *t, sqlite3 *db)
{
	int64_t applied = -1;
	enum status s = E_CONFLICT;

	for (int try = 0; s == E_CONFLICT && try < SNAPSHOT_TRIES; try++) {
		int64_t before = applied;
		if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
			return trouble(db);
		TRY(read_applied(db, &applied));
		/* nothing was applied since the last try: the gap was not made by recycling */
		s = tail_copy(mem, t->b->options.data, (uint64_t)applied, applied == before,
			      &t->tail, &t->tail_count);
		if (s != OK)
			sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	}
	return s == E_CONFLICT ? failure_in(E_TRANSIENT, "backup") : s;
}

static enum status take_all(struct taking *t, sqlite3 *db, int64_t began)
{
	SCOPE(tmp);

	TRY(begin_snapshot(tmp, t, db));
	TRY(take_pages(t, db));
	sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	for (size_t n = 0; n < t->tail_count; n++)
		TRY(take_tail(t, &t->tail[n]));
	TRY(take_archives(t));
	t->point->took_ms = clock_monotonic() - began;
	return point_save(t->b->options.target, t->b->options.seal, t->point, &t->bytes);
}

static void report(const struct taking *t, struct backup_result *out)
{
	const struct point *p = t->point;

	str_print(out->id, sizeof(out->id), "%s", p->id);
	str_print(out->parent, sizeof(out->parent), "%s", p->parent);
	out->time_ms = p->time_ms;
	out->took_ms = p->took_ms;
	out->page_size = p->page_size;
	out->page_count = p->page_count;
	out->pages = p->pages;
	out->bytes = t->bytes;
}

static enum status take_from(struct backup *b, sqlite3 *db, bool full, int64_t now_ms,
			     struct backup_result *out)
{
	SCOPE(tmp);
	int64_t began = clock_monotonic();
	int64_t page_size = 0;
	char *store = NULL;
	struct taking t;

	TRY(number_of(db, "PRAGMA page_size", &page_size));
	TRY(read_store(tmp, db, &store));
	TRY(choose_base(b, store, full, now_ms, page_size, out));
	begin(&t, b, store, now_ms);
	enum status s = take_all(&t, db, began);
	if (s != OK) {
		talloc_free(t.point);
		return s;
	}
	report(&t, out);
	if (*t.point->parent == '\0')
		b->full_ms = t.point->time_ms;
	talloc_free(b->last);
	b->last = talloc_move(b, &t.point);
	b->digests = t.digests;
	/* the buffers need not wait for the next time */
	talloc_free(t.pages.bytes);
	talloc_free(t.sums.bytes);
	return OK;
}

enum status backup_take(struct backup *b, bool full, int64_t now_ms, struct backup_result *out)
{
	SCOPE(tmp);
	const char *path = str_fmt(tmp, "%s/agent-sre.db", b->options.data);
	sqlite3 *db = NULL;

	*out = (struct backup_result){0};
	int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (code == SQLITE_OK) {
		sqlite3_busy_timeout(db, BUSY_MS);
		sqlite3_extended_result_codes(db, 1);
	}
	enum status s = code == SQLITE_OK
				? take_from(b, db, full, now_ms, out)
				: failure(E_NOTFOUND, "%s: %s", path, sqlite3_errstr(code));
	sqlite3_close(db);
	return s;
}

/* Retention. */

static enum status remove_series(struct target *t, char **names, size_t count, const char *series,
				 size_t *removed)
{
	/* manifests first and the newest of them first: what is left of a cut removal is no point
	 */
	for (int pass = 0; pass < 2; pass++) {
		for (size_t n = count; n-- > 0;) {
			bool is_point = str_ends(names[n], ".point");
			if (!str_starts(names[n], series) || is_point != (pass == 0))
				continue;
			TRY(t->remove(t, names[n]));
			*removed += is_point ? 1 : 0;
		}
	}
	return OK;
}

struct series {
	const char *id;
	int64_t newest_ms;
	bool has_point;
};

static bool is_over(const struct series *s, const struct series *last, int64_t keep_ms,
		    int64_t now_ms)
{
	if (last != NULL && str_eq(s->id, last->id))
		return false;
	int64_t age_ms = now_ms - s->newest_ms;
	return s->has_point ? age_ms > keep_ms : age_ms > ORPHAN_MS;
}

static void note_name(struct series *all, size_t *count, void *mem, const char *name)
{
	size_t length = POINT_ID_BYTES - 1;
	const char *id = str_ndup(mem, name, length);
	char *series = NULL;
	char *point = NULL;

	if (strlen(id) != length || name[length] != '/' || !point_id_fits(id))
		return;
	/* the names are sorted, so a series stands together */
	if (*count == 0 || !str_eq(all[*count - 1].id, id))
		all[(*count)++] = (struct series){.id = id, .newest_ms = point_id_time(id)};
	if (!point_name_parse(mem, name, &series, &point))
		return;
	struct series *s = &all[*count - 1];
	s->has_point = true;
	if (point_id_time(point) > s->newest_ms)
		s->newest_ms = point_id_time(point);
}

enum status backup_prune(struct target *t, int64_t keep_ms, int64_t now_ms, size_t *removed)
{
	SCOPE(tmp);
	char **names = NULL;
	size_t count = 0;
	size_t series_count = 0;
	const struct series *last = NULL;

	*removed = 0;
	TRY(t->list(tmp, t, &names, &count));
	struct series *all = NEW_ARRAY(tmp, struct series, count);
	for (size_t n = 0; n < count; n++)
		note_name(all, &series_count, tmp, names[n]);
	for (size_t n = 0; n < series_count; n++)
		if (all[n].has_point)
			last = &all[n];
	for (size_t n = 0; n < series_count; n++)
		if (is_over(&all[n], last, keep_ms, now_ms))
			TRY(remove_series(t, names, count, all[n].id, removed));
	return OK;
}
