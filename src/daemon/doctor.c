#include "daemon/doctor.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/loki.h"
#include "clients/tempo.h"
#include "daemon/broker.h"
#include "daemon/openslo_files.h"
#include "daemon/peers.h"
#include "daemon/schema_files.h"
#include "net/url.h"

enum verdict_word { WELL, WARNING, BROKEN };

static const char *const WORDS[] = {"ok", "warning", "failed"};
static const char *const MARKS[] = {"✔", "!", "✘"};

enum { FUNCTION_PROBE_MS = 3000, LITTLE_SPACE_MIB = 256 };

struct examination {
	void *mem;
	const struct settings *settings;
	struct flow flow;
	json_t *findings;
	int broken;
};

static void find(struct examination *e, enum verdict_word verdict, const char *what,
		 const char *said, const char *advice)
{
	json_array_append_new(e->findings,
			      json_pack("{s:s, s:s, s:s, s:s}", "check", what, "result",
					WORDS[verdict], "detail", said, "advice", advice));
	e->broken += verdict == BROKEN;
}

static void judge(struct examination *e, enum status s, const char *what, const char *said,
		  const char *advice)
{
	find(e, s == OK ? WELL : BROKEN, what, s == OK ? said : str_dup(e->mem, status_message()),
	     s == OK ? "" : advice);
}

static void check_space(struct examination *e)
{
	struct statvfs fs;

	if (statvfs(e->settings->data, &fs) != 0)
		return;
	unsigned long long mib = (unsigned long long)fs.f_bavail * fs.f_frsize / (1024ULL * 1024);
	find(e, mib < LITTLE_SPACE_MIB ? WARNING : WELL, "disk",
	     str_fmt(e->mem, "%llu MiB free", mib),
	     mib < LITTLE_SPACE_MIB ? "make room: a full disk makes the agent refuse events" : "");
}

static void check_store(struct examination *e)
{
	const struct store_options o = {.dir = e->settings->data};
	struct store *store = NULL;
	enum status s = store_open(e->mem, &o, &store);

	if (s == E_CONFLICT) {
		find(e, WELL, "store", "in use by a running agent-sre", "");
	} else {
		judge(e, s, "store", e->settings->data,
		      "name a writable directory with --data, or see the message");
		if (s == OK)
			store_close(store);
	}
	check_space(e);
}

static void check_prometheus(struct examination *e)
{
	const char *version = NULL;
	enum status s = prometheus_check(e->mem, &e->flow.prometheus, &version);

	judge(e, s, "prometheus",
	      str_fmt(e->mem, "version %s", version == NULL ? "unknown" : version),
	      "set prometheus.url (PROMETHEUS_URL); without it no remedy can be verified");
}

static void check_alertmanager(struct examination *e)
{
	const char *version = NULL;

	if (e->flow.alertmanager.url == NULL) {
		find(e, WELL, "alertmanager",
		     "not configured; resolved events and Prometheus close incidents", "");
		return;
	}
	enum status s = alertmanager_check(e->mem, &e->flow.alertmanager, &version);
	judge(e, s, "alertmanager",
	      str_fmt(e->mem, "version %s", version == NULL ? "unknown" : version),
	      "set alertmanager.url (ALERTMANAGER_URL), or leave it empty");
}

/* Without them tickets lack evidence; nothing else does. */
static void check_source(struct examination *e, const struct backend *b,
			 enum status (*ask)(void *, const struct backend *, const char **))
{
	const char *version = NULL;

	if (b->url == NULL) {
		find(e, WELL, b->word, "not configured", "");
		return;
	}
	enum status s = ask(e->mem, b, &version);
	find(e, s == OK ? WELL : WARNING, b->word,
	     s == OK ? str_fmt(e->mem, "version %s", version == NULL ? "unknown" : version)
		     : str_dup(e->mem, status_message()),
	     s == OK ? ""
		     : str_fmt(e->mem,
			       "set %s.url, or make it \"\": then incidents are looked into "
			       "without it",
			       b->word));
}

static void check_tracker(struct examination *e)
{
	const char *viewer = NULL;
	const char *team = NULL;
	struct linear *linear = peers_linear(e->mem, e->settings, e->flow.http);

	if (linear == NULL) {
		find(e, WELL, "tracker", "embedded (no linear.api_key)", "");
		return;
	}
	enum status s = linear_check(e->mem, linear, &viewer, &team);
	judge(e, s, "linear",
	      str_fmt(e->mem, "team %s as %s", team == NULL ? "?" : team,
		      viewer == NULL ? "?" : viewer),
	      "check linear.api_key (LINEAR_API_KEY) and linear.team (LINEAR_TEAM_KEY)");
}

static struct http_request probe(struct examination *e, const struct function *f)
{
	const struct function_options *o = &e->flow.functions;
	static const char *const PATH[] = {"health", NULL};
	char *base = str_fmt(e->mem, "%s://%s.%s.%s", o->scheme, f->name, f->namespace, o->domain);
	char *url = NULL;

	if (url_build(e->mem, base, PATH, NULL, 0, &url) != OK)
		url = base;
	return (struct http_request){.method = "GET",
				     .url = url,
				     .timeout_ms = FUNCTION_PROBE_MS,
				     .connect_to = o->gateway,
				     .ca_file = o->ca_file};
}

