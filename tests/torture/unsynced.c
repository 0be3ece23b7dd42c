/*
 * Preloaded into the agent for a test of power loss: writes down, in order, everything that changes
 * the files of one directory and everything that makes them durable. From that the harness
 * (tests/torture/power.py) makes the files as they may be after the power failed: what was synced
 * is there, of the rest any part.
 *
 * UNSYNCED_DIR        the directory, an absolute path; it exists
 * UNSYNCED_LOG        the file to append to
 * UNSYNCED_CUT_AFTER  kill -9 of this process after so many records; absent = never
 * UNSYNCED_SLOW_US    a sync takes up to so long, so that something happens meanwhile
 * UNSYNCED_LIE        a control that must be found out: syncs of files whose name contains this do
 * nothing, "/" stands for directories
 *
 * A record: kind, flags, object, offset, bytes, then that many bytes of name or content. Objects
 * are inode numbers; a "create" gives the number a new meaning. One lock orders all records and the
 * calls that they stand for, so that the log is what has happened, up to the moment of a cut.
 */
/* both spellings of each call are here, the old and the one for large files */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FDS = 65536, NAME_LIMIT = 512 };

struct record {
	uint8_t kind, directory;
	uint16_t unused;
	uint32_t bytes;
	uint64_t object, offset;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char root[NAME_LIMIT];
static size_t root_length;
static int log_fd = -1;
static uint64_t records, cut_after;
static long slow_us;
static const char *lie;
static struct {
	uint64_t object; /* 0 = not ours */
	bool directory, append, lied;
} fds[FDS];

static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fallocate)(int, off_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlinkat)(int, const char *, int);
static int (*real_renameat)(int, const char *, int, const char *);
static int (*real_linkat)(int, const char *, int, const char *, int);
static int (*real_mkdirat)(int, const char *, mode_t);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);

static void stop(const char *why)
{
	dprintf(2, "unsynced: %s\n", why);
	abort();
}

static void *real(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (f == NULL)
		stop(name);
	return f;
}

static void prepare(void)
{
	const char *dir = getenv("UNSYNCED_DIR"), *log = getenv("UNSYNCED_LOG");
	const char *cut = getenv("UNSYNCED_CUT_AFTER"), *slow = getenv("UNSYNCED_SLOW_US");

	*(void **)&real_openat = real("openat");
	*(void **)&real_close = real("close");
	*(void **)&real_write = real("write");
	*(void **)&real_pwrite = real("pwrite");
	*(void **)&real_ftruncate = real("ftruncate");
	*(void **)&real_fallocate = real("posix_fallocate");
	*(void **)&real_fsync = real("fsync");
	*(void **)&real_fdatasync = real("fdatasync");
	*(void **)&real_unlinkat = real("unlinkat");
	*(void **)&real_renameat = real("renameat");
	*(void **)&real_linkat = real("linkat");
	*(void **)&real_mkdirat = real("mkdirat");
	*(void **)&real_mmap = real("mmap");
	*(void **)&real_writev = real("writev");
	if (dir == NULL || log == NULL || strlen(dir) >= sizeof(root))
		return;
	root_length = strlen(dir);
	memcpy(root, dir, root_length + 1);
	cut_after = cut == NULL ? 0 : strtoull(cut, NULL, 10);
	slow_us = slow == NULL ? 0 : strtol(slow, NULL, 10);
	lie = getenv("UNSYNCED_LIE");
	log_fd = real_openat(AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log_fd < 0)
		stop("the log cannot be opened");
}

static void begin(void)
{
	pthread_once(&once, prepare);
	pthread_mutex_lock(&lock);
}

