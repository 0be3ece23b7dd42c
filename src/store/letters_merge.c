/*
 * A broker delivers a message again when nobody acknowledged it in time, and an event that the
 * agent refused may come back by a dead-letter queue: both are one dead letter (SRE-010.10). How
 * often the message had died tells a repeat from a new death; a new death while the letter is being
 * replayed is a letter of its own, for the replay will resolve the old one.
 */
#include "base/str.h"
#include "store/letter_parts.h"

struct known {
	int64_t id, deaths;
	bool of_broker, quiet; /* quiet: pending, and nobody is about to move it */
};

static enum status find(struct database *db, const struct letter_row *r, struct known *k)
{
	sqlite3_stmt *row = NULL;
	bool more = false;

	TRY(database_select(
		db, &row,
		"SELECT id, deaths, state = 'pending' AND pending_action = ''"
		" FROM dead_letter WHERE event_source = ? AND event_id = ? AND state <> 'resolved'"
		" AND stage IN ('intake', 'broker') ORDER BY id DESC LIMIT 1",
		"ss", r->event_source, r->event_id));
	TRY(database_row(db, row, &more));
	if (!more)
		return OK;
	*k = (struct known){column_int(row, 0), column_int(row, 1), column_int(row, 1) > 0,
			    column_int(row, 2) != 0};
	database_end(row);
	return OK;
}

/* The newest message replaces the older one: it says where to send it back, and how often that was
 * done. */
static enum status renew(struct database *db, const struct letter_row *r, const struct known *k)
{
	TRY(database_run(db,
			 "UPDATE dead_letter SET attempts = attempts + ?, deaths = ?, origin = ?, "
			 "failed_ms = ?,"
			 " sealed = ? WHERE id = ?",
			 "iisibi", r->deaths - k->deaths, r->deaths, r->origin, r->failed_ms,
			 r->sealed, r->sealed_bytes, k->id));
	if (!k->of_broker)
		return OK; /* the agent's own reason says more */
	return database_run(
		db,
		"UPDATE dead_letter SET reason = ?, category = ?, permanent = ?, pattern = ?,"
		" group_key = ? WHERE id = ?",
		"ssissi", r->reason, r->kind, (int64_t)r->permanent, r->pattern, r->group, k->id);
}

enum status letter_merge(struct database *db, const struct letter_row *r, int64_t *id)
{
	struct known k = {0};

	*id = 0;
	TRY(find(db, r, &k));
	if (k.id == 0)
		return OK;
	if (k.deaths < r->deaths && !k.quiet)
		return OK;
	if (k.deaths < r->deaths)
		TRY(renew(db, r, &k));
	*id = k.id;
	return OK;
}
