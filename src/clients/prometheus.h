/*
 * Prometheus' HTTP API v1: instant queries, alerting rules, active alerts. Each call = a pure decoder
 * and one thin HTTP exchange. Statuses: E_TRANSIENT/E_TIMEOUT/E_RATE for what may heal (5xx,
 * timeouts, 429), E_INVALID for what the server refuses (400, 422) or cannot be read, E_DENIED for
 * 401/403.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/json_node.h"
#include "base/shared_call.h"
#include "base/status.h"
#include "net/http_client.h"

struct prometheus {
	struct http_client *http;
	const char *url;         /* base, such as http://prometheus:9090 */
	const char *bearer;      /* token or NULL */
	const char *ca_file;     /* or NULL */
	int64_t timeout_ms;
	struct shared_call *alerts; /* by which prometheus_alerts asks once for many, or NULL: each for himself */
};

struct sample {
	const json_t *labels; /* object of strings, __name__ included when present */
	double value;         /* may be NAN or ±INFINITY */
	double at;            /* seconds since the epoch */
};

struct query_result {
	struct sample *samples; /* a scalar is one sample with empty labels */
	size_t count;
	const char **warnings;
	size_t warning_count;
};

NODISCARD enum status prometheus_query(void *mem, const struct prometheus *p, const char *expr,
				       struct query_result **out);

/* The same in two halves, for http_fetch_all: what is sent, and what came. */
NODISCARD enum status prometheus_query_request(void *mem, const struct prometheus *p, const char *expr,
					       struct http_request *out);
NODISCARD enum status prometheus_query_reply(void *mem, const struct http_reply *r, struct query_result **out);
/* The answer to one of several queries: `result` is NULL unless `status` is OK. */
struct query_answer {
	enum status status;
	const char *message; /* why not OK */
	struct query_result *result;
};
/* All at once, each within p->timeout_ms; one that fails leaves the others alone. `*answers` has `n`, in order, under mem. */
void prometheus_query_all(void *mem, const struct prometheus *p, const char *const *exprs, size_t n,
			  struct query_answer **answers);

struct rule {
	const char *name;   /* alertname */
	const char *expr;
	json_t *labels;     /* the rule's own; values may still hold templates */
	int64_t for_ms;
	const char *health; /* ok, err, unknown */
	const char *error;  /* lastError, "" when none */
	const char *group, *file;
};
/* All alerting rules of that alert name (filtered here too: old servers ignore rule_name[]). */
NODISCARD enum status prometheus_rules(void *mem, const struct prometheus *p, const char *alertname,
				       struct rule **out, size_t *count);

NODISCARD enum status prometheus_rules_request(void *mem, const struct prometheus *p, const char *alertname,
					       struct http_request *out);
NODISCARD enum status prometheus_rules_reply(void *mem, const struct http_reply *r, const char *alertname,
					     struct rule **out, size_t *count);

/* Can an alert with these labels be this rule's? False when one of the rule's own labels that is no template differs. */
bool prometheus_rule_fits(const struct rule *rule, const json_t *labels);

struct active_alert {
	const struct node *labels; /* an object of strings */
	bool firing; /* else pending */
};
/* Active alerts of that name. External labels are not on them (facts, section 1). The server tells of all of them or
 * none: in a storm, where every incident asks, who asks at the same time shares an answer. */
NODISCARD enum status prometheus_alerts(void *mem, const struct prometheus *p, const char *alertname,
					struct active_alert **out, size_t *count);

/* GET /-/ready, for doctor. `*version` (maybe NULL inside) from /api/v1/status/buildinfo. */
NODISCARD enum status prometheus_check(void *mem, const struct prometheus *p, const char **version);

/* The cheapest request that shows that it answers queries: the constant 1. Texts under mem. */
NODISCARD enum status prometheus_proof(void *mem, const struct prometheus *p, struct http_request *out);

/* Pure decoders over reply bodies, for tests and fuzzing. */
NODISCARD enum status prometheus_decode_query(void *mem, const char *body, size_t n, struct query_result **out);
NODISCARD enum status prometheus_decode_rules(void *mem, const char *body, size_t n, const char *alertname,
					      struct rule **out, size_t *count);
/* Of all names. */
NODISCARD enum status prometheus_decode_alerts(void *mem, const char *body, size_t n, struct active_alert **out,
					       size_t *count);
