/*
 * As much HTTP/1.1 over loopback as the bench needs: whole messages with Content-Length on kept-alive
 * connections. Much cheaper than what is measured, so that the bench does not measure itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int64_t wire_now_ns(void); /* CLOCK_MONOTONIC */

/* One message in a buffer. Texts are borrowed from it. */
struct message {
	char *line;        /* "POST /webhook HTTP/1.1" or "HTTP/1.1 200 OK", NUL-terminated */
	char *body;        /* not NUL-terminated */
	size_t body_bytes;
	size_t bytes;      /* of all of it */
};

enum parsed { WHOLE, PARTIAL, BROKEN };

/* One connection: what was received and not yet used. A talloc child of mem. */
struct wire {
	int fd;
	char *text;
	size_t have, room;
	size_t used; /* by the message that was handed out last */
};

/* Connects to 127.0.0.1; aborts with a line on stderr when nobody listens. */
struct wire *wire_connect(void *mem, unsigned short port);
void wire_close(struct wire *w);

/* Sends all of it, or returns false. */
bool wire_send(struct wire *w, const char *text, size_t n);
/* Reads what is there, waiting for the first byte if asked to; false = the peer is gone. */
bool wire_receive(struct wire *w, bool wait);
/* The next whole message; what the last one pointed to is gone. */
enum parsed wire_next(struct wire *w, struct message *out);

/* "POST <path>" with a JSON body (NULL = GET), as text under mem. */
char *wire_request(void *mem, const char *path, const char *body, size_t *n);

/* One exchange; aborts with a line on stderr when it breaks. Returns the status code. */
int wire_exchange(struct wire *w, const char *request, size_t n, struct message *reply);
/* The status code of a reply's first line. */
int wire_code(const struct message *reply);

/* A server thread on a free port of 127.0.0.1. The handler writes the JSON body of a 200 to `out`. */
typedef void wire_handler_fn(const struct message *request, int64_t received_ns, FILE *out, void *arg);
unsigned short wire_serve(void *mem, wire_handler_fn *handler, void *arg);
