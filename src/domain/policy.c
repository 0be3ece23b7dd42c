#include "domain/policy.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

const char *mode_name(enum mode m)
{
	static const char *const NAMES[] = {"autopilot", "supervised", "shadow"};
	return NAMES[m];
}

enum status mode_parse(const char *word, enum mode *out)
{
	if (str_eq(word, "autopilot") || str_eq(word, "agentic"))
		*out = MODE_AUTOPILOT;
	else if (str_eq(word, "supervised"))
		*out = MODE_SUPERVISED;
	else if (str_eq(word, "shadow"))
		*out = MODE_SHADOW;
	else
		return failure(E_INVALID,
			       "'%.40s' is not one of autopilot, agentic, supervised, shadow",
			       word);
	return OK;
}

const char *decision_name(enum decision d)
{
	static const char *const NAMES[] = {"auto", "ask", "never"};
	return NAMES[d];
}

/* Objects are the same target whatever else the parameters say: name and namespace decide, where a
 * function has them. */
static char *target_of(void *mem, const struct plan *p)
{
	const char *name = json_str(p->parameters, "name");
	const char *namespace = json_str(p->parameters, "namespace");
	char *text = name != NULL
			     ? str_fmt(mem, "%s\n%s\n%s", p->function,
				       namespace == NULL ? "" : namespace, name)
			     : str_fmt(mem, "%s\n%s", p->function, json_text(mem, p->parameters));

	return id_sha256(mem, text, strlen(text));
}

static char *digest_of(void *mem, const struct plan *p)
{
	char *text = str_fmt(mem, "%s\n%s\n%s", p->namespace, p->function,
			     json_text(mem, p->parameters));

	return id_sha256(mem, text, strlen(text));
}

/* Why it must never happen now; NULL = it may. */
static const char *why_never(void *mem, const struct plan *p, const struct function *f,
			     const struct policy *policy)
{
	if (f->disabled)
		return str_fmt(mem, "the catalogue forbids calling %s", f->name);
	if (!(p->confidence >= policy->ask_confidence)) /* so that NaN is too little */
		return str_fmt(mem, "confidence %.4g is below %.4g", p->confidence,
			       policy->ask_confidence);
	if (policy->mode == MODE_SHADOW)
		return str_fmt(mem, "shadow mode only reports; %s would have been called", f->name);
	return NULL;
}

/* What happened lately that a person should know of; NULL = nothing. */
static const char *why_history(void *mem, const struct function *f, const struct policy *policy,
			       const struct history *h, int64_t now_ms)
{
	if (h->actions_for_alert >= policy->flaps_per_hour)
		return str_fmt(mem,
			       "this alert caused %d actions within the last hour; something else "
			       "is wrong",
			       h->actions_for_alert);
	if (h->last_call_ms != 0 && now_ms - h->last_call_ms < f->cooldown_ms)
		return str_fmt(mem, "%s was called for this target %s ago; its cooldown is %s",
			       f->name, str_duration(mem, now_ms - h->last_call_ms),
			       str_duration(mem, f->cooldown_ms));
	if (h->calls_last_hour >= f->per_hour)
		return str_fmt(mem, "%s was called %d times within the last hour; its limit is %d",
			       f->name, h->calls_last_hour, f->per_hour);
	return NULL;
}

static const char *why_ask(void *mem, const struct plan *p, const struct function *f,
			   const struct policy *policy)
{
	if (policy->mode == MODE_SUPERVISED)
		return "supervised mode: every action needs approval";
	if (f->ask_always)
		return str_fmt(mem, "the catalogue wants approval for every call of %s", f->name);
	if (f->effect == EFFECT_IRREVERSIBLE)
		return str_fmt(mem, "%s cannot be undone", f->name);
	if (f->risk > policy->risk_limit)
		return str_fmt(mem, "risk %s is above the autopilot limit %s", risk_name(f->risk),
			       risk_name(policy->risk_limit));
	if (!(p->confidence >= policy->act_confidence))
		return str_fmt(mem, "confidence %.4g is below %.4g", p->confidence,
			       policy->act_confidence);
	return NULL;
}

void plan_judge(void *mem, struct plan *p, const struct function *f, const struct policy *policy,
		const struct history *h, int64_t now_ms)
{
	p->digest = digest_of(mem, p);
	p->target = target_of(mem, p);
	p->why = why_never(mem, p, f, policy);
	p->decision = DECIDE_NEVER;
	if (p->why != NULL)
		return;
	p->decision = DECIDE_ASK;
	p->why = why_history(mem, f, policy, h, now_ms);
	if (p->why == NULL)
		p->why = why_ask(mem, p, f, policy);
	if (p->why != NULL)
		return;
	p->decision = DECIDE_AUTO;
	p->why = str_fmt(mem, "%s mode: risk %s is within the limit %s", mode_name(policy->mode),
			 risk_name(f->risk), risk_name(policy->risk_limit));
}
