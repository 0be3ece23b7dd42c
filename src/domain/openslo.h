/*
 * The user's own SLOs: OpenSLO v1 documents (https://github.com/OpenSLO/OpenSLO, apiVersion openslo/v1). Read are the kinds
 * SLO, SLI and Service; other kinds are passed over with a note. Pure.
 *
 *   indicator     inline or by indicatorRef. ratioMetric: good/total or bad/total; thresholdMetric with op and value of the
 *                 objective. The metricSource is Prometheus; spec.query holds PromQL.
 *   query         with {{.window}} in it, as Sloth writes it: the window is put there. A ratioMetric with counter: true: of a
 *                 counter, whose rate over the window is taken. Else a momentary value, which is averaged over the window.
 *   timeWindow    one, its duration in m, h, d, w (M, Q and Y count as 30, 90 and 365 days). A calendar window is treated as a
 *                 rolling one, with a note.
 *   objectives    target (0.999) or targetPercent (99.9), strictly between none and all. Of several the strictest counts, with
 *                 a note.
 *   budgetingMethod Occurrences only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/status.h"
#include "domain/slo.h"

enum slo_indicator { SLO_RATIO_GOOD, SLO_RATIO_BAD, SLO_THRESHOLD };

struct slo_definition {
	const char *name;         /* metadata.name: the value of the label slo */
	const char *display;      /* displayName, or the name */
	const char *service;
	const char *description;  /* "" = none */
	double objective;         /* fraction */
	long long period_s;
	enum slo_indicator indicator;
	const char *part, *total; /* PromQL; of a threshold `part` alone */
	bool counter;             /* of ratios: the queries give counters */
	const char *op;           /* of a threshold: <= >= < > ; what holds is good */
	double value;
	const char *file;
	long long line;
};

struct openslo;

struct openslo *openslo_new(void *mem);

/* All documents of one text; `name` stands in messages. E_INVALID: "<name>:<line>: <key>: what is wrong". */
NODISCARD enum status openslo_add(struct openslo *o, const char *name, const char *text, size_t n);

/* When all is added: references are resolved. E_INVALID: a reference to nothing, a name that appears twice. */
NODISCARD enum status openslo_finish(struct openslo *o);

const struct slo_definition *openslo_all(const struct openslo *o, size_t *count);
const struct slo_definition *openslo_find(const struct openslo *o, const char *name); /* or NULL; also for o NULL */

/* What was passed over or read differently, with file and line. */
const char *const *openslo_notes(const struct openslo *o, size_t *count);

/* PromQL for the ratio of errors over a window such as "5m" or "30d", as one value without labels. */
char *slo_definition_errors(void *mem, const struct slo_definition *d, const char *window);

/* The period in days, as PromQL writes it ("30d"), or in hours or minutes where it is not a whole number of them. */
char *slo_definition_period(void *mem, const struct slo_definition *d);
