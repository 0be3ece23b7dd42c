/*
 * load run → call step → commit outcome + next step in one transaction → again.
 *
 * Nothing of a step counts before its commit; steps that follow one another with nothing outside
 * between them are committed together. The two lanes of an incident never touch each other's
 * columns: the flow lane owns state and memory, the ticket lane owns the ticket, intake owns what
 * arrived. A signal that arrives while a step runs makes its next step due at once (store.h).
 */
#include "flow/engine.h"

#include <math.h>
#include <time.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "flow/inquire.h"

/* Steps that must not give up (escalate, close) start over after this pause. */
enum {
	START_OVER_MS = 300000,
	TICKET_DENIED_MS = 60000,
	CHAIN_MAX = 4,
	COMMIT_PAUSE_MS = 200,
	TOLD_EVERY = 50
};

/* What one round delivers is committed together. A round ends early where the tracker is slow:
 * there a commit is cheap beside the call, and people wait for what it shows. */
enum { ROUND_MAX = 16, ROUND_MS = 50 };

/* a tracker that is away is noticed and waited for (SRE-012.9); this is for one that is there and
 * ails */
static const struct backoff TICKET_RETRY = {.base_ms = 500, .cap_ms = 5000};

struct visit {
	void *mem;
	const struct flow *flow;
	struct job job;
	enum step step;
	struct run run;
	struct outcome outcome;
	int64_t began_ms; /* monotonic */
	bool called;	  /* a step of this visit may have called a function */
	struct step_commit
		waiting[CHAIN_MAX]; /* of steps that are to be committed with the next one */
	size_t waiting_count;
	json_t *memory; /* of the incident as they leave it, while the next step works on it */
	enum incident_state state;
};

static void scope_of(const struct incident *i)
{
	SCOPE(tmp);
	log_scope("incident", incident_name(tmp, i->id));
	log_scope("alertname", i->alertname);
	log_scope("correlation_id", i->correlation_id);
	log_scope("event_id", i->event_id);
	log_scope("trace_id", str_empty(i->trace.trace_id) ? NULL : i->trace.trace_id);
}

static enum status run_step(struct visit *v)
{
	struct span span;
	const struct incident *i = v->run.incident;

	span_begin(&span, "alert.process", SPAN_INTERNAL, &i->trace);
	span_attribute(&span, "step", flow_steps[v->step].name);
	span_attribute(&span, "alertname", i->alertname);
	span_attribute(&span, "correlation_id", i->correlation_id);
	span_attribute(&span, "event_id", i->event_id);
	log_scope("span_id", span.self.span_id);
	enum incident_state before = i->state;
	enum status s = flow_steps[v->step].run(&v->run, &v->outcome);
	if (s == OK && !incident_may_become(before, i->state))
		s = failure(E_INTERNAL, "step %s wants to turn %s into %s",
			    flow_steps[v->step].name, incident_state_name(before),
			    incident_state_name(i->state));
	if (s != OK)
		span_error(&span, status_message());
	span_end(&span);
	log_scope("span_id", NULL);
	return s;
}

static const char *word_of(const struct outcome *o)
{
	if (o->word != NULL)
		return o->word;
	return o->kind == OUTCOME_WAIT ? "wait" : "done";
}

static struct step_commit commit_of(const struct visit *v)
{
	return (struct step_commit){
		.after = v->run.incident,
		.step = flow_steps[v->step].name,
		.attempt = v->job.attempt,
		.started_ms = v->run.now_ms,
		.duration_ms = clock_monotonic() - v->began_ms,
		.now_ms = clock_now(),
	};
}

static struct dead_letter *letter_of(struct visit *v, bool permanent, int attempts,
				     const char *error)
{
	const struct incident *i = v->run.incident;
	struct dead_letter *d = NEW(v->mem, struct dead_letter);

	*d = (struct dead_letter){
		.event_id = i->event_id,
		.event_type = EVENT_TYPE_FIRED,
		.event_source = i->event_source,
		.subject = i->alertname,
		.correlation_id = i->correlation_id,
		.reason = error,
		.category = "step",
		.permanent = permanent,
		.stage = flow_steps[v->step].name,
		.attempts = attempts,
		.origin = "agent",
		.received_ms = i->received_ms,
		.failed_ms = clock_now(),
		.incident = i->id,
	};
	return d;
}

