/*
 * A broker delivers a message again when nobody acknowledged it in time, and an event that the
 * agent refused may come back by a dead-letter queue: both are one dead letter (SRE-010.10), if it
 * is the same message, with the same body, from the same place, and not only the same id. How often
 * the message had died tells a repeat from a new death; a new death while the letter is being
 * replayed is a letter of its own, for the replay will resolve the old one.
 */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/letter_parts.h"

/* So many open letters of one id are looked at; of one that lies deeper a repeat is a letter more,
 * and never one less. */
enum { LOOK_MAX = 32 };

struct known {
	int64_t id, deaths;
	bool of_broker, quiet; /* quiet: pending, and nobody is about to move it */
};

/* What was sealed of a message. */
struct message {
	json_t *frame;
	const char *body;
	size_t bytes;
};

static bool same_text(const json_t *a, const json_t *b, const char *name)
{
	const char *x = json_str(a, name);
	const char *y = json_str(b, name);

	return x == NULL || y == NULL || str_eq(x, y);
}

/* Of what was cut only the head can be compared. */
static bool same_body(const struct message *a, const struct message *b)
{
	bool cut = json_is_true(json_object_get(a->frame, "truncated")) ||
		   json_is_true(json_object_get(b->frame, "truncated"));
	size_t n = a->bytes < b->bytes ? a->bytes : b->bytes;

	return (cut || a->bytes == b->bytes) && memcmp(a->body, b->body, n) == 0;
}

/* An id alone is no proof: producers use one twice, and one message may die in two queues. */
static bool same_message(void *mem, const struct seal *seal, const struct message *a,
			 const void *sealed, size_t sealed_bytes)
{
	struct message b = {0};

	if (sealed_bytes == 0)
		return true; /* nothing was kept that could differ */
	if (letter_open(mem, seal, sealed, sealed_bytes, &b.frame, &b.body, &b.bytes) != OK)
		return false; /* rather twice than not at all */
	const json_t *from = json_object_get(a->frame, "origin");
	const json_t *other = json_object_get(b.frame, "origin");
	return same_text(from, other, "sha256") && same_text(from, other, "died_in") &&
	       same_text(from, other, "routing_key") && same_body(a, &b);
}

static enum status find(struct database *db, const struct letter_row *r, struct known *k)
{
	SCOPE(mem);
	struct message new = {0};
	sqlite3_stmt *row = NULL;
	bool more = true;
	enum status s = OK;

	TRY(database_select(
		db, &row,
		"SELECT id, deaths, state = 'pending' AND pending_action = '', sealed"
		" FROM dead_letter WHERE event_source = ? AND event_id = ? AND state <> 'resolved'"
		" AND stage IN ('intake', 'broker') ORDER BY id DESC",
		"ss", r->event_source, r->event_id));
	for (int n = 0; n < LOOK_MAX; n++) {
		SCOPE(one);
		TRY(database_row(db, row, &more));
		if (!more)
			return OK;
		s = n > 0 ? OK
			  : letter_open(mem, database_seal(db), r->sealed, r->sealed_bytes,
					&new.frame, &new.body, &new.bytes);
		if (s != OK)
			break;
		if (!same_message(one, database_seal(db), &new, sqlite3_column_blob(row, 3),
				  (size_t)sqlite3_column_bytes(row, 3)))
			continue;
		*k = (struct known){column_int(row, 0), column_int(row, 1), column_int(row, 1) > 0,
				    column_int(row, 2) != 0};
		break;
	}
	database_end(row);
	return s;
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
