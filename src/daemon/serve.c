/*
 * Start: store → peers → schedule → tracing → HTTP; so nothing is accepted before it can be kept
 * and worked on. Stop is the reverse: no new requests, what was accepted becomes durable and is
 * answered, running steps finish (or are cancelled and run again after the next start).
 */
#include "daemon/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "clients/otlp.h"
#include "daemon/api.h"
#include "daemon/backups.h"
#include "daemon/broker.h"
#include "daemon/desk.h"
#include "daemon/dlq.h"
#include "daemon/evaluator.h"
#include "daemon/listen.h"
#include "daemon/partitions.h"
#include "daemon/peers.h"
#include "daemon/rates.h"
#include "daemon/receive.h"
#include "daemon/reply.h"
#include "daemon/schemas.h"
#include "flow/schedule.h"

enum {
	API_THREADS = 2,
	API_WAITING = 64,
	DLQ_THREADS = 1, /* changes of dead letters follow one another */
	DLQ_WAITING = 16,
	CATCH_UP_MS = 2000,
	SCRAPE_CATCH_UP_MS = 200,
	DRAIN_MS = 10000,
	SELF_ALERT_TIMEOUT_MS = 3000, /* of one post: alerts arrive within 10 s */
	TICK_MS = 1000,
	REFRESH_EVERY_MS = 60000,
	EXPIRE_EVERY_MS = 600000,
};

struct service {
	const struct settings *settings;
	struct store *store;
	struct flow flow;
	struct schedule *schedule;
	struct partitions *partitions;
	struct otlp *otlp;
	struct desk *desk;
	struct dlq dlq;
	struct desk *dlq_desk;
	struct schemas *schemas;
	struct http_server *server;
	struct broker *broker;
	struct alertmanager alertmanager; /* as the flow's, with less patience */
	struct evaluator *evaluator;
	struct letter_ticket_rules ticket_rules;
	struct backups *backups;
};

static bool token_fits(const char *have, const char *want)
{
	return !str_empty(want) && str_eq_secret(have, want);
}

static bool may_enter(const struct service *s, const struct http_exchange *x)
{
	const char *header = http_header(x, "Authorization");

	if (str_empty(s->settings->token))
		return true; /* loopback, or anonymous on request: checked when the settings were
				loaded */
	if (header == NULL || !str_starts(header, "Bearer "))
		return false;
	const char *have = header + strlen("Bearer ");
	return token_fits(have, s->settings->token) ||
	       token_fits(have, s->settings->token_previous);
}

static void gauges(struct store *store, struct partitions *partitions)
{
	struct store_counts c;

	if (store_counts(store, &c) != OK)
		return;
	for (int state = 0; state < INCIDENT_STATE_COUNT; state++)
		if (state != INCIDENT_CLOSED)
			metric_set(M_INCIDENTS_ACTIVE, (double)c.incidents[state],
				   incident_state_name((enum incident_state)state));
	const struct store_intake in = store_intake(store);
	metric_set(M_INTAKE_BACKLOG, (double)in.backlog_bytes);
	metric_set(M_INTAKE_LOST, (double)in.lost);
	metric_set(M_TICKET_BACKLOG, (double)c.ticket_ops);
	metric_set(M_DLQ_SIZE, (double)c.dead_letters);
	dlq_gauges(store);
	partitions_gauges(partitions);
}

static void show_metrics(struct http_exchange *x, const struct service *s)
{
	gauges(s->store, s->partitions);
	reply_text(x, "text/plain; version=0.0.4; charset=utf-8", metrics_text(http_mem(x)));
}

static void show_ready(struct http_exchange *x, const struct service *s)
{
	if (store_health(s->store) == OK)
		reply_json(x, 200, json_pack("{s:s}", "status", "ready"));
	else
		reply_json(
			x, 503,
			json_pack("{s:s, s:s}", "status", "not ready", "reason", status_message()));
}

/* At a desk: may read the store. */
static void answer_slow(struct http_exchange *x, void *arg)
{
	const struct service *s = arg;

	bool metrics = str_eq(http_path(x), "/metrics");

	/* who was answered can read what he wrote */
	store_catch_up(s->store, metrics ? SCRAPE_CATCH_UP_MS : CATCH_UP_MS);
	if (metrics)
		show_metrics(x, s);
	else if (dlq_knows(http_path(x)))
		dlq_handle(x, (void *)&s->dlq);
	else if (schemas_knows(http_path(x)))
		schemas_handle(x, s->schemas);
	else
		api_handle(x, s->store);
}

static bool is_get(const struct http_exchange *x)
{
	return str_eq(http_method(x), "GET") || str_eq(http_method(x), "HEAD");
}

