/* How long an insight takes on a week of 20 series with 5,000 log lines and 2,000 spans; TAP with
 * the number as a comment. */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "insight/finding.h"

enum {
	SERIES = 20,
	POINTS = 10080,
	LINES = 5000,
	SPANS = 2000,
	RUNS = 5,
	STEP_MS = 60000,
	CHANGE = 9900
};

static double noise(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (double)(*seed >> 11) / 9007199254740992.0 - 0.5;
}

static void fill_series(void *mem, struct evidence *e, uint64_t *seed)
{
	e->series = NEW_ARRAY(mem, struct series, SERIES);
	e->series_count = SERIES;
	for (int k = 0; k < SERIES; k++) {
		double *v = NEW_ARRAY(mem, double, POINTS);
		double level = 0;
		for (int n = 0; n < POINTS; n++) {
			level = 0.8 * level + noise(seed);
			v[n] = 100 + 30 * sin(2 * M_PI * n / 1440) + 5 * level +
			       (n >= CHANGE && k % 3 == 0 ? 90 : 0);
			if (n % 97 == 0)
				v[n] = NAN;
		}
		e->series[k] = (struct series){.role = (enum series_role)(k % SERIES_ROLE_COUNT),
					       .object = k < SERIES_ROLE_COUNT ? "cart-0" : "other",
					       .query = "q",
					       .step_ms = STEP_MS,
					       .count = POINTS,
					       .values = v};
	}
}

static void fill_rest(void *mem, struct evidence *e, uint64_t *seed)
{
	static const char *const SERVICES[] = {"web", "cart", "stock", "rates"};

	e->lines = NEW_ARRAY(mem, struct log_line, LINES);
	e->spans = NEW_ARRAY(mem, struct trace_span, SPANS);
	e->line_count = LINES;
	e->span_count = SPANS;
	for (int n = 0; n < LINES; n++)
		e->lines[n] = (struct log_line){
			(int64_t)n * POINTS * STEP_MS / LINES, n % 7 ? "info" : "error",
			str_fmt(mem,
				n % 7 ? "request %d of user %08x took %d ms on /v1/items/%d"
				      : "java.net.SocketTimeoutException: %d %08x %d at %d",
				n, (unsigned)n * 2654435U, n % 900, n)};
	for (int n = 0; n < SPANS; n++)
		e->spans[n] =
			(struct trace_span){str_fmt(mem, "%032x", n / 4),
					    str_fmt(mem, "%016x", n),
					    n % 4 == 0 ? "" : str_fmt(mem, "%016x", n - 1),
					    SERVICES[n % 4],
					    "GET",
					    (int64_t)(n / 4) * POINTS * STEP_MS / SPANS * 4000,
					    (int64_t)(100000 + 50000 * noise(seed)),
					    n % 13 == 0};
}

int main(void)
{
	SCOPE(mem);
	uint64_t seed = 42;
	int64_t best = INT64_MAX;
	struct evidence e = {
		.window = {0, (int64_t)POINTS * STEP_MS, (int64_t)(CHANGE + 60) * STEP_MS},
		.object = "pod shop/cart-0",
		.service = "cart"};

	fill_series(mem, &e, &seed);
	fill_rest(mem, &e, &seed);
	for (int n = 0; n < RUNS; n++) {
		SCOPE(run);
		int64_t began = clock_monotonic();
		struct insight *i = insight_make(run, &e);
		insight_encode(run, i);
		insight_markdown(run, i);
		int64_t took = clock_monotonic() - began;
		best = took < best ? took : best;
		if (i->finding_count == 0) {
			printf("not ok 1 - an insight of a week\n1..1\n");
			return 1;
		}
	}
	printf("# %d series of %d points, %d log lines, %d spans: %lld ms, the best of %d\n",
	       SERIES, POINTS, LINES, SPANS, (long long)best, RUNS);
	printf("ok 1 - an insight of a week (%lld ms)\n1..1\n", (long long)best);
	return 0;
}
