#include "chart/sankey.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static const size_t NONE = (size_t)-1;

/* A span with what the others say about it. */
struct place {
	const struct trace_span *span;
	size_t parent;	/* index of the span that it is part of, or NONE */
	size_t service; /* index of its service */
};

struct work {
	void *mem; /* scratch */
	struct place *places;
	size_t count;
	struct sankey_node *nodes;
	size_t node_count;
};

static int by_id(const void *a, const void *b)
{
	const struct trace_span *one = ((const struct place *)a)->span;
	const struct trace_span *other = ((const struct place *)b)->span;
	int order = strcmp(one->trace_id, other->trace_id);

	return order != 0 ? order : strcmp(one->span_id, other->span_id);
}

static size_t find_parent(const struct work *w, const struct trace_span *span)
{
	struct trace_span wanted = {.trace_id = span->trace_id, .span_id = span->parent_id};
	struct place key = {.span = &wanted};
	const struct place *found = NULL;

	if (str_empty(span->parent_id))
		return NONE;
	found = bsearch(&key, w->places, w->count, sizeof(*w->places), by_id);
	return found == NULL || found->span == span ? NONE : (size_t)(found - w->places);
}

static void find_places(struct work *w, const struct trace_span *spans)
{
	w->places = NEW_ARRAY(w->mem, struct place, w->count + 1);
	for (size_t n = 0; n < w->count; n++)
		w->places[n].span = &spans[n];
	qsort(w->places, w->count, sizeof(*w->places), by_id);
	for (size_t n = 0; n < w->count; n++)
		w->places[n].parent = find_parent(w, w->places[n].span);
}

bool *sankey_entries(void *mem, const struct trace_span *spans, size_t count)
{
	SCOPE(scratch);
	struct work w = {.mem = scratch, .count = count};
	bool *entry = NEW_ARRAY(mem, bool, count + 1);

	find_places(&w, spans);
	for (size_t n = 0; n < count; n++) {
		const struct place *p = &w.places[n];
		entry[p->span - spans] =
			p->parent == NONE ||
			!str_eq(w.places[p->parent].span->service, p->span->service);
	}
	return entry;
}

static int by_service(const void *a, const void *b)
{
	return strcmp((*(const struct trace_span *const *)a)->service,
		      (*(const struct trace_span *const *)b)->service);
}

static int node_by_name(const void *key, const void *node)
{
	return strcmp(key, ((const struct sankey_node *)node)->name);
}

/* One node a service, in the order of their names. */
static void name_services(struct work *w, const struct trace_span *spans)
{
	const struct trace_span **sorted = NEW_ARRAY(w->mem, const struct trace_span *, w->count);

	for (size_t n = 0; n < w->count; n++)
		sorted[n] = &spans[n];
	qsort(sorted, w->count, sizeof(*sorted), by_service);
	w->nodes = NEW_ARRAY(w->mem, struct sankey_node, w->count);
	for (size_t n = 0; n < w->count; n++)
		if (n == 0 || !str_eq(sorted[n]->service, sorted[n - 1]->service))
			w->nodes[w->node_count++].name = sorted[n]->service;
	for (size_t n = 0; n < w->count; n++) {
		const struct sankey_node *node =
			bsearch(w->places[n].span->service, w->nodes, w->node_count,
				sizeof(*w->nodes), node_by_name);
		w->places[n].service = (size_t)(node - w->nodes);
	}
}

/* Children of one span beside each other, in the order of their start. */
static int by_parent(const void *a, const void *b)
{
	const struct place *const *one = a;
	const struct place *const *other = b;

	if ((*one)->parent != (*other)->parent)
		return (*one)->parent < (*other)->parent ? -1 : 1;
	return ((*one)->span->start_us > (*other)->span->start_us) -
	       ((*one)->span->start_us < (*other)->span->start_us);
}

/* How long at least one of the children was at work, inside the parent's time; *used = how many
 * they are. */
