/*
 * A chart as a value: what it says, its data and its marks (AI-001.9, .10). Whoever made it owns all of it (one
 * talloc parent); nothing in it is changed by drawing. chart_png, chart_svg and chart/vega.h show the same value.
 *
 * Texts in it may be anything: what is drawn went through words_clean. Numbers may be NAN (a gap); infinite ones
 * count as gaps.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "chart/palette.h"
#include "chart/sankey.h"
#include "domain/evidence.h"

/* The nine of AI-001.9, in its order. K(id, name, source, what): name is a word for files and anchors. */
#define CHART_KINDS(K)									\
	K(LINE, "cpu", METRICS, "CPU over time")					\
	K(SCATTER, "memory-cpu", METRICS, "relation of memory to CPU")			\
	K(BARS, "requests", METRICS, "request rate")					\
	K(PANELS, "resources", METRICS, "course of CPU, memory and requests")		\
	K(LOG_VOLUME, "log-volume", LOGS, "log volume over time")			\
	K(CLASSES, "error-classes", LOGS, "classes of errors")				\
	K(LATENCY, "latency", TRACES, "latency distribution")				\
	K(MAP, "service-map", TRACES, "map of service dependencies")			\
	K(COMPARISON, "comparison", METRICS, "state before and after the remedy")

enum chart_kind {
#define CHART_KIND_ENUM(id, name, source, what) CHART_##id,
	CHART_KINDS(CHART_KIND_ENUM)
#undef CHART_KIND_ENUM
	CHART_KIND_COUNT
};

enum track_role {
	TRACK_DATA,
	TRACK_LIMIT, /* a bound that the data may not cross: dashed, neutral */
	TRACK_FIT,   /* what was computed from the data: dashed */
};

/* One run of values: a line, points, or the heights of bars. */
struct track {
	const char *name;
	enum track_role role;
	size_t count;
	const double *x;     /* ascending except in a scatter; ms since the epoch on an axis of time */
	const double *x_end; /* of bars: where each ends; else NULL */
	const double *y;
};

/* Tracks that share both axes. A chart has one; CHART_PANELS has several, one above the other on the same time. */
struct panel {
	const char *name; /* what is measured: "CPU" */
	const char *unit; /* of y: a word of chart/unit.h */
	struct track *tracks;
	size_t track_count;
};

enum mark_role { MARK_ALERT, MARK_REMEDY, MARK_SURGE, MARK_QUANTILE };

/* A vertical line at x with its label. */
struct mark {
	enum mark_role role;
	double x;
	const char *label;
};

/* One class and how often it came (CHART_CLASSES). */
struct share {
	const char *name;
	double count;
	bool rest; /* all that is not named, together */
};

/* One measure before and after (CHART_COMPARISON). */
struct pair {
	const char *name, *unit;
	double before, after;
	double limit; /* NAN = none */
};

struct chart {
	enum chart_kind kind;
	enum chart_theme theme;
	const char *title;    /* the finding, in one sentence */
	const char *subtitle; /* what is shown, of what, from when to when */
	const char *alt;      /* what a person who cannot see it must know */
	const char *empty;    /* not NULL: there is nothing to draw, and this is why */
	struct window window; /* times are shown in UTC, and the axis says so; start_ms < end_ms */

	const char *x_name, *x_unit; /* where x is no time */
	bool x_logarithmic;
	struct panel *panels;
	size_t panel_count;
	struct mark *marks;
	size_t mark_count;
	struct share *shares; /* CHART_CLASSES: the most frequent first */
	size_t share_count;
	struct sankey *map; /* CHART_MAP */
	struct pair *pairs;      /* CHART_COMPARISON */
	size_t pair_count;
};

enum {
	CHART_WIDTH = 720, /* as a ticket shows it, in CSS pixels; all sizes in the drawing code are of these */
	CHART_HEIGHT = 360,
	CHART_PNG_WIDTH = 1200,
	CHART_PNG_HEIGHT = 600,
	CHART_PNG_BYTES_MAX = 1000 * 1000, /* AI-001.11 */
};

const char *chart_kind_name(enum chart_kind k);
const char *chart_kind_what(enum chart_kind k);
enum source chart_kind_source(enum chart_kind k);

/* True when there is anything to draw. */
bool chart_has_data(const struct chart *c);

/* A PNG of CHART_PNG_WIDTH by CHART_PNG_HEIGHT device pixels. The same bytes for the same chart on every machine with
 * the same packages: the font is DejaVu Sans, hinting and sub-pixel order are fixed, and no other font is asked for
 * what it lacks. E_INTERNAL when cairo cannot, or when more than CHART_PNG_BYTES_MAX came out. Any thread. Under mem.
 * */
NODISCARD enum status chart_png(void *mem, const struct chart *c, unsigned char **out, size_t *n);

/* The same drawing as SVG of CHART_WIDTH by CHART_HEIGHT CSS pixels, NUL-terminated. Text is drawn as outlines
 * (docs/decisions/0014-charts.md); title and alt are its <title> and <desc>. */
NODISCARD enum status chart_svg(void *mem, const struct chart *c, char **out, size_t *n);
