#include "daemon/receive.h"

#include <stdatomic.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "base/trace.h"
#include "daemon/rates.h"
#include "daemon/replay.h"
#include "daemon/reply.h"

struct intake {
	struct http_exchange *x;
	struct admission admission;
	bool webhook;
	bool wants_empty; /* Prefer: reply: a broker that takes any body for a broken event (DEC-01)
			   */
};

static const char *header_of(void *arg, const char *name)
{
	return http_header(arg, name);
}

/* Label values of metrics come from closed sets (platform-contracts section 10). */
static const char *type_word(const char *type)
{
	return str_eq(type, EVENT_TYPE_FIRED) || str_eq(type, EVENT_TYPE_RESOLVED) ? type : "other";
}

static const char *source_word(const char *source)
{
	bool known = str_eq(source, "prometheus-events") ||
		     str_starts(source, "prometheus/alertmanager/");
	return known ? source : "other";
}

static const char *outcome_word(const struct intake *in, size_t n)
{
	if (in->admission.status != OK)
		return "refused";
	switch (in->admission.results[n].outcome) {
	case ADMIT_DUPLICATE: return "duplicate";
	case ADMIT_REJECTED: return "rejected";
	default: return "admitted";
	}
}

static void count(const struct intake *in)
{
	const struct event_set *set = in->admission.set;

	for (size_t n = 0; n < set->count; n++) {
		const struct event_member *m = &set->members[n];
		const char *type = m->event != NULL ? m->event->type : m->type;
		const char *source = m->event != NULL ? m->event->source : m->source;
		const char *version = m->event != NULL ? m->event->version : m->version;
		const char *outcome = outcome_word(in, n);
		metric_add(M_CLOUDEVENTS_RECEIVED, 1, type_word(type), source_word(source),
			   event_mode_name(set->mode), version, outcome);
		if (str_eq(outcome, "duplicate"))
			metric_add(M_DUPLICATES, 1);
		if (str_eq(outcome, "rejected"))
			metric_observe(M_DLQ_CAPTURE,
				       (double)(clock_monotonic() - http_body_at_ms(in->x)) /
					       1000.0);
		if (m->event != NULL && m->event->status_disagrees)
			metric_add(M_EVENT_STATUS_DISAGREES, 1);
	}
	metric_observe(M_CLOUDEVENT_PROCESSING,
		       (double)(clock_monotonic() - http_body_at_ms(in->x)) / 1000.0);
}

static void member_reply(const struct intake *in, size_t n, struct json_out *o)
{
	const struct event_member *m = &in->admission.set->members[n];
	const struct admit_result *r = &in->admission.results[n];

	json_out_raw(o, "{");
	if (m->event == NULL) {
		json_out_member(o, "event_id", m->id);
		json_out_member(o, "correlation_id", m->id);
		json_out_member(o, "status", "rejected");
		json_out_member(o, "detail", m->error);
	} else {
		bool first = r->correlation_id != NULL;
		json_out_member(o, "event_id", m->event->id);
		json_out_member(o, "correlation_id",
				first ? r->correlation_id : m->event->correlation_id);
		json_out_member(o, "status", "processed");
		json_out_raw(o, r->outcome == ADMIT_DUPLICATE ? ",\"duplicate\":true" : "");
	}
	json_out_raw(o, "}");
}

static bool all_rejected(const struct admission *a)
{
	for (size_t n = 0; n < a->set->count; n++)
		if (a->results[n].outcome != ADMIT_REJECTED)
			return false;
	return a->set->count > 0;
}

static const char *refusal_word(const char *category)
{
	return str_eq(category, "parse") ? "Invalid CloudEvent JSON" : "Invalid CloudEvent";
}

static void answer_many(struct intake *in)
{
	const struct event_set *set = in->admission.set;
	bool refused = all_rejected(&in->admission);
	struct json_out o;

	json_out_begin(&o, in, 64 + 192 * set->count);
	json_out_raw(&o, "{");
	if (refused)
		json_out_member(&o, "error",
				in->webhook ? "Invalid alerts" : "Invalid CloudEvents");
	json_out_member(&o, "status", refused ? "rejected" : "processed");
	json_out_raw(&o, ",\"events\":[");
	for (size_t n = 0; n < set->count; n++) {
		json_out_raw(&o, n == 0 ? "" : ",");
		member_reply(in, n, &o);
	}
	json_out_raw(&o, "]}");
	reply_json_text(in->x, refused ? 400 : 200, o.text);
}

static void answer_one(struct intake *in)
{
	struct json_out o;

	json_out_begin(&o, in, 256);
	member_reply(in, 0, &o);
	reply_json_text(in->x, 200, o.text);
}

static void answer(struct intake *in)
{
	const struct event_set *set = in->admission.set;
	bool many = set->mode == EVENT_BATCH || set->mode == EVENT_WEBHOOK;

	if (!all_rejected(&in->admission) && in->wants_empty)
		reply_empty(in->x, 202);
	else if (many)
		answer_many(in);
	else if (set->members[0].event == NULL)
		reply_error(in->x, 400, refusal_word(set->members[0].category),
			    set->members[0].error);
	else
		answer_one(in);
}

/* On the intake thread: everything is on disk, or nothing is. */
static void admitted(struct admission *a)
{
	struct intake *in = a->arg;

	count(in);
	if (a->status != OK) {
		log_event(LOG_ERROR, "event_not_stored", "error", a->message, NULL);
		reply_busy(in->x, "the event could not be stored; send it again");
	} else {
		answer(in);
	}
}

/* The span ends before the commit: it belongs to this thread. Its id becomes the parent of
 * everything that the incident does. */