static double children_s(const struct work *w, const struct place *const *sorted, size_t left,
			 size_t *used)
{
	const struct trace_span *parent = w->places[sorted[0]->parent].span;
	double until = (double)parent->start_us;
	double end = until + (double)parent->duration_us;
	double sum = 0;
	size_t n = 0;

	for (; n < left && sorted[n]->parent == sorted[0]->parent; n++) {
		double from = fmax(until, (double)sorted[n]->span->start_us);
		double to = fmin(end, (double)sorted[n]->span->start_us +
					      (double)sorted[n]->span->duration_us);
		if (to > from) {
			sum += to - from;
			until = to;
		}
	}
	*used = n;
	return sum / 1e6;
}

static void count_own_time(struct work *w)
{
	const struct place **sorted = NEW_ARRAY(w->mem, const struct place *, w->count);
	size_t used = 0;

	for (size_t n = 0; n < w->count; n++) {
		sorted[n] = &w->places[n];
		w->nodes[w->places[n].service].own_s +=
			fmax(0, (double)w->places[n].span->duration_us) / 1e6;
	}
	qsort(sorted, w->count, sizeof(const struct place *), by_parent);
	for (size_t n = 0; n < w->count && sorted[n]->parent != NONE; n += used)
		w->nodes[w->places[sorted[n]->parent].service].own_s -=
			children_s(w, sorted + n, w->count - n, &used);
}

static int by_total(const void *a, const void *b)
{
	const struct sankey_node *one = *(struct sankey_node *const *)a;
	const struct sankey_node *other = *(struct sankey_node *const *)b;

	if (one->total_s != other->total_s)
		return one->total_s > other->total_s ? -1 : 1;
	return strcmp(one->name, other->name);
}

/* The services with the most time become nodes of the map, the rest one node; rank[n] = node of
 * service n. */
static size_t *rank_services(struct work *w, struct sankey *m)
{
	struct sankey_node **sorted = NEW_ARRAY(w->mem, struct sankey_node *, w->node_count);
	size_t *rank = NEW_ARRAY(w->mem, size_t, w->node_count);
	bool all = w->node_count <= SANKEY_MAX;

	for (size_t n = 0; n < w->node_count; n++)
		sorted[n] = &w->nodes[n];
	qsort(sorted, w->node_count, sizeof(struct sankey_node *), by_total);
	m->services = w->node_count;
	m->node_count = all ? w->node_count : SANKEY_MAX;
	for (size_t n = 0; n < w->node_count; n++) {
		size_t at = n < m->node_count ? n : m->node_count - 1;
		rank[sorted[n] - w->nodes] = at;
		m->nodes[at].name = str_dup(m, sorted[n]->name);
		m->nodes[at].total_s += sorted[n]->total_s;
		m->nodes[at].own_s += fmax(0, sorted[n]->own_s);
		m->nodes[at].calls += sorted[n]->calls;
		m->nodes[at].failed += sorted[n]->failed;
	}
	if (!all)
		m->nodes[m->node_count - 1].name =
			str_fmt(m, "%zu other services", w->node_count - m->node_count + 1);
	return rank;
}

static struct sankey_call *call_between(struct sankey *m, size_t from, size_t to)
{
	for (size_t n = 0; n < m->call_count; n++)
		if (m->calls[n].from == from && m->calls[n].to == to)
			return &m->calls[n];
	m->calls[m->call_count] = (struct sankey_call){.from = from, .to = to};
	return &m->calls[m->call_count++];
}

static void count_calls(struct work *w, struct sankey *m, const size_t *rank)
{
	for (size_t n = 0; n < w->count; n++) {
		const struct place *p = &w->places[n];
		if (p->parent == NONE)
			continue;
		size_t from = rank[w->places[p->parent].service];
		size_t to = rank[p->service];
		if (from == to)
			continue;
		struct sankey_call *call = call_between(m, from, to);
		call->seconds += fmax(0, (double)p->span->duration_us) / 1e6;
		call->calls++;
		call->failed += p->span->failed;
	}
}

