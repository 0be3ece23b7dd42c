/* A put writes a temporary file, fsyncs it and renames it, so a name never stands for half an
 * object. */
#include "store/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

enum { DEPTH_MAX = 3, NAMES_MAX = 4 * 1024 * 1024, ABANDONED_S = 24 * 3600 };

static const char TEMPORARY[] = ".writing-";

static enum status trouble(const char *path, const char *what)
{
	int why = errno;
	char reason[128];
	enum status s = why == ENOENT				? E_NOTFOUND
			: why == EACCES || why == EPERM		? E_DENIED
			: why == ENOTDIR || why == ENAMETOOLONG ? E_INVALID
								: E_TRANSIENT;

	return failure(s, "%s: %s: %s", path, what, strerror_r(why, reason, sizeof(reason)));
}

int target_name_fits(const char *name)
{
	size_t component = 0;

	for (const char *c = name;; c++) {
		if (*c == '/' || *c == '\0') {
			if (component == 0 || c[-(ptrdiff_t)component] == '.')
				return 0;
			component = 0;
			if (*c == '\0')
				return c - name < 256;
		} else if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._"
				  "-",
				  *c) == NULL) {
			return 0;
		} else {
			component++;
		}
	}
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void target_sort(char **names, size_t count)
{
	if (count > 1)
		qsort(names, count, sizeof(*names), by_text);
}

static enum status write_all(int fd, const char *path, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t wrote = write(fd, bytes, n);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return trouble(path, "cannot be written");
		bytes += wrote;
		n -= (size_t)wrote;
	}
	return fsync(fd) == 0 ? OK : trouble(path, "cannot be made durable");
}

enum status file_write_durably(const char *path, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return trouble(path, "cannot be created");
	enum status s = write_all(fd, path, bytes, n);
	if (close(fd) != 0 && s == OK)
		s = trouble(path, "cannot be written");
	if (s != OK)
		unlink(path);
	return s;
}

enum status directory_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return trouble(path, "cannot be opened");
	enum status s = fsync(fd) == 0 ? OK : trouble(path, "cannot be made durable");
	close(fd);
	return s;
}

static enum status clear(const char *path, int depth)
{
	SCOPE(tmp);
	DIR *d = opendir(path);
	const struct dirent *e = NULL;
	enum status s = OK;

	if (d == NULL)
		return trouble(path, "cannot be listed");
	while (s == OK && (errno = 0, e = readdir(d)) != NULL) {
		const char *inner = str_fmt(tmp, "%s/%s", path, e->d_name);
		if (str_eq(e->d_name, ".") || str_eq(e->d_name, "..") ||
		    str_eq(e->d_name, "lost+found"))
			continue;
		if (unlink(inner) == 0)
			continue;
		if (errno == EISDIR && depth < DEPTH_MAX)
			s = clear(inner, depth + 1);
		if (s == OK && rmdir(inner) != 0)
			s = trouble(inner, "cannot be removed");
	}
	if (s == OK && errno != 0)
		s = trouble(path, "cannot be listed");
	closedir(d);
	return s;
}

enum status directory_clear(const char *path)
{
	return clear(path, 0);
}

/* The name of a new directory is durable when the directory above it is. */
static enum status sync_above(const char *path)
{
	SCOPE(tmp);
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return directory_sync(".");
	return directory_sync(slash == path ? "/" : str_ndup(tmp, path, (size_t)(slash - path)));
}

static enum status make_directories(void *mem, const char *path)
{
	char *part = str_dup(mem, path);

	for (char *c = part + 1;; c++) {
		bool last = *c == '\0';
		if (*c != '/' && !last)
			continue;
		*c = '\0';
		if (mkdir(part, 0700) == 0) {
			TRY(sync_above(part));
		} else if (errno != EEXIST) {
			return trouble(part, "cannot be created");
		}
		if (last)
			return OK;
		*c = '/';
	}
}

static char *folder_of(void *mem, const char *path)
{
	return str_ndup(mem, path, (size_t)(strrchr(path, '/') - path));
}

static enum status put(struct target *t, const char *name, const void *bytes, size_t n)
{
	SCOPE(tmp);
	char *path = str_fmt(tmp, "%s/%s", (const char *)t->of, name);
	char *folder = folder_of(tmp, path);
	char *draft = str_fmt(tmp, "%s/%s%s", folder, TEMPORARY, id_random_hex(tmp, 8));