/* The step did its work: what it left behind becomes durable with the next step. */
static struct step_commit commit_outcome(struct visit *v)
{
	const struct outcome *o = &v->outcome;
	struct step_commit c = commit_of(v);

	c.outcome = word_of(o);
	c.note = o->note != NULL || o->kind == OUTCOME_WAIT ? o->note : "";
	c.next_step = o->kind == OUTCOME_END	? NULL
		      : o->kind == OUTCOME_NEXT ? flow_steps[o->next].name
						: c.step;
	c.due_ms = o->due_ms != 0 ? o->due_ms : c.now_ms;
	c.resolved = o->resolved;
	c.closed = o->kind == OUTCOME_END;
	c.approval = o->approval;
	c.calls_function = o->calls_function;
	c.inquiry = v->flow->investigates ? o->inquiry : INQUIRY_NONE;
	c.ops = v->run.ops;
	c.op_count = v->run.op_count;
	if (o->dead != NULL)
		c.dead = letter_of(v, false, v->run.incident->action->tries, o->dead);
	return c;
}

static struct step_commit commit_retry(const struct visit *v, enum status s, const char *error)
{
	struct step_commit c = commit_of(v);

	metric_add(M_STEP_RETRIES, 1, c.step, status_name(s));
	c.outcome = "retry";
	c.note = error;
	c.next_step = c.step;
	c.next_attempt = v->job.attempt + 1;
	c.due_ms = c.now_ms + backoff_delay(v->flow->retry, v->job.attempt + 1, id_fraction(),
					    status_retry_after_ms());
	return c;
}

/* Out of tries, or an error that no retry can heal: a dead letter, and a person. The steps that
 * hand over or close cannot hand over themselves; they start over. */
static struct step_commit commit_failure(struct visit *v, enum status s, const char *error)
{
	struct incident *i = v->run.incident;
	bool last_resort = v->step == STEP_escalate || v->step == STEP_close;
	int tries = v->job.attempt + 1;

	i->dead = true;
	if (!last_resort) {
		i->escalation =
			str_fmt(v->mem, "step %s failed after %d %s: %s", flow_steps[v->step].name,
				tries, tries == 1 ? "try" : "tries", error);
		run_comment(&v->run, str_fmt(v->mem, "dead-%s", flow_steps[v->step].name),
			    story_dead_letter(v->mem, i, flow_steps[v->step].name, tries, error));
	}
	struct step_commit c = commit_of(v);
	c.outcome = "failed";
	c.note = error;
	c.next_step = flow_steps[last_resort ? v->step : STEP_escalate].name;
	c.due_ms = last_resort ? c.now_ms + START_OVER_MS : c.now_ms;
	c.dead = letter_of(v, !status_is_retryable(s), tries, error);
	c.ops = v->run.ops;
	c.op_count = v->run.op_count;
	return c;
}

static void tell(const struct step_commit *c)
{
	double seconds = (double)c->duration_ms / 1000.0;
	bool bad = str_eq(c->outcome, "failed");

	metric_observe(M_STEP_SECONDS, seconds, c->step, c->outcome);
	if (c->note == NULL)
		return;
	SCOPE(tmp);
	log_event(bad	       ? LOG_ERROR
		  : c->attempt ? LOG_WARN
			       : LOG_INFO,
		  "step", "step", c->step, "outcome", c->outcome, "note", c->note, "duration_ms",
		  str_fmt(tmp, "%lld", (long long)c->duration_ms), NULL);
}

static void tell_created(const struct flow *flow, const struct incident *i, const char *key)
{
	metric_observe(M_ALERT_TO_ISSUE, (double)(clock_now() - i->received_ms) / 1000.0);
	log_event(LOG_INFO,
		  str_eq(tracker_name(flow->tracker), "linear") ? "linear_ticket_created"
								: "ticket_created",
		  "ticket", key, NULL);
}

/* What the embedded tracker did in the same transaction. */
static void tell_tickets(const struct visit *v, const struct step_commit *c,
			 const struct commit_result *r)
{
	for (size_t n = 0; r->tickets_done && n < c->op_count; n++)
		metric_add(M_TICKET_OPERATIONS, 1, ticket_kind_name(c->ops[n].kind),
			   status_name(OK));
	for (size_t n = 0; *r->ticket_key != '\0' && n < c->op_count; n++)
		if (c->ops[n].kind == TICKET_CREATE && c->ops[n].slot == TICKET_ALERT)
			tell_created(v->flow, c->after, r->ticket_key);
}

