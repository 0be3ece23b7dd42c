/*
 * SQLite finds a row by walking down a tree of pages; a page that is not whole makes all rows below
 * it unreachable, and a scan ends there. So a table is read forwards as far as it goes, backwards
 * as far as it goes, and what is left between is halved until the bad pages are cornered. Tables
 * without row numbers are read from both ends; the keys of what lies between stand once more in one
 * of their indices.
 */
#include "store/salvage.h"

#include "base/mem.h"
#include "base/str.h"

enum {
	SEEKS_MOST = 100000, /* that find nothing, per table */
	BEYOND = 2000,	     /* row numbers that are tried behind the last one when none is known */
	LEAP = 2000	     /* between neighbours: the row of a torn page may have any number */
};

struct way {
	sqlite3 *from, *to;
	const char *table;
	char *columns; /* "a", "b" */
	char *key[2];  /* of a table without row numbers; key[0] NULL: it has them */
	int keys;
	char *index; /* one of its indices, or NULL */
	sqlite3_stmt *up, *down, *insert;
	int seeks;
	struct salvaged *out;
};

static enum status trouble(sqlite3 *db)
{
	int code = sqlite3_errcode(db);

	return failure(code == SQLITE_FULL || code == SQLITE_IOERR ? E_TRANSIENT : E_INTERNAL,
		       "store: the new database: %s (code %d)", sqlite3_errmsg(db),
		       sqlite3_extended_errcode(db));
}

/* Returns NULL when it cannot be prepared; of `from` that is damage. */
static sqlite3_stmt *prepared(sqlite3 *db, char *sql)
{
	sqlite3_stmt *st = NULL;

	mem_check(sql);
	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		st = NULL;
	sqlite3_free(sql);
	return st;
}

/* Names of both databases' columns, and the primary key, as the new one has them. */
static enum status read_columns(void *mem, struct way *w)
{
	sqlite3_stmt *row = prepared(
		w->to, sqlite3_mprintf("SELECT t.name, t.pk, l.wr FROM pragma_table_info(%Q) t, "
				       "pragma_table_list(%Q) l WHERE l.schema = 'main'",
				       w->table, w->table));
	if (row == NULL)
		return trouble(w->to);
	w->columns = str_dup(mem, "");
	while (sqlite3_step(row) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(row, 0);
		int key = sqlite3_column_int(row, 1);
		sqlite3_stmt *there =
			prepared(w->from, sqlite3_mprintf("SELECT \"%w\".\"%w\" FROM \"%w\"",
							  w->table, name, w->table));
		if (there != NULL)
			str_add(&w->columns, "%s\"%s\"", w->columns[0] == '\0' ? "" : ", ", name);
		sqlite3_finalize(there);
		if (sqlite3_column_int(row, 2) == 0 || key == 0)
			continue;
		w->keys++;
		if (key <= 2)
			w->key[key - 1] = str_dup(mem, name);
	}
	sqlite3_finalize(row);
	return OK;
}

static void find_index(void *mem, struct way *w)
{
	sqlite3_stmt *row = prepared(
		w->to, sqlite3_mprintf("SELECT name FROM pragma_index_list(%Q) WHERE origin = 'c' "
				       "AND partial = 0",
				       w->table));
	if (row != NULL && sqlite3_step(row) == SQLITE_ROW)
		w->index = str_dup(mem, (const char *)sqlite3_column_text(row, 0));
	sqlite3_finalize(row);
}

static char *marks(void *mem, int n)
{
	char *text = str_dup(mem, n > 0 ? "?" : "");

	for (; n > 1; n--)
		str_add(&text, ", ?");
	return text;
}

/* The row that `read` stands on, whose values begin at this column. */
static enum status copy_row(struct way *w, sqlite3_stmt *read, int first)
{
	int count = sqlite3_bind_parameter_count(w->insert);