/* Functions scale to zero: no answer in time is no verdict (P18). */
static void check_functions(struct examination *e)
{
	const struct catalogue *c = e->flow.catalogue;
	struct http_request *requests = NEW_ARRAY(e->mem, struct http_request, c->count + 1);
	struct http_reply *replies = NULL;

	if (c->count == 0) {
		find(e, WARNING, "catalogue", "no functions",
		     "set catalogue to a YAML file; until then every alert goes to a person");
		return;
	}
	find(e, WELL, "catalogue", str_fmt(e->mem, "%zu functions", c->count), "");
	for (size_t n = 0; n < c->count; n++)
		requests[n] = probe(e, &c->functions[n]);
	http_fetch_all(e->mem, e->flow.http, requests, c->count, &replies);
	for (size_t n = 0; n < c->count; n++) {
		bool well = replies[n].status == OK && replies[n].code == 200;
		find(e, well ? WELL : WARNING, str_fmt(e->mem, "function %s", c->functions[n].name),
		     well		       ? "healthy"
		     : replies[n].status == OK ? str_fmt(e->mem, "answered %ld", replies[n].code)
					       : replies[n].message,
		     well ? "" : "deploy it, or check functions.domain and functions.gateway");
	}
}

static void check_broker(struct examination *e)
{
	const char *said = "";

	if (!broker_is_configured(e->settings)) {
		find(e, WELL, "broker", "not configured (no broker.url)", "");
		return;
	}
	enum status s = broker_examine(e->mem, e->settings, &said);
	judge(e, s, "broker", said,
	      "check broker.url (AGENT_SRE_BROKER_URL) and broker.dead_letter_queues");
}

static void check_schemas(struct examination *e)
{
	const char *path = e->settings->schemas;
	struct schema_registry *r = NULL;
	enum status s = schema_files_registry(&path, 1, &r);

	judge(e, s, "schemas", str_empty(path) ? "built in" : path,
	      "mend the file; 'agent-sre schemas check FILE' shows more");
	if (s == OK)
		schema_registry_release(r);
}

static void check_slos(struct examination *e)
{
	struct openslo *o = NULL;
	size_t count = 0;

	if (!e->settings->slm_enabled) {
		find(e, WARNING, "slo", "switched off",
		     "set slo.enabled (SLM_ENABLED) for tickets that know their SLO");
		return;
	}
	enum status s = openslo_files_load(e->mem, e->settings->slm_definitions, &o);
	if (s == OK)
		openslo_all(o, &count);
	judge(e, s, "slo", str_fmt(e->mem, "%zu definitions", count),
	      "mend the file; 'agent-sre slo rules FILE' says more");
}

static void check_on_call(struct examination *e)
{
	const char *email = "";
	enum status s = on_call_ask(e->mem, e->flow.on_call, &email);

	/* what a schedule lacks the fallback makes good; to whom a ticket goes is what counts */
	judge(e, s, "on call", str_empty(email) ? "nobody: tickets are unassigned" : email,
	      "see ticket.schedule and ticket.on_call");
}

static void check_listener(struct examination *e)
{
	const struct settings *s = e->settings;
	bool token = !str_empty(s->token);

	find(e, WELL, "listen", s->listen, "");
	find(e, token || !s->allow_anonymous ? WELL : WARNING, "authentication",
	     token ? "bearer token" : "none (loopback, or anonymous on request)",
	     token || !s->allow_anonymous ? "" : "set auth.token (AGENT_SRE_TOKEN)");
}

static void examine(struct examination *e)
{
	find(e, WELL, "configuration", "valid", "");
	check_listener(e);
	check_store(e);
	check_schemas(e);
	check_slos(e);
	enum status s = peers_connect(e->mem, e->settings, &e->flow);
	if (s != OK) {
		judge(e, s, "catalogue", "",
		      "mend the file; 'agent-sre config explain' says which one is used");
		return;
	}
	check_on_call(e);
	check_prometheus(e);
	check_alertmanager(e);
	check_source(e, &e->flow.sources.loki, loki_check);
	check_source(e, &e->flow.sources.tempo, tempo_check);
	check_tracker(e);
	check_broker(e);
	check_functions(e);
}

static void print(const struct examination *e)
{
	size_t n;
	json_t *f;

	json_array_foreach (e->findings, n, f) {
		int mark = WELL;
		while (mark < BROKEN && !str_eq(WORDS[mark], json_str(f, "result")))
			mark++;
		printf("%s %-28s %s\n", MARKS[mark], json_str(f, "check"), json_str(f, "detail"));
		if (!str_empty(json_str(f, "advice")))
			printf("  %-28s → %s\n", "", json_str(f, "advice"));
	}
}

int daemon_doctor(const struct settings *settings, bool json)
{
	SCOPE(mem);
	struct examination e = {
		.mem = mem, .settings = settings, .findings = mem_own(mem, json_array())};

	examine(&e);
	if (json)
		printf("%s\n", json_text(mem, e.findings));
	else
		print(&e);
	return e.broken > 0 ? 1 : 0;
}
