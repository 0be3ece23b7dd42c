#include "insight/finding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "insight/correlation.h"
#include "insight/support.h"

enum {
	OTHER_CHANGES_MAX = 3,
	NOTES_MAX = SOURCE_COUNT + 1,
	EXAMPLE_POINTS = 200,
	LEAD_LEAST_MS = 60000
};

static const char *const KINDS[] = {[FINDING_CAUSE] = "cause",
				    [FINDING_CHANGE] = "change",
				    [FINDING_CORRELATION] = "correlation",
				    [FINDING_LOGS] = "logs",
				    [FINDING_LATENCY] = "latency",
				    [FINDING_SERVICES] = "services",
				    [FINDING_NOTE] = "note"};

const char *finding_kind_name(enum finding_kind k)
{
	return KINDS[k];
}

/* Room for the notes is kept free. */
static void add(struct insight *i, enum finding_kind kind, double weight, const struct support *s)
{
	size_t room = kind == FINDING_NOTE ? FINDINGS_MAX : FINDINGS_MAX - NOTES_MAX;

	if (i->finding_count < room)
		i->findings[i->finding_count++] = (struct finding){
			kind, weight, s->sentence, s->at_ms, s->citations, s->count};
}

static void say(struct insight *i, enum finding_kind kind, double weight, int64_t at_ms,
		const struct citation *cited, char *sentence)
{
	struct citation *one = NEW(i, struct citation);

	*one = *cited;
	add(i, kind, weight,
	    &(struct support){sentence, at_ms, one, cited->source == SOURCE_COUNT ? 0 : 1});
}

static void add_supports(struct insight *i)
{
	const struct candidate *c = i->diagnosis.candidates;

	for (size_t n = 0; n < c->support_count; n++)
		add(i, FINDING_CAUSE, c->weight * (1 - 0.05 * (double)n), &c->supports[n]);
}

static bool is_told(const struct insight *i, const struct series *s, int64_t at_ms)
{
	for (size_t n = 0; n < i->finding_count; n++)
		for (size_t k = 0; k < i->findings[n].citation_count; k++)
			if (i->findings[n].citations[k].query == s->query &&
			    i->findings[n].citations[k].at_ms == at_ms)
				return true;
	return false;
}

/* The next largest change about the time of the symptom that no finding has told yet. */
static struct hit untold_change(const struct insight *i)
{
	struct hit best = {NULL, NULL};

	for (size_t k = 0; k < i->facts->series_count; k++) {
		const struct series_facts *s = &i->facts->series[k];
		for (size_t n = 0; n < s->count; n++) {
			const struct change *c = &s->changes[n];
			bool fits = c->kind != CHANGE_SPIKE &&
				    llabs(c->at_ms - i->facts->began_ms) <= 300000 &&
				    fabs(change_share(c)) >= 0.2 &&
				    !is_told(i, s->series, c->at_ms);
			if (fits && (best.change == NULL || c->size > best.change->size))
				best = (struct hit){s->series, c};
		}
	}
	return best;
}

static void add_other_changes(struct insight *i)
{
	for (int n = 0; n < OTHER_CHANGES_MAX; n++) {
		struct hit h = untold_change(i);
		if (h.change == NULL)
			return;
		struct support s = support_of_change(i, &h);
		add(i, FINDING_CHANGE, 0.4 - 0.05 * n, &s);
	}
}

/* Differences below a minute say more about how a series is sampled than about what comes first. */
static char *lead_words(void *mem, const struct series *a, const struct series *b,
			const struct correlation *c)
{
	if (!c->has_lag || llabs(c->lag_ms) < LEAD_LEAST_MS)
		return str_dup(mem, "");
	return str_fmt(mem, "; %s moves first, by %s",
		       series_role_name(c->lag_ms > 0 ? a->role : b->role),
		       str_duration(mem, llabs(c->lag_ms)));
}

