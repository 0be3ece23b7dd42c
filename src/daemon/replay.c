#include "daemon/replay.h"

#include <ctype.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/redact.h"

enum { CATCH_UP_MS = 5000 };

struct replay {
	struct store *store;
	_Atomic(struct broker *) broker;
	atomic_bool canceled;
	struct unsettled *unsettled; /* NULL = none */
};

/* A letter whose outcome the store did not take. */
struct unsettled {
	int64_t id;
	struct letter_outcome outcome;
};

struct replay *replay_new(void *mem, struct store *store)
{
	struct replay *r = NEW(mem, struct replay);

	r->store = store;
	return r;
}

void replay_use_broker(struct replay *r, struct broker *b)
{
	atomic_store(&r->broker, b);
}

void replay_cancel(struct replay *r)
{
	atomic_store(&r->canceled, true);
}

static const char *header_of(void *arg, const char *name)
{
	SCOPE(tmp);
	return json_str(arg, str_lower(tmp, name));
}

/* A letter whose mode nobody noted: what it looks like. */
static void guess_mode(const struct letter_original *o, struct event_request *r, bool *webhook)
{
	SCOPE(tmp);
	json_t *body = NULL;

	if (!str_empty(o->mode) || !str_empty(o->content_type) ||
	    json_object_size(o->headers) > 0 ||
	    json_parse(tmp, o->body, o->body_bytes, &body) != OK)
		return;
	*webhook = json_is_array(json_object_get(body, "alerts"));
	if (json_is_array(body))
		r->content_type = "application/cloudevents-batch+json";
	else if (json_object_get(body, "specversion") != NULL)
		r->content_type = "application/cloudevents+json";
}

static enum status decode(void *mem, const struct letter_original *o, struct event_set **set)
{
	struct event_request r = {
		.content_type = str_empty(o->content_type) ? NULL : o->content_type,
		.header = header_of,
		.arg = (void *)o->headers,
		.body = o->body,
		.body_bytes = o->body_bytes,
		.received_ms = o->received_ms,
	};
	bool webhook = str_eq(o->mode, event_mode_name(EVENT_WEBHOOK));
	bool unsupported = false;

	guess_mode(o, &r, &webhook);
	return webhook ? event_decode_webhook(mem, &r, set)
		       : event_decode(mem, &r, set, &unsupported);
}

/* Only what decodes is admitted; the rest is in the letter already. The first reason is returned.
 */
static const char *split(void *mem, const struct event_set *all, struct event_set *good)
{
	const char *why = NULL;

	*good = (struct event_set){.mode = all->mode,
				   .members = NEW_ARRAY(mem, struct event_member, all->count + 1)};
	for (size_t n = 0; n < all->count; n++) {
		if (all->members[n].event != NULL)
			good->members[good->count++] = all->members[n];
		else if (why == NULL)
			why = all->members[n].error;
	}
	return why;
}

static void admitted(struct admission *a)
{
	sem_post(a->arg);
}

/* Waits until it is on disk. */
static enum status admit(void *mem, struct store *store, const struct event_set *set,
			 const struct letter_original *o, struct admit_result **results)
{
	sem_t done;
	struct admission a = {
		.set = set,
		.origin = o->origin,
		.letter = o->id,
		.received_ms = clock_now(),
		.results = NEW_ARRAY(mem, struct admit_result, set->count + 1),
		.done = admitted,
		.arg = &done,
	};

	sem_init(&done, 0, 0);
	enum status s = store_admit(store, &a);
	if (s == OK) {
		while (sem_wait(&done) != 0)
			continue;
		s = a.status == OK ? OK : failure(a.status, "the store does not take it");
	}
	sem_destroy(&done);
	*results = a.results;
	return s;
}

/* What an event that was admitted came to. False when it took no effect, or not yet as far as can
 * be seen: the letter stays, and the next replay finds a duplicate at worst. */
static bool took_effect(void *mem, struct replay *r, const struct event *e,
			const struct admit_result *admitted, struct letter_outcome *out)
{
	json_t *known = NULL;

	store_catch_up(r->store, CATCH_UP_MS);
	if (store_event(mem, r->store, e->source, e->id, &known) != OK) {
		out->what = "not applied: an earlier event of its partition key is a dead letter, "
			    "or the store is slow";
		return false;
	}
	out->what = admitted->outcome == ADMIT_DUPLICATE ? admit_outcome_name(ADMIT_DUPLICATE)
							 : json_str(known, "outcome");
	const char *incident = json_str(known, "incident");
	if (incident != NULL && incident_id_parse(incident, &out->incident) != OK)
		out->incident = 0;
	return true;
}

/* Only what was in doubt or done counts towards the cap: a broker that is away must not use it up.
 */
