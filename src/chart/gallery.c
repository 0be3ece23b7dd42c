#include "chart/gallery_parts.h"

#include <ctype.h>
#include <math.h>

#include "base/mem.h"
#include "base/str.h"
#include "chart/scale.h"
#include "chart/unit.h"
#include "chart/words.h"

enum { MARKS_MAX = 8, OBJECT_POINTS = 80, WHY_POINTS = 300 };

static bool inside(const struct window *w, double ms)
{
	return ms >= (double)w->start_ms && ms <= (double)w->end_ms;
}

void gallery_mark(struct making *m, struct chart *c, enum mark_role role, double x,
		  const char *label)
{
	if (c->marks == NULL)
		c->marks = NEW_ARRAY(m->mem, struct mark, MARKS_MAX);
	if (c->mark_count < MARKS_MAX)
		c->marks[c->mark_count++] = (struct mark){role, x, label};
}

struct chart *gallery_add(struct making *m, enum chart_kind kind, bool with_time)
{
	const struct window *w = &m->e->window;
	double alert = (double)w->alert_ms;
	double remedy = (double)m->wish->remedied_ms;
	struct chart *c = &m->gallery->charts[m->gallery->count++];

	*c = (struct chart){.kind = kind, .theme = m->wish->theme, .window = *w};
	if (with_time && inside(w, alert))
		gallery_mark(
			m, c, MARK_ALERT, alert,
			str_fmt(m->mem, "alert %s", words_time(m->mem, alert, (double)w->end_ms)));
	if (with_time && m->wish->remedied_ms > 0 && inside(w, remedy))
		gallery_mark(m, c, MARK_REMEDY, remedy,
			     str_fmt(m->mem, "remedy %s",
				     words_time(m->mem, remedy, (double)w->end_ms)));
	return c;
}

void gallery_note(struct making *m, enum chart_kind kind, const char *why)
{
	m->gallery->notes[m->gallery->note_count++] =
		(struct gallery_note){kind, words_clean(m->mem, why, WHY_POINTS)};
}

const char *gallery_missing(struct making *m, enum source source)
{
	const struct asked *a = &m->e->asked[source];
	const char *name = source_name(source);

	if (!a->wanted)
		return str_fmt(m->mem, "no %s were asked for: %s", name,
			       str_empty(a->why) ? "no source is configured" : a->why);
	if (a->status != OK)
		return str_fmt(m->mem, "%s unavailable: %s", name,
			       str_empty(a->why) ? status_name(a->status) : a->why);
	return NULL;
}

char *gallery_when(struct making *m, double ms)
{
	double alert = (double)m->e->window.alert_ms;
	char *at = words_time(m->mem, ms, alert);

	if (fabs(ms - alert) < 30e3)
		return str_fmt(m->mem, "%s, as the alert fired", at);
	return str_fmt(m->mem, "%s, %s %s the alert", at, words_length(m->mem, ms - alert),
		       ms < alert ? "before" : "after");
}

/* Both in the unit of the larger, where the smaller is then not all zeros. */
char *gallery_range(void *mem, const char *unit, double from, double to)
{
	double smaller = fmin(fabs(from), fabs(to));
	double larger = fmax(fabs(from), fabs(to));
	struct unit u = unit_for(unit, larger);

	if (*u.suffix == '\0' || (smaller > 0 && smaller < u.factor / 20))
		return str_fmt(mem, "%s to %s", unit_text(mem, unit, from),
			       unit_text(mem, unit, to));
	return str_fmt(mem, "%s to %s%s%s", unit_number(mem, &u, from), unit_number(mem, &u, to),
		       *u.suffix == '/' ? "" : " ", u.suffix);
}

char *gallery_inside(void *mem, const char *name, bool inside)
{
	char *copy = str_dup(mem, name);

	if (inside && islower((unsigned char)name[1]))
		copy[0] = (char)tolower((unsigned char)name[0]);
	return copy;
}

double gallery_bin(const struct window *w, size_t most)
{
	return ticks_time((double)w->start_ms, (double)w->end_ms, (int)most).step;
}

/* "2026-01-15 09:45 to 11:15 UTC", or "Jan 8 11:00 to Jan 15 11:00 UTC". */
static char *span_text(void *mem, const struct window *w)
{
	double start = (double)w->start_ms;
	double end = (double)w->end_ms;
	char *first = words_day(mem, start);

	if (str_eq(first, words_day(mem, end)))
		return str_fmt(mem, "%s %s to %s UTC", first, words_time(mem, start, end),
			       words_time(mem, end, end));
	return str_fmt(mem, "%s to %s UTC", words_time(mem, start, end),
		       words_time(mem, end, start));
}

void gallery_words(struct making *m, struct chart *c, const char *title, const char *shown,
		   const char *alt)
{
	const struct window *w = &m->e->window;
	const char *wished = m->wish->titles[c->kind];
	double end = (double)w->end_ms;
	char *span = span_text(m->mem, w);

	c->title = str_empty(wished) ? title : wished;
	/* an axis of time says this itself */
	bool says_when = c->panel_count > 0 && c->x_name == NULL;
	c->subtitle = str_fmt(
		m->mem, "%s%s%s%s%s", words_clean(m->mem, m->e->object, OBJECT_POINTS),
		str_empty(shown) ? "" : ": ", shown, says_when ? "" : ", ", says_when ? "" : span);
	c->alt = words_clean(m->mem,
			     str_fmt(m->mem, "%s. Shows the %s of %s, %s. %s Alert at %s UTC.",
				     c->title, chart_kind_what(c->kind),
				     words_clean(m->mem, m->e->object, OBJECT_POINTS), span, alt,
				     words_time(m->mem, (double)w->alert_ms, end)),
			     1000);
}

struct gallery *charts_of(void *mem, const struct evidence *e, const struct gallery_wish *wish)
{
	static const struct gallery_wish NOTHING = {0};
	struct gallery *g = NEW(mem, struct gallery);
	struct making m = {g, e, wish == NULL ? &NOTHING : wish, g};

	g->charts = NEW_ARRAY(g, struct chart, CHART_KIND_COUNT);
	g->notes = NEW_ARRAY(g, struct gallery_note, CHART_KIND_COUNT);
	gallery_metrics(&m);
	gallery_logs(&m);
	gallery_traces(&m);
	gallery_comparison(&m);
	return g;
}
