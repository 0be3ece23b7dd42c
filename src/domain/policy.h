/* What may be done without asking: one pure function over mode, risk, confidence and history. */
#pragma once

#include <stdint.h>

#include "base/status.h"
#include "domain/catalogue.h"
#include "domain/plan.h"

enum mode { MODE_AUTOPILOT, MODE_SUPERVISED, MODE_SHADOW };

struct policy {
	enum mode mode;
	enum risk risk_limit;       /* autopilot acts up to here; default low */
	double act_confidence;      /* default 0.70, >= */
	double ask_confidence;      /* default 0.50, >= */
	int flaps_per_hour;         /* actions for one fingerprint per hour before a person is asked */
};

/* What happened lately, counted by the store. */
struct history {
	int calls_last_hour;        /* of this function */
	int64_t last_call_ms;       /* of this function on this target; 0 = never */
	int actions_for_alert;      /* for this fingerprint within the last hour */
};

/* Fills p->decision, why, digest and target. In order: disabled or below ask_confidence → never;
 * shadow → never (the sentence says what would have been done); flap guard, cooldown, hourly
 * limit → ask; supervised, ask_always, irreversible, risk over the limit, below act_confidence →
 * ask; else auto. */
void plan_judge(void *mem, struct plan *p, const struct function *f, const struct policy *policy,
		const struct history *h, int64_t now_ms);

const char *mode_name(enum mode m);
NODISCARD enum status mode_parse(const char *word, enum mode *out); /* accepts "agentic" for autopilot */
const char *decision_name(enum decision d); /* "auto", "ask", "never" */