static void end(void)
{
	pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static void note(char kind, uint64_t object, bool directory, uint64_t offset, const void *data,
		 size_t bytes)
{
	struct record r = {.kind = (uint8_t)kind,
			   .directory = directory,
			   .bytes = (uint32_t)bytes,
			   .object = object,
			   .offset = offset};
	struct iovec parts[] = {{&r, sizeof(r)}, {(void *)(uintptr_t)data, bytes}};

	if (real_writev(log_fd, parts, bytes == 0 ? 1 : 2) != (ssize_t)(sizeof(r) + bytes))
		stop("the log cannot be written");
	if (++records == cut_after)
		kill(getpid(), SIGKILL);
}

/* The name below the directory, or NULL when the path leads elsewhere. */
static const char *below(const char *path)
{
	if (log_fd < 0 || path == NULL || strncmp(path, root, root_length) != 0)
		return NULL;
	if (path[root_length] == '\0')
		return "";
	return path[root_length] == '/' ? path + root_length + 1 : NULL;
}

/* The same for a path that begins at an open directory; `room` holds the answer. Under the lock. */
static const char *below_at(int at, const char *path, char room[static NAME_LIMIT])
{
	char link[64], whole[NAME_LIMIT];

	if (log_fd < 0 || path == NULL)
		return NULL;
	if (path[0] == '/' || at == AT_FDCWD)
		return below(path);
	if (at < 0 || at >= FDS || fds[at].object == 0)
		return NULL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
	ssize_t n = readlink(link, whole, sizeof(whole) - 1);
	if (n <= 0)
		stop("the name of an open directory is not known");
	whole[n] = '\0';
	const char *dir = below(whole);
	if (dir == NULL)
		return NULL;
	if (snprintf(room, NAME_LIMIT, "%s%s%s", dir, *dir == '\0' ? "" : "/", path) >= NAME_LIMIT)
		stop("a name is too long");
	return room;
}

/* Shared memory of the database: made anew at each opening, never synced. */
static bool shared_memory(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && strcmp(name + n - 4, "-shm") == 0;
}

static bool lies(const char *name, bool directory)
{
	return lie != NULL && (strcmp(lie, "/") == 0 ? directory : strstr(name, lie) != NULL);
}

static int open_at(int at, const char *path, int flags, mode_t mode)
{
	char room[NAME_LIMIT];
	struct stat before, after;

	begin();
	const char *name = below_at(at, path, room);
	bool ours = name != NULL && !shared_memory(name);
	bool was = ours && fstatat(at, path, &before, 0) == 0;
	int fd = real_openat(at, path, flags, mode);
	if (fd >= 0 && fd < FDS)
		fds[fd].object = 0;
	if (fd >= 0 && ours) {
		if (fd >= FDS || fstat(fd, &after) != 0)
			stop("too many files are open");
		fds[fd].object = after.st_ino;
		fds[fd].directory = S_ISDIR(after.st_mode);
		fds[fd].append = (flags & O_APPEND) != 0;
		fds[fd].lied = lies(name, fds[fd].directory);
		if (!was)
			note('c', after.st_ino, false, 0, name, strlen(name));
		else if ((flags & O_TRUNC) != 0)
			note('t', after.st_ino, false, 0, NULL, 0);
	}
	int e = errno;
	end();
	errno = e;
	return fd;
}

/* The mode is there only when a file may be made. */
#define OPEN(at) \
	{ \
		mode_t mode = 0; \
		if ((flags & (O_CREAT | O_TMPFILE)) != 0) { \
			va_list rest; \
			va_start(rest, flags); \
			mode = (mode_t)va_arg(rest, unsigned); \
			va_end(rest); \
		} \
		return open_at(at, path, flags, mode); \
	}

int open(const char *path, int flags, ...)
	OPEN(AT_FDCWD) int open64(const char *path, int flags, ...)
		OPEN(AT_FDCWD) int openat(int at, const char *path, int flags, ...)
			OPEN(at) int openat64(int at, const char *path, int flags, ...) OPEN(at)

	/* What the headers make of open when its arguments are checked at compile time. */
	int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int at, const char *path, int flags);

int __open_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
	return open_at(AT_FDCWD, path, flags, 0);
}

int __openat_2(int at, const char *path, int flags)
{
	return open_at(at, path, flags, 0);
}

static bool ours(int fd)
{
	pthread_once(&once, prepare);
	return fd >= 0 && fd < FDS && fds[fd].object != 0;
}

static void refuse(int fd, const char *what)
{
	if (ours(fd))
		stop(what);
}

int close(int fd)
{
	if (ours(fd))
		fds[fd].object = 0;
	return real_close(fd);
}