/* AI-001.9: the pairs that the charts show together. */
static void add_correlations(struct insight *i)
{
	static const enum series_role PAIRS[][2] = {{SERIES_REQUESTS, SERIES_CPU},
						    {SERIES_REQUESTS, SERIES_LATENCY},
						    {SERIES_CPU, SERIES_MEMORY}};

	for (size_t n = 0; n < sizeof(PAIRS) / sizeof(PAIRS[0]); n++) {
		const struct series *a = facts_series(i->facts, PAIRS[n][0]);
		const struct series *b = facts_series(i->facts, PAIRS[n][1]);
		struct correlation c;
		if (a == NULL || b == NULL || !correlate(i, a, b, &c) || fabs(c.pearson) < 0.7 ||
		    fabs(c.spearman) < 0.5)
			continue;
		char *sentence = str_fmt(
			i,
			"%s and %s of %s go together (Pearson %.2f, Spearman %.2f, %zu samples)%s",
			series_role_name(a->role), series_role_name(b->role), a->object, c.pearson,
			c.spearman, c.pairs, lead_words(i, a, b, &c));
		struct citation *both = NEW_ARRAY(i, struct citation, 2);
		both[0] = (struct citation){SOURCE_METRICS,
					    a->query,
					    series_role_name(a->role),
					    a->object,
					    "",
					    NAN,
					    c.pearson,
					    i->facts->began_ms};
		both[1] = (struct citation){SOURCE_METRICS,
					    b->query,
					    series_role_name(b->role),
					    b->object,
					    "",
					    NAN,
					    c.pearson,
					    i->facts->began_ms};
		add(i, FINDING_CORRELATION, 0.3,
		    &(struct support){sentence, i->facts->began_ms, both, 2});
	}
}

static void add_logs(struct insight *i)
{
	const struct log_summary *l = &i->facts->logs;

	if (l->class_count == 0 || l->classes[0].after == 0)
		return;
	const struct failure_class *k = &l->classes[0];
	for (size_t n = 0; n < i->finding_count; n++)
		if (i->findings[n].citation_count > 0 &&
		    i->findings[n].citations[0].object == k->name)
			return; /* said already */
	struct citation cited = {SOURCE_LOGS,
				 query_of(i->facts->evidence, SOURCE_LOGS),
				 "log lines",
				 k->name,
				 "",
				 (double)k->before,
				 (double)k->after,
				 k->first_ms};
	say(i, FINDING_LOGS, 0.35, k->first_ms, &cited,
	    str_fmt(i,
		    "the most frequent failure in the logs is %s: %zu lines since then, %zu "
		    "before; for example: %s",
		    k->name, k->after, k->before, str_cut(i, k->example, EXAMPLE_POINTS)));
}

static void add_latency(struct insight *i)
{
	const struct latency *b = &i->facts->latency_before;
	const struct latency *a = &i->facts->latency_after;

	if (b->count < 5 || a->count < 5 || (double)a->p95_us < 1.3 * (double)b->p95_us)
		return;
	struct citation cited = {SOURCE_TRACES,
				 query_of(i->facts->evidence, SOURCE_TRACES),
				 "spans",
				 i->facts->evidence->service,
				 "s",
				 (double)b->p95_us / 1e6,
				 (double)a->p95_us / 1e6,
				 i->facts->began_ms};
	say(i, FINDING_LATENCY, 0.35, i->facts->began_ms, &cited,
	    str_fmt(i,
		    "latency shifted: p50 %s to %s, p95 %s to %s, p99 %s to %s (%zu and %zu spans)",
		    quantity(i, (double)b->p50_us / 1e6, "s"),
		    quantity(i, (double)a->p50_us / 1e6, "s"), quantity(i, cited.before, "s"),
		    quantity(i, cited.after, "s"), quantity(i, (double)b->p99_us / 1e6, "s"),
		    quantity(i, (double)a->p99_us / 1e6, "s"), b->count, a->count));
}

