/*
 * Calling a LambdaFunction (platform-contracts section 5): a CloudEvent in binary mode, the
 * parameters as body; and reading all nine shapes of reply. Never a redirect, never a host that is
 * not made of validated names.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "domain/incident.h"
#include "net/http_client.h"

struct function_options {
	struct http_client *http;
	const char *scheme;        /* "http" or "https" */
	const char *domain;        /* "svc.cluster.local" */
	const char *gateway;       /* "host:port" to connect to in place of <fn>.<ns>.<domain>; NULL = that host.
				      The Host header stays <fn>.<ns>.<domain> (a Knative ingress routes by it) */
	const char *bearer;        /* token or NULL */
	const char *ca_file;       /* or NULL */
};

struct function_call {
	const char *function;       /* DNS labels; anything else is E_DENIED without a connection */
	const char *namespace;
	const json_t *parameters;   /* object */
	const char *correlation_id;
	const char *idempotency_key;
	bool idempotent;            /* the function promises that a repeat with the same key has no effect */
	int64_t now_ms;
	int64_t timeout_ms;
};

struct function_reply {
	enum call_result result;  /* SUCCESS only for an explicit status "success"; UNKNOWN for no or an
				     unknown status, not JSON, truncated, timeout after sending */
	const char *message;      /* the function's words or what went wrong; "" when none */
	bool retryable;           /* the call cannot have had an effect (not sent, 429, 503 from the ingress
				     without a function's reply), or the function says so */
	bool cannot_fix;          /* 4xx, or error.retryable false */
	int64_t retry_after_ms;
	long http_code;           /* 0 = none */
	const char *correlation_id; /* as echoed; "" */
};

/* OK: a verdict is in *out, also for failures of the call. Other statuses: the call was not
 * attempted (E_DENIED bad names, E_CANCELED stopping). */
NODISCARD enum status function_invoke(void *mem, const struct function_options *o,
				      const struct function_call *c, struct function_reply **out);

/* Where a call goes, for watching it: made of the names as they are. */
char *function_url(void *mem, const struct function_options *o, const char *function, const char *namespace);

/* Pure: reads any reply. */
void function_decode(void *mem, const struct http_reply *r, int64_t now_ms, struct function_reply **out);
