#include "store/soundness.h"

#include "base/mem.h"
#include "base/str.h"

enum { FINDINGS_MOST = 20 };

static enum status trouble(sqlite3 *db)
{
	int code = sqlite3_errcode(db);

	if (code == SQLITE_INTERRUPT)
		return failure(E_CANCELED, "interrupted");
	return failure(code == SQLITE_BUSY ? E_TRANSIENT : E_INTERNAL,
		       "store: the database cannot be read (%s, code %d)", sqlite3_errmsg(db),
		       sqlite3_extended_errcode(db));
}

static enum status read_names(void *mem, sqlite3 *db, sqlite3_stmt *row, char ***names,
			      size_t *count)
{
	int code;

	*names = NEW_ARRAY(mem, char *, 0);
	*count = 0;
	while ((code = sqlite3_step(row)) == SQLITE_ROW) {
		*names = GROW(mem, *names, char *, *count + 1);
		(*names)[(*count)++] = str_dup(mem, (const char *)sqlite3_column_text(row, 0));
	}
	return code == SQLITE_DONE ? OK : trouble(db);
}

enum status soundness_tables(void *mem, sqlite3 *db, char ***names, size_t *count)
{
	static const char NAMES[] = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name "
				    "NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
	sqlite3_stmt *row = NULL;

	if (sqlite3_prepare_v2(db, NAMES, -1, &row, NULL) != SQLITE_OK)
		return trouble(db);
	enum status s = read_names(mem, db, row, names, count);
	sqlite3_finalize(row);
	return s;
}

static enum status report_rows(sqlite3 *db, sqlite3_stmt *row, const char *table, finding_fn *found,
			       void *arg)
{
	int code;

	while ((code = sqlite3_step(row)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(row, 0);
		if (text != NULL && !str_eq(text, "ok"))
			found(table, text, arg);
	}
	if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
		found(table, sqlite3_errmsg(db), arg);
		return OK;
	}
	return code == SQLITE_DONE ? OK : trouble(db);
}

enum status soundness_table(sqlite3 *db, const char *table, bool thorough, finding_fn *found,
			    void *arg)
{
	sqlite3_stmt *row = NULL;
	char *sql = mem_check(sqlite3_mprintf(
		thorough ? "PRAGMA integrity_check(\"%w\")" : "PRAGMA quick_check(\"%w\")", table));
	int code = sqlite3_prepare_v2(db, sql, -1, &row, NULL);
	enum status s = OK;

	if (code == SQLITE_OK)
		s = report_rows(db, row, table, found, arg);
	else if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
		found(table, sqlite3_errmsg(db), arg);
	else
		s = trouble(db);
	sqlite3_finalize(row);
	sqlite3_free(sql);
	return s;
}

/* Each gives rows of one text. What retention takes away in any order is not compared. */
static const char *const RELATIONS[] = {
	"SELECT 'job of incident ' || incident || ', which is not there' FROM job"
	" WHERE incident NOT IN (SELECT id FROM incident) LIMIT ?",
	"SELECT 'incident ' || id || ' is not closed and has no job' FROM incident"
	" WHERE state <> 6 AND id NOT IN (SELECT incident FROM job) LIMIT ?",
	"SELECT 'incident ' || id || ' is closed and has a job' FROM incident"
	" WHERE state = 6 AND id IN (SELECT incident FROM job) LIMIT ?",
	"SELECT 'ticket operation ' || seq || ' of incident ' || incident || ', which is not there'"
	" FROM ticket_op WHERE incident > 0 AND incident NOT IN (SELECT id FROM incident) LIMIT ?",
	"SELECT 'timeline of incident ' || incident || ', which is not there' FROM journal"
	" WHERE incident > 0 AND incident NOT IN (SELECT id FROM incident) GROUP BY incident LIMIT "
	"?",
	"SELECT 'ticket operation ' || seq || ' of failure group ' || -incident || ', which is not "
	"there'"
	" FROM ticket_op WHERE incident <= 0 AND -incident NOT IN (SELECT id FROM failure_group) "
	"LIMIT ?",
	"SELECT 'timeline of failure group ' || -incident || ', which is not there' FROM journal"
	" WHERE incident <= 0 AND -incident NOT IN (SELECT id FROM failure_group) GROUP BY incident"
	" LIMIT ?",
	"SELECT 'inquiry of incident ' || incident || ', which is not there' FROM inquiry"
	" WHERE incident NOT IN (SELECT id FROM incident) LIMIT ?",
	"SELECT 'picture of incident ' || incident || ', which is not there' FROM picture"
	" WHERE incident NOT IN (SELECT id FROM incident) GROUP BY incident LIMIT ?",
	"SELECT 'episode of incident ' || incident || ', which never was' FROM episode"
	" WHERE incident <> 0 AND incident > (SELECT coalesce(max(seq), 0) FROM sqlite_sequence"
	" WHERE name = 'incident') LIMIT ?",
	"SELECT 'event ' || id || ' of incident ' || incident || ', which never was' FROM event"
	" WHERE incident <> 0 AND incident > (SELECT coalesce(max(seq), 0) FROM sqlite_sequence"
	" WHERE name = 'incident') LIMIT ?",
	"SELECT 'two incidents have the uid ' || uid FROM incident GROUP BY uid"
	" HAVING count(*) > 1 LIMIT ?",
	"SELECT 'the position of the intake log is missing' WHERE NOT EXISTS (SELECT 1 FROM intake)"
	" LIMIT ?",
};

static enum status relate(sqlite3 *db, const char *sql, finding_fn *found, void *arg)
{
	sqlite3_stmt *row = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK)
		return trouble(db);
	enum status s = OK;
	if (sqlite3_bind_int(row, 1, FINDINGS_MOST) != SQLITE_OK)
		s = trouble(db);
	if (s == OK)
		s = report_rows(db, row, "relations", found, arg);
	sqlite3_finalize(row);
	return s;
}

enum status soundness_relations(sqlite3 *db, finding_fn *found, void *arg)
{
	for (size_t n = 0; n < sizeof(RELATIONS) / sizeof(RELATIONS[0]); n++)
		TRY(relate(db, RELATIONS[n], found, arg));
	return OK;
}
