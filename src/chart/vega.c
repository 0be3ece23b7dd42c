#include "chart/vega.h"

#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "chart/downsample.h"
#include "chart/unit.h"
#include "chart/words.h"

enum { COLUMNS = 400, TEXT_POINTS = 240, ALT_POINTS = 1000, WIDTH = 560, HEIGHT = 240 };

/* One specification in the making. */
struct sheet {
	void *mem; /* scratch */
	const struct chart *chart;
	const struct palette *colours;
};

static json_t *number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *words(struct sheet *s, const char *text)
{
	return json_string(words_clean(s->mem, text, TEXT_POINTS));
}

static json_t *colour(struct sheet *s, uint32_t rgb)
{
	return json_string(str_fmt(s->mem, "#%06x", (unsigned)rgb));
}

static json_t *rows(json_t *values)
{
	return json_pack("{s:o}", "values", values);
}

/* The axis of time says that it is UTC; Vega would show the reader's own zone. */
static json_t *time_channel(struct sheet *s)
{
	const struct window *w = &s->chart->window;
	bool days = (double)w->end_ms - (double)w->start_ms > 36 * 3600e3;

	return json_pack("{s:s, s:s, s:{s:s}, s:s, s:{s:s}}", "field", "t", "type", "temporal",
			 "scale", "type", "utc", "title", "time (UTC)", "axis", "format",
			 days ? "%b %d" : "%H:%M");
}

static struct unit unit_of(const struct panel *p)
{
	double largest = 0;

	for (size_t t = 0; t < p->track_count; t++)
		for (size_t n = 0; n < p->tracks[t].count; n++)
			if (isfinite(p->tracks[t].y[n]))
				largest = fmax(largest, fabs(p->tracks[t].y[n]));
	return unit_for(p->unit, largest);
}

static uint32_t mark_ink(const struct palette *p, enum mark_role role)
{
	switch (role) {
	case MARK_ALERT: return p->alarm;
	case MARK_REMEDY: return p->series[1];
	case MARK_SURGE: return p->series[2];
	case MARK_QUANTILE: break;
	}
	return p->text;
}

/* A rule and a text for each mark. `channel` is the x channel without its field's name. */
static void add_marks(struct sheet *s, json_t *layers, json_t *(*channel)(struct sheet *s),
		      double factor)
{
	static const char *const DASHES[] = {[MARK_ALERT] = "",
					     [MARK_REMEDY] = "7,3",
					     [MARK_SURGE] = "4,3",
					     [MARK_QUANTILE] = "4,3"};

	for (size_t n = 0; n < s->chart->mark_count; n++) {
		const struct mark *m = &s->chart->marks[n];
		json_t *dash = *DASHES[m->role] == '\0' ? json_pack("[i, i]", 1, 0)
							: json_pack("[i, i]", 5, 3);
		json_t *ink = colour(s, mark_ink(s->colours, m->role));
		json_array_append_new(
			layers, json_pack("{s:o, s:{s:s, s:O, s:f, s:o}, s:{s:o}}", "data",
					  rows(json_pack("[{s:o}]", "t", number(m->x / factor))),
					  "mark", "type", "rule", "color", ink, "strokeWidth", 1.5,
					  "strokeDash", dash, "encoding", "x", channel(s)));
		json_array_append_new(
			layers,
			json_pack("{s:o, s:{s:s, s:o, s:s, s:s, s:i}, s:{s:o, s:{s:i}, s:{s:s}}}",
				  "data",
				  rows(json_pack("[{s:o, s:o}]", "t", number(m->x / factor),
						 "label", words(s, m->label))),
				  "mark", "type", "text", "color", ink, "align", "center",
				  "baseline", "bottom", "dy", -2 - 12 * (int)n, "encoding", "x",
				  channel(s), "y", "value", 0, "text", "field", "label"));
	}
}

static void add_line_rows(struct sheet *s, json_t *values, const struct track *t, double factor)
{
	struct points p =
		downsample(s->mem, t->x, t->y, t->count, (double)s->chart->window.start_ms,
			   (double)s->chart->window.end_ms, COLUMNS);

	for (size_t n = 0; n < p.count; n++)
		json_array_append_new(values, json_pack("{s:o, s:o, s:o}", "t", number(p.x[n]), "v",
							number(p.y[n] / factor), "name",
							words(s, t->name)));
}

