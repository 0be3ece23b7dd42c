#include "store/inquiries.h"

#include "base/mem.h"
#include "base/str.h"
#include "store/parts.h"

static const char *const STAGES[] = {[INQUIRY_NONE] = "none",
				     [INQUIRY_INITIAL] = "initial",
				     [INQUIRY_POST_REMEDIATION] = "post-remediation"};

const char *inquiry_stage_name(enum inquiry_stage s)
{
	return STAGES[s];
}

enum status inquiry_stage_parse(const char *name, enum inquiry_stage *out)
{
	for (int s = INQUIRY_INITIAL; s <= INQUIRY_POST_REMEDIATION; s++) {
		if (str_eq(STAGES[s], name)) {
			*out = (enum inquiry_stage)s;
			return OK;
		}
	}
	return failure(E_NOTFOUND, "an incident is investigated in the stages initial and "
				   "post-remediation");
}

enum status inquiry_add(struct database *db, struct writer *w, int64_t incident,
			enum inquiry_stage stage, int64_t now_ms)
{
	if (stage == INQUIRY_NONE)
		return OK;
	TRY(database_run(db,
			 "INSERT INTO inquiry (incident, stage, asked_ms, due_ms) VALUES (?, ?, ?, "
			 "?) ON CONFLICT DO NOTHING",
			 "iiii", incident, (int64_t)stage, now_ms, now_ms));
	writer_due(w, incident, LANE_INQUIRY, now_ms);
	return OK;
}

static enum status next(struct database *db, int64_t incident, struct inquiry *out)
{
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(database_select(db, &row,
			    "SELECT stage, attempt, told, asked_ms, due_ms FROM inquiry WHERE "
			    "incident = ? AND settled_ms = 0 ORDER BY due_ms, stage LIMIT 1",
			    "i", incident));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "no inquiry waits");
	*out = (struct inquiry){.stage = (enum inquiry_stage)column_int(row, 0),
				.attempt = (int)column_int(row, 1),
				.told = column_int(row, 2) != 0,
				.asked_ms = column_int(row, 3),
				.due_ms = column_int(row, 4)};
	database_end(row);
	return OK;
}

enum status store_inquiry_next(struct store *s, int64_t incident, struct inquiry *out)
{
	struct database *db = NULL;

	TRY(reader_take(s, &db));
	enum status status = next(db, incident, out);
	reader_give(s, db);
	return status;
}

struct settling {
	struct write op;
	struct store *store;
	int64_t incident;
	const struct inquiry *inquiry;
	const struct inquiry_answer *answer;
};

static enum status save_pictures(struct database *db, const struct settling *t)
{
	const struct inquiry_answer *a = t->answer;
	int64_t stage = (int64_t)t->inquiry->stage;

	TRY(database_run(db, "DELETE FROM picture WHERE incident = ? AND stage = ?", "ii",
			 t->incident, stage));
	for (size_t n = 0; n < a->picture_count; n++) {
		const struct picture *p = &a->pictures[n];
		TRY(database_run(db,
				 "INSERT INTO picture (incident, stage, name, media_type, alt, "
				 "bytes) VALUES (?, ?, ?, ?, ?, ?)",
				 "iisssb", t->incident, stage, p->name, p->media_type, p->alt,
				 p->bytes, p->size));
	}
	return OK;
}

static enum status settle(struct write *op, struct writer *w, struct database *db)
{
	struct settling *t = (struct settling *)op;
	const struct inquiry_answer *a = t->answer;
	struct commit_result r = {0};

	TRY(save_pictures(db, t));
	TRY(database_run(db,
			 "UPDATE inquiry SET attempt = attempt + 1, told = max(told, ?), due_ms = "
			 "?, settled_ms = ? WHERE incident = ? AND stage = ?",
			 "iiiii", (int64_t)(a->op_count > 0), a->again_ms,
			 a->again_ms == 0 ? a->now_ms : 0, t->incident,
			 (int64_t)t->inquiry->stage));
	TRY(ticket_ops_take(t->store, w, db, t->incident, a->ops, a->op_count, a->now_ms, &r));
	if (a->note == NULL)
		return OK;
	return journal_add(db, t->incident, a->started_ms, "investigate", t->inquiry->attempt,
			   a->outcome, a->now_ms - a->started_ms, a->note);
}

enum status store_inquiry_settle(struct store *s, int64_t incident, const struct inquiry *q,
				 const struct inquiry_answer *a)
{
	struct settling t = {
		.op = {.run = settle}, .store = s, .incident = incident, .inquiry = q, .answer = a};

	return writer_await(s->writer, &t.op);
}

static enum status read_picture(void *mem, struct database *db, int64_t incident,
				enum inquiry_stage stage, const char *name, const char *media_type,
				struct picture *out)
{
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(database_select(db, &row,
			    "SELECT name, media_type, alt, bytes FROM picture WHERE incident = ? "
			    "AND stage = ? AND name = ? AND media_type = ?",
			    "iiss", incident, (int64_t)stage, name, media_type));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "there is no such picture");
	size_t size = (size_t)sqlite3_column_bytes(row, 3);
	const void *bytes = sqlite3_column_blob(row, 3);
	*out = (struct picture){.name = column_text(mem, row, 0),
				.media_type = column_text(mem, row, 1),
				.alt = column_text(mem, row, 2),
				.bytes =
					size == 0 ? "" : mem_check(talloc_memdup(mem, bytes, size)),
				.size = size};
	database_end(row);
	return OK;
}

enum status store_picture(void *mem, struct store *s, int64_t incident, enum inquiry_stage stage,
			  const char *name, const char *media_type, struct picture *out)
{
	struct database *db = NULL;

	TRY(reader_take(s, &db));
	enum status status = read_picture(mem, db, incident, stage, name, media_type, out);
	reader_give(s, db);
	return status;
}
