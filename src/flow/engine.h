/* Advances one lane of one incident: the only loop of the workflow. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "flow/flow.h"

/* One visit of a worker to a lane. */
struct turn {
	int64_t incident;
	enum lane lane;
	enum work_class class; /* in: the share that the worker holds; out: what the lane needs next */
	int64_t due_ms;        /* out: when to come back; -1 = only when a signal arrives */
	int away;              /* out: the peer that the lane waits for, or WATCH_NOBODY */
};

/* Loads the lane from its durable state, runs one step, commits outcome and next step in one
 * transaction, and goes on while the next step is due and of the same class. A failing step is an
 * outcome too (retry, or hand-over to a person); a non-OK status means that the store did not answer
 * or did not take the outcome, or that we are stopping: come back later, nothing is lost. */
NODISCARD enum status engine_advance(const struct flow *flow, struct turn *turn);

/* What was done outside is known to the worker alone until it is durable: to do it again, on a disk that takes nothing for a
 * while, would do it again each time. So what came of it is held. Pauses, and says true, while `s` of the commit is worth
 * another try; now and then the log says why. `*held` counts, from 0. */
bool engine_hold(const struct flow *flow, enum status s, int *held);
