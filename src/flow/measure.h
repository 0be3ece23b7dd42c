/*
 * Is the alert over? Prometheus' own word: the alerting rule's expression, restricted to the incident's
 * labels, no longer holds, and the alert is no longer firing. Missing data is unknown, never healthy.
 */
#pragma once

#include <stdbool.h>

#include "base/status.h"
#include "flow/flow.h"

struct measurement {
	enum verdict verdict; /* RECOVERED, NOT_RECOVERED or INCONCLUSIVE */
	json_t *checks;       /* as in struct verification */
	const char *reason;   /* one sentence */
};

/* Asks Prometheus. E_CANCELED when stopping; every other trouble is an INCONCLUSIVE measurement. */
NODISCARD enum status measure_alert(void *mem, const struct flow *flow, const struct incident *i,
				    struct measurement *out);

/* The last part of it alone: is the alert no longer firing? For who has proved the rest a moment ago. */
NODISCARD enum status measure_end(void *mem, const struct flow *flow, const struct incident *i, struct measurement *out);
