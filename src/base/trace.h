/*
 * W3C trace context and spans. A span is begun and ended by the thread that does the work; the
 * innermost one is the thread's current span, which outgoing calls put into `traceparent`.
 * Finished spans go to the sink that the daemon registered (clients/otlp.c), if any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

struct trace_context {
	char trace_id[33]; /* 32 lower-case hex digits; "" = no trace */
	char span_id[17];
	bool sampled;
};

/* Reads "00-<32 hex>-<16 hex>-<2 hex>"; anything else leaves an empty context and returns false. */
bool traceparent_parse(const char *text, struct trace_context *out);

/* "00-…-…-01"; 56 bytes with the NUL. */
void traceparent_format(const struct trace_context *c, char out[56]);

enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER = 2, SPAN_CLIENT = 3 };

struct span {
	const char *name; /* a literal */
	enum span_kind kind;
	struct trace_context self;
	char parent_span_id[17]; /* "" for a root */
	int64_t start_ms;        /* wall clock */
	int64_t end_ms;
	json_t *attributes; /* object of strings, owned by the span; NULL = none, or no sink to read them */
	char error[256];    /* "" = ok */
	struct span *outer;
};

/* Begins a span on this thread: child of `parent` when that is given and not empty, else of the
 * thread's current span, else a new trace. `s` lives on the caller's stack until span_end. */
void span_begin(struct span *s, const char *name, enum span_kind kind, const struct trace_context *parent);
void span_attribute(struct span *s, const char *name, const char *value); /* NULL value: nothing */
void span_error(struct span *s, const char *message);
void span_end(struct span *s); /* hands it to the sink, restores the outer span */

/* The thread's innermost span, or NULL. */
const struct span *span_current(void);

/* The sink is called on the thread that ends the span and must not block; it keeps nothing of `s`.
 * Set once before threads start. NULL switches export off. */
typedef void span_sink_fn(const struct span *s, void *arg);
void span_sink(span_sink_fn *sink, void *arg);
