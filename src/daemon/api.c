#include "daemon/api.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "daemon/reply.h"
#include "store/inquiries.h"
#include "store/partitions.h"

static void set_text(json_t *to, const char *key, const char *value)
{
	if (!str_empty(value))
		json_object_set_new(to, key, json_string(value));
}

static void set_time(void *mem, json_t *to, const char *key, int64_t ms)
{
	if (ms != 0)
		json_object_set_new(to, key, json_string(clock_format(mem, ms)));
}

/* What both the list and the single view show. */
static json_t *brief(void *mem, const struct incident *i)
{
	json_t *b = json_pack("{s:s, s:s, s:s, s:I}", "id", incident_name(mem, i->id), "state",
			      incident_state_name(i->state), "alertname", i->alertname,
			      "fired_count", (json_int_t)i->fired_count);

	mem_check(b);
	set_text(b, "resource", alert_resource(i->labels));
	set_text(b, "severity", json_str(i->labels, "severity"));
	set_text(b, "function", i->plan == NULL ? NULL : i->plan->function);
	set_text(b, "ticket", i->ticket_key);
	set_text(b, "escalation", i->escalation);
	set_text(b, "verdict",
		 i->verification == NULL ? NULL : verdict_name(i->verification->verdict));
	set_time(mem, b, "received_at", i->received_ms);
	set_time(mem, b, "updated_at", i->updated_ms);
	set_time(mem, b, "closed_at", i->closed_ms);
	return b;
}

static json_t *action_view(void *mem, const struct action *a)
{
	json_t *v = json_pack("{s:s, s:s, s:i}", "result", call_result_name(a->result), "message",
			      a->message, "tries", a->tries);

	set_text(v, "idempotency_key", a->key);
	set_time(mem, v, "called_at", a->called_ms);
	set_time(mem, v, "finished_at", a->finished_ms);
	return v;
}

static json_t *verification_view(void *mem, const struct verification *v)
{
	json_t *view = json_pack("{s:s, s:i, s:s, s:O}", "verdict", verdict_name(v->verdict),
				 "polls", v->polls, "reason", v->reason, "checks", v->checks);

	set_time(mem, view, "deadline_at", v->deadline_ms);
	return view;
}

static void add_findings(void *mem, json_t *view, const struct incident *i)
{
	if (i->plan != NULL)
		json_object_set_new(view, "plan",
				    json_pack("{s:s, s:s, s:O, s:s, s:f, s:s, s:s, s:s, s:s}",
					      "function", i->plan->function, "namespace",
					      i->plan->namespace, "parameters", i->plan->parameters,
					      "method", i->plan->method, "confidence",
					      i->plan->confidence, "reasoning", i->plan->reasoning,
					      "decision", decision_name(i->plan->decision), "why",
					      i->plan->why, "digest", i->plan->digest));
	if (i->slo != NULL)
		json_object_set_new(view, "slo", slo_context_encode(i->slo));
	if (i->action != NULL)
		json_object_set_new(view, "action", action_view(mem, i->action));
	if (i->verification != NULL)
		json_object_set_new(view, "verification", verification_view(mem, i->verification));
	if (!str_empty(i->approval)) {
		json_t *a = json_pack("{s:s}", "state", i->approval);
		set_text(a, "by", i->approval_by);
		set_time(mem, a, "expires_at", i->approval_expires_ms);
		json_object_set_new(view, "approval", a);
	}
	if (!str_empty(i->ticket_key))
		json_object_set_new(
			view, "ticket",
			json_pack("{s:s, s:s}", "key", i->ticket_key, "url", i->ticket_url));
}

static json_t *timeline(void *mem, const struct journal_entry *entries, size_t count)
{
	json_t *rows = json_array();

	for (size_t n = 0; n < count; n++) {
		const struct journal_entry *e = &entries[n];
		json_t *row =
			json_pack("{s:s, s:s, s:i, s:s, s:I}", "at", clock_format(mem, e->at_ms),
				  "step", e->step, "attempt", e->attempt, "outcome", e->outcome,
				  "duration_ms", (json_int_t)e->duration_ms);
		set_text(row, "note", e->note);
		json_array_append_new(rows, row);
	}
	return rows;
}

