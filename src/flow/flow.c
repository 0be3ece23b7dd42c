#include "flow/flow.h"

#include <string.h>

#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

const struct step_info flow_steps[STEP_COUNT] = {
#define STEP_ROW(name, tries, class, leaves) \
	[STEP_##name] = {#name, tries, WORK_##class, leaves, step_##name},
	FLOW_STEPS(STEP_ROW)
#undef STEP_ROW
};

enum status flow_step_parse(const char *name, enum step *out)
{
	for (int i = 0; i < STEP_COUNT; i++) {
		if (strcmp(flow_steps[i].name, name) == 0) {
			*out = (enum step)i;
			return OK;
		}
	}
	return failure(E_INTERNAL, "the store names a step '%.40s' that this version does not know",
		       name);
}

enum status flow_check(void)
{
	for (int i = 0; i < STEP_COUNT; i++) {
		const struct step_info *s = &flow_steps[i];
		enum step found;
		if (str_empty(s->name) || s->tries < 1 || s->run == NULL ||
		    s->class >= WORK_CLASS_COUNT)
			return failure(E_INTERNAL, "workflow table: row %d (%s) is broken", i,
				       s->name);
		TRY(flow_step_parse(s->name, &found));
		if (found != (enum step)i)
			return failure(E_INTERNAL, "workflow table: step %s stands twice", s->name);
	}
	return OK;
}

void run_ticket(struct run *run, enum ticket_slot slot, enum ticket_kind kind, const char *purpose,
		json_t *payload)
{
	run->ops = GROW(run->mem, run->ops, struct ticket_op, run->op_count + 1);
	run->ops[run->op_count++] = (struct ticket_op){
		.slot = slot,
		.kind = kind,
		.uuid = id_uuid_of(run->mem, run->incident->uid, purpose),
		.payload = mem_own(run->mem, payload),
	};
}

void run_comment(struct run *run, const char *purpose, const char *markdown)
{
	run_ticket(run, TICKET_ALERT, TICKET_COMMENT, purpose,
		   json_pack("{s:s}", "body", markdown));
}

enum status run_escalate(struct run *run, struct outcome *out, const char *word, const char *reason)
{
	run->incident->escalation = str_dup(run->mem, reason);
	*out = (struct outcome){
		.kind = OUTCOME_NEXT,
		.next = STEP_escalate,
		.word = word,
		.note = run->incident->escalation,
	};
	return OK;
}

enum status run_replan(struct run *run, struct outcome *out, const char *word, const char *reason)
{
	struct incident *i = run->incident;

	run_reject(run, i->plan->function, i->plan->digest, reason);
	i->plans_tried++;
	*out = (struct outcome){
		.kind = OUTCOME_NEXT,
		.next = STEP_plan,
		.word = word,
		.note = str_dup(run->mem, reason),
	};
	return OK;
}

enum status run_await(struct outcome *out, int peer, int64_t latest_ms)
{
	*out = (struct outcome){.kind = OUTCOME_AWAY, .peer = peer, .due_ms = latest_ms};
	return OK;
}

bool flow_is_away(const struct flow *flow, const char *component, const char *url, int *peer)
{
	*peer = watch_find(flow->watch, component, url);
	return !watch_is_here(flow->watch, *peer);
}

void run_reject(struct run *run, const char *function, const char *digest, const char *reason)
{
	struct incident *i = run->incident;

	if (i->rejected == NULL)
		i->rejected = mem_own(run->mem, json_array());
	json_array_append_new(i->rejected, json_pack("{s:s, s:s, s:s}", "function", function,
						     "digest", digest, "reason", reason));
}
