/* From settings to what the workflow works with: the peers, the catalogue, the policy. Shared by serve
 * and doctor, so that both speak of the same things. */
#pragma once

#include "config/settings.h"
#include "flow/flow.h"

/* The catalogue named in the settings, or an empty one. */
NODISCARD enum status peers_catalogue(void *mem, const struct settings *s, struct catalogue **out);

/* Fills everything of `flow` but store and tracker. Borrows the settings' texts. */
NODISCARD enum status peers_connect(void *mem, const struct settings *s, struct flow *flow);

/* What asks for the state of SLOs, loading the definitions; NULL when it is switched off. */
NODISCARD enum status peers_slm(void *mem, const struct settings *s, const struct prometheus *p, struct slm **out);

/* Tells flow->watch who is to be watched. */
NODISCARD enum status peers_watch(void *mem, const struct settings *s, const struct flow *flow);

/* NULL when no key is set. */
struct linear *peers_linear(void *mem, const struct settings *s, struct http_client *http);
