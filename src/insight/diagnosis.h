/*
 * What is wrong, since when, whose doing it is, and what to do: explicit rules over the computed facts (AI-001.13). No model,
 * no randomness. Pure; borrows from the evidence behind the facts.
 *
 * Each rule looks for its own cause and, when it finds it, offers a candidate with the facts it rests on and a weight: what
 * the rule asks for at least, plus what supports it, less what another cause explains as well. The heaviest wins; when the
 * symptom lasts and no candidate weighs enough the cause is unknown; without a lasting symptom nothing is wrong.
 *
 * Confidence is a logistic curve over the winner's weight and its lead over the next, at most 0.95. Its numbers are fitted
 * on the tuning seeds of tests/insight/ (score.py --fit) and judged on the held-out ones, where of the diagnoses with
 * confidence p about a share p is right: that holds for incidents like the simulated ones, and is a guess for others.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "insight/facts.h"

/* C(id, name, text for people) */
#define CAUSES(C)                                                              \
	C(NOTHING_WRONG, "nothing_wrong", "nothing is wrong")                  \
	C(UNKNOWN, "unknown", "cause unknown")                                 \
	C(TRAFFIC_SURGE, "traffic_surge", "traffic surge")                     \
	C(MEMORY_LEAK, "memory_leak", "memory leak")                           \
	C(BAD_DEPLOY, "bad_deploy", "bad deployment")                          \
	C(SLOW_DEPENDENCY, "slow_dependency", "slow dependency")               \
	C(DISK_FILL, "disk_fill", "disk filling up")                           \
	C(NOISY_NEIGHBOUR, "noisy_neighbour", "noisy neighbour")               \
	C(ERROR_BURST, "error_burst", "burst of errors")

enum cause {
#define CAUSE_ENUM(id, name, text) CAUSE_##id,
	CAUSES(CAUSE_ENUM)
#undef CAUSE_ENUM
	CAUSE_COUNT
};

/* What a statement rests on. NULL and NAN = not told. */
struct citation {
	enum source source;
	const char *query;
	const char *series;   /* the role of the series, "log lines", or "spans" */
	const char *object;   /* the pod, the claim, the service, the pattern, the trace */
	const char *unit;
	double before, after; /* after alone when there is only one value */
	int64_t at_ms;
};

struct support {
	const char *sentence;
	int64_t at_ms;
	struct citation *citations;
	size_t count;
};

enum { SUPPORTS_MAX = 8, ACTIONS_MAX = 4 };

struct advice {
	const char *text;
	bool immediate; /* false: a follow-up */
};

struct candidate {
	enum cause cause;
	const char *object;
	int64_t at_ms;
	double weight; /* 0..1 */
	struct support supports[SUPPORTS_MAX];
	size_t support_count;
};

struct diagnosis {
	enum cause cause;
	const char *object;
	int64_t at_ms;     /* when it began; of "nothing wrong": when the alert fired */
	double confidence; /* 0..1 */
	bool blind;        /* too little was measured to conclude anything: the cause is unknown for that */
	const struct advice *actions; /* numbered, the immediate ones first */
	size_t action_count;
	struct candidate *candidates; /* heaviest first; the first one is the cause unless unknown or nothing wrong */
	size_t candidate_count;
	double weight, lead; /* what the confidence was made of */
};

/* Under mem. */
void diagnose(void *mem, const struct facts *f, struct diagnosis *out);

const char *cause_name(enum cause c);
const char *cause_text(enum cause c);