	sqlite3_reset(w->insert);
	for (int n = 0; n < count; n++)
		if (sqlite3_bind_value(w->insert, n + 1, sqlite3_column_value(read, first + n)) !=
		    SQLITE_OK)
			return trouble(w->to);
	int code = sqlite3_step(w->insert);
	if (code == SQLITE_CONSTRAINT) {
		/* the key is there: it was read from the other end; else it does not fit */
		int why = sqlite3_extended_errcode(w->to);
		w->out->lost +=
			why != SQLITE_CONSTRAINT_PRIMARYKEY && why != SQLITE_CONSTRAINT_ROWID;
		return OK;
	}
	if (code != SQLITE_DONE)
		return trouble(w->to);
	w->out->rows += sqlite3_changes(w->to);
	return OK;
}

static bool are_neighbours(int64_t a, int64_t b)
{
	return (a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a) <= LEAP;
}

/* Reads [lo, hi] from one end; *at is the number of the last row that could be read, that is near
 * the one before and in the range (a torn page may give any); *done: all of it. */
static enum status read_range(struct way *w, sqlite3_stmt *st, int64_t lo, int64_t hi, int64_t *at,
			      bool *done)
{
	int64_t before = *at;
	int code;

	sqlite3_reset(st);
	sqlite3_bind_int64(st, 1, lo);
	sqlite3_bind_int64(st, 2, hi);
	while ((code = sqlite3_step(st)) == SQLITE_ROW) {
		int64_t number = sqlite3_column_int64(st, 0);
		if (number >= lo && number <= hi &&
		    (before == INT64_MAX || are_neighbours(number, before)))
			*at = number;
		before = number;
		TRY(copy_row(w, st, 1));
	}
	*done = code == SQLITE_DONE;
	w->seeks++;
	sqlite3_reset(st);
	return OK;
}

static enum status read_numbers(struct way *w, int64_t lo, int64_t hi)
{
	int64_t up = lo - 1, down = hi + 1;
	bool upwards = false, downwards = false;

	/* a torn row with a number beyond the range ends it as its true end does, but not from both
	 * ends */
	if (w->seeks < SEEKS_MOST)
		TRY(read_range(w, w->up, lo, hi, &up, &upwards));
	if (w->seeks < SEEKS_MOST)
		TRY(read_range(w, w->down, lo, hi, &down, &downwards));
	if (upwards && downwards)
		return OK;
	if (up < down) { /* else one of them is wrong: nothing is left out */
		lo = up + 1;
		hi = down - 1;
	}
	if (lo > hi)
		return OK;
	if (lo == hi || w->seeks >= SEEKS_MOST) {
		w->out->lost += hi - lo + 1;
		return OK;
	}
	int64_t middle = lo + (hi - lo) / 2;
	TRY(read_numbers(w, lo, middle));
	return read_numbers(w, middle + 1, hi);
}

static enum status salvage_numbered(struct way *w, int64_t known)
{
	int64_t up = 0, down = INT64_MAX;
	bool done = false;

	w->up = prepared(w->from, sqlite3_mprintf("SELECT rowid, %s FROM \"%w\" NOT INDEXED WHERE "
						  "rowid BETWEEN ? AND ? ORDER BY rowid",
						  w->columns, w->table));
	w->down =
		prepared(w->from, sqlite3_mprintf("SELECT rowid, %s FROM \"%w\" NOT INDEXED WHERE "
						  "rowid BETWEEN ? AND ? ORDER BY rowid DESC",
						  w->columns, w->table));
	if (w->up == NULL || w->down == NULL) {
		w->out->lost += known > 0 ? known : 1;
		return OK;
	}
	TRY(read_range(w, w->up, 1, INT64_MAX - 1, &up, &done));
	if (!done)
		TRY(read_range(w, w->down, 1, INT64_MAX - 1, &down, &done));
	if (done)
		return OK;
	if (up > INT64_MAX / 2) /* no number of ours: of a torn page */
		up = 0;
	/* else one of them is of a torn page: nothing is left out */
	bool apart = up < down;
	if (!apart || down == INT64_MAX) /* the last page is bad as well */
		down = 1 + (known > up ? known : up + BEYOND);
	if (!apart)
		up = 0;
	return up + 1 < down ? read_numbers(w, up + 1, down - 1) : OK;
}

