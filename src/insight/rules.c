/*
 * What the weights mean: a rule that finds all that its cause must show begins at 0.5 to 0.65; each
 * thing that the cause usually brings adds 0.05 to 0.25; what another cause would bring as well
 * takes away. Below 0.45 a candidate is no answer.
 */
#include "insight/rules.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "insight/correlation.h"
#include "insight/robust.h"
#include "insight/support.h"

static const int64_t MINUTE_MS = 60000;
static const double RETRIES_MOST =
	1.5; /* what clients that try again add to the traffic at most, as a share of it */
enum {
	EARLY_MINUTES = 4, /* a cause may be seen so much before its effect */
	LEAK_MINUTES = 6,  /* the least that a ramp of memory must last */
	EXAMPLE_POINTS = 200,
	CALLS_LEAST = 5, /* spans of a service, before a median means something */
};

static struct hit lasting(const struct scene *s, enum series_role role, double share, bool anybodys)
{
	struct hit h = facts_find(s->f, &(struct wanted){.role = role,
							 .from_ms = s->start_ms,
							 .to_ms = s->alert_ms + MINUTE_MS,
							 .up = true,
							 .least_share = share,
							 .anybodys = anybodys});

	return facts_lasts(s->f, &h) ? h : (struct hit){NULL, NULL};
}

/* An image that was not there at first; a gap of all samples does not make an old one new. */
static bool appears(const struct scene *s, const struct series *v, int64_t *at_ms)
{
	size_t n = 0;

	while (n < v->count && !(is_usable(v->values[n]) && v->values[n] > 0))
		n++;
	if (n == v->count)
		return false;
	*at_ms = series_time(v, n);
	if (*at_ms > s->start_ms + 3 * v->step_ms && n >= 3)
		return true;
	for (double first = v->values[n]; n < v->count; n++) { /* a generation that is counted on */
		if (is_usable(v->values[n]) && v->values[n] > first && first >= 2) {
			*at_ms = series_time(v, n);
			return true;
		}
	}
	return false;
}

static void find_deployment(struct scene *s)
{
	int64_t nearest = INT64_MAX;

	for (size_t n = 0; n < s->f->series_count; n++) {
		const struct series *v = s->f->series[n].series;
		int64_t at;
		if (v->role != SERIES_VERSION || !appears(s, v, &at))
			continue;
		int64_t away = llabs(s->began_ms - at);
		if (s->memory.change != NULL && llabs(s->memory.change->at_ms - at) < away)
			away = llabs(s->memory.change->at_ms - at);
		if (away < nearest) {
			nearest = away;
			s->deployed = v->object;
			s->deployed_series = v;
			s->deployed_ms = at;
		}
	}
}

/* Clients ask again after a failure, so failures alone raise the traffic, by no more than what
 * failed. */
static bool only_retries(const struct scene *s)
{
	if (s->requests.change == NULL || s->errors.change == NULL)
		return false;
	double more = s->requests.change->after - s->requests.change->before;
	double failed = s->errors.change->after - s->errors.change->before;
	return change_share(s->requests.change) <= RETRIES_MOST && failed >= 0.8 * more &&
	       s->errors.change->at_ms <= s->requests.change->at_ms + 2 * MINUTE_MS;
}

static bool is_leak_like(const struct scene *s, const struct change *c)
{
	return c->kind == CHANGE_RAMP && c->up && c->at_ms < s->alert_ms &&
	       c->until_ms - c->at_ms >= LEAK_MINUTES * MINUTE_MS;
}

static double slope_of(const struct change *c)
{
	return (c->after - c->before) / (double)(c->until_ms - c->at_ms);
}

/* After a kill it climbs again, and a collector interrupts it: the first ramp that is as steep
 * tells when it began. */
static struct hit first_as_steep(const struct scene *s, const struct series_facts *one,
				 struct hit largest)
{
	for (size_t n = 0; n < one->count; n++) {
		const struct change *c = &one->changes[n];
		bool as_large = c->after - c->before >=
				0.25 * (largest.change->after - largest.change->before);
		if (is_leak_like(s, c) && as_large && slope_of(c) >= 0.4 * slope_of(largest.change))
			return (struct hit){one->series, c};
	}
	return largest;
}

