#include "clients/otlp.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "net/url.h"

enum { QUEUE_MAX = 4096, BATCH_MAX = 512, TRIES = 4, POST_MS = 10000 };

struct otlp {
	struct otlp_options options;
	const char *url;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	json_t *queue[QUEUE_MAX];
	size_t count;
	bool stopping;
};

static json_t *attribute(const char *key, const char *value)
{
	return json_pack("{s:s, s:{s:s}}", "key", key, "value", "stringValue", value);
}

static json_t *attributes_of(const json_t *object)
{
	json_t *list = json_array();
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value)
		json_array_append_new(list, attribute(key, json_string_value(value)));
	return list;
}

static json_t *nanoseconds(int64_t ms)
{
	char text[32];

	str_print(text, sizeof(text), "%lld000000", (long long)ms);
	return json_string(text);
}

static json_t *encode(const struct span *s)
{
	json_t *status =
		s->error[0] == '\0' ? json_pack("{s:i}", "code", 1) : json_pack("{s:i}", "code", 2);
	json_t *message = s->error[0] == '\0' ? NULL : json_string(s->error);

	if (message != NULL)
		json_object_set_new(status, "message", message);
	json_t *span = json_pack(
		"{s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o}", "traceId", s->self.trace_id, "spanId",
		s->self.span_id, "name", s->name, "kind", (int)s->kind, "startTimeUnixNano",
		nanoseconds(s->start_ms), "endTimeUnixNano", nanoseconds(s->end_ms), "attributes",
		attributes_of(s->attributes), "status", status);
	if (s->parent_span_id[0] != '\0')
		json_object_set_new(span, "parentSpanId", json_string(s->parent_span_id));
	return mem_check(span);
}

json_t *otlp_encode_span(void *mem, const struct span *s)
{
	return mem_own(mem, encode(s));
}

char *otlp_encode_request(void *mem, const struct otlp_options *o, json_t *const *spans, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append(list, spans[i]);
	json_t *resource = json_pack("{s:[o, o, o, o]}", "attributes",
				     attribute("service.name", o->service_name),
				     attribute("service.namespace", o->service_namespace),
				     attribute("service.version", o->service_version),
				     attribute("deployment.environment", o->environment));
	json_t *body = json_pack("{s:[{s:o, s:[{s:{s:s, s:s}, s:o}]}]}", "resourceSpans",
				 "resource", resource, "scopeSpans", "scope", "name", "agent-sre",
				 "version", o->service_version, "spans", list);
	return json_text(mem, mem_own(mem, body));
}

/* The same trace is kept or left out as a whole, everywhere: decided by its id. */
static bool is_sampled(const struct otlp *o, const char *trace_id)
{
	char head[9];

	str_print(head, sizeof(head), "%.8s", trace_id);
	return (double)strtoul(head, NULL, 16) < o->options.sample_ratio * 4294967296.0;
}

void otlp_span(const struct span *s, void *arg)
{
	struct otlp *o = arg;

	if (!is_sampled(o, s->self.trace_id))
		return;
	json_t *span = encode(s);
	pthread_mutex_lock(&o->lock);
	bool full = o->count == QUEUE_MAX || o->stopping;
	if (!full)
		o->queue[o->count++] = span;
	if (o->count >= BATCH_MAX)
		pthread_cond_signal(&o->changed);
	pthread_mutex_unlock(&o->lock);
	if (full) {
		json_decref(span);
		metric_add(M_SPANS_DROPPED, 1);
	}
}

/* Waits at most `ms`; true when stopping. */
static bool pause_for(struct otlp *o, int64_t ms, size_t enough)
{
	struct timespec until = clock_deadline(ms);

	pthread_mutex_lock(&o->lock);
	while (!o->stopping && o->count < enough &&
	       pthread_cond_timedwait(&o->changed, &o->lock, &until) == 0)
		;
	bool stopping = o->stopping;
	pthread_mutex_unlock(&o->lock);
	return stopping;
}

static size_t take(struct otlp *o, json_t **batch)
{
	pthread_mutex_lock(&o->lock);
	size_t n = o->count < BATCH_MAX ? o->count : BATCH_MAX;
	memcpy(batch, o->queue, n * sizeof(*batch));
	memmove(o->queue, o->queue + n, (o->count - n) * sizeof(*batch));
	o->count -= n;
	pthread_mutex_unlock(&o->lock);
	return n;
}

