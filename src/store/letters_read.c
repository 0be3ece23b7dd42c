/* Finding and showing dead letters; nothing here changes anything. */
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/seal.h"
#include "base/str.h"
#include "base/utf8.h"
#include "domain/redact.h"
#include "store/letter_parts.h"

static const int64_t DEFAULT_RETENTION_MS = 30LL * 24 * 3600 * 1000;

int64_t letter_retention_ms(const struct store *s, const char *event_type)
{
	int64_t fallback =
		s->letter_retention_ms == 0 ? DEFAULT_RETENTION_MS : s->letter_retention_ms;

	for (const char *const *rule = s->letter_retention_by_type; rule != NULL && *rule != NULL;
	     rule++) {
		const char *sign = strrchr(*rule, '=');
		long long ms = 0;
		if (sign != NULL && strlen(event_type) == (size_t)(sign - *rule) &&
		    strncmp(event_type, *rule, strlen(event_type)) == 0 &&
		    str_to_duration(sign + 1, &ms) == OK)
			return ms;
	}
	return fallback;
}

static void set(json_t *to, const char *name, const char *text)
{
	json_object_set_new(to, name, json_string(text));
}

json_t *letter_view(void *mem, const struct store *s, sqlite3_stmt *row)
{
	static const char *const TEXTS[LETTER_COLUMN_COUNT] = {
		[1] = "event_id",     [2] = "event_type",      [3] = "event_source",
		[4] = "subject",      [5] = "correlation_id",  [6] = "failure_reason",
		[7] = "failure_kind", [9] = "stage",	       [15] = "partition_key",
		[16] = "group",	      [17] = "pattern",	       [18] = "linear_issue_id",
		[20] = "state",	      [21] = "pending_action",
	};
	json_t *v = mem_own(mem, json_object());
	int64_t failed_ms = column_int(row, 13);

	json_object_set_new(v, "dlq_id", json_integer(column_int(row, 0)));
	for (int n = 0; n < LETTER_COLUMN_COUNT; n++)
		if (TEXTS[n] != NULL)
			set(v, TEXTS[n], column_text(mem, row, n));
	set(v, "failure_category", letter_category(column_text(mem, row, 7)));
	set(v, "permanence", column_int(row, 8) != 0 ? "permanent" : "transient");
	set(v, "last_error", column_text(mem, row, 6));
	set(v, "idempotency_key",
	    str_fmt(mem, "%s/%s", column_text(mem, row, 3), column_text(mem, row, 1)));
	set(v, "received_at", clock_format(mem, column_int(row, 12)));
	set(v, "failed_at", clock_format(mem, failed_ms));
	set(v, "retention_until",
	    clock_format(mem, failed_ms + letter_retention_ms(s, column_text(mem, row, 2))));
	json_object_set_new(v, "attempts", json_integer(column_int(row, 10)));
	json_object_set_new(v, "replays", json_integer(column_int(row, 19)));
	json_object_set_new(v, "origin", json_pack("{s:s}", "kind", column_text(mem, row, 11)));
	if (column_int(row, 14) != 0)
		set(v, "incident", incident_name(mem, column_int(row, 14)));
	return v;
}

/* ",parse," for poison_message: the kinds whose category or name is asked for. */
static const char *kinds_of(void *mem, const char *category)
{
	const char *kind;

	if (str_empty(category))
		return "";
	char *kinds = str_fmt(mem, ",%s,", category);
	for (size_t n = 0; (kind = letter_kind(n)) != NULL; n++)
		if (str_eq(letter_category(kind), category))
			str_add(&kinds, "%s,", kind);
	return kinds;
}

#define FIND(table, values, order) \
	"SELECT " values " FROM " table " WHERE (?1 = 'all' OR (?1 = '' AND state <> 'resolved')" \
	" OR state = ?1)" \
	" AND (?2 = '' OR instr(lower(reason), lower(?2)) > 0)" \
	" AND (?3 = '' OR instr(?3, ',' || category || ',') > 0)" \
	" AND (?4 = '' OR event_type = ?4) AND (?5 = '' OR correlation_id = ?5)" \
	" AND (?6 = '' OR group_key = ?6)" \
	" AND (?7 = '' OR instr(lower(reason || char(10) || event_id || char(10) || event_source" \
	" || char(10) || event_type || char(10) || subject || char(10) || correlation_id), " \
	"lower(?7)) > 0)" \
	" AND (?8 = 0 OR failed_ms >= ?8) AND (?9 = 0 OR failed_ms < ?9)" \
	" AND (?10 = 0 OR id < ?10) AND id > ?11 ORDER BY id " order " LIMIT ?12"

static const char *or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