static void answer_inside(struct http_exchange *x, const struct service *s)
{
	const char *path = http_path(x);
	bool root = str_eq(path, "/");

	if (root || str_eq(path, "/webhook")) {
		if (!str_eq(http_method(x), "POST"))
			reply_error(x, 405, "method not allowed", "POST events here");
		else if (root)
			receive_event(x, s->store);
		else
			receive_webhook(x, s->store);
	} else if ((dlq_knows(path) || api_knows(path) || schemas_knows(path)) &&
		   !rates_admit_call(x)) {
		return;
	} else if (dlq_knows(path)) {
		desk_submit(dlq_is_slow(x) ? s->dlq_desk : s->desk, x);
	} else if (api_knows(path) || schemas_knows(path) ||
		   (str_eq(path, "/metrics") && is_get(x))) {
		desk_submit(s->desk, x);
	} else {
		reply_error(x, 404, "no such path", "see agent-sre(1)");
	}
}

static void answer(struct http_exchange *x, void *arg)
{
	const struct service *s = arg;
	const char *path = http_path(x);

	if (str_eq(path, "/health") && is_get(x))
		partitions_health(x, s->partitions);
	else if (str_eq(path, "/ready") && is_get(x))
		show_ready(x, s);
	else if (!may_enter(s, x))
		reply_error(x, 401, "a valid bearer token is needed", NULL);
	else
		answer_inside(x, s);
}

/* Unauthenticated requests are never stored, only counted (DEC-24). */
static void refused(struct http_exchange *x, int code, const char *why, void *arg)
{
	const struct service *s = arg;

	if (!may_enter(s, x))
		reply_error(x, 401, "a valid bearer token is needed", NULL);
	else
		receive_refused(x, code, why, s->store);
}

static enum status read_pem(void *mem, const char *path, const char **out)
{
	char *text = NULL;
	size_t n;

	if (str_empty(path))
		return OK;
	TRY(file_read(mem, path, LIMIT_FILE_BYTES, &text, &n));
	*out = text;
	return OK;
}

static enum status start_http(void *mem, struct service *s)
{
	const struct settings *set = s->settings;
	struct http_server_options o = {
		.body_limit_bytes = (size_t)set->intake_max_body,
		.request_timeout_ms = set->intake_request_timeout,
		.connection_limit = (unsigned)set->intake_connections,
		.connection_limit_per_address = (unsigned)set->intake_connections,
	};

	TRY(rates_configure(set));
	TRY(listen_address(mem, set->listen, &o));
	TRY(read_pem(mem, set->tls_certificate, &o.tls_certificate));
	TRY(read_pem(mem, set->tls_key, &o.tls_key));
	s->dlq = (struct dlq){.store = s->store, .replay = replay_new(mem, s->store)};
	TRY(desk_open(mem, API_THREADS, API_WAITING, answer_slow, s, &s->desk));
	TRY(desk_open(mem, DLQ_THREADS, DLQ_WAITING, answer_slow, s, &s->dlq_desk));
	return http_server_start(mem, &o, answer, refused, s, &s->server);
}

static enum status start_tracing(void *mem, struct service *s)
{
	const struct settings *set = s->settings;
	const struct otlp_options o = {
		.http = s->flow.http,
		.endpoint = set->otlp_endpoint,
		.service_name = "agent-sre",
		.service_namespace = set->namespace,
		.service_version = AGENT_SRE_VERSION,
		.environment = set->environment,
		.sample_ratio = set->trace_ratio,
		.flush_ms = 1000,
		.ca_file = str_empty(set->ca_file) ? NULL : set->ca_file,
	};

	if (str_empty(set->otlp_endpoint))
		return OK;
	TRY(otlp_start(mem, &o, &s->otlp));
	span_sink(otlp_span, s->otlp);
	return OK;
}

static const char *base_url(void *mem, const struct settings *s)
{
	if (!str_empty(s->public_url))
		return s->public_url;
	bool bare = strchr(s->listen, ':') == NULL;
	return str_fmt(mem, "%s://%s%s", str_empty(s->tls_certificate) ? "http" : "https",
		       bare ? "localhost:" : "", s->listen);
}

static enum status start_flow(void *mem, struct service *s)
{
	const struct settings *set = s->settings;

	s->flow.store = s->store;
	TRY(flow_check());
	TRY(peers_connect(mem, set, &s->flow));
	struct linear *linear = peers_linear(mem, set, s->flow.http);
	s->flow.tracker = linear != NULL ? tracker_linear(mem, linear, s->store)
					 : tracker_embedded(mem, s->store, set->linear_team,
							    base_url(mem, set));
	TRY(partitions_new(mem, set, &s->flow, &s->partitions));
	TRY(schedule_start(mem, &s->flow, (int)set->workers, &s->schedule));
	return partitions_start(s->partitions, s->schedule);
}

static enum status start_broker(void *mem, struct service *s)
{
	if (!broker_is_configured(s->settings))
		return OK;
	TRY(broker_start(mem, s->settings, s->store, &s->broker));
	broker_use_watch(s->broker, s->flow.watch);
	replay_use_broker(s->dlq.replay, s->broker);
	return OK;
}

/* Each second, on the evaluator's thread. */
static void refresh(void *arg)
{
	const struct service *s = arg;

	dlq_gauges(s->store);
	dlq_tickets(s->store, &s->ticket_rules);
}

