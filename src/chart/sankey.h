/*
 * Which service calls which, and where the time goes: made of the spans of some traces, and laid out as a Sankey
 * diagram. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "domain/evidence.h"

enum { SANKEY_MAX = 10 }; /* services that are named; the rest are one */

/* Places are fractions of the drawing's height, 0 = top. */
struct sankey_node {
	const char *name;
	double total_s; /* time that callers waited for it */
	double own_s;   /* of that, time in which it waited for nobody else */
	size_t calls, failed;
	bool bottleneck; /* the most own time, and more than a third of all; of two services at least */
	size_t column;
	double top, height;
};

/* All calls of one service to another: a band between two nodes, equally thick at both ends. */
struct sankey_call {
	size_t from, to; /* indices of nodes */
	double seconds;
	size_t calls, failed;
	bool back; /* closes a circle: counted, not drawn */
	double from_top, to_top, height;
};

struct sankey {
	struct sankey_node *nodes;
	size_t node_count;
	struct sankey_call *calls;
	size_t call_count;
	size_t columns;
	size_t services; /* before the rest became one */
};

/* Under mem. No spans give a map without nodes. Own time of a span is its duration less the union of its children's;
 * time is summed over traces. */
struct sankey *sankey_of(void *mem, const struct trace_span *spans, size_t count);

/* For each span: true where somebody outside its service waited for it (no parent among the spans, or one of another
 * service). `count` flags, under mem. */
bool *sankey_entries(void *mem, const struct trace_span *spans, size_t count);

/* The bottleneck, or NULL. */
const struct sankey_node *sankey_bottleneck(const struct sankey *m);

enum { BAND_STEPS = 24 };

/* How far a band has come down (0 = height of its start, 1 = of its end) at `t` of its way, 0 to 1: the curve of all
 * bands. */
double sankey_bend(double t);