static void add_services(struct insight *i)
{
	const struct service_map *m = &i->facts->after;
	const struct service_node *top = service_map_bottleneck(m);
	double share = top == NULL ? 0 : service_map_share(m, top);

	if (top == NULL || m->node_count < 2 || share < 0.4)
		return;
	struct citation cited = {SOURCE_TRACES,
				 query_of(i->facts->evidence, SOURCE_TRACES),
				 "spans",
				 top->slowest->trace_id,
				 "s",
				 NAN,
				 (double)top->slowest->duration_us / 1e6,
				 top->slowest->start_us / 1000};
	say(i, FINDING_SERVICES, 0.35, i->facts->began_ms, &cited,
	    str_fmt(i,
		    "%s owns %.0f %% of the time of the traces (%zu calls); the slowest is %s of "
		    "trace %s",
		    top->service, share * 100, top->calls, quantity(i, cited.after, "s"),
		    top->slowest->trace_id));
}

static const char *missing_words(const struct asked *a)
{
	if (!a->wanted)
		return "were not asked for";
	return a->status == OK ? NULL : "could not be had";
}

/* WORKFLOW-003.8: what was not seen is said, so that silence is not read as health. */
static void add_notes(struct insight *i)
{
	const struct evidence *e = i->facts->evidence;

	for (int s = 0; s < SOURCE_COUNT; s++) {
		const struct asked *a = &e->asked[s];
		const char *words = missing_words(a);
		struct citation none = {.source = SOURCE_COUNT};
		if (words != NULL)
			say(i, FINDING_NOTE, 0, i->facts->window.end_ms, &none,
			    str_fmt(i, "%s %s%s%s: nothing is concluded from them",
				    source_name((enum source)s), words,
				    str_empty(a->why) ? "" : ": ",
				    str_empty(a->why) ? "" : a->why));
		else if (a->cut || !str_empty(a->why))
			say(i, FINDING_NOTE, 0, i->facts->window.end_ms, &none,
			    str_fmt(i, "%s are incomplete%s%s", source_name((enum source)s),
				    a->cut ? ", only a part was taken" : "",
				    str_empty(a->why) ? "" : str_fmt(i, ": %s", a->why)));
	}
	if (i->diagnosis.cause == CAUSE_NOTHING_WRONG)
		say(i, FINDING_NOTE, 0, i->facts->window.alert_ms,
		    &(struct citation){.source = SOURCE_COUNT},
		    str_dup(i, "no series of the alert's object changed in a way that lasts"));
	if (i->diagnosis.blind && e->asked[SOURCE_METRICS].status == OK)
		say(i, FINDING_NOTE, 0, i->facts->window.alert_ms,
		    &(struct citation){.source = SOURCE_COUNT},
		    str_dup(i,
			    "no series of the alert's object has enough samples to conclude from"));
}

static int by_weight(const void *a, const void *b)
{
	const struct finding *x = a;
	const struct finding *y = b;

	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	return x->at_ms < y->at_ms ? -1 : x->at_ms > y->at_ms;
}

/* Stable, so that findings of one weight keep the order in which they were found. */
static void sort_findings(struct insight *i)
{
	for (size_t n = 1; n < i->finding_count; n++) {
		struct finding one = i->findings[n];
		size_t at = n;
		for (; at > 0 && by_weight(&i->findings[at - 1], &one) > 0; at--)
			i->findings[at] = i->findings[at - 1];
		i->findings[at] = one;
	}
}

struct insight *insight_make(void *mem, const struct evidence *e)
{
	struct insight *i = NEW(mem, struct insight);

	i->facts = facts_make(i, e);
	diagnose(i, i->facts, &i->diagnosis);
	if (i->diagnosis.cause != CAUSE_NOTHING_WRONG) {
		if (i->diagnosis.cause != CAUSE_UNKNOWN)
			add_supports(i);
		add_other_changes(i);
		add_correlations(i);
		add_logs(i);
		add_latency(i);
		add_services(i);
	}
	add_notes(i);
	sort_findings(i);
	return i;
}