/* Colours and dashes of the tracks, in their order: never a colour alone. */
static void name_lines(struct sheet *s, const struct panel *p, json_t *colour_scale,
		       json_t *dash_scale)
{
	static const int DASHES[][2] = {{1, 0}, {7, 3}, {2, 2}, {9, 4}, {4, 3}, {6, 1}};
	json_t *names = json_array();
	json_t *inks = json_array();
	json_t *dashes = json_array();
	size_t nth = 0;

	for (size_t t = 0; t < p->track_count; t++) {
		bool data = p->tracks[t].role == TRACK_DATA && nth < PALETTE_SERIES;
		json_array_append_new(names, words(s, p->tracks[t].name));
		json_array_append_new(
			inks, colour(s, data ? s->colours->series[nth] : s->colours->neutral));
		json_array_append_new(dashes,
				      data ? json_pack("[i, i]", DASHES[nth][0], DASHES[nth][1])
					   : json_pack("[i, i]", 4, 3));
		nth += p->tracks[t].role == TRACK_DATA;
	}
	json_object_set(colour_scale, "domain", names);
	json_object_set_new(dash_scale, "domain", names);
	json_object_set_new(colour_scale, "range", inks);
	json_object_set_new(dash_scale, "range", dashes);
}

static json_t *lines(struct sheet *s, const struct panel *p)
{
	struct unit u = unit_of(p);
	json_t *layers = json_array();
	json_t *values = json_array();
	json_t *colours = json_object();
	json_t *dashes = json_object();

	for (size_t t = 0; t < p->track_count; t++)
		add_line_rows(s, values, &p->tracks[t], u.factor);
	name_lines(s, p, colours, dashes);
	json_array_append_new(
		layers,
		json_pack("{s:o, s:{s:s}, s:{s:o, s:{s:s, s:s, s:s}, s:{s:s, s:s, "
			  "s:o, s:n}, s:{s:s, s:s, s:o, s:n}}}",
			  "data", rows(values), "mark", "type", "line", "encoding", "x",
			  time_channel(s), "y", "field", "v", "type", "quantitative", "title",
			  unit_heading(s->mem, words_clean(s->mem, p->name, TEXT_POINTS), &u),
			  "color", "field", "name", "type", "nominal", "scale", colours, "title",
			  "strokeDash", "field", "name", "type", "nominal", "scale", dashes,
			  "title"));
	add_marks(s, layers, time_channel, 1);
	return layers;
}

/* Bars with both ends of both sides: stacking is done here, so that it is the same everywhere. */
static void add_bar_rows(struct sheet *s, json_t *values, const struct panel *p, double factor_x,
			 double factor_y)
{
	for (size_t n = 0; p->track_count > 0 && n < p->tracks[0].count; n++) {
		double sum = 0;
		for (size_t t = 0; t < p->track_count; t++) {
			const struct track *track = &p->tracks[t];
			if (!isfinite(track->y[n]) || track->name == NULL)
				continue;
			json_array_append_new(values,
					      json_pack("{s:o, s:o, s:o, s:o, s:o}", "t",
							number(track->x[n] / factor_x), "t2",
							number(track->x_end[n] / factor_x), "low",
							number(sum / factor_y), "high",
							number((sum + track->y[n]) / factor_y),
							"name", words(s, track->name)));
			sum += track->y[n];
		}
	}
}

static json_t *bar_colours(struct sheet *s, const struct panel *p)
{
	const uint32_t levels[] = {s->colours->alarm, s->colours->warning, s->colours->series[0],
				   s->colours->neutral, s->colours->grid};
	json_t *names = json_array();
	json_t *inks = json_array();

	for (size_t t = 0; t < p->track_count; t++) {
		if (p->tracks[t].name == NULL)
			continue;
		json_array_append_new(names, words(s, p->tracks[t].name));
		json_array_append_new(inks, colour(s, p->track_count == 1 ? s->colours->series[0]
									  : levels[t < 5 ? t : 4]));
	}
	return json_pack("{s:o, s:o}", "domain", names, "range", inks);
}

