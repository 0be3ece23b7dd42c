/* What became of events, for those who ask (DEC-01). */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/parts.h"

struct found_event {
	int64_t incident, received_ms, epoch;
	const char *correlation_id;
	enum admit_outcome outcome;
};

static enum status find_key(void *mem, struct database *db, const char *source, const char *id,
			    struct found_event *out)
{
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(database_select(
		db, &row,
		"SELECT incident, received_ms, epoch, correlation_id, outcome FROM event"
		" WHERE source = ?1 AND (id = ?2 OR event_id = ?2) LIMIT 1",
		"ss", source, id));
	TRY(database_row(db, row, &more));
	if (!more)
		return failure(E_NOTFOUND, "no such event");
	*out = (struct found_event){column_int(row, 0), column_int(row, 1), column_int(row, 2),
				    column_text(mem, row, 3),
				    (enum admit_outcome)column_int(row, 4)};
	database_end(row);
	return OK;
}

/* An alert of a webhook: its id names its episode, and says whether it was the end of it. */
static enum status find_episode_of(void *mem, struct database *db, const char *id,
				   struct found_event *out)
{
	sqlite3_stmt *row = NULL;
	char fingerprint[17];
	int64_t starts_ms;
	bool more;

	if (!alert_event_id_parse(id, fingerprint, &starts_ms))
		return failure(E_NOTFOUND, "no such event");
	bool ended = str_ends(id, alert_state_name(ALERT_RESOLVED));
	TRY(database_select(db, &row,
			    "SELECT incident, received_ms, ends_ms FROM episode"
			    " WHERE fingerprint = ? AND starts_ms = ?",
			    "si", fingerprint, starts_ms));
	TRY(database_row(db, row, &more));
	bool seen = more && (ended ? column_int(row, 2) != 0 : column_int(row, 0) != 0);
	if (seen)
		*out = (struct found_event){.incident = column_int(row, 0),
					    .received_ms = column_int(row, 1),
					    .correlation_id = str_dup(mem, id),
					    .outcome = column_int(row, 0) == 0 ? ADMIT_ORPHAN
						       : ended		       ? ADMIT_RESOLVED
									       : ADMIT_OPENED};
	if (more)
		database_end(row);
	return seen ? OK : failure(E_NOTFOUND, "no such event");
}

const char *admit_outcome_name(enum admit_outcome o)
{
	static const char *const NAMES[] = {"opened",	"repeated",  "resolved",
					    "orphan",	"duplicate", "rejected",
					    "accepted", "stale",     "held"};

	return NAMES[(size_t)o % (sizeof(NAMES) / sizeof(NAMES[0]))];
}

static enum status add_state(void *mem, struct database *db, int64_t incident, json_t *view)
{
	sqlite3_stmt *row = NULL;
	bool more;

	TRY(database_select(db, &row, "SELECT state FROM incident WHERE id = ?", "i", incident));
	TRY(database_row(db, row, &more));
	if (!more)
		return OK; /* expired */
	enum incident_state state = (enum incident_state)column_int(row, 0);
	database_end(row);
	json_object_set_new(view, "incident", json_string(incident_name(mem, incident)));
	json_object_set_new(view, "state", json_string(incident_state_name(state)));
	return OK;
}

static enum status event_view(void *mem, struct database *db, const char *source, const char *id,
			      json_t **out)
{
	struct found_event f = {0};
	enum status s = find_key(mem, db, source, id, &f);

	if (s == E_NOTFOUND && str_starts(source, "prometheus/alertmanager/"))
		s = find_episode_of(mem, db, id, &f);
	TRY(s);
	*out = mem_own(mem, json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:I}", "event_id", id,
				      "event_source", source, "correlation_id", f.correlation_id,
				      "received_ms", (json_int_t)f.received_ms, "outcome",
				      admit_outcome_name(f.outcome), "key_state", "done", "epoch",
				      (json_int_t)f.epoch));
	return f.incident == 0 ? OK : add_state(mem, db, f.incident, *out);
}

enum status store_event(void *mem, struct store *s, const char *source, const char *id,
			json_t **out)
{
	struct database *db = NULL;

	TRY(reader_take(s, &db));
	enum status status = event_view(mem, db, source, id, out);
	reader_give(s, db);
	return status;
}
