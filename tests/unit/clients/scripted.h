/*
 * A peer on a loopback port that answers as it is told, one connection after the other, one request
 * each, and keeps what it was sent, byte by byte.
 */
#pragma once

#include <stdbool.h>

#include "net/http_client.h"

enum act {
	ACT_ANSWER,
	ACT_CUT,    /* half of the reply, then a reset */
	ACT_RESET,  /* a reset in place of a reply */
	ACT_SILENT, /* nothing until the client gives up */
};

struct turn {
	const char *match; /* stands in the request; NULL = any. The first unused turn that fits is taken */
	int code;
	const char *body;
	const char *headers; /* further lines, each ended by \r\n; NULL = none */
	enum act act;
	bool always; /* is never used up */
};

struct scripted;

/* A child of mem; the turns must outlive it. Freeing it stops it. Without a fitting turn: 599. */
struct scripted *scripted_start(void *mem, const struct turn *turns, size_t n);
const char *scripted_url(const struct scripted *s);     /* http://127.0.0.1:port */
const char *scripted_address(const struct scripted *s); /* 127.0.0.1:port */

/* What came in so far. */
size_t scripted_connections(struct scripted *s);
size_t scripted_count(struct scripted *s, const char *match); /* requests that hold `match` */
size_t scripted_unexpected(struct scripted *s);               /* requests without a fitting turn */

/* The whole request number n, from 0; fails the test when there is none. Lives until the stop. */
const char *scripted_request(struct scripted *s, size_t n);
/* Its body. */
const char *scripted_body(struct scripted *s, size_t n);
/* True when the head of request n has exactly this line. */
bool scripted_has_line(struct scripted *s, size_t n, const char *line);

/* A port on which nobody listens, as http://127.0.0.1:port. */
const char *scripted_nobody(void *mem);

/* A client of its own. */
struct http_client *scripted_client(void *mem);

/* A reply as the HTTP client gives it. `headers` are pairs of name and value ended by NULL. */
struct http_reply *scripted_reply(void *mem, long code, const char *const *headers, const char *body);
