/*
 * Prometheus' range queries. Statuses as in prometheus.h. They count as calls to "prometheus_range", which nobody
 * watches: that a query over a week takes too long does not mean that Prometheus is away.
 */
#pragma once

#include "clients/grid.h"
#include "clients/prometheus.h"

enum { PROMETHEUS_RANGE_REPLY_BYTES = 32 * 1024 * 1024 };

NODISCARD enum status prometheus_query_range(void *mem, const struct prometheus *p, const char *expr,
					     const struct range *range, struct grid **out);

/* The same in two halves, for http_fetch_all. */
NODISCARD enum status prometheus_range_request(void *mem, const struct prometheus *p, const char *expr,
					       const struct range *range, struct http_request *out);
NODISCARD enum status prometheus_range_reply(void *mem, const struct http_reply *r, const struct range *range,
					     struct grid **out);
