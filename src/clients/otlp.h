/*
 * OTLP/HTTP JSON exporter for spans: a bounded queue and one thread that posts batches to
 * <endpoint>/v1/traces. Never blocks the caller; what does not fit or cannot be delivered is
 * dropped and counted. Retries 429, 502, 503, 504 and network errors with backoff, Retry-After obeyed.
 */
#pragma once

#include <stdint.h>

#include "base/status.h"
#include "base/trace.h"
#include "net/http_client.h"

struct otlp_options {
	struct http_client *http;
	const char *endpoint;      /* http(s)://host:4318 ("host:4317" means http://host:4318: we speak HTTP) */
	const char *service_name, *service_namespace, *service_version, *environment;
	double sample_ratio;       /* 0..1, decided by trace id */
	int64_t flush_ms;          /* 1000 */
	const char *ca_file;
};

struct otlp;

NODISCARD enum status otlp_start(void *mem, const struct otlp_options *o, struct otlp **out);
/* A span_sink_fn; arg is the struct otlp. */
void otlp_span(const struct span *s, void *arg);
/* Sends what waits (one try), then stops. */
void otlp_stop(struct otlp *o);

/* Where spans go: "tempo:4317" is the gRPC port of a collector whose HTTP port is 4318. */
NODISCARD enum status otlp_url(void *mem, const char *endpoint, char **out);

/* Pure: the request body for spans already encoded with otlp_encode_span. */
json_t *otlp_encode_span(void *mem, const struct span *s);
char *otlp_encode_request(void *mem, const struct otlp_options *o, json_t *const *spans, size_t n);