static struct hit find_memory_ramp(const struct scene *s)
{
	struct hit best = {NULL, NULL};

	for (size_t i = 0; i < s->f->series_count; i++) {
		const struct series_facts *one = &s->f->series[i];
		struct hit largest = {NULL, NULL};
		if (one->series->role != SERIES_MEMORY || !facts_is_own(s->f, one->series->object))
			continue;
		for (size_t n = 0; n < one->count; n++) {
			const struct change *c = &one->changes[n];
			if (is_leak_like(s, c) &&
			    (largest.change == NULL ||
			     c->after - c->before > largest.change->after - largest.change->before))
				largest = (struct hit){one->series, c};
		}
		if (largest.change != NULL &&
		    (best.change == NULL || largest.change->size > best.change->size))
			best = first_as_steep(s, one, largest);
	}
	return best;
}

void scene_look(void *mem, const struct facts *f, struct scene *out)
{
	const struct window *w = &f->window;

	*out = (struct scene){.mem = mem,
			      .f = f,
			      .start_ms = w->start_ms,
			      .began_ms = f->began_ms,
			      .alert_ms = w->alert_ms,
			      .list = NEW_ARRAY(mem, struct candidate, CAUSE_COUNT)};
	out->requests = lasting(out, SERIES_REQUESTS, 0.35, false);
	out->errors = lasting(out, SERIES_ERRORS, 0.5, false);
	out->latency = lasting(out, SERIES_LATENCY, 0.4, false);
	out->cpu = lasting(out, SERIES_CPU, 0.25, false);
	out->disk = lasting(out, SERIES_DISK, 0.03, true);
	out->memory = find_memory_ramp(out);
	out->retried = only_retries(out);
	find_deployment(out);
}

static struct candidate *offer(struct scene *s, enum cause cause, const char *object, int64_t at_ms,
			       double weight)
{
	struct candidate *c = &s->list[s->count++];

	*c = (struct candidate){.cause = cause,
				.object = object,
				.at_ms = at_ms,
				.weight = fmin(fmax(weight, 0), 1)};
	return c;
}

static double between(double v, double low, double high)
{
	return fmin(fmax((v - low) / (high - low), 0), 1);
}

static bool is_near(int64_t at_ms, int64_t effect_ms, int64_t early_minutes, int64_t late_minutes)
{
	return at_ms >= effect_ms - early_minutes * MINUTE_MS &&
	       at_ms <= effect_ms + late_minutes * MINUTE_MS;
}

static const struct failure_class *failures_of(const struct scene *s, enum failure_kind kind)
{
	for (size_t n = 0; n < s->f->logs.class_count; n++)
		if (s->f->logs.classes[n].kind == kind && s->f->logs.classes[n].after > 0)
			return &s->f->logs.classes[n];
	return NULL;
}

static void support_failures(struct scene *s, struct candidate *c, const struct failure_class *k)
{
	struct citation cited = {.source = SOURCE_LOGS,
				 .query = query_of(s->f->evidence, SOURCE_LOGS),
				 .series = "log lines",
				 .at_ms = 0};

	if (k == NULL)
		return;
	cited.object = k->name;
	cited.before = (double)k->before;
	cited.after = (double)k->after;
	cited.at_ms = k->first_ms;
	support_say(s->mem, c, k->first_ms, cited,
		    "%s in the logs: %zu since then, %zu before; for example: %s", k->name,
		    k->after, k->before, str_cut(s->mem, k->example, EXAMPLE_POINTS));
}

static double last_share(const struct scene *s, const struct series *used,
			 enum series_role limit_role, const char *object)
{
	double most = NAN;

	for (size_t n = 0; n < s->f->series_count; n++) {
		const struct series *l = s->f->series[n].series;
		if (l->role == limit_role && str_eq(l->object, object))
			most = series_last(l, s->alert_ms);
	}
	return most > 0 ? series_last(used, s->alert_ms) / most : NAN; /* 0 is no limit */
}

/* Is the alert about this series? Then its expression moves as the series does. */
static bool alert_follows(const struct scene *s, const struct series *of, double least)
{
	const struct series *rule = facts_series(s->f, SERIES_RULE);
	struct correlation with = {0};

	return rule != NULL && correlate(s->mem, rule, of, &with) && with.pearson >= least;
}

