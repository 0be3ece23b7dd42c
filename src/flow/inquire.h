/* The lane of investigations: each is taken up until it is complete or was tried often enough, and told on the ticket. */
#pragma once

#include "base/status.h"
#include "flow/engine.h"

/* As engine_advance, for LANE_INQUIRY. */
NODISCARD enum status inquire_advance(const struct flow *flow, struct turn *turn);
