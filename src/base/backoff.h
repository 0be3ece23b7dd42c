/* How long to wait before the next try: capped exponential backoff with full jitter. */
#pragma once

#include <stdint.h>

struct backoff {
	int64_t base_ms;
	int64_t cap_ms;
};

/* Wait before try number `attempt` + 1, where `attempt` tries have failed (≥ 1), as a fraction
 * (`jitter` in [0,1)) of min(cap, base × 2^(attempt-1)), but at least base/2 and at least
 * `asked_ms`, the pause that the peer asked for. Pure. */
int64_t backoff_delay(struct backoff b, int attempt, double jitter, int64_t asked_ms);
