/*
 * Service level management: what is known of an SLO right now. Prometheus is asked for all that a source needs, and for all
 * sources, at once and under one deadline; the first source in this order that knows the budget (else the first that measured
 * anything) is taken whole, so that numbers of different meaning are never mixed:
 *
 *   openslo   a definition of the user's (domain/openslo.h): its indicator's queries
 *   sloth     the records of Sloth, which `agent-sre slo rules` writes too (labels sloth_slo or sloth_id)
 *   pyrra     the records of Pyrra (label slo)
 *   series    slo:target, sli:current, slo:error_budget_remaining, slo:error_budget_burn_rate (label slo_name; WORKFLOW-001.3)
 *
 * Answers are remembered per SLO for a while; who asks for one that is being asked for waits for that. A failed or empty
 * answer is remembered for a second only, as unknown. All functions from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "clients/prometheus.h"
#include "domain/openslo.h"

struct slm_options {
	struct prometheus prometheus;      /* its timeout is the deadline */
	int64_t remember_ms;               /* 0 = ask each time */
	struct slo_thresholds thresholds;
	const struct openslo *definitions; /* of the source openslo; NULL = none */
	const char *const *sources;        /* names of the table above; NULL-terminated */
	const char *const *sli_names;      /* "SLO=SLI", NULL-terminated; else an SLI is called as its SLO */
	const char *link;                  /* Grafana's base URL; "" = no links */
};

struct slm;

/* Borrows what the options point to; it must outlive the result. E_INVALID for an unknown source. */
NODISCARD enum status slm_new(void *mem, const struct slm_options *o, struct slm **out);

/* From memory, without waiting; false when nothing is remembered. */
bool slm_recall(void *mem, struct slm *s, const char *slo, struct slo_context **out);

/* Asks, or recalls. OK with a context of no source when the data is unavailable (the context says why); E_CANCELED when
 * stopping. Blocks for the deadline at most. */
NODISCARD enum status slm_ask(void *mem, struct slm *s, const char *slo, struct slo_context **out);

/* All of an SLO unknown, for this reason, but its target and period when it is defined. */
struct slo_context *slm_unavailable(void *mem, const struct slm *s, const char *slo, const char *why);

/* The SLO's dashboard, <link>/d/slo-<slo>; NULL when none is configured. */
char *slm_link(void *mem, const struct slm *s, const char *slo);
