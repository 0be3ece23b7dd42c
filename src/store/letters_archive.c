/*
 * Letters leave the table only by way of the archive, or dropped by a person. A letter is marked,
 * its line is written and synced, and only then its row goes and its place in the file is
 * remembered: a crash in between leaves the letter where it was, and at worst a second line of it.
 * The lines of a file: {v, dlq_id, archived_at, entry, original}, both of the latter sealed, in
 * base64.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/seal.h"
#include "base/str.h"
#include "store/letter_parts.h"

#define ARCHIVE_CONTEXT "dead letter archive"

enum { BITE = LETTERS_ARCHIVE_BITE };

static char *to_base64(void *mem, const unsigned char *bytes, size_t n)
{
	char *text = NEW_ARRAY(mem, char, (n + 2) / 3 * 4 + 1);

	EVP_EncodeBlock((unsigned char *)text, bytes, (int)n);
	return text;
}

static enum status from_base64(void *mem, const char *text, unsigned char **out, size_t *n)
{
	size_t length = strlen(text);
	unsigned char *bytes = NEW_ARRAY(mem, unsigned char, length / 4 * 3 + 1);
	int got = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)length);

	if (got < 0 || length % 4 != 0)
		return failure(E_INTERNAL, "archive: a line is damaged");
	*n = (size_t)got -
	     (length >= 4 ? (text[length - 1] == '=') + (text[length - 2] == '=') : 0);
	*out = bytes;
	return OK;
}

static enum status trouble(const char *path)
{
	char reason[128];

	return failure(E_TRANSIENT, "archive %s: %s", path,
		       strerror_r(errno, reason, sizeof(reason)));
}

static enum status sync_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return trouble(path);
	enum status s = fsync(fd) == 0 ? OK : trouble(path);
	close(fd);
	return s;
}

static enum status write_whole(int fd, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t wrote = write(fd, text, n);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return trouble("file");
		text += wrote;
		n -= (size_t)wrote;
	}
	return OK;
}

/* A crash in the middle of a line leaves its beginning, to which no index points: the next line
 * must not grow onto it. */
static enum status end_torn_line(int fd, int64_t *size)
{
	char last = '\n';

	if (*size > 0 && pread(fd, &last, 1, *size - 1) != 1)
		return trouble("file");
	if (last == '\n')
		return OK;
	TRY(write_whole(fd, "\n", 1));
	*size += 1;
	return OK;
}

/* Opened for appending; a new file's name is on disk when this returns. */
static enum status open_file(void *mem, const struct store *s, const char *file, int *fd,
			     int64_t *size)
{
	const char *dir = str_fmt(mem, "%s/archive", s->dir);
	const char *path = str_fmt(mem, "%s/%s", dir, file);
	struct stat st;

	if (mkdir(dir, 0700) == 0)
		TRY(sync_path(s->dir));
	else if (errno != EEXIST)
		return trouble(dir);
	*fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0 || fstat(*fd, &st) != 0)
		return trouble(path);
	*size = st.st_size;
	return *size == 0 ? sync_path(dir) : end_torn_line(*fd, size);
}

static enum status row_view(void *mem, struct store *s, struct database *db, int64_t id,
			    json_t **view, const unsigned char **sealed, size_t *bytes)
{
	sqlite3_stmt *row = NULL;
	json_t *history = NULL;
	bool more = false;

	TRY(database_select(db, &row,
			    "SELECT " LETTER_VALUES
			    ", replay_history, sealed FROM dead_letter WHERE id = ?",
			    "i", id));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "no dead letter %lld", (long long)id);
	*view = letter_view(mem, s, row);
	const char *text = column_text(mem, row, LETTER_COLUMN_COUNT);
	*bytes = (size_t)sqlite3_column_bytes(row, LETTER_COLUMN_COUNT + 1);
	*sealed = *bytes == 0
			  ? NULL
			  : talloc_memdup(mem, sqlite3_column_blob(row, LETTER_COLUMN_COUNT + 1),
					  *bytes);
	database_end(row);
	TRY(json_parse(mem, text, strlen(text), &history));
	json_object_set(*view, "replay_history", history);
	return OK;
}

