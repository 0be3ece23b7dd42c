/*
 * The dead-letter queues of a broker (SRE-010.10-13). One thread takes messages from the configured queues;
 * each is written to our own dead letters first and acknowledged only when that is on disk. A message that comes
 * again (the agent or the connection died in between) is recognised by its source and id, or by its digest.
 * When the store takes no more, the thread stops reading; no message is dropped. But of one whose body is longer than
 * LIMIT_BROKER_BODY_BYTES (16 MiB) only a head is kept, with the length and the digest of the whole: it is acknowledged
 * all the same, cannot be replayed, and the log says so (broker_message_cut).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "config/settings.h"
#include "net/watch.h"
#include "store/store.h"

struct broker;

enum { BROKER_REPLAYS_MAX = 5 };

#define BROKER_ORIGIN "rabbitmq" /* origin.kind of its dead letters */

/* True when broker.url is set. */
bool broker_is_configured(const struct settings *s);

/* E_INVALID: not an AMQP URL, plaintext to a host that is not allowed, no queues, too many of them. */
NODISCARD enum status broker_check(const struct settings *s);

/* Starts the thread; whether the broker is there shows in the log. Borrows settings and store. */
NODISCARD enum status broker_start(void *mem, const struct settings *s, struct store *store, struct broker **out);
/* Connections and losses are reported to `w`, as the peer "broker"; it must outlive the broker. NULL b is legal. */
void broker_use_watch(struct broker *b, struct watch *w);
/* Acknowledges what has become durable; what has not stays with the broker. Before store_close. NULL is legal. */
void broker_stop(struct broker *b);

/* Does a dead letter of this origin and type go back to the broker? Alert events are the agent's own: they enter
 * the local pipeline again. */
bool broker_owns(const char *origin_kind, const char *event_type);

/* Sends a message back to the exchange it was first published to, with its original routing key and without the
 * headers of its death. `origin` is the dead letter's origin_detail. Blocks until the broker has confirmed it: OK
 * means that it is in a queue. E_CONFLICT: sent back BROKER_REPLAYS_MAX times already. E_INVALID: where it came
 * from is not known. E_TRANSIENT: nobody consumes the queue it died in; or as broker_link_publish. E_TIMEOUT: it may
 * have been taken. From any thread, one at a time. */
NODISCARD enum status broker_replay(struct broker *b, const json_t *origin, const char *body, size_t body_bytes);

/* For doctor: logs in and looks at each queue. `*said` under mem: "host:port, orders.dlq: 3 messages, …". */
NODISCARD enum status broker_examine(void *mem, const struct settings *s, const char **said);
