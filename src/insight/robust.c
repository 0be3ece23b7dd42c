#include "insight/robust.h"

#include <math.h>

#include "base/mem.h"

static const double HUGE_VALUE = 1e100;

int is_usable(double v)
{
	return isfinite(v) && fabs(v) <= HUGE_VALUE;
}

static void exchange(double *a, double *b)
{
	double keep = *a;

	*a = *b;
	*b = keep;
}

static double middle_of(double a, double b, double c)
{
	return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

/* Hoare's partition: [low, split] <= pivot <= (split, high]. The pivot is a median of three, so
 * split < high. */
static size_t partition(double *v, size_t low, size_t high)
{
	double pivot = middle_of(v[low], v[low + (high - low) / 2], v[high]);
	size_t i = low;
	size_t j = high;

	for (;;) {
		while (v[i] < pivot)
			i++;
		while (v[j] > pivot)
			j--;
		if (i >= j)
			return j;
		exchange(&v[i++], &v[j--]);
	}
}

/* Puts the k-th smallest at k, smaller ones before it, larger ones behind it. */
static void select_kth(double *v, size_t n, size_t k)
{
	size_t low = 0;
	size_t high = n - 1;

	while (low < high) {
		size_t split = partition(v, low, high);
		if (k <= split)
			high = split;
		else
			low = split + 1;
	}
}

double robust_median(double *values, size_t n)
{
	if (n == 0)
		return NAN;
	select_kth(values, n, n / 2);
	double upper = values[n / 2];
	if (n % 2 == 1)
		return upper;
	double lower = values[0];
	for (size_t i = 1; i < n / 2; i++)
		lower = fmax(lower, values[i]);
	return lower + (upper - lower) / 2;
}

double robust_spread(double *values, size_t n, double centre)
{
	for (size_t i = 0; i < n; i++)
		values[i] = fabs(values[i] - centre);
	return 1.4826 * robust_median(values, n);
}

int64_t series_time(const struct series *s, size_t n)
{
	return s->start_ms + (int64_t)n * s->step_ms;
}

double series_level(void *mem, const struct series *s, int64_t from_ms, int64_t to_ms,
		    size_t *count)
{
	double *found = NEW_ARRAY(mem, double, s->count + 1);
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++) {
		int64_t at = series_time(s, i);
		if (at >= from_ms && at < to_ms && is_usable(s->values[i]))
			found[n++] = s->values[i];
	}
	double level = robust_median(found, n);
	talloc_free(found);
	if (count != NULL)
		*count = n;
	return level;
}

double series_last(const struct series *s, int64_t to_ms)
{
	for (size_t i = s->count; i > 0; i--)
		if (series_time(s, i - 1) <= to_ms && is_usable(s->values[i - 1]))
			return s->values[i - 1];
	return NAN;
}
