#include "insight/support.h"

#include <math.h>
#include <stdarg.h>

#include "base/mem.h"
#include "base/str.h"

static char *bytes(void *mem, double value)
{
	static const char *const UNITS[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t n = 0;

	while (fabs(value) >= 1024 && n + 1 < sizeof(UNITS) / sizeof(UNITS[0])) {
		value /= 1024;
		n++;
	}
	return str_fmt(mem, "%.3g %s", value, UNITS[n]);
}

char *quantity(void *mem, double value, const char *unit)
{
	if (isnan(value))
		return str_dup(mem, "unknown");
	if (fabs(value) < 1e-9) /* what is left of a sum that is zero */
		value = 0;
	if (str_eq(unit, "bytes"))
		return bytes(mem, value);
	if (str_eq(unit, "ratio"))
		return str_fmt(mem, "%.3g %%", value * 100);
	if (str_eq(unit, "s") && fabs(value) < 1)
		return str_fmt(mem, "%.3g ms", value * 1000);
	if (str_eq(unit, "1/s"))
		return str_fmt(mem, "%.3g/s", value);
	return str_empty(unit) ? str_fmt(mem, "%.4g", value) : str_fmt(mem, "%.3g %s", value, unit);
}

const char *query_of(const struct evidence *e, enum source s)
{
	const char *const *queries = e->asked[s].queries;

	return queries == NULL || queries[0] == NULL ? "" : queries[0];
}

static struct support support_one(void *mem, char *sentence, int64_t at_ms,
				  const struct citation *cited)
{
	struct support s = {sentence, at_ms, NEW_ARRAY(mem, struct citation, 1), 0};

	if (cited->source != SOURCE_COUNT)
		s.citations[s.count++] = *cited;
	return s;
}

struct support support_of_change(void *mem, const struct hit *h)
{
	const struct change *c = h->change;
	const char *role = series_role_name(h->series->role);
	const char *unit = series_role_unit(h->series->role);
	struct citation cited = {.source = SOURCE_METRICS,
				 .query = h->series->query,
				 .series = role,
				 .object = h->series->object,
				 .unit = unit,
				 .before = c->before,
				 .after = c->after,
				 .at_ms = c->at_ms};
	char *sentence =
		str_fmt(mem, "%s of %s %s from %s to %s (%s, %.0f times its noise)%s",
			h->series->role == SERIES_RULE ? "the alert's expression" : role,
			h->series->object, c->up ? "rose" : "fell", quantity(mem, c->before, unit),
			quantity(mem, c->after, unit), change_name(c), c->size,
			c->from_start ? ", under way before the window began" : "");

	return support_one(mem, sentence, c->at_ms, &cited);
}

static void add(struct candidate *c, struct support s)
{
	if (c->support_count < SUPPORTS_MAX)
		c->supports[c->support_count++] = s;
}

void support_change(void *mem, struct candidate *c, const struct hit *h)
{
	if (h->change != NULL)
		add(c, support_of_change(mem, h));
}

void support_say(void *mem, struct candidate *c, int64_t at_ms, struct citation cited,
		 const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	char *sentence = mem_check(talloc_vasprintf(mem, fmt, args));
	va_end(args);
	add(c, support_one(mem, sentence, at_ms, &cited));
}
