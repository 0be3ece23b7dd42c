/*
 * CloudEvents 1.0 over HTTP: binary, structured and batch mode (SHARED.1-2, B-001.2-5), decoded,
 * whatever the version of their schema, into admissible events and reasons for refusal. And the
 * encoder of the converter. Pure, but for the metrics of schema.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/trace.h"
#include "domain/alert.h"
#include "domain/schema.h"

enum event_mode { EVENT_BINARY, EVENT_STRUCTURED, EVENT_BATCH, EVENT_WEBHOOK };

/* One event that may be admitted; it lives under the decoder's mem. */
struct event {
	const char *id;
	const char *source;
	const char *type;
	const char *subject;        /* "" when absent */
	const char *schema;         /* dataschema, "" when absent; after a transformation the new one */
	const char *version;        /* of the schema, as received: "v1.0" when no dataschema came */
	const char *slo;            /* data.slo, "" when absent (SRE-013.11); also an annotation of the alert */
	int64_t time_ms;            /* 0 when absent */
	const char *key;            /* extension idempotencykey, else the id: with the source it says
				       whether an event was there before */
	const char *partition_key;  /* extension partitionkey, "" when absent: then the fingerprint */
	const char *sequence;       /* extension sequence, else data.eventSequence; "" when absent */
	const char *correlation_id; /* DEC-20: valid X-Correlation-ID, else extension correlationid, else
				       id, else a digest of it; charset [A-Za-z0-9._:/@+-], bounded */
	struct trace_context trace; /* from header or extension traceparent; may be empty */
	struct alert *alert;
	bool status_disagrees;      /* type and data.status differ; data.status is trusted */
};

/* What became of one member of a request: either `event`, or `error` and what could be saved. */
struct event_member {
	struct event *event;
	const char *error;    /* says what is wrong and where: "data.labels.pod must be a string" */
	const char *category; /* of a refusal: "parse", "envelope", "key", "type", "schema", "data" */
	const char *id;       /* as far as they could be read, else "" */
	const char *source;
	const char *type;
	const char *raw; /* JSON text for the dead letter, which decodes again by itself: a structured event, or a
			    webhook with this one alert */
	const char *partition_key; /* of a refusal: extension partitionkey, "" when absent */
	const char *version;  /* of a refusal: "unknown", or "" when it was not looked at */
	const json_t *report; /* of a refusal by its data or schema: {type, dataschema, detected_version,
				 supported[], violations[]}; NULL = none */
};

struct event_request {
	const char *content_type; /* NULL = absent */
	/* A header by any-case name, or NULL. */
	const char *(*header)(void *arg, const char *name);
	void *arg;
	const char *body;
	size_t body_bytes;
	int64_t received_ms;
	const struct schema_registry *schemas; /* NULL = schema_current() */
};

struct event_set {
	enum event_mode mode;
	struct event_member *members;
	size_t count;
};

/* POST /. E_INVALID when nothing can be told apart (not JSON, batch is no array, unsupported
 * content type: then *unsupported is true and the answer is 415); otherwise OK with one member per
 * event, each admissible or refused. An empty batch is OK with count 0. Everything under mem. */
NODISCARD enum status event_decode(void *mem, const struct event_request *r, struct event_set **out,
				   bool *unsupported);

/* POST /webhook: the same from Alertmanager's payload. Source "prometheus/alertmanager/<receiver>",
 * id = alert_event_id (P27). */
NODISCARD enum status event_decode_webhook(void *mem, const struct event_request *r, struct event_set **out);

/* The converter: one alert of a webhook as a structured CloudEvent (platform-contracts section 4):
 * the twelve data keys, prometheusRule when labelled, fingerprint, groupKey, groupLabels,
 * externalURL, truncatedAlerts. JSON text under mem. `member` indexes a decodable alert. */
char *event_encode(void *mem, const struct webhook *w, size_t member, int64_t now_ms);

#define EVENT_TYPE_FIRED "io.homelab.prometheus.alert.fired"
#define EVENT_TYPE_RESOLVED "io.homelab.prometheus.alert.resolved"

/* Percent-decodes a ce-* header value as the HTTP binding says, leniently: an invalid escape stays
 * literal; invalid UTF-8 is E_INVALID. */
NODISCARD enum status event_header_decode(void *mem, const char *value, char **out);
/* And encodes one (space, ", %, and all outside U+0021..U+007E). */
char *event_header_encode(void *mem, const char *value);

/* The content type names of the modes, compared without case and parameters. */
const char *event_mode_name(enum event_mode m); /* "binary", "structured", "batch", "webhook" */