static enum status line_of(void *mem, struct store *s, struct database *db, int64_t id,
			   int64_t now_ms, char **out)
{
	const unsigned char *original = NULL;
	unsigned char *entry = NULL;
	size_t original_bytes = 0;
	size_t entry_bytes = 0;
	json_t *view = NULL;

	TRY(row_view(mem, s, db, id, &view, &original, &original_bytes));
	const char *plain = json_text(mem, view);
	TRY(seal_lock(mem, s->seal, ARCHIVE_CONTEXT, plain, strlen(plain), &entry, &entry_bytes));
	json_t *line = json_pack("{s:i, s:I, s:s, s:s, s:s}", "v", 1, "dlq_id", (json_int_t)id,
				 "archived_at", clock_format(mem, now_ms), "entry",
				 to_base64(mem, entry, entry_bytes), "original",
				 original == NULL ? "" : to_base64(mem, original, original_bytes));
	*out = str_fmt(mem, "%s\n", json_text(mem, mem_own(mem, line)));
	return OK;
}

/* Where the line of a letter lies. */
struct place {
	int64_t id, at, bytes;
};

static enum status append(struct store *s, struct database *db, int fd, int64_t size,
			  struct place *places, size_t count, int64_t now_ms)
{
	for (size_t n = 0; n < count; n++) {
		SCOPE(tmp);
		char *line = NULL;
		TRY(line_of(tmp, s, db, places[n].id, now_ms, &line));
		places[n].at = size;
		places[n].bytes = (int64_t)strlen(line);
		TRY(write_whole(fd, line, strlen(line)));
		size += places[n].bytes;
	}
	return fsync(fd) == 0 ? OK : trouble("file");
}

static enum status append_all(void *mem, struct store *s, const char *file, struct place *places,
			      size_t count, int64_t now_ms)
{
	struct database *db = NULL;
	int64_t size = -1; /* not known: nothing is cut then */
	int fd = -1;

	TRY(reader_take(s, &db));
	enum status status = open_file(mem, s, file, &fd, &size);
	if (status == OK)
		status = append(s, db, fd, size, places, count, now_ms);
	if (status != OK && size >= 0 && ftruncate(fd, size) != 0)
		status = failure_in(status, "and what was written of it stays in %s", file);
	if (fd >= 0)
		close(fd);
	reader_give(s, db);
	return status;
}

struct marking {
	struct write op;
	struct place *places;
	size_t count;
	bool all; /* all or none; else those that cannot be marked are left out */
	const char *file;
	int64_t now_ms;
};

static enum status mark(struct write *op, struct writer *w, struct database *db)
{
	struct marking *m = (struct marking *)op;
	size_t marked = 0;

	(void)w;
	for (size_t n = 0; n < m->count; n++) {
		TRY(database_run(db,
				 "UPDATE dead_letter SET pending_action = 'archive' WHERE id = ?"
				 " AND state IN ('pending', 'resolved') AND pending_action = ''",
				 "i", m->places[n].id));
		if (database_changes(db) == 1)
			m->places[marked++].id = m->places[n].id;
		else if (m->all)
			return letter_refusal(db, m->places[n].id);
	}
	m->count = marked;
	return OK;
}

static enum status unmark(struct write *op, struct writer *w, struct database *db)
{
	const struct marking *m = (const struct marking *)op;

	(void)w;
	for (size_t n = 0; n < m->count; n++)
		TRY(database_run(db, "UPDATE dead_letter SET pending_action = '' WHERE id = ?", "i",
				 m->places[n].id));
	return OK;
}

static enum status move(struct write *op, struct writer *w, struct database *db)
{
	const struct marking *m = (const struct marking *)op;

