/*
 * A disk that breaks: LD_PRELOADed into the agent. While the file $DISK_DOUBLE holds one of these
 * words, calls on files of the data directory $DISK_DOUBLE_DIR fail: "sync" fsync and fdatasync
 * with EIO, "write" these and pwrite with EIO, "readonly" pwrite with EROFS.
 */
#undef _FILE_OFFSET_BITS /* else both names of pwrite are one */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at);

static int is_ours(int fd)
{
	char link[64], path[4096];
	const char *dir = getenv("DISK_DOUBLE_DIR");

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	if (n < 0 || dir == NULL)
		return 0;
	path[n] = '\0';
	return strncmp(path, dir, strlen(dir)) == 0;
}

/* The error, or 0. */
static int breaks(int fd, const char *word)
{
	char text[16] = "";
	const char *name = getenv("DISK_DOUBLE");
	int before = errno;
	int f = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);

	if (f >= 0) {
		ssize_t n = read(f, text, sizeof(text) - 1);
		text[n > 0 ? n : 0] = '\0';
		close(f);
	}
	errno = before;
	if (!is_ours(fd))
		return 0;
	if (strstr(text, "readonly") != NULL)
		return strcmp(word, "write") == 0 ? EROFS : 0;
	return strstr(text, "write") != NULL || strstr(text, word) != NULL ? EIO : 0;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

/* Through memory: ISO C knows no other way from an object's address to a function's. */
#define REAL(name, real) *(void **)&(real) = dlsym(RTLD_NEXT, name)

int fsync(int fd)
{
	int (*real)(int);

	if (breaks(fd, "sync"))
		return fail(breaks(fd, "sync"));
	REAL("fsync", real);
	return real(fd);
}

int fdatasync(int fd)
{
	int (*real)(int);

	if (breaks(fd, "sync"))
		return fail(breaks(fd, "sync"));
	REAL("fdatasync", real);
	return real(fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	ssize_t (*real)(int, const void *, size_t, off_t);

	if (breaks(fd, "write"))
		return fail(breaks(fd, "write"));
	REAL("pwrite", real);
	return real(fd, bytes, n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at)
{
	ssize_t (*real)(int, const void *, size_t, off_t);

	if (breaks(fd, "write"))
		return fail(breaks(fd, "write"));
	REAL("pwrite64", real);
	return real(fd, bytes, n, at);
}
