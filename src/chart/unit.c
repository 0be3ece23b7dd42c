#include "chart/unit.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/str.h"

enum { STEPS_MAX = 6 };

/* Rising; the first is taken for what is smaller than all. */
static const struct ladder {
	const char *name;
	struct unit steps[STEPS_MAX];
} LADDERS[] = {
	{"bytes",
	 {{1, "B"},
	  {1024.0, "KiB"},
	  {1048576.0, "MiB"},
	  {1073741824.0, "GiB"},
	  {1099511627776.0, "TiB"}}},
	{"s", {{1e-6, "µs"}, {1e-3, "ms"}, {1, "s"}, {60, "min"}, {3600, "h"}, {86400, "d"}}},
	{"ms", {{1e-3, "µs"}, {1, "ms"}, {1e3, "s"}, {6e4, "min"}, {3.6e6, "h"}, {8.64e7, "d"}}},
	{"cores", {{1e-3, "millicores"}, {1, "cores"}}},
	{"ratio", {{1e-2, "%"}}},
	{"1/s", {{1, "/s"}, {1e3, "k/s"}, {1e6, "M/s"}}},
	{"", {{1, ""}, {1e3, "k"}, {1e6, "M"}, {1e9, "G"}}},
};

static const struct ladder *ladder_of(const char *unit)
{
	size_t last = sizeof(LADDERS) / sizeof(LADDERS[0]) - 1;

	for (size_t n = 0; n < last; n++)
		if (str_eq(LADDERS[n].name, unit))
			return &LADDERS[n];
	return &LADDERS[last];
}

struct unit unit_for(const char *unit, double largest)
{
	const struct ladder *ladder = ladder_of(unit);
	double size = isnan(largest) ? 0 : fabs(largest);
	size_t at = 0;

	while (at + 1 < STEPS_MAX && ladder->steps[at + 1].suffix != NULL &&
	       size >= ladder->steps[at + 1].factor)
		at++;
	/* nothing at all is not measured in micro anything */
	if (size == 0)
		while (at + 1 < STEPS_MAX && ladder->steps[at].factor < 1 &&
		       ladder->steps[at + 1].suffix != NULL)
			at++;
	return ladder->steps[at];
}

static int decimals_for(double step)
{
	if (!(step > 0))
		return 0;
	int decimals = (int)ceil(-log10(step) - 1e-9);
	return decimals < 0 ? 0 : decimals > 9 ? 9 : decimals;
}

char *unit_tick(void *mem, const struct unit *u, double value, double step)
{
	double shown = value / u->factor;
	double shown_step = step / u->factor;

	if (fabs(shown) < shown_step * 1e-6)
		return str_dup(mem, "0");
	/* 0.25 needs two decimals where log10 says one */
	int decimals = decimals_for(shown_step);
	double scaled = shown_step * pow(10, decimals);
	if (fabs(scaled - round(scaled)) > 1e-6)
		decimals++;
	return str_fmt(mem, "%.*f", decimals, shown);
}

/* "1.80" reads "1.8", "2.00" reads "2". */
static void drop_zeros(char *number)
{
	if (strchr(number, '.') == NULL)
		return;
	size_t n = strlen(number);
	while (number[n - 1] == '0')
		number[--n] = '\0';
	if (number[n - 1] == '.')
		number[n - 1] = '\0';
}

char *unit_number(void *mem, const struct unit *u, double value)
{
	double shown = fmax(-1e300, fmin(value / u->factor, 1e300));
	int before = fabs(shown) < 1 ? 1 : (int)floor(log10(fabs(shown))) + 1;
	char number[512]; /* 1e308 has 309 digits */

	str_print(number, sizeof(number), "%.*f", before >= 3 ? 0 : 3 - before, shown);
	drop_zeros(number);
	return str_dup(mem, number);
}

char *unit_text(void *mem, const char *unit, double value)
{
	if (!isfinite(value))
		return str_dup(mem, "unknown");
	/* what would be rounded up to 1024 MiB is 1 GiB */
	struct unit u = unit_for(unit, value * 1.0005);
	bool joined = *u.suffix == '\0' || *u.suffix == '/';
	return str_fmt(mem, "%s%s%s", unit_number(mem, &u, value), joined ? "" : " ", u.suffix);
}

char *unit_heading(void *mem, const char *name, const struct unit *u)
{
	if (*u->suffix == '\0')
		return str_dup(mem, name);
	if (*u->suffix == '/')
		return str_fmt(mem, "%s, per second", name);
	if (str_ends(u->suffix, "/s"))
		return str_fmt(mem, "%s, %.1s per second", name, u->suffix);
	return str_fmt(mem, "%s, %s", name, u->suffix);
}