static enum status select_letters(void *mem, struct database *db, const struct letter_filter *f,
				  sqlite3_stmt **row)
{
	const char *kinds = kinds_of(mem, f->category);
	const char *sql = f->archived	    ? f->oldest_first
						      ? FIND("archived_letter", LETTER_COLUMNS, "ASC")
						      : FIND("archived_letter", LETTER_COLUMNS, "DESC")
				: f->oldest_first ? FIND("dead_letter", LETTER_VALUES, "ASC")
					    : FIND("dead_letter", LETTER_VALUES, "DESC");

	return database_select(db, row, sql, "sssssssiiiii",
			       f->archived ? "all" : or_empty(f->state), or_empty(f->reason), kinds,
			       or_empty(f->type), or_empty(f->correlation_id), or_empty(f->group),
			       or_empty(f->text), f->from_ms, f->to_ms, f->before, f->after,
			       (int64_t)f->limit);
}

static enum status list(void *mem, const struct store *s, struct database *db,
			const struct letter_filter *f, json_t *out)
{
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(select_letters(mem, db, f, &row));
	for (;;) {
		TRY(database_row(db, row, &more));
		if (!more)
			return OK;
		SCOPE(tmp);
		json_array_append(out, letter_view(tmp, s, row));
	}
}

static enum status check(const struct letter_filter *f)
{
	static const char *const STATES[] = {"", "all", "pending", "replaying", "resolved"};

	for (size_t n = 0; n < sizeof(STATES) / sizeof(STATES[0]); n++)
		if (str_eq(or_empty(f->state), STATES[n]))
			return OK;
	return failure(E_INVALID, "state must be pending, replaying, resolved or all");
}

enum status store_letters(void *mem, struct store *s, const struct letter_filter *f, json_t **out)
{
	struct database *db = NULL;

	TRY(check(f));
	*out = mem_own(mem, json_array());
	TRY(reader_take(s, &db));
	enum status status = list(mem, s, db, f, *out);
	reader_give(s, db);
	return status;
}

enum status store_dead_letters(void *mem, struct store *s, size_t limit, json_t **out)
{
	const struct letter_filter f = {.limit = limit};

	return store_letters(mem, s, &f, out);
}

enum status letter_open(void *mem, const struct seal *seal, const void *sealed, size_t bytes,
			json_t **frame, const char **body, size_t *body_bytes)
{
	char *plain = NULL;
	size_t n = 0;

	TRY(seal_unlock(mem, seal, LETTER_CONTEXT, sealed, bytes, &plain, &n));
	const char *line = memchr(plain, '\n', n);
	if (line == NULL)
		return failure(E_INTERNAL, "store: a dead letter has no frame");
	TRY(json_parse(mem, plain, (size_t)(line - plain), frame));
	if (!json_is_object(*frame))
		return failure(E_INTERNAL, "store: the frame of a dead letter is no object");
	*body = line + 1;
	*body_bytes = n - (size_t)(line + 1 - plain);
	return OK;
}

/* JSON when it is, else text without what is no UTF-8. */
static json_t *shown_body(void *mem, const char *body, size_t n)
{
	json_t *parsed = NULL;

	if (json_parse(mem, body, n, &parsed) == OK)
		return redact_json(mem, parsed);
	char *text = NEW_ARRAY(mem, char, n + 1);
	for (size_t i = 0; i < n; i++)
		text[i] = body[i] == '\0' ? ' ' : body[i];
	char *clean = NEW_ARRAY(mem, char, n + 1);
	utf8_copy(clean, n + 1, text);
	return mem_own(mem, json_string(redact_text(mem, clean)));
}

static void show_original(void *mem, const struct store *s, const void *sealed, size_t bytes,
			  json_t *view)
{
	json_t *frame = NULL;
	const char *body = NULL;
	size_t n = 0;

	json_object_set_new(view, "event", json_null());
	if (sealed == NULL || bytes == 0)
		return;
	if (letter_open(mem, s->seal, sealed, bytes, &frame, &body, &n) != OK) {
		set(view, "event_unreadable", status_message());
		return;
	}
	json_t *event = json_object();
	static const char *const SHOWN[] = {"mode", "content_type", "bytes", "sha256", "truncated"};
	for (size_t i = 0; i < sizeof(SHOWN) / sizeof(SHOWN[0]); i++)
		json_object_set(event, SHOWN[i], json_object_get(frame, SHOWN[i]));
	json_object_set(event, "headers", redact_json(mem, json_object_get(frame, "headers")));
	json_object_set(event, "body", shown_body(mem, body, n));
	json_object_set_new(view, "event", event);
	if (json_object_get(frame, "schema") != NULL)
		json_object_set(view, "schema", redact_json(mem, json_object_get(frame, "schema")));
	if (json_is_object(json_object_get(frame, "origin")))
		json_object_update(json_object_get(view, "origin"),
				   redact_json(mem, json_object_get(frame, "origin")));
}

