/*
 * The chosen action: which function with which parameters, by which method, how sure, and what the
 * policy says about it (SHARED.7, SHARED.16). Plus phase 0 of selection. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "domain/catalogue.h"

enum decision { DECIDE_AUTO, DECIDE_ASK, DECIDE_NEVER };

struct plan {
	const char *function;
	const char *namespace;
	json_t *parameters;    /* object, complete and checked */
	const char *method;    /* annotation|trm|rag|few_shot|ai|deepseek_mhc */
	double confidence;     /* 0..1 */
	const char *reasoning; /* one sentence for people */
	enum decision decision;
	const char *why;       /* the reason of the decision, one sentence */
	const char *digest;    /* SHA-256 of function, namespace and parameters: what an approval binds to */
	const char *target;    /* SHA-256 of function and parameters' identity: for cooldown */
};

json_t *plan_encode(void *mem, const struct plan *p);
NODISCARD enum status plan_decode(void *mem, const json_t *doc, struct plan **out);

/* Phase 0: the annotations lambda_function / lambda_parameters, or flux_reconcile (P21: "kind:name:
 * namespace", or a truthy value with flux_reconcile_kind / _namespace). E_NOTFOUND: no steering
 * annotation. E_INVALID / E_DENIED: there is one, and the sentence for the ticket says why nothing
 * is executed (name not a DNS label, not in the catalogue, parameters wrong or contradicting the
 * labels, a "{{" left over, too long). decision, why, digest, target are filled by plan_judge. */
NODISCARD enum status plan_from_annotations(void *mem, const json_t *labels, const json_t *annotations,
					    const struct catalogue *c, const char *const *protected_namespaces,
					    struct plan **out);
