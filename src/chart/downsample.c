#include "chart/downsample.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

enum { PER_COLUMN = 5 };

/* What stays of the column that is read; indices, NONE = not seen. */
struct column {
	size_t at;
	size_t first, last, lowest, highest, gap;
};

static const size_t NONE = (size_t)-1;

static size_t column_of(double x, double from, double to, size_t columns)
{
	double at = (x - from) / (to - from) * (double)columns;

	if (!(at > 0))
		return 0;
	return at >= (double)columns ? columns - 1 : (size_t)at;
}

static struct column begin(size_t at)
{
	return (struct column){at, NONE, NONE, NONE, NONE, NONE};
}

static void look(struct column *c, const double *y, size_t n)
{
	if (isnan(y[n])) {
		if (c->gap == NONE)
			c->gap = n;
		return;
	}
	if (c->first == NONE)
		c->first = c->lowest = c->highest = n;
	c->last = n;
	if (y[n] < y[c->lowest])
		c->lowest = n;
	if (y[n] > y[c->highest])
		c->highest = n;
}

/* The indices that stay, in ascending order, each once. */
static void keep(const struct column *c, const double *x, const double *y, struct points *out)
{
	size_t all[PER_COLUMN] = {c->first, c->lowest, c->highest, c->last, c->gap};

	for (size_t n = 1; n < PER_COLUMN; n++)
		for (size_t m = n; m > 0 && all[m - 1] > all[m]; m--) {
			size_t other = all[m];
			all[m] = all[m - 1];
			all[m - 1] = other;
		}
	for (size_t n = 0; n < PER_COLUMN && all[n] != NONE; n++) {
		if (n > 0 && all[n] == all[n - 1])
			continue;
		out->x[out->count] = x[all[n]];
		out->y[out->count++] = y[all[n]];
	}
}

struct points downsample(void *mem, const double *x, const double *y, size_t count, double from,
			 double to, size_t columns)
{
	bool few = count <= PER_COLUMN * columns || columns == 0 || !(to > from);
	size_t room = few ? count : PER_COLUMN * columns;
	struct points out = {NEW_ARRAY(mem, double, room + 1), NEW_ARRAY(mem, double, room + 1), 0};

	if (few) {
		memcpy(out.x, x, count * sizeof(double));
		memcpy(out.y, y, count * sizeof(double));
		out.count = count;
		return out;
	}
	struct column c = begin(0);
	for (size_t n = 0; n < count; n++) {
		size_t at = column_of(x[n], from, to, columns);
		if (at > c.at) {
			keep(&c, x, y, &out);
			c = begin(at);
		}
		look(&c, y, n);
	}
	keep(&c, x, y, &out);
	return out;
}
