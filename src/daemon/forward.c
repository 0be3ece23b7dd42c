#include "daemon/forward.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "clients/cloudevent_sink.h"
#include "daemon/desk.h"
#include "daemon/listen.h"
#include "daemon/reply.h"
#include "domain/event.h"
#include "net/url.h"

enum {
	THREADS = 8,
	WAITING = 256,
	SINK_TIMEOUT_MS = 30000,
	REQUEST_TIMEOUT_MS = 30000,
	CONNECTIONS = 1024
};

struct converter {
	struct sink sink;
	struct desk *desk;
	struct http_server *server;
};

struct parcel {
	const char **texts;
	const char **correlation_ids;
	json_t *listed; /* [{type, id}] */
	size_t count;
};

static struct parcel pack(void *mem, const struct webhook *w)
{
	struct parcel p = {.texts = NEW_ARRAY(mem, const char *, w->count + 1),
			   .correlation_ids = NEW_ARRAY(mem, const char *, w->count + 1),
			   .listed = mem_own(mem, json_array())};
	int64_t now = clock_now();

	for (size_t n = 0; n < w->count; n++) {
		const struct alert *a = w->alerts[n];
		if (a == NULL)
			continue;
		const char *id = alert_event_id(mem, a->fingerprint, a->starts_ms, a->state);
		const char *type =
			a->state == ALERT_FIRING ? EVENT_TYPE_FIRED : EVENT_TYPE_RESOLVED;
		p.texts[p.count] = event_encode(mem, w, n, now);
		p.correlation_ids[p.count++] = id;
		json_array_append_new(p.listed, json_pack("{s:s, s:s}", "type", type, "id", id));
	}
	return p;
}

/* Alertmanager sends the whole group again after a 5xx, and gives up after a 4xx: so the sink's
 * refusal of one event (4xx) is a 5xx here only when a repeat could help. */
static void convert(struct http_exchange *x, struct converter *c)
{
	void *mem = http_mem(x);
	size_t bytes;
	size_t accepted = 0;
	const struct node *body = NULL;
	struct webhook *w = NULL;
	const char *text = http_body(x, &bytes);

	if (node_parse(mem, text, bytes, &body) != OK ||
	    webhook_decode(mem, body, clock_now(), &w) != OK) {
		log_event(LOG_WARN, "webhook_rejected", "error", status_message(), NULL);
		reply_json(x, 400,
			   json_pack("{s:s, s:s}", "detail", "Invalid JSON payload", "error",
				     status_message()));
		return;
	}
	struct parcel p = pack(mem, w);
	enum status s = p.count == 0 ? OK
				     : sink_deliver(&c->sink, p.texts, p.correlation_ids, p.count,
						    &accepted);
	for (size_t n = 0; n < w->count; n++)
		if (w->alerts[n] == NULL)
			log_event(LOG_WARN, "alert_rejected", "error", w->errors[n], NULL);
	if (s != OK) {
		log_event(LOG_ERROR, "sink_failed", "error", status_message(), NULL);
		reply_json(x, 502,
			   json_pack("{s:s, s:I, s:I}", "error", "the sink did not take all events",
				     "events_published", (json_int_t)accepted, "events",
				     (json_int_t)p.count));
		return;
	}
	reply_json(x, 200,
		   json_pack("{s:s, s:I, s:O}", "status", "success", "events_published",
			     (json_int_t)accepted, "events", p.listed));
}

static void answer_slow(struct http_exchange *x, void *arg)
{
	convert(x, arg);
}

static void describe(struct http_exchange *x)
{
	reply_json(x, 200,
		   json_pack("{s:s, s:s, s:{s:s, s:s, s:s}}", "service", "prometheus-events",
			     "version", AGENT_SRE_VERSION, "endpoints", "webhook", "/webhook",
			     "health", "/health", "metrics", "/metrics"));
}

static void answer(struct http_exchange *x, void *arg)
{
	struct converter *c = arg;
	const char *path = http_path(x);
	bool get = str_eq(http_method(x), "GET") || str_eq(http_method(x), "HEAD");

	if (str_eq(path, "/webhook") && str_eq(http_method(x), "POST"))
		desk_submit(c->desk, x);
	else if (str_eq(path, "/health") && get)
		reply_json(x, 200, json_pack("{s:s}", "status", "healthy"));
	else if (str_eq(path, "/metrics") && get)
		reply_text(x, "text/plain; version=0.0.4; charset=utf-8",
			   metrics_text(http_mem(x)));
	else if (str_eq(path, "/") && get)
		describe(x);
	else if (str_eq(path, "/webhook"))
		reply_error(x, 405, "method not allowed", "POST Alertmanager's webhook here");
	else
		reply_error(x, 404, "no such path", NULL);
}

static enum status start(void *mem, const struct forward_options *options, struct converter *c)
{
	struct http_server_options o = {
		.body_limit_bytes = 16 * (size_t)LIMIT_BODY_BYTES,
		.request_timeout_ms = REQUEST_TIMEOUT_MS,
		.connection_limit = CONNECTIONS,
		.connection_limit_per_address = CONNECTIONS,
	};

	log_init(LOG_INFO, STDOUT_FILENO);
	TRY(url_check(options->sink));
	TRY(listen_address(mem, options->listen, &o));
	c->sink = (struct sink){.url = options->sink,
				.bearer = options->sink_token,
				.ca_file = options->ca_file,
				.timeout_ms = SINK_TIMEOUT_MS};
	TRY(http_client_new(mem, "agent-sre/" AGENT_SRE_VERSION, &c->sink.http));
	TRY(desk_open(mem, THREADS, WAITING, answer_slow, c, &c->desk));
	return http_server_start(mem, &o, answer, NULL, c, &c->server);
}

int daemon_forward(const struct forward_options *options)
{
	SCOPE(mem);
	struct converter c = {0};

	listen_block_signals();
	if (start(mem, options, &c) != OK) {
		fprintf(stderr, "agent-sre: forward: %s\n", status_message());
		if (c.desk != NULL)
			desk_close(c.desk);
		return 1;
	}
	log_event(LOG_INFO, "ready", "service", "prometheus-events", "port",
		  str_fmt(mem, "%u", http_server_port(c.server)), "sink",
		  url_origin(mem, options->sink), NULL);
	while (listen_wait(60000) != LISTEN_STOP)
		;
	http_server_stop(c.server);
	desk_close(c.desk);
	return 0;
}
