#include "insight/service_map.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { SERVICES_MAX = 500, EDGES_MAX = 2000 };
static const int64_t TIME_MAX_US = (int64_t)1 << 52; /* sums of 2000 of them do not overflow */

/* A span, its parent's place in the sorted list, and what its children account for. */
struct link {
	const struct trace_span *span;
	const struct link *parent;
	int64_t begin_us, length_us; /* clamped */
	int64_t covered_us, outside_us;
	int64_t covered_until_us; /* of the union so far */
	bool child_failed, wanted;
};

static int64_t clamp_time(int64_t us, int64_t least)
{
	return us < least ? least : us > TIME_MAX_US ? TIME_MAX_US : us;
}

static int by_id(const void *a, const void *b)
{
	const struct trace_span *x = ((const struct link *)a)->span;
	const struct trace_span *y = ((const struct link *)b)->span;
	int order = strcmp(x->trace_id, y->trace_id);

	if (order != 0)
		return order;
	order = strcmp(x->span_id, y->span_id);
	if (order != 0)
		return order;
	return x < y ? -1 : x > y;
}

static const struct link *find_parent(const struct link *links, size_t n,
				      const struct trace_span *of)
{
	size_t low = 0;
	size_t high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(links[middle].span->trace_id, of->trace_id);
		if (order == 0)
			order = strcmp(links[middle].span->span_id, of->parent_id);
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	bool found = low < n && str_eq(links[low].span->trace_id, of->trace_id) &&
		     str_eq(links[low].span->span_id, of->parent_id);
	return found && links[low].span != of ? &links[low] : NULL;
}

/* A trace belongs to the time of its earliest span, so that it is not torn in two. */
static void choose(struct link *links, size_t n, int64_t from_us, int64_t to_us,
		   struct service_map *out)
{
	for (size_t begin = 0, end; begin < n; begin = end) {
		int64_t first = links[begin].span->start_us;
		for (end = begin;
		     end < n && str_eq(links[end].span->trace_id, links[begin].span->trace_id);
		     end++)
			if (links[end].span->start_us < first)
				first = links[end].span->start_us;
		bool wanted = first >= from_us && first < to_us;
		out->traces += wanted;
		for (size_t i = begin; i < end; i++)
			links[i].wanted = wanted;
	}
}