static json_t *bars(struct sheet *s, const struct panel *p, json_t *x, double factor_x)
{
	struct unit u = unit_of(p);
	json_t *values = json_array();
	json_t *encoding = json_pack(
		"{s:o, s:{s:s}, s:{s:s, s:s, s:s}, s:{s:s}, s:{s:s, s:s, s:o, s:n}}", "x", x, "x2",
		"field", "t2", "y", "field", "low", "type", "quantitative", "title",
		unit_heading(s->mem, words_clean(s->mem, p->name, TEXT_POINTS), &u), "y2", "field",
		"high", "color", "field", "name", "type", "nominal", "scale", bar_colours(s, p),
		"title");

	if (p->track_count == 1) /* one thing needs no legend */
		json_object_set_new(json_object_get(encoding, "color"), "legend", json_null());
	add_bar_rows(s, values, p, factor_x, u.factor);
	return json_pack("[{s:o, s:{s:s, s:o}, s:o}]", "data", rows(values), "mark", "type", "bar",
			 "stroke", colour(s, s->colours->background), "encoding", encoding);
}

static void over_time(struct sheet *s, json_t *spec)
{
	json_t *layers = NULL;

	if (s->chart->kind == CHART_LINE) {
		layers = lines(s, &s->chart->panels[0]);
	} else {
		layers = bars(s, &s->chart->panels[0], time_channel(s), 1);
		add_marks(s, layers, time_channel, 1);
	}
	json_object_set_new(spec, "layer", layers);
}

static void panels(struct sheet *s, json_t *spec)
{
	json_t *all = json_array();

	for (size_t n = 0; n < s->chart->panel_count; n++)
		json_array_append_new(
			all, json_pack("{s:i, s:i, s:o, s:{s:{s:s, s:s}}}", "width", WIDTH,
				       "height", HEIGHT / (int)s->chart->panel_count, "layer",
				       lines(s, &s->chart->panels[n]), "resolve", "scale", "color",
				       "independent", "strokeDash", "independent"));
	json_object_set_new(spec, "vconcat", all);
	json_object_set_new(spec, "resolve",
			    json_pack("{s:{s:s, s:s, s:s}}", "scale", "x", "shared", "color",
				      "independent", "strokeDash", "independent"));
	json_object_del(spec, "width");
	json_object_del(spec, "height");
}

/* Circle before, triangle since, as in the drawing. */
static void name_clouds(struct sheet *s, const struct panel *p, json_t *colours, json_t *shapes)
{
	static const char *const SHAPES[] = {"circle", "triangle-up", "cross"};
	json_t *names = json_array();
	json_t *inks = json_array();
	json_t *forms = json_array();
	size_t nth = 0;

	for (size_t t = 0; t < p->track_count; t++) {
		bool fit = p->tracks[t].role == TRACK_FIT;
		json_array_append_new(names, words(s, p->tracks[t].name));
		json_array_append_new(inks, colour(s, fit	 ? s->colours->text
						      : nth == 0 ? s->colours->series[0]
								 : s->colours->alarm));
		json_array_append_new(forms, json_string(SHAPES[fit ? 2 : nth]));
		nth += !fit && nth == 0;
	}
	json_object_set(colours, "domain", names);
	json_object_set_new(shapes, "domain", names);
	json_object_set_new(colours, "range", inks);
	json_object_set_new(shapes, "range", forms);
}

static json_t *cloud_rows(struct sheet *s, const struct track *track, double factor_x,
			  double factor_y)
{
	json_t *values = json_array();

	for (size_t n = 0; n < track->count; n++)
		if (isfinite(track->x[n]) && isfinite(track->y[n]))
			json_array_append_new(values, json_pack("{s:o, s:o, s:o}", "x",
								number(track->x[n] / factor_x), "v",
								number(track->y[n] / factor_y),
								"name", words(s, track->name)));
	return rows(values);
}

static double widest_of(const struct panel *p)
{
	double widest = 0;

	for (size_t t = 0; t < p->track_count; t++)
		for (size_t n = 0; n < p->tracks[t].count; n++)
			widest = isfinite(p->tracks[t].x[n]) ? fmax(widest, p->tracks[t].x[n])
							     : widest;
	return widest;
}

