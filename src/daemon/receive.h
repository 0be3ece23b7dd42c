/*
 * Intake: POST / (CloudEvents) and POST /webhook (Alertmanager). Depends on nothing slow: bytes are
 * decoded on the poll thread, the request joins the open commit group, and the answer is given when
 * its events, or the record of their refusal, are on disk.
 */
#pragma once

#include "net/http_server.h"
#include "store/store.h"

void receive_event(struct http_exchange *x, struct store *store);
void receive_webhook(struct http_exchange *x, struct store *store);

/* A request that the HTTP server refused (too large, malformed frame): kept, then answered. */
void receive_refused(struct http_exchange *x, int code, const char *why, struct store *store);
