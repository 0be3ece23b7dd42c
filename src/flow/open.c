/* Decides the ticket: title, text, priority, labels, assignee. Its delivery is the ticket lane's,
 * so a tracker that is down never stands in the way of the remedy. What must be asked for first is
 * step_assess's: an alert without an SLO, or with one that is remembered, is decided here and now.
 */
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "flow/flow.h"

/* False when Prometheus must be asked. */
static bool know_slo(struct run *run)
{
	return run->incident->slo != NULL || run_recall_slo(run, &run->incident->slo);
}

/* False when the schedule's endpoint must be asked. */
static bool know_on_call(struct run *run)
{
	return run->incident->assignee != NULL ||
	       on_call_recall(run->mem, run->flow->on_call, &run->incident->assignee);
}

static json_t *labels_of(const struct incident *i)
{
	json_t *labels = mem_check(json_pack("[s, s]", "alert", "prometheus"));

	if (slo_is_known(i->slo) && slo_is_violated(i->slo))
		json_array_append_new(labels, json_string("slo-violation"));
	return labels;
}

static json_t *creation(struct run *run)
{
	const struct incident *i = run->incident;
	const char *reason = NULL;
	int priority = story_priority(run->mem, i, i->slo, &reason);
	json_t *payload =
		json_pack("{s:s, s:s, s:i, s:s, s:o}", "title", story_title(run->mem, i, i->slo),
			  "body", story_description(run->mem, i, i->slo), "priority", priority,
			  "reason", reason, "labels", labels_of(i));

	mem_check(payload);
	if (!str_empty(i->assignee))
		json_object_set_new(payload, "assignee", json_string(i->assignee));
	return payload;
}

/* Each is an operation of its own: one that fails loses neither the ticket nor the others. */
static void mention_slo(struct run *run)
{
	const struct slo_context *slo = run->incident->slo;

	if (!slo_is_known(slo))
		return;
	char *url = slm_link(run->mem, run->flow->slm, slo->slo);
	if (url != NULL)
		run_ticket(run, TICKET_ALERT, TICKET_LINK, "slo-link",
			   json_pack("{s:s, s:s}", "url", url, "title",
				     story_slo_title(run->mem, slo)));
	run_comment(run, "slo-impact", story_slo_impact(run->mem, slo));
}

/* The same alert fired, and was closed, before: say where. */
static enum status mention_previous(struct run *run)
{
	struct incident *before = NULL;

	if (run->incident->previous == 0)
		return OK;
	enum status s =
		store_incident(run->mem, run->flow->store, run->incident->previous, &before);
	if (s == E_NOTFOUND)
		return OK; /* expired */
	TRY(s);
	run_comment(run, "previous",
		    str_fmt(run->mem, "**Fired Again**\n\nThis alert was handled before: %s%s%s.",
			    incident_name(run->mem, before->id),
			    str_empty(before->ticket_key) ? "" : ", ticket ", before->ticket_key));
	return OK;
}

static void tell(struct run *run, const json_t *payload)
{
	const struct slo_context *slo = run->incident->slo;
	const char *name = story_priority_name((int)json_int(payload, "priority", 0));

	if (slo == NULL)
		return; /* the step's own line says it all */
	log_event(LOG_INFO, "slo_assessed", "slo", slo->slo, "source", slo->source,
		  "violation_severity", slo_violation_name(slo->violation), "burn_rate",
		  story_percent(run->mem, slo->burn_rate), "budget_remaining",
		  story_percent(run->mem, slo->budget_remaining), "priority", name, "reason",
		  json_str(payload, "reason"), NULL);
}

enum status step_open(struct run *run, struct outcome *out)
{
	bool known = know_slo(run);

	if (!know_on_call(run) || !known) {
		*out = (struct outcome){.kind = OUTCOME_NEXT, .next = STEP_assess, .word = "asks"};
		return OK;
	}
	json_t *payload = creation(run);
	*out = (struct outcome){
		.kind = OUTCOME_NEXT,
		.next = STEP_plan,
		.inquiry = INQUIRY_INITIAL,
		.note = str_fmt(run->mem, "%s, priority %s (%s)", json_str(payload, "title"),
				story_priority_name((int)json_int(payload, "priority", 0)),
				json_str(payload, "reason")),
	};
	tell(run, payload);
	run_ticket(run, TICKET_ALERT, TICKET_CREATE, "ticket", payload);
	mention_slo(run);
	return mention_previous(run);
}