static void scatter(struct sheet *s, json_t *spec)
{
	const struct panel *p = &s->chart->panels[0];
	struct unit u = unit_of(p);
	struct unit ux = unit_for(s->chart->x_unit, widest_of(p));
	json_t *layers = json_array();
	json_t *colours = mem_own(s->mem, json_object());
	json_t *shapes = mem_own(s->mem, json_object());

	name_clouds(s, p, colours, shapes);
	for (size_t t = 0; t < p->track_count; t++) {
		const struct track *track = &p->tracks[t];
		bool fit = track->role == TRACK_FIT;
		json_t *encoding = json_pack(
			"{s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:O, s:n}}", "x",
			"field", "x", "type", "quantitative", "title",
			unit_heading(s->mem, words_clean(s->mem, s->chart->x_name, TEXT_POINTS),
				     &ux),
			"y", "field", "v", "type", "quantitative", "title",
			unit_heading(s->mem, words_clean(s->mem, p->name, TEXT_POINTS), &u),
			"color", "field", "name", "type", "nominal", "scale", colours, "title");
		if (!fit)
			json_object_set_new(encoding, "shape",
					    json_pack("{s:s, s:s, s:O, s:n}", "field", "name",
						      "type", "nominal", "scale", shapes, "title"));
		json_array_append_new(layers, json_pack("{s:o, s:{s:s}, s:o}", "data",
							cloud_rows(s, track, ux.factor, u.factor),
							"mark", "type", fit ? "line" : "point",
							"encoding", encoding));
	}
	json_object_set_new(spec, "layer", layers);
}

/* The axis of durations: s->chart's, in the unit of its middle as in the drawing. */
static struct unit duration_unit(const struct chart *c)
{
	const struct track *t = &c->panels[0].tracks[0];
	double high = t->x_end[t->count - 1];

	return unit_for(c->x_unit, c->x_logarithmic ? sqrt(t->x[0] * high) : high);
}

static json_t *duration_channel(struct sheet *s)
{
	struct unit u = duration_unit(s->chart);
	char *title = str_fmt(
		s->mem, "%s%s",
		unit_heading(s->mem, words_clean(s->mem, s->chart->x_name, TEXT_POINTS), &u),
		s->chart->x_logarithmic ? " (logarithmic)" : "");

	return json_pack("{s:s, s:s, s:s, s:{s:s, s:b}}", "field", "t", "type", "quantitative",
			 "title", title, "scale", "type",
			 s->chart->x_logarithmic ? "log" : "linear", "nice", false);
}

static void latency(struct sheet *s, json_t *spec)
{
	struct unit u = duration_unit(s->chart);
	json_t *layers = bars(s, &s->chart->panels[0], duration_channel(s), u.factor);

	add_marks(s, layers, duration_channel, u.factor);
	json_object_set_new(spec, "layer", layers);
}

static void classes(struct sheet *s, json_t *spec)
{
	json_t *values = json_array();
	double total = 0;

	for (size_t n = 0; n < s->chart->share_count; n++)
		total += s->chart->shares[n].count;
	for (size_t n = 0; n < s->chart->share_count; n++) {
		const struct share *one = &s->chart->shares[n];
		json_array_append_new(values,
				      json_pack("{s:o, s:o, s:s}", "name", words(s, one->name),
						"count", number(one->count), "figures",
						str_fmt(s->mem, "%.0f (%.0f %%)", one->count,
							100 * one->count / total)));
	}
	json_object_set_new(spec, "data", rows(values));
	json_object_set_new(spec, "encoding",
			    json_pack("{s:{s:s, s:s, s:n, s:n}, s:{s:s, s:s, s:s}}", "y", "field",
				      "name", "type", "nominal", "sort", "title", "x", "field",
				      "count", "type", "quantitative", "title", "errors"));
	json_object_set_new(
		spec, "layer",
		json_pack("[{s:{s:s, s:o}}, {s:{s:s, s:s, s:i, s:o}, s:{s:{s:s}}}]", "mark", "type",
			  "bar", "color", colour(s, s->colours->series[0]), "mark", "type", "text",
			  "align", "left", "dx", 4, "color", colour(s, s->colours->text),
			  "encoding", "text", "field", "figures"));
}

