#include "daemon/partitions.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "daemon/peers.h"
#include "daemon/reply.h"
#include "net/watch.h"
#include "store/partitions.h"

enum { TICK_MS = 1000 };

/* What is to be written about one peer. */
struct note {
	bool begins, ends, settles; /* in this order */
	bool was_here;		    /* the end is the first good word after the start */
	const char *component;	    /* borrowed from the watch */
	char name[128], kind[16], error[200];
	int64_t detected_ms, healed_ms, buffered, replayed;
};

struct partitions {
	const struct settings *settings;
	struct flow *flow;
	struct schedule *schedule;
	pthread_t thread;
	pthread_mutex_t lock, counting; /* counting: the gauge, which scrapes and changes set */
	pthread_cond_t changed;
	struct note notes[WATCH_PEERS_MAX];
	bool overflows[WATCH_PEERS_MAX]; /* more wait than the outbox may hold */
	bool started, stopping;
};

static char *seconds(void *mem, int64_t ms)
{
	return str_fmt(mem, "%lld.%03lld", (long long)(ms / 1000), (long long)(ms % 1000));
}

/* The gauge is per component: how many of its peers are away. */
static void count_away(struct partitions *p)
{
	struct watch_view v;

	pthread_mutex_lock(&p->counting);
	for (int n = 0; watch_view(p->flow->watch, n, &v); n++)
		metric_set(M_PARTITION_ACTIVE, 0, v.component);
	for (int n = 0; watch_view(p->flow->watch, n, &v); n++)
		metric_add(M_PARTITION_ACTIVE, v.away, v.component);
	pthread_mutex_unlock(&p->counting);
}

