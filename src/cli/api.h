/* Requests of the client commands to a running agent. */
#pragma once

#include <jansson.h>

#include "cli/command.h"

/* The options that every client command has. */
#define API_OPTIONS \
	{"server", "URL", "the agent (default $AGENT_SRE_SERVER or http://127.0.0.1:8000)"}

enum { API_QUERY_MAX = 12 };

struct api_call {
	const char *method;
	const char *const *path;   /* segments */
	const char *query_names[API_QUERY_MAX]; /* NULL = none */
	const char *query_values[API_QUERY_MAX];
	const char *content_type;
	const char *body;          /* NULL = none */
};

/* The JSON body of the answer, an object. All failures come with a message for people: E_NOTFOUND
 * (404), E_DENIED (401), E_TRANSIENT (nobody answers: what to do about it; a 5xx), E_INVALID (any
 * other refusal: the server's reason). */
NODISCARD enum status api_request(const struct invocation *i, const struct api_call *call,
				  json_t **out);

/* AGENT_SRE_TOKEN, or what the file AGENT_SRE_TOKEN_FILE holds; NULL or "" when neither is set. */
NODISCARD enum status api_token(void *mem, const char **out);

/* The login name, for "by". */
const char *api_user(void *mem);
