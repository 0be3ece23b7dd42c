/*
 * Calls the function: at most once per intent (P03).
 *
 *   no action, or disarmed ──► armed: the intent is durable, nothing was sent
 *   armed by this process  ──► call ──► result stored
 *   armed by another one   ──► it may have called: again only if the function is idempotent (same
 * key), else look at the world (verify) instead of guessing a call without effect (not sent, asked
 * to come back) ──► disarmed, and back after a pause
 *
 * While the function's host is away nothing is armed or called; the step waits.
 */
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "flow/flow.h"

enum {
	CALL_TRIES = 5,
	CALL_PAUSE_MS =
		1500, /* at least, so that an outage is noticed before the tries are spent */
	TELL_AFTER_MS = 300000 /* a person hears of a call that waits this long */
};

static enum status arm(struct run *run, struct outcome *out)
{
	struct incident *i = run->incident;

	bool first = i->action == NULL;

	if (first) {
		i->action = NEW(run->mem, struct action);
		i->action->key = id_uuid_of(run->mem, i->uid,
					    str_fmt(run->mem, "action-%d", i->plans_tried));
		i->action->message = "";
	}
	i->action->process = run->flow->process;
	i->action->intent_ms = run->now_ms;
	i->state = INCIDENT_REMEDIATING;
	*out = (struct outcome){
		.kind = OUTCOME_NEXT,
		.next = STEP_remediate,
		.word = "intent",
		.note = str_fmt(run->mem, "about to call %s", i->plan->function),
		.calls_function = first,
	};
	return OK;
}

static void count_call(const struct incident *i, const struct function_reply *r, int64_t elapsed_ms)
{
	const char *word = r->result == CALL_SUCCESS ? "success" : "error";

	metric_add(M_REMEDIATION_ATTEMPTS, 1, i->alertname, i->plan->function, word);
	metric_observe(M_REMEDIATION_SECONDS, (double)elapsed_ms / 1000.0, i->plan->function, word);
	log_event(r->result == CALL_SUCCESS ? LOG_INFO : LOG_WARN,
		  r->result == CALL_SUCCESS ? "lambda_function_completed"
					    : "lambda_function_failed",
		  "lambda_function", i->plan->function, "result", call_result_name(r->result),
		  "message", r->message, NULL);
}

static enum status call(struct run *run, const struct function *f, struct function_reply **reply)
{
	struct incident *i = run->incident;
	struct span span;
	const struct function_call c = {
		.function = i->plan->function,
		.namespace = i->plan->namespace,
		.parameters = i->plan->parameters,
		.correlation_id = i->correlation_id,
		.idempotency_key = i->action->key,
		.idempotent = f->idempotent,
		.now_ms = clock_now(),
		.timeout_ms = f->timeout_ms,
	};

	if (i->action->called_ms == 0)
		metric_observe(M_ALERT_TO_EXECUTION, (double)(c.now_ms - i->received_ms) / 1000.0);
	i->action->called_ms = c.now_ms;
	log_event(LOG_INFO, "calling_lambda_function", "lambda_function", c.function, NULL);
	span_begin(&span, "remediation.execute", SPAN_INTERNAL, NULL);
	span_attribute(&span, "alertname", i->alertname);
	span_attribute(&span, "lambda_function", c.function);
	span_attribute(&span, "correlation_id", i->correlation_id);
	metric_add(M_REMEDIATION_ACTIVE, 1, i->alertname);
	int64_t began = clock_monotonic();
	enum status s = function_invoke(run->mem, &run->flow->functions, &c, reply);
	metric_add(M_REMEDIATION_ACTIVE, -1, i->alertname);
	if (s != OK)
		span_error(&span, status_message());
	else if ((*reply)->result != CALL_SUCCESS)
		span_error(&span, (*reply)->message);
	span_end(&span);
	if (s == OK)
		count_call(i, *reply, clock_monotonic() - began);
	return s;
}

/* The call cannot have had an effect, or the function promises that a repeat has none. */
static bool may_retry(const struct function *f, const struct action *a,
		      const struct function_reply *r)
{
	bool lost = r->result == CALL_UNKNOWN && f->idempotent && !r->cannot_fix;
	return a->tries < CALL_TRIES && r->result != CALL_SUCCESS && (r->retryable || lost);
}

static enum status come_back(struct run *run, struct outcome *out, const struct function_reply *r)
{
	struct action *a = run->incident->action;
	int64_t asked = r->retry_after_ms > CALL_PAUSE_MS ? r->retry_after_ms : CALL_PAUSE_MS;

	a->process = "";
	*out = (struct outcome){
		.kind = OUTCOME_NEXT,
		.next = STEP_remediate,
		.due_ms = clock_now() +
			  backoff_delay(run->flow->retry, a->tries, id_fraction(), asked),
		.word = "retry",
		.note = r->message,
	};
	return OK;
}

static enum status failed(struct run *run, struct outcome *out, bool exhausted)
{
	struct incident *i = run->incident;