/* Places are numbers without an axis; y grows downwards as in the drawing. */
static json_t *place(const char *field, double end, bool reversed)
{
	return json_pack("{s:s, s:s, s:n, s:{s:[i, f], s:b, s:b}}", "field", field, "type",
			 "quantitative", "axis", "scale", "domain", 0, end, "nice", false,
			 "reverse", reversed);
}

static void add_band(struct sheet *s, json_t *values, const struct sankey_call *call, size_t id)
{
	const struct sankey *m = s->chart->map;
	double left = (double)m->nodes[call->from].column + 0.06;
	double right = (double)m->nodes[call->to].column;

	for (int step = 0; step <= BAND_STEPS; step++) {
		double t = step / (double)BAND_STEPS;
		double y = call->from_top + (call->to_top - call->from_top) * sankey_bend(t);
		json_array_append_new(values,
				      json_pack("{s:I, s:f, s:f, s:f, s:o}", "id", (json_int_t)id,
						"x", left + (right - left) * t, "low", y, "high",
						y + call->height, "ink",
						colour(s, m->nodes[call->to].bottleneck
								  ? s->colours->alarm
								  : s->colours->series[0])));
	}
}

static json_t *node_rows(struct sheet *s)
{
	const struct sankey *m = s->chart->map;
	json_t *values = json_array();

	for (size_t n = 0; n < m->node_count; n++) {
		const struct sankey_node *node = &m->nodes[n];
		double x = (double)node->column;
		json_t *lines = json_array(); /* one below the other */
		json_array_append_new(lines, words(s, node->name));
		json_array_append_new(lines,
				      words(s, str_fmt(s->mem, "%s own of %s",
						       unit_text(s->mem, "s", node->own_s),
						       unit_text(s->mem, "s", node->total_s))));
		if (node->bottleneck)
			json_array_append_new(lines, json_string("bottleneck"));
		json_array_append_new(values,
				      json_pack("{s:f, s:f, s:f, s:f, s:f, s:o, s:o}", "x", x, "x2",
						x + 0.06, "low", node->top, "high",
						node->top + node->height, "middle",
						node->top + node->height / 2, "ink",
						colour(s, node->bottleneck ? s->colours->alarm
									   : s->colours->series[0]),
						"label", lines));
	}
	return values;
}

static void map(struct sheet *s, json_t *spec)
{
	const struct sankey *m = s->chart->map;
	double end = (double)m->columns;
	json_t *bands = json_array();
	json_t *nodes = node_rows(s);
	json_t *ink = json_pack("{s:s, s:s, s:n}", "field", "ink", "type", "nominal", "scale");
	json_t *layers = json_array();

	for (size_t n = 0; n < m->call_count; n++)
		if (!m->calls[n].back)
			add_band(s, bands, &m->calls[n], n);
	json_array_append_new(
		layers,
		json_pack("{s:o, s:{s:s, s:f}, s:{s:o, s:o, s:{s:s}, s:{s:s, s:s}, s:O}}", "data",
			  rows(bands), "mark", "type", "area", "opacity", 0.3, "encoding", "x",
			  place("x", end, false), "y", place("low", 1, true), "y2", "field", "high",
			  "detail", "field", "id", "type", "nominal", "color", ink));
	json_array_append_new(
		layers, json_pack("{s:{s:O}, s:{s:s}, s:{s:o, s:{s:s}, s:o, s:{s:s}, s:o}}", "data",
				  "values", nodes, "mark", "type", "rect", "encoding", "x",
				  place("x", end, false), "x2", "field", "x2", "y",
				  place("low", 1, true), "y2", "field", "high", "color", ink));
	json_array_append_new(layers,
			      json_pack("{s:{s:o}, s:{s:s, s:s, s:i, s:o}, s:{s:o, s:o, s:{s:s}}}",
					"data", "values", nodes, "mark", "type", "text", "align",
					"left", "dx", 4, "color", colour(s, s->colours->text),
					"encoding", "x", place("x2", end, false), "y",
					place("middle", 1, true), "text", "field", "label"));
	json_object_set_new(spec, "layer", layers);
}

