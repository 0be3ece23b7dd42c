#include "insight/latency.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

int64_t latency_bound(size_t n)
{
	static const int64_t STEPS[] = {1, 2, 5};
	int64_t bound = 100 * STEPS[n % 3];

	for (size_t decade = n / 3; decade > 0; decade--)
		bound *= 10;
	return bound;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

int64_t percentile_sorted(const int64_t *sorted, size_t n, double p)
{
	if (n == 0)
		return 0;
	double rank = ceil(p / 100 * (double)n);
	size_t at = rank < 1 ? 0 : (size_t)rank - 1;
	return sorted[at < n ? at : n - 1];
}

static size_t bucket_of(int64_t us)
{
	size_t n = 0;

	while (n < LATENCY_BOUNDS && us > latency_bound(n))
		n++;
	return n;
}

void latency_measure(void *mem, const struct trace_span *spans, size_t count, const char *service,
		     int64_t from_us, int64_t to_us, struct latency *out)
{
	int64_t *found = NEW_ARRAY(mem, int64_t, count + 1);

	*out = (struct latency){0};
	for (size_t n = 0; n < count; n++) {
		const struct trace_span *s = &spans[n];
		bool mine = service == NULL ? s->parent_id[0] == '\0' : str_eq(s->service, service);
		if (!mine || s->start_us < from_us || s->start_us >= to_us)
			continue;
		int64_t us = s->duration_us > 0 ? s->duration_us : 0;
		found[out->count++] = us;
		out->buckets[bucket_of(us)]++;
	}
	qsort(found, out->count, sizeof(*found), by_size);
	out->p50_us = percentile_sorted(found, out->count, 50);
	out->p95_us = percentile_sorted(found, out->count, 95);
	out->p99_us = percentile_sorted(found, out->count, 99);
	out->longest_us = out->count == 0 ? 0 : found[out->count - 1];
	talloc_free(found);
}
