/* What is usual: the median of the last values of something. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { USUAL_MAX = 15, USUAL_LEAST = 5 };

struct usual {
	double values[USUAL_MAX]; /* a ring */
	size_t count;             /* that were ever added */
};

/* False as long as there are fewer than USUAL_LEAST values. */
bool usual_median(const struct usual *u, double *out);
/* Is it below `low` or above `high` times the median? False as long as there is none. */
bool usual_is_far(const struct usual *u, double value, double low, double high);
void usual_add(struct usual *u, double value);
