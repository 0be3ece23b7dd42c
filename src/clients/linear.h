/*
 * Linear's GraphQL API. Every creation carries a client-generated id, so that a retry cannot create
 * twice: when the answer to a create is an error or lost, the object is looked up by its id before
 * anything is reported. Workflow states are resolved by type, labels by name (created when missing
 * and permitted), users by e-mail, the team by key; all cached per process.
 *
 * Statuses: E_RATE with the pause asked for (HTTP 400 RATELIMITED, 429; the headers'
 * X-RateLimit-*-Reset in ms, or Retry-After), E_DENIED (401, 403, AUTHENTICATION_ERROR, forbidden),
 * E_TRANSIENT/E_TIMEOUT (5xx, network, internal errors, lock timeout), E_INVALID (validation, and any
 * errors[] in a 200 that is none of the above). success:false is E_INVALID. The key never appears in a
 * message.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "domain/ticket.h"
#include "net/http_client.h"

struct linear_options {
	struct http_client *http;
	const char *url;      /* https://api.linear.app/graphql */
	const char *api_key;
	const char *team_key; /* SRE */
	const char *ca_file;  /* or NULL */
	int64_t timeout_ms;   /* 30 s */
};

struct linear; /* thread-safe; caches behind a mutex that is never held over I/O */

/* Copies the options. No call is made yet. */
struct linear *linear_new(void *mem, const struct linear_options *o);

/* One ticket operation (domain/ticket.h). CREATE fills *out (under mem). An unknown or refused
 * assignee or label must not fail a creation: it is left out and said in *note (.24). LINK is an
 * attachment (same URL on the same issue updates). Idempotent for the same op->uuid. */
NODISCARD enum status linear_apply(void *mem, struct linear *l, const struct ticket_op *op,
				   const struct ticket_ref *ref, struct ticket_ref *out, const char **note);

struct linear_file {
	const char *name;       /* with its ending */
	const char *media_type; /* image/png */
	const void *bytes;
	size_t size;
};
/* Stores a file; *asset_url (under mem) is what Markdown refers to, set only when all went well. Not idempotent: a repeat stores it once more, where
 * nobody refers to the first. */
NODISCARD enum status linear_upload(void *mem, struct linear *l, const struct linear_file *f, const char **asset_url);

/* For doctor: who am I (viewer name) and does the team exist. */
NODISCARD enum status linear_check(void *mem, struct linear *l, const char **viewer, const char **team);

/* The cheapest request that shows that its API answers: who am I. Texts under mem; the headers hold the key. */
void linear_proof(void *mem, const char *url, const char *api_key, struct http_request *out);

/* Pure: the verdict on one reply (its HTTP code, headers and body); `*data` is errors-free data. */
NODISCARD enum status linear_decode(void *mem, const struct http_reply *r, int64_t now_ms, json_t **data);

/* Every GraphQL document that this client sends, NULL-terminated: a test validates each against
 * Linear's schema. */
extern const char *const linear_documents[];
