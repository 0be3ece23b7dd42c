/* Waits until the alert is over, by an event or by asking, then tells the end and closes the
 * ticket. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "flow/flow.h"
#include "flow/measure.h"

enum { POLL_CAP_MS = 300000 };

/* Young incidents are asked about often, old ones rarely: a twentieth of the age. */
static int64_t next_poll(const struct run *run)
{
	int64_t pause = (run->now_ms - run->incident->received_ms) / 20;

	if (pause > POLL_CAP_MS)
		pause = POLL_CAP_MS;
	if (pause < run->flow->resolve_poll_ms)
		pause = run->flow->resolve_poll_ms;
	return run->now_ms + pause;
}

/* The verification has just shown that the rule's expression no longer holds. */
static bool was_proved(const struct run *run)
{
	const struct verification *v = run->incident->verification;

	return v != NULL && v->verdict == VERDICT_RECOVERED && run->now_ms < v->deadline_ms;
}

/* `*by` = who says that the alert is over, NULL = nobody does. */
static enum status ask(struct run *run, const char **by)
{
	const struct flow *flow = run->flow;
	struct measurement m = {0};
	bool active = false;

	*by = NULL;
	TRY(was_proved(run) ? measure_end(run->mem, flow, run->incident, &m)
			    : measure_alert(run->mem, flow, run->incident, &m));
	if (m.verdict == VERDICT_NOT_RECOVERED)
		return OK;
	bool proven = m.verdict == VERDICT_RECOVERED;
	if (flow->alertmanager.url == NULL) {
		*by = proven ? "prometheus" : NULL;
		return OK;
	}
	int peer;
	bool away = flow_is_away(flow, "alertmanager", flow->alertmanager.url, &peer);
	enum status s = away ? failure(E_TRANSIENT, "Alertmanager is away")
			     : alertmanager_is_active(run->mem, &flow->alertmanager,
						      run->incident->labels, &active);
	if (s == E_CANCELED)
		return s;
	if (s == OK && !active)
		*by = "alertmanager";
	else if (s != OK && proven)
		*by = "prometheus";
	return OK;
}

static void count_end(const struct incident *i, int64_t now_ms)
{
	bool remedied = i->verification != NULL && i->verification->verdict == VERDICT_RECOVERED;
	const char *word = remedied		      ? "remedied"
			   : str_empty(i->escalation) ? "resolved"
						      : "escalated";
	double seconds = (double)(now_ms - i->received_ms) / 1000.0;

	metric_observe(M_WORKFLOW_SECONDS, seconds, word);
	metric_observe(M_ALERT_TO_CLOSE, seconds);
	if (remedied)
		metric_add(M_WORKFLOW_SUCCESS, 1);
	log_event(LOG_INFO, "incident_closed", "outcome", word, "resolved_by", i->resolved_by,
		  NULL);
}

static enum status finish(struct run *run, struct outcome *out, bool polled)
{
	struct incident *i = run->incident;
	struct slo_context *slo = NULL;

	if (slo_is_known(i->slo))
		TRY(run_ask_slo(run, &slo));
	i->state = INCIDENT_CLOSED;
	i->closed_ms = run->now_ms;
	run_comment(run, "resolved", story_resolved(run->mem, i, slo));
	run_ticket(run, TICKET_ALERT, TICKET_STATE, "close",
		   json_pack("{s:s}", "type", "completed"));
	count_end(i, run->now_ms);
	*out = (struct outcome){
		.kind = OUTCOME_END,
		.word = "closed",
		.note = str_fmt(run->mem, "resolved (%s)", i->resolved_by),
		.resolved = polled,
	};
	return OK;
}

/* Somebody who can tell is enough. */
static bool nobody_can_tell(const struct flow *flow, int *peer)
{
	int second;

	if (!flow_is_away(flow, "prometheus", flow->prometheus.url, peer))
		return false;
	return flow->alertmanager.url == NULL ||
	       flow_is_away(flow, "alertmanager", flow->alertmanager.url, &second);
}

enum status step_close(struct run *run, struct outcome *out)
{
	struct incident *i = run->incident;
	const char *by = NULL;
	int peer;

	if (i->resolved_ms != 0)
		return finish(run, out, false);
	if (nobody_can_tell(run->flow, &peer))
		/* Prometheus wakes it at once; either can tell, so it looks now and then as well */
		return run_await(out, peer,
				 run->flow->alertmanager.url == NULL ? 0 : next_poll(run));
	TRY(ask(run, &by));
	if (by == NULL) {
		*out = (struct outcome){.kind = OUTCOME_WAIT, .due_ms = next_poll(run)};
		return OK;
	}
	i->resolved_ms = run->now_ms;
	i->resolved_by = by;
	return finish(run, out, true);
}
