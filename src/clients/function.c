/*
 * Nine shapes of reply (platform-contracts section 5), one rule: success needs an explicit status
 * "success"; what cannot be read is unknown, never success.
 */
#include "clients/function.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/trace.h"

enum { MESSAGE_POINTS = 500 };

static void say(void *mem, struct function_reply *out, enum call_result result, const char *message)
{
	out->result = result;
	out->message = str_empty(message) ? "" : str_cut(mem, message, MESSAGE_POINTS);
}

/* The event type of a CloudEvent in either mode; NULL = not a CloudEvent. */
static const char *event_type(const struct http_reply *r, const json_t *body, bool *structured)
{
	const char *content_type = http_reply_header(r, "content-type");

	*structured = content_type != NULL &&
		      strncasecmp(content_type, "application/cloudevents+json", 28) == 0;
	return *structured ? json_str(body, "type") : http_reply_header(r, "ce-type");
}

/* {"status": …}, {"success": false}, or nothing that decides. */
static bool read_status(void *mem, const json_t *data, struct function_reply *out)
{
	const char *status = json_str(data, "status");
	const char *message = json_str(data, "message");
	const json_t *success = json_object_get(data, "success");

	if (str_eq(status, "success") && !json_is_false(success)) {
		say(mem, out, CALL_SUCCESS, message);
	} else if (str_eq(status, "error") || str_eq(status, "failed") ||
		   str_eq(status, "failure")) {
		say(mem, out, CALL_FAILED,
		    str_empty(message) ? "the function reports an error" : message);
	} else if (json_is_false(success)) {
		const char *error = json_str(data, "error");
		say(mem, out, CALL_FAILED,
		    !str_empty(message) ? message
		    : !str_empty(error) ? error
					: "the function did not start");
	} else {
		return false;
	}
	return true;
}

/* {error: {code|type, message, retryable}} */
static bool read_error(void *mem, const json_t *data, struct function_reply *out)
{
	const json_t *error = json_object_get(data, "error");
	const json_t *retryable = json_object_get(error, "retryable");
	const char *message = json_str(error, "message");

	if (!json_is_object(error))
		return false;
	say(mem, out, CALL_FAILED, str_empty(message) ? "the function reports an error" : message);
	out->retryable = json_is_true(retryable);
	out->cannot_fix = json_is_false(retryable);
	return true;
}

/* A success under a status code that is none would be a guess. */
static bool obey_code(void *mem, const json_t *result, struct function_reply *out)
{
	int64_t code = json_int(result, "statusCode", 200);

	if (out->result == CALL_SUCCESS && (code < 200 || code > 299))
		say(mem, out, CALL_FAILED,
		    str_fmt(mem, "the function's own status code is %lld", (long long)code));
	return true;
}

static bool read_data(void *mem, const json_t *data, struct function_reply *out)
{
	const json_t *result = json_object_get(data, "result");
	const json_t *inner = json_object_get(result, "body");

	if (read_error(mem, data, out))
		return true;
	if (json_is_object(inner))
		return read_error(mem, inner, out) ||
		       (read_status(mem, inner, out) && obey_code(mem, result, out));
	if (json_is_object(result))
		return read_status(mem, result, out);
	return read_status(mem, data, out);
}

static void read_success(void *mem, const struct http_reply *r, const json_t *body,
			 struct function_reply *out)
{
	bool structured;
	const char *type = event_type(r, body, &structured);
	const json_t *data = structured ? json_object_get(body, "data") : body;

	if (!read_data(mem, data, out))
		say(mem, out, CALL_UNKNOWN, "the reply has no status that is known");
	/* an event that calls itself an error is none the less one */
	if (type != NULL &&
	    (str_ends(type, ".response.error") || str_ends(type, ".response.timeout")) &&
	    out->result != CALL_FAILED)
		say(mem, out, CALL_FAILED, "the runtime reports an error");
}

/* 404, 429 and 503 without a function's own reply come from the ingress: nothing ran. */
static void read_failure(void *mem, const struct http_reply *r, const json_t *body, int64_t now_ms,
			 struct function_reply *out)
{
	bool structured;
	const char *type = event_type(r, body, &structured);
	const json_t *data = structured ? json_object_get(body, "data") : body;
	bool own = body != NULL && read_data(mem, data, out);

	bool error = type != NULL && str_ends(type, ".response.error");
	bool busy = r->code == 429 || r->code == 503;
	bool lost = !own && !error && !busy && r->code >= 500;
	/* a gateway that lost the reply does not know what the function did */
	if (!own || out->result == CALL_SUCCESS)
		say(mem, out, lost ? CALL_UNKNOWN : CALL_FAILED,
		    str_fmt(mem, "the function answered %ld", r->code));
	if (busy && !own && type == NULL)
		out->retryable = true;
	out->retry_after_ms = http_retry_after_ms(r, now_ms);
	if (r->code == 504 || (type != NULL && str_ends(type, ".response.timeout"))) {
		say(mem, out, CALL_UNKNOWN, "the function ran out of time");
		out->retryable = false;
	}
	if (r->code >= 400 && r->code < 500 && r->code != 408 && r->code != 409 && r->code != 429)
		out->cannot_fix = true;
	if (r->code >= 300 && r->code < 400)
		say(mem, out, CALL_FAILED,
		    "the function answered with a redirect, which is never followed");
}

