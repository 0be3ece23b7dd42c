#include "clients/backend.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

enum { HEADERS = 4, SAID_BYTES = 300 };

enum status backend_request(void *mem, const struct backend *b, const char *const *path,
			    const struct url_pair *query, size_t n, struct http_request *out)
{
	struct http_header *headers = NEW_ARRAY(mem, struct http_header, HEADERS);
	char *url = NULL;
	size_t count = 0;

	TRY(url_build(mem, b->url, path, query, n, &url));
	headers[count++] = (struct http_header){"Accept", "application/json"};
	if (b->bearer != NULL)
		headers[count++] =
			(struct http_header){"Authorization", str_fmt(mem, "Bearer %s", b->bearer)};
	if (b->tenant != NULL)
		headers[count++] = (struct http_header){"X-Scope-OrgID", b->tenant};
	*out = (struct http_request){
		.method = "GET",
		.url = url,
		.headers = headers,
		.header_count = count,
		.timeout_ms = b->timeout_ms,
		.reply_limit_bytes = b->reply_limit_bytes,
		.ca_file = b->ca_file,
		.peer = b->word,
	};
	return OK;
}

/* A page of a gateway says nothing; the first line of a plain text does. */
static const char *said(void *mem, const struct http_reply *r)
{
	static const char *const MEMBERS[] = {"error", "message"};
	json_t *doc = NULL;

	if (r->body_bytes == 0 || r->body[0] == '<')
		return NULL;
	if (json_parse(mem, r->body, r->body_bytes, &doc) != OK) {
		char *text = NEW_ARRAY(mem, char, SAID_BYTES + 1);
		utf8_copy(text, SAID_BYTES + 1, r->body);
		return text;
	}
	for (size_t n = 0; n < 2; n++)
		if (json_str(doc, MEMBERS[n]) != NULL)
			return str_fit(mem, json_str(doc, MEMBERS[n]), SAID_BYTES);
	return NULL;
}

static enum status status_of(long code)
{
	enum status s = code >= 500 ? E_TRANSIENT : E_INVALID;

	if (code == 404)
		s = E_NOTFOUND;
	if (code == 408 || code == 499 || code == 503 || code == 504)
		s = E_TIMEOUT;
	return s;
}

enum status backend_judge(const struct backend *b, const struct http_reply *r)
{
	SCOPE(mem);

	if (r->status != OK)
		return failure(r->status, "%s: %s", b->name, r->message);
	if (r->code == 200)
		return OK;
	const char *text = said(mem, r);
	if (r->code == 401 || r->code == 403)
		return failure(E_DENIED, "%s answered %ld: check %s.token and %s.tenant%s%s",
			       b->name, r->code, b->word, b->word, text == NULL ? "" : ": ",
			       text == NULL ? "" : text);
	if (r->code == 429)
		return failure_after(http_retry_after_ms(r, clock_now()), E_RATE,
				     "%s answered 429: %s", b->name,
				     text == NULL ? "too many requests" : text);
	return failure(status_of(r->code), "%s answered %ld%s%s", b->name, r->code,
		       text == NULL ? "" : ": ", text == NULL ? "" : text);
}

enum status backend_get(void *mem, const struct backend *b, const char *const *path,
			const struct url_pair *query, size_t n, struct http_reply **out)
{
	struct http_request request;
	struct http_reply *replies = NULL;

	TRY(backend_request(mem, b, path, query, n, &request));
	http_fetch_all(mem, b->http, &request, 1, &replies);
	TRY(backend_judge(b, replies));
	*out = replies;
	return OK;
}