void rule_traffic_surge(struct scene *s)
{
	const struct change *c = s->requests.change;

	if (c == NULL || c->at_ms > s->began_ms + 3 * MINUTE_MS ||
	    c->at_ms < s->began_ms - 30 * MINUTE_MS)
		return;
	double ratio = 1 + change_share(c);
	double weight = 0.5 + 0.2 * between(ratio, 1.35, 1.9);
	bool follows = s->cpu.change != NULL && is_near(s->cpu.change->at_ms, c->at_ms, 2, 6);
	weight += follows ? 0.15 : 0;
	weight -= s->retried ? 0.3 : 0;
	/* traffic that comes after the failures is their effect */
	bool behind = s->latency.change != NULL && s->latency.change->at_ms < c->at_ms;
	weight -= s->retried && behind ? 0.2 : 0;
	struct candidate *out =
		offer(s, CAUSE_TRAFFIC_SURGE, s->requests.series->object, c->at_ms, weight);
	support_change(s->mem, out, &s->requests);
	if (follows)
		support_change(s->mem, out, &s->cpu);
	support_change(s->mem, out, &s->latency);
	support_change(s->mem, out, &s->errors);
}

void rule_memory_leak(struct scene *s)
{
	const struct change *c = s->memory.change;

	if (c == NULL || c->at_ms > s->began_ms + 2 * MINUTE_MS)
		return;
	const char *object = s->memory.series->object;
	double share = last_share(s, s->memory.series, SERIES_MEMORY_LIMIT, object);
	double limit = share > 0 ? series_last(s->memory.series, s->alert_ms) / share : NAN;
	double rise = fmax(c->after, series_last(s->memory.series, s->alert_ms)) - c->before;
	bool large = isnan(limit) ? rise >= 0.3 * c->before : rise >= 0.12 * limit;
	if (!large)
		return;
	const struct failure_class *killed = failures_of(s, FAILURE_MEMORY);
	double weight =
		0.6 + (killed != NULL ? 0.15 : 0) + (c->before + rise >= 0.8 * limit ? 0.15 : 0);
	if (killed == NULL && !alert_follows(s, s->memory.series, 0.9) &&
	    !(c->before + rise >= 0.7 * limit))
		weight -= 0.2; /* it climbs, but nobody is near the end of it */
	if (s->deployed != NULL && is_near(s->deployed_ms, c->at_ms, EARLY_MINUTES, 2))
		weight -= 0.3;
	struct candidate *out = offer(s, CAUSE_MEMORY_LEAK, object, c->at_ms, weight);
	support_change(s->mem, out, &s->memory);
	support_failures(s, out, killed);
}

void rule_bad_deploy(struct scene *s)
{
	if (s->deployed == NULL)
		return;
	int64_t effect = s->began_ms;
	const struct hit *harm = &s->f->symptom;
	if (s->memory.change != NULL &&
	    llabs(s->memory.change->at_ms - s->deployed_ms) < llabs(effect - s->deployed_ms)) {
		effect = s->memory.change->at_ms;
		harm = &s->memory;
	}
	if (harm->change == NULL || !is_near(s->deployed_ms, effect, 5, 2))
		return;
	double away = fabs((double)(effect - s->deployed_ms)) / (double)MINUTE_MS;
	double weight = 0.9 - 0.05 * fmax(0, away - 1);
	/* a restart resets memory that leaked before as well, and then the ramp seems to begin with
	 * it */
	if (s->memory.change != NULL &&
	    s->memory.change->at_ms < s->deployed_ms - EARLY_MINUTES * MINUTE_MS &&
	    alert_follows(s, s->memory.series, 0.9))
		weight -= 0.4;
	struct candidate *out = offer(s, CAUSE_BAD_DEPLOY, s->deployed, s->deployed_ms, weight);
	struct citation cited = {.source = SOURCE_METRICS,
				 .query = s->deployed_series->query,
				 .series = "version",
				 .object = s->deployed,
				 .unit = "",
				 .before = NAN,
				 .after = series_last(s->deployed_series, s->alert_ms),
				 .at_ms = s->deployed_ms};
	support_say(s->mem, out, s->deployed_ms, cited, "%s came into use", s->deployed);
	support_change(s->mem, out, harm);
	support_change(s->mem, out, &s->errors);
	support_change(s->mem, out, &s->latency);
}

