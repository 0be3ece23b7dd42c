/*
 *             a look or call fails                three looks in a row, or five calls, failed
 *   healthy ───────────────────────► suspected ─────────────────────────────────────────────► away
 *      ▲                                 │ a look succeeds                                       │
 *      ├─────────────────────────────────┘                                                       │
 *      └──────────────────────────── two proofs in a row succeed ◄───────────────────────────────┘
 *
 * A call that fails counts as one bad look. A suspected peer is looked at twice at the same time:
 * one connection that was lost says little, three in a row that took up to a second each say much,
 * and the verdict comes within three seconds all the same.
 */
#include "net/watch.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/url.h"

enum {
	HEALTHY_MS = 2000,
	EARLY_MS = 1500,
	AGAIN_MS = 100, /* after a sign of trouble, and between two proofs */
	BLIP_MS = 400,	/* trouble that is over by then was none: somebody started anew */
	IDLE_MS = 1000,
	UNUSED_MS = 600000, /* so long after its last call a peer is looked at while_used */
	START_MS = 6000, /* the same for a peer that was not seen yet: all may have been started at
			    once */
	BAD_LOOKS = 3,
	ROUND_MAX = 32 /* requests of one round */
};

static const struct breaker_options BREAKER = {
	.failures = 5, .window_ms = 60000, .successes = 2, .pause_ms = 500, .pause_max_ms = 2000};

struct peer {
	const char *component, *name;
	struct http_request look, proof;
	bool while_used;
	struct breaker breaker;
	bool known, suspected, news;
	int bad_in_row;
	int64_t first_sign_ms, next_look_ms, used_ms, away_since_ms; /* monotonic */
	int64_t since_ms;					     /* wall clock */
	int64_t lasted_ms;					     /* of the news */
	int64_t looks, bad;
	const char *kind; /* a literal */
	char error[200];
};

struct watch {
	struct http_client *http;
	const char *hosts_component, *hosts_ca;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct peer peers[WATCH_PEERS_MAX];
	int count;
	watch_change_fn *changed;
	void *arg;
	pthread_t thread;
	bool started, stopping;
};

static void observe(const struct http_request *q, const struct http_reply *r, void *arg);

static int drop(struct watch *w)
{
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	return 0;
}

struct watch *watch_new(void *mem, struct http_client *http)
{
	struct watch *w = NEW(mem, struct watch);

	w->http = http;
	pthread_mutex_init(&w->lock, NULL);
	clock_condition_init(&w->wake);
	talloc_set_destructor(w, drop);
	http_client_observe(http, observe, w);
	return w;
}

/* Under the lock once the threads run: the texts hang on `w`, which has no other user then. */
static struct http_request copy_request(struct watch *w, const struct http_request *q)
{
	struct http_request copy = *q;
	struct http_header *headers = NEW_ARRAY(w, struct http_header, q->header_count + 1);

	copy.url = str_dup(w, q->url);
	copy.body = str_dup(w, q->body);
	copy.body_bytes = q->body == NULL ? 0 : strlen(q->body);
	copy.connect_to = str_dup(w, q->connect_to);
	copy.ca_file = str_dup(w, q->ca_file);
	for (size_t n = 0; n < q->header_count; n++)
		headers[n] = (struct http_header){str_dup(w, q->headers[n].name),
						  str_dup(w, q->headers[n].value)};
	copy.headers = headers;
	copy.timeout_ms = WATCH_LOOK_MS;
	copy.peer = NULL;
	return copy;
}

static struct peer *add(struct watch *w, const char *component, const char *name)
{
	struct peer *p = &w->peers[w->count++];

	*p = (struct peer){.component = str_dup(w, component),
			   .name = str_dup(w, name),
			   .kind = "",
			   .used_ms = clock_monotonic(),
			   .since_ms = clock_now()};
	breaker_init(&p->breaker, &BREAKER);
	return p;
}

void watch_add(struct watch *w, const struct watch_peer *o)
{
	if (w->count == WATCH_PEERS_MAX)
		return;
	struct peer *p = add(w, o->component, o->component);
	p->look = copy_request(w, &o->look);
	p->proof = o->proof.url == NULL ? p->look : copy_request(w, &o->proof);
	p->while_used = o->while_used;
	if (p->while_used)
		p->used_ms -= UNUSED_MS + 1;
	p->proof.once = true; /* a kept-alive connection proves nothing about new ones */
}

void watch_add_hosts(struct watch *w, const char *component, const char *ca_file)
{
	w->hosts_component = str_dup(w, component);
	w->hosts_ca = str_dup(w, ca_file);
}

