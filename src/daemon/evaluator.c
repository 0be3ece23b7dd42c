#include "daemon/evaluator.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "daemon/alarm.h"

enum { EVERY_MS = 1000, RESEND_MS = 30000, OUTLIVES_MS = 4 * RESEND_MS, AGAIN_MAX_MS = 4000 };

/* An alarm and what Alertmanager knows of it. */
struct watched {
	struct alarm alarm;
	int64_t starts_ms, ends_ms; /* wall clock */
	int64_t sent_ms;	    /* monotonic; 0 = its present state was not sent yet */
	bool to_send;		    /* in this round's post */
};

struct evaluator {
	struct evaluator_options options;
	struct watched *watched;
	size_t count;
	int64_t again_ms; /* after a failed post: not before (monotonic) */
	int failures;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping;
};

static void tell(const struct watched *w)
{
	SCOPE(tmp);
	const struct alarm_rule *r = w->alarm.rule;

	metric_set(M_SELF_ALERT, w->alarm.firing, r->name, r->severity);
	log_event(w->alarm.firing ? LOG_WARN : LOG_INFO, "self_alert", "alertname", r->name,
		  "severity", r->severity, "state", w->alarm.firing ? "firing" : "resolved",
		  "value", str_fmt(tmp, "%g", w->alarm.value), NULL);
}

static void judge(struct watched *w)
{
	const struct alarm_rule *r = w->alarm.rule;

	if (!alarm_judge(&w->alarm, metric_sum(r->metric, r->value), metric_sum(r->of, NULL),
			 clock_monotonic()))
		return;
	w->sent_ms = 0;
	if (w->alarm.firing)
		w->starts_ms = clock_now();
	else
		w->ends_ms = clock_now();
	tell(w);
}

/* What must be told again while it lasts, and its end once. */
static bool is_due(const struct watched *w, int64_t now)
{
	if (w->starts_ms == 0)
		return false; /* never fired */
	return w->sent_ms == 0 || (w->alarm.firing && now - w->sent_ms >= RESEND_MS);
}

static json_t *alert_of(void *mem, const struct evaluator *e, const struct watched *w)
{
	const struct alarm_rule *r = w->alarm.rule;
	int64_t ends = w->alarm.firing ? clock_now() + OUTLIVES_MS : w->ends_ms;

	json_t *alert = json_pack(
		"{s:{s:s, s:s, s:s, s:s}, s:{s:s, s:s}, s:s, s:s}", "labels", "alertname", r->name,
		"severity", r->severity, "service", "agent-sre", "instance", e->options.instance,
		"annotations", "summary", r->summary, "description",
		str_fmt(mem, "%g, and the limit is %g", w->alarm.value, r->above), "startsAt",
		clock_format(mem, w->starts_ms), "endsAt", clock_format(mem, ends));
	if (r->kind == ALARM_LEVEL && r->value != NULL)
		json_object_set_new(json_object_get(alert, "labels"), "component",
				    json_string(r->value));
	return alert;
}

static void settle(struct evaluator *e, enum status s)
{
	int64_t now = clock_monotonic();

	for (size_t n = 0; s == OK && n < e->count; n++)
		if (e->watched[n].to_send)
			e->watched[n].sent_ms = now;
	if (s == OK) {
		e->failures = 0;
		return;
	}
	int64_t pause = EVERY_MS << (e->failures < 2 ? e->failures : 2);
	e->again_ms = now + (pause < AGAIN_MAX_MS ? pause : AGAIN_MAX_MS);
	if (e->failures++ == 0 && s != E_CANCELED)
		log_event(LOG_WARN, "self_alert_not_sent", "error", status_message(), NULL);
}

static void post(struct evaluator *e)
{
	SCOPE(mem);
	int64_t now = clock_monotonic();
	json_t *alerts = mem_own(mem, json_array());

	if (e->options.alertmanager->url == NULL || now < e->again_ms)
		return;
	for (size_t n = 0; n < e->count; n++) {
		struct watched *w = &e->watched[n];
		w->to_send = is_due(w, now);
		if (w->to_send)
			json_array_append_new(alerts, mem_check(alert_of(mem, e, w)));
	}
	if (json_array_size(alerts) > 0)
		settle(e, alertmanager_post(mem, e->options.alertmanager, alerts));
}

static void look(struct evaluator *e)
{
	e->options.refresh(e->options.arg);
	for (size_t n = 0; n < e->count; n++)
		judge(&e->watched[n]);
	post(e);
}

static void *run(void *arg)
{
	struct evaluator *e = arg;

	pthread_mutex_lock(&e->lock);
	while (!e->stopping) {
		pthread_mutex_unlock(&e->lock);
		look(e);
		pthread_mutex_lock(&e->lock);
		struct timespec until = clock_deadline(EVERY_MS);
		if (!e->stopping)
			pthread_cond_timedwait(&e->wake, &e->lock, &until);
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

enum status evaluator_start(void *mem, const struct evaluator_options *o, struct evaluator **out)
{
	struct evaluator *e = NEW(mem, struct evaluator);
	const struct alarm_rule *rules = alarm_rules(&e->count);

	e->options = *o;
	e->watched = NEW_ARRAY(e, struct watched, e->count);
	for (size_t n = 0; n < e->count; n++)
		e->watched[n].alarm.rule = &rules[n];
	pthread_mutex_init(&e->lock, NULL);
	clock_condition_init(&e->wake);
	if (pthread_create(&e->thread, NULL, run, e) != 0)
		return failure(E_INTERNAL, "cannot start the thread of the alerts");
	*out = e;
	return OK;
}

void evaluator_stop(struct evaluator *e)
{
	if (e == NULL)
		return;
	pthread_mutex_lock(&e->lock);
	e->stopping = true;
	pthread_cond_signal(&e->wake);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->thread, NULL);
	pthread_cond_destroy(&e->wake);
	pthread_mutex_destroy(&e->lock);
}
