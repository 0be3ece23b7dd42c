#include "clients/tempo.h"

#include <ctype.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/json.h"
#include "base/json_node.h"
#include "base/mem.h"
#include "base/str.h"

enum { TRACE_ID_BYTES = 16, SPAN_ID_BYTES = 8, SEARCH_MAX = 100 };

static const char *set_or_null(const char *text)
{
	return str_empty(text) ? NULL : text;
}

struct backend tempo_backend(struct http_client *http, const char *url, const char *token,
			     const char *tenant, const char *ca_file, int64_t timeout_ms)
{
	return (struct backend){
		.http = http,
		.name = "Tempo",
		.word = "tempo",
		.url = set_or_null(url),
		.bearer = set_or_null(token),
		.tenant = set_or_null(tenant),
		.ca_file = ca_file,
		.timeout_ms = timeout_ms,
		.reply_limit_bytes = TEMPO_REPLY_BYTES,
	};
}

static char *first_second(void *mem, int64_t ms)
{
	return str_fmt(mem, "%lld", (long long)(ms / 1000));
}

static char *last_second(void *mem, int64_t ms)
{
	return str_fmt(mem, "%lld", (long long)((ms + 999) / 1000));
}

enum status tempo_search_request(void *mem, const struct backend *b, const struct tempo_query *q,
				 struct http_request *out)
{
	static const char *const PATH[] = {"api", "search", NULL};
	const struct url_pair query[] = {
		{"q", q->traceql},
		{"limit", str_fmt(mem, "%d", q->limit)},
		{"start", first_second(mem, q->start_ms)},
		{"end", last_second(mem, q->end_ms)},
	};

	return backend_request(mem, b, PATH, query, 4, out);
}

enum status tempo_search_reply(void *mem, const struct backend *b, const struct http_reply *r,
			       struct found_trace **out, size_t *count)
{
	TRY(backend_judge(b, r));
	return tempo_decode_search(mem, r->body, r->body_bytes, out, count);
}

/* The older of the two ways: every Tempo has it, and it says 404 when there is no such trace. */
enum status tempo_trace_request(void *mem, const struct backend *b, const char *id,
				int64_t start_ms, int64_t end_ms, struct http_request *out)
{
	const char *path[] = {"api", "traces", id, NULL};
	const struct url_pair query[] = {{"start", first_second(mem, start_ms)},
					 {"end", last_second(mem, end_ms)}};

	return backend_request(mem, b, path, query, 2, out);
}

enum status tempo_trace_reply(void *mem, const struct backend *b, const struct http_reply *r,
			      struct spans **out)
{
	TRY(backend_judge(b, r));
	return tempo_decode_trace(mem, r->body, r->body_bytes, TEMPO_SPANS_MAX, out);
}

enum status tempo_search(void *mem, const struct backend *b, const struct tempo_query *q,
			 struct found_trace **out, size_t *count)
{
	struct http_request request;
	struct http_reply *r = NULL;

	TRY(tempo_search_request(mem, b, q, &request));
	http_fetch_all(mem, b->http, &request, 1, &r);
	return tempo_search_reply(mem, b, r, out, count);
}

enum status tempo_trace(void *mem, const struct backend *b, const char *id, int64_t start_ms,
			int64_t end_ms, struct spans **out)
{
	struct http_request request;
	struct http_reply *r = NULL;

	TRY(tempo_trace_request(mem, b, id, start_ms, end_ms, &request));
	http_fetch_all(mem, b->http, &request, 1, &r);
	return tempo_trace_reply(mem, b, r, out);
}

static bool is_hex(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isxdigit((unsigned char)text[i]))
			return false;
	return n > 0;
}

/* Hex of at most 2 * bytes digits, filled up with zeros. */
static void fill_hex(const char *text, size_t n, size_t bytes, char *out)
{
	memset(out, '0', 2 * bytes - n);
	for (size_t i = 0; i < n; i++)
		out[2 * bytes - n + i] = (char)tolower((unsigned char)text[i]);
	out[2 * bytes] = '\0';
}

