/*
 * AMQP 0-9-1, as RabbitMQ speaks it: one connection, used by one thread at a time. Messages are taken
 * from queues with a prefetch and acknowledged one by one by the caller, or published with a publisher
 * confirm.
 *
 * Headers and properties of a message are one JSON object: application headers under their names,
 * properties under amqp:content-type, amqp:message-id, … ; a timestamp is {"amqp:timestamp": seconds} and
 * text that is not UTF-8 {"amqp:bytes": base64}.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

struct broker_options {
	const char *url;     /* amqp:// or amqps://user:password@host:port/vhost; never in a message */
	const char *ca_file; /* NULL = the system's; amqps:// always verifies chain and host name */
	int heartbeat_s;
	int64_t timeout_ms;  /* of connecting, of each call and of a confirm */
};

enum { BROKER_QUEUES_MAX = 64 };

struct broker_link;

/* E_INVALID: not such a URL. E_DENIED: login refused, certificate not trusted. E_TRANSIENT: not there.
 * Closed when mem (may be NULL) is freed, or by broker_link_close. */
NODISCARD enum status broker_link_open(void *mem, const struct broker_options *o, struct broker_link **out);
void broker_link_close(struct broker_link *l); /* NULL is legal */

/* Host and port of the URL, for messages; E_INVALID when it is no AMQP URL. `*tls` says amqps://. */
NODISCARD enum status broker_url(void *mem, const char *url, char **address, char **host, bool *tls);

/* Begins to take messages; each queue has a channel of its own, so that one that is missing (E_NOTFOUND)
 * or refused (E_DENIED) does not harm the others. */
NODISCARD enum status broker_link_consume(struct broker_link *l, const char *queue, int prefetch);

struct broker_delivery {
	unsigned channel;
	uint64_t tag;
	bool redelivered;
	const char *queue, *exchange, *routing_key;
	json_t *headers;          /* what is at the top of this file */
	const char *content_type; /* "" when absent */
	const char *body;         /* NUL-terminated; only a head when whole_bytes is more */
	size_t body_bytes;
	uint64_t whole_bytes;
	char digest[65];          /* SHA-256 of the whole body */
};

/* To be polled for input; ask broker_link_next until it has nothing before waiting. */
int broker_link_fd(const struct broker_link *l);
/* The next complete message, waiting up to wait_ms; OK with *out NULL: nothing came. `*out` is a rootless
 * tree of the caller's. Bodies are kept up to `limit` bytes. E_NOTFOUND: a queue was deleted; anything else that
 * is not OK: the connection is of no use any more. */
NODISCARD enum status broker_link_next(struct broker_link *l, int64_t wait_ms, size_t limit,
				       struct broker_delivery **out);
NODISCARD enum status broker_link_ack(struct broker_link *l, unsigned channel, uint64_t tag);

/* Passive declare. E_NOTFOUND. */
NODISCARD enum status broker_link_queue(struct broker_link *l, const char *queue, int64_t *messages,
					int64_t *consumers);

struct broker_message {
	const char *exchange, *routing_key;
	const json_t *headers; /* what is at the top of this file */
	const char *body;
	size_t body_bytes;
};
/* Persistent and mandatory; OK means that the broker has confirmed it. E_NOTFOUND: no such exchange, or no
 * queue is bound there (the message came back). E_TRANSIENT: refused, or never sent. E_TIMEOUT: no confirm came,
 * in time or before the connection ended; it may have been taken. */
NODISCARD enum status broker_link_publish(struct broker_link *l, const struct broker_message *m);

/* The JSON of a table in wire format, as broker_delivery has it. E_INVALID. For tests and the fuzzer. */
NODISCARD enum status broker_table_decode(void *mem, const void *bytes, size_t n, json_t **out);
