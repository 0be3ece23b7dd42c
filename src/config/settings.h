/*
 * The configuration: one table that parses it, documents it and explains it. Sources, later ones
 * win: default, YAML file, environment, command line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "domain/catalogue.h"
#include "domain/policy.h"

/*
 * S(field, type, key, environment, default, what is allowed, meaning)
 * Types: STRING, SECRET (masked everywhere; <ENVIRONMENT>_FILE names a file that holds it), URL, ADDRESS
 * (host:port), PATH, INTEGER, DURATION (ms), BYTES (plain, or with KiB/MiB), FRACTION (0..1), BOOLEAN,
 * MODE, RISK, WORD (one of the allowed, separated by |), LIST (of strings).
 * "" as default means: not set. Environment "" means: none.
 * BYTES, INTEGER, DURATION: allowed is "min..max" in the same notation as values.
 */
#define SETTINGS(S) \
	S(listen, STRING, "listen", "", "127.0.0.1:8000", "ADDRESS:PORT", "where serve listens; PORT alone changes the port and listens on all addresses") \
	S(data, PATH, "data", "AGENT_SRE_DATA", "./agent-sre-data", "a directory", "where the store lives; created when absent") \
	S(public_url, URL, "public_url", "AGENT_SRE_URL", "", "http(s) URL", "how people reach this agent; stands in links of the embedded tracker") \
	S(log_level, WORD, "log.level", "LOG_LEVEL", "info", "debug|info|warn|error", "which log lines appear") \
	S(tls_certificate, PATH, "tls.certificate", "AGENT_SRE_TLS_CERTIFICATE", "", "a PEM file", "serve HTTPS with this certificate chain") \
	S(tls_key, PATH, "tls.key", "AGENT_SRE_TLS_KEY", "", "a PEM file", "its private key") \
	S(allow_plaintext, BOOLEAN, "tls.allow_plaintext", "AGENT_SRE_ALLOW_PLAINTEXT", "false", "true|false", "listen without TLS on an address that is not loopback (a mesh or ingress does TLS)") \
	S(token, SECRET, "auth.token", "AGENT_SRE_TOKEN", "", "16 characters or more", "bearer token that callers must send; needed unless listening on loopback") \
	S(token_previous, SECRET, "auth.previous_token", "AGENT_SRE_PREVIOUS_TOKEN", "", "16 characters or more", "a second valid token, while rotating") \
	S(allow_anonymous, BOOLEAN, "auth.allow_anonymous", "AGENT_SRE_ALLOW_ANONYMOUS", "false", "true|false", "accept callers without token on an address that is not loopback") \
	S(intake_max_body, BYTES, "intake.max_body", "AGENT_SRE_MAX_BODY", "1MiB", "1KiB..64MiB", "larger requests get 413") \
	S(intake_request_timeout, DURATION, "intake.request_timeout", "", "30s", "100ms..10m", "a client that has not sent a whole request by then is cut off") \
	S(intake_connections, INTEGER, "intake.connections", "", "1024", "1..65536", "open connections; more are refused") \
	S(intake_queue, INTEGER, "intake.queue", "", "8192", "1..1000000", "requests that may wait for the disk; more get 503") \
	S(intake_rate, INTEGER, "intake.rate", "", "200000", "1..10000000", "events a second that one caller may send; more get 429") \
	S(intake_burst, INTEGER, "intake.burst", "", "400000", "1..100000000", "events that one caller may send at once after a pause") \
	S(intake_rates, LIST, "intake.rates", "", "", "SOURCE-PATTERN=EVENTS/s (or /m, /h)", "limits of their own for events of some sources; the first pattern that fits counts") \
	S(api_rate, INTEGER, "api.rate", "", "200", "1..1000000", "reads of the API a second that one caller may make; more get 429") \
	S(api_change_rate, INTEGER, "api.change_rate", "", "50", "1..1000000", "the same for calls that change something: replays, archiving, drops, approvals") \
	S(catalogue, PATH, "catalogue", "AGENT_SRE_CATALOGUE", "", "a YAML file", "the remediation functions; without it every alert goes to a person") \
	S(schemas, PATH, "schemas", "AGENT_SRE_SCHEMAS", "", "a directory or a file", "versions of event data beside those that are built in, YAML or JSON; loaded again when they change and on SIGHUP") \
	S(mode, MODE, "policy.mode", "OPERATION_MODE", "autopilot", "autopilot|agentic|supervised|shadow", "act, ask before every action, or only report") \
	S(risk_limit, RISK, "policy.risk_limit", "AGENT_SRE_RISK_LIMIT", "low", "low|medium|high", "autopilot acts up to this risk and asks above it") \
	S(act_confidence, FRACTION, "policy.act_confidence", "", "0.70", "0..1", "act from this confidence on") \
	S(ask_confidence, FRACTION, "policy.ask_confidence", "", "0.50", "0..1", "ask from this confidence on; below it a person takes over") \
	S(flaps_per_hour, INTEGER, "policy.flaps_per_hour", "", "3", "1..1000", "actions for one alert within an hour before a person is asked") \
	S(protected_namespaces, LIST, "policy.protected_namespaces", "", "kube-system,kube-public,kube-node-lease", "names", "namespaces that no action may touch") \
	S(approval_timeout, DURATION, "approval.timeout", "APPROVAL_TIMEOUT_SECONDS", "1h", "1s..30d", "how long an approval may wait") \
	S(approval_timeout_action, WORD, "approval.timeout_action", "APPROVAL_TIMEOUT_ACTION", "pending", "pending|reject|approve", "what then; approve never holds for irreversible actions") \
	S(function_scheme, WORD, "functions.scheme", "AGENT_SRE_FUNCTION_SCHEME", "http", "http|https", "how functions are called") \
	S(function_domain, STRING, "functions.domain", "AGENT_SRE_FUNCTION_DOMAIN", "svc.cluster.local", "a DNS domain", "functions are called at <name>.<namespace>.<domain>") \
	S(function_gateway, ADDRESS, "functions.gateway", "AGENT_SRE_FUNCTION_GATEWAY", "", "HOST:PORT", "connect here instead, keeping the Host header (a Knative ingress)") \
	S(function_token, SECRET, "functions.token", "AGENT_SRE_FUNCTION_TOKEN", "", "a token", "bearer token for functions") \
	S(prometheus_url, URL, "prometheus.url", "PROMETHEUS_URL", "http://prometheus:9090", "http(s) URL", "where remedies are verified") \
	S(prometheus_timeout, DURATION, "prometheus.timeout", "PROMETHEUS_TIMEOUT", "30s", "100ms..5m", "of one query") \
	S(prometheus_token, SECRET, "prometheus.token", "PROMETHEUS_TOKEN", "", "a token", "bearer token") \
	S(alertmanager_url, URL, "alertmanager.url", "ALERTMANAGER_URL", "", "http(s) URL", "asked too whether an alert is over, when no resolved event comes; gets the alerts about the agent itself") \
	S(alertmanager_token, SECRET, "alertmanager.token", "ALERTMANAGER_TOKEN", "", "a token", "bearer token") \
	S(alertmanager_post, BOOLEAN, "alertmanager.post", "", "true", "true|false", "post the alerts about the agent itself there at once") \
	S(loki_url, URL, "loki.url", "LOKI_URL", "http://loki:3100", "http(s) URL", "where log lines are looked up for an incident; \"\" = nowhere; the default counts only where allow_plaintext_peers allows it") \
	S(loki_token, SECRET, "loki.token", "LOKI_TOKEN", "", "a token", "bearer token") \
	S(loki_tenant, STRING, "loki.tenant", "LOKI_TENANT", "", "a name, or several with | between", "X-Scope-OrgID, where Loki has tenants") \
	S(tempo_url, URL, "tempo.url", "TEMPO_URL", "http://tempo:3200", "http(s) URL", "where traces are looked up for an incident; \"\" = nowhere; the default as of loki.url") \
	S(tempo_token, SECRET, "tempo.token", "TEMPO_TOKEN", "", "a token", "bearer token") \
	S(tempo_tenant, STRING, "tempo.tenant", "TEMPO_TENANT", "", "a name, or several with | between", "X-Scope-OrgID, where Tempo has tenants") \
	S(investigate, BOOLEAN, "investigate.enabled", "", "true", "true|false", "look at metrics, logs and traces of every incident, beside its remedy, and put what they say on the ticket, with charts") \
	S(investigate_timeout, DURATION, "investigate.timeout", "", "10s", "100ms..5m", "asking Prometheus, Loki and Tempo about an incident takes no longer than this") \
	S(investigate_source_timeout, DURATION, "investigate.source_timeout", "", "8s", "100ms..5m", "the same for one of them") \
	S(investigate_rate, INTEGER, "investigate.rate", "", "100", "10..100000", "queries a second that each of them gets, for all incidents together; what would have to wait too long is not asked") \
	S(verify_first, DURATION, "verify.first", "", "5s", "10ms..5m", "first look after a remedy") \
	S(verify_budget, DURATION, "verify.budget", "", "5m", "100ms..1h", "give up looking after this") \
	S(resolve_poll, DURATION, "verify.resolve_poll", "", "30s", "100ms..1h", "how often Prometheus and Alertmanager are asked whether an open incident's alert is over") \
	S(slm_enabled, BOOLEAN, "slo.enabled", "SLM_ENABLED", "true", "true|false", "ask Prometheus for the state of the SLO that an alert's label slo names; without it priority follows the alert's severity alone") \
	S(slm_definitions, LIST, "slo.definitions", "AGENT_SRE_SLO_DEFINITIONS", "", "files, directories", "OpenSLO v1 documents whose indicators are asked for directly") \
	S(slm_sources, LIST, "slo.sources", "", "openslo,sloth,pyrra,series", "openslo, sloth, pyrra, series", "where the state of an SLO is looked for; the first that has measured something counts") \
	S(slm_timeout, DURATION, "slo.timeout", "", "2s", "100ms..10s", "of all queries for one SLO, which are made at once; then its state is unavailable") \
	S(slm_remember, DURATION, "slo.remember", "", "30s", "0ms..1h", "how long the state of an SLO is taken as good") \
	S(slm_critical, FRACTION, "slo.critical_above", "", "0.0005", "0..1", "a burn rate above it makes a violation critical") \
	S(slm_high, FRACTION, "slo.high_above", "", "0.0001", "0..1", "the same for high") \
	S(slm_medium, FRACTION, "slo.medium_above", "", "0.00001", "0..1", "the same for medium; at it or below the violation is low") \
	S(slm_sli_names, LIST, "slo.sli_names", "", "", "SLO=SLI", "what the indicator of an SLO is called, such as availability=uptime; else as its SLO") \
	S(slm_link, URL, "slo.link", "AGENT_SRE_SLO_LINK", "", "http(s) URL", "Grafana's base URL: tickets get a link to <URL>/d/slo-<SLO>; without it none") \
	S(linear_key, SECRET, "linear.api_key", "LINEAR_API_KEY", "", "an API key", "tickets go to Linear; without it to the embedded tracker") \
	S(linear_team, STRING, "linear.team", "LINEAR_TEAM_KEY", "SRE", "a team key", "the team that gets the tickets; also the prefix of embedded tickets") \
	S(linear_url, URL, "linear.url", "LINEAR_URL", "https://api.linear.app/graphql", "http(s) URL", "the GraphQL endpoint") \
	S(linear_timeout, DURATION, "linear.timeout", "", "30s", "100ms..5m", "of one request") \
	S(on_call, STRING, "ticket.on_call", "AGENT_SRE_ON_CALL", "", "an e-mail address", "who gets the tickets when the schedule names nobody; empty = unassigned") \
	S(on_call_schedule, STRING, "ticket.schedule", "AGENT_SRE_ON_CALL_SCHEDULE", "", "a YAML file, or an http(s) URL", "who is on call: rotations and overrides, or an endpoint that answers {\"email\": ...}") \
	S(broker_url, SECRET, "broker.url", "AGENT_SRE_BROKER_URL", "", "amqp(s)://USER:PASSWORD@HOST:PORT/VHOST", "the RabbitMQ whose dead-letter queues are taken in; without it none") \
	S(broker_queues, LIST, "broker.dead_letter_queues", "AGENT_SRE_BROKER_DEAD_LETTER_QUEUES", "", "names of queues", "they must exist; every message becomes a dead letter here, and is acknowledged when that is on disk") \
	S(broker_prefetch, INTEGER, "broker.prefetch", "", "200", "1..10000", "messages of one queue that may be under way to the disk") \
	S(workers, INTEGER, "workers", "", "640", "1..4096", "steps that may run at once; threads start on demand") \
	S(drain, DURATION, "drain", "", "20s", "0ms..10m", "how long a stopping agent waits for running steps before it cancels their calls") \
	S(retention, DURATION, "retention", "", "30d", "1h..3650d", "how long events and closed incidents are kept") \
	S(dlq_retention, DURATION, "dlq.retention", "", "30d", "1h..3650d", "how long dead letters are kept before they go to the archive") \
	S(dlq_retention_by_type, LIST, "dlq.retention_by_type", "", "", "TYPE=DURATION", "the same for single event types") \
	S(dlq_ticket_above, INTEGER, "dlq.ticket_above", "", "10", "1..1000000", "a group of dead letters gets a ticket when it has more than these, or a permanent failure") \
	S(dlq_max_replays, INTEGER, "dlq.max_replays", "", "5", "1..100", "how often one dead letter may be replayed") \
	S(order_rules, LIST, "ordering.after_dead_letter", "", "", "TYPE=allow|skip|block", "what becomes of later events of a partition key when one of the key is a dead letter: they go on (allow), a late replay changes nothing (skip), they wait as dead letters (block); allow unless named") \
	S(dlq_limit, INTEGER, "dlq.limit", "", "10000", "1..10000000", "dead letters; while there are as many and an outbox is full too, events get 503") \
	S(outbox_limit, INTEGER, "outbox.limit", "", "100000", "1..10000000", "incidents that may wait for a peer that is away; more become dead letters until it is back") \
	S(encryption_key, SECRET, "encryption.key", "AGENT_SRE_ENCRYPTION_KEY", "", "64 hex digits, or base64 of 32 bytes", "encrypts what is kept of events; without it a key is made in the data directory (seal.key)") \
	S(encryption_previous_key, SECRET, "encryption.previous_key", "AGENT_SRE_PREVIOUS_ENCRYPTION_KEY", "", "64 hex digits, or base64 of 32 bytes", "still opens what it encrypted, while rotating") \
	S(backup_target, LIST, "backup.target", "AGENT_SRE_BACKUP_TARGET", "", "directories, s3://BUCKET/PREFIX", "where serve keeps backups of its store, each in all of these places; without it none") \
	S(backup_every, DURATION, "backup.every", "", "15m", "1s..1h", "how often what changed is shipped: the most that a lost disk can cost") \
	S(backup_full_every, DURATION, "backup.full_every", "", "24h", "1m..7d", "how often all of it is shipped") \
	S(backup_keep, DURATION, "backup.keep", "", "30d", "30d..3650d", "how long backups are kept; the newest full one and what builds on it always stay") \
	S(backup_drill_every, DURATION, "backup.drill_every", "", "30d", "1m..92d", "how often the newest backup is restored on trial") \
	S(backup_s3_endpoint, URL, "backup.s3.endpoint", "AWS_ENDPOINT_URL", "", "http(s) URL", "the S3 or MinIO server of s3:// targets; empty: Amazon's of that region") \
	S(backup_s3_region, STRING, "backup.s3.region", "AWS_REGION", "us-east-1", "a region", "of the bucket") \
	S(backup_s3_key_id, STRING, "backup.s3.access_key_id", "AWS_ACCESS_KEY_ID", "", "a key id", "who signs the requests") \
	S(backup_s3_secret, SECRET, "backup.s3.secret_access_key", "AWS_SECRET_ACCESS_KEY", "", "a secret key", "signs the requests") \
	S(backup_s3_token, SECRET, "backup.s3.session_token", "AWS_SESSION_TOKEN", "", "a token", "of temporary credentials") \
	S(otlp_endpoint, STRING, "tracing.endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", "", "http(s) URL or HOST:PORT", "spans go here by OTLP over HTTP; empty = none") \
	S(trace_ratio, FRACTION, "tracing.ratio", "", "1", "0..1", "share of traces that are exported") \
	S(allow_plaintext_peers, LIST, "allow_plaintext_peers", "AGENT_SRE_ALLOW_PLAINTEXT_PEERS", "prometheus,loki,tempo,*.svc.cluster.local,*.svc", "host patterns", "hosts that may be called by http://; loopback always may") \
	S(ca_file, PATH, "ca_file", "SSL_CERT_FILE", "", "a PEM file", "certificate authorities for all outgoing TLS; empty = the system's") \
	S(namespace, STRING, "namespace", "NAMESPACE", "ai", "a name", "resource attribute of traces; namespace of functions that name none") \
	S(environment, STRING, "environment", "ENVIRONMENT", "production", "a name", "resource attribute of traces")

