#include "clients/prometheus.h"
#include "clients/prometheus_parts.h"

#include <math.h>
#include <string.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/json_node.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/url.h"

enum { SAMPLES_MAX = 20000, WARNINGS_MAX = 16, QUERY_URL_BYTES = 1500 };

static const int64_t DURATION_MAX_MS = INT64_C(1000) * 3600 * 24 * 366 * 100;

static enum status decode_envelope(void *mem, const char *body, size_t n, json_t **out,
				   json_t **data)
{
	json_t *doc = NULL;

	if (json_parse(mem, body, n, &doc) != OK)
		return failure_in(E_INVALID, "Prometheus' answer is not JSON");
	if (str_eq(json_str(doc, "status"), "error"))
		return failure(E_INVALID, "Prometheus: %.300s",
			       json_str(doc, "error") == NULL ? "error" : json_str(doc, "error"));
	*data = json_object_get(doc, "data");
	if (!str_eq(json_str(doc, "status"), "success") || *data == NULL)
		return failure(E_INVALID, "Prometheus' answer has no data");
	*out = doc;
	return OK;
}

enum status prometheus_number(const char *text, double *out)
{
	if (str_eq(text, "+Inf"))
		*out = INFINITY;
	else if (str_eq(text, "-Inf"))
		*out = -INFINITY;
	else if (str_eq(text, "NaN"))
		*out = NAN;
	else if (str_to_double(text, out) != OK)
		return failure_in(E_INVALID, "Prometheus: a sample's value");
	return OK;
}

static enum status decode_point(const json_t *point, struct sample *out)
{
	const json_t *at = json_array_get(point, 0);
	const json_t *value = json_array_get(point, 1);

	if (!json_is_number(at) || !json_is_string(value))
		return failure(E_INVALID, "Prometheus: a sample must be [time, \"value\"]");
	out->at = json_number_value(at);
	return prometheus_number(json_string_value(value), &out->value);
}

static enum status decode_vector(void *mem, const json_t *result, struct query_result *r)
{
	size_t n;
	json_t *entry;

	if (json_array_size(result) > SAMPLES_MAX)
		return failure(E_INVALID, "Prometheus: more than %d samples", SAMPLES_MAX);
	r->samples = NEW_ARRAY(mem, struct sample, json_array_size(result) + 1);
	json_array_foreach (result, n, entry) {
		json_t *labels = NULL;
		/* left out, it would look as if nothing matched */
		if (json_object_get(entry, "histogram") != NULL)
			return failure(E_INVALID,
				       "Prometheus: a native histogram has no one value");
		TRY(json_string_map(mem, entry, "metric", &labels));
		r->samples[n].labels = labels;
		TRY(decode_point(json_object_get(entry, "value"), &r->samples[n]));
		r->count++;
	}
	return OK;
}

static void decode_warnings(void *mem, const json_t *doc, struct query_result *r)
{
	const json_t *warnings = json_object_get(doc, "warnings");
	size_t n;
	json_t *w;

	r->warnings = NEW_ARRAY(mem, const char *, WARNINGS_MAX);
	json_array_foreach (warnings, n, w)
		if (json_is_string(w) && r->warning_count < WARNINGS_MAX)
			r->warnings[r->warning_count++] = json_string_value(w);
}

enum status prometheus_decode_query(void *mem, const char *body, size_t n,
				    struct query_result **out)
{
	json_t *doc = NULL;
	json_t *data = NULL;
	struct query_result *r = NEW(mem, struct query_result);

	TRY(decode_envelope(mem, body, n, &doc, &data));
	const char *type = json_str(data, "resultType");
	const json_t *result = json_object_get(data, "result");
	if (!json_is_array(result))
		return failure(E_INVALID, "Prometheus: the result is not a list");
	if (str_eq(type, "vector")) {
		TRY(decode_vector(mem, result, r));
	} else if (str_eq(type, "scalar")) {
		r->samples = NEW(mem, struct sample);
		r->samples->labels = mem_own(mem, json_object());
		TRY(decode_point(result, r->samples));
		r->count = 1;
	} else {
		return failure(E_INVALID, "Prometheus: result type %.20s is not wanted",
			       type == NULL ? "?" : type);
	}
	decode_warnings(mem, doc, r);
	*out = r;
	return OK;
}

static const char *text_or_empty(const json_t *object, const char *key)
{
	const char *text = json_str(object, key);
	return text == NULL ? "" : text;
}

static int64_t milliseconds(const json_t *seconds)
{
	double ms = json_number_value(seconds) * 1000.0;

	return ms > 0 && ms < (double)DURATION_MAX_MS ? (int64_t)ms : 0;
}