static enum status full_view(void *mem, struct store *store, const struct incident *i, json_t **out)
{
	struct journal_entry *entries = NULL;
	size_t count = 0;

	TRY(store_journal(mem, store, i->id, &entries, &count));
	json_t *view = mem_own(mem, brief(mem, i));
	json_object_set(view, "labels", i->labels);
	json_object_set(view, "annotations", i->annotations);
	set_text(view, "fingerprint", i->fingerprint);
	set_text(view, "correlation_id", i->correlation_id);
	set_text(view, "event_id", i->event_id);
	set_text(view, "trace_id", i->trace.trace_id);
	set_text(view, "resolved_by", i->resolved_by);
	set_text(view, "assignee", i->assignee);
	set_text(view, "previous", i->previous == 0 ? NULL : incident_name(mem, i->previous));
	set_time(mem, view, "started_at", i->starts_ms);
	set_time(mem, view, "resolved_at", i->resolved_ms);
	add_findings(mem, view, i);
	json_object_set_new(view, "timeline", timeline(mem, entries, count));
	*out = view;
	return OK;
}

static enum status filter_of(const struct http_exchange *x, struct incident_filter *f)
{
	const char *state = http_query(x, "state");
	const char *limit = http_query(x, "limit");
	enum incident_state parsed;
	long long n = 50;

	if (limit != NULL)
		TRY(str_to_int(limit, 1, 1000, &n));
	*f = (struct incident_filter){.state = -1, .limit = (size_t)n};
	if (str_empty(state))
		return OK;
	if (str_eq(state, "active")) {
		f->state = -2;
		return OK;
	}
	TRY(incident_state_parse(state, &parsed));
	f->state = (int)parsed;
	return OK;
}

static enum status list(struct http_exchange *x, struct store *store, const char *rest)
{
	struct incident_filter f;
	struct incident **found = NULL;
	size_t count = 0;
	void *mem = http_mem(x);

	(void)rest;
	TRY(filter_of(x, &f));
	TRY(store_incidents(mem, store, &f, &found, &count));
	json_t *rows = json_array();
	for (size_t n = 0; n < count; n++)
		json_array_append_new(rows, brief(mem, found[n]));
	reply_json(x, 200, json_pack("{s:o}", "incidents", rows));
	return OK;
}

static enum status latest(void *mem, struct store *store, struct incident **out)
{
	const struct incident_filter f = {.state = -1, .limit = 1};
	struct incident **found = NULL;
	size_t count = 0;

	TRY(store_incidents(mem, store, &f, &found, &count));
	if (count == 0)
		return failure(E_NOTFOUND, "there is no incident yet");
	*out = found[0];
	return OK;
}

static enum status one(struct http_exchange *x, struct store *store, const char *rest)
{
	struct incident *i = NULL;
	json_t *view = NULL;
	int64_t id;
	void *mem = http_mem(x);

	if (str_eq(rest, "latest")) {
		TRY(latest(mem, store, &i));
	} else {
		TRY(incident_id_parse(rest, &id));
		TRY(store_incident(mem, store, id, &i));
	}
	assert(i != NULL); /* both look-ups set it */
	TRY(full_view(mem, store, i, &view));
	reply_json(x, 200, json_incref(view));
	return OK;
}

static enum status ticket(struct http_exchange *x, struct store *store, const char *rest)
{
	json_t *found = NULL;

	TRY(store_tracker_ticket(http_mem(x), store, rest, &found));
	reply_json(x, 200, json_incref(found));
	return OK;
}

/* /pictures/INC-5/initial/cpu.png */
static enum status picture(struct http_exchange *x, struct store *store, const char *rest)
{
	/* what is in a picture came from outside */
	static const char *const HEADERS[] = {
		"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox",
		"X-Content-Type-Options", "nosniff", NULL};
	void *mem = http_mem(x);
	char *incident = str_dup(mem, rest);
	char *stage_name = strchr(incident, '/');
	char *name = stage_name == NULL ? NULL : strchr(stage_name + 1, '/');
	char *ending = name == NULL ? NULL : strrchr(name, '.');
	enum inquiry_stage stage;
	struct picture p;
	int64_t id;

