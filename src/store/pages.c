#include "store/pages.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { PAGE_MAX = 65536, STEP_PAGES = 256 };

/* The file that the copy is written to. Page 1 is written more than once (its counters), so it is
 * kept back. */
struct sink {
	sqlite3_vfs vfs; /* first: sink_of */
	page_fn *page;
	void *arg;
	enum status status;
	sqlite3_int64 size;
	unsigned char first[PAGE_MAX];
	size_t first_bytes;
};

struct sink_file {
	sqlite3_file base;
	struct sink *sink; /* NULL: a file that nobody needs (a journal) */
};

static struct sink *sink_of(sqlite3_file *f)
{
	return ((struct sink_file *)f)->sink;
}

static int close_file(sqlite3_file *f)
{
	(void)f;
	return SQLITE_OK;
}

/* Only page 1 is ever read back. */
static int read_file(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
	struct sink *s = sink_of(f);

	if (s != NULL && at + n <= (sqlite3_int64)s->first_bytes) {
		memcpy(to, s->first + at, (size_t)n);
		return SQLITE_OK;
	}
	memset(to, 0, (size_t)n);
	return SQLITE_IOERR_SHORT_READ;
}

static int write_file(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
	struct sink *s = sink_of(f);

	if (s == NULL)
		return SQLITE_OK;
	if (n <= 0 || n > PAGE_MAX || at % n != 0)
		return SQLITE_IOERR_WRITE;
	if (at + n > s->size)
		s->size = at + n;
	if (at == 0) {
		memcpy(s->first, from, (size_t)n);
		s->first_bytes = (size_t)n;
		return SQLITE_OK;
	}
	if (s->status == OK)
		s->status = s->page((uint32_t)(at / n) + 1, from, (size_t)n, s->arg);
	return s->status == OK ? SQLITE_OK : SQLITE_IOERR_WRITE;
}

static int truncate_file(sqlite3_file *f, sqlite3_int64 size)
{
	struct sink *s = sink_of(f);

	if (s != NULL)
		s->size = size;
	return SQLITE_OK;
}

static int sync_file(sqlite3_file *f, int flags)
{
	(void)f;
	(void)flags;
	return SQLITE_OK;
}

static int size_of_file(sqlite3_file *f, sqlite3_int64 *out)
{
	struct sink *s = sink_of(f);

	*out = s == NULL ? 0 : s->size;
	return SQLITE_OK;
}

static int lock_file(sqlite3_file *f, int level)
{
	(void)f;
	(void)level;
	return SQLITE_OK;
}

static int check_lock(sqlite3_file *f, int *out)
{
	(void)f;
	*out = 0;
	return SQLITE_OK;
}

static int control_file(sqlite3_file *f, int what, void *arg)
{
	(void)f;
	(void)what;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int sector_size(sqlite3_file *f)
{
	(void)f;
	return 4096;
}

static int features(sqlite3_file *f)
{
	(void)f;
	return 0;
}

static const sqlite3_io_methods METHODS = {
	.iVersion = 1,
	.xClose = close_file,
	.xRead = read_file,
	.xWrite = write_file,
	.xTruncate = truncate_file,
	.xSync = sync_file,
	.xFileSize = size_of_file,
	.xLock = lock_file,
	.xUnlock = lock_file,
	.xCheckReservedLock = check_lock,
	.xFileControl = control_file,
	.xSectorSize = sector_size,
	.xDeviceCharacteristics = features,
};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
	struct sink_file *file = (struct sink_file *)f;

	(void)name;
	file->sink = (flags & SQLITE_OPEN_MAIN_DB) != 0 ? (struct sink *)vfs : NULL;
	file->base.pMethods = &METHODS;
	if (out != NULL)
		*out = flags;
	return SQLITE_OK;
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs;
	(void)name;
	(void)sync;
	return SQLITE_OK;
}

static int check_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	(void)vfs;
	(void)name;
	(void)flags;
	*out = 0;
	return SQLITE_OK;
}

static int full_name(sqlite3_vfs *vfs, const char *name, int n, char *out)
{
	(void)vfs;
	str_print(out, (size_t)n, "%s", name);
	return SQLITE_OK;
}

static enum status trouble(sqlite3 *db, const char *what)
{
	int code = sqlite3_extended_errcode(db);

	return failure((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_IOERR ? E_TRANSIENT
										     : E_INTERNAL,
		       "store: %s (%s, code %d)", what, sqlite3_errmsg(db), code);
}

static enum status copy_all(struct sink *s, sqlite3 *copy, sqlite3 *source)
{
	int code = SQLITE_OK;

	sqlite3_exec(copy,
		     "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = 64;",
		     NULL, NULL, NULL);
	sqlite3_backup *b = sqlite3_backup_init(copy, "main", source, "main");
	if (b == NULL)
		return trouble(copy, "the copy cannot start");
	do
		code = sqlite3_backup_step(b, STEP_PAGES);
	while (code == SQLITE_OK);
	sqlite3_backup_finish(b);
	TRY(s->status);
	if (code != SQLITE_DONE)
		return failure((code & 0xff) == SQLITE_CORRUPT ? E_INTERNAL : E_TRANSIENT,
			       "store: the database cannot be read (%s, code %d)",
			       sqlite3_errstr(code), code);
	return OK;
}

static enum status copy_into(struct sink *s, sqlite3 *source)
{
	sqlite3 *copy = NULL;

	int code = sqlite3_open_v2("copy", &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
				   s->vfs.zName);
	enum status status =
		code == SQLITE_OK ? copy_all(s, copy, source) : trouble(copy, "no copy");
	sqlite3_close(copy);
	return status;
}

enum status pages_each(sqlite3 *source, page_fn *page, void *arg, uint32_t *page_size,
		       uint32_t *page_count)
{
	SCOPE(tmp);
	const sqlite3_vfs *real = sqlite3_vfs_find(NULL);
	struct sink *s = NEW(tmp, struct sink);

	*s = (struct sink){.page = page, .arg = arg};
	s->vfs = (sqlite3_vfs){.iVersion = 1,
			       .szOsFile = sizeof(struct sink_file),
			       .mxPathname = 256,
			       .zName = str_fmt(s, "pages-%p", (void *)s),
			       .xOpen = open_file,
			       .xDelete = delete_file,
			       .xAccess = check_access,
			       .xFullPathname = full_name,
			       .xRandomness = real->xRandomness,
			       .xSleep = real->xSleep,
			       .xCurrentTime = real->xCurrentTime};
	if (sqlite3_vfs_register(&s->vfs, 0) != SQLITE_OK)
		return failure(E_INTERNAL, "store: no virtual file");
	enum status status = copy_into(s, source);
	sqlite3_vfs_unregister(&s->vfs);
	TRY(status);
	if (s->first_bytes < 512 || s->size % (sqlite3_int64)s->first_bytes != 0)
		return failure(E_INTERNAL, "store: the database has no first page");
	TRY(page(1, s->first, s->first_bytes, arg));
	*page_size = (uint32_t)s->first_bytes;
	*page_count = (uint32_t)(s->size / (sqlite3_int64)s->first_bytes);
	return OK;
}