	(void)w;
	for (size_t n = 0; n < m->count; n++) {
		const struct place *p = &m->places[n];
		TRY(database_run(db,
				 "INSERT INTO archived_letter (" LETTER_COLUMNS
				 ", file, at, bytes, archived_ms)"
				 " SELECT " LETTER_VALUES
				 ", ?, ?, ?, ? FROM dead_letter WHERE id = ?",
				 "siiii", m->file, p->at, p->bytes, m->now_ms, p->id));
		TRY(database_run(db,
				 "UPDATE archived_letter SET state = 'archived', pending_action = "
				 "'' WHERE id = ?",
				 "i", p->id));
		TRY(database_run(db, "DELETE FROM dead_letter WHERE id = ?", "i", p->id));
	}
	return OK;
}

static enum status archive_marked(struct store *s, struct marking *m)
{
	SCOPE(mem);
	char *file = str_ndup(mem, clock_format(mem, m->now_ms), 7);

	str_add(&file, ".jsonl");
	m->file = file;
	enum status status = append_all(mem, s, file, m->places, m->count, m->now_ms);
	if (status == OK) {
		m->op = (struct write){.run = move};
		status = writer_await(s->writer, &m->op);
	}
	if (status == OK) {
		atomic_fetch_add(&s->letter_changes, 1);
		metric_add(M_DLQ_ARCHIVED, (double)m->count);
		return OK;
	}
	const char *why = str_dup(mem, status_message());
	m->op = (struct write){.run = unmark};
	if (writer_await(s->writer, &m->op) != OK)
		return failure_in(E_TRANSIENT, "%s; and", why);
	return failure(status, "%s", why);
}

/* One at a time: two that append to one file would both take its end for theirs. */
static enum status archive(struct store *s, struct place *places, size_t *count, bool all,
			   int64_t now_ms)
{
	struct marking m = {.op = {.run = mark},
			    .places = places,
			    .count = *count,
			    .all = all,
			    .now_ms = now_ms};

	pthread_mutex_lock(&s->archive_lock);
	enum status status = writer_await(s->writer, &m.op);
	if (status == OK && m.count > 0)
		status = archive_marked(s, &m);
	pthread_mutex_unlock(&s->archive_lock);
	*count = status == OK ? m.count : 0;
	return status;
}

enum status store_letter_archive(struct store *s, int64_t id, int64_t now_ms)
{
	struct place p = {.id = id};
	size_t count = 1;

	return archive(s, &p, &count, true, now_ms);
}

enum status store_letters_archive(struct store *s, int64_t *ids, size_t *count, int64_t now_ms)
{
	struct place places[BITE] = {0};

	*count = *count > BITE ? BITE : *count;
	for (size_t n = 0; n < *count; n++)
		places[n].id = ids[n];
	TRY(archive(s, places, count, false, now_ms));
	for (size_t n = 0; n < *count; n++)
		ids[n] = places[n].id;
	return OK;
}

static enum status find_expired(struct store *s, struct database *db, int64_t now_ms,
				struct place *places, size_t *count)
{
	sqlite3_stmt *row = NULL;
	bool more = true;

	TRY(database_select(
		db, &row,
		"SELECT id, event_type, failed_ms FROM dead_letter WHERE pending_action = ''"
		" AND state IN ('pending', 'resolved') AND failed_ms < ? ORDER BY failed_ms",
		"i", now_ms));
	while (*count < BITE) {
		TRY(database_row(db, row, &more));
		if (!more)
			return OK;
		SCOPE(tmp);
		if (column_int(row, 2) + letter_retention_ms(s, column_text(tmp, row, 1)) < now_ms)
			places[(*count)++].id = column_int(row, 0);
	}
	database_end(row);
	return OK;
}

enum status store_letters_expire(struct store *s, int64_t now_ms, size_t *count)
{
	struct place places[BITE] = {0};
	struct database *db = NULL;

