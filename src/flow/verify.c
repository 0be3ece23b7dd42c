/* Proves the remedy from Prometheus itself; the function's own word proves nothing. */
#include "base/log.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "flow/flow.h"
#include "flow/measure.h"

enum { POLL_CAP_MS = 30000 };

static enum status begin(struct run *run, struct outcome *out)
{
	struct incident *i = run->incident;
	int64_t first = i->resolved_ms != 0 ? 0 : run->flow->verify_first_ms;

	i->state = INCIDENT_VERIFYING;
	i->verification = NEW(run->mem, struct verification);
	*i->verification = (struct verification){
		.started_ms = run->now_ms,
		.deadline_ms = run->now_ms + run->flow->verify_budget_ms,
		.checks = mem_own(run->mem, json_array()),
		.reason = "",
	};
	*out = (struct outcome){.kind = OUTCOME_WAIT, .due_ms = run->now_ms + first};
	return OK;
}

/* first, ×1.5 each time, at most 30 s, and one look exactly at the end of the budget. */
static int64_t next_poll(const struct run *run)
{
	const struct verification *v = run->incident->verification;
	int64_t pause = run->flow->verify_first_ms;

	for (int n = 1; n < v->polls && pause < POLL_CAP_MS; n++)
		pause += pause / 2;
	pause = pause > POLL_CAP_MS ? POLL_CAP_MS : pause;
	int64_t at = run->now_ms + pause;
	return at < v->deadline_ms || run->now_ms >= v->deadline_ms ? at : v->deadline_ms;
}

/* "0.93, limit > 0.8": the first check with a value says most. */
static char *summary(void *mem, const struct measurement *m)
{
	size_t n;
	json_t *c;
	char *text = str_dup(mem, m->reason);

	json_array_foreach (m->checks, n, c) {
		const char *limit = json_str(c, "limit");
		str_add(&text, "%s %s%s%s", n == 0 ? ":" : ";", json_str(c, "observed"),
			str_empty(limit) ? "" : ", limit ", limit);
	}
	return text;
}

static void update_success_rate(enum verdict verdict)
{
	metric_add(M_VERIFICATIONS, 1, verdict_name(verdict));
	double good = metric_value(M_VERIFICATIONS, "recovered");
	double all = good + metric_value(M_VERIFICATIONS, "not_recovered") +
		     metric_value(M_VERIFICATIONS, "inconclusive");
	metric_set(M_REMEDIATION_SUCCESS_RATE, good / all);
}

static enum status finish(struct run *run, struct outcome *out, const struct measurement *m)
{
	struct incident *i = run->incident;
	char *note = summary(run->mem, m);

	i->verification->verdict = m->verdict;
	i->verification->reason = m->reason;
	update_success_rate(m->verdict);
	run_comment(run, str_fmt(run->mem, "verified-%d", i->plans_tried),
		    story_verified(run->mem, i));
	if (m->verdict == VERDICT_RECOVERED) {
		i->state = INCIDENT_RECOVERED;
		log_event(LOG_INFO, "remediation_completed", "lambda_function", i->plan->function,
			  NULL);
	}
	if (m->verdict == VERDICT_RECOVERED || i->resolved_ms != 0) {
		int64_t grace = i->resolved_ms != 0 ? 0 : run->flow->resolve_poll_ms;
		*out = (struct outcome){.kind = OUTCOME_NEXT,
					.next = STEP_close,
					.due_ms = run->now_ms + grace,
					.inquiry = INQUIRY_POST_REMEDIATION,
					.word = verdict_name(m->verdict),
					.note = note};
		return OK;
	}
	return run_replan(run, out, verdict_name(m->verdict),
			  str_fmt(run->mem, "%s did not bring recovery within %s (%s)",
				  i->plan->function,
				  str_duration(run->mem, run->flow->verify_budget_ms), note));
}

enum status step_verify(struct run *run, struct outcome *out)
{
	struct incident *i = run->incident;
	struct measurement m = {0};
	int peer;

	if (i->verification == NULL)
		return begin(run, out);
	/* at the end of the budget a person is told, whatever is missing */
	if (run->now_ms < i->verification->deadline_ms &&
	    flow_is_away(run->flow, "prometheus", run->flow->prometheus.url, &peer))
		return run_await(out, peer, i->verification->deadline_ms);
	TRY(measure_alert(run->mem, run->flow, i, &m));
	i->verification->polls++;
	i->verification->checks = m.checks;
	if (m.verdict == VERDICT_RECOVERED || run->now_ms >= i->verification->deadline_ms)
		return finish(run, out, &m);
	*out = (struct outcome){
		.kind = OUTCOME_WAIT,
		.due_ms = next_poll(run),
		.word = "not yet",
		.note = summary(run->mem, &m),
	};
	return OK;
}