static int add_host(struct watch *w, const char *name, const char *origin)
{
	const struct http_request connect = {.method = "GET",
					     .url = origin,
					     .ca_file = w->hosts_ca,
					     .connect_only = true,
					     .once = true};

	if (w->count == WATCH_PEERS_MAX)
		return WATCH_NOBODY;
	struct peer *p = add(w, w->hosts_component, name);
	p->while_used = true;
	p->look = p->proof = copy_request(w, &connect);
	return w->count - 1;
}

static int find_locked(struct watch *w, const char *component, const char *url)
{
	SCOPE(tmp);
	const char *name = component;
	char *origin = NULL;

	if (str_eq(component, w->hosts_component)) {
		origin = url_origin(tmp, url);
		const char *host = strstr(origin, "://");
		name = str_fmt(tmp, "%s:%.100s", component, host == NULL ? origin : host + 3);
	}
	for (int n = 0; n < w->count; n++)
		if (str_eq(w->peers[n].name, name))
			return n;
	return origin == NULL ? WATCH_NOBODY : add_host(w, name, origin);
}

int watch_find(struct watch *w, const char *component, const char *url)
{
	if (w == NULL)
		return WATCH_NOBODY;
	pthread_mutex_lock(&w->lock);
	int found = find_locked(w, component, url);
	pthread_mutex_unlock(&w->lock);
	return found;
}

bool watch_is_here(struct watch *w, int peer)
{
	if (w == NULL || peer == WATCH_NOBODY)
		return true;
	pthread_mutex_lock(&w->lock);
	struct peer *p = &w->peers[peer];
	/* one that was never seen and gives trouble is not called away yet, but nothing is tried on
	 * it */
	bool here = p->breaker.state == BREAKER_CLOSED && (p->known || !p->suspected);
	p->used_ms = clock_monotonic();
	pthread_mutex_unlock(&w->lock);
	return here;
}

/* For the watch's own thread to tell. An away peer comes back only by its thread, which tells
 * first: no news is ever overtaken by the next. */
static void set_news(struct watch *w, struct peer *p, int64_t lasted_ms)
{
	p->since_ms = clock_now();
	p->lasted_ms = lasted_ms;
	p->news = true;
	pthread_cond_broadcast(&w->wake);
}

static void tell(struct watch *w, int peer)
{
	struct peer *p = &w->peers[peer];
	char error[sizeof(p->error)];

	str_print(error, sizeof(error), "%s", p->error);
	const struct watch_change c = {.peer = peer,
				       .component = p->component,
				       .name = p->name,
				       .away = p->breaker.state != BREAKER_CLOSED,
				       .kind = p->kind,
				       .error = error,
				       .at_ms = p->since_ms,
				       .lasted_ms = p->lasted_ms};
	p->news = false;
	pthread_mutex_unlock(&w->lock);
	w->changed(&c, w->arg);
	pthread_mutex_lock(&w->lock);
}

static void tell_all(struct watch *w)
{
	for (int n = 0; n < w->count && !w->stopping; n++)
		if (w->peers[n].news)
			tell(w, n);
}

static void went_away(struct watch *w, struct peer *p, int64_t now)
{
	p->known = true;
	p->suspected = false;
	p->away_since_ms = now;
	set_news(w, p, p->first_sign_ms == 0 ? 0 : now - p->first_sign_ms);
}

/* The first good word after the start is told as well: a partition of an earlier process may be
 * over. */
static void came_back(struct watch *w, struct peer *p, int64_t now)
{
	int64_t lasted = p->away_since_ms == 0 ? 0 : now - p->away_since_ms;

	p->known = true;
	p->away_since_ms = 0;
	p->first_sign_ms = 0;
	set_news(w, p, lasted);
}

static void note_good(struct watch *w, struct peer *p, int64_t now)
{
	bool first = !p->known;

	p->bad_in_row = 0;
	p->suspected = false;
	p->first_sign_ms = 0;
	breaker_succeeded(&p->breaker, now);
	if (first)
		came_back(w, p, now);
}

static void note_trouble(struct peer *p, const char *kind, const char *error, int64_t began)
{
	p->kind = kind;
	str_print(p->error, sizeof(p->error), "%s", error == NULL ? kind : error);
	if (p->first_sign_ms == 0)
		p->first_sign_ms = began;
}

static void look_soon(struct watch *w, struct peer *p, int64_t now)
{
	p->suspected = true;
	if (p->next_look_ms > now)
		p->next_look_ms = now;
	pthread_cond_broadcast(&w->wake);
}

