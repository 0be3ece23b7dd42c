#include "domain/incident.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

static const char *const STATES[INCIDENT_STATE_COUNT] = {
#define INCIDENT_NAME(id, name, meaning) [INCIDENT_##id] = name,
	INCIDENT_STATES(INCIDENT_NAME)
#undef INCIDENT_NAME
};

static const char *const VERDICTS[] = {"", "recovered", "not_recovered", "inconclusive"};
static const char *const RESULTS[] = {"", "success", "failed", "unknown"};

const char *incident_state_name(enum incident_state s)
{
	return STATES[s];
}

enum status incident_state_parse(const char *word, enum incident_state *out)
{
	for (int i = 0; i < INCIDENT_STATE_COUNT; i++) {
		if (str_eq(STATES[i], word)) {
			*out = (enum incident_state)i;
			return OK;
		}
	}
	return failure(E_INVALID,
		       "'%.40s' is not one of open, approval, remediating, verifying, recovered, "
		       "escalated, closed, active",
		       word);
}

bool incident_may_become(enum incident_state from, enum incident_state to)
{
#define TO(id) (1u << INCIDENT_##id)
	static const unsigned ALLOWED[INCIDENT_STATE_COUNT] = {
		[INCIDENT_OPEN] = TO(APPROVAL) | TO(REMEDIATING) | TO(ESCALATED) | TO(CLOSED),
		[INCIDENT_APPROVAL] = TO(APPROVAL) | TO(REMEDIATING) | TO(ESCALATED) | TO(CLOSED),
		[INCIDENT_REMEDIATING] = TO(APPROVAL) | TO(VERIFYING) | TO(ESCALATED) | TO(CLOSED),
		[INCIDENT_VERIFYING] =
			TO(APPROVAL) | TO(REMEDIATING) | TO(RECOVERED) | TO(ESCALATED) | TO(CLOSED),
		[INCIDENT_RECOVERED] = TO(ESCALATED) | TO(CLOSED),
		[INCIDENT_ESCALATED] = TO(CLOSED),
		[INCIDENT_CLOSED] = 0,
	};
#undef TO
	return from == to || (ALLOWED[from] & (1u << to)) != 0;
}

const char *verdict_name(enum verdict v)
{
	return VERDICTS[v];
}

const char *call_result_name(enum call_result r)
{
	return RESULTS[r];
}

static int word_in(const char *word, const char *const *words, int count)
{
	for (int i = 0; i < count; i++)
		if (str_eq(words[i], word))
			return i;
	return 0;
}

static const char *text_of(const char *s)
{
	return s == NULL ? "" : s;
}

static json_t *action_encode(const struct action *a)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:i, s:s, s:s, s:b}", "key", text_of(a->key),
			 "process", text_of(a->process), "intent_ms", (json_int_t)a->intent_ms,
			 "called_ms", (json_int_t)a->called_ms, "finished_ms",
			 (json_int_t)a->finished_ms, "tries", a->tries, "result",
			 call_result_name(a->result), "message", text_of(a->message), "cannot_fix",
			 (int)a->cannot_fix);
}

static struct action *action_decode(void *mem, const json_t *doc)
{
	struct action *a = NEW(mem, struct action);

	*a = (struct action){
		.key = str_dup(mem, text_of(json_str(doc, "key"))),
		.process = str_dup(mem, text_of(json_str(doc, "process"))),
		.intent_ms = json_int(doc, "intent_ms", 0),
		.called_ms = json_int(doc, "called_ms", 0),
		.finished_ms = json_int(doc, "finished_ms", 0),
		.tries = (int)json_int(doc, "tries", 0),
		.result = (enum call_result)word_in(json_str(doc, "result"), RESULTS, 4),
		.message = str_dup(mem, text_of(json_str(doc, "message"))),
		.cannot_fix = json_is_true(json_object_get(doc, "cannot_fix")),
	};
	return a;
}

