/*
 * Who calls whom, and where the time goes, from spans. Pure.
 *
 * Self time of a span is what none of its direct children accounts for: its duration less the union of their times. A child
 * whose clock puts it outside of its parent counts with its whole duration, at most that of the parent (the clocks of two
 * hosts differ; a duration is measured on one). A parent that is not there makes a root. Links that form a circle are
 * harmless: only direct children count. n log n.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "domain/evidence.h"

struct service_node {
	const char *service;       /* borrowed from the spans */
	size_t calls, errors;      /* spans, and how many failed */
	size_t origins;            /* failed spans none of whose children failed: where it went wrong */
	int64_t total_us, self_us;
	int64_t self_median_us, self_p95_us; /* per call, nearest rank */
	const struct trace_span *slowest;    /* by self time; of as many, the first */
};

struct service_edge {
	const char *from, *to;     /* services; never the same */
	size_t calls, errors;
	int64_t total_us;          /* of the called spans */
};

struct service_map {
	struct service_node *nodes; /* most self time first */
	size_t node_count;
	struct service_edge *edges; /* most time first */
	size_t edge_count;
	size_t spans, traces, orphans; /* orphans: they name a parent that is not there */
};

/* Of the spans that began in [from_us, to_us) by the time of their trace's earliest span. Under mem. */
void service_map_make(void *mem, const struct trace_span *spans, size_t count, int64_t from_us, int64_t to_us,
		      struct service_map *out);

/* NULL when it is not there. */
const struct service_node *service_map_find(const struct service_map *map, const char *service);

/* The service with the most self time; NULL when there is none. */
const struct service_node *service_map_bottleneck(const struct service_map *map);

/* The share of all self time, 0..1. */
double service_map_share(const struct service_map *map, const struct service_node *node);
