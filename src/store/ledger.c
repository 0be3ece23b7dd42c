#include "store/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "base/mem.h"
#include "base/str.h"

enum {
	SEGMENT_BYTES = 4 * 1024 * 1024,
	ALIGN = 8,
	MAGIC = 0x52457361, /* "asER" */
	WINDOW_BYTES = 256 * 1024,
	NAME_BYTES = 40
};

static const char SPARE[] = "intake-spare.log";

struct header {
	uint32_t magic, bytes;
	uint64_t number, durable;
	uint32_t epoch, kind;
	uint64_t checksum;
};

/* A file, named after its first record. A record is in the last segment that does not begin behind
 * it. */
struct segment {
	uint64_t first, size;
	bool unsure; /* holds what must not be taken for a record of a later use */
};

/* A sequential reader of segments. */
struct cursor {
	int fd;
	uint64_t first; /* of the open segment; 0 = none is open */
	uint64_t size;
	uint64_t at;	 /* offset of the next record */
	uint64_t number; /* its number */
	uint32_t epoch;	 /* of the record before */
	unsigned char *window;
	size_t window_bytes, window_room;
	uint64_t window_at;
};

struct ledger {
	int dir_fd;
	uint32_t epoch;
	/* the appending side */
	int fd;
	uint64_t size; /* of the segment that is open */
	uint64_t next, group_first;
	unsigned char *group;
	size_t group_bytes;
	bool broken; /* the last write failed: what the file holds behind `at` is unknown */
	_Atomic uint64_t durable;
	pthread_mutex_t lock; /* the list, and where in its last segment is written */
	struct segment *segments;
	size_t count;
	uint64_t at;
	uint64_t read_first, read_at; /* where the reader is */
	/* the reading side */
	struct cursor reader;
	bool examining; /* nothing is changed on disk */
	/* found at opening */
	uint64_t counted; /* what is missing up to this record is counted already */
	_Atomic uint64_t lost;
	char damage[96];
};

static enum status trouble(const char *what)
{
	char reason[128];

	if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
		return failure(E_TRANSIENT,
			       "store: the disk is full; make room in the data directory");
	return failure(E_TRANSIENT, "store: %s the intake log: %s", what,
		       strerror_r(errno, reason, sizeof(reason)));
}

static void name_of(char name[NAME_BYTES], uint64_t first)
{
	str_print(name, NAME_BYTES, "intake-%016" PRIx64 ".log", first);
}

