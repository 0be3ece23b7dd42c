/* URLs are built here (over libcurl's URL API) and nowhere else: nothing is concatenated. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct url_pair {
	const char *name;
	const char *value;
};

/* base (absolute http or https, may have a path) + path segments (each percent-encoded, NULL ends
 * the list) + query pairs (percent-encoded). E_INVALID when base is not such a URL. */
NODISCARD enum status url_build(void *mem, const char *base, const char *const *segments,
				const struct url_pair *query, size_t query_count, char **out);

/* E_INVALID with a reason unless `text` is an absolute http(s) URL without user or fragment. */
NODISCARD enum status url_check(const char *text);

/* True for http:// URLs whose host is not loopback: those need an explicit opt-in (DEC-42). */
bool url_is_plaintext_remote(const char *text);

/* Scheme and host only, for messages: never user, path or query. Under mem. */
char *url_origin(void *mem, const char *text);

/* Splits "host:port" or "[v6]:port"; E_INVALID otherwise. `*host` lives under mem. */
NODISCARD enum status url_address(void *mem, const char *text, char **host, unsigned short *port);
