#include "chart/statistics.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

enum { PAIRS_LEAST = 3, VALUES_LEAST = 6, SIDE_LEAST = 3 };

static const double CHANGE_LEAST = 0.2;
static const double EXPLAINED_LEAST = 0.5;

struct correlation scatter_correlation(const double *x, const double *y, size_t count)
{
	struct correlation c = {.r = NAN};
	double mean_x = 0;
	double mean_y = 0;
	double xx = 0;
	double yy = 0;
	double xy = 0;

	/* Welford's update: sums of squares of large values would cancel */
	for (size_t n = 0; n < count; n++) {
		if (!isfinite(x[n]) || !isfinite(y[n]))
			continue;
		c.count++;
		double dx = x[n] - mean_x;
		double dy = y[n] - mean_y;
		mean_x += dx / (double)c.count;
		mean_y += dy / (double)c.count;
		xx += dx * (x[n] - mean_x);
		yy += dy * (y[n] - mean_y);
		xy += dx * (y[n] - mean_y);
	}
	if (c.count < PAIRS_LEAST || !(xx > 0) || !(yy > 0))
		return c;
	c.r = xy / sqrt(xx * yy);
	c.slope = xy / xx;
	c.intercept = mean_y - c.slope * mean_x;
	return c;
}

double quantile(const double *sorted, size_t count, double p)
{
	if (count == 0)
		return NAN;
	double rank = ceil(p * (double)count);
	size_t at = rank < 1 ? 0 : (size_t)rank - 1;
	return sorted[at < count ? at : count - 1];
}

static int ascending(const void *a, const void *b)
{
	double one = *(const double *)a;
	double other = *(const double *)b;

	return (one > other) - (one < other);
}

double *sorted_copy(void *mem, const double *values, size_t count, size_t *kept)
{
	double *copy = NEW_ARRAY(mem, double, count + 1);
	size_t used = 0;

	for (size_t n = 0; n < count; n++)
		if (isfinite(values[n]))
			copy[used++] = values[n];
	qsort(copy, used, sizeof(double), ascending);
	*kept = used;
	return copy;
}

static double median_of(const double *values, size_t count)
{
	SCOPE(mem);
	size_t kept = 0;
	double *sorted = sorted_copy(mem, values, count, &kept);

	return quantile(sorted, kept, 0.5);
}

/* The split that leaves the smallest squared error, as a part of the variance; *at = the first
 * index behind it. */
static double best_split(const double *values, size_t count, double mean, double variance,
			 size_t *at)
{
	double total = 0;
	double all = 0;
	double best = 0;
	double left = 0;
	double seen = 0;

	for (size_t n = 0; n < count; n++) {
		if (isfinite(values[n])) {
			all++;
			total += values[n] - mean;
		}
	}
	for (size_t n = 0; n < count; n++) {
		if (!isfinite(values[n]))
			continue;
		double right = total - left;
		if (seen >= SIDE_LEAST && all - seen >= SIDE_LEAST) {
			/* what two means explain of the squares around one mean */
			double explained = left * left / seen + right * right / (all - seen);
			if (explained > best) {
				best = explained;
				*at = n;
			}
		}
		left += values[n] - mean;
		seen++;
	}
	return best / variance;
}

static double spread(const double *values, size_t count, double *mean, size_t *kept)
{
	double squares = 0;

	*mean = 0;
	*kept = 0;
	for (size_t n = 0; n < count; n++) {
		if (!isfinite(values[n]))
			continue;
		(*kept)++;
		double d = values[n] - *mean;
		*mean += d / (double)*kept;
		squares += d * (values[n] - *mean);
	}
	return squares;
}

static void take_better(struct trend *t, const double *values, size_t count, double step,
			const struct correlation *line)
{
	double straight = isnan(line->r) ? 0 : line->r * line->r;

	if (step < EXPLAINED_LEAST && straight < EXPLAINED_LEAST)
		return;
	if (straight > step) {
		t->course = COURSE_RAMP;
		t->before = line->intercept;
		t->after = line->intercept + line->slope * (double)(count - 1);
	} else {
		t->course = COURSE_STEP;
		t->before = median_of(values, t->at);
		t->after = median_of(values + t->at, count - t->at);
	}
	double larger = fmax(fabs(t->before), fabs(t->after));
	if (fabs(t->after - t->before) < CHANGE_LEAST * larger)
		t->course = COURSE_HELD;
}

struct trend trend_of(const double *values, size_t count)
{
	SCOPE(mem);
	struct trend t = {
		.before = NAN, .after = NAN, .lowest = NAN, .highest = NAN, .median = NAN};
	double mean = 0;
	size_t kept = 0;
	double squares = spread(values, count, &mean, &kept);

	if (kept == 0)
		return t;
	double *sorted = sorted_copy(mem, values, count, &kept);
	t.lowest = sorted[0];
	t.highest = sorted[kept - 1];
	t.median = quantile(sorted, kept, 0.5);
	if (kept < VALUES_LEAST)
		return t;
	t.course = COURSE_HELD;
	if (!(squares > 0) || !isfinite(squares))
		return t;
	double *index = NEW_ARRAY(mem, double, count);
	for (size_t n = 0; n < count; n++)
		index[n] = (double)n;
	struct correlation line = scatter_correlation(index, values, count);
	double step = best_split(values, count, mean, squares, &t.at);
	take_better(&t, values, count, step, &line);
	return t;
}
