#include "insight/correlation.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "insight/robust.h"

struct grid {
	int64_t start_ms, step_ms;
	size_t count;
	double *a, *b; /* NAN = no sample near */
};

static double sample_near(const struct series *s, int64_t at_ms, int64_t within_ms)
{
	int64_t n = (at_ms - s->start_ms + s->step_ms / 2) / s->step_ms;

	if (at_ms < s->start_ms - within_ms || n < 0 || (size_t)n >= s->count)
		return NAN;
	int64_t away = llabs(series_time(s, (size_t)n) - at_ms);
	return away <= within_ms && is_usable(s->values[n]) ? s->values[n] : NAN;
}

static struct grid grid_of(void *mem, const struct series *a, const struct series *b)
{
	struct grid g = {.step_ms = a->step_ms > b->step_ms ? a->step_ms : b->step_ms};
	const struct series *coarse = a->step_ms >= b->step_ms ? a : b;
	int64_t begin = a->start_ms > b->start_ms ? a->start_ms : b->start_ms;
	int64_t end_a = series_time(a, a->count);
	int64_t end_b = series_time(b, b->count);
	int64_t end = end_a < end_b ? end_a : end_b;
	/* the coarse series' own times, so that it is never moved */
	int64_t skip = begin > coarse->start_ms
			       ? (begin - coarse->start_ms + g.step_ms - 1) / g.step_ms
			       : 0;

	g.start_ms = coarse->start_ms + skip * g.step_ms;
	g.count = end > g.start_ms ? (size_t)((end - g.start_ms + g.step_ms - 1) / g.step_ms) : 0;
	g.a = NEW_ARRAY(mem, double, g.count + 1);
	g.b = NEW_ARRAY(mem, double, g.count + 1);
	for (size_t n = 0; n < g.count; n++) {
		int64_t at = g.start_ms + (int64_t)n * g.step_ms;
		g.a[n] = sample_near(a, at, g.step_ms / 2);
		g.b[n] = sample_near(b, at, g.step_ms / 2);
	}
	return g;
}

/* Of the pairs a[i], b[i + shift] that are both there; NAN when fewer than `least` or one does not
 * move. */
static double pearson_shifted(const double *a, const double *b, size_t n, long shift, size_t least)
{
	size_t from = shift < 0 ? (size_t)-shift : 0;
	size_t to = shift > 0 ? n - (size_t)shift : n;
	size_t pairs = 0;
	double mean_a = 0;
	double mean_b = 0;
	double aa = 0;
	double bb = 0;
	double ab = 0;

	for (size_t i = from; i < to;
	     i++) { /* Welford: one pass, and no large numbers taken from each other */
		double x = a[i];
		double y = b[(size_t)((long)i + shift)];
		if (isnan(x) || isnan(y))
			continue;
		double by_x = x - mean_a;
		double by_y = y - mean_b;
		pairs++;
		mean_a += by_x / (double)pairs;
		mean_b += by_y / (double)pairs;
		aa += by_x * (x - mean_a);
		bb += by_y * (y - mean_b);
		ab += by_x * (y - mean_b);
	}
	if (pairs < least || aa <= 0 || bb <= 0)
		return NAN;
	return fmax(-1, fmin(1, ab / (sqrt(aa) * sqrt(bb))));
}

struct ranked {
	double value;
	size_t at;
};

static int by_value(const void *a, const void *b)
{
	const struct ranked *x = a;
	const struct ranked *y = b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* 1, 2, …; values that are the same share the mean of their ranks. */
static double *ranks_of(void *mem, const double *values, size_t n)
{
	struct ranked *sorted = NEW_ARRAY(mem, struct ranked, n + 1);
	double *ranks = NEW_ARRAY(mem, double, n + 1);

	for (size_t i = 0; i < n; i++)
		sorted[i] = (struct ranked){values[i], i};
	qsort(sorted, n, sizeof(*sorted), by_value);
	for (size_t begin = 0, end; begin < n; begin = end) {
		for (end = begin; end < n && sorted[end].value == sorted[begin].value;)
			end++;
		for (size_t i = begin; i < end; i++)
			ranks[sorted[i].at] = (double)(begin + end + 1) / 2;
	}
	return ranks;
}

/* Only what both have, scaled so that squares of it do not overflow. */
static size_t pair_up(void *mem, const struct grid *g, double **a, double **b)
{
	size_t n = 0;
	double most_a = 0;
	double most_b = 0;

	*a = NEW_ARRAY(mem, double, g->count + 1);
	*b = NEW_ARRAY(mem, double, g->count + 1);
	for (size_t i = 0; i < g->count; i++) {
		most_a = fmax(most_a, fabs(g->a[i]));
		most_b = fmax(most_b, fabs(g->b[i]));
	}
	for (size_t i = 0; i < g->count; i++) {
		g->a[i] /= most_a > 0 ? most_a : 1;
		g->b[i] /= most_b > 0 ? most_b : 1;
		if (isnan(g->a[i]) || isnan(g->b[i]))
			continue;
		(*a)[n] = g->a[i];
		(*b)[n++] = g->b[i];
	}
	return n;
}

static double *differences(void *mem, const double *values, size_t n, size_t lag)
{
	double *out = NEW_ARRAY(mem, double, n + 1);

	for (size_t i = 0; i < n; i++)
		out[i] = i < lag ? NAN : values[i] - values[i - lag];
	return out;
}

static void find_lag(void *mem, const struct grid *g, struct correlation *out)
{
	size_t over = g->step_ms >= 60000 ? 1 : (size_t)((60000 + g->step_ms - 1) / g->step_ms);
	double *a = differences(mem, g->a, g->count, over);
	double *b = differences(mem, g->b, g->count, over);
	long most = (long)(CORRELATION_LAG_MAX_MS / g->step_ms);
	double chance = 4 / sqrt((double)out->pairs);

	if (most > (long)g->count / 3)
		most = (long)g->count / 3;
	double best = 0;
	long where = 0;
	for (long shift = -most; shift <= most; shift++) {
		double r = pearson_shifted(a, b, g->count, shift, CORRELATION_PAIRS_LEAST);
		bool nearer = labs(shift) < labs(where) && fabs(r) == fabs(best);
		if (!isnan(r) && (fabs(r) > fabs(best) || nearer)) {
			best = r;
			where = shift;
		}
	}
	out->at_lag = best;
	out->lag_ms = where * g->step_ms;
	out->has_lag = fabs(best) >= fmax(0.3, fmin(chance, 0.9));
}

bool correlate(void *mem, const struct series *first, const struct series *second,
	       struct correlation *out)
{
	void *scratch = mem_check(talloc_new(mem));
	struct grid g = grid_of(scratch, first, second);
	double *a;
	double *b;

	*out = (struct correlation){.pairs = pair_up(scratch, &g, &a, &b)};
	double r = pearson_shifted(a, b, out->pairs, 0, CORRELATION_PAIRS_LEAST);
	if (!isnan(r)) {
		out->pearson = r;
		out->spearman = pearson_shifted(ranks_of(scratch, a, out->pairs),
						ranks_of(scratch, b, out->pairs), out->pairs, 0,
						CORRELATION_PAIRS_LEAST);
		find_lag(scratch, &g, out);
	}
	talloc_free(scratch);
	return !isnan(r);
}
