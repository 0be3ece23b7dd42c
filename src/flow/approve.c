/* Waits, durably, for a person; time running out never approves what cannot be undone (P08). */
#include "base/log.h"
#include "base/metrics.h"
#include "base/str.h"
#include "flow/flow.h"

static enum status granted(struct run *run, struct outcome *out, const char *by)
{
	struct incident *i = run->incident;

	metric_add(M_APPROVALS, 1, "approved");
	log_event(LOG_INFO, "approval_granted", "by", by, NULL);
	run_comment(run, str_fmt(run->mem, "selected-%d", i->plans_tried),
		    story_selected(run->mem, i));
	*out = (struct outcome){
		.kind = OUTCOME_NEXT,
		.next = STEP_remediate,
		.word = "approved",
		.note = str_fmt(run->mem, "%s approved by %s", i->plan->function, by),
	};
	return OK;
}

static enum status denied(struct run *run, struct outcome *out)
{
	metric_add(M_APPROVALS, 1, "rejected");
	log_event(LOG_INFO, "approval_rejected", "by", run->incident->approval_by, NULL);
	return run_escalate(run, out, "rejected",
			    str_fmt(run->mem, "%s was rejected by %s",
				    run->incident->plan->function, run->incident->approval_by));
}

static enum status keep_waiting(struct run *run, struct outcome *out)
{
	struct incident *i = run->incident;

	i->approval_expires_ms = run->now_ms + run->flow->approval_timeout_ms;
	*out = (struct outcome){
		.kind = OUTCOME_WAIT,
		.due_ms = i->approval_expires_ms,
		.word = "waiting",
		.note = "nobody has decided yet; still waiting",
		.approval = "pending",
	};
	return OK;
}

static enum status expired(struct run *run, struct outcome *out)
{
	const struct incident *i = run->incident;
	const struct function *f = catalogue_find(run->flow->catalogue, i->plan->function);
	const char *action = run->flow->approval_timeout_action;
	bool may = f != NULL && f->effect != EFFECT_IRREVERSIBLE;

	if (str_eq(action, "pending"))
		return keep_waiting(run, out);
	metric_add(M_APPROVALS, 1, "expired");
	log_event(LOG_WARN, "approval_timeout", "action", action, NULL);
	if (str_eq(action, "approve") && may)
		return granted(run, out, "timeout");
	enum status s =
		run_escalate(run, out, "expired",
			     may ? "nobody decided in time"
				 : "nobody decided in time, and the action cannot be undone");
	out->approval = "expired";
	return s;
}

enum status step_approve(struct run *run, struct outcome *out)
{
	const struct incident *i = run->incident;

	if (i->resolved_ms != 0) {
		*out = (struct outcome){.kind = OUTCOME_NEXT,
					.next = STEP_close,
					.word = "unneeded",
					.note = "the alert resolved before anybody decided",
					.approval =
						str_eq(i->approval, "pending") ? "expired" : NULL};
		return OK;
	}
	if (str_eq(i->approval, "approved"))
		return granted(run, out, i->approval_by);
	if (str_eq(i->approval, "rejected"))
		return denied(run, out);
	if (run->now_ms >= i->approval_expires_ms)
		return expired(run, out);
	*out = (struct outcome){.kind = OUTCOME_WAIT, .due_ms = i->approval_expires_ms};
	return OK;
}
