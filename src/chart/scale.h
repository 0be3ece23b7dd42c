/*
 * Scales: from values to places, and the numbers written along an axis. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Values from `low` to `high` lie between the places `from` and `to` (from > to for an axis that grows upwards). */
struct scale {
	double low, high;
	double from, to;
	bool logarithmic; /* then low > 0 */
};

/* Where `value` lies; outside of the scale's values it lies outside of its places. */
double scale_at(const struct scale *s, double value);

enum { TICKS_MAX = 24 };

/* Where numbers are written: at[0] < at[1] < …; step is their distance (the smallest one on a logarithmic scale). */
struct ticks {
	double at[TICKS_MAX];
	size_t count;
	double step;
};

/* About `wanted` (2 to 12; half as many again at most) multiples of 1, 2 or 5 times a power of ten, in units of
 * `factor`, all inside low to high (Heckbert, Nice Numbers for Graph Labels, Graphics Gems, 1990). low == high gives
 * one tick. */
struct ticks ticks_nice(double low, double high, int wanted, double factor);

/* 1, 2 and 5 times each power of ten inside low to high, or the powers alone where those are more than `wanted`. */
struct ticks ticks_logarithmic(double low, double high, int wanted, double factor);

/* Whole seconds, minutes, hours or days of UTC inside from to to (ms since the epoch), `wanted` at most; step in ms. */
struct ticks ticks_time(double from_ms, double to_ms, int wanted);