static void count_totals(struct work *w)
{
	for (size_t n = 0; n < w->count; n++) {
		const struct place *p = &w->places[n];
		struct sankey_node *node = &w->nodes[p->service];
		if (p->parent != NONE && w->places[p->parent].service == p->service)
			continue; /* inside the service: no one from outside waits for it alone */
		node->total_s += fmax(0, (double)p->span->duration_us) / 1e6;
		node->calls++;
		node->failed += p->span->failed;
	}
}

/* Of all own time: with less, nobody is to blame alone. */
static const double BOTTLENECK_LEAST = 1.0 / 3;

static void mark_bottleneck(struct sankey *m)
{
	double all = 0;
	size_t most = 0;

	for (size_t n = 0; n < m->node_count; n++)
		all += m->nodes[n].own_s;
	for (size_t n = 1; n < m->node_count; n++)
		if (m->nodes[n].own_s > m->nodes[most].own_s)
			most = n;
	if (m->node_count >= 2 && m->nodes[most].own_s > all * BOTTLENECK_LEAST)
		m->nodes[most].bottleneck = true;
}

enum { UNSEEN, OPEN, DONE };

/* Depth first: a call to a service that is still being followed closes a circle. */
static void find_circles(struct sankey *m, size_t node, int *state)
{
	state[node] = OPEN;
	for (size_t n = 0; n < m->call_count; n++) {
		struct sankey_call *call = &m->calls[n];
		if (call->from != node)
			continue;
		if (state[call->to] == OPEN)
			call->back = true;
		else if (state[call->to] == UNSEEN)
			find_circles(m, call->to,
				     state); // NOLINT(misc-no-recursion): SANKEY_MAX deep
	}
	state[node] = DONE;
}

static void set_columns(struct sankey *m)
{
	int state[SANKEY_MAX] = {0};

	/* nodes are in the order of their total time: entries come first */
	for (size_t n = 0; n < m->node_count; n++)
		if (state[n] == UNSEEN)
			find_circles(m, n, state);
	for (size_t round = 0; round < m->node_count; round++)
		for (size_t n = 0; n < m->call_count; n++) {
			const struct sankey_call *call = &m->calls[n];
			if (!call->back && m->nodes[call->to].column <= m->nodes[call->from].column)
				m->nodes[call->to].column = m->nodes[call->from].column + 1;
		}
	for (size_t n = 0; n < m->node_count; n++)
		if (m->nodes[n].column + 1 > m->columns)
			m->columns = m->nodes[n].column + 1;
}

/* What a node must be as high as: the time that comes in, or that goes out where calls overlap. */
static double node_seconds(const struct sankey *m, size_t node)
{
	double in = 0;
	double out = 0;

	for (size_t n = 0; n < m->call_count; n++) {
		if (m->calls[n].back)
			continue;
		in += m->calls[n].to == node ? m->calls[n].seconds : 0;
		out += m->calls[n].from == node ? m->calls[n].seconds : 0;
	}
	return fmax(m->nodes[node].total_s, fmax(in, out));
}

static const double GAP = 0.10; /* between two nodes of a column: room for a label */
static const double LEAST = 0.012;

static void set_heights(struct sankey *m)
{
	double per_second = INFINITY;

	for (size_t column = 0; column < m->columns; column++) {
		double seconds = 0;
		size_t members = 0;
		for (size_t n = 0; n < m->node_count; n++) {
			if (m->nodes[n].column != column)
				continue;
			seconds += node_seconds(m, n);
			members++;
		}
		double room = fmax(0.1, 1 - GAP * (double)members);
		if (seconds > 0)
			per_second = fmin(per_second, room / seconds);
	}
	if (!isfinite(per_second))
		per_second = 0;
	for (size_t n = 0; n < m->node_count; n++)
		m->nodes[n].height = fmax(LEAST, node_seconds(m, n) * per_second);
	for (size_t n = 0; n < m->call_count; n++)
		m->calls[n].height = fmax(LEAST / 2, m->calls[n].seconds * per_second);
}

/* Of the bands that leave a node, those to near columns are above those that go on, so that these
 * pass below the nodes between. */
