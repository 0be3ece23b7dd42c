/* Delivers structured CloudEvents to one sink (K_SINK), many at once over kept-alive connections. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "net/http_client.h"

struct sink {
	struct http_client *http;
	const char *url;
	const char *bearer;  /* or NULL */
	const char *ca_file; /* or NULL */
	int64_t timeout_ms;  /* 30 s for all of them */
};

/* Posts the n JSON texts. `*accepted` counts those that the sink took (2xx). OK only when it took all;
 * else the status of the first failure: E_TRANSIENT, E_TIMEOUT, E_RATE, E_DENIED (401, 403), E_INVALID
 * (other 4xx, 3xx). `correlation_ids` (parallel, may be NULL) become X-Correlation-ID. */
NODISCARD enum status sink_deliver(const struct sink *s, const char *const *events,
				   const char *const *correlation_ids, size_t n, size_t *accepted);