char *letter_drop_token(void *mem, int64_t id, int64_t failed_ms, const char *reason)
{
	const char *seed =
		str_fmt(mem, "drop %lld %lld %s", (long long)id, (long long)failed_ms, reason);

	return str_ndup(mem, id_sha256(mem, seed, strlen(seed)), 12);
}

static enum status kept(void *mem, struct store *s, struct database *db, int64_t id, json_t **out)
{
	sqlite3_stmt *row = NULL;
	json_t *history = NULL;
	bool more = false;

	TRY(database_select(db, &row,
			    "SELECT " LETTER_VALUES
			    ", replay_history, sealed FROM dead_letter WHERE id = ?",
			    "i", id));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "no dead letter %lld", (long long)id);
	*out = letter_view(mem, s, row);
	set(*out, "drop_token",
	    letter_drop_token(mem, id, column_int(row, 13), column_text(mem, row, 6)));
	const char *text = column_text(mem, row, LETTER_COLUMN_COUNT);
	if (json_parse(mem, text, strlen(text), &history) == OK)
		json_object_set(*out, "replay_history", history);
	show_original(mem, s, sqlite3_column_blob(row, LETTER_COLUMN_COUNT + 1),
		      (size_t)sqlite3_column_bytes(row, LETTER_COLUMN_COUNT + 1), *out);
	database_end(row);
	return OK;
}

static enum status archived(void *mem, struct store *s, struct database *db, int64_t id,
			    json_t **out)
{
	unsigned char *sealed = NULL;
	size_t bytes = 0;

	TRY(letter_from_archive(mem, s, db, id, out, &sealed, &bytes));
	show_original(mem, s, sealed, bytes, *out);
	return OK;
}

enum status store_letter(void *mem, struct store *s, int64_t id, json_t **out)
{
	struct database *db = NULL;

	TRY(reader_take(s, &db));
	enum status status = kept(mem, s, db, id, out);
	if (status == E_NOTFOUND)
		status = archived(mem, s, db, id, out);
	reader_give(s, db);
	return status;
}

static json_t *group_view(void *mem, const struct store *s, sqlite3_stmt *row, int64_t total)
{
	int64_t count = column_int(row, LETTER_COLUMN_COUNT);
	json_t *example = letter_view(mem, s, row);
	json_t *g = json_object();

	set(g, "group", column_text(mem, row, 16));
	set(g, "stage", column_text(mem, row, 9));
	set(g, "failure_kind", column_text(mem, row, 7));
	set(g, "failure_category", letter_category(column_text(mem, row, 7)));
	set(g, "pattern", column_text(mem, row, 17));
	json_object_set_new(g, "count", json_integer(count));
	json_object_set_new(g, "share", json_real(total == 0 ? 0 : (double)count / (double)total));
	set(g, "first_seen", clock_format(mem, column_int(row, LETTER_COLUMN_COUNT + 1)));
	set(g, "last_seen", clock_format(mem, column_int(row, LETTER_COLUMN_COUNT + 2)));
	json_object_set(g, "example", example);
	return g;
}

static enum status groups(struct store *s, struct database *db, size_t limit, json_t *out)
{
	/* the newest of each group is its example */
	static const char SQL[] =
		"SELECT " LETTER_VALUES ", count, first_ms, last_ms FROM dead_letter JOIN"
		" (SELECT count(*) AS count, min(failed_ms) AS first_ms, max(failed_ms) AS "
		"last_ms, max(id) AS newest"
		"  FROM dead_letter WHERE state <> 'resolved' GROUP BY group_key) ON id = newest"
		" ORDER BY count DESC, id DESC LIMIT ?";
	sqlite3_stmt *row = NULL;
	int64_t total = 0;
	bool more;

	TRY(database_number(db, &total,
			    "SELECT count(*) FROM dead_letter WHERE state <> 'resolved'", ""));
	TRY(database_select(db, &row, SQL, "i", (int64_t)limit));
	for (;;) {
		TRY(database_row(db, row, &more));
		if (!more)
			return OK;
		SCOPE(tmp);
		json_array_append_new(out, group_view(tmp, s, row, total));
	}
}

enum status store_letter_groups(void *mem, struct store *s, size_t limit, json_t **out)
{
	struct database *db = NULL;

	*out = mem_own(mem, json_array());
	TRY(reader_take(s, &db));
	enum status status = groups(s, db, limit, *out);
	reader_give(s, db);
	return status;
}

enum status store_letter_counts(struct store *s, struct letter_counts *out)
{
	struct database *db = NULL;

	TRY(reader_take(s, &db));
	enum status status = database_number(
		db, &out->open, "SELECT count(*) FROM dead_letter WHERE state <> 'resolved'", "");
	if (status == OK)
		status = database_number(
			db, &out->oldest_ms,
			"SELECT coalesce((SELECT failed_ms FROM dead_letter"
			" WHERE state <> 'resolved' ORDER BY failed_ms LIMIT 1), 0)",
			"");
	reader_give(s, db);
	return status;
}
