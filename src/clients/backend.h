/*
 * What Loki and Tempo have in common: where they are, who is asking, and what their answers' codes mean. Errors come as
 * plain text, or as JSON from gateways before them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "net/http_client.h"
#include "net/url.h"

struct backend {
	struct http_client *http;
	const char *name;    /* "Loki": in messages */
	const char *word;    /* "loki": in metrics; <word>.token and <word>.url are its settings */
	const char *url;     /* base; NULL = not configured */
	const char *bearer;  /* token or NULL */
	const char *tenant;  /* X-Scope-OrgID ("a|b" = both), or NULL */
	const char *ca_file; /* or NULL */
	int64_t timeout_ms;
	size_t reply_limit_bytes; /* 0 = LIMIT_REPLY_BYTES */
};

/* A GET. All texts under mem. */
NODISCARD enum status backend_request(void *mem, const struct backend *b, const char *const *path,
				      const struct url_pair *query, size_t n, struct http_request *out);

/* OK when a whole reply with code 200 is here. Else E_DENIED (401, 403), E_NOTFOUND (404), E_RATE with the pause (429),
 * E_TIMEOUT (408, 499, 503, 504, and no answer in time), E_TRANSIENT (other 5xx, network), E_INVALID (the rest),
 * E_CANCELED. */
NODISCARD enum status backend_judge(const struct backend *b, const struct http_reply *r);

/* One exchange: request, fetch and judgement. */
NODISCARD enum status backend_get(void *mem, const struct backend *b, const char *const *path,
				  const struct url_pair *query, size_t n, struct http_reply **out);
