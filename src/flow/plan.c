/* Chooses the remedy and asks the policy. Phase 0: the alert's own annotations. */
#include "base/log.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "flow/flow.h"

enum { PREDECESSOR_POLL_MS = 1000 };

static bool was_tried(const struct incident *i, const struct plan *p)
{
	size_t n;
	json_t *entry;

	json_array_foreach (i->rejected, n, entry)
		if (str_eq(json_str(entry, "digest"), p->digest))
			return true;
	return false;
}

static const char *last_reason(const struct incident *i)
{
	const json_t *last = json_array_get(i->rejected, json_array_size(i->rejected) - 1);

	return json_str(last, "reason");
}

static enum status judge(struct run *run, struct plan *p)
{
	const struct flow *flow = run->flow;
	struct history history = {0};
	const struct function *f = catalogue_find(flow->catalogue, p->function);

	/* fills digest and target, which the history is looked up by */
	plan_judge(run->mem, p, f, &flow->policy, &history, run->now_ms);
	TRY(store_history(flow->store, p->function, p->target, run->incident->fingerprint,
			  run->now_ms, &history));
	plan_judge(run->mem, p, f, &flow->policy, &history, run->now_ms);
	return OK;
}

static enum status go_ahead(struct run *run, struct outcome *out)
{
	struct incident *i = run->incident;

	run_comment(run, str_fmt(run->mem, "selected-%d", i->plans_tried),
		    story_selected(run->mem, i));
	*out = (struct outcome){
		.kind = OUTCOME_NEXT,
		.next = STEP_remediate,
		.quick = true, /* it writes the intent down */
		.word = "auto",
		.note = str_fmt(run->mem, "%s by %s, confidence %.2f: %s", i->plan->function,
				i->plan->method, i->plan->confidence, i->plan->why),
	};
	return OK;
}

static enum status ask(struct run *run, struct outcome *out)
{
	struct incident *i = run->incident;

	i->state = INCIDENT_APPROVAL;
	i->approval_expires_ms = run->now_ms + run->flow->approval_timeout_ms;
	metric_add(M_APPROVALS, 1, "requested");
	log_event(LOG_INFO, "approval_requested", "lambda_function", i->plan->function, "why",
		  i->plan->why, NULL);
	run_comment(run, str_fmt(run->mem, "approval-%d", i->plans_tried),
		    story_approval(run->mem, i,
				   catalogue_find(run->flow->catalogue, i->plan->function)));
	*out = (struct outcome){
		.kind = OUTCOME_NEXT,
		.next = STEP_approve,
		.due_ms = i->approval_expires_ms,
		.word = "asked",
		.note = str_fmt(run->mem, "%s waits for approval: %s", i->plan->function,
				i->plan->why),
		.approval = "pending",
	};
	return OK;
}

static enum status refuse(struct run *run, struct outcome *out)
{
	struct incident *i = run->incident;

	run_comment(run, str_fmt(run->mem, "refused-%d", i->plans_tried),
		    story_rejected(run->mem, i->plan->function, i->plan->why));
	return run_escalate(
		run, out, "refused",
		str_fmt(run->mem, "%s was not called: %s", i->plan->function, i->plan->why));
}

static enum status take(struct run *run, struct outcome *out, struct plan *p)
{
	struct incident *i = run->incident;

	TRY(judge(run, p));
	if (was_tried(i, p))
		return run_escalate(
			run, out, "exhausted",
			str_fmt(run->mem, "%s; there is no other candidate", last_reason(i)));
	i->plan = p;
	i->action = NULL;
	i->verification = NULL;
	switch (p->decision) {
	case DECIDE_AUTO: return go_ahead(run, out);
	case DECIDE_ASK: return ask(run, out);
	case DECIDE_NEVER: break;
	}
	return refuse(run, out);
}

static enum status select_remedy(struct run *run, struct outcome *out)
{
	struct incident *i = run->incident;
	struct plan *p = NULL;
	enum status s =
		plan_from_annotations(run->mem, i->labels, i->annotations, run->flow->catalogue,
				      run->flow->protected_namespaces, &p);

	if (s == OK)
		return take(run, out, p);
	if (s == E_NOTFOUND) {
		log_event(LOG_INFO, "no_remediation_annotation", NULL);
		return run_escalate(run, out, "none", "the alert names no remediation function");
	}
	if (s != E_INVALID && s != E_DENIED)
		return s;
	char *why = str_dup(run->mem, status_message());
	const char *named = json_str(i->annotations, "lambda_function");
	run_reject(run, named == NULL ? "" : named, "", why);
	run_comment(run, "rejected", story_rejected(run->mem, named, why));
	return run_escalate(run, out, "rejected",
			    str_fmt(run->mem, "nothing was executed: %s", why));
}

enum status step_plan(struct run *run, struct outcome *out)
{
	bool waits = false;

	if (run->incident->resolved_ms != 0) {
		*out = (struct outcome){.kind = OUTCOME_NEXT,
					.next = STEP_close,
					.word = "unneeded",
					.note = "the alert has resolved; no action is needed"};
		return OK;
	}
	TRY(store_has_open_predecessor(run->flow->store, run->incident->id, &waits));
	if (waits) {
		*out = (struct outcome){.kind = OUTCOME_WAIT,
					.due_ms = run->now_ms + PREDECESSOR_POLL_MS};
		return OK;
	}
	return select_remedy(run, out);
}