	log_event(LOG_WARN, "remediation_failed", "lambda_function", i->plan->function,
		  "cannot_fix", i->action->cannot_fix ? "true" : "false", NULL);
	if (exhausted)
		run_comment(run, str_fmt(run->mem, "exhausted-%d", i->plans_tried),
			    story_dead_letter(run->mem, i, "remediate", i->action->tries,
					      i->action->message));
	run_ticket(run, TICKET_FAILURE, TICKET_CREATE,
		   str_fmt(run->mem, "failure-ticket-%d", i->plans_tried),
		   json_pack("{s:s, s:s, s:i, s:[s, s]}", "title", story_failure_title(run->mem, i),
			     "body", story_failure_description(run->mem, i), "priority", 1,
			     "labels", "alert", "prometheus"));
	char *reason = str_fmt(run->mem, "%s failed: %s", i->plan->function, i->action->message);
	enum status s = run_replan(run, out, "failed", reason);
	out->dead = exhausted ? i->action->message : NULL;
	return s;
}

static bool is_away(const struct run *run, int *peer)
{
	const struct plan *p = run->incident->plan;
	const char *url = function_url(run->mem, &run->flow->functions, p->function, p->namespace);

	return flow_is_away(run->flow, "function", url, peer);
}

/* The ticket says once that the call waits. */
static enum status wait_for_host(struct run *run, struct outcome *out, int peer)
{
	struct incident *i = run->incident;
	int64_t tell_at = run->due_ms + TELL_AFTER_MS;

	if (run->now_ms < tell_at)
		return run_await(out, peer, tell_at);
	run_comment(run, str_fmt(run->mem, "waits-%d", i->plans_tried), story_waiting(run->mem, i));
	enum status s = run_await(out, peer, 0);
	out->note = str_fmt(run->mem, "%s cannot be reached; the call waits", i->plan->function);
	return s;
}

static enum status settle(struct run *run, struct outcome *out, const struct function *f,
			  const struct function_reply *r)
{
	struct incident *i = run->incident;
	struct action *a = i->action;

	int peer;

	a->message = r->message;
	a->cannot_fix = r->cannot_fix;
	/* an outage costs one try, however long it is */
	bool away = may_retry(f, a, r) && is_away(run, &peer);
	a->tries += !away || a->tries == 0;
	if (away || may_retry(f, a, r))
		return come_back(run, out, r);
	a->result = r->result;
	a->finished_ms = clock_now();
	run_comment(run, str_fmt(run->mem, "executed-%d", i->plans_tried),
		    story_executed(run->mem, i));
	if (r->result == CALL_FAILED)
		return failed(run, out, r->retryable);
	*out = (struct outcome){
		.kind = OUTCOME_NEXT,
		.next = STEP_verify,
		.quick = true, /* it begins to wait */
		.word = r->result == CALL_SUCCESS ? "success" : "unknown",
		.note = str_empty(r->message) ? "no message" : r->message,
	};
	return OK;
}

/* Another process wrote the intent and is gone; whether it called is not known. */
static enum status look_instead(struct run *run, struct outcome *out)
{
	struct incident *i = run->incident;

	i->action->result = CALL_UNKNOWN;
	i->action->finished_ms = run->now_ms;
	i->action->message = "the agent was restarted around this call; it is not repeated, the "
			     "effect is measured";
	run_comment(run, str_fmt(run->mem, "executed-%d", i->plans_tried),
		    story_executed(run->mem, i));
	*out = (struct outcome){.kind = OUTCOME_NEXT,
				.next = STEP_verify,
				.word = "unknown",
				.note = i->action->message};
	return OK;
}

/* Nothing was sent: after a restart it must not look as if. */
static enum status disarm(struct run *run, struct outcome *out)
{
	run->incident->action->process = "";
	*out = (struct outcome){.kind = OUTCOME_NEXT,
				.next = STEP_remediate,
				.word = "retry",
				.note = "the function cannot be reached; it was not called"};
	return OK;
}

enum status step_remediate(struct run *run, struct outcome *out)
{
	struct incident *i = run->incident;
	const struct function *f = catalogue_find(run->flow->catalogue, i->plan->function);
	const struct action *a = i->action;
	struct function_reply *reply = NULL;
	int peer;

	if (f == NULL)
		return run_escalate(
			run, out, "refused",
			str_fmt(run->mem, "%s is no longer in the catalogue", i->plan->function));
	bool idle = a == NULL || (a->process[0] == '\0' && a->result == CALL_NONE);
	if (idle && i->resolved_ms != 0) {
		*out = (struct outcome){.kind = OUTCOME_NEXT,
					.next = STEP_close,
					.word = "unneeded",
					.note = "the alert resolved before the call"};
		return OK;
	}
	bool away = is_away(run, &peer);
	if (idle)
		return away ? wait_for_host(run, out, peer) : arm(run, out);
	if (!str_eq(a->process, run->flow->process) && !f->idempotent)
		return look_instead(run, out);
	if (away && str_eq(a->process, run->flow->process))
		return disarm(run, out);
	if (away)
		return wait_for_host(run, out, peer);
	TRY(call(run, f, &reply));
	return settle(run, out, f, reply);
}
