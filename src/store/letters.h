/*
 * Dead letters beyond writing them (store.h): find, show, replay, archive, drop. What came is kept sealed and only
 * leaves for a replay; every read shows a redacted projection of it (DEC-37). Times in ms; `by` is who asks.
 *
 *   pending ──claim──► replaying ──settle──► resolved | pending (attempts + 1)
 *      └──archive──► a line in <data>/archive/YYYY-MM.jsonl, the row gone, the index kept
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "store/store.h"

enum { LETTERS_MOST = 1000 }; /* of one list */

/* All that are set must fit; "" or NULL and 0 = any. */
struct letter_filter {
	const char *state;    /* "" = pending and replaying; pending, replaying, resolved, all */
	const char *reason;   /* contained in the reason, without case (ASCII) */
	const char *category; /* of SRE-010.11, or the kind: parse, oversize, … */
	const char *type, *correlation_id, *group;
	const char *text;     /* contained in reason, id, source, type, subject or correlation id */
	int64_t from_ms, to_ms; /* of the failure; to_ms exclusive */
	int64_t before, after;  /* only ids below (above) this one */
	bool archived;          /* the archive instead; `state` is ignored */
	bool oldest_first;
	size_t limit;           /* 1..LETTERS_MOST */
};

/* An array: the members of names.md section 3 without schema, origin's details, replay_history and event. */
NODISCARD enum status store_letters(void *mem, struct store *s, const struct letter_filter *f, json_t **out);

/* One with all members, archived or not: event is {mode, content_type, headers, bytes, sha256, truncated, body}, body
 * JSON or text, redacted; null when nothing was kept or its key is not here (event_unreadable says so). drop_token
 * confirms a drop. E_NOTFOUND. */
NODISCARD enum status store_letter(void *mem, struct store *s, int64_t id, json_t **out);

/* Open letters by stage, category and pattern of the reason, most frequent first: an array of {group, stage,
 * failure_category, pattern, count, share, first_seen, last_seen, example: {dlq_id, failure_reason, …}}. */
NODISCARD enum status store_letter_groups(void *mem, struct store *s, size_t limit, json_t **out);

/* Tickets of groups (SRE-010.7): one a group that has a permanent failure that belongs to no incident, or more than
 * `above` letters. It is opened, told of successful replays (once a minute at most), and completed when none of the
 * group's letters waits any more. */
struct letter_ticket_rules {
	int64_t above;
	const char *on_call;  /* an e-mail address; "" = nobody */
	const char *base_url; /* of links to letters */
};
/* One round: decides what is to be said and puts it into the ticket lane. From one thread. Blocks until durable. */
NODISCARD enum status store_letter_tickets(struct store *s, const struct letter_ticket_rules *rules, int64_t now_ms);
/* Deletes what is known of tickets that were completed before. */
NODISCARD enum status store_letter_tickets_forget(struct store *s, int64_t older_than_ms);

struct letter_counts {
	int64_t open, oldest_ms; /* 0 = none */
};
NODISCARD enum status store_letter_counts(struct store *s, struct letter_counts *out);

/* What came, as it came. */
struct letter_original {
	int64_t id;
	const char *mode, *content_type; /* "" = unknown */
	const json_t *headers;           /* object of strings, lower-case names */
	const char *body;                /* followed by a NUL */
	size_t body_bytes;
	const char *origin, *kind, *event_id, *event_type, *correlation_id;
	const json_t *origin_detail; /* of a broker; NULL = none */
	int64_t received_ms;
};

/* Takes it for a replay: its state becomes replaying. Blocks until durable. E_NOTFOUND; E_CONFLICT: not pending, an
 * action is pending, or it was replayed as often as allowed; E_INVALID: nothing was kept that could be replayed;
 * E_DENIED: its key is not here. */
NODISCARD enum status store_letter_claim(void *mem, struct store *s, int64_t id, int64_t now_ms,
					 struct letter_original **out);

struct letter_outcome {
	bool done;              /* resolved; else it stays, with one attempt more */
	const char *what;       /* "opened", "duplicate", …, or the reason why not */
	int64_t incident;       /* 0 = none */
	const char *partition_key; /* found while decoding; NULL = unknown */
	const char *by;
	bool counts;            /* towards the cap: false when the replay did not even begin */
};
/* Ends a claim. Blocks until durable. */
NODISCARD enum status store_letter_settle(struct store *s, int64_t id, const struct letter_outcome *o, int64_t now_ms);

/* Moves one to the archive. E_CONFLICT: an action is pending, or it is being replayed. */
NODISCARD enum status store_letter_archive(struct store *s, int64_t id, int64_t now_ms);
enum { LETTERS_ARCHIVE_BITE = 256 };
/* The same for up to LETTERS_ARCHIVE_BITE at once: afterwards ids[0..*count] are those that were moved; the others stay,
 * and store_letter_archive says why. */
NODISCARD enum status store_letters_archive(struct store *s, int64_t *ids, size_t *count, int64_t now_ms);
/* Moves those that are older than their retention, a bite at a time; `*count` of them. */
NODISCARD enum status store_letters_expire(struct store *s, int64_t now_ms, size_t *count);

/* Deletes one for good. `token` must be its drop_token (E_DENIED). E_CONFLICT as for archiving. */
NODISCARD enum status store_letter_drop(struct store *s, int64_t id, const char *token);
