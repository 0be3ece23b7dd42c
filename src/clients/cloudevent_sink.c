#include "clients/cloudevent_sink.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

static enum status judge(const struct http_reply *r)
{
	if (r->status != OK)
		return failure(r->status, "the sink does not answer: %s", r->message);
	if (r->code >= 200 && r->code <= 299)
		return OK;
	if (r->code == 401 || r->code == 403)
		return failure(E_DENIED, "the sink answered %ld: check the token", r->code);
	if (r->code == 429)
		return failure_after(http_retry_after_ms(r, clock_now()), E_RATE,
				     "the sink asks for a pause");
	bool again = r->code >= 500 || r->code == 404 || r->code == 408 || r->code == 409;
	return failure(again ? E_TRANSIENT : E_INVALID, "the sink answered %ld", r->code);
}

static struct http_request request_of(void *mem, const struct sink *s, const char *event,
				      const char *correlation)
{
	struct http_header *headers = NEW_ARRAY(mem, struct http_header, 3);
	size_t n = 0;

	headers[n++] = (struct http_header){"Content-Type", "application/cloudevents+json"};
	if (correlation != NULL)
		headers[n++] = (struct http_header){"X-Correlation-ID", correlation};
	if (s->bearer != NULL)
		headers[n++] =
			(struct http_header){"Authorization", str_fmt(mem, "Bearer %s", s->bearer)};
	return (struct http_request){.method = "POST",
				     .url = s->url,
				     .headers = headers,
				     .header_count = n,
				     .body = event,
				     .body_bytes = strlen(event),
				     .timeout_ms = s->timeout_ms,
				     .ca_file = s->ca_file,
				     .peer = "sink"};
}

enum { AT_ONCE = 64 };

static enum status deliver_some(const struct sink *s, const char *const *events,
				const char *const *correlation_ids, size_t n, size_t *accepted)
{
	SCOPE(mem);
	struct http_request *requests = NEW_ARRAY(mem, struct http_request, n);
	struct http_reply *replies = NULL;
	enum status worst = OK;
	const char *why = "";
	int64_t pause_ms = 0;

	for (size_t i = 0; i < n; i++)
		requests[i] = request_of(mem, s, events[i],
					 correlation_ids == NULL ? NULL : correlation_ids[i]);
	http_fetch_all(mem, s->http, requests, n, &replies);
	for (size_t i = 0; i < n; i++) {
		enum status one = judge(&replies[i]);
		*accepted += one == OK;
		if (one != OK && worst == OK) {
			worst = one;
			why = str_dup(mem, status_message());
			pause_ms = status_retry_after_ms();
		}
	}
	return worst == OK ? OK : failure_after(pause_ms, worst, "%s", why);
}

enum status sink_deliver(const struct sink *s, const char *const *events,
			 const char *const *correlation_ids, size_t n, size_t *accepted)
{
	*accepted = 0;
	for (size_t from = 0; from < n; from += AT_ONCE) {
		size_t some = n - from < AT_ONCE ? n - from : AT_ONCE;
		TRY(deliver_some(s, events + from,
				 correlation_ids == NULL ? NULL : correlation_ids + from, some,
				 accepted));
	}
	return OK;
}
