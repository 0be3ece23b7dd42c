#include "daemon/peers.h"

#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

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
	flow->on_call = s->on_call;
	flow->approval_timeout_ms = s->approval_timeout;
	flow->approval_timeout_action = s->approval_timeout_action;
	flow->verify_first_ms = s->verify_first;
	flow->verify_budget_ms = s->verify_budget;
	flow->resolve_poll_ms = s->resolve_poll;
	flow->retry = (struct backoff){.base_ms = 1000, .cap_ms = 60000};
}

static void set_peers(const struct settings *s, struct flow *flow)
{
	const char *ca = set_or_null(s->ca_file);

	flow->prometheus = (struct prometheus){
		.http = flow->http,
		.url = s->prometheus_url,
		.bearer = set_or_null(s->prometheus_token),
		.ca_file = ca,
		.timeout_ms = s->prometheus_timeout,
	};
	flow->alertmanager = (struct alertmanager){
		.http = flow->http,
		.url = set_or_null(s->alertmanager_url),
		.bearer = set_or_null(s->alertmanager_token),
		.ca_file = ca,
		.timeout_ms = s->prometheus_timeout,
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

enum status peers_connect(void *mem, const struct settings *s, struct flow *flow)
{
	struct catalogue *catalogue = NULL;

	TRY(peers_catalogue(mem, s, &catalogue));
	TRY(http_client_new(mem, "agent-sre/" AGENT_SRE_VERSION, &flow->http));
	flow->catalogue = catalogue;
	flow->process = id_random_hex(mem, 8);
	set_policy(s, flow);
	set_peers(s, flow);
	return OK;
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
