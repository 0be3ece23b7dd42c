/*
 * A bucket of S3, MinIO and their like: path style, Signature Version 4 with the body's digest signed. Every call may
 * be repeated without harm, so 5xx, 429 and broken connections are tried again, with growing pauses.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "net/http_client.h"

struct bucket {
	struct http_client *http;
	const char *endpoint; /* "https://s3.eu-central-1.amazonaws.com" */
	const char *region, *name;
	const char *prefix;   /* "backups/one", or "" */
	const char *key_id, *secret, *token; /* token NULL or "": none */
	const char *ca_file;                 /* NULL = the system's */
	int64_t timeout_ms;                  /* of one try */
};

/* E_INVALID: "s3://BUCKET/PREFIX" is wanted, of [A-Za-z0-9._-] and slashes. */
NODISCARD enum status bucket_parse(void *mem, const char *text, const char **name, const char **prefix);

/* Names are relative to the prefix. E_DENIED: the keys are refused; E_INVALID: no such bucket, wrong region, …;
 * E_TRANSIENT, E_TIMEOUT, E_RATE: after all tries. */
NODISCARD enum status bucket_put(const struct bucket *b, const char *name, const void *bytes, size_t n);
/* E_NOTFOUND: no such object. `*out` is followed by a NUL. */
NODISCARD enum status bucket_get(void *mem, const struct bucket *b, const char *name, size_t limit, char **out,
				 size_t *n);
NODISCARD enum status bucket_remove(const struct bucket *b, const char *name);
/* All names, in the order of the bucket. */
NODISCARD enum status bucket_list(void *mem, const struct bucket *b, char ***names, size_t *count);

/* One page of ListObjectsV2: appends the keys that begin with `prefix`, without it; `*next` is the token of the next
 * page, or NULL. E_INVALID: no such answer. */
NODISCARD enum status bucket_decode_list(void *mem, const char *xml, size_t bytes, const char *prefix, char ***names,
					 size_t *count, char **next);
