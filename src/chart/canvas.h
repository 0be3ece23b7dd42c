/*
 * The few strokes that charts are made of, over cairo and pango. Lengths are CSS pixels of CHART_WIDTH by
 * CHART_HEIGHT, y grows downwards, colours are 0xRRGGBB. A canvas belongs to one thread; each thread that draws keeps
 * pango's font map for its next drawing, and pango looks for fonts in short-lived threads of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cairo.h>

#include "chart/palette.h"

struct _PangoLayout;

struct canvas {
	cairo_t *cr;
	void *mem; /* scratch, for as long as the drawing takes */
	const struct palette *colours;
	double width, height;
	double device; /* device pixels in one CSS pixel */
	struct _PangoLayout *layout;
};

struct area {
	double left, top, right, bottom;
};

enum align { ALIGN_LEFT, ALIGN_CENTRE, ALIGN_RIGHT };

struct type {
	double size; /* height of the em */
	bool bold;
	uint32_t ink;
	enum align align;
	int lines; /* at most; 0 reads as 1 */
};

/* Font sizes: none below 11 CSS pixels, so that all is legible in a ticket's column. */
extern const double TYPE_TITLE, TYPE_TEXT, TYPE_SMALL;

/* `cr` is borrowed and already scaled; canvas_end gives back what canvas_begin took. */
struct canvas canvas_begin(void *mem, cairo_t *cr, const struct palette *colours, double device);
void canvas_end(struct canvas *c);

/* Draws cleaned text into a box that begins at x, y (its top) and is `width` wide; what does not fit is replaced by
 * "…". The alignment is that inside the box. Returns the height used. */
double canvas_text(struct canvas *c, double x, double y, double width, const char *text, struct type type);

/* How wide the text is in one line. */
double canvas_text_width(struct canvas *c, const char *text, struct type type);

enum dash { DASH_NONE, DASH_LONG, DASH_SHORT, DASH_DOTS, DASH_MIXED, DASH_COUNT };

void canvas_stroke(struct canvas *c, uint32_t ink, double width, enum dash dash); /* the path that was built on cr */
void canvas_line(struct canvas *c, double x1, double y1, double x2, double y2, uint32_t ink, double width,
		 enum dash dash);
void canvas_box(struct canvas *c, struct area a, uint32_t ink, double opacity);

enum { HATCH_NONE, HATCH_RISING, HATCH_FALLING };
void canvas_hatch(struct canvas *c, struct area a, uint32_t ink, int direction);

enum shape { SHAPE_CIRCLE, SHAPE_TRIANGLE };
void canvas_point(struct canvas *c, double x, double y, double radius, uint32_t ink, enum shape shape);
