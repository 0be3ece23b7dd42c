/*
 * What happens to the order of a partition key when one of its events became a dead letter (SRE-011.11): a policy per
 * event type, as the setting ordering.after_dead_letter has it ("TYPE=block", …). Pure.
 */
#pragma once

#include "base/status.h"

enum order_policy {
	ORDER_ALLOW, /* later events go on, and a replay takes effect whenever it comes */
	ORDER_SKIP,  /* later events go on; a replay that comes after them changes nothing */
	ORDER_BLOCK, /* later events become dead letters too, until the earlier ones are replayed or dropped */
};

/* The policy of a type, ORDER_ALLOW when no rule names it. `rules` is NULL-terminated, or NULL. */
enum order_policy order_policy_of(const char *const *rules, const char *type);

/* E_INVALID names the rule that is none. */
NODISCARD enum status order_check(const char *const *rules);
