/* Reading incidents and their timelines. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/parts.h"

#define COLUMNS \
	"i.id, i.uid, i.state, i.signals, i.fingerprint, i.alertname, i.labels, i.annotations," \
	" i.generator_url, i.truncated_alerts, i.starts_ms, i.received_ms, i.resolved_ms, " \
	"i.resolved_by," \
	" i.closed_ms, i.updated_ms, i.fired_count, i.previous, i.correlation_id, i.event_id," \
	" i.event_source, i.trace_id, i.span_id, i.sampled, i.approval, i.approval_by, i.memory," \
	" coalesce(t.id, ''), coalesce(t.key, ''), coalesce(t.url, ''), coalesce(t.created_ms, 0)" \
	" FROM incident i LEFT JOIN ticket_ref t ON t.incident = i.id AND t.slot = 0"

static enum status parse_column(void *mem, sqlite3_stmt *row, int column, json_t **out)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	if (text == NULL || json_parse(mem, text, strlen(text), out) != OK || !json_is_object(*out))
		return failure(E_INTERNAL, "store: an incident's column %d is damaged", column);
	return OK;
}

static void read_trace(sqlite3_stmt *row, struct trace_context *t)
{
	str_print(t->trace_id, sizeof(t->trace_id), "%s",
		  (const char *)sqlite3_column_text(row, 21));
	str_print(t->span_id, sizeof(t->span_id), "%s", (const char *)sqlite3_column_text(row, 22));
	t->sampled = column_int(row, 23) != 0;
}

static enum status read_incident(void *mem, sqlite3_stmt *row, struct incident **out)
{
	struct incident *i = NEW(mem, struct incident);
	json_t *memory = NULL;

	i->id = column_int(row, 0);
	i->uid = column_text(i, row, 1);
	i->state = (enum incident_state)column_int(row, 2);
	i->signals = column_int(row, 3);
	i->fingerprint = column_text(i, row, 4);
	i->alertname = column_text(i, row, 5);
	TRY(parse_column(i, row, 6, &i->labels));
	TRY(parse_column(i, row, 7, &i->annotations));
	i->generator_url = column_text(i, row, 8);
	i->truncated_alerts = column_int(row, 9);
	i->starts_ms = column_int(row, 10);
	i->received_ms = column_int(row, 11);
	i->resolved_ms = column_int(row, 12);
	i->resolved_by = column_text(i, row, 13);
	i->closed_ms = column_int(row, 14);
	i->updated_ms = column_int(row, 15);
	i->fired_count = column_int(row, 16);
	i->previous = column_int(row, 17);
	i->correlation_id = column_text(i, row, 18);
	i->event_id = column_text(i, row, 19);
	i->event_source = column_text(i, row, 20);
	read_trace(row, &i->trace);
	i->approval = column_text(i, row, 24);
	i->approval_by = column_text(i, row, 25);
	TRY(parse_column(i, row, 26, &memory));
	i->ticket_id = column_text(i, row, 27);
	i->ticket_key = column_text(i, row, 28);
	i->ticket_url = column_text(i, row, 29);
	i->ticket_ms = column_int(row, 30);
	TRY(incident_memory_decode(i, memory, i));
	*out = i;
	return OK;
}

static enum status load(void *mem, struct database *db, int64_t id, struct incident **out)
{
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(database_select(db, &row, "SELECT " COLUMNS " WHERE i.id = ?", "i", id));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "there is no incident INC-%lld", (long long)id);
	enum status s = read_incident(mem, row, out);
	database_end(row);
	return s;
}

enum status store_incident(void *mem, struct store *s, int64_t id, struct incident **out)
{
	struct database *db = NULL;

	TRY(reader_take(s, &db));
	enum status status = load(mem, db, id, out);
	reader_give(s, db);
	return status;
}

static enum status list(void *mem, struct database *db, const struct incident_filter *f,
			struct incident ***out, size_t *count)
{
	sqlite3_stmt *row = NULL;
	bool more;
	size_t n = 0;
	struct incident **found = NEW_ARRAY(mem, struct incident *, f->limit + 1);
	int64_t state = f->state;

	TRY(database_select(db, &row,
			    "SELECT " COLUMNS
			    " WHERE (?1 = -1 OR (?1 = -2 AND i.state <> 6) OR i.state = ?1)"
			    " AND (?2 = 0 OR i.id < ?2) AND (?3 IS NULL OR t.key = ?3)"
			    " ORDER BY i.id DESC LIMIT ?4",
			    "iisi", state, f->before, f->ticket, (int64_t)f->limit));
	for (;;) {
		TRY(database_row(db, row, &more));
		if (!more)
			break;
		enum status s = read_incident(mem, row, &found[n]);
		if (s != OK) {
			database_end(row);
			return s;
		}
		n++;
	}
	*out = found;
	*count = n;
	return OK;
}

enum status store_incidents(void *mem, struct store *s, const struct incident_filter *f,
			    struct incident ***out, size_t *count)
{
	struct database *db = NULL;

	TRY(reader_take(s, &db));
	enum status status = list(mem, db, f, out, count);
	reader_give(s, db);
	return status;
}

static enum status read_journal(void *mem, struct database *db, int64_t incident,
				struct journal_entry **out, size_t *count)
{
	sqlite3_stmt *row = NULL;
	bool more;
	size_t n = 0;
	struct journal_entry *entries = NEW_ARRAY(mem, struct journal_entry, 16);

	TRY(database_select(db, &row,
			    "SELECT at_ms, duration_ms, step, attempt, outcome, note FROM journal"
			    " WHERE incident = ? ORDER BY id LIMIT 1000",
			    "i", incident));
	for (;;) {
		TRY(database_row(db, row, &more));
		if (!more)
			break;
		if (n == talloc_array_length(entries))
			entries = GROW(mem, entries, struct journal_entry, 2 * n);
		entries[n++] = (struct journal_entry){
			.at_ms = column_int(row, 0),
			.duration_ms = column_int(row, 1),
			.step = column_text(mem, row, 2),
			.attempt = (int)column_int(row, 3),
			.outcome = column_text(mem, row, 4),
			.note = column_text(mem, row, 5),
		};
	}
	*out = entries;
	*count = n;
	return OK;
}

enum status store_journal(void *mem, struct store *s, int64_t incident, struct journal_entry **out,
			  size_t *count)
{
	struct database *db = NULL;

	TRY(reader_take(s, &db));
	enum status status = read_journal(mem, db, incident, out, count);
	reader_give(s, db);
	return status;
}

enum status journal_add(struct database *db, int64_t incident, int64_t at_ms, const char *step,
			int attempt, const char *outcome, int64_t duration_ms, const char *note)
{
	return database_run(db,
			    "INSERT INTO journal (incident, at_ms, step, attempt, outcome, "
			    "duration_ms, note) VALUES (?, ?, ?, ?, ?, ?, ?)",
			    "iisisis", incident, at_ms, step, (int64_t)attempt, outcome,
			    duration_ms, note == NULL ? "" : note);
}

enum status store_has_open_predecessor(struct store *s, int64_t incident, bool *out)
{
	struct database *db = NULL;
	int64_t count = 0;

	TRY(reader_take(s, &db));
	enum status status = database_number(
		db, &count,
		"SELECT count(*) FROM incident WHERE id < ?1 AND state <> 6"
		" AND fingerprint = (SELECT fingerprint FROM incident WHERE id = ?1)",
		"i", incident);
	reader_give(s, db);
	*out = count > 0;
	return status;
}
