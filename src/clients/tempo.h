/*
 * Tempo's HTTP API: which traces there are, and the spans of one. Each call = a pure decoder and a thin HTTP exchange.
 * Statuses as in backend.h, and E_INVALID for an answer that cannot be read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clients/backend.h"
#include "domain/evidence.h"

enum {
	TEMPO_TRACES_MAX = 20,
	TEMPO_SPANS_MAX = 2000,
	TEMPO_REPLY_BYTES = 16 * 1024 * 1024 /* of one trace */
};

/* A longer range is refused where max_search_duration has its default, 168 h. */
static const int64_t TEMPO_RANGE_MAX_MS = INT64_C(167) * 3600 * 1000;

/* url NULL or "" = not configured; token and tenant likewise. Borrows the texts. */
struct backend tempo_backend(struct http_client *http, const char *url, const char *token, const char *tenant,
			     const char *ca_file, int64_t timeout_ms);

struct tempo_query {
	const char *traceql;
	int64_t start_ms, end_ms; /* asked in whole seconds that hold both */
	int limit;                /* traces */
};

struct found_trace {
	char id[33]; /* 32 lower-case hex digits */
	int64_t start_ns;
	int64_t duration_ms;
};

NODISCARD enum status tempo_search(void *mem, const struct backend *b, const struct tempo_query *q,
				   struct found_trace **out, size_t *count);

struct spans {
	struct trace_span *spans; /* texts as they came: not redacted; parent_id as told, whether or not it is here */
	size_t count;
	bool cut; /* more were there than were read, or Tempo says that its answer is partial */
};

/* The spans of one trace that lies in the window. E_NOTFOUND when Tempo does not have it (any more). */
NODISCARD enum status tempo_trace(void *mem, const struct backend *b, const char *id, int64_t start_ms, int64_t end_ms,
				  struct spans **out);

/* The same in two halves, for http_fetch_all. */
NODISCARD enum status tempo_search_request(void *mem, const struct backend *b, const struct tempo_query *q,
					   struct http_request *out);
NODISCARD enum status tempo_search_reply(void *mem, const struct backend *b, const struct http_reply *r,
					 struct found_trace **out, size_t *count);
NODISCARD enum status tempo_trace_request(void *mem, const struct backend *b, const char *id, int64_t start_ms,
					  int64_t end_ms, struct http_request *out);
NODISCARD enum status tempo_trace_reply(void *mem, const struct backend *b, const struct http_reply *r,
					struct spans **out);

/* GET /ready, then a real answer of the API; `*version` (maybe NULL inside) from /api/status/buildinfo. */
NODISCARD enum status tempo_check(void *mem, const struct backend *b, const char **version);
/* The cheapest request that shows that its API answers. Texts under mem. */
NODISCARD enum status tempo_proof(void *mem, const struct backend *b, struct http_request *out);

/* Pure decoders. Ids may be hex (OTLP's JSON, leading zeros maybe left out) or base64 (Tempo's own), enums names or
 * integers, 64-bit numbers strings or numbers. A trace may stand under batches (v1), trace.resourceSpans (v2) or
 * resourceSpans. */
NODISCARD enum status tempo_decode_search(void *mem, const char *body, size_t n, struct found_trace **out,
					  size_t *count);
NODISCARD enum status tempo_decode_trace(void *mem, const char *body, size_t n, size_t limit, struct spans **out);