static enum status start_evaluator(void *mem, struct service *s)
{
	s->alertmanager = s->flow.alertmanager;
	s->alertmanager.timeout_ms = SELF_ALERT_TIMEOUT_MS;
	if (!s->settings->alertmanager_post)
		s->alertmanager.url = NULL; /* metrics and log lines stay */
	s->ticket_rules = (struct letter_ticket_rules){
		.above = s->settings->dlq_ticket_above,
		.on_call = s->settings->on_call,
		.base_url = base_url(mem, s->settings),
	};
	const struct evaluator_options o = {
		.alertmanager = &s->alertmanager,
		.instance = base_url(mem, s->settings),
		.refresh = refresh,
		.arg = s,
	};
	return evaluator_start(mem, &o, &s->evaluator);
}

/* Every connection is an open file; many systems allow more of them than they give by themselves.
 */
static void allow_many_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			log_event(LOG_INFO, "open_files_limited", NULL);
	}
}

static enum status start(void *mem, struct service *s)
{
	const struct store_options o = {
		.dir = s->settings->data,
		.queue_limit = (size_t)s->settings->intake_queue,
		.encryption_key = s->settings->encryption_key,
		.previous_key = s->settings->encryption_previous_key,
		.letter_retention_ms = s->settings->dlq_retention,
		.letter_retention_by_type = s->settings->dlq_retention_by_type,
		.order_rules = s->settings->order_rules,
		.letter_replays_max = (int)s->settings->dlq_max_replays,
	};
	enum log_level level;

	TRY(log_level_parse(s->settings->log_level, &level));
	log_init(level, STDOUT_FILENO);
	allow_many_files();
	TRY(store_open(mem, &o, &s->store));
	TRY(schemas_start(mem, s->settings->schemas, s->store, &s->schemas));
	TRY(start_flow(mem, s));
	TRY(start_tracing(mem, s));
	TRY(start_http(mem, s));
	TRY(start_broker(mem, s));
	TRY(start_evaluator(mem, s));
	return backups_are_configured(s->settings) ? backups_start(mem, s->settings, &s->backups)
						   : OK;
}

static void stop(struct service *s)
{
	backups_stop(s->backups);
	if (s->dlq.replay != NULL)
		replay_cancel(s->dlq.replay);
	if (s->server != NULL)
		http_server_stop(s->server);
	if (s->desk != NULL)
		desk_close(s->desk);
	if (s->dlq_desk != NULL)
		desk_close(s->dlq_desk);
	if (s->schedule != NULL)
		schedule_stop(s->schedule, s->settings->drain);
	evaluator_stop(s->evaluator);
	partitions_stop(s->partitions);
	broker_stop(s->broker);
	if (s->otlp != NULL)
		otlp_stop(s->otlp);
	if (s->schemas != NULL)
		schemas_stop(s->schemas);
	if (s->store != NULL)
		store_close(s->store);
}

/* Says once that the store cannot keep anything, and why; and once that it can again. */
static void watch_store(const struct service *s, bool *well)
{
	bool now = store_health(s->store) == OK;

	if (*well && !now)
		log_event(LOG_ERROR, "store_unwell", "error", status_message(), NULL);
	else if (!*well && now)
		log_event(LOG_INFO, "store_well", NULL);
	*well = now;
}

static void run_until_stopped(struct service *s)
{
	int64_t expired_ms = clock_now();
	int64_t refreshed_ms = clock_now();
	bool well = true;

	for (;;) {
		enum listen_news news = listen_wait(TICK_MS);
		if (news == LISTEN_STOP)
			return;
		watch_store(s, &well);
		if (news == LISTEN_HANGUP || clock_now() - refreshed_ms >= REFRESH_EVERY_MS) {
			refreshed_ms = clock_now();
			schemas_refresh(s->schemas);
		}
		if (clock_now() - expired_ms < EXPIRE_EVERY_MS)
			continue;
		expired_ms = clock_now();
		if (store_expire(s->store, clock_now() - s->settings->retention) != OK)
			log_event(LOG_ERROR, "expire_failed", "error", status_message(), NULL);
		dlq_expire(s->store, s->settings->retention);
	}
}

static void say_hello(const struct service *s)
{
	SCOPE(tmp);
	metric_set(M_BUILD_INFO, 1, AGENT_SRE_VERSION);
	log_event(LOG_INFO, "ready", "version", AGENT_SRE_VERSION, "port",
		  str_fmt(tmp, "%u", http_server_port(s->server)), "mode",
		  mode_name(s->flow.policy.mode), "tracker", tracker_name(s->flow.tracker),
		  "functions", str_fmt(tmp, "%zu", s->flow.catalogue->count), NULL);
}

int daemon_serve(const struct settings *settings)
{
	SCOPE(mem);
	struct service s = {.settings = settings};

	listen_block_signals();
	enum status status = start(mem, &s);
	if (status != OK) {
		fprintf(stderr, "agent-sre: %s\n", status_message());
		stop(&s);
		return 1;
	}
	say_hello(&s);
	run_until_stopped(&s);
	log_event(LOG_INFO, "stopping", NULL);
	stop(&s);
	return 0;
}
