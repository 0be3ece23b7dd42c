#include "daemon/audit.h"

#include "base/log.h"
#include "base/str.h"

enum { BY_POINTS = 100 };

const char *audit_who(struct http_exchange *x, const char *by)
{
	void *mem = http_mem(x);

	return str_fmt(mem, "%s@%s", str_empty(by) ? "anonymous" : str_cut(mem, by, BY_POINTS),
		       http_peer_address(x));
}

void audit(const char *who, const char *what, const char *target, const char *outcome,
	   const char *correlation_id)
{
	log_event(LOG_INFO, "audit", "who", who, "what", what, "target", target, "outcome", outcome,
		  "correlation_id", correlation_id, NULL);
}
