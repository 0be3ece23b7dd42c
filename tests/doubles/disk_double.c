/*
 * A disk that breaks: LD_PRELOADed into the agent. While the file $DISK_DOUBLE holds a word, these
 * calls on files of the data directory ($DISK_DOUBLE_DIR) fail with EIO: "sync" fsync and
 * fdatasync; "write" also pwrite and pwrite64.
 */
#define _GNU_SOURCE
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
	return (strstr(text, "write") != NULL || strstr(text, word) != NULL) && is_ours(fd);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL \
	do { \
		errno = EIO; \
		return -1; \
	} while (0)

int fsync(int fd)
{
	if (breaks(fd, "sync"))
		FAIL;
	return REAL(fsync)(fd);
}

int fdatasync(int fd)
{
	if (breaks(fd, "sync"))
		FAIL;
	return REAL(fdatasync)(fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	if (breaks(fd, "write"))
		FAIL;
	return REAL(pwrite)(fd, bytes, n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at)
{
	if (breaks(fd, "write"))
		FAIL;
	return REAL(pwrite64)(fd, bytes, n, at);
}