static size_t padded(size_t bytes)
{
	return (sizeof(struct header) + bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static uint64_t checksum_of(const struct header *h, const unsigned char *payload)
{
	return XXH3_64bits_withSeed(payload, h->bytes,
				    XXH3_64bits(h, offsetof(struct header, checksum)));
}

/* The list. */

/* At the end, in place of one that begins with the same record: then what that held did not count.
 */
static void add_segment(struct ledger *l, uint64_t first, uint64_t size)
{
	pthread_mutex_lock(&l->lock);
	struct segment *last = l->count == 0 ? NULL : &l->segments[l->count - 1];
	if (last != NULL && last->first == first)
		l->count--;
	else if (last != NULL)
		last->unsure = l->broken;
	l->segments = GROW(l, l->segments, struct segment, l->count + 1);
	l->segments[l->count++] = (struct segment){.first = first, .size = size};
	l->at = 0;
	pthread_mutex_unlock(&l->lock);
}

/* The segment that holds this record; `*end` is the first record that it cannot hold. */
static struct segment segment_of(struct ledger *l, uint64_t number, uint64_t *end)
{
	struct segment found = {0};

	*end = UINT64_MAX;
	pthread_mutex_lock(&l->lock);
	for (size_t n = 0; n < l->count; n++) {
		if (l->segments[n].first > number) {
			*end = l->segments[n].first;
			break;
		}
		found = l->segments[n];
	}
	pthread_mutex_unlock(&l->lock);
	return found;
}

/* Reading. */

static enum status open_segment(struct ledger *l, struct cursor *c, const struct segment *s)
{
	char name[NAME_BYTES];

	if (c->fd >= 0)
		close(c->fd);
	name_of(name, s->first);
	c->fd = openat(l->dir_fd, name, O_RDONLY | O_CLOEXEC);
	c->first = c->fd < 0 ? 0 : s->first;
	c->size = s->size;
	c->at = c->window_at = 0;
	c->window_bytes = 0;
	return c->fd < 0 ? trouble("cannot open") : OK;
}

/* Makes [at, at + n) of the segment readable at *out; fewer bytes at its end are E_NOTFOUND. */
static enum status look(struct cursor *c, uint64_t at, size_t n, const unsigned char **out)
{
	if (at + n > c->size)
		return failure(E_NOTFOUND, "the segment ends");
	if (at < c->window_at || at + n > c->window_at + c->window_bytes) {
		size_t want = n > WINDOW_BYTES ? n : WINDOW_BYTES;
		if (want > c->window_room) {
			talloc_free(c->window);
			c->window = NEW_ARRAY(NULL, unsigned char, want);
			c->window_room = want;
		}
		ssize_t got = pread(c->fd, c->window, want, (off_t)at);
		c->window_at = at;
		c->window_bytes = got < 0 ? 0 : (size_t)got;
		if (got < 0)
			return trouble("cannot read");
		if ((size_t)got < n)
			return failure(E_NOTFOUND, "the segment ends");
	}
	*out = c->window + (at - c->window_at);
	return OK;
}

/* The whole record at this offset. E_NOTFOUND: there is none. */
static enum status inspect(struct cursor *c, uint64_t at, struct header *h,
			   const unsigned char **payload)
{
	const unsigned char *bytes = NULL;

	TRY(look(c, at, sizeof(*h), &bytes));
	memcpy(h, bytes, sizeof(*h));
	if (h->magic != MAGIC || h->bytes > LEDGER_RECORD_LIMIT)
		return failure(E_NOTFOUND, "no record");
	TRY(look(c, at, padded(h->bytes), &bytes));
	*payload = bytes + sizeof(*h);
	return h->checksum == checksum_of(h, *payload) ? OK
						       : failure(E_NOTFOUND, "a damaged record");
}

static enum status step(struct cursor *c, const unsigned char **payload, size_t *bytes)
{
	struct header h;

	TRY(inspect(c, c->at, &h, payload));
	if (h.number != c->number || h.epoch < c->epoch)
		return failure(E_NOTFOUND, "an old record");
	*bytes = h.bytes;
	c->at += padded(h.bytes);
	c->epoch = h.epoch;
	c->number++;
	return OK;
}

/* To where a record may begin, there or further on. E_NOTFOUND: nowhere. */
static enum status next_magic(struct cursor *c, uint64_t *at)
{
	const uint32_t magic = MAGIC;
	const unsigned char *bytes;

	for (;;) {
		TRY(look(c, *at, sizeof(struct header), &bytes));
		size_t room = c->window_bytes - (size_t)(*at - c->window_at);
		for (size_t n = 0; n + sizeof(magic) <= room; n += ALIGN, *at += ALIGN)
			if (memcmp(bytes + n, &magic, sizeof(magic)) == 0)
				return OK;
	}
}

/* The next whole record behind the one that is not, when the missing one was durable: it is
 * `proven` already, or some record further on says so. */
static enum status find_later(struct cursor *c, uint64_t end, bool proven, bool *found)
{
	const unsigned char *payload;
	struct header h;
	uint64_t at = c->at + ALIGN, there = 0, number = 0;
	enum status s = OK;

	*found = false;
	while (!*found && (s = next_magic(c, &at)) == OK) {
		s = inspect(c, at, &h, &payload);
		if (s != OK && s != E_NOTFOUND)
			return s;
		bool fits =
			s == OK && h.number > c->number && h.number < end && h.epoch >= c->epoch;
		there = fits && number == 0 ? at : there;
		number = fits && number == 0 ? h.number : number;
		*found = fits && (proven || h.durable >= c->number);
		at += s == OK ? padded(h.bytes) : ALIGN;
	}
	if (!*found && s != E_NOTFOUND)
		return s;
	c->at = *found ? there : c->at;
	c->number = *found ? number : c->number;
	return OK;
}

/* Goes to the record `c->number` in its segment, or to where it should be. */
static enum status find(struct ledger *l, struct cursor *c, const struct segment *s, uint64_t end)
{
	const unsigned char *payload;
	uint64_t wanted = c->number, damaged = 0;
	size_t bytes;
	bool going = true;

	TRY(open_segment(l, c, s));
	enum status status = OK;
	c->epoch = s->first < wanted ? 0 : c->epoch;
	for (c->number = s->first; going && status == OK && c->number < wanted;) {
		damaged = c->at;
		status = step(c, &payload, &bytes);
		if (status == E_NOTFOUND)
			status = find_later(c, end, true, &going);
	}
	if (c->number > wanted)
		c->at = damaged;
	c->number = wanted;
	c->first = status == OK ? c->first : 0; /* else it is looked for again */
	return status;
}

/* Reads the record `c->number`, wherever it is. */
static enum status advance(struct ledger *l, struct cursor *c, const unsigned char **payload,
			   size_t *bytes)
{
	uint64_t end;
	struct segment s = segment_of(l, c->number, &end);

	if (s.first == 0)
		return failure(E_NOTFOUND, "no such record");
	if (c->first != s.first)
		TRY(find(l, c, &s, end));
	enum status status = step(c, payload, bytes);
	if (status != E_NOTFOUND || c->window_bytes == 0)
		return status;
	c->window_bytes = 0; /* it was read before this record was written */
	return step(c, payload, bytes);
}

/* The file keeps its damage under another name for whoever wants to look at it. */
static void keep_damaged(struct ledger *l, uint64_t first)
{
	char name[NAME_BYTES], kept[NAME_BYTES + 8];

	name_of(name, first);
	str_print(kept, sizeof(kept), "%s.damaged", name);
	bool done = !l->examining &&
		    (linkat(l->dir_fd, name, l->dir_fd, kept, 0) == 0 || errno == EEXIST);
	pthread_mutex_lock(&l->lock);
	if (l->damage[0] == '\0') /* never changed again: others hold it */
		str_print(l->damage, sizeof(l->damage), "%s", done ? kept : name);
	for (size_t n = 0; n < l->count; n++)
		l->segments[n].unsure |= l->segments[n].first == first;
	pthread_mutex_unlock(&l->lock);
}

/* To where the next record will be written: nothing whole is left before it. */
static void go_to_end(struct ledger *l, struct cursor *c)
{
	pthread_mutex_lock(&l->lock);
	c->number = atomic_load(&l->durable) + 1;
	c->at = l->at;
	pthread_mutex_unlock(&l->lock);
}

/* Behind a record that is not whole: the next one that counts. E_NOTFOUND at the end of the log. */
static enum status resume(struct ledger *l, struct cursor *c)
{
	uint64_t end, missing = c->number;
	struct segment s = segment_of(l, missing, &end);
	bool last = end == UINT64_MAX, durable = missing <= atomic_load(&l->durable);
	bool found = false;

	if (c->first == s.first && s.first != 0)
		TRY(find_later(c, end, !last || durable, &found));
	if (!found && last && !durable)
		return failure(E_NOTFOUND, "the end of the log");
	if (!found && last)
		go_to_end(l, c);
	else if (!found)
		c->number = end;
	if (missing <= l->counted)
		missing = l->counted + 1;
	if (c->number > missing) {
		atomic_fetch_add(&l->lost, c->number - missing);
		l->counted = c->number - 1;
		keep_damaged(l, s.first);
	}
	return OK;
}

enum status ledger_read(struct ledger *l, uint64_t *number, const unsigned char **payload,
			size_t *bytes)
{
	struct cursor *c = &l->reader;
	enum status s = E_NOTFOUND;

	while ((*number = c->number) <= atomic_load(&l->durable) &&
	       (s = advance(l, c, payload, bytes)) == E_NOTFOUND)
		TRY(resume(l, c));
	pthread_mutex_lock(&l->lock);
	l->read_first = c->first;
	l->read_at = c->at;
	pthread_mutex_unlock(&l->lock);
	return s == E_NOTFOUND ? failure(E_NOTFOUND, "no more records") : s;
}

void ledger_seek(struct ledger *l, uint64_t number)
{
	l->reader.first = 0; /* it is found when it is read */
	l->reader.epoch = 0;
	l->reader.number = number + 1;
}

/* Writing. */

static enum status sync_directory(struct ledger *l)
{
	return fsync(l->dir_fd) == 0 ? OK : trouble("cannot sync the directory of");
}

static enum status fill_with_zeros(int fd, uint64_t size)
{
	static const unsigned char zeros[64 * 1024];

	for (uint64_t at = 0; at < size; at += sizeof(zeros)) {
		errno = ENOSPC; /* what a short write to a file means */
		if (pwrite(fd, zeros, sizeof(zeros), (off_t)at) != (ssize_t)sizeof(zeros))
			return trouble("cannot write");
	}
	return fsync(fd) == 0 ? OK : trouble("cannot sync");
}

static enum status new_segment(struct ledger *l, const char *name, uint64_t size)
{
	if (size == SEGMENT_BYTES && renameat(l->dir_fd, SPARE, l->dir_fd, name) == 0)
		l->fd = openat(l->dir_fd, name, O_WRONLY | O_CLOEXEC);
	else
		l->fd = openat(l->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (l->fd < 0)
		return trouble("cannot create");
	struct stat st;
	if (fstat(l->fd, &st) == 0 && (uint64_t)st.st_size == size)
		return sync_directory(l);
	TRY(fill_with_zeros(l->fd, size));
	return sync_directory(l);
}

/* Goes on in a new segment that begins with this record and has room for so many bytes. */
static enum status roll(struct ledger *l, uint64_t first, uint64_t room)
{
	char name[NAME_BYTES];
	uint64_t size = SEGMENT_BYTES;

	while (size < room)
		size *= 2;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	name_of(name, first);
	enum status s = new_segment(l, name, size);
	if (s != OK) {
		if (l->fd >= 0)
			close(l->fd);
		l->fd = -1;
		unlinkat(l->dir_fd, name, 0);
		return s;
	}
	l->size = size;
	add_segment(l, first, size);
	l->broken = false;
	return OK;
}

uint64_t ledger_append(struct ledger *l, const void *payload, size_t bytes)
{
	size_t size = padded(bytes);
	size_t room = talloc_get_size(l->group);
	struct header h = {.magic = MAGIC,
			   .bytes = (uint32_t)bytes,
			   .number = l->next,
			   .durable = atomic_load(&l->durable),
			   .epoch = l->epoch};

	if (l->group_bytes == 0)
		l->group_first = l->next;
	if (l->group_bytes + size > room)
		l->group = GROW(l, l->group, unsigned char, 2 * (l->group_bytes + size));
	unsigned char *to = l->group + l->group_bytes;
	h.checksum = checksum_of(&h, payload);
	memset(to + size - ALIGN, 0, ALIGN);
	memcpy(to, &h, sizeof(h));
	memcpy(to + sizeof(h), payload, bytes);
	l->group_bytes += size;
	return l->next++;
}

static enum status write_group(struct ledger *l)
{
	if (l->fd < 0 || l->broken || l->at + l->group_bytes > l->size)
		TRY(roll(l, l->group_first, l->group_bytes));
	ssize_t put = pwrite(l->fd, l->group, l->group_bytes, (off_t)l->at);
	if (put >= 0 && (size_t)put < l->group_bytes)
		errno = ENOSPC; /* what a short write to a file means */
	if (put != (ssize_t)l->group_bytes)
		return trouble("cannot write");
	return fdatasync(l->fd) == 0 ? OK : trouble("cannot sync");
}

/* After a failed sync nobody knows what is on disk, however whole it reads until the next power
 * cut: the next start must not find it. When not even this works, the segment that follows ends
 * this one. */
static void abandon_tail(struct ledger *l)
{
	l->broken = true;
	if (l->fd >= 0 && ftruncate(l->fd, (off_t)l->at) == 0)
		(void)!fsync(l->fd);
}

enum status ledger_sync(struct ledger *l)
{
	if (l->group_bytes == 0)
		return OK;
	enum status s = write_group(l);
	if (s == OK) {
		pthread_mutex_lock(&l->lock);
		l->at += l->group_bytes;
		atomic_store(&l->durable, l->next - 1);
		pthread_mutex_unlock(&l->lock);
	} else {
		abandon_tail(l);
		l->next = l->group_first;
	}
	l->group_bytes = 0;
	if (talloc_get_size(l->group) > SEGMENT_BYTES) {
		talloc_free(l->group);
		l->group = NULL;
	}
	return s;
}

enum status ledger_mend(struct ledger *l)
{
	return l->fd >= 0 && !l->broken ? OK : roll(l, l->next, 0);
}

uint64_t ledger_durable(const struct ledger *l)
{
	return atomic_load(&l->durable);
}

uint64_t ledger_backlog(const struct ledger *l)
{
	struct ledger *m = (struct ledger *)l;
	uint64_t bytes = 0;

	pthread_mutex_lock(&m->lock);
	for (size_t n = 0; n < m->count; n++)
		if (m->segments[n].first >= m->read_first)
			bytes += n + 1 == m->count ? m->at : m->segments[n].size;
	bytes -= m->read_at < bytes ? m->read_at : bytes;
	pthread_mutex_unlock(&m->lock);
	return bytes;
}

static void retire(struct ledger *l, const struct segment *s)
{
	char name[NAME_BYTES];

	name_of(name, s->first);
	struct stat st;
	/* a second name keeps what was found damaged in it */
	bool alone = fstatat(l->dir_fd, name, &st, 0) == 0 && st.st_nlink == 1;
	bool useful = s->size == SEGMENT_BYTES && !s->unsure && alone &&
		      faccessat(l->dir_fd, SPARE, F_OK, 0) != 0;
	if (!useful || renameat(l->dir_fd, name, l->dir_fd, SPARE) != 0)
		unlinkat(l->dir_fd, name, 0);
}

void ledger_forget(struct ledger *l, uint64_t number)
{
	struct segment gone = {0};

	do {
		pthread_mutex_lock(&l->lock);
		bool over = l->count > 1 && l->segments[1].first <= number + 1 &&
			    l->segments[0].first != l->reader.first;
		gone = over ? l->segments[0] : (struct segment){0};
		if (over)
			memmove(l->segments, l->segments + 1, --l->count * sizeof(l->segments[0]));
		pthread_mutex_unlock(&l->lock);
		if (gone.first != 0)
			retire(l, &gone);
	} while (gone.first != 0);
}

/* Opening. */

static int by_first(const void *a, const void *b)
{
	uint64_t x = ((const struct segment *)a)->first;
	uint64_t y = ((const struct segment *)b)->first;

	return x < y ? -1 : x > y;
}

/* The only name that a segment with this first record has. */
static bool parse_name(const char *file, uint64_t *first)
{
	static const char DIGITS[] = "0123456789abcdef";
	char name[NAME_BYTES];

	*first = 0;
	if (!str_starts(file, "intake-"))
		return false;
	for (const char *c = file + strlen("intake-"); *c != '\0' && strchr(DIGITS, *c) != NULL;
	     c++)
		*first = *first << 4 | (uint64_t)(strchr(DIGITS, *c) - DIGITS);
	name_of(name, *first);
	return *first != 0 && str_eq(file, name);
}

static enum status list_segments(struct ledger *l)
{
	int fd = openat(l->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	uint64_t first;

	if (d == NULL)
		return trouble("cannot list");
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		struct stat st;
		if (!parse_name(e->d_name, &first))
			continue;
		if (fstatat(l->dir_fd, e->d_name, &st, 0) == 0)
			add_segment(l, first, (uint64_t)st.st_size);
	}
	closedir(d);
	if (l->count > 1)
		qsort(l->segments, l->count, sizeof(l->segments[0]), by_first);
	return OK;
}

static enum status scan(struct ledger *l, uint64_t applied, ledger_record_fn *record, void *arg)
{
	struct cursor *c = &l->reader;
	const unsigned char *payload;
	size_t bytes;
	enum status s = OK;

	if (l->count == 0)
		return OK;
	c->number = l->segments[0].first;
	l->counted = applied;
	if (c->number > applied + 1) {
		atomic_store(&l->lost, c->number - applied - 1);
		str_print(l->damage, sizeof(l->damage), "%s", "the records before it are gone");
	}
	do {
		while ((s = advance(l, c, &payload, &bytes)) == OK) {
			l->epoch = c->epoch > l->epoch ? c->epoch : l->epoch;
			if (record != NULL)
				TRY(record(c->number - 1, payload, bytes, arg));
		}
	} while (s == E_NOTFOUND && (s = resume(l, c)) == OK);
	if (s != E_NOTFOUND)
		return s;
	if (c->number > l->next)
		l->next = c->number;
	l->counted = l->next - 1;
	return OK;
}

/* What a killed process had written and not synced is about to be believed: a power cut must not
 * take it back. */
static enum status sync_segments(struct ledger *l)
{
	char name[NAME_BYTES];
	enum status s = OK;

	for (size_t n = 0; s == OK && n < l->count; n++) {
		name_of(name, l->segments[n].first);
		int fd = openat(l->dir_fd, name, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fdatasync(fd) != 0)
			s = trouble("cannot sync");
		if (fd >= 0)
			close(fd);
	}
	return s;
}

static int drop(struct ledger *l)
{
	if (l->fd >= 0)
		close(l->fd);
	if (l->reader.fd >= 0)
		close(l->reader.fd);
	if (l->dir_fd >= 0)
		close(l->dir_fd);
	talloc_free(l->reader.window);
	pthread_mutex_destroy(&l->lock);
	return 0;
}

static struct ledger *new_ledger(void *mem, const char *dir, uint64_t applied)
{
	struct ledger *l = NEW(mem, struct ledger);

	*l = (struct ledger){.fd = -1, .reader = {.fd = -1}, .next = applied + 1};
	pthread_mutex_init(&l->lock, NULL);
	l->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	talloc_set_destructor(l, drop);
	return l;
}

static void report(const struct ledger *l, struct ledger_report *out)
{
	*out = (struct ledger_report){.first = l->count == 0 ? l->next : l->segments[0].first,
				      .last = l->next - 1,
				      .lost = atomic_load(&l->lost),
				      .epoch = l->epoch};
	for (size_t n = 0; n < l->count; n++)
		out->bytes += l->segments[n].size;
	str_print(out->damage, sizeof(out->damage), "%s", l->damage);
}

enum status ledger_examine(const char *dir, uint64_t applied, ledger_record_fn *record, void *arg,
			   struct ledger_report *out)
{
	SCOPE(mem);
	struct ledger *l = new_ledger(mem, dir, applied);

	l->examining = true;
	if (l->dir_fd < 0)
		return trouble("cannot open");
	TRY(list_segments(l));
	TRY(scan(l, applied, record, arg));
	report(l, out);
	return OK;
}

enum status ledger_open(void *mem, const char *dir, uint64_t applied, uint32_t epoch,
			struct ledger **out)
{
	struct ledger *l = new_ledger(mem, dir, applied);

	if (l->dir_fd < 0)
		return trouble("cannot open");
	TRY(list_segments(l));
	/* what it holds may be of another time of this store: records with numbers that come again
	 */
	unlinkat(l->dir_fd, SPARE, 0);
	ledger_forget(l, applied);
	TRY(sync_segments(l));
	TRY(scan(l, applied, NULL, NULL));
	/* of a database that is older than its log the epoch may be as well */
	l->epoch = epoch > l->epoch ? epoch : l->epoch;
	atomic_store(&l->durable, l->next - 1);
	ledger_seek(l, applied);
	/* what a torn write left behind is never written over: the first group goes to a new
	 * segment */
	*out = l;
	return OK;
}

uint64_t ledger_lost(const struct ledger *l, const char **where)
{
	struct ledger *m = (struct ledger *)l;

	pthread_mutex_lock(&m->lock);
	*where = l->damage;
	pthread_mutex_unlock(&m->lock);
	return atomic_load(&l->lost);
}