/* What a service came to take more, itself, per call, in us; *known says whether "before" means
 * anything. */
static double gained(const struct scene *s, const struct service_node *now, double *ratio,
		     bool *known)
{
	const struct service_node *then = service_map_find(&s->f->before, now->service);

	*known = then != NULL && then->calls >= CALLS_LEAST;
	*ratio = *known ? (double)now->self_median_us / fmax((double)then->self_median_us, 1) : NAN;
	return (double)now->self_median_us - (*known ? (double)then->self_median_us : 0);
}

static bool is_called(const struct scene *s, const char *service)
{
	for (size_t n = 0; n < s->f->after.edge_count; n++)
		if (str_eq(s->f->after.edges[n].to, service))
			return true;
	return false;
}

/* By spans: who takes longer than before, by far, and accounts for most of what is longer. */
static const struct service_node *slower_service(const struct scene *s, double *share,
						 double *ratio)
{
	const struct service_node *best = NULL;
	double most = 0;
	double all = 0;

	for (size_t n = 0; n < s->f->after.node_count; n++) {
		const struct service_node *now = &s->f->after.nodes[n];
		bool known;
		double times;
		double more = gained(s, now, &times, &known);
		all += fmax(more, 0);
		bool fits = now->calls >= CALLS_LEAST && !facts_is_own(s->f, now->service) &&
			    is_called(s, now->service) && (!known || times >= 2.2);
		if (fits && more > most) {
			most = more;
			best = now;
			*ratio = known ? times : NAN;
		}
	}
	*share = all > 0 ? most / all : 0;
	return best;
}

static struct hit slower_destination(const struct scene *s)
{
	struct hit best = {NULL, NULL};

	for (size_t i = 0; i < s->f->series_count; i++) {
		const struct series_facts *one = &s->f->series[i];
		if (one->series->role != SERIES_LATENCY || facts_is_own(s->f, one->series->object))
			continue;
		for (size_t n = 0; n < one->count; n++) {
			const struct change *c = &one->changes[n];
			bool fits = c->kind != CHANGE_SPIKE && c->up && change_share(c) >= 1 &&
				    is_near(c->at_ms, s->began_ms, 10, 3);
			/* a caller of the slow one is slower too, but by a smaller factor */
			if (fits &&
			    (best.change == NULL || change_share(c) > change_share(best.change)))
				best = (struct hit){one->series, c};
		}
	}
	return best;
}

static int64_t latency_began(const struct scene *s)
{
	bool earlier =
		s->latency.change != NULL && is_near(s->latency.change->at_ms, s->began_ms, 10, 0);

	return earlier ? s->latency.change->at_ms : s->began_ms;
}

/* Without spans and measured destinations, the time-outs in the logs may name who does not answer.
 */
static void slow_by_logs(struct scene *s)
{
	const struct failure_class *late = failures_of(s, FAILURE_TIMEOUT);
	const char *peer =
		late == NULL || s->f->after.spans > 0 ? NULL : log_peer(s->mem, late->example);

	if (peer == NULL || facts_is_own(s->f, peer) || s->latency.change == NULL ||
	    late->after < 3 || late->before * 3 > late->after)
		return;
	struct candidate *out = offer(s, CAUSE_SLOW_DEPENDENCY, peer, latency_began(s), 0.5);
	support_failures(s, out, late);
	support_change(s->mem, out, &s->latency);
}

