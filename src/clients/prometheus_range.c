#include "clients/prometheus_range.h"

#include "base/mem.h"
#include "base/str.h"
#include "clients/prometheus_parts.h"

static char *seconds(void *mem, int64_t ms)
{
	return str_fmt(mem, "%lld.%03lld", (long long)(ms / 1000), (long long)(ms % 1000));
}

enum status prometheus_range_request(void *mem, const struct prometheus *p, const char *expr,
				     const struct range *range, struct http_request *out)
{
	static const char *const PATH[] = {"api", "v1", "query_range", NULL};
	const struct url_pair fields[] = {
		{"query", expr},
		{"start", seconds(mem, range->start_ms)},
		{"end", seconds(mem, range->end_ms)},
		{"step", seconds(mem, range->step_ms)},
	};

	TRY(prometheus_form(mem, p, PATH, fields, 4, out));
	out->peer = "prometheus_range";
	out->reply_limit_bytes = PROMETHEUS_RANGE_REPLY_BYTES;
	return OK;
}

enum status prometheus_range_reply(void *mem, const struct http_reply *r, const struct range *range,
				   struct grid **out)
{
	TRY(prometheus_judge(mem, r));
	return grid_decode(mem, "Prometheus", r->body, r->body_bytes, range, out);
}

enum status prometheus_query_range(void *mem, const struct prometheus *p, const char *expr,
				   const struct range *range, struct grid **out)
{
	struct http_request q;
	struct http_reply *r = NULL;

	TRY(prometheus_range_request(mem, p, expr, range, &q));
	http_fetch_all(mem, p->http, &q, 1, &r);
	return prometheus_range_reply(mem, r, range, out);
}
