#include "daemon/peers.h"

#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/broker.h"
#include "clients/loki.h"
#include "clients/otlp.h"
#include "clients/tempo.h"
#include "daemon/openslo_files.h"
#include "net/url.h"

static const char *set_or_null(const char *text)
{
	return str_empty(text) ? NULL : text;
}

enum status peers_catalogue(void *mem, const struct settings *s, struct catalogue **out)
{
	char *text = NULL;
	size_t n = 0;

	if (str_empty(s->catalogue))
		return catalogue_parse(mem, "no catalogue", "functions: []", 13, out);
	enum status status = file_read(mem, s->catalogue, LIMIT_FILE_BYTES, &text, &n);
	if (status != OK)
		return failure_in(E_INVALID, "catalogue");
	return catalogue_parse(mem, s->catalogue, text, n, out);
}

static void set_policy(const struct settings *s, struct flow *flow)
{
	flow->policy = (struct policy){
		.mode = s->mode,
		.risk_limit = s->risk_limit,
		.act_confidence = s->act_confidence,
		.ask_confidence = s->ask_confidence,
		.flaps_per_hour = (int)s->flaps_per_hour,
	};
	flow->protected_namespaces = s->protected_namespaces;
	flow->approval_timeout_ms = s->approval_timeout;
	flow->approval_timeout_action = s->approval_timeout_action;
	flow->verify_first_ms = s->verify_first;
	flow->verify_budget_ms = s->verify_budget;
	flow->resolve_poll_ms = s->resolve_poll;
	flow->investigates = s->investigate;
	flow->retry = (struct backoff){.base_ms = 1000, .cap_ms = 60000};
}

static void set_peers(void *mem, const struct settings *s, struct flow *flow)
{
	const char *ca = set_or_null(s->ca_file);

	flow->prometheus = (struct prometheus){
		.http = flow->http,
		.url = s->prometheus_url,
		.bearer = set_or_null(s->prometheus_token),
		.ca_file = ca,
		.timeout_ms = s->prometheus_timeout,
		.alerts = shared_call_new(mem),
	};
	flow->alertmanager = (struct alertmanager){
		.http = flow->http,
		.url = set_or_null(s->alertmanager_url),
		.bearer = set_or_null(s->alertmanager_token),
		.ca_file = ca,
		.timeout_ms = s->prometheus_timeout,
	};
	flow->sources = (struct sources){
		.prometheus = flow->prometheus,
		.loki = loki_backend(flow->http, s->loki_url, s->loki_token, s->loki_tenant, ca,
				     s->investigate_source_timeout),
		.tempo = tempo_backend(flow->http, s->tempo_url, s->tempo_token, s->tempo_tenant,
				       ca, s->investigate_source_timeout),
		.gate = gather_gate_new(mem, s->investigate_rate),
		.source_timeout_ms = s->investigate_source_timeout,
		.timeout_ms = s->investigate_timeout,
	};
	flow->functions = (struct function_options){
		.http = flow->http,
		.scheme = s->function_scheme,
		.domain = s->function_domain,
		.gateway = set_or_null(s->function_gateway),
		.bearer = set_or_null(s->function_token),
		.ca_file = ca,
	};
}

static const int64_t ON_CALL_TIMEOUT_MS = 2000;
static const int64_t ON_CALL_REMEMBER_MS = 30000;

static enum status set_on_call(void *mem, const struct settings *s, struct flow *flow)
{
	const struct on_call_options o = {
		.http = flow->http,
		.schedule = s->on_call_schedule,
		.fallback = s->on_call,
		.ca_file = set_or_null(s->ca_file),
		.timeout_ms = ON_CALL_TIMEOUT_MS,
		.remember_ms = ON_CALL_REMEMBER_MS,
	};

	return on_call_new(mem, &o, &flow->on_call);
}

enum status peers_slm(void *mem, const struct settings *s, const struct prometheus *p,
		      struct slm **out)
{
	struct slm_options o = {
		.prometheus = *p,
		.remember_ms = s->slm_remember,
		.thresholds = {s->slm_critical, s->slm_high, s->slm_medium},
		.sources = s->slm_sources,
		.sli_names = s->slm_sli_names,
		.link = s->slm_link,
	};
	struct openslo *definitions = NULL;

	*out = NULL;
	if (!s->slm_enabled)
		return OK;
	o.prometheus.timeout_ms = s->slm_timeout;
	TRY(openslo_files_load(mem, s->slm_definitions, &definitions));
	o.definitions = definitions;
	return slm_new(mem, &o, out);
}

enum status peers_connect(void *mem, const struct settings *s, struct flow *flow)
{
	struct catalogue *catalogue = NULL;

