/*
 * What comes of an evidence: a diagnosis, and findings that each say one thing and cite what it rests on (AI-001.12, .13,
 * .16; WORKFLOW-003.4, .6, .8). Pure and deterministic: the same evidence gives the same text, byte by byte. Borrows from
 * the evidence, which must live as long.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "domain/evidence.h"
#include "insight/diagnosis.h"

enum finding_kind {
	FINDING_CAUSE,       /* supports the diagnosis */
	FINDING_CHANGE,      /* another series that changed */
	FINDING_CORRELATION,
	FINDING_LOGS,
	FINDING_LATENCY,
	FINDING_SERVICES,
	FINDING_NOTE,        /* what was not there to look at, or that there is nothing to say */
};

struct finding {
	enum finding_kind kind;
	double weight;        /* 0..1; a note 0 */
	const char *sentence; /* plain text, not escaped */
	int64_t at_ms;
	struct citation *citations;
	size_t citation_count;
};

enum { FINDINGS_MAX = 16 };

struct insight {
	struct facts *facts;
	struct diagnosis diagnosis;
	struct finding findings[FINDINGS_MAX]; /* heaviest first, notes last */
	size_t finding_count;
};

/* Everything at once. Under mem. */
struct insight *insight_make(void *mem, const struct evidence *e);

const char *finding_kind_name(enum finding_kind k);

/* {diagnosis: {cause, object, at, at_ms, confidence, actions: [{text, when}]}, findings: [{kind, weight, sentence, at_ms,
 * citations: [{source, query, series, object, unit, before, after, at_ms}]}]}; numbers that are not known are null. */
json_t *insight_encode(void *mem, const struct insight *i);

/* Bodies, without their headings, of "### AI Agent Insights" and "### Recommended Remediation" (AI-001.16). Numbered, each
 * action marked immediate or follow-up; everything that came from outside is redacted and escaped (domain/text.h). */
char *insight_markdown(void *mem, const struct insight *i);
char *remediation_markdown(void *mem, const struct insight *i);
