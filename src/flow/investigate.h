/*
 * Looks at an incident from outside, beside its remedy and never in its way: metrics, logs and traces, what follows from
 * them, and the pictures (WORKFLOW-003, AI-001).
 */
#pragma once

#include "base/status.h"
#include "domain/incident.h"
#include "flow/flow.h"
#include "store/inquiries.h"

struct investigation {
	const char *report;       /* Markdown by AI-001.16, for the ticket */
	const char *summary;      /* one sentence, for the timeline */
	json_t *findings;         /* {cause, object, confidence, findings[], actions[]}, each with what it rests on */
	json_t *evidence;         /* all that was looked at (domain/evidence.h) */
	struct picture *pictures; /* PNG, SVG and Vega-Lite of each chart */
	size_t picture_count;
	bool complete;            /* every source that there is has answered */
};

/* What the report refers to a chart by; under mem. */
typedef const char *picture_place_fn(void *mem, const char *name, void *arg);

/* Blocks for at most investigate.timeout and the time to draw. Everything under mem. A source that fails is told of in the
 * report; E_CANCELED: we are stopping. From any thread. */
NODISCARD enum status investigate(void *mem, const struct flow *flow, const struct incident *i, enum inquiry_stage stage,
				  picture_place_fn *place, void *arg, struct investigation *out);
