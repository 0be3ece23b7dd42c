#include "chart/scale.h"

#include <math.h>

static const double FAR = 1e5;

double scale_at(const struct scale *s, double value)
{
	double low = s->logarithmic ? log10(s->low) : s->low;
	double high = s->logarithmic ? log10(s->high) : s->high;
	double at = s->logarithmic ? log10(value) : value;

	if (high <= low)
		return (s->from + s->to) / 2;
	double place = s->from + (at - low) / (high - low) * (s->to - s->from);
	/* far outside is far enough: cairo walks a dashed line to its end, and its numbers are
	 * small */
	return isnan(place) ? place : fmax(-FAR, fmin(FAR, place));
}

/* The one of 1, 2, 5 times a power of ten that is nearest on a logarithmic scale. */
static double nice_step(double rough)
{
	double power = pow(10, floor(log10(rough)));
	double part = rough / power;

	return power * (part < sqrt(2) ? 1 : part < sqrt(10) ? 2 : part < sqrt(50) ? 5 : 10);
}

static double step_for(double low, double high, int wanted, double factor)
{
	int parts = wanted < 2 ? 1 : wanted > 12 ? 11 : wanted - 1;

	return nice_step((high - low) / factor / parts) * factor;
}

/* Multiples of step: counted, not added up, so that no error grows. */
static void fill(struct ticks *t, double low, double high, double step)
{
	double first = ceil(low / step - 1e-9);

	t->step = step;
	while (t->count < TICKS_MAX) {
		double n = first + (double)t->count;
		if (n * step > high + step * 1e-9)
			break;
		t->at[t->count++] = n == 0 ? 0 : n * step;
	}
}

struct ticks ticks_nice(double low, double high, int wanted, double factor)
{
	struct ticks t = {0};

	if (!(high > low) || !isfinite(high - low)) {
		t.at[t.count++] = isfinite(low) ? low : 0;
		t.step = 1;
		return t;
	}
	fill(&t, low, high, step_for(low, high, wanted, factor));
	return t;
}

struct ticks ticks_logarithmic(double low, double high, int wanted, double factor)
{
	static const double NICE[] = {1, 2, 5};
	struct ticks t = {.step = low};
	int first = (int)floor(log10(low / factor));
	int last = (int)ceil(log10(high / factor));
	size_t each = (last - first) * 3 <= wanted + 3 ? 3 : 1;

	for (int power = first; power <= last; power++) {
		for (size_t n = 0; n < each && t.count < TICKS_MAX; n++) {
			double value = NICE[n] * pow(10, power) * factor;
			if (value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9))
				t.at[t.count++] = value;
		}
	}
	return t;
}

static const double SECOND = 1000;
static const double MINUTE = 60 * 1000;
static const double HOUR = 3600 * 1000;
static const double DAY = 24 * 3600 * 1000;

/* A day is a whole multiple of every step below it, and the epoch began at midnight: multiples are
 * whole times of UTC. */
struct ticks ticks_time(double from_ms, double to_ms, int wanted)
{
	const double steps[] = {1 * SECOND,  2 * SECOND,  5 * SECOND, 10 * SECOND, 15 * SECOND,
				30 * SECOND, 1 * MINUTE,  2 * MINUTE, 5 * MINUTE,  10 * MINUTE,
				15 * MINUTE, 30 * MINUTE, 1 * HOUR,   2 * HOUR,	   3 * HOUR,
				6 * HOUR,    12 * HOUR,	  1 * DAY,    2 * DAY,	   7 * DAY,
				14 * DAY,    28 * DAY,	  112 * DAY,  364 * DAY};
	size_t last = sizeof(steps) / sizeof(steps[0]) - 1;
	size_t n = 0;
	struct ticks t = {0};

	while (n < last && floor((to_ms - from_ms) / steps[n]) + 1 > wanted)
		n++;
	fill(&t, from_ms, to_ms, steps[n]);
	return t;
}