/* The C type of each setting type. LIST: NULL-terminated array of strings. */
#define SETTING_C_STRING const char *
#define SETTING_C_SECRET const char *
#define SETTING_C_URL const char *
#define SETTING_C_ADDRESS const char *
#define SETTING_C_PATH const char *
#define SETTING_C_WORD const char *
#define SETTING_C_INTEGER long long
#define SETTING_C_DURATION long long
#define SETTING_C_BYTES long long
#define SETTING_C_FRACTION double
#define SETTING_C_BOOLEAN bool
#define SETTING_C_MODE enum mode
#define SETTING_C_RISK enum risk
#define SETTING_C_LIST const char *const *

/* Texts are never NULL: "" means not set. */
struct settings { // NOLINT(clang-analyzer-optin.performance.Padding): there is one of it, in the order of the table
#define SETTING_FIELD(field, type, key, env, standard, allowed, doc) SETTING_C_##type field;
	SETTINGS(SETTING_FIELD)
#undef SETTING_FIELD
};

/* A value from the command line: key "listen" → "0.0.0.0:8000". */
struct setting_flag {
	const char *key;
	const char *value;
};

struct setting_source {
	const char *value; /* as text, before masking */
	const char *from;  /* "default", "agent-sre.yaml:12", "environment PORT", "--listen" */
};

/* Loads everything. `file` NULL = no file. `environ_of(name)` is getenv or a test's. E_INVALID: an
 * unknown key, a wrong value, contradictions (a non-loopback listener without token or without TLS and
 * no opt-in; http:// to a peer that is not allowed; tls.certificate without tls.key): the message names
 * file and line (or variable, or flag) and what is allowed; for an unknown key the nearest known one.
 * Secrets taken from environ are wiped there when `wipe`. `*sources` (may be NULL) gets one entry per
 * setting, in table order. Everything under mem. */
NODISCARD enum status settings_load(void *mem, const char *file, const struct setting_flag *flags,
				    size_t flag_count, char *(*environ_of)(const char *), bool wipe,
				    struct settings **out, struct setting_source **sources);

struct setting_info {
	const char *key, *type, *environment, *standard, *allowed, *meaning;
	bool secret;
};
/* The table, for `config explain`, the man page and docs. */
const struct setting_info *settings_table(size_t *count);

/* `config explain`: every key with type, default, source of its value, the value (secrets masked), and
 * meaning; as a table for people, or as JSON. */
char *settings_explain(void *mem, const struct setting_source *sources);
json_t *settings_explain_json(void *mem, const struct setting_source *sources);
