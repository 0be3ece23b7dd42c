#include "insight/diagnosis.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "insight/rules.h"
#include "insight/support.h"

static const double ANSWER_LEAST = 0.45; /* a lighter candidate is no answer */

/* Fitted on six tuning seeds when 425 of 432 were right, so weakly determined
 * (tests/insight/score.py --fit): logit = at + weight * heavy + lead * ahead. */
static const struct {
	double at, heavy, ahead;
} CURVE = {-5.2, 10.5, 1.3};
static const double CONFIDENCE_MOST = 0.95;   /* the world has causes that no simulation has */
static const double CONFIDENCE_QUIET = 0.9;   /* nothing lasts in the metrics that came */
static const double CONFIDENCE_UNKNOWN = 0.8; /* that none of the known causes is it */
static const double CONFIDENCE_BLIND = 0.2;   /* too little was measured */

/* Samples of a series that can show that something changed, or that nothing did. */
enum { SEEN_LEAST = 10 };

static const struct {
	const char *name, *text;
} CAUSE_WORDS[] = {
#define CAUSE_ROW(id, name, text) [CAUSE_##id] = {name, text},
	CAUSES(CAUSE_ROW)
#undef CAUSE_ROW
};

static const struct advice ACTIONS[CAUSE_COUNT][ACTIONS_MAX] = {
	[CAUSE_UNKNOWN] = {{"Have a person look: the findings do not name a cause", true},
			   {"Take a profile of the process while the symptom lasts", true},
			   {"Add the signal that was missing to what is collected", false}},
	[CAUSE_TRAFFIC_SURGE] =
		{{"Scale out to carry the present traffic", true},
		 {"Shed or limit traffic at the edge if it is not wanted", true},
		 {"Set autoscaling on the request rate, with head-room for such a surge", false}},
	[CAUSE_MEMORY_LEAK] = {{"Restart the instances one by one before they reach the limit",
				true},
			       {"Take a heap dump before the restart", true},
			       {"Find the leak: compare two heap dumps, look at what changed last",
				false},
			       {"Alert on the slope of memory, not only on its level", false}},
	[CAUSE_BAD_DEPLOY] = {{"Roll back to the version before", true},
			      {"Hold further roll-outs of this version", true},
			      {"Reproduce the failure with the new version in a test, then mend it",
			       false},
			      {"Roll out in steps that stop on the symptom of this alert", false}},
	[CAUSE_SLOW_DEPENDENCY] =
		{{"Look at the dependency named here, and tell its owners", true},
		 {"Lower the time-out or open the circuit breaker to it, if there is a fallback",
		  true},
		 {"Give the calls to it a deadline, a fallback and a limit of retries", false}},
	[CAUSE_DISK_FILL] =
		{{"Free space: rotate logs, remove temporary files and old dumps", true},
		 {"Enlarge the volume if what is written is wanted", true},
		 {"Set retention and rotation for what filled it, and alert on the time to full",
		  false}},
	[CAUSE_NOISY_NEIGHBOUR] =
		{{"Move or throttle the neighbour named here", true},
		 {"Reschedule the affected pod to another node", true},
		 {"Set processor requests and limits for both, or keep them apart", false}},
	[CAUSE_ERROR_BURST] = {{"Look at the failure that the log lines and spans name", true},
			       {"Check what it needs from outside: credentials, certificates, "
				"configuration, input",
				true},
			       {"Alert on this class of failure by its share of the requests",
				false}},
};

const char *cause_name(enum cause c)
{
	return CAUSE_WORDS[c].name;
}

const char *cause_text(enum cause c)
{
	return CAUSE_WORDS[c].text;
}

static int by_weight(const void *a, const void *b)
{
	const struct candidate *x = a;
	const struct candidate *y = b;

	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	if (x->at_ms != y->at_ms) /* what came first is the cause of the other */
		return x->at_ms < y->at_ms ? -1 : 1;
	return (int)x->cause - (int)y->cause;
}

static double logistic(double weight, double lead)
{
	return fmin(1 / (1 + exp(-(CURVE.at + CURVE.heavy * weight + CURVE.ahead * lead))),
		    CONFIDENCE_MOST);
}

static void take_first(const struct scene *s, struct diagnosis *out)
{
	const struct candidate *first = &s->list[0];

	out->cause = first->cause;
	out->object = first->object;
	out->at_ms = first->at_ms;
	out->weight = first->weight;
	out->lead = first->weight - (s->count > 1 ? s->list[1].weight : 0);
	out->confidence = logistic(out->weight, out->lead);
}

static void choose_actions(struct diagnosis *out)
{
	out->actions = ACTIONS[out->cause];
	while (out->action_count < ACTIONS_MAX &&
	       ACTIONS[out->cause][out->action_count].text != NULL)
		out->action_count++;
}

/* Limits and versions hardly ever change: that they did not says nothing. */
static bool can_show(const struct series *s)
{
	size_t seen = 0;

	if (s->role == SERIES_CPU_LIMIT || s->role == SERIES_MEMORY_LIMIT ||
	    s->role == SERIES_DISK_LIMIT || s->role == SERIES_VERSION)
		return false;
	for (size_t n = 0; n < s->count; n++)
		seen += isfinite(s->values[n]);
	return seen >= SEEN_LEAST;
}

static bool is_blind(const struct facts *f)
{
	for (size_t n = 0; n < f->series_count; n++)
		if (can_show(f->series[n].series))
			return false;
	return true;
}

void diagnose(void *mem, const struct facts *f, struct diagnosis *out)
{
	static void (*const RULES[])(struct scene *) = {
		rule_traffic_surge, rule_memory_leak,	  rule_bad_deploy, rule_slow_dependency,
		rule_disk_fill,	    rule_noisy_neighbour, rule_error_burst};
	struct scene scene;

	scene_look(mem, f, &scene);
	for (size_t n = 0; f->symptom.change != NULL && n < sizeof(RULES) / sizeof(RULES[0]); n++)
		RULES[n](&scene);
	qsort(scene.list, scene.count, sizeof(*scene.list), by_weight);
	*out = (struct diagnosis){.cause = CAUSE_UNKNOWN,
				  .object = f->evidence->object,
				  .at_ms = f->began_ms,
				  .confidence = CONFIDENCE_UNKNOWN,
				  .candidates = scene.list,
				  .candidate_count = scene.count};
	if (scene.count > 0 && scene.list[0].weight >= ANSWER_LEAST) {
		take_first(&scene, out);
	} else if (is_blind(f)) {
		out->blind = true;
		out->confidence = CONFIDENCE_BLIND;
	} else if (f->symptom.change == NULL) {
		out->cause = CAUSE_NOTHING_WRONG;
		out->confidence = CONFIDENCE_QUIET;
	}
	choose_actions(out);
}