static enum status decode_rule(void *mem, const json_t *group, const json_t *entry,
			       struct rule *out)
{

	*out = (struct rule){
		.name = json_str(entry, "name"),
		.expr = json_str(entry, "query"),
		.for_ms = milliseconds(json_object_get(entry, "duration")),
		.health = text_or_empty(entry, "health"),
		.error = text_or_empty(entry, "lastError"),
		.group = text_or_empty(group, "name"),
		.file = text_or_empty(group, "file"),
	};
	if (out->expr == NULL)
		return failure(E_INVALID, "Prometheus: a rule without expression");
	return json_string_map(mem, entry, "labels", &out->labels);
}

enum status prometheus_decode_rules(void *mem, const char *body, size_t n, const char *alertname,
				    struct rule **out, size_t *count)
{
	json_t *doc = NULL;
	json_t *data = NULL;
	json_t *group, *entry;
	size_t g, r;
	struct rule *rules = NEW_ARRAY(mem, struct rule, 1);
	size_t found = 0;

	TRY(decode_envelope(mem, body, n, &doc, &data));
	if (!json_is_array(json_object_get(data, "groups")))
		return failure(E_INVALID, "Prometheus' answer has no list of groups");
	json_array_foreach (json_object_get(data, "groups"), g, group) {
		json_array_foreach (json_object_get(group, "rules"), r, entry) {
			if (!str_eq(json_str(entry, "type"), "alerting") ||
			    !str_eq(json_str(entry, "name"), alertname))
				continue;
			rules = GROW(mem, rules, struct rule, found + 1);
			TRY(decode_rule(mem, group, entry, &rules[found]));
			found++;
		}
	}
	*out = rules;
	*count = found;
	return OK;
}

static enum status node_envelope(void *mem, const char *body, size_t n, const struct node **data)
{
	const struct node *doc = NULL;

	if (node_parse(mem, body, n, &doc) != OK)
		return failure_in(E_INVALID, "Prometheus' answer is not JSON");
	const char *status = node_str(doc, "status");
	const char *error = node_str(doc, "error");
	if (str_eq(status, "error"))
		return failure(E_INVALID, "Prometheus: %.300s", error == NULL ? "error" : error);
	*data = node_get(doc, "data");
	if (!str_eq(status, "success") || *data == NULL)
		return failure(E_INVALID, "Prometheus' answer has no data");
	return OK;
}

static enum status check_texts(const struct node *labels)
{
	if (labels == NULL || labels->kind != NODE_OBJECT)
		return failure(E_INVALID, "Prometheus: an alert without labels");
	NODE_MEMBERS(name, labels)
	if (name[1].kind != NODE_STRING)
		return failure(E_INVALID, "Prometheus: labels.%.60s must be a string", name->text);
	return OK;
}

/* Without a value for each label: a storm is some hundred thousand of them, and every incident
 * asks. */
enum status prometheus_decode_alerts(void *mem, const char *body, size_t n,
				     struct active_alert **out, size_t *count)
{
	const struct node *data = NULL;
	size_t found = 0;

	TRY(node_envelope(mem, body, n, &data));
	const struct node *list = node_get(data, "alerts");
	if (list == NULL || list->kind != NODE_ARRAY)
		return failure(E_INVALID, "Prometheus' answer has no list of alerts");
	struct active_alert *alerts = NEW_ARRAY(mem, struct active_alert, list->size + 1);
	NODE_EACH(entry, list)
	{
		const struct node *labels = node_get(entry, "labels");
		TRY(check_texts(labels));
		alerts[found++] =
			(struct active_alert){labels, str_eq(node_str(entry, "state"), "firing")};
	}
	*out = alerts;
	*count = found;
	return OK;
}

static char *error_text(void *mem, const struct http_reply *r)
{
	json_t *doc = NULL;
	const char *said = NULL;

	if (json_parse(mem, r->body, r->body_bytes, &doc) == OK)
		said = json_str(doc, "error");
	return said != NULL ? str_fmt(mem, "Prometheus: %.300s", said)
			    : str_fmt(mem, "Prometheus answered %ld", r->code);
}

enum status prometheus_judge(void *mem, const struct http_reply *r)
{
	if (r->status != OK)
		return failure(r->status, "Prometheus: %s", r->message);
	if (r->code == 200)
		return OK;
	char *text = error_text(mem, r);
	if (r->code == 401 || r->code == 403)
		return failure(E_DENIED, "Prometheus answered %ld: check prometheus.token",
			       r->code);
	if (r->code == 429)
		return failure_after(http_retry_after_ms(r, clock_now()), E_RATE, "%s", text);
	if (r->code == 503 || r->code == 504 || r->code == 408 || r->code == 499)
		return failure(E_TIMEOUT, "%s", text);
	return failure(r->code >= 500 ? E_TRANSIENT : E_INVALID, "%s", text);
}

