/* What the letter files share; nobody else includes it. */
#pragma once

#include "store/letters.h"
#include "store/parts.h"

#define LETTER_CONTEXT "dead letter"

/* One row as it is written. */
struct letter_row {
	const char *event_id, *event_type, *event_source, *subject, *correlation_id, *reason, *kind, *stage, *origin,
		*partition_key, *pattern, *group;
	bool permanent;
	int attempts, deaths; /* deaths: in a broker, 0 = did not come from one */
	int64_t received_ms, failed_ms, incident;
	unsigned char *sealed; /* NULL = nothing came */
	size_t sealed_bytes;
};

/* Cleans and masks what is stored in the clear, and seals the rest. */
NODISCARD enum status letter_prepare(void *mem, const struct seal *seal, const struct dead_letter *d,
				     struct letter_row *r);

/* For a letter of a broker: `*id` is the open letter of the same event, brought up to date, or 0: write a new one. */
NODISCARD enum status letter_merge(struct database *db, const struct letter_row *r, int64_t *id);

/* The category of SRE-010.11 for the kind that stands in the table. */
const char *letter_category(const char *kind);
/* The kinds that have one, by number from 0; NULL after the last. */
const char *letter_kind(size_t n);

/* Opens what letter_prepare sealed: its frame (an object) and the body behind it. */
NODISCARD enum status letter_open(void *mem, const struct seal *seal, const void *sealed, size_t bytes, json_t **frame,
				  const char **body, size_t *body_bytes);

int64_t letter_retention_ms(const struct store *s, const char *event_type);

/* What both tables, of the kept and of the archived letters, have; letter_view reads them in this order. */
#define LETTER_SELECTION(issue) \
	"id, event_id, event_type, event_source, subject, correlation_id, reason, category, permanent, stage," \
	" attempts, origin, received_ms, failed_ms, incident, partition_key, group_key, pattern, " issue ", replays," \
	" state, pending_action"
#define LETTER_COLUMNS LETTER_SELECTION("issue")
/* From dead_letter: the issue is its incident's ticket, or its group's. */
#define LETTER_VALUES \
	LETTER_SELECTION("coalesce((SELECT key FROM ticket_ref r WHERE r.incident = dead_letter.incident AND r.slot = 0)," \
			 " (SELECT (SELECT key FROM ticket_ref r WHERE r.incident = -g.id AND r.slot = 0) FROM failure_group g" \
			 " WHERE g.group_key = dead_letter.group_key AND g.letter <= dead_letter.id" \
			 " ORDER BY g.id DESC LIMIT 1), issue)")
enum { LETTER_COLUMN_COUNT = 22 };
json_t *letter_view(void *mem, const struct store *s, sqlite3_stmt *row);

/* Reads a line of the archive back: the view with replay_history, and what is sealed (NULL = nothing). */
NODISCARD enum status letter_from_archive(void *mem, struct store *s, struct database *db, int64_t id, json_t **view,
					  unsigned char **sealed, size_t *sealed_bytes);

char *letter_drop_token(void *mem, int64_t id, int64_t failed_ms, const char *reason);

/* Why a row could not be changed. */
NODISCARD enum status letter_refusal(struct database *db, int64_t id);
