/*
 * What charts have in common: title, axes, marks and the names beside the data. One drawing at a time, on one canvas.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "chart/canvas.h"
#include "chart/chart.h"
#include "chart/scale.h"
#include "chart/unit.h"

/* Background, title and subtitle; returns what is left for the data. */
struct area frame_begin(struct canvas *c, const struct chart *chart);

/* In place of data: that there is none, and why. */
void frame_empty(struct canvas *c, struct area body, const char *why);

/* Numbers along one side. */
struct axis {
	struct scale scale; /* low and high are set; from and to by frame_place */
	struct ticks ticks;
	struct unit unit;
};

/* An axis for values from low to high of `unit`: begins at zero unless something is below. */
struct axis axis_of(const char *unit, double low, double high, int wanted);

/* The widest of its numbers. */
double axis_width(struct canvas *c, const struct axis *a);

/* Grid lines and numbers left of the plot; its scale must be placed. */
void frame_values(struct canvas *c, struct area plot, const struct axis *y);

/* Numbers below the plot, with the axis's name. */
void frame_values_below(struct canvas *c, struct area plot, const struct axis *x, const char *name);

/* Times below the plot, and that they are UTC. Needs FRAME_NOTE to the right of the plot. */
void frame_times(struct canvas *c, struct area plot, const struct scale *x);

enum { FRAME_BELOW = 20, FRAME_NOTE = 100, FRAME_ROW = 16 };

/* "CPU, cores" above a plot. */
void frame_heading(struct canvas *c, struct area plot, const char *name, const struct unit *unit);

/* How many rows above the plot the marks' labels need. */
size_t frame_mark_rows(struct canvas *c, const struct chart *chart, const struct scale *x);

/* The marks' lines over the plot's height, labels in rows above `labels_bottom`. What comes after the alert is
 * tinted. */
void frame_marks(struct canvas *c, const struct chart *chart, struct area plot, const struct scale *x,
		 double labels_bottom);

/* A name beside the data, at the height of what it names. */
struct label {
	double y;
	const char *text;
	uint32_t ink;
	enum { SWATCH_LINE, SWATCH_BOX, SWATCH_CIRCLE, SWATCH_TRIANGLE, SWATCH_NONE } swatch;
	enum dash dash;
	int hatch;
	bool thin;
};

double frame_labels_width(struct canvas *c, const struct label *labels, size_t count);

/* Right of the plot, moved apart until none covers another. Reorders `labels`. */
void frame_labels(struct canvas *c, struct area plot, struct label *labels, size_t count);
