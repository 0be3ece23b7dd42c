/*
 * Loki's HTTP API: log lines of a range, how many there were, and whether it is there. Each call = a pure decoder and a
 * thin HTTP exchange. Statuses as in backend.h, and E_INVALID for an answer that cannot be read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clients/backend.h"
#include "clients/grid.h"

enum {
	LOKI_LINES_MAX = 5000,                    /* Loki's own default of max_entries_limit_per_query */
	LOKI_REPLY_BYTES = 16 * 1024 * 1024
};

/* A longer range is refused where max_query_length has its default, 721 h. */
static const int64_t LOKI_RANGE_MAX_MS = INT64_C(720) * 3600 * 1000;

/* url NULL or "" = not configured; token and tenant likewise. Borrows the texts. */
struct backend loki_backend(struct http_client *http, const char *url, const char *token, const char *tenant,
			    const char *ca_file, int64_t timeout_ms);

struct loki_query {
	const char *logql;        /* a log query */
	int64_t start_ms, end_ms; /* end exclusive */
	int limit;                /* lines, at most LOKI_LINES_MAX */
	bool oldest_first;        /* which lines are taken when there are more than `limit`: the oldest or the newest */
};

struct loki_line {
	int64_t at_ns;
	const char *level; /* "error", "warn", "info", "debug", or "" = not told (domain/severity.h) */
	const char *text;  /* as it was written: anything but a NUL, valid UTF-8 */
};

struct loki_lines {
	struct loki_line *lines; /* oldest first */
	size_t count;
	bool cut; /* more were there than were read */
};

NODISCARD enum status loki_query_range(void *mem, const struct backend *b, const struct loki_query *q,
				       struct loki_lines **out);
/* A metric query: counts of lines on a grid. */
NODISCARD enum status loki_query_volume(void *mem, const struct backend *b, const char *logql,
					const struct range *range, struct grid **out);

/* The same in two halves, for http_fetch_all. */
NODISCARD enum status loki_range_request(void *mem, const struct backend *b, const struct loki_query *q,
					 struct http_request *out);
NODISCARD enum status loki_range_reply(void *mem, const struct backend *b, const struct http_reply *r,
				       const struct loki_query *q, struct loki_lines **out);
NODISCARD enum status loki_volume_request(void *mem, const struct backend *b, const char *logql,
					  const struct range *range, struct http_request *out);
NODISCARD enum status loki_volume_reply(void *mem, const struct backend *b, const struct http_reply *r,
					const struct range *range, struct grid **out);

/* GET /ready, then a real answer of the API; `*version` (maybe NULL inside) from /loki/api/v1/status/buildinfo. */
NODISCARD enum status loki_check(void *mem, const struct backend *b, const char **version);
/* The cheapest request that shows that it answers queries. Texts under mem. */
NODISCARD enum status loki_proof(void *mem, const struct backend *b, struct http_request *out);

/* Pure. Reads result type streams; `limit` lines at most. The level comes from detected_level or a level label (of
 * the stream, or of the line's structured metadata), else from the line. */
NODISCARD enum status loki_decode_lines(void *mem, const char *body, size_t n, size_t limit, struct loki_lines **out);
