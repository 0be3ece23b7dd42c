#include "clients/loki.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/json_node.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/severity.h"

static const char *set_or_null(const char *text)
{
	return str_empty(text) ? NULL : text;
}

struct backend loki_backend(struct http_client *http, const char *url, const char *token,
			    const char *tenant, const char *ca_file, int64_t timeout_ms)
{
	return (struct backend){
		.http = http,
		.name = "Loki",
		.word = "loki",
		.url = set_or_null(url),
		.bearer = set_or_null(token),
		.tenant = set_or_null(tenant),
		.ca_file = ca_file,
		.timeout_ms = timeout_ms,
		.reply_limit_bytes = LOKI_REPLY_BYTES,
	};
}

static const char *const QUERY_RANGE[] = {"loki", "api", "v1", "query_range", NULL};

static char *nanoseconds(void *mem, int64_t ms)
{
	return str_fmt(mem, "%lld000000", (long long)ms);
}

/* Without this header a line's structured metadata would come as labels of its stream, and each
 * line whose metadata differ as a stream of its own. */
static void ask_for_categories(void *mem, struct http_request *q)
{
	struct http_header *headers = NEW_ARRAY(mem, struct http_header, q->header_count + 1);

	for (size_t n = 0; n < q->header_count; n++)
		headers[n] = q->headers[n];
	headers[q->header_count++] =
		(struct http_header){"X-Loki-Response-Encoding-Flags", "categorize-labels"};
	q->headers = headers;
}

enum status loki_range_request(void *mem, const struct backend *b, const struct loki_query *q,
			       struct http_request *out)
{
	int limit = q->limit > LOKI_LINES_MAX ? LOKI_LINES_MAX : q->limit;
	const struct url_pair query[] = {
		{"query", q->logql},
		{"start", nanoseconds(mem, q->start_ms)},
		{"end", nanoseconds(mem, q->end_ms)},
		{"limit", str_fmt(mem, "%d", limit)},
		{"direction", q->oldest_first ? "forward" : "backward"},
	};

	TRY(backend_request(mem, b, QUERY_RANGE, query, 5, out));
	ask_for_categories(mem, out);
	return OK;
}

enum status loki_range_reply(void *mem, const struct backend *b, const struct http_reply *r,
			     const struct loki_query *q, struct loki_lines **out)
{
	TRY(backend_judge(b, r));
	TRY(loki_decode_lines(mem, r->body, r->body_bytes,
			      (size_t)(q->limit < LOKI_LINES_MAX ? q->limit : LOKI_LINES_MAX),
			      out));
	/* as many as were asked for: there may be more */
	(*out)->cut = (*out)->cut || (*out)->count >= (size_t)q->limit;
	return OK;
}

enum status loki_volume_request(void *mem, const struct backend *b, const char *logql,
				const struct range *range, struct http_request *out)
{
	const struct url_pair query[] = {
		{"query", logql},
		{"start", nanoseconds(mem, range->start_ms)},
		{"end", nanoseconds(mem, range->end_ms)},
		{"step", str_fmt(mem, "%llds", (long long)(range->step_ms / 1000))},
	};

	return backend_request(mem, b, QUERY_RANGE, query, 4, out);
}

enum status loki_volume_reply(void *mem, const struct backend *b, const struct http_reply *r,
			      const struct range *range, struct grid **out)
{
	TRY(backend_judge(b, r));
	return grid_decode(mem, "Loki", r->body, r->body_bytes, range, out);
}

enum status loki_query_range(void *mem, const struct backend *b, const struct loki_query *q,
			     struct loki_lines **out)
{
	struct http_request request;
	struct http_reply *r = NULL;

	TRY(loki_range_request(mem, b, q, &request));
	http_fetch_all(mem, b->http, &request, 1, &r);
	return loki_range_reply(mem, b, r, q, out);
}

enum status loki_query_volume(void *mem, const struct backend *b, const char *logql,
			      const struct range *range, struct grid **out)
{
	struct http_request request;
	struct http_reply *r = NULL;

	TRY(loki_volume_request(mem, b, logql, range, &request));
	http_fetch_all(mem, b->http, &request, 1, &r);
	return loki_volume_reply(mem, b, r, range, out);
}

/* A level that is told beside the line: among the labels of its stream, or its own. */
static const char *told_level(const struct node *labels)
{
	static const char *const NAMES[] = {"detected_level", "level", "severity", "severity_text",
					    "level_extracted"};

	for (size_t n = 0; n < sizeof(NAMES) / sizeof(NAMES[0]); n++) {
		const char *level = severity_of_word(node_str(labels, NAMES[n]));
		if (*level != '\0')
			return level;
	}
	return "";
}

static const char *own_level(const struct node *metadata)
{
	static const char *const CATEGORIES[] = {"structuredMetadata", "parsed"};

	for (size_t n = 0; n < 2; n++) {
		const char *level = told_level(node_get(metadata, CATEGORIES[n]));
		if (*level != '\0')
			return level;
	}
	return told_level(metadata);
}