static void address(void *mem, const struct prometheus *p, struct http_request *q)
{
	struct http_header *headers = NEW_ARRAY(mem, struct http_header, 3);

	headers[0] = (struct http_header){"Content-Type", "application/x-www-form-urlencoded"};
	headers[1] = (struct http_header){"Accept", "application/json"};
	if (p->bearer != NULL)
		headers[2] =
			(struct http_header){"Authorization", str_fmt(mem, "Bearer %s", p->bearer)};
	q->headers = headers;
	q->header_count = p->bearer == NULL ? 2 : 3;
	q->timeout_ms = p->timeout_ms;
	q->ca_file = p->ca_file;
	q->peer = "prometheus";
}

static enum status fetch(void *mem, const struct prometheus *p, const struct http_request *q,
			 struct http_reply **out)
{
	http_fetch_all(mem, p->http, q, 1, out);
	return prometheus_judge(mem, *out);
}

static enum status get_request(void *mem, const struct prometheus *p, const char *const *path,
			       const struct url_pair *query, size_t n, struct http_request *out)
{
	char *url = NULL;

	TRY(url_build(mem, p->url, path, query, n, &url));
	*out = (struct http_request){.method = "GET", .url = url};
	address(mem, p, out);
	return OK;
}

static enum status get(void *mem, const struct prometheus *p, const char *const *path,
		       const struct url_pair *query, size_t n, struct http_reply **out)
{
	struct http_request q;

	TRY(get_request(mem, p, path, query, n, &q));
	return fetch(mem, p, &q, out);
}

enum status prometheus_form(void *mem, const struct prometheus *p, const char *const *path,
			    const struct url_pair *fields, size_t n, struct http_request *out)
{
	char *url = NULL;
	char *body = str_dup(mem, "");

	TRY(url_build(mem, p->url, path, NULL, 0, &url));
	for (size_t i = 0; i < n; i++) {
		char *escaped = mem_check(curl_easy_escape(NULL, fields[i].value, 0));
		str_add(&body, "%s%s=%s", i > 0 ? "&" : "", fields[i].name, escaped);
		curl_free(escaped);
	}
	*out = (struct http_request){
		.method = "POST", .url = url, .body = body, .body_bytes = strlen(body)};
	address(mem, p, out);
	return OK;
}

enum status prometheus_query_request(void *mem, const struct prometheus *p, const char *expr,
				     struct http_request *out)
{
	static const char *const PATH[] = {"api", "v1", "query", NULL};
	const struct url_pair fields[] = {{"query", expr}};

	return prometheus_form(mem, p, PATH, fields, 1, out);
}

enum status prometheus_query_reply(void *mem, const struct http_reply *r, struct query_result **out)
{
	TRY(prometheus_judge(mem, r));
	return prometheus_decode_query(mem, r->body, r->body_bytes, out);
}

enum status prometheus_query(void *mem, const struct prometheus *p, const char *expr,
			     struct query_result **out)
{
	struct http_request q;
	struct http_reply *r = NULL;

	TRY(prometheus_query_request(mem, p, expr, &q));
	http_fetch_all(mem, p->http, &q, 1, &r);
	return prometheus_query_reply(mem, r, out);
}

/* The short ones are asked as WORKFLOW-001.3 writes them; not every proxy takes a long URL. */
static enum status brief_request(void *mem, const struct prometheus *p, const char *expr,
				 struct http_request *out)
{
	static const char *const PATH[] = {"api", "v1", "query", NULL};
	const struct url_pair query[] = {{"query", expr}};

	if (strlen(expr) > QUERY_URL_BYTES)
		return prometheus_query_request(mem, p, expr, out);
	return get_request(mem, p, PATH, query, 1, out);
}

void prometheus_query_all(void *mem, const struct prometheus *p, const char *const *exprs, size_t n,
			  struct query_answer **answers)
{
	struct http_request *requests = NEW_ARRAY(mem, struct http_request, n + 1);
	struct http_reply *replies = NULL;
	enum status s = OK;

	*answers = NEW_ARRAY(mem, struct query_answer, n + 1);
	for (size_t k = 0; s == OK && k < n; k++) {
		s = brief_request(mem, p, exprs[k], &requests[k]);
		/* a short deadline that is ours must not make Prometheus look away for everybody */
		requests[k].peer = "prometheus_range";
	}
	if (s == OK)
		http_fetch_all(mem, p->http, requests, n, &replies);
	for (size_t k = 0; k < n; k++) {
		struct query_answer *a = &(*answers)[k];
		a->status = s == OK ? prometheus_query_reply(mem, &replies[k], &a->result) : s;
		if (a->status != OK)
			a->message = str_dup(mem, status_message());
	}
}

