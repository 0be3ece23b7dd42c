/*
 * Every lane that has work is an entry in exactly one place:
 *
 *   heap (due later) ──time──► ready (a worker takes it next) ──► busy ──► heap, ready or gone
 *                      └─────► parked (its class has no share left) ──a worker of the class is
 * done──► ready
 *
 * One that waits for a peer stands in the heap as well, due far away, and knows the peer. The lanes
 * that are woken when a peer is back are a wave, which ends when each of them was visited.
 *
 * One mutex guards all of it and is never held over a step. A signal for a busy entry only notes
 * the time (`again_ms`); the worker that finishes looks at it.
 */
#include "flow/schedule.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "base/thread.h"
#include "flow/engine.h"

enum {
	STACK_BYTES = 512 * 1024,
	WORKER_NICE = 5,
	STORE_TROUBLE_MS = 1000,
	FAKE_CLOCK_TICK_MS = 5,
	IDLE_TICK_MS = 1000
};

enum place { IN_HEAP, IN_READY, IN_PARKED, IN_WORK };

struct entry {
	int64_t incident;
	enum lane lane;
	enum work_class class;
	enum place place;
	int64_t due_ms;
	int64_t again_ms; /* a signal while busy; -1 = none */
	int away;	  /* in the heap: the peer that it waits for, or WATCH_NOBODY */
	int slot;	  /* the peer in whose outbox it has a place, also while it is visited, or
			     WATCH_NOBODY */
	int wave;	  /* woken since this peer is back, and not visited yet; or WATCH_NOBODY */
	size_t heap_index;
	struct entry *next;  /* in ready or parked */
	struct entry *chain; /* in its bucket */
};

struct line {
	struct entry *first, **last;
};

struct wave {
	int64_t left, woken, replayed, began_ms;
};

struct schedule {
	struct flow *flow;
	pthread_mutex_t lock;
	pthread_cond_t due_changed; /* the dispatcher waits on it */
	pthread_cond_t ready_more;  /* idle workers wait on it */
	struct entry **buckets;
	size_t bucket_count, entry_count;
	struct entry **heap;
	size_t heap_count;
	struct line ready;
	struct line parked[WORK_CLASS_COUNT];
	int in_class[WORK_CLASS_COUNT], class_limit[WORK_CLASS_COUNT];
	pthread_t dispatcher;
	pthread_t *workers;
	int worker_count, max_workers, idle;
	size_t ready_count;
	bool one_is_free; /* the worker that holds the lock is about to take something */
	int working;
	pthread_cond_t at_rest; /* no worker is in a step */
	size_t waiting[WATCH_PEERS_MAX], slots[WATCH_PEERS_MAX];
	struct wave waves[WATCH_PEERS_MAX];
	bool stopping;
};

static void line_init(struct line *l)
{
	l->first = NULL;
	l->last = &l->first;
}

static void line_put(struct line *l, struct entry *e)
{
	e->next = NULL;
	*l->last = e;
	l->last = &e->next;
}

static struct entry *line_take(struct line *l)
{
	struct entry *e = l->first;

	if (e == NULL)
		return NULL;
	l->first = e->next;
	if (l->first == NULL)
		l->last = &l->first;
	return e;
}

static void heap_place(struct schedule *s, size_t at, struct entry *e)
{
	s->heap[at] = e;
	e->heap_index = at;
}

