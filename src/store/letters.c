/*
 * Dead letters: what was refused or given up, kept with its reason. What came is sealed together
 * with all that is needed to decode it again: one line of JSON, a newline, and the body as it was,
 * whatever bytes it holds.
 */
#include "store/letters.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/seal.h"
#include "base/str.h"
#include "base/utf8.h"
#include "domain/redact.h"
#include "store/letter_parts.h"
#include "store/parts.h"

static const struct {
	const char *kind, *category;
} CATEGORIES[] = {
	{"parse", "poison_message"},	  {"envelope", "validation_failure"},
	{"key", "validation_failure"},	  {"type", "validation_failure"},
	{"data", "validation_failure"},	  {"schema", "schema_evolution"},
	{"order", "dependency_failure"},  {"oversize", "validation_failure"},
	{"step", "dependency_failure"},	  {"ticket", "dependency_failure"},
	{"outbox", "dependency_failure"},
};

const char *letter_category(const char *kind)
{
	for (size_t n = 0; n < sizeof(CATEGORIES) / sizeof(CATEGORIES[0]); n++)
		if (str_eq(CATEGORIES[n].kind, kind))
			return CATEGORIES[n].category;
	return kind;
}

const char *letter_kind(size_t n)
{
	return n < sizeof(CATEGORIES) / sizeof(CATEGORIES[0]) ? CATEGORIES[n].kind : NULL;
}

/* Texts of others may be any bytes; the columns hold UTF-8. */
static const char *clean(void *mem, const char *text)
{
	if (text == NULL || *text == '\0')
		return "";
	char *out = NEW_ARRAY(mem, char, strlen(text) + 1);
	utf8_copy(out, strlen(text) + 1, text);
	return out;
}

static size_t body_length(const struct dead_letter *d)
{
	size_t limit = str_eq(d->category, "oversize") ? LIMIT_DEAD_LETTER_HEAD_BYTES
						       : LIMIT_DEAD_LETTER_BYTES;

	if (d->body == NULL)
		return 0;
	size_t n = d->body_bytes != 0 ? d->body_bytes : strnlen(d->body, limit + 1);
	return n > limit ? limit : n;
}

static json_t *frame_of(void *mem, const struct dead_letter *d, size_t kept)
{
	bool cut = str_eq(d->category, "oversize") || d->body_bytes > kept;
	json_t *frame =
		json_pack("{s:s, s:s, s:I, s:b, s:s}", "mode", d->mode == NULL ? "" : d->mode,
			  "content_type", clean(mem, d->content_type), "bytes",
			  (json_int_t)(d->body_bytes > kept ? d->body_bytes : kept), "truncated",
			  cut, "sha256", id_sha256(mem, d->body == NULL ? "" : d->body, kept));

	mem_check(frame);
	json_object_set_new(frame, "headers",
			    d->headers == NULL ? json_object() : json_deep_copy(d->headers));
	if (d->schema != NULL)
		json_object_set_new(frame, "schema", json_deep_copy(d->schema));
	if (d->origin_detail != NULL)
		json_object_set_new(frame, "origin", json_deep_copy(d->origin_detail));
	return mem_own(mem, frame);
}

static enum status seal_original(void *mem, const struct seal *seal, const struct dead_letter *d,
				 struct letter_row *r)
{
	size_t kept = body_length(d);

	if (seal == NULL)
		return failure(E_INTERNAL, "store: a dead letter needs a key");
	if (d->body == NULL && d->headers == NULL && d->schema == NULL && d->origin_detail == NULL)
		return OK;
	const char *frame = json_text(mem, frame_of(mem, d, kept));
	size_t n = strlen(frame) + 1 + kept;
	char *plain = NEW_ARRAY(mem, char, n + 1);
	memcpy(plain, frame, n - 1 - kept);
	plain[n - 1 - kept] = '\n';
	if (kept > 0)
		memcpy(plain + n - kept, d->body, kept);
	return seal_lock(mem, seal, LETTER_CONTEXT, plain, n, &r->sealed, &r->sealed_bytes);
}

static const char *or_header(void *mem, const char *value, const struct dead_letter *d,
			     const char *header)
{
	const char *other = d->headers == NULL ? NULL : json_str(d->headers, header);

	if (!str_empty(value) || other == NULL)
		return clean(mem, value);
	return clean(mem, str_ndup(mem, other, strnlen(other, LIMIT_ATTRIBUTE_BYTES)));
}

enum status letter_prepare(void *mem, const struct seal *seal, const struct dead_letter *d,
			   struct letter_row *r)
{
	*r = (struct letter_row){
		.event_id = or_header(mem, d->event_id, d, "ce-id"),
		.event_type = or_header(mem, d->event_type, d, "ce-type"),
		.event_source = or_header(mem, d->event_source, d, "ce-source"),
		.subject = redact_text(mem, or_header(mem, d->subject, d, "ce-subject")),
		.correlation_id = or_header(mem, d->correlation_id, d, "x-correlation-id"),
		.reason = redact_reason(mem, clean(mem, d->reason)),
		.kind = str_dup(mem, d->category),
		.permanent = d->permanent,
		.stage = str_dup(mem, d->stage),
		.attempts = d->attempts,
		.deaths = d->origin_detail != NULL ? d->attempts : 0,
		.origin = str_dup(mem, d->origin),
		.received_ms = d->received_ms,
		.failed_ms = d->failed_ms,
		.incident = d->incident,
		.partition_key = clean(mem, d->partition_key),
	};
	if (str_empty(r->correlation_id))
		r->correlation_id = r->event_id;
	r->pattern = redact_pattern(mem, r->reason);
	const char *seed = str_fmt(mem, "%s|%s|%s", r->stage, r->kind, r->pattern);
	r->group = str_ndup(mem, id_sha256(mem, seed, strlen(seed)), 12);
	return seal_original(mem, seal, d, r);
}

