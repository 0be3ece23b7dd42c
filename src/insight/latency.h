/*
 * Percentiles and a histogram of span durations. Pure.
 *
 * Percentile: nearest rank, that is the smallest duration that at least p % of the durations do not exceed. No value is
 * made up between two, and each one is a span's that can be shown.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "domain/evidence.h"

/* Upper bounds 100 us, 200 us, 500 us, 1 ms, … 500 s (1-2-5 a decade), and one bucket for what is longer. */
enum { LATENCY_BOUNDS = 21, LATENCY_BUCKETS = LATENCY_BOUNDS + 1 };

struct latency {
	size_t count;
	int64_t p50_us, p95_us, p99_us, longest_us; /* 0 when count = 0 */
	size_t buckets[LATENCY_BUCKETS];            /* bound[n-1] < duration <= bound[n] */
};

/* In us; n < LATENCY_BOUNDS. */
int64_t latency_bound(size_t n);

/* Of the spans of `service` (NULL: spans without a parent) that begin in [from_us, to_us). */
void latency_measure(void *mem, const struct trace_span *spans, size_t count, const char *service, int64_t from_us,
		     int64_t to_us, struct latency *out);

/* The nearest rank of p in 0..100 among n sorted values; 0 when n = 0. */
int64_t percentile_sorted(const int64_t *sorted, size_t n, double p);
