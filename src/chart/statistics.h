/*
 * The few figures that titles, fitted lines and marks are made of. NAN is "no sample" and is left out everywhere. Pure.
 */
#pragma once

#include <stddef.h>

/* Pearson's correlation and the least-squares line y = intercept + slope * x, over the places where both are finite. */
struct correlation {
	size_t count;
	double r; /* NAN where either does not vary, or of fewer than 3 pairs: then the line means nothing */
	double slope, intercept;
};
struct correlation scatter_correlation(const double *x, const double *y, size_t count);

/* The smallest value with at least `p` (0 to 1) of all values at or below it (nearest rank). `sorted` ascending,
 * without NAN; NAN of nothing. */
double quantile(const double *sorted, size_t count, double p);

/* A copy without what is not finite, ascending; *kept = how many. Under mem. */
double *sorted_copy(void *mem, const double *values, size_t count, size_t *kept);

enum course { COURSE_NONE, COURSE_HELD, COURSE_STEP, COURSE_RAMP };

/* How values went: they held, changed at one moment, or rose or fell all the time. The better of two least-squares
 * models is taken, a constant on each side of one split and a straight line; when neither explains half of the
 * variance, or the change is below a fifth of the larger level, they held. */
struct trend {
	enum course course;   /* NONE: fewer than 6 values */
	size_t at;            /* COURSE_STEP: index of the first value after the change */
	double before, after; /* medians of both sides; of a ramp, the line's ends */
	double lowest, highest, median;
};
struct trend trend_of(const double *values, size_t count);
