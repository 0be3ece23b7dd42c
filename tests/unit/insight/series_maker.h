/* Series and noise for the tests of src/insight: the same numbers in every run. */
#pragma once

#include <math.h>
#include <stdint.h>

#include "base/mem.h"
#include "domain/evidence.h"

static inline double uniform_next(uint64_t *seed)
{
	*seed ^= *seed << 13; /* xorshift64 */
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return ((double)(*seed >> 11) + 0.5) / 9007199254740992.0;
}

static inline double normal_next(uint64_t *seed)
{
	double u = uniform_next(seed);

	return sqrt(-2 * log(u)) * cos(2 * M_PI * uniform_next(seed));
}

static inline struct series series_of(enum series_role role, const char *object, double *values, size_t count,
				      int64_t step_ms)
{
	return (struct series){.role = role,
			       .object = object,
			       .query = "query",
			       .start_ms = 0,
			       .step_ms = step_ms,
			       .count = count,
			       .values = values};
}