static bool from_base64(const char *text, size_t n, size_t bytes, char *out)
{
	static const char DIGITS[] = "0123456789abcdef";
	char padded[28];
	unsigned char raw[24];
	size_t whole = (bytes + 2) / 3 * 4;

	while (n > 0 && text[n - 1] == '=')
		n--;
	if (n != (bytes * 8 + 5) / 6)
		return false;
	memcpy(padded, text, n);
	memset(padded + n, '=', whole - n);
	if (EVP_DecodeBlock(raw, (const unsigned char *)padded, (int)whole) < (int)bytes)
		return false;
	for (size_t i = 0; i < bytes; i++) {
		out[2 * i] = DIGITS[raw[i] >> 4];
		out[2 * i + 1] = DIGITS[raw[i] & 15];
	}
	out[2 * bytes] = '\0';
	return true;
}

/* out holds 2 * bytes + 1 characters. Hex may have lost its leading zeros; base64 of that many
 * bytes ends with "=", or, cut off, has letters beyond f. */
static bool read_id(const char *text, size_t bytes, char *out)
{
	size_t n = text == NULL ? 0 : strlen(text);

	if (n == 0)
		return false;
	if (n <= 2 * bytes && is_hex(text, n)) {
		fill_hex(text, n, bytes, out);
		return true;
	}
	return from_base64(text, n, bytes, out);
}

/* A 64-bit number, as a string or not; 0 when it is none. */
static int64_t number(const struct node *object, const char *key)
{
	const struct node *n = node_get(object, key);
	long long value;

	if (n == NULL)
		return 0;
	if (n->kind == NODE_INTEGER)
		return n->integer > 0 ? n->integer : 0;
	if (n->kind == NODE_REAL)
		return n->real > 0 && n->real < 9e18 ? (int64_t)n->real : 0;
	if (n->kind == NODE_STRING && str_to_int(n->text, 0, INT64_MAX, &value) == OK)
		return value;
	return 0;
}

static bool has_elements(const struct node *n)
{
	return n != NULL && n->kind == NODE_ARRAY;
}

enum status tempo_decode_search(void *mem, const char *body, size_t n, struct found_trace **out,
				size_t *count)
{
	SCOPE(tmp);
	const struct node *doc = NULL;
	size_t found = 0;

	if (node_parse(tmp, body, n, &doc) != OK || doc->kind != NODE_OBJECT)
		return failure(E_INVALID, "Tempo's answer is not a JSON object");
	const struct node *traces = node_get(doc, "traces");
	if (traces != NULL && traces->kind != NODE_ARRAY && traces->kind != NODE_NULL)
		return failure(E_INVALID, "Tempo: traces is not a list");
	struct found_trace *list = NEW_ARRAY(tmp, struct found_trace, SEARCH_MAX);
	if (has_elements(traces)) {
		NODE_EACH(trace, traces)
		{
			struct found_trace *t = &list[found];
			if (!read_id(node_str(trace, "traceID"), TRACE_ID_BYTES, t->id))
				return failure(E_INVALID, "Tempo: a trace without an id");
			t->start_ns = number(trace, "startTimeUnixNano");
			t->duration_ms = number(trace, "durationMs");
			if (++found == SEARCH_MAX)
				break;
		}
	}
	*out = MOVE(mem, list);
	*count = found;
	return OK;
}

static const char *service_of(const struct node *resource_spans)
{
	const struct node *attributes =
		node_get(node_get(resource_spans, "resource"), "attributes");

	if (!has_elements(attributes))
		return "";
	NODE_EACH(a, attributes)
	{
		const char *value = node_str(node_get(a, "value"), "stringValue");
		if (str_eq(node_str(a, "key"), "service.name") && value != NULL)
			return value;
	}
	return "";
}

static bool has_failed(const struct node *span)
{
	const struct node *status = node_get(span, "status");

	return str_eq(node_str(status, "code"), "STATUS_CODE_ERROR") ||
	       node_int(status, "code", 0) == 2;
}

static const char *or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

static enum status read_span(struct spans *out, const struct node *span, const char *service)
{
	char trace[2 * TRACE_ID_BYTES + 1];
	char own[2 * SPAN_ID_BYTES + 1];
	char parent[2 * SPAN_ID_BYTES + 1] = "";
	const char *told = or_empty(node_str(span, "parentSpanId"));