bool engine_hold(const struct flow *flow, enum status s, int *held)
{
	const struct timespec pause = {.tv_nsec = COMMIT_PAUSE_MS * 1000000L};

	if (s == OK || s == E_CANCELED || atomic_load(&flow->stopping))
		return false;
	if ((*held)++ % TOLD_EVERY == 0)
		log_event(LOG_ERROR, "store_trouble", "error", status_message(), NULL);
	clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	return true;
}

static enum status commit_waiting(struct visit *v, size_t count, struct commit_result *r)
{
	enum status s;
	int held = 0;

	do {
		s = store_commit_steps(v->flow->store, v->waiting, count, r);
	} while (v->called && engine_hold(v->flow, s, &held));
	return s;
}

/* Makes all that waits durable. `*due_ms` is -1 when the flow has ended. */
static enum status flush(struct visit *v, int64_t *due_ms)
{
	struct commit_result r;
	size_t count = v->waiting_count;

	v->waiting_count = 0;
	TRY(commit_waiting(v, count, &r));
	for (size_t n = 0; n < count; n++) {
		tell(&v->waiting[n]);
		tell_tickets(v, &v->waiting[n], &r);
	}
	*due_ms = v->waiting[count - 1].next_step == NULL ? -1 : r.due_ms;
	return OK;
}

/* A failed try must not leave half of its changes: the incident is read afresh. */
static enum status fresh_run(struct visit *v)
{
	v->run.ops = NULL;
	v->run.op_count = 0;
	return store_incident(v->mem, v->flow->store, v->run.incident->id, &v->run.incident);
}

/* The steps before the one that failed did their work; what that one changed does not count. */
static enum status flush_earlier(struct visit *v, int64_t *due_ms)
{
	int64_t signals = v->run.incident->signals;

	if (v->waiting_count == 0)
		return OK;
	TRY(fresh_run(v));
	v->run.incident->signals = signals;
	v->run.incident->state = v->state;
	TRY(incident_memory_decode(v->mem, v->memory, v->run.incident));
	for (size_t n = 0; n < v->waiting_count; n++)
		v->waiting[n].after = v->run.incident;
	return flush(v, due_ms);
}

static enum status settle_failure(struct visit *v, enum status s, int64_t *due_ms)
{
	char *error = str_dup(v->mem, status_message());
	int64_t signals = v->run.incident->signals;
	bool again = status_is_retryable(s) && v->job.attempt + 1 < flow_steps[v->step].tries;
	struct step_commit retry = again ? commit_retry(v, s, error) : (struct step_commit){0};

	TRY(flush_earlier(v, due_ms));
	TRY(fresh_run(v));
	v->run.incident->signals = signals;
	struct step_commit c = again ? retry : commit_failure(v, s, error);
	c.after = v->run.incident;
	v->waiting[v->waiting_count++] = c;
	return flush(v, due_ms);
}

/* Nothing is written unless the step has something to say: a long outage costs nothing. */
static enum status settle_away(struct visit *v, struct turn *turn)
{
	int64_t due_ms = 0;

	turn->class = flow_steps[v->step].class;
	turn->away = v->outcome.peer;
	turn->due_ms = v->outcome.due_ms == 0 ? INT64_MAX : v->outcome.due_ms;
	if (v->run.op_count > 0) {
		struct step_commit c = commit_of(v);
		c.outcome = "waits";
		c.note = v->outcome.note;
		c.next_step = c.step;
		c.next_attempt = v->job.attempt;
		c.due_ms = v->job.due_ms;
		c.ops = v->run.ops;
		c.op_count = v->run.op_count;
		v->waiting[v->waiting_count++] = c;
	}
	return v->waiting_count == 0 ? OK : flush(v, &due_ms);
}

/* Nothing outside happens before the next step has run: it may run before this one is durable. */
static bool may_go_on(const struct visit *v, const struct step_commit *c)
{
	const struct outcome *o = &v->outcome;
	bool both_quick =
		flow_steps[v->step].class == WORK_QUICK && flow_steps[o->next].class == WORK_QUICK;

	return o->kind == OUTCOME_NEXT && c->due_ms <= clock_now() && (o->quick || both_quick) &&
	       v->waiting_count + 2 < CHAIN_MAX;
}

