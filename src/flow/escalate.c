/* Hands the incident to a person, with everything that is known. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "flow/flow.h"

static const char *reason_word(const struct incident *i)
{
	if (i->dead)
		return "step_failed";
	if (i->plan == NULL)
		return "no_remedy";
	if (i->action == NULL)
		return "not_allowed";
	return i->verification == NULL ? "call_failed" : "not_recovered";
}

enum status step_escalate(struct run *run, struct outcome *out)
{
	struct incident *i = run->incident;

	i->state = INCIDENT_ESCALATED;
	run_comment(run, str_fmt(run->mem, "escalated-%d", i->plans_tried),
		    story_escalated(run->mem, i));
	run_ticket(run, TICKET_ALERT, TICKET_LABEL, "needs-human-review",
		   json_pack("{s:[s]}", "names", "needs-human-review"));
	metric_add(M_WORKFLOW_FAILURE, 1, reason_word(i));
	log_event(LOG_WARN, "escalated", "reason", i->escalation, NULL);
	*out = (struct outcome){
		.kind = OUTCOME_NEXT,
		.next = STEP_close,
		.due_ms = i->resolved_ms != 0 ? 0 : run->now_ms + run->flow->resolve_poll_ms,
		.word = "escalated",
		.note = i->escalation,
	};
	return OK;
}