	TRY(peers_catalogue(mem, s, &catalogue));
	TRY(http_client_new(mem, "agent-sre/" AGENT_SRE_VERSION, &flow->http));
	flow->catalogue = catalogue;
	flow->process = id_random_hex(mem, 8);
	set_policy(s, flow);
	set_peers(mem, s, flow);
	TRY(set_on_call(mem, s, flow));
	return peers_slm(mem, s, &flow->prometheus, &flow->slm);
}

/* The cheap look: HEAD at the origin, without credentials; whatever answers is there. */
static struct http_request look_at(void *mem, const char *url, const char *ca)
{
	return (struct http_request){.method = "HEAD", .url = url_origin(mem, url), .ca_file = ca};
}

static void watch_functions(void *mem, const struct settings *s, struct watch *w, const char *ca)
{
	struct watch_peer p = {.component = "function"};

	/* a request to a function's own host could wake it: those are only connected to */
	if (str_empty(s->function_gateway)) {
		watch_add_hosts(w, "function", ca);
		return;
	}
	const char *url = str_fmt(mem, "%s://%s/", s->function_scheme, s->function_gateway);
	p.look = look_at(mem, url, ca);
	watch_add(w, &p);
}

static enum status watch_broker(void *mem, const struct settings *s, struct watch *w,
				const char *ca)
{
	char *address = NULL;
	char *host = NULL;
	bool tls = false;

	if (str_empty(s->broker_url))
		return OK;
	TRY(broker_url(mem, s->broker_url, &address, &host, &tls));
	const struct watch_peer p = {
		.component = "broker",
		.look = {.method = "GET",
			 .url = str_fmt(mem, "%s://%s/", tls ? "https" : "http", address),
			 .ca_file = ca,
			 .connect_only = true,
			 .once = true}};
	watch_add(w, &p);
	return OK;
}

/* Their URLs have defaults: whether they are there matters from the first question on. */
static enum status watch_sources(void *mem, const struct flow *flow, const char *ca)
{
	const struct backend *loki = &flow->sources.loki;
	const struct backend *tempo = &flow->sources.tempo;

	if (loki->url != NULL) {
		struct watch_peer p = {.component = loki->word,
				       .look = look_at(mem, loki->url, ca),
				       .while_used = true};
		TRY(loki_proof(mem, loki, &p.proof));
		watch_add(flow->watch, &p);
	}
	if (tempo->url != NULL) {
		struct watch_peer p = {.component = tempo->word,
				       .look = look_at(mem, tempo->url, ca),
				       .while_used = true};
		TRY(tempo_proof(mem, tempo, &p.proof));
		watch_add(flow->watch, &p);
	}
	return OK;
}

enum status peers_watch(void *mem, const struct settings *s, const struct flow *flow)
{
	const char *ca = set_or_null(s->ca_file);
	struct watch_peer p = {.component = "prometheus",
			       .look = look_at(mem, s->prometheus_url, ca)};

	TRY(prometheus_proof(mem, &flow->prometheus, &p.proof));
	watch_add(flow->watch, &p);
	if (flow->alertmanager.url != NULL) {
		p = (struct watch_peer){.component = "alertmanager",
					.look = look_at(mem, s->alertmanager_url, ca)};
		TRY(alertmanager_proof(mem, &flow->alertmanager, &p.proof));
		watch_add(flow->watch, &p);
	}
	TRY(watch_sources(mem, flow, ca));
	if (!str_empty(s->linear_key)) {
		p = (struct watch_peer){.component = "linear",
					.look = look_at(mem, s->linear_url, ca)};
		linear_proof(mem, s->linear_url, s->linear_key, &p.proof);
		p.proof.ca_file = ca;
		watch_add(flow->watch, &p);
	}
	watch_functions(mem, s, flow->watch, ca);
	if (!str_empty(s->otlp_endpoint)) {
		char *url = NULL;
		TRY(otlp_url(mem, s->otlp_endpoint, &url));
		p = (struct watch_peer){.component = "otlp", .look = look_at(mem, url, ca)};
		watch_add(flow->watch, &p);
	}
	return watch_broker(mem, s, flow->watch, ca);
}

struct linear *peers_linear(void *mem, const struct settings *s, struct http_client *http)
{
	const struct linear_options o = {
		.http = http,
		.url = s->linear_url,
		.api_key = s->linear_key,
		.team_key = s->linear_team,
		.ca_file = set_or_null(s->ca_file),
		.timeout_ms = s->linear_timeout,
	};

	return str_empty(s->linear_key) ? NULL : linear_new(mem, &o);
}