static void go_on(struct visit *v)
{
	v->memory = incident_memory_encode(v->mem, v->run.incident);
	v->state = v->run.incident->state;
	v->step = v->outcome.next;
	v->job.attempt = 0;
	v->job.due_ms = clock_now();
}

static enum status load_job(const struct flow *flow, int64_t incident, struct job *job,
			    enum step *step)
{
	TRY(store_job(flow->store, incident, job));
	return flow_step_parse(job->step, step);
}

static enum status load_visit(struct visit *v, struct turn *turn, bool *due)
{
	*due = false;
	turn->due_ms = -1;
	enum status s = load_job(v->flow, turn->incident, &v->job, &v->step);
	if (s == E_NOTFOUND)
		return OK;
	TRY(s);
	turn->due_ms = v->job.due_ms;
	bool mine = turn->class == flow_steps[v->step].class;
	turn->class = flow_steps[v->step].class;
	if (!mine || v->job.due_ms > clock_now())
		return OK;
	*due = true;
	TRY(store_incident(v->mem, v->flow->store, turn->incident, &v->run.incident));
	scope_of(v->run.incident);
	return OK;
}

static void begin_run(struct visit *v)
{
	v->run = (struct run){.mem = v->mem,
			      .flow = v->flow,
			      .incident = v->run.incident,
			      .attempt = v->job.attempt,
			      .now_ms = clock_now(),
			      .due_ms = v->job.due_ms};
	v->outcome = (struct outcome){0};
	v->began_ms = clock_monotonic();
	v->called |= flow_steps[v->step].class == WORK_CALL;
}

static enum status visit_flow(const struct flow *flow, struct turn *turn, bool *more)
{
	SCOPE(mem);
	struct visit *v = NEW(mem, struct visit);
	bool due = false;

	*v = (struct visit){.mem = mem, .flow = flow};
	*more = false;
	TRY(load_visit(v, turn, &due));
	if (!due)
		return OK;
	while (due) {
		begin_run(v);
		enum status s = run_step(v);
		if (s == E_CANCELED)
			return s; /* what waits to be committed runs again */
		if (s != OK) {
			TRY(settle_failure(v, s, &turn->due_ms));
			break;
		}
		if (v->outcome.kind == OUTCOME_AWAY)
			return settle_away(v, turn);
		struct step_commit c = commit_outcome(v);
		due = may_go_on(v, &c);
		v->waiting[v->waiting_count++] = c;
		if (due)
			go_on(v);
		else
			TRY(flush(v, &turn->due_ms));
	}
	*more = turn->due_ms >= 0;
	return OK;
}

static enum status advance_flow(const struct flow *flow, struct turn *turn)
{
	bool more = true;

	while (more && !atomic_load(&flow->stopping))
		TRY(visit_flow(flow, turn, &more));
	return OK;
}

/* Operations that are delivered in one go. Each carries its own id: after a cut before the commit
 * all of them are delivered again, and change nothing. */
struct round {
	void *mem;
	const struct flow *flow;
	struct turn *turn;
	struct ticket_work *work;
	size_t count;
	struct ticket_delivery done[ROUND_MAX];
	size_t done_count;
	int64_t began_ms; /* monotonic */
};

static void measure_ticket(const struct round *r, const struct ticket_delivery *d)
{
	SCOPE(tmp);
	struct incident *i = NULL;

	metric_add(M_TICKET_OPERATIONS, 1, ticket_kind_name(d->work->op.kind), status_name(OK));
	if (d->work->op.kind != TICKET_CREATE || d->work->op.slot != TICKET_ALERT ||
	    store_incident(tmp, r->flow->store, r->turn->incident, &i) != OK)
		return;
	scope_of(i);
	tell_created(r->flow, i, i->ticket_key);
}

static enum status commit_round(const struct round *r)
{
	enum status s;
	int held = 0;

	if (r->done_count == 0)
		return OK;
	do {
		s = store_ticket_done(r->flow->store, r->turn->incident, r->done, r->done_count);
	} while (engine_hold(r->flow, s, &held));
	TRY(s);
	for (size_t n = 0; n < r->done_count; n++)
		measure_ticket(r, &r->done[n]);
	return OK;
}

