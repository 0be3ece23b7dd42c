/*
 * How two series go together: Pearson's r and Spearman's rho of their values, and which of them moves first. Pure.
 *
 * Values are paired on the coarser of the two grids, over the time that both cover; a pair needs a sample of both within
 * half a step. Lead and lag come from the cross-correlation of differences (over a minute, or one step where that is
 * longer), which a common level or slope does not fake, for shifts of at most 15 minutes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "domain/evidence.h"

enum { CORRELATION_PAIRS_LEAST = 20, CORRELATION_LAG_MAX_MS = 15 * 60 * 1000 };

struct correlation {
	size_t pairs;
	double pearson, spearman; /* -1..1 of values at the same time */
	bool has_lag;             /* the moves agree at one shift: |r| >= 0.3 and beyond chance (4 / sqrt(pairs)) */
	int64_t lag_ms;           /* > 0: the first series moves first, by so much; < 0: the second */
	double at_lag;            /* of the differences, at that shift */
};

/* False when there are too few pairs, or one of the two does not move at all; *out then has only `pairs`. */
bool correlate(void *mem, const struct series *first, const struct series *second, struct correlation *out);