ssize_t write(int fd, const void *data, size_t bytes)
{
	struct stat st;

	if (!ours(fd))
		return real_write(fd, data, bytes);
	begin();
	off_t at = lseek(fd, 0, SEEK_CUR);
	if (fds[fd].append && fstat(fd, &st) == 0)
		at = st.st_size;
	ssize_t put = real_write(fd, data, bytes);
	int e = errno;
	if (put > 0)
		note('w', fds[fd].object, false, (uint64_t)at, data, (size_t)put);
	end();
	errno = e;
	return put;
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at)
{
	if (!ours(fd))
		return pthread_once(&once, prepare), real_pwrite(fd, data, bytes, at);
	begin();
	ssize_t put = real_pwrite(fd, data, bytes, at);
	int e = errno;
	if (put > 0)
		note('w', fds[fd].object, false, (uint64_t)at, data, (size_t)put);
	end();
	errno = e;
	return put;
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t at)
{
	return pwrite(fd, data, bytes, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	refuse(fd, "writev is not known here");
	return real_writev(fd, parts, count);
}

int ftruncate(int fd, off_t length)
{
	if (!ours(fd))
		return real_ftruncate(fd, length);
	begin();
	int r = real_ftruncate(fd, length), e = errno;
	if (r == 0)
		note('t', fds[fd].object, false, (uint64_t)length, NULL, 0);
	end();
	errno = e;
	return r;
}

int ftruncate64(int fd, off64_t length)
{
	return ftruncate(fd, length);
}

int posix_fallocate(int fd, off_t at, off_t length)
{
	if (!ours(fd))
		return real_fallocate(fd, at, length);
	begin();
	int r = real_fallocate(fd, at, length);
	if (r == 0)
		note('a', fds[fd].object, false, (uint64_t)(at + length), NULL, 0);
	end();
	return r;
}

int posix_fallocate64(int fd, off64_t at, off64_t length)
{
	return posix_fallocate(fd, at, length);
}

int fallocate(int fd, int mode, off_t at, off_t length)
{
	refuse(fd, "fallocate is not known here");
	return mode == 0 ? real_fallocate(fd, at, length) : (errno = EOPNOTSUPP, -1);
}

void *mmap(void *where, size_t length, int protection, int flags, int fd, off_t at)
{
	if ((flags & MAP_SHARED) != 0 && (protection & PROT_WRITE) != 0)
		refuse(fd, "a shared mapping cannot be watched");
	pthread_once(&once, prepare);
	return real_mmap(where, length, protection, flags, fd, at);
}

void *mmap64(void *where, size_t length, int protection, int flags, int fd, off64_t at)
{
	return mmap(where, length, protection, flags, fd, at);
}

/* Only what was there when it began is sure to be on disk when it ends. The disk itself is not
 * asked: a killed process loses no file, and the harness takes away what the power would have
 * taken. */
static int sync_fd(int fd)
{
	begin();
	uint64_t covered = records;
	long pause = slow_us > 0 ? random() % slow_us : 0;
	end();
	nanosleep(&(struct timespec){.tv_nsec = pause * 1000}, NULL);
	begin();
	if (!fds[fd].lied)
		note('s', fds[fd].object, fds[fd].directory, covered, NULL, 0);
	end();
	return 0;
}

int fsync(int fd)
{
	return ours(fd) ? sync_fd(fd) : real_fsync(fd);
}

int fdatasync(int fd)
{
	return ours(fd) ? sync_fd(fd) : real_fdatasync(fd);
}

static int unlink_at(int at, const char *path, int flags)
{
	char room[NAME_LIMIT];

	begin();
	const char *name = below_at(at, path, room);
	int r = real_unlinkat(at, path, flags), e = errno;
	if (r == 0 && name != NULL && !shared_memory(name))
		note('u', 0, flags != 0, 0, name, strlen(name));
	end();
	errno = e;
	return r;
}

int unlink(const char *path)
{
	return unlink_at(AT_FDCWD, path, 0);
}

int unlinkat(int at, const char *path, int flags)
{
	return unlink_at(at, path, flags);
}

int rmdir(const char *path)
{
	return unlink_at(AT_FDCWD, path, AT_REMOVEDIR);
}

/* Two names: "old//new". `r` is what the call said. */
static int note_names(char kind, int r, int from_at, const char *from, int to_at, const char *to)
{
	char room[NAME_LIMIT], room2[NAME_LIMIT], both[2 * NAME_LIMIT];
	const char *old = below_at(from_at, from, room), *new = below_at(to_at, to, room2);
	int e = errno;

	if ((old == NULL) != (new == NULL))
		stop("a file is moved in or out");
	if (r == 0 && old != NULL) {
		int n = snprintf(both, sizeof(both), "%s//%s", old, new);
		note(kind, 0, false, 0, both, (size_t)n);
	}
	end();
	errno = e;
	return r;
}

int renameat(int from_at, const char *from, int to_at, const char *to)
{
	begin();
	return note_names('r', real_renameat(from_at, from, to_at, to), from_at, from, to_at, to);
}

int rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
	begin();
	return note_names('l', real_linkat(from_at, from, to_at, to, flags), from_at, from, to_at,
			  to);
}

int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int mkdir_at(int at, const char *path, mode_t mode)
{
	char room[NAME_LIMIT];
	struct stat st;

	begin();
	const char *name = below_at(at, path, room);
	int r = real_mkdirat(at, path, mode), e = errno;
	if (r == 0 && name != NULL) {
		if (fstatat(at, path, &st, 0) != 0)
			stop("a new directory is gone");
		note('c', st.st_ino, true, 0, name, strlen(name));
	}
	end();
	errno = e;
	return r;
}

int mkdir(const char *path, mode_t mode)
{
	return mkdir_at(AT_FDCWD, path, mode);
}

int mkdirat(int at, const char *path, mode_t mode)
{
	return mkdir_at(at, path, mode);
}
