/*
 * Units: from the base unit of a series (domain/evidence.h) to numbers that people read. Bytes in powers of 1024 (IEC
 * 80000-13), everything else in powers of 1000. Pure.
 */
#pragma once

/* One step of a unit's ladder: shown = value / factor. */
struct unit {
	double factor;
	const char *suffix; /* "MiB", "ms", "cores", "millicores", "/s", "%", "" */
};

/* The step for numbers up to `largest` (its sign is ignored): the largest is then at least 1, where the ladder
 * allows. Knows "bytes", "s", "ms", "cores", "ratio", "1/s"; any other unit is shown as it is, in thousands ("k",
 * "M") when large. */
struct unit unit_for(const char *unit, double largest);

/* value with as many decimals as a grid of `step` (in the base unit) needs, without the suffix; "0" for zero. */
char *unit_tick(void *mem, const struct unit *u, double value, double step);

/* value in the step `u`, three significant figures, without the suffix. `value` is finite. */
char *unit_number(void *mem, const struct unit *u, double value);

/* "1.8 cores", "512 MiB", "120 ms", "93 %": three significant figures, the step chosen for this value alone.
 * "unknown" for what is not finite. */
char *unit_text(void *mem, const char *unit, double value);

/* What an axis is called: "CPU, cores", "Requests, per second", "Restarts". */
char *unit_heading(void *mem, const char *name, const struct unit *u);