	if (!read_id(node_str(span, "traceId"), TRACE_ID_BYTES, trace) ||
	    !read_id(node_str(span, "spanId"), SPAN_ID_BYTES, own))
		return failure(E_INVALID, "Tempo: a span without ids");
	if (*told != '\0' && !read_id(told, SPAN_ID_BYTES, parent))
		return failure(E_INVALID, "Tempo: a span's parent is no id");
	/* a root's parent may come as zeros */
	if (strspn(parent, "0") == strlen(parent))
		parent[0] = '\0';
	int64_t start_ns = number(span, "startTimeUnixNano");
	int64_t end_ns = number(span, "endTimeUnixNano");
	out->spans[out->count++] = (struct trace_span){
		.trace_id = str_dup(out, trace),
		.span_id = str_dup(out, own),
		.parent_id = str_dup(out, parent),
		.service = service,
		.name = str_dup(out, or_empty(node_str(span, "name"))),
		.start_us = start_ns / 1000,
		.duration_us = end_ns > start_ns ? (end_ns - start_ns) / 1000 : 0,
		.failed = has_failed(span),
	};
	return OK;
}

static enum status read_scope(struct spans *out, size_t limit, const struct node *scope,
			      const char *service)
{
	const struct node *spans = node_get(scope, "spans");

	if (!has_elements(spans))
		return OK;
	size_t room = limit - out->count;
	size_t take = spans->size < room ? spans->size : room;
	out->cut = out->cut || take < spans->size;
	out->spans = GROW(out, out->spans, struct trace_span, out->count + take + 1);
	NODE_EACH(span, spans)
	{
		if (out->count == limit)
			break;
		TRY(read_span(out, span, service));
	}
	return OK;
}

static enum status read_resources(struct spans *out, size_t limit, const struct node *resources)
{
	NODE_EACH(one, resources)
	{
		const struct node *scopes = node_get(one, "scopeSpans");
		/* of collectors before OTLP 0.15 */
		if (scopes == NULL)
			scopes = node_get(one, "instrumentationLibrarySpans");
		if (!has_elements(scopes))
			continue;
		if (out->count == limit) {
			out->cut = true;
			return OK;
		}
		const char *service = str_dup(out, service_of(one));
		NODE_EACH(scope, scopes)
		TRY(read_scope(out, limit, scope, service));
	}
	return OK;
}

enum status tempo_decode_trace(void *mem, const char *body, size_t n, size_t limit,
			       struct spans **out)
{
	SCOPE(tmp);
	const struct node *doc = NULL;
	struct spans *spans = NEW(tmp, struct spans);

	spans->spans = NEW_ARRAY(spans, struct trace_span, 1);
	if (node_parse(tmp, body, n, &doc) != OK || doc->kind != NODE_OBJECT)
		return failure(E_INVALID, "Tempo's answer is not a JSON object");
	const struct node *trace = node_get(doc, "trace");
	const struct node *resources = node_get(doc, "batches");
	if (resources == NULL)
		resources = node_get(trace != NULL && trace->kind == NODE_OBJECT ? trace : doc,
				     "resourceSpans");
	if (resources != NULL && resources->kind != NODE_ARRAY && resources->kind != NODE_NULL)
		return failure(E_INVALID, "Tempo: the trace is not a list");
	if (has_elements(resources))
		TRY(read_resources(spans, limit, resources));
	if (spans->count == 0)
		return failure(E_NOTFOUND, "Tempo does not have the trace");
	spans->cut = spans->cut || str_eq(node_str(doc, "status"), "PARTIAL");
	*out = MOVE(mem, spans);
	return OK;
}

static const char *const ECHO_PATH[] = {"api", "echo", NULL};

enum status tempo_proof(void *mem, const struct backend *b, struct http_request *out)
{
	return backend_request(mem, b, ECHO_PATH, NULL, 0, out);
}

enum status tempo_check(void *mem, const struct backend *b, const char **version)
{
	static const char *const READY[] = {"ready", NULL};
	static const char *const TAGS[] = {"api", "search", "tags", NULL};
	static const char *const BUILD[] = {"api", "status", "buildinfo", NULL};
	struct http_reply *r = NULL;
	json_t *doc = NULL;

	*version = NULL;
	/* a gateway before it may hide /ready */
	enum status s = backend_get(mem, b, READY, NULL, 0, &r);
	if (s != OK && s != E_NOTFOUND)
		return s;
	/* what only echoes may still refuse who asks */
	TRY(backend_get(mem, b, TAGS, NULL, 0, &r));
	if (backend_get(mem, b, BUILD, NULL, 0, &r) == OK &&
	    json_parse(mem, r->body, r->body_bytes, &doc) == OK)
		*version = json_str(doc, "version");
	return OK;
}
