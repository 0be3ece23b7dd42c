/* Decides the ticket: title, text, priority, labels, assignee. Its delivery is the ticket lane's,
 * so a tracker that is down never stands in the way of the remedy. */
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "flow/flow.h"

static json_t *creation(struct run *run)
{
	const struct incident *i = run->incident;
	const char *reason = NULL;
	int priority = story_priority(i, NULL, &reason);
	json_t *payload =
		json_pack("{s:s, s:s, s:i, s:s, s:[s, s]}", "title", story_title(run->mem, i, NULL),
			  "body", story_description(run->mem, i, NULL), "priority", priority,
			  "reason", reason, "labels", "alert", "prometheus");

	mem_check(payload);
	if (!str_empty(run->flow->on_call))
		json_object_set_new(payload, "assignee", json_string(run->flow->on_call));
	return payload;
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

enum status step_open(struct run *run, struct outcome *out)
{
	json_t *payload = creation(run);
	const char *title = json_str(payload, "title");

	*out = (struct outcome){
		.kind = OUTCOME_NEXT,
		.next = STEP_plan,
		.inquiry = INQUIRY_INITIAL,
		.note = str_fmt(run->mem, "%s, priority %s (%s)", title,
				story_priority_name((int)json_int(payload, "priority", 0)),
				json_str(payload, "reason")),
	};
	run_ticket(run, TICKET_ALERT, TICKET_CREATE, "ticket", payload);
	return mention_previous(run);
}
