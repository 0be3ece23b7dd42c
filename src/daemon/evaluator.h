/*
 * Evaluates the alarms (alarm.h) every second on a thread of its own and posts them to Alertmanager, so that they
 * arrive within seconds and without Prometheus. An alarm is sent when it begins, every 30 s while it lasts (with an
 * end in the future: should the agent die, Alertmanager ends it), and when it is over; what could not be sent is sent
 * again. Its labels never change while it lasts: when Alertmanager sends it back to the agent's own webhook, it is one
 * ordinary incident. Without an Alertmanager the alarms stand in the log and in the metric self_alert_firing.
 */
#pragma once

#include "base/status.h"
#include "clients/alertmanager.h"

struct evaluator;

struct evaluator_options {
	const struct alertmanager *alertmanager; /* url NULL = none; borrowed */
	const char *instance;                    /* label: which agent; borrowed */
	void (*refresh)(void *arg);              /* before each look: sets gauges, sees to tickets; may block */
	void *arg;
};

NODISCARD enum status evaluator_start(void *mem, const struct evaluator_options *o, struct evaluator **out);
/* Waits for a running post: stop the HTTP client first. NULL is legal. */
void evaluator_stop(struct evaluator *e);