static void comparison(struct sheet *s, json_t *spec)
{
	json_t *all = json_array();

	for (size_t n = 0; n < s->chart->pair_count; n++) {
		const struct pair *p = &s->chart->pairs[n];
		struct unit u = unit_for(p->unit, fmax(fabs(p->before), fabs(p->after)));
		json_t *values = json_pack("[{s:s, s:o}, {s:s, s:o}]", "when", "before", "v",
					   number(p->before / u.factor), "when", "after", "v",
					   number(p->after / u.factor));
		json_array_append_new(
			all,
			json_pack(
				"{s:i, s:o, s:s, s:{s:{s:s, s:s, s:n, s:n}, "
				"s:{s:s, s:s, s:s}, s:{s:s, s:s, s:n, s:{s:[s, s], s:[o, o]}}}}",
				"width", WIDTH, "data", rows(values), "mark", "bar", "encoding",
				"y", "field", "when", "type", "nominal", "sort", "title", "x",
				"field", "v", "type", "quantitative", "title",
				unit_heading(s->mem, words_clean(s->mem, p->name, TEXT_POINTS), &u),
				"color", "field", "when", "type", "nominal", "legend", "scale",
				"domain", "before", "after", "range",
				colour(s, s->colours->neutral), colour(s, s->colours->series[0])));
	}
	json_object_set_new(spec, "vconcat", all);
	json_object_del(spec, "width");
	json_object_del(spec, "height");
}

static void nothing(struct sheet *s, json_t *spec)
{
	const char *why = s->chart->empty == NULL ? "no values in this window" : s->chart->empty;

	json_object_set_new(spec, "data",
			    json_pack("{s:[{s:o}]}", "values", "why",
				      words(s, str_fmt(s->mem, "No data: %s", why))));
	json_object_set_new(spec, "mark",
			    json_pack("{s:s, s:o}", "type", "text", "color",
				      colour(s, s->colours->quiet_text)));
	json_object_set_new(spec, "encoding", json_pack("{s:{s:s}}", "text", "field", "why"));
}

static json_t *meta(struct sheet *s)
{
	const struct window *w = &s->chart->window;

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "kind", chart_kind_name(s->chart->kind),
			 "source", source_name(chart_kind_source(s->chart->kind)), "start",
			 clock_format(s->mem, w->start_ms), "end", clock_format(s->mem, w->end_ms),
			 "alert", clock_format(s->mem, w->alert_ms), "time_zone", "UTC");
}

static json_t *config(struct sheet *s)
{
	json_t *axis = json_pack("{s:o, s:o, s:o}", "labelColor", colour(s, s->colours->quiet_text),
				 "titleColor", colour(s, s->colours->quiet_text), "gridColor",
				 colour(s, s->colours->grid));

	return json_pack("{s:o, s:{s:o, s:o}, s:{s:o, s:o, s:s}}", "axis", axis, "legend",
			 "labelColor", colour(s, s->colours->text), "titleColor",
			 colour(s, s->colours->text), "title", "color", colour(s, s->colours->text),
			 "subtitleColor", colour(s, s->colours->quiet_text), "anchor", "start");
}

json_t *chart_vega(void *mem, const struct chart *c)
{
	static void (*const MAKE[])(struct sheet * s, json_t * spec) = {
		[CHART_LINE] = over_time,	[CHART_SCATTER] = scatter,
		[CHART_BARS] = over_time,	[CHART_PANELS] = panels,
		[CHART_LOG_VOLUME] = over_time, [CHART_CLASSES] = classes,
		[CHART_LATENCY] = latency,	[CHART_MAP] = map,
		[CHART_COMPARISON] = comparison};
	SCOPE(scratch);
	struct sheet s = {scratch, c, palette_of(c->theme)};
	json_t *spec = json_pack("{s:s, s:s, s:{s:o, s:o}, s:o, s:i, s:i, s:o, s:o}", "$schema",
				 "https://vega.github.io/schema/vega-lite/v5.json", "description",
				 words_clean(scratch, c->alt, ALT_POINTS), "title", "text",
				 words(&s, c->title), "subtitle", words(&s, c->subtitle),
				 "background", colour(&s, s.colours->background), "width", WIDTH,
				 "height", HEIGHT, "usermeta", meta(&s), "config", config(&s));

	if (chart_has_data(c))
		MAKE[c->kind](&s, spec);
	else
		nothing(&s, spec);
	return mem_own(mem, spec);
}