static void send_back(void *mem, struct replay *r, const struct letter_original *o,
		      struct letter_outcome *out)
{
	struct broker *b = atomic_load(&r->broker);

	if (b == NULL) {
		out->what = "it belongs to a broker, and none is configured";
		out->counts = false;
		return;
	}
	enum status s = broker_replay(b, o->origin_detail, o->body, o->body_bytes);
	out->done = s == OK;
	out->counts = s != E_TRANSIENT && s != E_DENIED;
	out->what = s == OK ? "republished" : redact_reason(mem, status_message());
}

/* The letter must go on to block the key that it blocked before. */
static const char *lane_of(const struct event *e)
{
	return str_empty(e->partition_key) ? e->alert->fingerprint : e->partition_key;
}

/* Fills `out` with what became of the letter; other than OK when that could not be found out. */
static enum status attempt(void *mem, struct replay *r, const struct letter_original *o,
			   struct letter_outcome *out)
{
	struct event_set *set = NULL;
	struct event_set good;
	struct admit_result *results = NULL;

	if (broker_owns(o->origin, o->event_type)) {
		send_back(mem, r, o, out);
		return OK;
	}
	if (decode(mem, o, &set) != OK) {
		out->what = redact_reason(mem, status_message());
		return OK;
	}
	const char *why = split(mem, set, &good);
	if (why == NULL && good.count == 0)
		why = "there is no event in it";
	if (good.count > 0) {
		TRY(admit(mem, r->store, &good, o, &results));
		out->done = took_effect(mem, r, good.members[0].event, &results[0], out);
		out->partition_key = lane_of(good.members[0].event);
	}
	if (why != NULL) {
		out->done = false;
		out->what = redact_reason(mem, why);
	}
	return OK;
}

static json_t *result_of(void *mem, const struct letter_original *o,
			 const struct letter_outcome *out)
{
	json_t *result =
		json_pack("{s:I, s:b, s:s, s:s}", "dlq_id", (json_int_t)o->id, "success", out->done,
			  "outcome", out->what, "correlation_id", o->correlation_id);

	mem_own(mem, result);
	if (out->incident != 0)
		json_object_set_new(result, "incident",
				    json_string(incident_name(mem, out->incident)));
	return result;
}

static void audit_letter(const struct letter_original *o, const struct letter_outcome *out,
			 const char *by)
{
	SCOPE(tmp);
	log_event(LOG_INFO, "audit", "who", by, "what", "dlq.replay", "target",
		  str_fmt(tmp, "dlq/%lld", (long long)o->id), "outcome",
		  out->done ? "success" : "failure", "detail", out->what, "correlation_id",
		  o->correlation_id, NULL);
}

/* A letter must not stay as replaying because the disk was full for a moment. What became of it is
 * kept until the store takes it: what was republished would otherwise be sent twice. */
static enum status settle_last(struct replay *r)
{
	struct unsettled *u = r->unsettled;

	if (u == NULL)
		return OK;
	enum status s = store_letter_settle(r->store, u->id, &u->outcome, clock_now());
	if (s == OK || s == E_CONFLICT) {
		r->unsettled = NULL;
		talloc_free(u);
	}
	return s == E_CONFLICT ? OK : s;
}

static void keep_unsettled(struct replay *r, int64_t id, const struct letter_outcome *o)
{
	struct unsettled *u = NEW(r, struct unsettled);

	u->id = id;
	u->outcome = *o;
	u->outcome.what = str_dup(u, o->what);
	u->outcome.by = str_dup(u, o->by);
	if (o->partition_key != NULL)
		u->outcome.partition_key = str_dup(u, o->partition_key);
	r->unsettled = u;
}

/* When the program ends before the outcome is stored, it is lost. Of an event of our own the next
 * replay finds a duplicate; of a broker's message that was confirmed nothing finds out, and the
 * next replay sends it again. */
static enum status settle(struct replay *r, int64_t id, const struct letter_outcome *o)
{
	enum status s = store_letter_settle(r->store, id, o, clock_now());

	if (s == OK)
		return OK;
	keep_unsettled(r, id, o);
	return failure_in(E_TRANSIENT,
			  "the letter stays as replaying until the next replay or start");
}

enum status replay_one(void *mem, struct replay *r, int64_t id, const char *by, json_t **out)
{
	struct letter_original *o = NULL;
	struct letter_outcome outcome = {.by = by, .counts = true, .what = ""};

