#include "daemon/alarm.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

enum { REPEAT_MS = 60000, LASTS_MS = 240000 }; /* repeated well before it ends by itself */

struct condition {
	const char *alertname; /* NULL = free */
	char component[32], peer[128];
	bool holds, news;
	int64_t since_ms, posted_ms; /* wall clock; monotonic */
};

struct alarm {
	const struct alertmanager *to;
	const char *namespace;
	struct condition conditions[ALARMS_MAX];
};

struct alarm *alarm_new(void *mem, const struct alertmanager *to, const char *namespace)
{
	struct alarm *a = NEW(mem, struct alarm);

	a->to = to;
	a->namespace = namespace;
	return a;
}

static struct condition *find(struct alarm *a, const char *alertname, const char *peer)
{
	for (int n = 0; n < ALARMS_MAX; n++)
		if (str_eq(a->conditions[n].alertname, alertname) &&
		    str_eq(a->conditions[n].peer, peer))
			return &a->conditions[n];
	return NULL;
}

void alarm_set(struct alarm *a, const char *alertname, const char *component, const char *peer,
	       bool holds, int64_t since_ms)
{
	struct condition *c = find(a, alertname, peer);

	if (c == NULL && holds)
		c = find(a, NULL, "");
	if (c == NULL || c->holds == holds)
		return;
	c->alertname = alertname;
	str_print(c->component, sizeof(c->component), "%s", component);
	str_print(c->peer, sizeof(c->peer), "%s", peer);
	c->holds = holds;
	c->news = true;
	c->since_ms = holds ? since_ms : c->since_ms;
}

static bool is_due(const struct condition *c)
{
	return c->alertname != NULL &&
	       (c->news || (c->holds && clock_monotonic() - c->posted_ms >= REPEAT_MS));
}

static json_t *alert_of(void *mem, const struct alarm *a, const struct condition *c, int64_t now_ms)
{
	const char *summary = str_fmt(
		mem, "agent-sre cannot reach %s; what needs it waits, look at GET /partitions",
		c->peer);

	return mem_check(json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:s}, s:{s:s}, s:s, s:s}",
				   "labels", "alertname", c->alertname, "component", c->component,
				   "peer", c->peer, "severity", "critical", "service", "agent-sre",
				   "namespace", a->namespace, "annotations", "summary", summary,
				   "startsAt", clock_format(mem, c->since_ms), "endsAt",
				   clock_format(mem, c->holds ? now_ms + LASTS_MS : now_ms)));
}

static void settle(struct condition *c)
{
	c->news = false;
	c->posted_ms = clock_monotonic();
	if (!c->holds)
		*c = (struct condition){0};
}

void alarm_post(struct alarm *a, int64_t now_ms)
{
	SCOPE(mem);
	json_t *alerts = mem_own(mem, json_array());
	bool due[ALARMS_MAX];

	if (a->to->url == NULL)
		return;
	for (int n = 0; n < ALARMS_MAX; n++) {
		due[n] = is_due(&a->conditions[n]);
		if (due[n])
			json_array_append_new(alerts, alert_of(mem, a, &a->conditions[n], now_ms));
	}
	if (json_array_size(alerts) == 0)
		return;
	enum status s = alertmanager_post(mem, a->to, alerts);
	if (s != OK && s != E_CANCELED)
		log_event(LOG_WARN, "alarm_not_posted", "error", status_message(), NULL);
	for (int n = 0; n < ALARMS_MAX && s == OK; n++)
		if (due[n])
			settle(&a->conditions[n]);
}
