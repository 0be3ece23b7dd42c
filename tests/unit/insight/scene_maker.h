/* An incident by hand: an hour of a pod at 15 s, in which a test changes what it wants. */
#pragma once

#include "series_maker.h"

enum { SCENE_SAMPLES = 256, SCENE_STEP = 15000, SCENE_CHANGE = 180, SCENE_ALERT = 220, SCENE_SERIES = 16 };

struct scene_made {
	struct evidence evidence;
	struct series series[SCENE_SERIES];
	uint64_t seed;
};

static inline struct scene_made *scene_make(void *mem)
{
	struct scene_made *s = NEW(mem, struct scene_made);
	static const char *const QUERIES[] = {"the query", NULL};

	s->seed = 77;
	s->evidence = (struct evidence){.window = {0, (int64_t)SCENE_SAMPLES * SCENE_STEP, (int64_t)SCENE_ALERT * SCENE_STEP},
					.object = "pod shop/cart-0",
					.service = "cart",
					.series = s->series};
	for (int n = 0; n < SOURCE_COUNT; n++)
		s->evidence.asked[n] = (struct asked){.wanted = true, .status = OK, .queries = QUERIES};
	return s;
}

/* `before` with 2 % noise, and `after` from SCENE_CHANGE on; a ramp goes on to the end. */
static inline double *scene_add(struct scene_made *s, enum series_role role, const char *object, double before, double after,
				int ramp)
{
	double *v = NEW_ARRAY(s, double, SCENE_SAMPLES);

	for (int n = 0; n < SCENE_SAMPLES; n++) {
		double share = n < SCENE_CHANGE ? 0 : ramp ? (double)(n - SCENE_CHANGE) / (SCENE_SAMPLES - SCENE_CHANGE) : 1;
		v[n] = (before + (after - before) * share) * (1 + 0.02 * normal_next(&s->seed));
	}
	s->series[s->evidence.series_count++] = series_of(role, object, v, SCENE_SAMPLES, SCENE_STEP);
	return v;
}
