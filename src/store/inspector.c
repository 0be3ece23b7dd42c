#include "store/inspector.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"
#include "store/soundness.h"

enum {
	PAUSE_OPS = 20000, /* of SQLite's machine, between looks whether to stop */
	MESSAGE_BYTES = 200
};

struct inspector {
	const char *path;
	struct writer *writer;
	pthread_t thread;
	atomic_bool stopping;
};

/* A file that was cut short is not noticed before the missing page is wanted. */
static enum status look_at_length(struct database *db, const char *path)
{
	int64_t pages = 0, page_size = 0;
	bool complete = false;
	struct stat st;

	TRY(database_checkpoint(db, &complete));
	TRY(database_number(db, &pages, "PRAGMA page_count", ""));
	TRY(database_number(db, &page_size, "PRAGMA page_size", ""));
	if (complete && stat(path, &st) == 0 && st.st_size < pages * page_size)
		return failure(E_INTERNAL,
			       "store: the database is cut short: %lld bytes in place of %lld; run "
			       "'agent-sre store repair'",
			       (long long)st.st_size, (long long)pages * (long long)page_size);
	return OK;
}

/* The root of each tree and its way down to the newest row. */
enum status inspector_look(struct database *db, const char *path)
{
	static const char *const NEWEST[] = {
		"SELECT max(id) FROM incident",		"SELECT max(incident) FROM job",
		"SELECT max(id) FROM journal",		"SELECT max(seq) FROM ticket_op",
		"SELECT max(id) FROM dead_letter",	"SELECT max(id) FROM call",
		"SELECT max(source) FROM event",	"SELECT max(received_ms) FROM event",
		"SELECT max(fingerprint) FROM episode", "SELECT max(received_ms) FROM episode",
		"SELECT max(incident) FROM ticket_ref", "SELECT max(applied) FROM intake",
	};
	int64_t ignored;

	TRY(look_at_length(db, path));
	for (size_t n = 0; n < sizeof(NEWEST) / sizeof(NEWEST[0]); n++)
		TRY(database_number(db, &ignored, NEWEST[n], ""));
	return OK;
}

static int stops(void *arg)
{
	struct inspector *i = arg;

	return atomic_load(&i->stopping);
}

static void condemn(const char *where, const char *what, void *arg)
{
	struct inspector *i = arg;
	char message[MESSAGE_BYTES];

	str_print(message, sizeof(message),
		  "store: the database is damaged (%.40s: %.60s); stop the agent, then run "
		  "'agent-sre store repair'",
		  where, what);
	writer_condemn(i->writer, message);
}

static enum status inspect(struct inspector *i, sqlite3 *db)
{
	SCOPE(mem);
	char **names = NULL;
	size_t count = 0;

	TRY(soundness_tables(mem, db, &names, &count));
	/* one by one: a long look at one moment would keep the write-ahead log from being emptied
	 */
	for (size_t n = 0; n < count; n++)
		TRY(soundness_table(db, names[n], false, condemn, i));
	return OK;
}

static void *run(void *arg)
{
	struct inspector *i = arg;
	sqlite3 *db = NULL;
	int code = sqlite3_open_v2(i->path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);

	if (code == SQLITE_OK) {
		sqlite3_progress_handler(db, PAUSE_OPS, stops, i);
		/* what cannot be read for another reason is noticed by whoever needs it */
		if (inspect(i, db) == E_INTERNAL && sqlite3_errcode(db) == SQLITE_CORRUPT)
			writer_condemn(i->writer, DATABASE_DAMAGED);
	}
	sqlite3_close(db);
	return NULL;
}

enum status inspector_start(void *mem, const char *path, struct writer *w, struct inspector **out)
{
	struct inspector *i = NEW(mem, struct inspector);

	i->path = path;
	i->writer = w;
	if (pthread_create(&i->thread, NULL, run, i) != 0)
		return failure(E_INTERNAL, "store: cannot start the inspector thread");
	*out = i;
	return OK;
}

void inspector_stop(struct inspector *i)
{
	if (i == NULL)
		return;
	atomic_store(&i->stopping, true);
	pthread_join(i->thread, NULL);
}