void rule_slow_dependency(struct scene *s)
{
	double share = 0;
	double ratio = NAN;
	const struct service_node *slow = slower_service(s, &share, &ratio);
	struct hit destination = slower_destination(s);
	bool by_spans = slow != NULL && share >= 0.3;

	if (!by_spans && destination.change == NULL) {
		slow_by_logs(s);
		return;
	}
	double weight = by_spans		? 0.5 + 0.25 * between(share, 0.3, 0.6)
			: s->f->after.spans > 0 ? 0.6
						: 0.7;
	weight += by_spans && ratio >= 3 ? 0.1 : 0;
	weight += destination.change != NULL && by_spans &&
				  str_eq(destination.series->object, slow->service)
			  ? 0.1
			  : 0;
	int64_t at = by_spans ? latency_began(s) : destination.change->at_ms;
	struct candidate *out =
		offer(s, CAUSE_SLOW_DEPENDENCY,
		      by_spans ? slow->service : destination.series->object, at, weight);
	if (by_spans) {
		const struct service_node *then = service_map_find(&s->f->before, slow->service);
		struct citation cited = {
			.source = SOURCE_TRACES,
			.query = query_of(s->f->evidence, SOURCE_TRACES),
			.series = "spans",
			.object = slow->slowest->trace_id,
			.unit = "s",
			.before = then == NULL ? NAN : (double)then->self_median_us / 1e6,
			.after = (double)slow->self_median_us / 1e6,
			.at_ms = slow->slowest->start_us / 1000};
		support_say(s->mem, out, at, cited,
			    "a call of %s now takes %s itself (median of %zu), before it took %s",
			    slow->service, quantity(s->mem, cited.after, "s"), slow->calls,
			    quantity(s->mem, cited.before, "s"));
	}
	support_change(s->mem, out, &destination);
	support_change(s->mem, out, &s->latency);
	support_failures(s, out, failures_of(s, FAILURE_TIMEOUT));
}

void rule_disk_fill(struct scene *s)
{
	const struct change *c = s->disk.change;

	if (c == NULL || c->at_ms > s->began_ms + 10 * MINUTE_MS)
		return;
	const struct series *disk = s->disk.series;
	double share = last_share(s, disk, SERIES_DISK_LIMIT, disk->object);
	const struct failure_class *full = failures_of(s, FAILURE_DISK);
	bool rules = alert_follows(s, disk, 0.97) && s->f->symptom.series->role == SERIES_RULE &&
		     llabs(s->began_ms - c->at_ms) < 3 * MINUTE_MS;
	bool tight = share >= 0.8;
	if (!tight && full == NULL && !(rules && isnan(share)))
		return;
	double weight = 0.5 + (tight ? 0.2 : 0) + (full != NULL ? 0.2 : 0) + (rules ? 0.15 : 0);
	struct candidate *out = offer(s, CAUSE_DISK_FILL, disk->object, c->at_ms, weight);
	support_change(s->mem, out, &s->disk);
	support_failures(s, out, full);
}

/* Whose processor use rose most about the time of the symptom. */
static struct hit busier_neighbour(const struct scene *s)
{
	struct hit best = {NULL, NULL};

	for (size_t i = 0; i < s->f->series_count; i++) {
		const struct series_facts *one = &s->f->series[i];
		for (size_t n = 0; one->series->role == SERIES_NEIGHBOUR_CPU && n < one->count;
		     n++) {
			const struct change *c = &one->changes[n];
			bool fits = c->kind != CHANGE_SPIKE && c->up && change_share(c) >= 0.5 &&
				    is_near(c->at_ms, s->began_ms, EARLY_MINUTES, 3);
			if (fits &&
			    (best.change == NULL ||
			     c->after - c->before > best.change->after - best.change->before))
				best = (struct hit){one->series, c};
		}
	}
	return best;
}

static bool is_measured(const struct scene *s, enum series_role role)
{
	for (size_t n = 0; n < s->f->series_count; n++)
		if (s->f->series[n].series->role == role)
			return true;
	return false;
}

void rule_noisy_neighbour(struct scene *s)
{
	struct hit h = busier_neighbour(s);

	if (h.change == NULL)
		return;
	struct hit node =
		facts_find(s->f, &(struct wanted){.role = SERIES_NODE_CPU,
						  .from_ms = h.change->at_ms - 3 * MINUTE_MS,
						  .to_ms = h.change->at_ms + 3 * MINUTE_MS,
						  .up = true,
						  .least_share = 0.15,
						  .anybodys = true});
	bool full = node.change != NULL && node.change->after >= 0.85;
	double own = s->cpu.change == NULL ? 0 : s->cpu.change->after - s->cpu.change->before;
	if ((is_measured(s, SERIES_NODE_CPU) && !full) || own > h.change->after - h.change->before)
		return; /* there was room, or the alert's own object took more of it */
	double weight = 0.55 + (full ? 0.25 : 0) + 0.1 * between(change_share(h.change), 0.5, 3);
	weight -= s->requests.change != NULL && !s->retried &&
				  is_near(s->requests.change->at_ms, h.change->at_ms, 3, 3)
			  ? 0.35
			  : 0;
	/* one whose load grows as the requests do serves them as well */
	if (s->requests.change != NULL &&
	    change_share(h.change) <= 1.5 * change_share(s->requests.change))
		weight -= 0.25;
	struct candidate *out =
		offer(s, CAUSE_NOISY_NEIGHBOUR, h.series->object, h.change->at_ms, weight);
	support_change(s->mem, out, &h);
	support_change(s->mem, out, &node);
	support_change(s->mem, out, &s->latency);
}