static enum status insert(struct database *db, const struct letter_row *r, int64_t *id)
{
	TRY(database_run(
		db,
		"INSERT INTO dead_letter (event_id, event_type, event_source, subject, "
		"correlation_id, reason,"
		" category, permanent, stage, attempts, origin, received_ms, failed_ms, incident,"
		" partition_key, group_key, pattern, deaths, sealed)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"sssssssisisiiisssib", r->event_id, r->event_type, r->event_source, r->subject,
		r->correlation_id, r->reason, r->kind, (int64_t)r->permanent, r->stage,
		(int64_t)r->attempts, r->origin, r->received_ms, r->failed_ms, r->incident,
		r->partition_key, r->group, r->pattern, r->deaths, r->sealed, r->sealed_bytes));
	*id = database_last_id(db);
	metric_add(M_DLQ_EVENTS, 1, r->kind, letter_category(r->kind));
	if (r->permanent)
		metric_add(M_DLQ_PERMANENT, 1);
	return OK;
}

enum status letter_add(struct database *db, const struct dead_letter *d, int64_t *id)
{
	SCOPE(mem);
	struct letter_row row;

	TRY(letter_prepare(mem, database_seal(db), d, &row));
	return insert(db, &row, id);
}

struct burying {
	struct write op;
	struct letter_row row;
	int64_t begun_ms;
	void (*done)(enum status s, void *arg);
	void *arg;
};

static enum status run(struct write *op, struct writer *w, struct database *db)
{
	int64_t id;

	(void)w;
	const struct letter_row *r = &((struct burying *)op)->row;
	if (r->deaths > 0)
		TRY(letter_merge(db, r, &id));
	return r->deaths > 0 && id != 0 ? OK : insert(db, r, &id);
}

static void settled(struct write *op, enum status s, const char *message)
{
	struct burying *b = (struct burying *)op;

	(void)message;
	if (s == OK)
		metric_observe(M_DLQ_CAPTURE, (double)(clock_monotonic() - b->begun_ms) / 1000.0);
	if (b->done != NULL)
		b->done(s, b->arg);
	talloc_free(b);
}

enum status store_bury(struct store *s, const struct dead_letter *d,
		       void (*done)(enum status s, void *arg), void *arg)
{
	struct burying *b = NEW(NULL, struct burying);

	b->begun_ms = clock_monotonic();
	enum status status = letter_prepare(b, s->seal, d, &b->row);
	b->op = (struct write){.run = run, .settled = settled, .bytes = b->row.sealed_bytes + 512};
	b->done = done;
	b->arg = arg;
	if (status == OK)
		status = writer_submit(s->writer, &b->op);
	if (status != OK)
		talloc_free(b);
	return status;
}

/* Rows of a version that kept bodies in the clear. */
static enum status seal_old(struct database *db, const struct seal *seal)
{
	sqlite3_stmt *row = NULL;
	bool more = true;

	for (;;) {
		SCOPE(mem);
		struct letter_row r;
		TRY(database_select(
			db, &row,
			"SELECT id, body, reason, category, stage, origin FROM dead_letter"
			" WHERE body IS NOT NULL OR group_key = '' LIMIT 1",
			""));
		TRY(database_row(db, row, &more));
		if (!more)
			return OK;
		int64_t id = column_int(row, 0);
		const struct dead_letter d = {
			.body = sqlite3_column_type(row, 1) == SQLITE_NULL
					? NULL
					: column_text(mem, row, 1),
			.reason = column_text(mem, row, 2),
			.category = column_text(mem, row, 3),
			.stage = column_text(mem, row, 4),
			.origin = column_text(mem, row, 5),
		};
		database_end(row);
		TRY(letter_prepare(mem, seal, &d, &r));
		TRY(database_run(
			db,
			"UPDATE dead_letter SET body = NULL, sealed = ?, reason = ?, pattern = ?,"
			" group_key = ? WHERE id = ?",
			"bsssi", r.sealed, r.sealed_bytes, r.reason, r.pattern, r.group, id));
	}
}

enum status letters_start(struct database *db, const struct seal *seal)
{
	/* What was under way when the program ended did not happen, or, of an event of our own,
	 * will be found out to have happened. Of a broker's letter nothing finds out: when the
	 * program ended between the broker's confirm and the settling, the next replay sends it
	 * again. */
	static const char BEGIN[] =
		"PRAGMA secure_delete = ON; BEGIN IMMEDIATE;"
		"UPDATE dead_letter SET state = 'pending' WHERE state = 'replaying';"
		"UPDATE dead_letter SET pending_action = '' WHERE pending_action = 'archive';";

	TRY(database_script(db, BEGIN));
	TRY(seal_old(db, seal));
	return database_script(db, "COMMIT; PRAGMA secure_delete = OFF;");
}