static void went_away(struct partitions *p, const struct watch_change *c)
{
	SCOPE(tmp);

	metric_observe(M_PARTITION_DETECTION, (double)c->lasted_ms / 1000.0);
	log_event(LOG_WARN, "partition_detected", "component", c->component, "peer", c->name,
		  "kind", c->kind, "error", c->error, "seconds", seconds(tmp, c->lasted_ms), NULL);
	pthread_mutex_lock(&p->lock);
	struct note *n = &p->notes[c->peer];
	/* away again before that was written: it has not ended, and one row tells of both */
	n->detected_ms = n->begins ? n->detected_ms : c->at_ms - c->lasted_ms;
	n->begins = true;
	n->ends = n->was_here = n->settles = false;
	n->component = c->component;
	str_print(n->name, sizeof(n->name), "%s", c->name);
	str_print(n->kind, sizeof(n->kind), "%s", c->kind);
	str_print(n->error, sizeof(n->error), "%s", c->error);
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static void came_back(struct partitions *p, const struct watch_change *c)
{
	SCOPE(tmp);
	int64_t waiting = (int64_t)schedule_waiting(p->schedule, c->peer);
	bool first = c->lasted_ms == 0;

	if (!first) {
		metric_observe(M_PARTITION_DURATION, (double)c->lasted_ms / 1000.0);
		log_event(LOG_INFO, "partition_healed", "component", c->component, "peer", c->name,
			  "seconds", seconds(tmp, c->lasted_ms), "replayed",
			  str_fmt(tmp, "%lld", (long long)waiting), NULL);
	}
	schedule_wake(p->schedule, c->peer);
	if (!first && waiting == 0)
		metric_observe(M_PARTITION_RECOVERY, 0);
	pthread_mutex_lock(&p->lock);
	struct note *n = &p->notes[c->peer];
	n->ends = true;
	n->was_here = first;
	n->settles = n->settles || waiting == 0;
	n->component = c->component;
	n->healed_ms = c->at_ms;
	n->buffered = waiting;
	str_print(n->name, sizeof(n->name), "%s", c->name);
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static void changed(const struct watch_change *c, void *arg)
{
	if (c->away)
		went_away(arg, c);
	else
		came_back(arg, c);
	count_away(arg);
}

/* On a worker: all that was woken was visited. */
static void replayed(int peer, int64_t woken, int64_t got_on, int64_t took_ms, void *arg)
{
	struct partitions *p = arg;
	struct watch_view v;
	SCOPE(tmp);

	if (!watch_view(p->flow->watch, peer, &v))
		return;
	metric_add(M_OUTBOX_REPLAYED, (double)got_on);
	metric_observe(M_PARTITION_RECOVERY, (double)took_ms / 1000.0);
	log_event(LOG_INFO, "outbox_replayed", "component", v.component, "peer", v.name, "replayed",
		  str_fmt(tmp, "%lld", (long long)got_on), "of",
		  str_fmt(tmp, "%lld", (long long)woken), "seconds", seconds(tmp, took_ms), NULL);
	pthread_mutex_lock(&p->lock);
	struct note *n = &p->notes[peer];
	n->replayed += got_on;
	n->settles = n->settles || !v.away;
	str_print(n->name, sizeof(n->name), "%s", v.name);
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static bool letters_are_full(const struct partitions *p)
{
	struct store_counts c;

	return store_counts(p->flow->store, &c) == OK && c.dead_letters >= p->settings->dlq_limit;
}

/* On a worker. The lane waits like all others; a letter says so as long as there is room for one.
 */
static void overflowed(int64_t incident, enum lane lane, int peer, void *arg)
{
	struct partitions *p = arg;
	struct watch_view v;

	pthread_mutex_lock(&p->lock);
	p->overflows[peer] = true;
	pthread_mutex_unlock(&p->lock);
	if (!watch_view(p->flow->watch, peer, &v) || store_is_full(p->flow->store))
		return;
	if (store_outbox_overflow(p->flow->store, incident, lane, v.name, p->settings->outbox_limit,
				  clock_now()) != OK)
		log_event(LOG_ERROR, "outbox_overflow_failed", "peer", v.name, "error",
			  status_message(), NULL);
}

/* The end of a partition that an earlier process saw begin. */
static void end_inherited(const struct partitions *p, const struct note *n)
{
	bool open = false;
	int64_t since = 0;
	SCOPE(tmp);

	if (store_partition_is_open(p->flow->store, n->name, &open) != OK || !open ||
	    store_partition_end(p->flow->store, n->name, n->healed_ms, n->buffered, &since) != OK)
		return;
	log_event(LOG_INFO, "partition_healed", "component", n->component, "peer", n->name,
		  "seconds", seconds(tmp, n->healed_ms - since), "replayed",
		  str_fmt(tmp, "%lld", (long long)n->buffered), NULL);
}

static enum status write_begin(const struct partitions *p, const struct note *n)
{
	const struct partition row = {.component = n->component,
				      .name = n->name,
				      .kind = n->kind,
				      .error = n->error,
				      .detected_ms = n->detected_ms};

	return n->begins ? store_partition_begin(p->flow->store, &row) : OK;
}

static enum status write_end(const struct partitions *p, const struct note *n)
{
	if (!n->ends)
		return OK;
	if (n->was_here) {
		end_inherited(p, n);
		return OK;
	}
	return store_partition_end(p->flow->store, n->name, n->healed_ms, n->buffered, NULL);
}

static enum status write_settle(const struct partitions *p, const struct note *n)
{
	int64_t count = 0;
	SCOPE(tmp);

	if (n->replayed > 0)
		TRY(store_partition_replayed(p->flow->store, n->name, n->replayed));
	if (!n->settles)
		return OK;
	TRY(store_outbox_settle(p->flow->store, n->name, clock_now(), clock_now(), &count));
	if (count > 0)
		log_event(LOG_INFO, "outbox_letters_resolved", "peer", n->name, "count",
			  str_fmt(tmp, "%lld", (long long)count), NULL);
	return OK;
}

/* What could not be written is tried again at the next tick. */
static enum status write_note(const struct partitions *p, struct note *n)
{
	TRY(write_begin(p, n));
	n->begins = false;
	TRY(write_end(p, n));
	n->ends = false;
	TRY(write_settle(p, n));
	n->settles = false;
	n->replayed = 0;
	return OK;
}

static bool is_empty(const struct note *n)
{
	return !n->begins && !n->ends && !n->settles && n->replayed == 0;
}

/* Puts back what was not written, under what was noted meanwhile: a beginning keeps the time of the
 * first one. */
static void put_back(struct note *to, const struct note *left)
{
	struct note newer = *to;

	*to = *left;
	to->begins = left->begins || newer.begins;
	if (newer.ends) {
		to->ends = true;
		to->was_here = newer.was_here && !to->begins;
		to->healed_ms = newer.healed_ms;
		to->buffered = newer.buffered;
	} else if (newer.begins) {
		to->ends = to->was_here = to->settles = false; /* away again: it has not ended */
	}
	if (newer.begins && !left->begins)
		*to = newer;
	to->replayed = left->replayed + newer.replayed;
	to->settles = to->settles || newer.settles;
}

static void write_notes(struct partitions *p)
{
	for (int peer = 0; peer < WATCH_PEERS_MAX; peer++) {
		pthread_mutex_lock(&p->lock);
		struct note n = p->notes[peer];
		p->notes[peer] = (struct note){0};
		pthread_mutex_unlock(&p->lock);
		if (is_empty(&n) || write_note(p, &n) == OK)
			continue;
		log_event(LOG_ERROR, "partition_not_written", "peer", n.name, "error",
			  status_message(), NULL);
		pthread_mutex_lock(&p->lock);
		put_back(&p->notes[peer], &n);
		pthread_mutex_unlock(&p->lock);
	}
}

/* Refuses events only while both are full: the outbox of a peer, and the dead letters. */
static void judge_fullness(struct partitions *p)
{
	bool over = false;

	for (int peer = 0; peer < WATCH_PEERS_MAX; peer++) {
		pthread_mutex_lock(&p->lock);
		bool candidate = p->overflows[peer];
		pthread_mutex_unlock(&p->lock);
		if (!candidate)
			continue;
		bool still =
			(long long)schedule_waiting(p->schedule, peer) > p->settings->outbox_limit;
		over = over || still;
		pthread_mutex_lock(&p->lock);
		p->overflows[peer] = still;
		pthread_mutex_unlock(&p->lock);
	}
	bool full = over && letters_are_full(p);
	if (full != store_is_full(p->flow->store))
		log_event(full ? LOG_ERROR : LOG_INFO,
			  full ? "intake_refused_outbox_full" : "intake_open_again", NULL);
	store_set_full(p->flow->store, full);
}

static void *serve(void *arg)
{
	struct partitions *p = arg;
	bool stopping = false;

	while (!stopping) {
		write_notes(p);
		judge_fullness(p);
		struct timespec until = clock_deadline(TICK_MS);
		pthread_mutex_lock(&p->lock);
		if (!p->stopping)
			pthread_cond_timedwait(&p->changed, &p->lock, &until);
		stopping = p->stopping;
		pthread_mutex_unlock(&p->lock);
	}
	write_notes(p);
	return NULL;
}

static int drop(struct partitions *p)
{
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->counting);
	return 0;
}

enum status partitions_new(void *mem, const struct settings *s, struct flow *flow,
			   struct partitions **out)
{
	struct partitions *p = NEW(mem, struct partitions);
	pthread_condattr_t attributes;

	p->settings = s;
	p->flow = flow;
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->counting, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	talloc_set_destructor(p, drop);
	flow->watch = watch_new(p, flow->http);
	flow->sources.watch = flow->watch;
	flow->outbox = (struct outbox){.limit = (size_t)s->outbox_limit,
				       .overflowed = overflowed,
				       .replayed = replayed,
				       .arg = p};
	*out = p;
	return peers_watch(p, s, flow);
}

static void say_who_leads(const struct partitions *p)
{
	/* whoever holds the store's lock is the one that acts */
	metric_set(M_LEADER, 1);
	metric_set(M_FENCING_EPOCH, (double)store_intake(p->flow->store).epoch);
}

enum status partitions_start(struct partitions *p, struct schedule *schedule)
{
	p->schedule = schedule;
	say_who_leads(p);
	count_away(p);
	if (pthread_create(&p->thread, NULL, serve, p) != 0)
		return failure(E_INTERNAL, "cannot start a thread");
	p->started = true;
	return watch_start(p->flow->watch, changed, p);
}

void partitions_stop(struct partitions *p)
{
	if (p == NULL)
		return;
	watch_stop(p->flow->watch);
	if (!p->started)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
}

/* The hosts of a component are one member each only when they are away: what can be called is
 * nobody's business. */
static json_t *peer_view(void *mem, const struct watch_view *v)
{
	json_t *view = json_pack("{s:s, s:s}", "state",
				 v->away    ? "away"
				 : v->known ? "ok"
					    : "unknown",
				 "since", clock_format(mem, v->since_ms));

	if (!str_empty(v->kind))
		json_object_set_new(view, "last_error", json_string(v->kind));
	return mem_check(view);
}

void partitions_health(struct http_exchange *x, struct partitions *p)
{
	struct watch_view v;
	json_t *peers = json_object();
	json_t *waiting = json_object();
	bool degraded = store_is_full(p->flow->store);
	void *mem = http_mem(x);

	for (int n = 0; watch_view(p->flow->watch, n, &v); n++) {
		const json_t *have = json_object_get(peers, v.component);
		int64_t lanes = (int64_t)schedule_waiting(p->schedule, n);
		degraded = degraded || v.away;
		if (have == NULL || v.away)
			json_object_set_new(peers, v.component, peer_view(mem, &v));
		lanes += json_int(waiting, v.component, 0);
		json_object_set_new(waiting, v.component, json_integer(lanes));
	}
	reply_json(x, 200,
		   json_pack("{s:s, s:o, s:{s:o, s:I, s:b}}", "status",
			     degraded ? "degraded" : "ok", "peers", peers, "outbox", "waiting",
			     waiting, "limit", (json_int_t)p->settings->outbox_limit, "refusing",
			     store_is_full(p->flow->store)));
}

void partitions_gauges(struct partitions *p)
{
	struct watch_view v;
	double waiting = 0;

	for (int n = 0; watch_view(p->flow->watch, n, &v); n++)
		waiting += (double)schedule_waiting(p->schedule, n);
	metric_set(M_OUTBOX_BUFFERED, waiting);
	count_away(p);
}