static void sift_up(struct schedule *s, size_t at)
{
	struct entry *e = s->heap[at];

	while (at > 0 && s->heap[(at - 1) / 2]->due_ms > e->due_ms) {
		heap_place(s, at, s->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_place(s, at, e);
}

static void sift_down(struct schedule *s, size_t at)
{
	struct entry *e = s->heap[at];

	for (;;) {
		size_t child = 2 * at + 1;
		if (child + 1 < s->heap_count &&
		    s->heap[child + 1]->due_ms < s->heap[child]->due_ms)
			child++;
		if (child >= s->heap_count || s->heap[child]->due_ms >= e->due_ms)
			break;
		heap_place(s, at, s->heap[child]);
		at = child;
	}
	heap_place(s, at, e);
}

static void heap_put(struct schedule *s, struct entry *e)
{
	if (s->heap_count == talloc_array_length(s->heap))
		s->heap = GROW(s, s->heap, struct entry *, s->heap_count * 2);
	e->place = IN_HEAP;
	heap_place(s, s->heap_count++, e);
	sift_up(s, e->heap_index);
}

static void heap_remove(struct schedule *s, struct entry *e)
{
	size_t at = e->heap_index;
	struct entry *last = s->heap[--s->heap_count];

	if (e->away != WATCH_NOBODY)
		s->waiting[e->away]--;
	e->away = WATCH_NOBODY;
	if (last == e)
		return;
	heap_place(s, at, last);
	sift_down(s, at);
	sift_up(s, last->heap_index);
}

static struct entry **bucket(struct schedule *s, int64_t incident, enum lane lane)
{
	uint64_t h = ((uint64_t)incident * 4 + (uint64_t)lane) * 0x9e3779b97f4a7c15ULL;

	return &s->buckets[(h >> 32) & (s->bucket_count - 1)];
}

static void grow_buckets(struct schedule *s)
{
	struct entry **old = s->buckets;
	size_t n = s->bucket_count;

	s->bucket_count = n * 2;
	s->buckets = NEW_ARRAY(s, struct entry *, s->bucket_count);
	for (size_t b = 0; b < n; b++) {
		for (struct entry *e = old[b], *next; e != NULL; e = next) {
			next = e->chain;
			struct entry **to = bucket(s, e->incident, e->lane);
			e->chain = *to;
			*to = e;
		}
	}
	talloc_free(old);
}

static struct entry *find(struct schedule *s, int64_t incident, enum lane lane)
{
	struct entry *e = *bucket(s, incident, lane);

	while (e != NULL && (e->incident != incident || e->lane != lane))
		e = e->chain;
	return e;
}

/* Until the lane itself says what it needs. */
static const enum work_class FIRST_CLASS[] = {
	[LANE_FLOW] = WORK_QUICK, [LANE_TICKET] = WORK_TICKET, [LANE_INQUIRY] = WORK_INQUIRY};

static struct entry *add(struct schedule *s, int64_t incident, enum lane lane)
{
	if (s->entry_count >= s->bucket_count)
		grow_buckets(s);
	struct entry *e = NEW(s, struct entry);
	struct entry **to = bucket(s, incident, lane);
	*e = (struct entry){.incident = incident,
			    .lane = lane,
			    .again_ms = -1,
			    .away = WATCH_NOBODY,
			    .slot = WATCH_NOBODY,
			    .wave = WATCH_NOBODY,
			    .chain = *to};
	e->class = FIRST_CLASS[lane];
	*to = e;
	s->entry_count++;
	metric_set(M_JOBS_WAITING, (double)s->entry_count);
	return e;
}

static void forget(struct schedule *s, struct entry *e)
{
	struct entry **at = bucket(s, e->incident, e->lane);

	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	talloc_free(e);
	s->entry_count--;
	metric_set(M_JOBS_WAITING, (double)s->entry_count);
}

static void *work(void *arg);

static void start_worker(struct schedule *s)
{
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	if (pthread_create(&s->workers[s->worker_count], &attributes, work, s) == 0)
		s->worker_count++;
	else if (s->worker_count == 0)
		abort();
	pthread_attr_destroy(&attributes);
}

static void make_ready(struct schedule *s, struct entry *e)
{
	s->in_class[e->class]++;
	e->place = IN_READY;
	line_put(&s->ready, e);
	s->ready_count++;
	if (s->one_is_free) { /* it takes the next one without being called */
		s->one_is_free = false;
		return;
	}
	if (s->ready_count > (size_t)s->idle && s->worker_count < s->max_workers && !s->stopping)
		start_worker(s);
	pthread_cond_signal(&s->ready_more);
}

/* Puts an entry, which is nowhere, where its due time and its class say. */
static void place(struct schedule *s, struct entry *e)
{
	if (e->due_ms > clock_now()) {
		heap_put(s, e);
		if (e->heap_index == 0)
			pthread_cond_signal(&s->due_changed);
	} else if (s->in_class[e->class] >= s->class_limit[e->class]) {
		e->place = IN_PARKED;
		line_put(&s->parked[e->class], e);
	} else {
		make_ready(s, e);
	}
}

void schedule_due(int64_t incident, enum lane lane, int64_t due_ms, void *arg)
{
	struct schedule *s = arg;

	pthread_mutex_lock(&s->lock);
	struct entry *e = find(s, incident, lane);
	if (e == NULL) {
		e = add(s, incident, lane);
		e->due_ms = due_ms;
		place(s, e);
	} else if (e->place == IN_WORK) {
		e->again_ms = e->again_ms < 0 || due_ms < e->again_ms ? due_ms : e->again_ms;
	} else if (e->place == IN_HEAP && due_ms < e->due_ms) {
		heap_remove(s, e);
		e->due_ms = due_ms;
		place(s, e);
	}
	pthread_mutex_unlock(&s->lock);
}

static void release_class(struct schedule *s, enum work_class class)
{
	s->in_class[class]--;
	struct entry *waiting = line_take(&s->parked[class]);
	if (waiting != NULL)
		make_ready(s, waiting);
}

size_t schedule_waiting(struct schedule *s, int peer)
{
	pthread_mutex_lock(&s->lock);
	size_t n = s->waiting[peer];
	pthread_mutex_unlock(&s->lock);
	return n;
}

static int oldest_first(const void *a, const void *b)
{
	const struct entry *x = *(struct entry *const *)a;
	const struct entry *y = *(struct entry *const *)b;

	if (x->incident != y->incident)
		return x->incident < y->incident ? -1 : 1;
	return (int)x->lane - (int)y->lane;
}

void schedule_wake(struct schedule *s, int peer)
{
	size_t count = 0;

	pthread_mutex_lock(&s->lock);
	struct entry **lanes = NEW_ARRAY(s, struct entry *, s->waiting[peer] + 1);
	for (size_t n = 0; n < s->heap_count; n++)
		if (s->heap[n]->away == peer)
			lanes[count++] = s->heap[n];
	qsort(lanes, count, sizeof(struct entry *), oldest_first);
	struct wave *w = &s->waves[peer];
	if (w->left == 0)
		*w = (struct wave){.began_ms = clock_monotonic()};
	for (size_t n = 0; n < count; n++) {
		heap_remove(s, lanes[n]);
		lanes[n]->wave = peer;
		lanes[n]->due_ms = 0;
		w->left++;
		w->woken++;
		place(s, lanes[n]);
	}
	talloc_free(lanes);
	pthread_mutex_unlock(&s->lock);
}

/* What must be told when the lock is free. */
struct tidings {
	int overflowed, ended; /* peers, or WATCH_NOBODY */
	struct wave wave;
};

static void leave_wave(struct schedule *s, struct entry *e, bool waits, struct tidings *t)
{
	int peer = e->wave;

	if (peer == WATCH_NOBODY)
		return;
	e->wave = WATCH_NOBODY;
	s->waves[peer].replayed += !waits;
	if (--s->waves[peer].left > 0)
		return;
	t->ended = peer;
	t->wave = s->waves[peer];
}

/* A lane that is visited because of a signal and waits again keeps its place: it is the newest that
 * finds none. */
static void take_slot(struct schedule *s, struct entry *e, int peer, struct tidings *t)
{
	size_t limit = s->flow->outbox.limit;

	if (e->slot == peer)
		return;
	if (e->slot != WATCH_NOBODY)
		s->slots[e->slot]--;
	e->slot = WATCH_NOBODY;
	if (peer == WATCH_NOBODY)
		return;
	if (limit > 0 && s->slots[peer] >= limit) {
		t->overflowed = peer;
	} else {
		e->slot = peer;
		s->slots[peer]++;
	}
}

static void wait_for_peer(struct schedule *s, struct entry *e, int peer)
{
	if (e->place != IN_HEAP)
		return; /* its latest time is now */
	e->away = peer;
	s->waiting[peer]++;
}

/* Back from a worker: `turn` says when the lane wants the next visit. */
static void give_back(struct schedule *s, struct entry *e, const struct turn *turn,
		      struct tidings *t)
{
	enum work_class held = e->class;
	int64_t due = turn->due_ms;
	/* a peer that came back while the lane was on its way here will not wake it */
	bool away = !watch_is_here(s->flow->watch, turn->away);
	bool waits = away && e->again_ms < 0;

	leave_wave(s, e, away, t);
	take_slot(s, e, away ? turn->away : WATCH_NOBODY, t);
	if (turn->away != WATCH_NOBODY && !away)
		due = clock_now();
	if (e->again_ms >= 0 && (due < 0 || e->again_ms < due))
		due = e->again_ms;
	e->again_ms = -1;
	e->class = turn->class;
	if (due < 0) {
		forget(s, e);
	} else {
		e->due_ms = due;
		place(s, e);
		if (waits)
			wait_for_peer(s, e, turn->away);
	}
	release_class(s, held);
}

static void tell(const struct schedule *s, const struct turn *turn, const struct tidings *t)
{
	const struct outbox *o = &s->flow->outbox;

	if (t->overflowed != WATCH_NOBODY && o->overflowed != NULL)
		o->overflowed(turn->incident, turn->lane, t->overflowed, o->arg);
	if (t->ended != WATCH_NOBODY && o->replayed != NULL)
		o->replayed(t->ended, t->wave.woken, t->wave.replayed,
			    clock_monotonic() - t->wave.began_ms, o->arg);
}

static struct entry *take(struct schedule *s)
{
	s->idle++;
	while (s->ready.first == NULL && !s->stopping)
		pthread_cond_wait(&s->ready_more, &s->lock);
	s->idle--;
	if (s->stopping)
		return NULL;
	s->ready_count--;
	struct entry *e = line_take(&s->ready);
	e->place = IN_WORK;
	return e;
}

static void visit(struct schedule *s, struct turn *turn)
{
	metric_add(M_WORKERS_BUSY, 1);
	enum status status = engine_advance(s->flow, turn);
	metric_add(M_WORKERS_BUSY, -1);
	if (status == OK)
		return;
	turn->due_ms = clock_now() + STORE_TROUBLE_MS;
	if (status != E_CANCELED) {
		SCOPE(tmp);
		log_event(LOG_ERROR, "store_trouble", "incident",
			  incident_name(tmp, turn->incident), "error", status_message(), NULL);
	}
}

static void *work(void *arg)
{
	struct schedule *s = arg;
	struct entry *e;

	thread_step_back(WORKER_NICE);
	pthread_mutex_lock(&s->lock);
	while ((e = take(s)) != NULL) {
		struct turn turn = {.incident = e->incident, .lane = e->lane, .class = e->class};
		s->working++;
		pthread_mutex_unlock(&s->lock);
		visit(s, &turn);
		pthread_mutex_lock(&s->lock);
		if (--s->working == 0)
			pthread_cond_broadcast(&s->at_rest);
		struct tidings t = {.overflowed = WATCH_NOBODY, .ended = WATCH_NOBODY};
		bool first = s->ready.first == NULL;
		s->one_is_free = first;
		give_back(s, e, &turn, &t);
		s->one_is_free = false;
		if (t.overflowed == WATCH_NOBODY && t.ended == WATCH_NOBODY)
			continue;
		if (first && s->ready.first != NULL) /* this one is busy a little longer */
			pthread_cond_signal(&s->ready_more);
		pthread_mutex_unlock(&s->lock);
		tell(s, &turn, &t);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void wait_for_next(struct schedule *s)
{
	int64_t pause = IDLE_TICK_MS;

	if (s->heap_count > 0 && s->heap[0]->due_ms - clock_now() < pause)
		pause = s->heap[0]->due_ms - clock_now();
	if (clock_is_fake())
		pause = FAKE_CLOCK_TICK_MS;
	if (pause < 1)
		pause = 1;
	struct timespec until = clock_deadline(pause);
	pthread_cond_timedwait(&s->due_changed, &s->lock, &until);
}

static void *dispatch(void *arg)
{
	struct schedule *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping) {
		int64_t now = clock_now();
		while (s->heap_count > 0 && s->heap[0]->due_ms <= now) {
			struct entry *e = s->heap[0];
			heap_remove(s, e);
			place(s, e);
		}
		wait_for_next(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* Slow functions and slow peers must not take every worker. Quick steps wait for nothing but the
 * disk, where more of them only get into each other's way. At least one each. */
static void share_out(struct schedule *s, int workers)
{
	static const int PERCENT[WORK_CLASS_COUNT] = {[WORK_QUICK] = 5,
						      [WORK_QUERY] = 25,
						      [WORK_CALL] = 60,
						      [WORK_TICKET] = 25,
						      [WORK_INQUIRY] = 2};

	for (int c = 0; c < WORK_CLASS_COUNT; c++) {
		int share = workers * PERCENT[c] / 100;
		s->class_limit[c] = share < 1 ? 1 : share;
	}
}

/* Not when it stops: the store still applies what was accepted, and tells what became due. */
static int drop(struct schedule *s)
{
	pthread_cond_destroy(&s->due_changed);
	pthread_cond_destroy(&s->ready_more);
	pthread_cond_destroy(&s->at_rest);
	pthread_mutex_destroy(&s->lock);
	return 0;
}

static struct schedule *make(void *mem, struct flow *flow, int max_workers)
{
	struct schedule *s = NEW(mem, struct schedule);

	s->flow = flow;
	s->max_workers = max_workers;
	s->bucket_count = 1024;
	s->buckets = NEW_ARRAY(s, struct entry *, s->bucket_count);
	s->heap = NEW_ARRAY(s, struct entry *, 1024);
	s->workers = NEW_ARRAY(s, pthread_t, (size_t)max_workers);
	line_init(&s->ready);
	for (int c = 0; c < WORK_CLASS_COUNT; c++)
		line_init(&s->parked[c]);
	share_out(s, max_workers);
	pthread_mutex_init(&s->lock, NULL);
	clock_condition_init(&s->due_changed);
	clock_condition_init(&s->at_rest);
	pthread_cond_init(&s->ready_more, NULL);
	talloc_set_destructor(s, drop);
	return s;
}

enum status schedule_start(void *mem, struct flow *flow, int max_workers, struct schedule **out)
{
	struct schedule *s = make(mem, flow, max_workers);

	if (pthread_create(&s->dispatcher, NULL, dispatch, s) != 0)
		return failure(E_INTERNAL, "cannot start the dispatcher thread");
	*out = s;
	/* before the first lane is handed to a worker: what its step makes due must not be missed
	 */
	store_on_due(flow->store, schedule_due, s);
	return store_each_due(flow->store, schedule_due, s);
}

static void drain(struct schedule *s, int64_t drain_ms)
{
	struct timespec until = clock_deadline(drain_ms);

	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->ready_more);
	pthread_cond_signal(&s->due_changed);
	while (s->working > 0 && pthread_cond_timedwait(&s->at_rest, &s->lock, &until) == 0)
		;
	pthread_mutex_unlock(&s->lock);
}

void schedule_stop(struct schedule *s, int64_t drain_ms)
{
	atomic_store(&s->flow->stopping, true);
	drain(s, drain_ms);
	http_client_stop(s->flow->http);
	pthread_join(s->dispatcher, NULL);
	for (int w = 0; w < s->worker_count; w++)
		pthread_join(s->workers[w], NULL);
}
