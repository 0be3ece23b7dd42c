/* Inside of the gallery: what its files share. */
#pragma once

#include "chart/gallery.h"
#include "chart/statistics.h"

struct making {
	void *mem; /* the gallery */
	const struct evidence *e;
	const struct gallery_wish *wish;
	struct gallery *gallery;
};

/* A new chart of the kind at the end of the gallery; with_time adds the marks of alert and remedy. */
struct chart *gallery_add(struct making *m, enum chart_kind kind, bool with_time);

void gallery_note(struct making *m, enum chart_kind kind, const char *why);

/* Why the source gave nothing at all, or NULL when it answered. */
const char *gallery_missing(struct making *m, enum source source);

/* The texts; the title gives way to the wish's. `shown` and `alt` go into subtitle and alt behind what all charts
 * say. */
void gallery_words(struct making *m, struct chart *c, const char *title, const char *shown, const char *alt);

/* "10:41, 5 min before the alert" */
char *gallery_when(struct making *m, double ms);

/* "0.41 to 1.8 cores" */
char *gallery_range(void *mem, const char *unit, double from, double to);

/* A measure's name; inside a sentence "Memory" is "memory", "CPU" stays. */
char *gallery_inside(void *mem, const char *name, bool inside);

void gallery_mark(struct making *m, struct chart *c, enum mark_role role, double x, const char *label);

/* Whole, nice parts of the window, `most` at most; ms. */
double gallery_bin(const struct window *w, size_t most);

void gallery_metrics(struct making *m);
void gallery_logs(struct making *m);
void gallery_traces(struct making *m);
void gallery_comparison(struct making *m);
