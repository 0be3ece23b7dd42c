#include "daemon/reply.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"

static const char JSON[] = "application/json";

/* Paths are counted by their first segment, out of a closed set. */
const char *reply_endpoint(const char *path)
{
	static const char *const KNOWN[] = {"/webhook",	  "/health",	"/ready",     "/metrics",
					    "/incidents", "/approvals", "/events",    "/tickets",
					    "/dlq",	  "/schemas",	"/partitions"};

	if (str_eq(path, "/"))
		return "/";
	for (size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++)
		if (str_starts(path, KNOWN[i]))
			return KNOWN[i];
	return "other";
}

static void send_reply(struct http_exchange *x, int code, const char *type, const char *body,
		       const char *const *headers)
{
	char word[8];

	str_print(word, sizeof(word), "%d", code);
	metric_add(M_HTTP_REQUESTS, 1, reply_endpoint(http_path(x)), word);
	http_answer(x, code, type, body, strlen(body), headers);
}

/* The last reference must be dropped before the answer: afterwards the poll thread may free
 * http_mem, and with it what the body shares with other values. */
void reply_json(struct http_exchange *x, int code, json_t *body)
{
	char *text = json_text(http_mem(x), body);

	json_decref(body);
	send_reply(x, code, JSON, text, NULL);
}

void reply_json_text(struct http_exchange *x, int code, const char *text)
{
	send_reply(x, code, JSON, text, NULL);
}

static char *error_text(void *mem, const char *what, const char *detail)
{
	json_t *body = mem_own(mem, json_pack("{s:s}", "error", what));
	if (detail != NULL)
		json_object_set_new(body, "detail", json_string(detail));
	return json_text(mem, body);
}

void reply_error(struct http_exchange *x, int code, const char *what, const char *detail)
{
	SCOPE(tmp);
	send_reply(x, code, JSON, error_text(tmp, what, detail), NULL);
}

void reply_busy(struct http_exchange *x, const char *why)
{
	static const char *const RETRY[] = {"Retry-After", "2", NULL};
	SCOPE(tmp);
	send_reply(x, 503, JSON, error_text(tmp, why, NULL), RETRY);
}

void reply_limited(struct http_exchange *x, int64_t wait_ms)
{
	char seconds[16];
	const char *const retry[] = {"Retry-After", seconds, NULL};
	SCOPE(tmp);

	str_print(seconds, sizeof(seconds), "%lld", (long long)(wait_ms + 999) / 1000);
	send_reply(
		x, 429, JSON,
		error_text(tmp, "too much at once", "send it again after the pause of Retry-After"),
		retry);
}

void reply_status(struct http_exchange *x, enum status s)
{
	switch (s) {
	case E_INVALID: reply_error(x, 400, status_message(), NULL); return;
	case E_NOTFOUND: reply_error(x, 404, status_message(), NULL); return;
	case E_CONFLICT: reply_error(x, 409, status_message(), NULL); return;
	case E_DENIED: reply_error(x, 403, status_message(), NULL); return;
	case E_RATE:
	case E_TRANSIENT:
	case E_TIMEOUT:
	case E_CANCELED: reply_busy(x, "the store is busy; try again"); return;
	default: reply_error(x, 500, "internal error; the log says more", NULL);
	}
}

void reply_empty(struct http_exchange *x, int code)
{
	send_reply(x, code, NULL, "", NULL);
}

void reply_text(struct http_exchange *x, const char *content_type, const char *text)
{
	send_reply(x, 200, content_type, text, NULL);
}