static int by_begin(const void *a, const void *b)
{
	const struct link *x = *(const struct link *const *)a;
	const struct link *y = *(const struct link *const *)b;

	if (x->begin_us != y->begin_us)
		return x->begin_us < y->begin_us ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* In the order of their begin, so that the union grows to the right only. */
static void cover_parent(const struct link *child, struct link *parent)
{
	int64_t begin = child->begin_us;
	int64_t end = begin + child->length_us;

	parent->child_failed = parent->child_failed || child->span->failed;
	if (begin < parent->begin_us || end > parent->begin_us + parent->length_us) {
		parent->outside_us = clamp_time(parent->outside_us + child->length_us, 0);
		return;
	}
	if (begin < parent->covered_until_us)
		begin = parent->covered_until_us;
	if (end > begin) {
		parent->covered_us += end - begin;
		parent->covered_until_us = end;
	}
}

static int64_t self_of(const struct link *l)
{
	int64_t rest = l->length_us - l->covered_us - l->outside_us;

	return rest > 0 ? rest : 0;
}

static int by_service(const void *a, const void *b)
{
	const struct link *x = *(const struct link *const *)a;
	const struct link *y = *(const struct link *const *)b;
	int order = strcmp(x->span->service, y->span->service);

	if (order != 0)
		return order;
	int64_t mine = self_of(x);
	int64_t its = self_of(y);
	if (mine != its)
		return mine < its ? -1 : 1;
	return x < y ? -1 : x > y;
}

static int by_self(const void *a, const void *b)
{
	const struct service_node *x = a;
	const struct service_node *y = b;

	if (x->self_us != y->self_us)
		return x->self_us > y->self_us ? -1 : 1;
	return strcmp(x->service, y->service);
}

/* Of n links of one service, in the order of their self time. */
static struct service_node node_of(struct link *const *links, size_t n)
{
	const struct link *slowest = links[n - 1];
	struct service_node node = {
		.service = slowest->span->service, .calls = n, .slowest = slowest->span};

	node.self_median_us = self_of(links[(n + 1) / 2 - 1]);
	node.self_p95_us = self_of(links[(n * 95 + 99) / 100 - 1]);
	for (size_t i = 0; i < n; i++) {
		bool failed = links[i]->span->failed;
		node.errors += failed;
		node.origins += failed && !links[i]->child_failed;
		node.total_us = clamp_time(node.total_us + links[i]->length_us, 0);
		node.self_us = clamp_time(node.self_us + self_of(links[i]), 0);
	}
	return node;
}

static void make_nodes(void *mem, struct link **chosen, size_t n, struct service_map *out)
{
	qsort(chosen, n, sizeof(*chosen), by_service);
	out->nodes = NEW_ARRAY(mem, struct service_node, SERVICES_MAX);
	for (size_t begin = 0, end; begin < n && out->node_count < SERVICES_MAX; begin = end) {
		for (end = begin;
		     end < n && str_eq(chosen[end]->span->service, chosen[begin]->span->service);)
			end++;
		out->nodes[out->node_count++] = node_of(chosen + begin, end - begin);
	}
	qsort(out->nodes, out->node_count, sizeof(*out->nodes), by_self);
}

static int by_ends(const void *a, const void *b)
{
	const struct service_edge *x = a;
	const struct service_edge *y = b;
	int order = strcmp(x->from, y->from);

	return order != 0 ? order : strcmp(x->to, y->to);
}

static int by_time(const void *a, const void *b)
{
	const struct service_edge *x = a;
	const struct service_edge *y = b;

	if (x->total_us != y->total_us)
		return x->total_us > y->total_us ? -1 : 1;
	return by_ends(a, b);
}

static void make_edges(void *mem, struct link *const *chosen, size_t n, struct service_map *out)
{
	struct service_edge *all = NEW_ARRAY(mem, struct service_edge, n + 1);
	size_t count = 0;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		const struct link *l = chosen[i];
		if (l->parent == NULL || str_eq(l->parent->span->service, l->span->service))
			continue;
		all[count++] = (struct service_edge){l->parent->span->service, l->span->service, 1,
						     l->span->failed, l->length_us};
	}
	qsort(all, count, sizeof(*all), by_ends);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || by_ends(&all[kept - 1], &all[i]) != 0) {
			all[kept++] = all[i];
			continue;
		}
		all[kept - 1].calls++;
		all[kept - 1].errors += all[i].errors;
		all[kept - 1].total_us = clamp_time(all[kept - 1].total_us + all[i].total_us, 0);
	}
	qsort(all, kept, sizeof(*all), by_time);
	out->edges = all;
	out->edge_count = kept < EDGES_MAX ? kept : EDGES_MAX;
}

void service_map_make(void *mem, const struct trace_span *spans, size_t count, int64_t from_us,
		      int64_t to_us, struct service_map *out)
{
	void *scratch = mem_check(talloc_new(mem));
	struct link *links = NEW_ARRAY(scratch, struct link, count + 1);
	struct link **chosen = NEW_ARRAY(scratch, struct link *, count + 1);

	*out = (struct service_map){0};
	for (size_t n = 0; n < count; n++)
		links[n] = (struct link){.span = &spans[n],
					 .begin_us = clamp_time(spans[n].start_us, -TIME_MAX_US),
					 .length_us = clamp_time(spans[n].duration_us, 0)};
	qsort(links, count, sizeof(*links), by_id);
	choose(links, count, from_us, to_us, out);
	for (size_t n = 0; n < count; n++) {
		if (!links[n].wanted)
			continue;
		chosen[out->spans++] = &links[n];
		if (links[n].span->parent_id[0] == '\0')
			continue;
		links[n].parent = find_parent(links, count, links[n].span);
		out->orphans += links[n].parent == NULL;
	}
	qsort(chosen, out->spans, sizeof(struct link *), by_begin);
	for (size_t n = 0; n < out->spans; n++)
		if (chosen[n]->parent != NULL)
			cover_parent(chosen[n], &links[chosen[n]->parent - links]);
	make_edges(mem, chosen, out->spans, out);
	make_nodes(mem, chosen, out->spans, out);
	talloc_free(scratch);
}

const struct service_node *service_map_find(const struct service_map *map, const char *service)
{
	for (size_t n = 0; n < map->node_count; n++)
		if (str_eq(map->nodes[n].service, service))
			return &map->nodes[n];
	return NULL;
}

const struct service_node *service_map_bottleneck(const struct service_map *map)
{
	return map->node_count == 0 ? NULL : &map->nodes[0];
}

double service_map_share(const struct service_map *map, const struct service_node *node)
{
	double all = 0;

	for (size_t n = 0; n < map->node_count; n++)
		all += (double)map->nodes[n].self_us;
	return all > 0 ? (double)node->self_us / all : 0;
}