static void note_event(struct event *e)
{
	struct span span;

	span_begin(&span, "cloudevent.handle", SPAN_SERVER, &e->trace);
	span_attribute(&span, "event_id", e->id);
	span_attribute(&span, "event_type", e->type);
	span_attribute(&span, "event_source", e->source);
	e->trace = span.self;
	span_end(&span);
	log_event(LOG_INFO, "cloudevent_received", "event_id", e->id, "event_type", e->type,
		  "event_source", e->source, "correlation_id", e->correlation_id, "alertname",
		  e->alert->name, "status", alert_state_name(e->alert->state), "schema_version",
		  e->version, NULL);
}

struct refusal {
	struct http_exchange *x;
	int code;
	const char *what;
	const char *detail;
};

static void buried(enum status s, void *arg)
{
	struct refusal *r = arg;

	if (s != OK)
		reply_busy(r->x, "the refusal could not be stored; send the event again");
	else
		reply_error(r->x, r->code, r->what, r->detail);
}

/* DEC-23: kept before it is refused. */
static void refuse(struct http_exchange *x, struct store *store, const struct refusal *refusal,
		   const char *category, bool webhook)
{
	struct refusal *r = NEW(http_mem(x), struct refusal);
	size_t bytes;
	const char *body = http_body(x, &bytes);
	int64_t now = clock_now();
	const struct dead_letter d = {
		.event_id = "",
		.event_type = "",
		.event_source = "",
		.subject = "",
		.correlation_id = "",
		.reason = refusal->detail,
		.category = category,
		.permanent = true,
		.stage = "intake",
		.attempts = 1,
		.origin = webhook ? "webhook" : "agent",
		.received_ms = now,
		.failed_ms = now,
		.body = body,
		.body_bytes = bytes,
		.mode = webhook ? event_mode_name(EVENT_WEBHOOK) : "",
		.content_type = http_header(x, "Content-Type"),
		.headers = replay_headers(x),
	};

	*r = *refusal;
	metric_add(M_CLOUDEVENTS_RECEIVED, 1, "other", "other", webhook ? "webhook" : "unknown", "",
		   "rejected");
	log_event(LOG_WARN, "failed_to_parse_cloudevent_json", "error", refusal->detail, NULL);
	if (store_bury(store, &d, buried, r) != OK)
		reply_busy(x, "too many events are waiting for the disk");
}

static void admit(struct http_exchange *x, struct store *store, struct event_set *set, bool webhook)
{
	struct intake *in = NEW(http_mem(x), struct intake);
	const char *prefer = http_header(x, "Prefer");

	*in = (struct intake){.x = x, .webhook = webhook};
	in->wants_empty = prefer != NULL && strcasecmp(prefer, "reply") == 0;
	in->admission = (struct admission){
		.set = set,
		.origin = webhook ? "webhook" : "agent",
		.received_ms = clock_now(),
		.results = NEW_ARRAY(in, struct admit_result, set->count + 1),
		.done = admitted,
		.arg = in,
	};
	for (size_t n = 0; n < set->count; n++) {
		if (set->members[n].event != NULL)
			note_event(set->members[n].event);
		else
			log_event(LOG_WARN, "cloudevent_rejected", "error", set->members[n].error,
				  "event_id", set->members[n].id, "event_type",
				  set->members[n].type, "schema_version", set->members[n].version,
				  NULL);
	}
	enum status s = store_admit(store, &in->admission);
	if (s == E_INVALID) {
		const struct refusal r = {.x = x,
					  .code = 413,
					  .what = "request refused",
					  .detail = str_dup(http_mem(x), status_message())};
		refuse(x, store, &r, "oversize", webhook);
	} else if (s != OK) {
		in->admission.status = E_RATE;
		count(in);
		reply_busy(x, "too many events are waiting for the disk");
	}
}

static void receive(struct http_exchange *x, struct store *store, bool webhook)
{
	struct event_set *set = NULL;
	bool unsupported = false;
	struct event_request request = {
		.content_type = http_header(x, "Content-Type"),
		.header = header_of,
		.arg = x,
		.received_ms = clock_now(),
	};

	if (store_is_full(store)) {
		reply_busy(
			x,
			"a peer is away and nothing more can be kept for it; send the event again");
		return;
	}
	request.body = http_body(x, &request.body_bytes);
	enum status s = webhook ? event_decode_webhook(http_mem(x), &request, &set)
				: event_decode(http_mem(x), &request, &set, &unsupported);
	const char *why = s == OK ? NULL : str_dup(http_mem(x), status_message());
	if (!rates_admit_events(x, set))
		return;
	if (s == OK) {
		admit(x, store, set, webhook);
		return;
	}
	struct refusal r = {.x = x, .code = unsupported ? 415 : 400, .detail = why};
	r.what = unsupported ? "Unsupported media type"
		 : webhook   ? "Invalid JSON payload"
			     : "Invalid CloudEvent JSON";
	refuse(x, store, &r, unsupported ? "envelope" : "parse", webhook);
}

void receive_event(struct http_exchange *x, struct store *store)
{
	receive(x, store, false);
}

void receive_webhook(struct http_exchange *x, struct store *store)
{
	receive(x, store, true);
}

void receive_refused(struct http_exchange *x, int code, const char *why, struct store *store)
{
	const struct refusal r = {.x = x, .code = code, .what = "request refused", .detail = why};

	if (rates_admit_events(x, NULL))
		refuse(x, store, &r, code == 413 ? "oversize" : "envelope",
		       str_eq(http_path(x), "/webhook"));
}
