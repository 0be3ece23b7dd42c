#include "chart/chart.h"

#include <math.h>

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
