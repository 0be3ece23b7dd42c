/*
 * Outgoing HTTP: one blocking call for one request or many at once. Kept-alive connections come
 * from a pool shared by all threads. No redirects are followed, only http and https are spoken,
 * replies are capped, certificates are verified.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct http_header {
	const char *name;
	const char *value;
};

struct http_request {
	const char *method; /* "GET", "HEAD", "POST", "PUT" */
	const char *url;    /* built with url.h */
	const struct http_header *headers;
	size_t header_count;
	const char *body; /* NULL = none */
	size_t body_bytes;
	int64_t timeout_ms;         /* the whole exchange; > 0 */
	size_t reply_limit_bytes;   /* 0 = LIMIT_REPLY_BYTES */
	const char *connect_to;     /* "host:port" to connect to in place of the URL's; NULL = the URL's.
				       The Host header, and for https the certificate name, stay the URL's */
	const char *ca_file;        /* NULL = the system's */
	bool once;                  /* never on a kept-alive connection: libcurl sends a request again, POST
				       too, when a reused connection turns out to be dead; the name is looked up anew */
	bool connect_only;          /* connects, shakes hands when https, sends nothing: OK without code and body */
	const char *peer;           /* a word for metrics, such as "prometheus"; NULL = not counted */
};

/* How far the exchange got decides whether a retry can double an effect. */
enum http_progress {
	HTTP_NOT_SENT, /* no byte of the request left: refused, unknown host, TLS handshake failed */
	HTTP_SENT,     /* the peer may have acted: timeout, reset, cut or oversize reply */
	HTTP_REPLIED,  /* a whole reply is here */
};

struct http_reply {
	enum status status; /* OK whenever a whole reply is here, whatever its code;
			       else E_TRANSIENT (network), E_TIMEOUT, E_INVALID (reply too large),
			       E_CANCELED (client stopped) */
	const char *message; /* why status is not OK; never holds a header or the query string */
	const char *trouble; /* the same as one word: refused, unreachable (no connection in time), dns, tls, reset,
				silent (not a byte in time), slow (not all in time), invalid, stopped; NULL when OK */
	enum http_progress progress;
	long code;
	char *body; /* NUL-terminated; never NULL when status is OK */
	size_t body_bytes;
	struct http_header *headers; /* names in lower case */
	size_t header_count;
	int64_t elapsed_ms;
};

struct http_client;

/* One per process; a talloc child of mem. `user_agent` such as "agent-sre/0.1.0". */
NODISCARD enum status http_client_new(void *mem, const char *user_agent, struct http_client **out);

/* Called after every exchange that names a peer, on the thread that made it; set before the first call. */
typedef void http_observer_fn(const struct http_request *q, const struct http_reply *r, void *arg);
void http_client_observe(struct http_client *c, http_observer_fn *observer, void *arg);

/* Makes every running and later call return E_CANCELED soon. From any thread. */
void http_client_stop(struct http_client *c);
bool http_client_is_stopping(const struct http_client *c);

/* Sends all requests at once and waits for all of them. Replies live under mem, in the same order.
 * Adds `traceparent` of the thread's current span unless the request has one. From any thread. */
void http_fetch_all(void *mem, struct http_client *c, const struct http_request *requests, size_t n,
		    struct http_reply **replies);

/* The same for one request. Returns the reply's status, the message set. */
NODISCARD enum status http_fetch(void *mem, struct http_client *c, const struct http_request *request,
				 struct http_reply **out);

/* The first header of that (lower-case) name, or NULL. Borrowed. */
const char *http_reply_header(const struct http_reply *r, const char *name);

/* Retry-After in ms (seconds or an HTTP date relative to now_ms), at most LIMIT_PAUSE_MS; 0 when absent or
 * unreadable. */
int64_t http_retry_after_ms(const struct http_reply *r, int64_t now_ms);