/* Where failures begin: the service most of whose calls fail of themselves, and did not before. */
static const struct service_node *origin_of_failures(const struct scene *s)
{
	const struct service_node *best = NULL;
	double most = 0;

	for (size_t n = 0; n < s->f->after.node_count; n++) {
		const struct service_node *now = &s->f->after.nodes[n];
		const struct service_node *then = service_map_find(&s->f->before, now->service);
		double before = then == NULL || then->calls == 0
					? 0
					: (double)then->origins / (double)then->calls;
		double more = (double)now->origins / (double)now->calls - before;
		if (now->origins >= 3 && more > most) {
			most = more;
			best = now;
		}
	}
	return best;
}

static const struct log_pattern *new_failure(const struct scene *s)
{
	for (size_t n = 0; n < s->f->logs.pattern_count; n++) {
		const struct log_pattern *p = &s->f->logs.patterns[n];
		bool more = p->is_new || (p->rate_after > 4 * p->rate_before && p->after >= 5);
		if (more && (p->level == LEVEL_ERROR || p->failure != FAILURE_NONE))
			return p;
	}
	return NULL;
}

/* Another service in which it fails: by the spans, else by the name that refused connections are
 * told with; or NULL. */
static const char *elsewhere(const struct scene *s, const struct service_node *origin,
			     const struct log_pattern *words)
{
	if (origin != NULL)
		return !facts_is_own(s->f, origin->service) && is_called(s, origin->service)
			       ? origin->service
			       : NULL;
	const char *peer = words != NULL && words->failure == FAILURE_REFUSED
				   ? log_peer(s->mem, words->example)
				   : NULL;
	return peer != NULL && !facts_is_own(s->f, peer) ? peer : NULL;
}

void rule_error_burst(struct scene *s)
{
	const struct change *c = s->errors.change;

	if (c == NULL || !is_near(c->at_ms, s->began_ms, EARLY_MINUTES, 3) ||
	    (s->latency.change != NULL && change_share(s->latency.change) >= 1 &&
	     is_near(s->latency.change->at_ms, c->at_ms, 6, 3)))
		return;
	const struct log_pattern *words = new_failure(s);
	const struct service_node *origin = origin_of_failures(s);
	double weight = 0.6 + (words != NULL ? 0.1 : 0) + (origin != NULL ? 0.1 : 0);
	const char *object = elsewhere(s, origin, words);
	struct candidate *out =
		offer(s, CAUSE_ERROR_BURST, object != NULL ? object : s->errors.series->object,
		      c->at_ms, weight);
	support_change(s->mem, out, &s->errors);
	if (words != NULL)
		support_say(s->mem, out, words->first_ms,
			    (struct citation){SOURCE_LOGS, query_of(s->f->evidence, SOURCE_LOGS),
					      "log lines", words->text, "1/min", words->rate_before,
					      words->rate_after, words->first_ms},
			    "a new kind of line in the logs: %zu since then, %zu before; for "
			    "example: %s",
			    words->after, words->before,
			    str_cut(s->mem, words->example, EXAMPLE_POINTS));
	if (origin != NULL)
		support_say(s->mem, out, c->at_ms,
			    (struct citation){
				    SOURCE_TRACES, query_of(s->f->evidence, SOURCE_TRACES), "spans",
				    origin->service, "", NAN, (double)origin->origins, c->at_ms},
			    "of %zu calls of %s, %zu failed without a failure beneath",
			    origin->calls, origin->service, origin->origins);
}