static enum status put_off(const struct round *r, enum status s, const char *error,
			   int64_t pause_ms)
{
	struct store *store = r->flow->store;
	const struct ticket_work *w = &r->work[r->done_count];
	int64_t incident = r->turn->incident;
	int64_t now = clock_now();

	metric_add(M_TICKET_OPERATIONS, 1, ticket_kind_name(w->op.kind), status_name(s));
	log_event(LOG_WARN, "ticket_operation_failed", "operation", ticket_kind_name(w->op.kind),
		  "error", error, NULL);
	if (s == E_INVALID || s == E_CONFLICT || s == E_NOTFOUND)
		return store_ticket_bury(store, incident, w->op.seq, error, now);
	/* a refused key is for a person to mend; nothing is thrown away meanwhile */
	int64_t floor = s == E_DENIED ? TICKET_DENIED_MS : pause_ms;
	int64_t due = now + backoff_delay(TICKET_RETRY, w->attempt + 1, id_fraction(), floor);
	return store_ticket_retry(store, incident, w->op.seq, error, due, now);
}

/* The embedded tracker is never away. */
static bool tracker_is_away(const struct flow *flow, int *peer)
{
	return flow_is_away(flow, tracker_name(flow->tracker), "", peer);
}

static bool round_goes_on(const struct round *r)
{
	size_t n = r->done_count;

	return n < r->count && r->work[n].due_ms <= clock_now() &&
	       (n == 0 || clock_monotonic() - r->began_ms < ROUND_MS);
}

/* The ticket that a round creates is known to its later operations before it is to the store. */
static void share_ref(struct round *r, const struct ticket_delivery *d)
{
	for (size_t n = r->done_count; n < r->count; n++)
		if (r->work[n].op.slot == d->work->op.slot)
			r->work[n].ref = d->ref;
}

static enum status deliver_next(struct round *r)
{
	struct ticket_delivery *d = &r->done[r->done_count];
	const struct ticket_work *w = &r->work[r->done_count];

	*d = (struct ticket_delivery){.work = w, .started_ms = clock_now()};
	TRY(tracker_apply(r->mem, r->flow->tracker, &w->op, &w->ref, &d->ref, &d->note));
	d->done_ms = clock_now();
	r->done_count++;
	if (w->op.kind == TICKET_CREATE)
		share_ref(r, d);
	return OK;
}

static enum status run_round(struct round *r)
{
	enum status s = OK;

	r->began_ms = clock_monotonic();
	while (s == OK && round_goes_on(r))
		s = deliver_next(r);
	const char *error = s == OK ? "" : str_dup(r->mem, status_message());
	int64_t pause = status_retry_after_ms();
	TRY(commit_round(r));
	if (s == OK || s == E_CANCELED)
		return s;
	if ((s == E_TRANSIENT || s == E_TIMEOUT) && tracker_is_away(r->flow, &r->turn->away))
		return OK;
	r->turn->away = WATCH_NOBODY;
	return put_off(r, s, error, pause);
}

static enum status visit_ticket(const struct flow *flow, struct turn *turn, bool *more)
{
	SCOPE(mem);
	struct round *r = NEW(mem, struct round);

	*r = (struct round){.mem = mem, .flow = flow, .turn = turn};
	*more = false;
	turn->due_ms = -1;
	TRY(store_ticket_waiting(mem, flow->store, turn->incident, ROUND_MAX, &r->work, &r->count));
	if (r->count == 0)
		return OK;
	turn->due_ms = r->work[0].due_ms;
	if (turn->due_ms > clock_now())
		return OK;
	turn->due_ms = INT64_MAX;
	if (tracker_is_away(flow, &turn->away))
		return OK;
	turn->away = WATCH_NOBODY;
	TRY(run_round(r));
	bool all = r->done_count == r->count && r->count < ROUND_MAX;
	if (all)
		turn->due_ms = -1; /* what comes meanwhile announces itself */
	*more = !all && turn->away == WATCH_NOBODY;
	return OK;
}

static enum status advance_ticket(const struct flow *flow, struct turn *turn)
{
	bool more = true;

	turn->class = WORK_TICKET;
	while (more && !atomic_load(&flow->stopping))
		TRY(visit_ticket(flow, turn, &more));
	return OK;
}

static enum status (*const ADVANCE[])(const struct flow *flow, struct turn *turn) = {
	[LANE_FLOW] = advance_flow,
	[LANE_TICKET] = advance_ticket,
	[LANE_INQUIRY] = inquire_advance,
};

enum status engine_advance(const struct flow *flow, struct turn *turn)
{
	turn->away = WATCH_NOBODY;
	enum status s = ADVANCE[turn->lane](flow, turn);

	log_scope_clear();
	return s;
}
