#include "cli/api.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/http_client.h"
#include "net/url.h"

enum { TIMEOUT_MS = 30000 };

static const char *server_of(const struct invocation *i)
{
	const char *option = option_value(i, "server");
	const char *variable = getenv("AGENT_SRE_SERVER");

	return option != NULL ? option : !str_empty(variable) ? variable : "http://127.0.0.1:8000";
}

enum status api_token(void *mem, const char **out)
{
	const char *path = getenv("AGENT_SRE_TOKEN_FILE");
	char *text = NULL;
	size_t n = 0;

	*out = getenv("AGENT_SRE_TOKEN");
	if (!str_empty(*out) || str_empty(path))
		return OK;
	TRY(file_read(mem, path, LIMIT_BODY_BYTES, &text, &n));
	while (n > 0 && strchr(" \r\n\t", text[n - 1]) != NULL)
		text[--n] = '\0';
	*out = text;
	return OK;
}

static enum status judge(const struct http_reply *r, const json_t *body, const char *server)
{
	const char *error = json_str(body, "error");
	const json_t *first = json_array_get(json_object_get(body, "events"), 0);
	const char *detail = json_str(first != NULL ? first : body, "detail");

	if (r->code >= 200 && r->code <= 299)
		return OK;
	if (r->code == 401)
		return failure(E_DENIED,
			       "%s wants a token: set AGENT_SRE_TOKEN or AGENT_SRE_TOKEN_FILE",
			       server);
	if (r->code == 404)
		return failure(E_NOTFOUND, "%s", error == NULL ? "not found" : error);
	return failure(r->code >= 500 ? E_TRANSIENT : E_INVALID, "%s%s%s (the server answered %ld)",
		       error == NULL ? "refused" : error, detail == NULL ? "" : ": ",
		       detail == NULL ? "" : detail, r->code);
}

static enum status send_request(const struct invocation *i, const struct api_call *call,
				const char *server, struct http_reply **reply)
{
	struct http_client *http = NULL;
	const char *token = NULL;
	char *url = NULL;
	struct http_header headers[2];
	size_t count = 0;
	struct url_pair query[API_QUERY_MAX];
	size_t pairs = 0;

	for (int n = 0; n < API_QUERY_MAX; n++)
		if (call->query_names[n] != NULL)
			query[pairs++] =
				(struct url_pair){call->query_names[n], call->query_values[n]};
	if (url_build(i->mem, server, call->path, query, pairs, &url) != OK)
		return failure_in(E_INVALID, "--server %s", server);
	TRY(api_token(i->mem, &token));
	TRY(http_client_new(i->mem, "agent-sre-cli/" AGENT_SRE_VERSION, &http));
	if (call->content_type != NULL)
		headers[count++] = (struct http_header){"Content-Type", call->content_type};
	if (!str_empty(token))
		headers[count++] =
			(struct http_header){"Authorization", str_fmt(i->mem, "Bearer %s", token)};
	const struct http_request q = {.method = call->method,
				       .url = url,
				       .headers = headers,
				       .header_count = count,
				       .body = call->body,
				       .body_bytes = call->body == NULL ? 0 : strlen(call->body),
				       .timeout_ms = TIMEOUT_MS,
				       .ca_file = getenv("SSL_CERT_FILE")};
	return http_fetch(i->mem, http, &q, reply);
}

enum status api_request(const struct invocation *i, const struct api_call *call, json_t **out)
{
	const char *server = server_of(i);
	struct http_reply *r = NULL;
	json_t *body = NULL;

	enum status s = send_request(i, call, server, &r);
	if (s == E_INVALID)
		return s;
	if (s != OK || r == NULL)
		return failure(E_TRANSIENT,
			       "no agent answers at %s (%s): start one with 'agent-sre serve', or "
			       "name it with --server",
			       server, status_message());
	bool readable =
		r->body_bytes > 0 && json_parse(i->mem, r->body, r->body_bytes, &body) == OK;
	TRY(judge(r, readable ? body : NULL, server));
	if (!json_is_object(body))
		return failure(E_INVALID, "%s does not answer like an agent", server);
	*out = body;
	return OK;
}

const char *api_user(void *mem)
{
	struct passwd entry;
	struct passwd *found = NULL;
	char buffer[1024];

	if (getpwuid_r(getuid(), &entry, buffer, sizeof(buffer), &found) != 0 || found == NULL)
		return "unknown";
	return str_dup(mem, entry.pw_name);
}
