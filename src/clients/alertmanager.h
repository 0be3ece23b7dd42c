/* Alertmanager's API v2: is this alert still active? Used when no resolved event comes (DEC-09). */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/status.h"
#include "net/http_client.h"

struct alertmanager {
	struct http_client *http;
	const char *url;
	const char *bearer;  /* or NULL */
	const char *ca_file; /* or NULL */
	int64_t timeout_ms;
};

/* `*active` = an alert with exactly these labels is there (silenced and inhibited ones count). */
NODISCARD enum status alertmanager_is_active(void *mem, const struct alertmanager *a, const json_t *labels,
					     bool *active);
/* Raises or ends alerts: an array of {labels, annotations, startsAt, endsAt}. Repeating it changes nothing. */
NODISCARD enum status alertmanager_post(void *mem, const struct alertmanager *a, const json_t *alerts);
NODISCARD enum status alertmanager_check(void *mem, const struct alertmanager *a, const char **version);

/* The cheapest request that shows that its API answers. Texts under mem. */
NODISCARD enum status alertmanager_proof(void *mem, const struct alertmanager *a, struct http_request *out);

/* Pure: errors may be a JSON string, an object or empty. */
NODISCARD enum status alertmanager_decode_alerts(void *mem, const char *body, size_t n, const json_t *labels,
						 bool *active);
