/*
 * Replay of dead letters: what came is decoded and admitted as if it came now, through the same functions as a live
 * request, with its own source and id, so that an event that was admitted meanwhile stays one. Oldest first, one after
 * the other, in batches with a pause between them; a letter's age is no reason to discard it. Blocks: runs at a desk
 * of its own, one call at a time.
 */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "daemon/broker.h"
#include "net/http_server.h"
#include "store/letters.h"
#include "store/store.h"

struct replay;

enum { REPLAY_BATCH = 10, REPLAY_PAUSE_MS = 100, REPLAY_BUDGET_MS = 15000 };

struct replay *replay_new(void *mem, struct store *store);
/* From now on messages of the broker that are no alert events go back there. */
void replay_use_broker(struct replay *r, struct broker *b);
/* Ends a run after the letter it is at; later runs end at once. From any thread. */
void replay_cancel(struct replay *r);

/* {dlq_id, success, outcome, incident?, correlation_id}. An unsuccessful one is OK too: `outcome` says why. Other
 * statuses as store_letter_claim's; E_TRANSIENT: the store takes no events now, and nothing was counted. */
NODISCARD enum status replay_one(void *mem, struct replay *r, int64_t id, const char *by, json_t **out);

struct replay_request {
	struct letter_filter filter; /* state, limit and order are set here */
	size_t count;                /* at most */
	double rate;                 /* letters per second at most; 0 = 100 */
	const char *by;
};
/* {succeeded, failed, refused, done, last, results[]}: `done` is false when count, time or the program's end stopped it
 * before the last letter; `last` is the last id that was tried, to go on after it. */
NODISCARD enum status replay_many(void *mem, struct replay *r, const struct replay_request *request, json_t **out);

/* The headers of a request that a later decoding needs, as struct dead_letter wants them. Under the exchange. */
json_t *replay_headers(struct http_exchange *x);
