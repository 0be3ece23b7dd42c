#include "chart/chart.h"

#include <math.h>

#ifndef __has_feature
#define __has_feature(x) 0 /* clang's way to tell */
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
/* fontconfig keeps pointers as distances, which the leak sanitizer cannot follow. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libfontconfig\n";
}
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
/* pango looks for fonts in threads of its own, with GLib's locks, which are futexes that the
 * sanitizer cannot see. */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:libfontconfig.so.1\n"
	       "called_from_lib:libglib-2.0.so.0\n"
	       "called_from_lib:libpango-1.0.so.0\n"
	       "called_from_lib:libpangocairo-1.0.so.0\n"
	       "called_from_lib:libpangoft2-1.0.so.0\n"
	       "called_from_lib:libcairo.so.2\n"
	       "called_from_lib:libfreetype.so.6\n"
	       "called_from_lib:libharfbuzz.so.0\n";
}
#endif

static const struct {
	const char *name, *what;
	enum source source;
} KINDS[] = {
#define CHART_KIND_ROW(id, name, source, what) [CHART_##id] = {name, what, SOURCE_##source},
	CHART_KINDS(CHART_KIND_ROW)
#undef CHART_KIND_ROW
};

const char *chart_kind_name(enum chart_kind k)
{
	return KINDS[k].name;
}

const char *chart_kind_what(enum chart_kind k)
{
	return KINDS[k].what;
}

enum source chart_kind_source(enum chart_kind k)
{
	return KINDS[k].source;
}

static bool panel_has_data(const struct panel *p)
{
	for (size_t t = 0; t < p->track_count; t++)
		for (size_t n = 0; p->tracks[t].role == TRACK_DATA && n < p->tracks[t].count; n++)
			if (isfinite(p->tracks[t].y[n]))
				return true;
	return false;
}

bool chart_has_data(const struct chart *c)
{
	if (c->empty != NULL)
		return false;
	if (c->kind == CHART_CLASSES)
		return c->share_count > 0 && c->shares[0].count > 0;
	if (c->kind == CHART_MAP)
		return c->map != NULL && c->map->node_count > 0;
	if (c->kind == CHART_COMPARISON)
		return c->pair_count > 0;
	for (size_t n = 0; n < c->panel_count; n++)
		if (panel_has_data(&c->panels[n]))
			return true;
	return false;
}