static bool leaves_above(const struct sankey *m, const struct sankey_call *a,
			 const struct sankey_call *b)
{
	size_t one = m->nodes[a->to].column;
	size_t other = m->nodes[b->to].column;

	return one != other ? one < other : a->to < b->to;
}

static void leave(struct sankey *m, size_t node)
{
	for (size_t n = 0; n < m->call_count; n++) {
		struct sankey_call *call = &m->calls[n];
		if (call->from != node || call->back)
			continue;
		call->from_top = m->nodes[node].top;
		for (size_t o = 0; o < m->call_count; o++) {
			const struct sankey_call *other = &m->calls[o];
			if (other->from == node && !other->back && leaves_above(m, other, call))
				call->from_top += other->height;
		}
	}
}

/* Where a node would lie if its bands were straight. */
static double wish_of(const struct sankey *m, size_t node)
{
	double sum = 0;
	double weight = 0;

	for (size_t n = 0; n < m->call_count; n++) {
		const struct sankey_call *call = &m->calls[n];
		if (call->to != node || call->back)
			continue;
		sum += call->from_top * call->height;
		weight += call->height;
	}
	return weight > 0 ? sum / weight : 0;
}

static size_t sorted_column(const struct sankey *m, size_t column, size_t *members)
{
	size_t count = 0;

	for (size_t n = 0; n < m->node_count; n++) {
		if (m->nodes[n].column != column)
			continue;
		size_t at = count++;
		for (; at > 0 && wish_of(m, members[at - 1]) > wish_of(m, n); at--)
			members[at] = members[at - 1];
		members[at] = n;
	}
	return count;
}

/* From left to right: each node as near to its wish as those above it allow, and all of them
 * inside. */
static void set_tops(struct sankey *m)
{
	for (size_t column = 0; column < m->columns; column++) {
		size_t members[SANKEY_MAX];
		size_t count = sorted_column(m, column, members);
		double least = 0;
		double floor_y = 1;
		for (size_t n = 0; n < count; n++) {
			struct sankey_node *node = &m->nodes[members[n]];
			node->top = fmax(least, wish_of(m, members[n]));
			least = node->top + node->height + GAP;
		}
		for (size_t n = count; n > 0; n--) {
			struct sankey_node *node = &m->nodes[members[n - 1]];
			node->top = fmax(0, fmin(node->top, floor_y - node->height));
			floor_y = node->top - GAP;
		}
		for (size_t n = 0; n < count; n++)
			leave(m, members[n]);
	}
}

/* Bands arrive in the order of where they come from. */
static void set_arrivals(struct sankey *m)
{
	for (size_t n = 0; n < m->call_count; n++) {
		struct sankey_call *call = &m->calls[n];
		call->to_top = m->nodes[call->to].top;
		for (size_t o = 0; o < m->call_count; o++) {
			const struct sankey_call *other = &m->calls[o];
			if (other->to == call->to && !other->back &&
			    (other->from_top < call->from_top ||
			     (other->from_top == call->from_top && o < n)))
				call->to_top += other->height;
		}
	}
}

struct sankey *sankey_of(void *mem, const struct trace_span *spans, size_t count)
{
	SCOPE(scratch);
	struct sankey *m = NEW(mem, struct sankey);
	struct work w = {.mem = scratch, .count = count};

	m->nodes = NEW_ARRAY(m, struct sankey_node, SANKEY_MAX);
	m->calls = NEW_ARRAY(m, struct sankey_call, SANKEY_MAX * SANKEY_MAX);
	if (count == 0)
		return m;
	find_places(&w, spans);
	name_services(&w, spans);
	count_own_time(&w);
	count_totals(&w);
	count_calls(&w, m, rank_services(&w, m));
	mark_bottleneck(m);
	set_columns(m);
	set_heights(m);
	set_tops(m);
	set_arrivals(m);
	return m;
}

const struct sankey_node *sankey_bottleneck(const struct sankey *m)
{
	for (size_t n = 0; n < m->node_count; n++)
		if (m->nodes[n].bottleneck)
			return &m->nodes[n];
	return NULL;
}

double sankey_bend(double t)
{
	return t * t * (3 - 2 * t);
}