static enum status read_keyed(struct way *w, const char *order, bool *done)
{
	const char *second = w->key[1] == NULL ? w->key[0] : w->key[1];
	enum status s = OK;
	sqlite3_stmt *st = prepared(
		w->from, sqlite3_mprintf("SELECT %s FROM \"%w\" NOT INDEXED ORDER BY "
					 "\"%w\" %s, \"%w\" %s",
					 w->columns, w->table, w->key[0], order, second, order));
	int code = SQLITE_CORRUPT;

	while (st != NULL && s == OK && (code = sqlite3_step(st)) == SQLITE_ROW)
		s = copy_row(w, st, 0);
	*done = code == SQLITE_DONE;
	sqlite3_finalize(st);
	return s;
}

static bool has(sqlite3_stmt *there, sqlite3_stmt *keys)
{
	sqlite3_reset(there);
	sqlite3_bind_value(there, 1, sqlite3_column_value(keys, 0));
	sqlite3_bind_value(there, 2, sqlite3_column_value(keys, 1));
	return sqlite3_step(there) == SQLITE_ROW;
}

static enum status read_by_index(struct way *w, sqlite3_stmt *keys, sqlite3_stmt *there,
				 sqlite3_stmt *one)
{
	int code;

	while ((code = sqlite3_step(keys)) == SQLITE_ROW) {
		if (has(there, keys))
			continue;
		if (has(one, keys))
			TRY(copy_row(w, one, 0));
		else
			w->out->lost++;
	}
	/* the index is damaged too: what it did not tell of is lost */
	w->out->lost += code != SQLITE_DONE;
	return OK;
}

static enum status salvage_keyed(void *mem, struct way *w)
{
	bool done = false;

	TRY(read_keyed(w, "ASC", &done));
	if (!done)
		TRY(read_keyed(w, "DESC", &done));
	find_index(mem, w);
	if (done)
		return OK;
	if (w->index == NULL || w->keys != 2) {
		w->out->lost++;
		return OK;
	}
	static const char SOME[] =
		"SELECT %s FROM \"%w\" NOT INDEXED WHERE \"%w\" = ? AND \"%w\" = ?";
	sqlite3_stmt *keys =
		prepared(w->from, sqlite3_mprintf("SELECT \"%w\", \"%w\" FROM \"%w\" "
						  "INDEXED BY \"%w\"",
						  w->key[0], w->key[1], w->table, w->index));
	sqlite3_stmt *there =
		prepared(w->to, sqlite3_mprintf(SOME, "1", w->table, w->key[0], w->key[1]));
	sqlite3_stmt *one = prepared(
		w->from, sqlite3_mprintf(SOME, w->columns, w->table, w->key[0], w->key[1]));
	enum status s = OK;
	if (keys != NULL && there != NULL && one != NULL)
		s = read_by_index(w, keys, there, one);
	else
		w->out->lost++;
	sqlite3_finalize(keys);
	sqlite3_finalize(there);
	sqlite3_finalize(one);
	return s;
}

enum status salvage_table(sqlite3 *from, sqlite3 *to, const char *table, int64_t known,
			  struct salvaged *out)
{
	SCOPE(mem);
	struct way w = {.from = from, .to = to, .table = table, .out = out};

	*out = (struct salvaged){.table = table};
	TRY(read_columns(mem, &w));
	if (str_empty(w.columns))
		return OK; /* a table that the old one did not have yet */
	int count = 1;
	for (const char *c = w.columns; c != NULL && *c != '\0'; c++)
		count += *c == ',';
	w.insert = prepared(to, sqlite3_mprintf("INSERT INTO \"%w\" (%s) VALUES (%s)", table,
						w.columns, marks(mem, count)));
	if (w.insert == NULL)
		return trouble(to);
	enum status s = w.key[0] == NULL ? salvage_numbered(&w, known) : salvage_keyed(mem, &w);
	sqlite3_finalize(w.up);
	sqlite3_finalize(w.down);
	sqlite3_finalize(w.insert);
	return s;
}