/* Calls speak only while the peer is thought to be there; an away one is judged by proofs alone. */
static void report(struct watch *w, int peer, bool good, const char *kind, const char *error)
{
	struct peer *p = &w->peers[peer];
	int64_t now = clock_monotonic();

	p->used_ms = now;
	if (p->breaker.state != BREAKER_CLOSED)
		return;
	if (good) {
		note_good(w, p, now);
		return;
	}
	note_trouble(p, kind, error, now);
	if (p->bad_in_row == 0)
		p->bad_in_row =
			1; /* however many calls were under way on a connection that broke */
	if (breaker_failed(&p->breaker, now))
		went_away(w, p, now);
	else
		look_soon(w, p, now);
}

void watch_report(struct watch *w, int peer, bool good, const char *kind, const char *error)
{
	if (w == NULL || peer == WATCH_NOBODY)
		return;
	pthread_mutex_lock(&w->lock);
	report(w, peer, good, kind, error);
	pthread_mutex_unlock(&w->lock);
}

static bool is_bad_code(long code)
{
	return code == 500 || code == 502 || code == 503 || code == 504;
}

/* A function's own failure or slowness is none of its host's: that is only looked at. */
static void observe(const struct http_request *q, const struct http_reply *r, void *arg)
{
	struct watch *w = arg;
	bool function = str_eq(q->peer, "function");

	if (r->status == E_CANCELED || r->status == E_INVALID)
		return;
	pthread_mutex_lock(&w->lock);
	int peer = find_locked(w, q->peer, q->url);
	if (peer != WATCH_NOBODY) {
		struct peer *p = &w->peers[peer];
		bool late = r->status == E_TIMEOUT && r->progress == HTTP_SENT;
		if (r->status == OK && !is_bad_code(r->code))
			report(w, peer, true, NULL, NULL);
		else if (function && (r->status == OK || late))
			look_soon(w, p, clock_monotonic());
		else if (r->status == OK)
			report(w, peer, false, "status", NULL);
		else
			report(w, peer, false, r->trouble, r->message);
	}
	pthread_mutex_unlock(&w->lock);
}

/* A round: the looks that are due, all at once. */
struct round {
	struct http_request requests[ROUND_MAX];
	int peers[ROUND_MAX];
	size_t count;
	int64_t began_ms;
};

static bool is_healthy(const struct peer *p)
{
	return p->breaker.state == BREAKER_CLOSED && !p->suspected;
}

static bool is_idle(const struct peer *p, int64_t now)
{
	return p->while_used && is_healthy(p) && now - p->used_ms > UNUSED_MS;
}

/* When the turn of one of the healthy has come, it is the turn of all that were not looked at just
 * now: a round lasts as long as its slowest look, and peers that fail together are to fail in the
 * same one. */
static bool turn_of_healthy(const struct watch *w, int64_t now)
{
	for (int n = 0; n < w->count; n++)
		if (is_healthy(&w->peers[n]) && !is_idle(&w->peers[n], now) &&
		    w->peers[n].next_look_ms <= now)
			return true;
	return false;
}

static bool is_due(struct peer *p, int64_t now, int64_t early_ms, int64_t *next)
{
	int64_t wait = 0;

	if (is_idle(p, now))
		return false;
	if (p->next_look_ms > now + (is_healthy(p) ? early_ms : 0)) {
		*next = p->next_look_ms < *next ? p->next_look_ms : *next;
		return false;
	}
	if (breaker_allows(&p->breaker, now, &wait))
		return true;
	*next = now + wait < *next ? now + wait : *next;
	return false;
}

/* Every other one on a new connection: an open one works on when the name is gone, or nobody
 * listens any more. */
static struct http_request look_of(const struct peer *p)
{
	struct http_request q = p->look;

	q.once = q.once || p->looks % 2 == 1;
	return q;
}

static void gather(struct watch *w, struct round *r, int64_t *next)
{
	int64_t now = clock_monotonic();

	int64_t early_ms = turn_of_healthy(w, now) ? EARLY_MS : 0;

	r->count = 0;
	r->began_ms = now;
	for (int n = 0; n < w->count && r->count + 2 <= ROUND_MAX; n++) {
		struct peer *p = &w->peers[n];
		if (!is_due(p, now, early_ms, next))
			continue;
		bool closed = p->breaker.state == BREAKER_CLOSED;
		for (int twice = closed && p->suspected; twice >= 0; twice--) {
			r->peers[r->count] = n;
			r->requests[r->count++] = closed && !p->suspected ? look_of(p) : p->proof;
		}
		p->next_look_ms = INT64_MAX; /* until this one is judged */
	}
}

/* Up to a quarter more, so that the looks of many agents do not march in step. */
static int64_t spread(int64_t ms)
{
	return ms + (int64_t)((double)ms * 0.25 * id_fraction());
}

/* Trouble counts when it has lasted until then. */
static int64_t serious_at(const struct peer *p)
{
	return p->first_sign_ms + (p->known ? BLIP_MS : START_MS);
}

