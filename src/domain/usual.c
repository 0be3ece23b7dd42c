#include "domain/usual.h"

#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return x < y ? -1 : x > y;
}

bool usual_median(const struct usual *u, double *out)
{
	double sorted[USUAL_MAX];
	size_t n = u->count < USUAL_MAX ? u->count : USUAL_MAX;

	if (n < USUAL_LEAST)
		return false;
	memcpy(sorted, u->values, n * sizeof(sorted[0]));
	qsort(sorted, n, sizeof(sorted[0]), by_value);
	*out = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
	return true;
}

bool usual_is_far(const struct usual *u, double value, double low, double high)
{
	double median;

	return usual_median(u, &median) && (value < low * median || value > high * median);
}

void usual_add(struct usual *u, double value)
{
	u->values[u->count++ % USUAL_MAX] = value;
}
