/*
 * What a message in a broker's dead-letter queue says of itself: which event it is, why, where and how
 * often it died, and where it came from. Read from the message's headers as JSON: RabbitMQ's x-death and
 * x-first-death-*, the platform's x-death-reason, x-death-count and x-original-routing-key, Knative's
 * knativeerror* extensions (SRE-010.11-12). Pure; nothing in a header can make it fail.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

/* How often the agent has sent this message back to where it came from. */
#define DEATH_REPLAY_HEADER "x-agent-sre-replay"
/* How often it had died when it was sent back last. */
#define DEATH_COUNT_HEADER "x-agent-sre-deaths"

struct death {
	const char *event_id, *event_source, *event_type, *subject, *correlation_id; /* "" = unknown */
	const char *reason;   /* one sentence that is the same for all messages that died alike */
	const char *category; /* of SRE-010.11: poison_message, timeout, … */
	bool permanent;
	int64_t count;        /* deaths, those before it was sent back included; at least 1 */
	int64_t first_ms;     /* of the first death; 0 = unknown */
	const char *queue;    /* in which it died first; "" = unknown */
	bool has_exchange;    /* `exchange` is known: "" is RabbitMQ's default exchange */
	const char *exchange, *routing_key; /* of the first publication */
	int64_t replays;
};

/* `headers` is an object; `body` is the message's body when that is JSON, else NULL. `*out` under mem. */
void death_read(void *mem, const json_t *headers, const json_t *body, struct death **out);

/* A CloudEvents attribute as any AMQP binding writes it: ce-x, ce_x, cloudEvents:x, cloudEvents_x. NULL
 * when absent. Under mem, bounded. */
const char *death_attribute(void *mem, const json_t *headers, const char *name);

/* The headers with which a message goes back: without those that speak of its death, and with one more
 * replay and all its deaths counted. A new object under mem. */
json_t *death_strip(void *mem, const json_t *headers);
