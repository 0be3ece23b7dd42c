#include "clients/alertmanager.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/url.h"

enum status alertmanager_decode_alerts(void *mem, const char *body, size_t n, const json_t *labels,
				       bool *active)
{
	json_t *doc = NULL;
	json_t *entry;
	size_t a;

	if (json_parse(mem, body, n, &doc) != OK)
		return failure_in(E_INVALID, "Alertmanager's answer is not JSON");
	if (!json_is_array(doc))
		return failure(E_INVALID, "Alertmanager's answer is not a list");
	bool found = false;
	json_array_foreach (doc, a, entry) {
		const json_t *have = json_object_get(entry, "labels");
		if (!json_is_object(have))
			return failure(E_INVALID, "Alertmanager: alert %zu has no labels", a);
		found = found || json_equal(have, labels);
	}
	*active = found;
	return OK;
}

/* An error's body is a JSON string, an object with "message", or empty. */
static const char *error_text(void *mem, const struct http_reply *r)
{
	json_t *doc = NULL;
	const char *said = NULL;

	if (json_parse(mem, r->body, r->body_bytes, &doc) == OK)
		said = json_is_string(doc) ? json_string_value(doc) : json_str(doc, "message");
	return str_empty(said) ? "no reason given" : said;
}

static enum status judge(void *mem, const struct http_reply *r)
{
	if (r->code == 200)
		return OK;
	const char *text = error_text(mem, r);
	if (r->code == 401 || r->code == 403)
		return failure(E_DENIED, "Alertmanager answered %ld: check alertmanager.token",
			       r->code);
	if (r->code == 429)
		return failure_after(http_retry_after_ms(r, clock_now()), E_RATE,
				     "Alertmanager: %.300s", text);
	return failure(r->code >= 500 ? E_TRANSIENT : E_INVALID,
		       "Alertmanager answered %ld: %.300s", r->code, text);
}

static enum status call(void *mem, const struct alertmanager *a, const char *const *path,
			const struct url_pair *query, size_t n, const char *body,
			struct http_reply **out)
{
	char *url = NULL;
	const struct http_header headers[] = {
		{"Content-Type", "application/json"},
		{"Authorization", a->bearer == NULL ? "" : str_fmt(mem, "Bearer %s", a->bearer)}};

	TRY(url_build(mem, a->url, path, query, n, &url));
	const struct http_request q = {.method = body == NULL ? "GET" : "POST",
				       .url = url,
				       .headers = body == NULL ? headers + 1 : headers,
				       .header_count = (size_t)(body != NULL) + (a->bearer != NULL),
				       .body = body,
				       .body_bytes = body == NULL ? 0 : strlen(body),
				       .timeout_ms = a->timeout_ms,
				       .ca_file = a->ca_file,
				       .peer = "alertmanager"};
	enum status s = http_fetch(mem, a->http, &q, out);
	if (s != OK)
		return failure_in(s, "Alertmanager");
	return judge(mem, *out);
}

/* alertname="…", with the value escaped as Alertmanager's matcher syntax wants. */
static char *matcher(void *mem, const char *alertname)
{
	char *text = str_dup(mem, "alertname=\"");

	for (; *alertname != '\0'; alertname++) {
		if (*alertname == '\n')
			str_add(&text, "\\n");
		else
			str_add(&text, *alertname == '"' || *alertname == '\\' ? "\\%c" : "%c",
				*alertname);
	}
	str_add(&text, "\"");
	return text;
}

enum status alertmanager_is_active(void *mem, const struct alertmanager *a, const json_t *labels,
				   bool *active)
{
	static const char *const PATH[] = {"api", "v2", "alerts", NULL};
	const char *name = json_str(labels, "alertname");
	const struct url_pair query[] = {{"filter", matcher(mem, name == NULL ? "" : name)}};
	struct http_reply *r = NULL;

	TRY(call(mem, a, PATH, query, 1, NULL, &r));
	return alertmanager_decode_alerts(mem, r->body, r->body_bytes, labels, active);
}

enum status alertmanager_post(void *mem, const struct alertmanager *a, const json_t *alerts)
{
	static const char *const PATH[] = {"api", "v2", "alerts", NULL};
	struct http_reply *r = NULL;

	return call(mem, a, PATH, NULL, 0, json_text(mem, alerts), &r);
}

enum status alertmanager_proof(void *mem, const struct alertmanager *a, struct http_request *out)
{
	static const char *const PATH[] = {"api", "v2", "status", NULL};
	struct http_header *headers = NEW(mem, struct http_header);
	char *url = NULL;

	TRY(url_build(mem, a->url, PATH, NULL, 0, &url));
	if (a->bearer != NULL)
		*headers =
			(struct http_header){"Authorization", str_fmt(mem, "Bearer %s", a->bearer)};
	*out = (struct http_request){.method = "GET",
				     .url = url,
				     .headers = headers,
				     .header_count = a->bearer != NULL,
				     .ca_file = a->ca_file};
	return OK;
}

enum status alertmanager_check(void *mem, const struct alertmanager *a, const char **version)
{
	static const char *const PATH[] = {"api", "v2", "status", NULL};
	struct http_reply *r = NULL;
	json_t *doc = NULL;

	*version = NULL;
	TRY(call(mem, a, PATH, NULL, 0, NULL, &r));
	if (json_parse(mem, r->body, r->body_bytes, &doc) != OK)
		return failure_in(E_INVALID, "Alertmanager's answer is not JSON");
	*version = json_str(json_object_get(doc, "versionInfo"), "version");
	return OK;
}