	*count = 0;
	TRY(reader_take(s, &db));
	enum status status = find_expired(s, db, now_ms, places, count);
	reader_give(s, db);
	return status != OK || *count == 0 ? status : archive(s, places, count, false, now_ms);
}

struct dropping {
	struct write op;
	int64_t id;
	const char *token;
};

static enum status drop(struct write *op, struct writer *w, struct database *db)
{
	const struct dropping *d = (const struct dropping *)op;
	SCOPE(mem);
	sqlite3_stmt *row = NULL;
	bool more = false;

	(void)w;
	TRY(database_select(db, &row, "SELECT failed_ms, reason FROM dead_letter WHERE id = ?", "i",
			    d->id));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "no dead letter %lld", (long long)d->id);
	const char *want =
		letter_drop_token(mem, d->id, column_int(row, 0), column_text(mem, row, 1));
	database_end(row);
	if (!str_eq(want, d->token))
		return failure(E_DENIED,
			       "the token does not confirm that dead letter %lld is meant",
			       (long long)d->id);
	TRY(database_run(db,
			 "DELETE FROM dead_letter WHERE id = ? AND state IN ('pending', 'resolved')"
			 " AND pending_action = ''",
			 "i", d->id));
	return database_changes(db) == 1 ? OK : letter_refusal(db, d->id);
}

enum status store_letter_drop(struct store *s, int64_t id, const char *token)
{
	struct dropping d = {.op = {.run = drop}, .id = id, .token = token};

	TRY(writer_await(s->writer, &d.op));
	atomic_fetch_add(&s->letter_changes, 1);
	return OK;
}

static enum status read_line(void *mem, const char *path, int64_t at, int64_t bytes, json_t **out)
{
	char *text = NEW_ARRAY(mem, char, (size_t)bytes + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) { /* no retry brings back a file that somebody took away */
		enum status s = trouble(path);
		return errno == ENOENT ? failure_in(E_INTERNAL, "put it back") : s;
	}
	ssize_t got = pread(fd, text, (size_t)bytes, at);
	close(fd);
	if (got != bytes)
		return failure(E_INTERNAL, "archive %s: cut", path);
	return json_parse(mem, text, (size_t)bytes, out);
}

static enum status open_line(void *mem, struct store *s, const json_t *line, json_t **view,
			     unsigned char **sealed, size_t *sealed_bytes)
{
	const char *entry = json_str(line, "entry");
	const char *original = json_str(line, "original");
	unsigned char *locked = NULL;
	char *plain = NULL;
	size_t n = 0;

	if (entry == NULL || original == NULL)
		return failure(E_INTERNAL, "archive: a line is damaged");
	TRY(from_base64(mem, entry, &locked, &n));
	TRY(seal_unlock(mem, s->seal, ARCHIVE_CONTEXT, locked, n, &plain, &n));
	TRY(json_parse(mem, plain, n, view));
	json_object_set_new(*view, "state", json_string("archived"));
	json_object_set_new(*view, "pending_action", json_string(""));
	json_object_set(*view, "archived_at", json_object_get(line, "archived_at"));
	return from_base64(mem, original, sealed, sealed_bytes);
}

enum status letter_from_archive(void *mem, struct store *s, struct database *db, int64_t id,
				json_t **view, unsigned char **sealed, size_t *sealed_bytes)
{
	sqlite3_stmt *row = NULL;
	json_t *line = NULL;
	bool more = false;

	TRY(database_select(db, &row, "SELECT file, at, bytes FROM archived_letter WHERE id = ?",
			    "i", id));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "no dead letter %lld", (long long)id);
	const char *path = str_fmt(mem, "%s/archive/%s", s->dir, column_text(mem, row, 0));
	int64_t at = column_int(row, 1);
	int64_t bytes = column_int(row, 2);
	database_end(row);
	TRY(read_line(mem, path, at, bytes, &line));
	return open_line(mem, s, line, view, sealed, sealed_bytes);
}
