/*
 * Incoming HTTP over libmicrohttpd. A handler runs on the poll thread once the whole request is
 * here; it must not block: it answers at once, or keeps the request and answers later from any
 * thread, while the connection holds no thread.
 *
 * The server itself refuses with 413 (body over the cap, by Content-Length or by count), 431 (too many
 * header fields), 400 (both Content-Length and Transfer-Encoding), and cuts off clients that do not
 * finish a request in time, however they drip it. Of a refused body only the head is kept; bodies that
 * are far over the cap (16 times) are not even read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct http_server;
struct http_exchange; /* one request and the place for its answer */

struct http_server_options {
	const char *host; /* "127.0.0.1", "0.0.0.0", "::" */
	unsigned short port; /* 0 = any free one */
	size_t body_limit_bytes;
	int64_t request_timeout_ms; /* first byte of a connection, or end of the last answer, to a whole
				       request; also the idle time of a kept-alive connection */
	unsigned connection_limit;
	unsigned connection_limit_per_address;
	const char *tls_certificate; /* PEM text; NULL = plain HTTP */
	const char *tls_key;
};

/* Called on the poll thread. Must lead to exactly one http_answer for the exchange, now or later. */
typedef void http_handler_fn(struct http_exchange *x, void *arg);

/* What the server refused in place of the handler: for counting and keeping. http_body is the head of
 * the body (at most LIMIT_DEAD_LETTER_HEAD_BYTES). The answer is sent when http_answer is called, as
 * for a handler; a NULL function = answered by the server itself. */
typedef void http_refused_fn(struct http_exchange *x, int code, const char *why, void *arg);

NODISCARD enum status http_server_start(void *mem, const struct http_server_options *o,
					http_handler_fn *handler, http_refused_fn *refused, void *arg,
					struct http_server **out);
unsigned short http_server_port(const struct http_server *s);

/* Stops accepting, waits until every kept exchange was answered (whoever keeps one must see to that) and
 * sent, then closes. */
void http_server_stop(struct http_server *s);

/* Request side, valid until http_answer. Strings are borrowed. */
const char *http_method(const struct http_exchange *x);
const char *http_path(const struct http_exchange *x);                     /* decoded, without query */
const char *http_query(const struct http_exchange *x, const char *name);  /* decoded, or NULL */
const char *http_header(const struct http_exchange *x, const char *name); /* any case, or NULL */
const char *http_body(const struct http_exchange *x, size_t *bytes);      /* NUL-terminated */
const char *http_peer_address(const struct http_exchange *x);             /* "127.0.0.1" */
int64_t http_body_at_ms(const struct http_exchange *x); /* monotonic ms when the body was whole */

/* Calls each(name, value) for every header field. */
void http_headers(const struct http_exchange *x, void (*each)(const char *, const char *, void *), void *arg);

/* A talloc context that is freed once the answer has been sent. */
void *http_mem(struct http_exchange *x);

/* Answers, from any thread, exactly once. The body is copied. `headers` (may be NULL) are pairs of
 * name and value ended by NULL. */
void http_answer(struct http_exchange *x, int code, const char *content_type, const char *body,
		 size_t bytes, const char *const *headers);
