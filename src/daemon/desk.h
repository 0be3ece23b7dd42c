/* A few threads that answer requests which may block: reads of the store, decisions, forwarding. The
 * poll thread hands them over and goes on. */
#pragma once

#include "base/status.h"
#include "net/http_server.h"

struct desk;

/* `handler` must answer the exchange. `waiting_limit` requests may wait; more get 503. */
NODISCARD enum status desk_open(void *mem, int threads, int waiting_limit, http_handler_fn *handler, void *arg,
				struct desk **out);
void desk_submit(struct desk *d, struct http_exchange *x);
/* Answers what waits, then ends the threads. */
void desk_close(struct desk *d);