	if (atomic_load(&r->canceled))
		return failure(E_CANCELED, "the agent is stopping");
	TRY(store_health(r->store));
	TRY(settle_last(r));
	TRY(store_letter_claim(mem, r->store, id, clock_now(), &o));
	enum status s = attempt(mem, r, o, &outcome);
	if (s != OK) {
		outcome = (struct letter_outcome){.by = by, .what = str_dup(mem, status_message())};
		TRY(settle(r, id, &outcome));
		return failure(E_TRANSIENT, "%s", outcome.what);
	}
	TRY(settle(r, id, &outcome));
	audit_letter(o, &outcome, by);
	*out = result_of(mem, o, &outcome);
	return OK;
}

struct run {
	struct replay *replay;
	const struct replay_request *request;
	int64_t begun_ms, last;
	size_t tried, succeeded, failed, refused;
	json_t *results;
	bool stopped;
};

static void add_result(struct run *run, int64_t id, enum status s, json_t *result)
{
	if (s != OK) {
		run->refused++;
		json_array_append_new(run->results,
				      json_pack("{s:I, s:b, s:s}", "dlq_id", (json_int_t)id,
						"success", 0, "outcome", status_message()));
		return;
	}
	if (json_is_true(json_object_get(result, "success")))
		run->succeeded++;
	else
		run->failed++;
	json_array_append(run->results, result);
}

/* False when the run has to end here. */
static bool replay_next(struct run *run, int64_t id)
{
	SCOPE(mem);
	json_t *result = NULL;
	enum status s = replay_one(mem, run->replay, id, run->request->by, &result);

	if (status_is_retryable(s) || s == E_CANCELED || s == E_INTERNAL) {
		json_array_append_new(run->results,
				      json_pack("{s:I, s:b, s:s}", "dlq_id", (json_int_t)id,
						"success", 0, "outcome", status_message()));
		return false;
	}
	add_result(run, id, s, result);
	run->last = id;
	run->tried++;
	return run->tried < run->request->count &&
	       clock_monotonic() - run->begun_ms < REPLAY_BUDGET_MS;
}

static void rest(const struct run *run)
{
	double ms = REPLAY_PAUSE_MS;

	if (run->request->rate > 0 && REPLAY_BATCH * 1000.0 / run->request->rate > ms)
		ms = REPLAY_BATCH * 1000.0 / run->request->rate;
	ms = ms > REPLAY_BUDGET_MS ? REPLAY_BUDGET_MS : ms;
	const struct timespec pause = {.tv_sec = (time_t)(ms / 1000),
				       .tv_nsec = (long)((int64_t)ms % 1000) * 1000000L};
	clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

/* One batch; `*more` is false after the last one. */
static enum status replay_batch(struct run *run, bool *more)
{
	SCOPE(mem);
	struct letter_filter f = run->request->filter;
	json_t *found = NULL;
	size_t n;
	json_t *letter;

	f.state = "pending";
	f.oldest_first = true;
	f.limit = REPLAY_BATCH;
	f.after = run->last > f.after ? run->last : f.after;
	TRY(store_letters(mem, run->replay->store, &f, &found));
	json_array_foreach (found, n, letter) {
		if (!replay_next(run, json_int(letter, "dlq_id", 0))) {
			/* the very last one may have been the one to stop at */
			run->stopped = n + 1 < json_array_size(found) ||
				       json_array_size(found) == REPLAY_BATCH ||
				       run->last != json_int(letter, "dlq_id", 0);
			*more = false;
			return OK;
		}
	}
	*more = json_array_size(found) == REPLAY_BATCH;
	return OK;
}

enum status replay_many(void *mem, struct replay *r, const struct replay_request *request,
			json_t **out)
{
	struct run run = {.replay = r,
			  .request = request,
			  .begun_ms = clock_monotonic(),
			  .results = mem_own(mem, json_array())};
	bool more = true;

	while (more && !atomic_load(&r->canceled)) {
		TRY(replay_batch(&run, &more));
		if (more)
			rest(&run);
	}
	bool done = !run.stopped && !more;
	*out = mem_own(mem, json_pack("{s:I, s:I, s:I, s:b, s:I, s:O}", "succeeded",
				      (json_int_t)run.succeeded, "failed", (json_int_t)run.failed,
				      "refused", (json_int_t)run.refused, "done", done, "last",
				      (json_int_t)run.last, "results", run.results));
	return OK;
}

static void keep_header(const char *name, const char *value, void *to)
{
	SCOPE(tmp);
	const char *lower = str_lower(tmp, name);
	bool wanted = str_starts(lower, "ce-") || str_eq(lower, "traceparent") ||
		      str_eq(lower, "x-correlation-id");

	if (wanted && json_object_size(to) < LIMIT_HEADERS)
		json_object_set_new(to, lower,
				    json_string(value)); /* what is no UTF-8 is left out */
}

json_t *replay_headers(struct http_exchange *x)
{
	json_t *headers = mem_own(http_mem(x), json_object());

	http_headers(x, keep_header, headers);
	return headers;
}
