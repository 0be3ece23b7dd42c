/*
 * Fewer points that look the same: a line of n points that is drawn w columns wide shows no more than four of each
 * column. Pure.
 */
#pragma once

#include <stddef.h>

/* Points of a line: x ascending, y NAN = a gap. */
struct points {
	double *x, *y;
	size_t count;
};

/* M4 (Jugel et al., M4: A Visualization-Oriented Time Series Data Aggregation, VLDB 2014): of the points whose x
 * falls into the same of `columns` equal parts of from to to, the first, the last, the lowest and the highest stay,
 * in their order; one NAN stays where a column has a gap. So every peak stays where it was, at its full height, and a
 * line drawn with one pixel a column is the same line. At most 5 * columns points; so many or fewer are copied as
 * they are. Points outside from to to fall into the first or the last column. Under mem. */
struct points downsample(void *mem, const double *x, const double *y, size_t count, double from, double to,
			 size_t columns);