static bool post(void *mem, struct otlp *o, const char *body, int64_t *retry_ms)
{
	static const struct http_header HEADERS[] = {{"Content-Type", "application/json"}};
	const struct http_request q = {.method = "POST",
				       .url = o->url,
				       .headers = HEADERS,
				       .header_count = 1,
				       .body = body,
				       .body_bytes = strlen(body),
				       .timeout_ms = POST_MS,
				       .ca_file = o->options.ca_file,
				       .peer = "otlp"};
	struct http_reply *r = NULL;

	*retry_ms = -1;
	if (http_fetch(mem, o->options.http, &q, &r) != OK) {
		*retry_ms = 0;
		return false;
	}
	if (r->code == 429 || r->code == 502 || r->code == 503 || r->code == 504)
		*retry_ms = http_retry_after_ms(r, clock_now());
	return r->code >= 200 && r->code <= 299;
}

static bool deliver(struct otlp *o, json_t **batch, size_t n)
{
	static const struct backoff RETRY = {.base_ms = 500, .cap_ms = 10000};
	SCOPE(mem);
	char *body = otlp_encode_request(mem, &o->options, batch, n);

	for (int attempt = 1; attempt <= TRIES; attempt++) {
		int64_t retry_ms;
		if (post(mem, o, body, &retry_ms))
			return true;
		if (retry_ms < 0 ||
		    pause_for(o, backoff_delay(RETRY, attempt, id_fraction(), retry_ms), SIZE_MAX))
			break;
	}
	metric_add(M_SPANS_DROPPED, (double)n);
	return false;
}

static void drop(json_t **spans, size_t n)
{
	for (size_t i = 0; i < n; i++)
		json_decref(spans[i]);
}

static void *serve(void *arg)
{
	struct otlp *o = arg;
	json_t *batch[BATCH_MAX];
	bool stopping = false;

	while (!stopping) {
		stopping = pause_for(o, o->options.flush_ms, BATCH_MAX);
		bool delivered = true;
		for (size_t n; delivered && (n = take(o, batch)) > 0;) {
			delivered = deliver(o, batch, n);
			drop(batch, n);
		}
		/* a collector that is away must not hold up the stop */
		if (!delivered)
			stopping = pause_for(o, 0, 0);
	}
	return NULL;
}

enum status otlp_url(void *mem, const char *endpoint, char **out)
{
	static const char *const PATH[] = {"v1", "traces", NULL};
	const char *base =
		strstr(endpoint, "://") != NULL ? endpoint : str_fmt(mem, "http://%s", endpoint);
	char *url = NULL;

	if (str_ends(base, ":4317"))
		base = str_fmt(mem, "%.*s4318", (int)strlen(base) - 4, base);
	if (str_ends(base, "/v1/traces"))
		TRY(url_build(mem, base, NULL, NULL, 0, &url));
	else
		TRY(url_build(mem, base, PATH, NULL, 0, &url));
	*out = url;
	return OK;
}

enum status otlp_start(void *mem, const struct otlp_options *options, struct otlp **out)
{
	struct otlp *o = NEW(mem, struct otlp);
	char *url = NULL;

	o->options = *options;
	TRY(otlp_url(o, options->endpoint, &url));
	o->url = url;
	pthread_mutex_init(&o->lock, NULL);
	clock_condition_init(&o->changed);
	if (pthread_create(&o->thread, NULL, serve, o) != 0)
		return failure(E_INTERNAL, "cannot start a thread");
	*out = o;
	return OK;
}

void otlp_stop(struct otlp *o)
{
	pthread_mutex_lock(&o->lock);
	o->stopping = true;
	pthread_cond_broadcast(&o->changed);
	pthread_mutex_unlock(&o->lock);
	pthread_join(o->thread, NULL);
	if (o->count > 0)
		metric_add(M_SPANS_DROPPED, (double)o->count);
	drop(o->queue, o->count);
	pthread_mutex_destroy(&o->lock);
	pthread_cond_destroy(&o->changed);
}
