/*
 * Files are taken away oldest first, and never written to again but the newest. So: the list must
 * begin at or before the record behind `applied`; a file is whole if it still has its name after it
 * was read. The newest one is read from its end to its beginning: a record that calls an earlier
 * one durable is then never seen without it.
 */
#include "store/tail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

enum { CHUNK_BYTES = 64 * 1024 };

static enum status trouble(const char *name)
{
	char reason[128];

	return failure(E_TRANSIENT, "%s: %s", name, strerror_r(errno, reason, sizeof(reason)));
}

static enum status recycled(const char *name)
{
	return failure(E_CONFLICT, "store: %s was recycled while it was copied", name);
}

static int by_first(const void *a, const void *b)
{
	uint64_t x = ((const struct tail_file *)a)->first;
	uint64_t y = ((const struct tail_file *)b)->first;

	return x < y ? -1 : x > y;
}

static enum status list(void *mem, int folder, struct tail_file **out, size_t *count)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e = NULL;
	struct tail_file *files = NULL;
	enum status s = OK;

	*count = 0;
	if (d == NULL) {
		s = trouble("the data directory");
		if (fd >= 0)
			close(fd);
		return s;
	}
	while ((errno = 0, e = readdir(d)) != NULL) {
		uint64_t first = 0;
		int end = 0;
		/* at most 16 hex digits, and `end` says that all was read */
		// NOLINTNEXTLINE(cert-err34-c)
		if (sscanf(e->d_name, "intake-%16" SCNx64 ".log%n", &first, &end) != 1 ||
		    end == 0 || e->d_name[end] != '\0')
			continue;
		files = GROW(mem, files, struct tail_file, *count + 1);
		files[(*count)++] =
			(struct tail_file){.name = str_dup(mem, e->d_name), .first = first};
	}
	if (errno != 0) /* a file that is not named would be a gap that nobody sees */
		s = trouble("the data directory");
	closedir(d);
	TRY(s);
	if (*count > 1)
		qsort(files, *count, sizeof(*files), by_first);
	*out = files;
	return OK;
}

static enum status read_backwards(int fd, struct tail_file *f)
{
	for (int64_t end = f->size; end > 0;) {
		int64_t at = (end - 1) / CHUNK_BYTES * CHUNK_BYTES;
		for (int64_t done = at; done < end;) {
			ssize_t got = pread(fd, f->bytes + done, (size_t)(end - done), done);
			if (got < 0 && errno == EINTR)
				continue;
			if (got < 0)
				return trouble(f->name);
			if (got == 0)
				return recycled(f->name);
			done += got;
		}
		end = at;
	}
	return OK;
}

static size_t used_of(const char *bytes, size_t n)
{
	while (n > 0 && bytes[n - 1] == 0)
		n--;
	return n;
}

static enum status read_open(void *mem, int folder, int fd, struct tail_file *f, int64_t *room)
{
	struct stat st;
	struct stat now;

	if (fstat(fd, &st) != 0)
		return trouble(f->name);
	if (st.st_size > *room)
		return failure(E_TRANSIENT,
			       "store: too much waits to be applied to the database; a backup is "
			       "possible when it has caught up");
	*room -= st.st_size;
	f->size = st.st_size;
	f->bytes = NEW_ARRAY(mem, char, (size_t)st.st_size + 1);
	TRY(read_backwards(fd, f));
	f->used = used_of(f->bytes, (size_t)f->size);
	if (fstatat(folder, f->name, &now, AT_SYMLINK_NOFOLLOW) != 0 || now.st_ino != st.st_ino ||
	    now.st_dev != st.st_dev)
		return recycled(f->name);
	return OK;
}

static enum status read_one(void *mem, int folder, struct tail_file *f, int64_t *room)
{
	int fd = openat(folder, f->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? recycled(f->name) : trouble(f->name);
	enum status s = read_open(mem, folder, fd, f, room);
	close(fd);
	return s;
}

static enum status copy(void *mem, int folder, uint64_t applied, bool gap, struct tail_file **out,
			size_t *count)
{
	struct tail_file *files = NULL;
	int64_t room = TAIL_BYTES_MAX;
	size_t n = 0;
	size_t from = 0;

	TRY(list(mem, folder, &files, &n));
	if (!gap && n > 0 && files[0].first > applied + 1)
		return recycled("the oldest file of the intake log");
	while (from + 1 < n && files[from + 1].first <= applied + 1)
		from++;
	for (size_t k = from; k < n; k++)
		TRY(read_one(mem, folder, &files[k], &room));
	*out = files + from;
	*count = n - from;
	return OK;
}

enum status tail_copy(void *mem, const char *dir, uint64_t applied, bool gap,
		      struct tail_file **out, size_t *count)
{
	int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0)
		return trouble(dir);
	enum status s = copy(mem, folder, applied, gap, out, count);
	close(folder);
	return s;
}
