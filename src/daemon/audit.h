/* The audit trail: one log line for every operation that changes something (X.4). */
#pragma once

#include "net/http_server.h"

/* Who asks, as the caller says (`by` may be NULL or "") and from where: "kim@10.0.0.7". Under the exchange. */
const char *audit_who(struct http_exchange *x, const char *by);

/* `what` is "dlq.replay", "schemas.add", …; `outcome` "success", or why not; `correlation_id` may be NULL. */
void audit(const char *who, const char *what, const char *target, const char *outcome, const char *correlation_id);