static void judge_closed(struct watch *w, int peer, bool good, int64_t now)
{
	struct peer *p = &w->peers[peer];

	if (good) {
		p->next_look_ms = now + spread(HEALTHY_MS);
		note_good(w, p, now);
	} else if (++p->bad_in_row >= BAD_LOOKS && now >= serious_at(p)) {
		p->bad_in_row = 0;
		p->next_look_ms = now + spread(p->breaker.options.pause_ms);
		if (breaker_trip(&p->breaker, now))
			went_away(w, p, now);
	} else {
		bool enough = p->bad_in_row >= BAD_LOOKS;
		p->suspected = true;
		p->next_look_ms = now + (p->known ? AGAIN_MS : IDLE_MS);
		if (enough && p->known && serious_at(p) > p->next_look_ms)
			p->next_look_ms = serious_at(p);
	}
}

static void judge_away(struct watch *w, int peer, bool good, int64_t now)
{
	struct peer *p = &w->peers[peer];

	p->next_look_ms = now + AGAIN_MS;
	if (good && breaker_succeeded(&p->breaker, now)) {
		p->bad_in_row = 0;
		p->next_look_ms = now + spread(HEALTHY_MS);
		came_back(w, p, now);
	} else if (!good) {
		breaker_failed(&p->breaker, now);
		p->next_look_ms = now + spread(p->breaker.pause_ms);
	}
}

static void judge(struct watch *w, int peer, const struct http_reply *r, int64_t began)
{
	struct peer *p = &w->peers[peer];
	bool good = r->status == OK && !is_bad_code(r->code);

	p->looks++;
	p->bad += !good;
	if (!good) {
		char answered[64];
		str_print(answered, sizeof(answered), "answered %ld", r->code);
		note_trouble(p, r->status == OK ? "status" : r->trouble,
			     r->status == OK ? answered : r->message, began);
	}
	if (p->breaker.state == BREAKER_CLOSED)
		judge_closed(w, peer, good, clock_monotonic());
	else
		judge_away(w, peer, good, clock_monotonic());
}

static void look_round(struct watch *w, const struct round *r)
{
	SCOPE(mem);
	struct http_reply *replies = NULL;

	pthread_mutex_unlock(&w->lock);
	http_fetch_all(mem, w->http, r->requests, r->count, &replies);
	pthread_mutex_lock(&w->lock);
	for (size_t n = 0; n < r->count && !w->stopping; n++)
		if (replies[n].status != E_CANCELED)
			judge(w, r->peers[n], &replies[n], r->began_ms);
		else /* not for our end: the client failed, which says nothing of the peer */
			w->peers[r->peers[n]].next_look_ms = clock_monotonic() + IDLE_MS;
}

static void *serve(void *arg)
{
	struct watch *w = arg;
	struct round *r = NEW(NULL, struct round); /* rootless: this thread's own */

	pthread_mutex_lock(&w->lock);
	while (!w->stopping) {
		tell_all(w);
		int64_t now = clock_monotonic();
		int64_t next = now + IDLE_MS;
		gather(w, r, &next);
		if (r->count > 0) {
			look_round(w, r);
			continue;
		}
		struct timespec until = clock_deadline(next > now ? next - now : 1);
		pthread_cond_timedwait(&w->wake, &w->lock, &until);
	}
	pthread_mutex_unlock(&w->lock);
	talloc_free(r);
	return NULL;
}

enum status watch_start(struct watch *w, watch_change_fn *changed, void *arg)
{
	pthread_mutex_lock(&w->lock);
	w->changed = changed;
	w->arg = arg;
	w->started = pthread_create(&w->thread, NULL, serve, w) == 0;
	pthread_mutex_unlock(&w->lock);
	return w->started ? OK : failure(E_INTERNAL, "cannot start a thread");
}

void watch_stop(struct watch *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	bool started = w->started;
	w->stopping = true;
	w->started = false;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
	if (started)
		pthread_join(w->thread, NULL);
}

bool watch_view(struct watch *w, int peer, struct watch_view *out)
{
	if (w == NULL)
		return false;
	pthread_mutex_lock(&w->lock);
	bool there = peer < w->count;
	if (there) {
		const struct peer *p = &w->peers[peer];
		*out = (struct watch_view){.component = p->component,
					   .known = p->known,
					   .away = p->breaker.state != BREAKER_CLOSED,
					   .kind = p->kind,
					   .since_ms = p->since_ms,
					   .looks = p->looks,
					   .bad = p->bad};
		str_print(out->name, sizeof(out->name), "%s", p->name);
	}
	pthread_mutex_unlock(&w->lock);
	return there;
}