	if (ending == NULL || !str_eq(ending, ".png"))
		return failure(E_NOTFOUND, "want /pictures/{incident}/{stage}/{name}.png");
	*stage_name++ = *name++ = *ending = '\0';
	TRY(incident_id_parse(incident, &id));
	TRY(inquiry_stage_parse(stage_name, &stage));
	TRY(store_picture(mem, store, id, stage, name, "image/png", &p));
	http_answer(x, 200, p.media_type, p.bytes, p.size, HEADERS);
	return OK;
}

/* The source may hold slashes; the id is what follows the last one. */
static enum status event(struct http_exchange *x, struct store *store, const char *rest)
{
	const char *slash = strrchr(rest, '/');
	json_t *found = NULL;
	void *mem = http_mem(x);

	if (slash == NULL || slash == rest)
		return failure(E_INVALID, "want /events/{source}/{id}");
	TRY(store_event(mem, store, str_ndup(mem, rest, (size_t)(slash - rest)), slash + 1,
			&found));
	reply_json(x, 200, json_incref(found));
	return OK;
}

static enum status decide(struct http_exchange *x, struct store *store, const char *rest)
{
	size_t bytes;
	const char *body = http_body(x, &bytes);
	json_t *doc = NULL;
	int64_t id;

	TRY(incident_id_parse(rest, &id));
	TRY(json_parse(http_mem(x), body, bytes, &doc));
	const char *decision = json_str(doc, "decision");
	const char *by = json_str(doc, "by");
	bool approve = str_eq(decision, "approve");
	if (!approve && !str_eq(decision, "reject"))
		return failure(E_INVALID, "decision must be approve or reject");
	if (str_empty(by))
		return failure(E_INVALID, "by must say who decides");
	by = str_cut(http_mem(x), by, 100);
	TRY(store_decide(store, id, json_str(doc, "digest"), approve, by, clock_now()));
	log_event(LOG_INFO, "approval_decided", "incident", rest, "decision", decision, "by", by,
		  NULL);
	reply_json(x, 200,
		   json_pack("{s:s, s:s, s:s}", "status", "processed", "incident",
			     incident_name(http_mem(x), id), "approval_status",
			     approve ? "approved" : "rejected"));
	return OK;
}

static enum status partitions(struct http_exchange *x, struct store *store, const char *rest)
{
	const char *limit = http_query(x, "limit");
	json_t *found = NULL;
	long long n = 50;

	(void)rest;
	if (limit != NULL)
		TRY(str_to_int(limit, 1, PARTITIONS_MOST, &n));
	TRY(store_partitions(http_mem(x), store, (size_t)n, clock_now(), &found));
	reply_json(x, 200, json_pack("{s:O}", "partitions", found));
	return OK;
}

struct route {
	const char *method;
	const char *path; /* ends in / when something follows */
	enum status (*answer)(struct http_exchange *x, struct store *store, const char *rest);
};

static const struct route ROUTES[] = {
	{"GET", "/incidents", list},	 {"GET", "/incidents/", one},
	{"GET", "/tickets/", ticket},	 {"GET", "/events/", event},
	{"POST", "/approvals/", decide}, {"GET", "/partitions", partitions},
	{"GET", "/pictures/", picture},
};

static const struct route *route_of(const char *path)
{
	for (size_t r = 0; r < sizeof(ROUTES) / sizeof(ROUTES[0]); r++) {
		bool prefix = str_ends(ROUTES[r].path, "/");
		if (prefix ? str_starts(path, ROUTES[r].path) &&
				     path[strlen(ROUTES[r].path)] != '\0'
			   : str_eq(path, ROUTES[r].path))
			return &ROUTES[r];
	}
	return NULL;
}

bool api_knows(const char *path)
{
	return route_of(path) != NULL;
}

void api_handle(struct http_exchange *x, void *store)
{
	const char *path = http_path(x);
	const struct route *r = route_of(path);
	const char *method = str_eq(http_method(x), "HEAD") ? "GET" : http_method(x);

	if (!str_eq(method, r->method)) {
		reply_error(x, 405, "method not allowed", r->method);
		return;
	}
	enum status s = r->answer(x, store, path + strlen(r->path));
	if (s == E_INTERNAL)
		log_event(LOG_ERROR, "api_failed", "path", path, "error", status_message(), NULL);
	if (s != OK)
		reply_status(x, s);
}