static void read_no_reply(void *mem, const struct http_reply *r, struct function_reply *out)
{
	bool sent = r->progress != HTTP_NOT_SENT;

	say(mem, out, sent ? CALL_UNKNOWN : CALL_FAILED, r->message);
	out->retryable = !sent && r->status != E_INVALID;
}

void function_decode(void *mem, const struct http_reply *r, int64_t now_ms,
		     struct function_reply **out)
{
	struct function_reply *f = NEW(mem, struct function_reply);
	json_t *body = NULL;

	f->message = "";
	f->http_code = r->code;
	const char *correlation = http_reply_header(r, "x-correlation-id");
	f->correlation_id = correlation == NULL ? "" : correlation;
	*out = f;
	if (r->status != OK) {
		read_no_reply(mem, r, f);
		return;
	}
	bool readable =
		json_parse(mem, r->body, r->body_bytes, &body) == OK && json_is_object(body);
	if (r->code < 200 || r->code > 299)
		read_failure(mem, r, readable ? body : NULL, now_ms, f);
	else if (readable)
		read_success(mem, r, body, f);
	else
		say(mem, f, CALL_UNKNOWN, "the reply is not a JSON object");
}

char *function_url(void *mem, const struct function_options *o, const char *function,
		   const char *namespace)
{
	return str_fmt(mem, "%s://%s.%s.%s/", o->scheme, function, namespace, o->domain);
}

static enum status host_of(void *mem, const struct function_options *o,
			   const struct function_call *c, char **out)
{
	if (!str_is_dns_label(c->function) || !str_is_dns_label(c->namespace))
		return failure(E_DENIED, "'%.60s' in '%.60s' is not a function's name", c->function,
			       c->namespace);
	*out = str_fmt(mem, "%s.%s.%s", c->function, c->namespace, o->domain);
	return OK;
}

static enum status send_call(void *mem, const struct function_options *o,
			     const struct function_call *c, const char *host,
			     struct http_reply **reply)
{
	char *body = json_text(mem, c->parameters);
	const struct http_header headers[] = {
		{"ce-specversion", "1.0"},
		{"ce-type", "io.homelab.agent-sre.remediation.request"},
		{"ce-source", "agent-sre"},
		{"ce-id", c->correlation_id},
		{"ce-time", clock_format(mem, c->now_ms)},
		{"ce-correlationid", c->correlation_id},
		{"ce-idempotencykey", c->idempotency_key},
		{"X-Correlation-ID", c->correlation_id},
		{"Idempotency-Key", c->idempotency_key},
		{"Content-Type", "application/json"},
		{"Authorization", o->bearer == NULL ? "" : str_fmt(mem, "Bearer %s", o->bearer)},
	};
	const struct http_request q = {
		.method = "POST",
		.url = str_fmt(mem, "%s://%s/", o->scheme, host), /* made of validated names only */
		.headers = headers,
		.header_count = sizeof(headers) / sizeof(headers[0]) - (o->bearer == NULL ? 1 : 0),
		.body = body,
		.body_bytes = strlen(body),
		.timeout_ms = c->timeout_ms,
		.connect_to = o->gateway,
		.ca_file = o->ca_file,
		.once = !c->idempotent,
		.peer = "function",
	};

	/* stopped after it was sent, the call is one whose effect is not known */
	enum status s = http_fetch(mem, o->http, &q, reply);
	return s == E_CANCELED && (*reply)->progress == HTTP_NOT_SENT ? s : OK;
}

static void describe(void *mem, struct span *span, const struct function_call *c,
		     const struct function_reply *r)
{
	span_attribute(span, "lambda_function.status",
		       r->result == CALL_SUCCESS ? "success" : "error");
	span_attribute(span, "lambda_function.message", r->message);
	span_attribute(span, "lambda_function.http_status", str_fmt(mem, "%ld", r->http_code));
	span_attribute(span, "lambda_function.event_id", c->correlation_id);
	if (r->result != CALL_SUCCESS)
		span_error(span, r->message);
}

enum status function_invoke(void *mem, const struct function_options *o,
			    const struct function_call *c, struct function_reply **out)
{
	char *host = NULL;
	struct http_reply *reply = NULL;
	struct span span;

	TRY(host_of(mem, o, c, &host));
	span_begin(&span, "lambda_function.call", SPAN_CLIENT, NULL);
	span_attribute(&span, "lambda_function", c->function);
	span_attribute(&span, "namespace", c->namespace);
	span_attribute(&span, "correlation_id", c->correlation_id);
	span_attribute(&span, "url", host);
	enum status s = send_call(mem, o, c, host, &reply);
	if (s == OK) {
		function_decode(mem, reply, clock_now(), out);
		describe(mem, &span, c, *out);
	}
	span_end(&span);
	return s;
}
