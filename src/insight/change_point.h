/*
 * When and how a series changed: steps, ramps and spikes, with their size in units of the series' own noise. Pure.
 *
 * Method. Samples far from their running median are set aside (a spike is one, two or three of them). The rest, as medians
 * of at most 512 blocks, is cut into pieces that are straight lines, by exact dynamic programming over the penalised sum of
 * squared residuals (Killick, Fearnhead, Eckley 2012, "Optimal detection of changepoints with a linear computational cost",
 * without the pruning: 512 blocks need none). Noise is the largest spread of second differences over lags of 1 to 16
 * blocks: a slope does not touch it, a step touches few of them; what it is larger at long lags than at lag 1 is
 * autocorrelation (rate() over a window is a moving mean) and raises the penalty by that factor. Neighbouring pieces that
 * move the same way are one change, which begins where the line before meets the line of the change. A daily course is
 * taken off when there are three days of it.
 *
 * O(n log n) for n samples. Quiet on noise: tests/unit/insight/test_change_point.c has the rate.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "domain/evidence.h"

enum change_kind { CHANGE_STEP, CHANGE_RAMP, CHANGE_SPIKE };

struct change {
	enum change_kind kind;
	bool up;
	bool from_start;       /* a ramp that was under way when the window began: at_ms is the first sample */
	int64_t at_ms;         /* where it begins */
	int64_t until_ms;      /* where the new level is reached, or the last sample that still moves */
	double before, after;  /* levels; of a spike: the median around it, and its top */
	double noise;          /* one standard deviation, in the series' unit; > 0 */
	double size;           /* |after - before| / noise, at most CHANGE_SIZE_MAX */
};

enum { CHANGE_SAMPLES_LEAST = 16, CHANGE_SIZE_MAX = 10000 };

/* Steps and ramps in the order of their time, then spikes. Fewer than CHANGE_SAMPLES_LEAST usable samples: none. Under mem. */
size_t change_points(void *mem, const struct series *s, struct change **out);

/* "step up", "ramp down", "spike up", … */
const char *change_name(const struct change *c);

/* (after - before) / |before|; a `before` of 0 gives +-INFINITY. */
double change_share(const struct change *c);
