/*
 * Three names change, and a crash may come between any two: the old log is renamed first, then the
 * new database takes its place, then the old log goes. While agent-sre.db-wal.old is there, the new
 * database's own name tells which one stands in the place: each step is durable before the next.
 */
#include "store/exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "store/target.h"

struct names {
	char *fresh, *old, *wal, *kept, *shm;
};

static struct names names_in(void *mem, const char *dir)
{
	return (struct names){.fresh = str_fmt(mem, "%s/agent-sre.db.new", dir),
			      .old = str_fmt(mem, "%s/agent-sre.db", dir),
			      .wal = str_fmt(mem, "%s/agent-sre.db-wal", dir),
			      .kept = str_fmt(mem, "%s/agent-sre.db-wal.old", dir),
			      .shm = str_fmt(mem, "%s/agent-sre.db-shm", dir)};
}

static enum status trouble(const char *what, const char *path)
{
	char reason[128];

	return failure(E_TRANSIENT, "store: cannot %s %s: %s", what, path,
		       strerror_r(errno, reason, sizeof(reason)));
}

static enum status sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum status s = fd >= 0 && fsync(fd) == 0 ? OK : trouble("sync", path);

	if (fd >= 0)
		close(fd);
	return s;
}

static enum status take_away(const char *path)
{
	return unlink(path) == 0 || errno == ENOENT ? OK : trouble("remove", path);
}

/* A failure here is settled by the next start: the words stay those of the first failure. */
static enum status give_back(const struct names *n, const char *dir, enum status s)
{
	SCOPE(mem);
	const char *words = str_dup(mem, status_message());

	if (rename(n->kept, n->wal) == 0 && directory_sync(dir) == OK)
		return failure(s, "%s", words);
	return failure(s, "%s; its write-ahead log is %s until the next start", words, n->kept);
}

enum status exchange_database(const char *dir)
{
	SCOPE(mem);
	const struct names n = names_in(mem, dir);

	TRY(sync_file(n.fresh));
	TRY(directory_sync(dir)); /* the new one's name, too */
	TRY(take_away(n.shm));
	bool logged = rename(n.wal, n.kept) == 0;
	if (!logged && errno != ENOENT)
		return trouble("rename", n.wal);
	enum status s = logged ? directory_sync(dir) : OK;
	if (s == OK && rename(n.fresh, n.old) != 0)
		s = trouble("replace", n.old);
	if (s != OK)
		return logged ? give_back(&n, dir, s) : s;
	TRY(directory_sync(dir));
	TRY(take_away(n.kept));
	return directory_sync(dir);
}

enum status exchange_settle(const char *dir)
{
	SCOPE(mem);
	const struct names n = names_in(mem, dir);

	if (access(n.kept, F_OK) != 0)
		return errno == ENOENT ? OK : trouble("look at", n.kept);
	bool before = access(n.fresh, F_OK) == 0;
	if (!before && errno != ENOENT)
		return trouble("look at", n.fresh);
	TRY(take_away(n.shm)); /* of a log that is another one now */
	if (before && rename(n.kept, n.wal) != 0)
		return trouble("rename", n.kept);
	if (!before)
		TRY(take_away(n.kept));
	return directory_sync(dir);
}
