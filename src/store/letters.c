/* Dead letters: what was refused or given up, kept with its reason. */
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "store/parts.h"

/* Up to the first NUL: a body may hold any bytes. */
static const char *fit_body(void *mem, const struct dead_letter *d)
{
	if (d->body == NULL)
		return NULL;
	size_t limit =
		str_eq(d->category, "oversize") ? LIMIT_DEAD_LETTER_HEAD_BYTES : LIMIT_BODY_BYTES;
	return str_ndup(mem, d->body, strnlen(d->body, limit));
}

enum status letter_add(struct database *db, const struct dead_letter *d, int64_t *id)
{
	SCOPE(mem);

	TRY(database_run(
		db,
		"INSERT INTO dead_letter (event_id, event_type, event_source, subject, "
		"correlation_id, reason, category,"
		" permanent, stage, attempts, origin, received_ms, failed_ms, incident, body)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"sssssssisisiiis", d->event_id, d->event_type, d->event_source, d->subject,
		d->correlation_id, d->reason, d->category, (int64_t)d->permanent, d->stage,
		(int64_t)d->attempts, d->origin, d->received_ms, d->failed_ms, d->incident,
		fit_body(mem, d)));
	*id = database_last_id(db);
	metric_add(M_DLQ_EVENTS, 1, d->stage, d->category);
	return OK;
}

struct burying {
	struct write op;
	struct dead_letter letter;
	void (*done)(enum status s, void *arg);
	void *arg;
};

static enum status run(struct write *op, struct writer *w, struct database *db)
{
	int64_t id;

	(void)w;
	return letter_add(db, &((struct burying *)op)->letter, &id);
}

static void settled(struct write *op, enum status s, const char *message)
{
	struct burying *b = (struct burying *)op;

	(void)message;
	if (b->done != NULL)
		b->done(s, b->arg);
	talloc_free(b);
}

static struct dead_letter copy_of(void *mem, const struct dead_letter *d)
{
	struct dead_letter c = *d;

	c.event_id = str_dup(mem, d->event_id);
	c.event_type = str_dup(mem, d->event_type);
	c.event_source = str_dup(mem, d->event_source);
	c.subject = str_dup(mem, d->subject);
	c.correlation_id = str_dup(mem, d->correlation_id);
	c.reason = str_dup(mem, d->reason);
	c.category = str_dup(mem, d->category);
	c.stage = str_dup(mem, d->stage);
	c.origin = str_dup(mem, d->origin);
	c.body = fit_body(mem, d);
	return c;
}

enum status store_bury(struct store *s, const struct dead_letter *d,
		       void (*done)(enum status s, void *arg), void *arg)
{
	struct burying *b = NEW(NULL, struct burying);

	b->op = (struct write){.run = run,
			       .settled = settled,
			       .bytes = d->body == NULL ? 512 : strlen(d->body) + 512};
	b->letter = copy_of(b, d);
	b->done = done;
	b->arg = arg;
	enum status status = writer_submit(s->writer, &b->op);
	if (status != OK)
		talloc_free(b);
	return status;
}

static json_t *letter_view(void *mem, sqlite3_stmt *row)
{
	return json_pack(
		"{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s}", "dlq_id",
		(json_int_t)column_int(row, 0), "event_id", column_text(mem, row, 1), "event_type",
		column_text(mem, row, 2), "event_source", column_text(mem, row, 3), "subject",
		column_text(mem, row, 4), "correlation_id", column_text(mem, row, 5),
		"failure_reason", column_text(mem, row, 6), "failure_category",
		column_text(mem, row, 7), "permanence",
		column_int(row, 8) != 0 ? "permanent" : "transient", "stage",
		column_text(mem, row, 9), "attempts", (int)column_int(row, 10), "received_at",
		clock_format(mem, column_int(row, 11)), "failed_at",
		clock_format(mem, column_int(row, 12)), "state", column_text(mem, row, 13));
}

static enum status list(void *mem, struct database *db, size_t limit, json_t *out)
{
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(database_select(
		db, &row,
		"SELECT id, event_id, event_type, event_source, subject, correlation_id, reason, "
		"category,"
		" permanent, stage, attempts, received_ms, failed_ms, state FROM dead_letter"
		" ORDER BY id DESC LIMIT ?",
		"i", (int64_t)limit));
	for (;;) {
		TRY(database_row(db, row, &more));
		if (!more)
			return OK;
		json_array_append_new(out, letter_view(mem, row));
	}
}

enum status store_dead_letters(void *mem, struct store *s, size_t limit, json_t **out)
{
	struct database *db = NULL;

	*out = mem_own(mem, json_array());
	TRY(reader_take(s, &db));
	enum status status = list(mem, db, limit, *out);
	reader_give(s, db);
	return status;
}