static json_t *verification_encode(const struct verification *v)
{
	return json_pack("{s:I, s:I, s:i, s:s, s:O*, s:s}", "started_ms", (json_int_t)v->started_ms,
			 "deadline_ms", (json_int_t)v->deadline_ms, "polls", v->polls, "verdict",
			 verdict_name(v->verdict), "checks", v->checks, "reason",
			 text_of(v->reason));
}

static json_t *array_of(void *mem, const json_t *doc, const char *key)
{
	json_t *value = json_object_get(doc, key);

	return mem_own(mem, json_is_array(value) ? json_incref(value) : json_array());
}

static struct verification *verification_decode(void *mem, const json_t *doc)
{
	struct verification *v = NEW(mem, struct verification);

	*v = (struct verification){
		.started_ms = json_int(doc, "started_ms", 0),
		.deadline_ms = json_int(doc, "deadline_ms", 0),
		.polls = (int)json_int(doc, "polls", 0),
		.verdict = (enum verdict)word_in(json_str(doc, "verdict"), VERDICTS, 4),
		.checks = array_of(mem, doc, "checks"),
		.reason = str_dup(mem, text_of(json_str(doc, "reason"))),
	};
	return v;
}

json_t *incident_memory_encode(void *mem, const struct incident *i)
{
	json_t *doc =
		mem_own(mem, json_pack("{s:i, s:s, s:b, s:I}", "plans_tried", i->plans_tried,
				       "escalation", text_of(i->escalation), "dead", (int)i->dead,
				       "approval_expires_ms", (json_int_t)i->approval_expires_ms));

	if (i->slo != NULL)
		json_object_set_new(doc, "slo", slo_context_encode(i->slo));
	if (i->assignee != NULL)
		json_object_set_new(doc, "assignee", json_string(i->assignee));
	if (i->plan != NULL)
		json_object_set(doc, "plan", plan_encode(mem, i->plan));
	if (i->action != NULL)
		json_object_set_new(doc, "action", action_encode(i->action));
	if (i->verification != NULL)
		json_object_set_new(doc, "verification", verification_encode(i->verification));
	if (i->rejected != NULL)
		json_object_set(doc, "rejected", i->rejected);
	return doc;
}

enum status incident_memory_decode(void *mem, const json_t *doc, struct incident *i)
{
	const json_t *plan = json_object_get(doc, "plan");
	const json_t *action = json_object_get(doc, "action");
	const json_t *verification = json_object_get(doc, "verification");
	const json_t *slo = json_object_get(doc, "slo");

	i->slo = slo == NULL ? NULL : slo_context_decode(mem, slo);
	i->assignee = str_dup(mem, json_str(doc, "assignee"));
	if (plan != NULL)
		TRY(plan_decode(mem, plan, &i->plan));
	i->action = action == NULL ? NULL : action_decode(mem, action);
	i->verification = verification == NULL ? NULL : verification_decode(mem, verification);
	i->plans_tried = (int)json_int(doc, "plans_tried", 0);
	i->escalation = str_dup(mem, text_of(json_str(doc, "escalation")));
	i->dead = json_is_true(json_object_get(doc, "dead"));
	i->approval_expires_ms = json_int(doc, "approval_expires_ms", 0);
	i->rejected = array_of(mem, doc, "rejected");
	return OK;
}

const char *incident_slo(const struct incident *i)
{
	const char *label = json_str(i->labels, "slo");

	return label != NULL ? label : json_str(i->annotations, "slo");
}

char *incident_name(void *mem, int64_t id)
{
	return str_fmt(mem, "INC-%lld", (long long)id);
}

enum status incident_id_parse(const char *text, int64_t *out)
{
	long long id;
	const char *digits = str_starts(text, "INC-") || str_starts(text, "inc-") ? text + 4 : text;

	if (str_to_int(digits, 1, INT64_MAX, &id) != OK)
		return failure(E_INVALID, "'%.40s' is not an incident such as INC-17", text);
	*out = id;
	return OK;
}
