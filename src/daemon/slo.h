/* The state of SLOs for people, asked of Prometheus directly and without a running agent. */
#pragma once

#include <jansson.h>

#include "config/settings.h"

/* An array of slo_context_encode (domain/slo.h), in the order of the names: of that SLO, or (name NULL) of all that the
 * definitions or Prometheus' records name, at most SLO_STATUS_MAX. One whose data is unavailable is there too, and says why.
 * Not OK when SLM is switched off, a definition is wrong, or no name can be found because Prometheus does not answer. */
enum { SLO_STATUS_MAX = 1000 };
NODISCARD enum status slo_status(void *mem, const struct settings *s, const char *name, json_t **out);
