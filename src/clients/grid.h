/*
 * Ranges of time with steps, and the matrices that Prometheus and Loki answer over them: samples at times of their own
 * become values on a regular grid, with NAN where nothing was measured. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

enum {
	RANGE_POINTS_MAX = 11000,   /* more than these the servers refuse */
	GRID_SERIES_MAX = 1000,     /* of one answer that are read */
	GRID_SAMPLES_MAX = 2000000, /* likewise */
	GRID_WARNINGS_MAX = 16
};

struct range {
	int64_t start_ms, end_ms; /* since the epoch; the end is a point when a step ends there */
	int64_t step_ms;          /* whole seconds, > 0 */
};

/* With the smallest round step (1, 2, 5, 10, 15 or 30 seconds or minutes; 1, 2, 3, 6, 12 hours; days) that gives at most
 * `points` points (2 to RANGE_POINTS_MAX); start_ms < end_ms. */
struct range range_of(int64_t start_ms, int64_t end_ms, size_t points);
size_t range_points(const struct range *r);

struct grid_series {
	const json_t *labels; /* an object of strings */
	const double *values; /* of each point; NAN = no sample there; may be ±INFINITY */
};

struct grid {
	struct range range;
	size_t points; /* values of each series */
	struct grid_series *series;
	size_t count;
	bool cut; /* more series or samples than were read */
	const char **warnings;
	size_t warning_count;
};

/* The reply body of query_range. E_INVALID when it cannot be read, is an error, or has another result type; the message
 * begins with `who`. A series of native histograms has no values to read and is an error too. */
NODISCARD enum status grid_decode(void *mem, const char *who, const char *body, size_t n, const struct range *range,
				  struct grid **out);

/* Keeps the n series with the highest peaks, highest first, when there are more. */
void grid_keep(struct grid *g, size_t n);