enum status prometheus_rules_request(void *mem, const struct prometheus *p, const char *alertname,
				     struct http_request *out)
{
	static const char *const PATH[] = {"api", "v1", "rules", NULL};
	const struct url_pair query[] = {{"type", "alert"}, {"rule_name[]", alertname}};

	return get_request(mem, p, PATH, query, 2, out);
}

enum status prometheus_rules_reply(void *mem, const struct http_reply *r, const char *alertname,
				   struct rule **out, size_t *count)
{
	TRY(prometheus_judge(mem, r));
	return prometheus_decode_rules(mem, r->body, r->body_bytes, alertname, out, count);
}

enum status prometheus_rules(void *mem, const struct prometheus *p, const char *alertname,
			     struct rule **out, size_t *count)
{
	struct http_request q;
	struct http_reply *r = NULL;

	TRY(prometheus_rules_request(mem, p, alertname, &q));
	http_fetch_all(mem, p->http, &q, 1, &r);
	return prometheus_rules_reply(mem, r, alertname, out, count);
}

bool prometheus_rule_fits(const struct rule *rule, const json_t *labels)
{
	const char *name;
	json_t *value;

	json_object_foreach (rule->labels, name, value) {
		const char *text = json_string_value(value);
		if (strstr(text, "{{") == NULL && !str_eq(text, json_str(labels, name)))
			return false;
	}
	return true;
}

/* An answer that many look at. */
struct alert_list {
	enum status status;
	const char *why;
	int64_t pause_ms;
	struct active_alert *alerts;
	size_t count;
};

static enum status ask_alerts(const struct prometheus *p, struct alert_list *out)
{
	static const char *const PATH[] = {"api", "v1", "alerts", NULL};
	SCOPE(tmp);
	struct http_reply *r = NULL;

	TRY(get(tmp, p, PATH, NULL, 0, &r));
	return prometheus_decode_alerts(out, r->body, r->body_bytes, &out->alerts, &out->count);
}

static void *make_alerts(const void *prometheus)
{
	struct alert_list *list = NEW(NULL, struct alert_list);

	*list = (struct alert_list){0};
	list->status = ask_alerts(prometheus, list);
	if (list->status != OK) {
		list->why = str_dup(list, status_message());
		list->pause_ms = status_retry_after_ms();
	}
	return list;
}

enum status prometheus_alerts(void *mem, const struct prometheus *p, const char *alertname,
			      struct active_alert **out, size_t *count)
{
	const struct alert_list *list = p->alerts == NULL
						? MOVE(mem, make_alerts(p))
						: shared_call_get(mem, p->alerts, make_alerts, p);

	if (list->status != OK)
		return failure_after(list->pause_ms, list->status, "%s", list->why);
	*out = NEW_ARRAY(mem, struct active_alert, list->count + 1);
	*count = 0;
	for (size_t n = 0; n < list->count; n++)
		if (str_eq(node_str(list->alerts[n].labels, "alertname"), alertname))
			(*out)[(*count)++] = list->alerts[n];
	return OK;
}

enum status prometheus_proof(void *mem, const struct prometheus *p, struct http_request *out)
{
	static const char *const PATH[] = {"api", "v1", "query", NULL};
	static const struct url_pair QUERY[] = {{"query", "1"}};
	struct http_header *headers = NEW(mem, struct http_header);
	char *url = NULL;

	TRY(url_build(mem, p->url, PATH, QUERY, 1, &url));
	if (p->bearer != NULL)
		*headers =
			(struct http_header){"Authorization", str_fmt(mem, "Bearer %s", p->bearer)};
	*out = (struct http_request){.method = "GET",
				     .url = url,
				     .headers = headers,
				     .header_count = p->bearer != NULL,
				     .ca_file = p->ca_file};
	return OK;
}

enum status prometheus_check(void *mem, const struct prometheus *p, const char **version)
{
	static const char *const READY[] = {"-", "ready", NULL};
	static const char *const BUILD[] = {"api", "v1", "status", "buildinfo", NULL};
	struct http_reply *r = NULL;
	json_t *doc = NULL;
	json_t *data = NULL;

	*version = NULL;
	TRY(get(mem, p, READY, NULL, 0, &r));
	enum status s = get(mem, p, BUILD, NULL, 0, &r);
	if (s == OK)
		s = decode_envelope(mem, r->body, r->body_bytes, &doc, &data);
	if (s == OK)
		*version = json_str(data, "version");
	return s == E_INVALID ? OK : s; /* what only looks like Prometheus has no version */
}