	if (!target_name_fits(name))
		return failure(E_INVALID, "backup: a bad object name");
	TRY(make_directories(tmp, folder));
	TRY(file_write_durably(draft, bytes, n));
	if (rename(draft, path) != 0) {
		enum status s = trouble(path, "cannot be renamed into place");
		unlink(draft);
		return s;
	}
	return directory_sync(folder);
}

static enum status get(void *mem, struct target *t, const char *name, char **out, size_t *n)
{
	SCOPE(tmp);
	char *path = str_fmt(tmp, "%s/%s", (const char *)t->of, name);
	struct stat st;

	if (!target_name_fits(name))
		return failure(E_INVALID, "backup: a bad object name");
	if (stat(path, &st) != 0)
		return trouble(path, "cannot be read");
	if (!S_ISREG(st.st_mode) || st.st_size > TARGET_OBJECT_BYTES)
		return failure(E_INVALID, "%s: not a backup object", path);
	return file_read(mem, path, (size_t)st.st_size, out, n);
}

struct listing {
	void *mem;
	char **names;
	size_t count, room;
};

static void keep(struct listing *l, const char *name)
{
	if (l->count == l->room) {
		l->room = l->room == 0 ? 64 : 2 * l->room;
		l->names = GROW(l->mem, l->names, char *, l->room);
	}
	l->names[l->count++] = str_dup(l->mem, name);
}

static enum status walk(struct listing *l, const char *root, const char *folder, int depth);

static enum status look(struct listing *l, const char *root, const char *folder, const char *entry,
			int depth)
{
	SCOPE(tmp);
	char *name = *folder == '\0' ? str_dup(tmp, entry) : str_fmt(tmp, "%s/%s", folder, entry);
	struct stat st;

	const char *path = str_fmt(tmp, "%s/%s", root, name);
	/* what is missing and what may go is decided by this list: it names all, or fails */
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? OK : trouble(path, "cannot be looked at");
	/* what a put that was cut short has left behind */
	if (str_starts(entry, TEMPORARY) && st.st_mtime < clock_now() / 1000 - ABANDONED_S)
		unlink(path);
	if (entry[0] == '.' || !target_name_fits(name))
		return OK;
	if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
		return walk(l, root, name, depth + 1);
	if (S_ISREG(st.st_mode) && l->count == NAMES_MAX)
		return failure(E_INVALID, "%s: too many objects", root);
	if (S_ISREG(st.st_mode))
		keep(l, name);
	return OK;
}

static enum status walk(struct listing *l, const char *root, const char *folder, int depth)
{
	SCOPE(tmp);
	const char *path = *folder == '\0' ? root : str_fmt(tmp, "%s/%s", root, folder);
	DIR *d = opendir(path);
	const struct dirent *e = NULL;
	enum status s = OK;

	if (d == NULL)
		return trouble(path, "cannot be listed");
	while (s == OK && (errno = 0, e = readdir(d)) != NULL)
		s = look(l, root, folder, e->d_name, depth);
	if (s == OK && errno != 0)
		s = trouble(path, "cannot be listed");
	closedir(d);
	return s;
}

static enum status list(void *mem, struct target *t, char ***names, size_t *count)
{
	struct listing l = {.mem = mem};
	struct stat st;

	if (stat(t->of, &st) != 0 && errno == ENOENT) {
		*names = NULL;
		*count = 0;
		return OK;
	}
	TRY(walk(&l, t->of, "", 0));
	target_sort(l.names, l.count);
	*names = l.names;
	*count = l.count;
	return OK;
}

static enum status discard(struct target *t, const char *name)
{
	SCOPE(tmp);
	char *path = str_fmt(tmp, "%s/%s", (const char *)t->of, name);

	if (!target_name_fits(name))
		return failure(E_INVALID, "backup: a bad object name");
	if (unlink(path) != 0 && errno != ENOENT)
		return trouble(path, "cannot be removed");
	rmdir(folder_of(tmp, path)); /* when it was the last of its series */
	return OK;
}

struct target *target_directory(void *mem, const char *path)
{
	struct target *t = NEW(mem, struct target);
	char *root = str_dup(t, path);

	for (size_t n = strlen(root); n > 1 && root[n - 1] == '/'; n--)
		root[n - 1] = '\0';
	*t = (struct target){
		.name = root, .of = root, .put = put, .get = get, .list = list, .remove = discard};
	return t;
}
