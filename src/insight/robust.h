/* Statistics that a few wild values do not move. Pure; NAN in, NAN out only where it is said. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "domain/evidence.h"

/* The median of n values, none of them NAN; reorders them. NAN when n = 0. Mean of the middle two when n is even. */
double robust_median(double *values, size_t n);

/* 1.4826 times the median distance from `centre`: the standard deviation, were they normal. Destroys the values. */
double robust_spread(double *values, size_t n, double centre);

/* The median of a series' samples with from_ms <= time < to_ms, and how many there were (count may be NULL). NAN = none. */
double series_level(void *mem, const struct series *s, int64_t from_ms, int64_t to_ms, size_t *count);

/* The time of sample n. */
int64_t series_time(const struct series *s, size_t n);

/* The last sample that there is at or before to_ms; NAN = none. */
double series_last(const struct series *s, int64_t to_ms);

/* False for what arithmetic would not survive: NAN, infinities, |v| > 1e100. */
int is_usable(double v);