struct reading {
	struct loki_lines *out;
	size_t limit;
	const char *stream_level;
};

/* ["<nanoseconds>", "line"], and since 2.9 maybe what is told beside it. */
static enum status read_line(const struct reading *r, const struct node *entry)
{
	struct loki_line *line = &r->out->lines[r->out->count];
	const struct node *at = entry + 1;
	long long at_ns;

	if (entry->kind != NODE_ARRAY || entry->size < 2 || at->kind != NODE_STRING ||
	    node_next(at)->kind != NODE_STRING)
		return failure(E_INVALID, "Loki: a line must be [\"nanoseconds\", \"text\"]");
	if (str_to_int(at->text, 0, INT64_MAX, &at_ns) != OK)
		return failure_in(E_INVALID, "Loki: a line's time");
	const struct node *text = node_next(at);
	const char *level = entry->size > 2 ? own_level(node_next(text)) : "";
	if (*level == '\0')
		level = r->stream_level;
	*line = (struct loki_line){at_ns, *level == '\0' ? severity_of_line(text->text) : level,
				   str_dup(r->out, text->text)};
	r->out->count++;
	return OK;
}

static enum status read_stream(struct reading *r, const struct node *stream)
{
	const struct node *labels = node_get(stream, "stream");
	const struct node *values = node_get(stream, "values");

	if (labels == NULL || labels->kind != NODE_OBJECT || values == NULL ||
	    values->kind != NODE_ARRAY)
		return failure(E_INVALID, "Loki: a stream needs labels and values");
	r->stream_level = told_level(labels);
	size_t room = r->limit - r->out->count;
	size_t take = values->size < room ? values->size : room;
	r->out->cut = r->out->cut || take < values->size;
	r->out->lines = GROW(r->out, r->out->lines, struct loki_line, r->out->count + take + 1);
	NODE_EACH(entry, values)
	{
		if (r->out->count == r->limit)
			break;
		TRY(read_line(r, entry));
	}
	return OK;
}

static int by_time(const void *a, const void *b)
{
	int64_t x = ((const struct loki_line *)a)->at_ns;
	int64_t y = ((const struct loki_line *)b)->at_ns;

	return (x > y) - (x < y);
}

static enum status read_streams(const struct node *doc, struct reading *r)
{
	const struct node *data = node_get(doc, "data");
	const struct node *result = node_get(data, "result");
	const char *type = node_str(data, "resultType");

	if (!str_eq(node_str(doc, "status"), "success") || data == NULL)
		return failure(E_INVALID, "Loki's answer has no data");
	if (!str_eq(type, "streams"))
		return failure(E_INVALID, "Loki: result type %.20s is not wanted",
			       type == NULL ? "?" : type);
	if (result == NULL || result->kind != NODE_ARRAY)
		return failure(E_INVALID, "Loki: the result is not a list");
	NODE_EACH(stream, result)
	TRY(read_stream(r, stream));
	return OK;
}

enum status loki_decode_lines(void *mem, const char *body, size_t n, size_t limit,
			      struct loki_lines **out)
{
	SCOPE(tmp);
	const struct node *doc = NULL;
	struct loki_lines *lines = NEW(tmp, struct loki_lines);
	struct reading r = {.out = lines, .limit = limit};

	lines->lines = NEW_ARRAY(lines, struct loki_line, 1);
	if (node_parse(tmp, body, n, &doc) != OK)
		return failure(E_INVALID, "Loki's answer is not JSON");
	TRY(read_streams(doc, &r));
	qsort(lines->lines, lines->count, sizeof(*lines->lines), by_time);
	*out = MOVE(mem, lines);
	return OK;
}

enum status loki_proof(void *mem, const struct backend *b, struct http_request *out)
{
	static const char *const PATH[] = {"loki", "api", "v1", "labels", NULL};
	static const struct url_pair QUERY[] = {{"since", "1m"}};

	return backend_request(mem, b, PATH, QUERY, 1, out);
}

enum status loki_check(void *mem, const struct backend *b, const char **version)
{
	static const char *const READY[] = {"ready", NULL};
	static const char *const LABELS[] = {"loki", "api", "v1", "labels", NULL};
	static const char *const BUILD[] = {"loki", "api", "v1", "status", "buildinfo", NULL};
	struct http_reply *r = NULL;
	json_t *doc = NULL;

	*version = NULL;
	/* a gateway before it may hide /ready */
	enum status s = backend_get(mem, b, READY, NULL, 0, &r);
	if (s != OK && s != E_NOTFOUND)
		return s;
	TRY(backend_get(mem, b, LABELS, NULL, 0, &r));
	if (backend_get(mem, b, BUILD, NULL, 0, &r) == OK &&
	    json_parse(mem, r->body, r->body_bytes, &doc) == OK)
		*version = json_str(doc, "version");
	return OK;
}
