/*
 * A table's digest is the sum, in four lanes of 64 bits, of the SHA-256 of each row: the same for
 * the same rows in whatever order they are read.
 */
#include "store/tables.h"

#include <string.h>

#include <openssl/evp.h>

#include "base/mem.h"
#include "base/str.h"

enum { LANES = 4 };

struct summing {
	EVP_MD_CTX *md;
	uint64_t lanes[LANES];
	int64_t rows;
};

static enum status trouble(sqlite3 *db)
{
	int code = sqlite3_extended_errcode(db);

	return failure((code & 0xff) == SQLITE_BUSY ? E_TRANSIENT : E_INTERNAL,
		       "store: the database is damaged or cannot be read (%s, code %d)",
		       sqlite3_errmsg(db), code);
}

static void add_value(EVP_MD_CTX *md, sqlite3_stmt *row, int column)
{
	int type = sqlite3_column_type(row, column);
	int64_t head[2] = {type, 0};
	const void *bytes = NULL;

	if (type == SQLITE_INTEGER) {
		head[1] = sqlite3_column_int64(row, column);
	} else if (type == SQLITE_FLOAT) {
		double value = sqlite3_column_double(row, column);
		memcpy(&head[1], &value, sizeof(value));
	} else if (type != SQLITE_NULL) {
		bytes = sqlite3_column_blob(row, column);
		head[1] = sqlite3_column_bytes(row, column);
	}
	EVP_DigestUpdate(md, head, sizeof(head));
	if (bytes != NULL)
		EVP_DigestUpdate(md, bytes, (size_t)head[1]);
}

static void add_row(struct summing *s, sqlite3_stmt *row)
{
	uint64_t sum[EVP_MAX_MD_SIZE / sizeof(uint64_t)];

	EVP_DigestInit_ex(s->md, EVP_sha256(), NULL);
	for (int n = 0; n < sqlite3_column_count(row); n++)
		add_value(s->md, row, n);
	EVP_DigestFinal_ex(s->md, (unsigned char *)sum, NULL);
	for (int n = 0; n < LANES; n++)
		s->lanes[n] += sum[n];
	s->rows++;
}

static enum status sum_rows(sqlite3 *db, sqlite3_stmt *row, struct summing *s)
{
	int code;

	while ((code = sqlite3_step(row)) == SQLITE_ROW)
		add_row(s, row);
	return code == SQLITE_DONE ? OK : trouble(db);
}

static enum status digest_one(void *mem, sqlite3 *db, struct table_digest *t)
{
	struct summing s = {.md = mem_check(EVP_MD_CTX_new())};
	sqlite3_stmt *row = NULL;
	char *sql = mem_check(sqlite3_mprintf("SELECT * FROM \"%w\"", t->name));
	enum status status = sqlite3_prepare_v2(db, sql, -1, &row, NULL) == SQLITE_OK
				     ? sum_rows(db, row, &s)
				     : trouble(db);

	sqlite3_finalize(row);
	sqlite3_free(sql);
	EVP_MD_CTX_free(s.md);
	TRY(status);
	t->rows = s.rows;
	t->digest = str_fmt(mem, "%016llx%016llx%016llx%016llx", (unsigned long long)s.lanes[0],
			    (unsigned long long)s.lanes[1], (unsigned long long)s.lanes[2],
			    (unsigned long long)s.lanes[3]);
	return OK;
}

static enum status read_names(void *mem, sqlite3 *db, sqlite3_stmt *row, struct table_digest **out,
			      size_t *count)
{
	int code;

	*out = NEW_ARRAY(mem, struct table_digest, 0);
	*count = 0;
	while ((code = sqlite3_step(row)) == SQLITE_ROW) {
		*out = GROW(mem, *out, struct table_digest, *count + 1);
		(*out)[(*count)++] = (struct table_digest){
			.name = str_dup(mem, (const char *)sqlite3_column_text(row, 0))};
	}
	return code == SQLITE_DONE ? OK : trouble(db);
}

enum status tables_digest(void *mem, sqlite3 *db, struct table_digest **out, size_t *count)
{
	static const char NAMES[] = "SELECT name FROM sqlite_schema WHERE type = 'table' AND "
				    "rootpage > 0 ORDER BY name";
	sqlite3_stmt *row = NULL;

	if (sqlite3_prepare_v2(db, NAMES, -1, &row, NULL) != SQLITE_OK)
		return trouble(db);
	enum status s = read_names(mem, db, row, out, count);
	sqlite3_finalize(row);
	for (size_t n = 0; s == OK && n < *count; n++)
		s = digest_one(mem, db, &(*out)[n]);
	return s;
}

enum status tables_compare(const struct table_digest *want, size_t want_count,
			   const struct table_digest *have, size_t have_count)
{
	if (want_count != have_count)
		return failure(E_INVALID, "there are %zu tables in place of %zu", have_count,
			       want_count);
	for (size_t n = 0; n < want_count; n++) {
		if (!str_eq(want[n].name, have[n].name))
			return failure(E_INVALID, "there is a table %.60s in place of %.60s",
				       have[n].name, want[n].name);
		if (want[n].rows != have[n].rows)
			return failure(E_INVALID, "table %.60s has %lld rows in place of %lld",
				       want[n].name, (long long)have[n].rows,
				       (long long)want[n].rows);
		if (!str_eq(want[n].digest, have[n].digest))
			return failure(E_INVALID, "table %.60s has other content", want[n].name);
	}
	return OK;
}
