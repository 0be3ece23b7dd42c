/* The HTTP front of both services: options from an address text, and the wait for a stop signal. */
#pragma once

#include "base/status.h"
#include "net/http_server.h"

/* Splits "ADDRESS:PORT" (or "PORT" alone: all addresses) into o->host (under mem) and o->port. */
NODISCARD enum status listen_address(void *mem, const char *text, struct http_server_options *o);

/* Blocks SIGTERM, SIGINT and SIGHUP for this thread and all later ones. Call before threads start. */
void listen_block_signals(void);

enum listen_news { LISTEN_NOTHING, LISTEN_HANGUP, LISTEN_STOP };

/* Waits for SIGHUP, SIGTERM or SIGINT, at most wait_ms. */
enum listen_news listen_wait(int64_t wait_ms);
