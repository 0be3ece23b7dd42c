/*
 * A message's way: taken → storing (the store has a copy; its `done` puts the parcel into `settled`
 * and wakes the thread) → acknowledged. One that the store refuses waits, and while any waits
 * nothing more is read. A parcel belongs to the connection it came by (`epoch`): when that is lost,
 * the broker delivers the message again, and what was in flight is not acknowledged any more, only
 * forgotten.
 */
#include "daemon/broker.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "clients/broker.h"
#include "domain/death.h"
#include "domain/event.h"

enum {
	HEARTBEAT_S = 5, /* a silent broker is noticed within two of them */
	TIMEOUT_MS = 10000,
	LOOK_MS = 1000,		/* how long the thread sleeps at most */
	QUEUE_AGAIN_MS = 30000, /* a queue that was not there is looked for again */
	STORE_AGAIN_MS = 100,	/* sooner when it has finished something of ours */
	HELD_BYTES_MAX = 64 * 1024 * 1024,
	REPLAY_LINK_IDLE_MS =
		5000, /* nobody answers heartbeats between replays: used while fresh only */
};

static const struct backoff RECONNECT = {.base_ms = 500, .cap_ms = 30000};

struct parcel {
	struct broker *broker;
	struct parcel *next;
	struct broker_delivery *delivery;
	unsigned epoch;
	size_t bytes;
	enum status stored;
};

struct queue_state {
	const char *name;
	bool consuming;
};

struct broker {
	const struct settings *settings;
	struct store *store;
	pthread_t thread;
	atomic_bool stopping;
	_Atomic(struct watch *) watch;
	int wake; /* eventfd */
	/* the thread's own */
	struct broker_link *link;
	unsigned epoch;
	struct queue_state queues[BROKER_QUEUES_MAX];
	size_t queue_count;
	struct parcel *waiting, **waiting_end;
	size_t held_bytes, storing;
	int64_t connect_ms, queues_ms, store_ms; /* when to try again, monotonic */
	int failures;
	/* shared with the store's writer */
	pthread_mutex_t lock;
	struct parcel *settled, **settled_end;
	/* replays: a connection of their own */
	pthread_mutex_t replay_lock;
	struct broker_link *replay_link;
	int64_t replay_link_ms; /* when it was used last, monotonic */
};

bool broker_is_configured(const struct settings *s)
{
	return !str_empty(s->broker_url);
}

static bool is_loopback(const char *host)
{
	struct in_addr a;

	/* "127.example.com" is a name like any other */
	if (inet_pton(AF_INET, host, &a) == 1)
		return ntohl(a.s_addr) >> 24 == 127;
	return str_eq(host, "localhost") || str_eq(host, "::1");
}

static enum status check_plaintext(const struct settings *s, const char *host)
{
	if (is_loopback(host))
		return OK;
	for (size_t n = 0; s->allow_plaintext_peers[n] != NULL; n++)
		if (str_glob(s->allow_plaintext_peers[n], host))
			return OK;
	return failure(E_INVALID,
		       "broker.url: amqp:// to %s is plaintext; use amqps://, or add the host to "
		       "allow_plaintext_peers",
		       host);
}

enum status broker_check(const struct settings *s)
{
	SCOPE(tmp);
	char *address = NULL;
	char *host = NULL;
	bool tls = false;
	size_t count = 0;

	TRY(broker_url(tmp, s->broker_url, &address, &host, &tls));
	if (!tls)
		TRY(check_plaintext(s, host));
	while (s->broker_queues[count] != NULL)
		count++;
	if (count == 0)
		return failure(E_INVALID,
			       "broker.url is set, but broker.dead_letter_queues names none");
	if (count > BROKER_QUEUES_MAX)
		return failure(E_INVALID, "broker.dead_letter_queues: more than %d",
			       BROKER_QUEUES_MAX);
	return OK;
}

static enum status connect_to(void *mem, const struct settings *s, struct broker_link **out)
{
	const struct broker_options o = {
		.url = s->broker_url,
		.ca_file = str_empty(s->ca_file) ? NULL : s->ca_file,
		.heartbeat_s = HEARTBEAT_S,
		.timeout_ms = TIMEOUT_MS,
	};
	enum status status = broker_link_open(mem, &o, out);

	metric_add(M_PEER_REQUESTS, 1, "broker", status == OK ? "ok" : status_name(status));
	return status;
}

/* A dead letter out of a message. */

static bool is_ce_header(const char *name, const char **attribute)
{
	static const char *const PREFIXES[] = {"ce-", "ce_", "cloudEvents:", "cloudEvents_"};

	for (size_t n = 0; n < sizeof(PREFIXES) / sizeof(PREFIXES[0]); n++)
		if (str_starts(name, PREFIXES[n])) {
			*attribute = name + strlen(PREFIXES[n]);
			return **attribute != '\0';
		}
	return false;
}

/* As an HTTP request would have brought them, for the decoder. */
static json_t *http_headers(void *mem, const json_t *headers)
{
	json_t *out = mem_own(mem, json_object());
	const char *name;
	const char *attribute = NULL;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)headers, name, value) {
		if (!json_is_string(value))
			continue;
		const char *text = json_string_value(value);
		if (is_ce_header(name, &attribute))
			json_object_set_new(out, str_fmt(mem, "ce-%s", str_lower(mem, attribute)),
					    json_string(event_header_encode(mem, text)));
		else if (strcasecmp(name, "traceparent") == 0 ||
			 strcasecmp(name, "x-correlation-id") == 0)
			json_object_set_new(out, str_lower(mem, name), json_string(text));
	}
	return out;
}

static const char *mode_of(void *mem, const struct broker_delivery *d)
{
	const char *type = str_lower(mem, d->content_type);

	if (str_starts(type, "application/cloudevents-batch+json"))
		return event_mode_name(EVENT_BATCH);
	if (str_starts(type, "application/cloudevents+json"))
		return event_mode_name(EVENT_STRUCTURED);
	return death_attribute(mem, d->headers, "id") != NULL ? event_mode_name(EVENT_BINARY) : "";
}

static const json_t *body_json(void *mem, const struct broker_delivery *d)
{
	json_t *body = NULL;
	const char *at = d->body;

	while (isspace((unsigned char)*at))
		at++;
	if (*at != '{' || d->body_bytes != d->whole_bytes)
		return NULL;
	return json_parse(mem, d->body, d->body_bytes, &body) == OK ? body : NULL;
}

static json_t *origin_of(void *mem, const struct broker_delivery *d, const struct death *death)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:O, s:I, s:s}", "queue", d->queue, "died_in",
			      death->queue, "routing_key", death->routing_key,
			      "dead_letter_exchange", d->exchange, "headers", d->headers, "bytes",
			      (json_int_t)d->whole_bytes, "sha256", d->digest);

	mem_own(mem, o);
	json_object_set_new(o, "exchange",
			    death->has_exchange ? json_string(death->exchange) : json_null());
	return o;
}

/* What has neither id nor source is known by the message's id, else by its content. */
static void identify(void *mem, const struct broker_delivery *d, struct death *death)
{
	const char *message = json_str(d->headers, "amqp:message-id");

	if (*death->event_source == '\0')
		death->event_source = str_fmt(mem, "rabbitmq/%s",
					      *death->queue != '\0' ? death->queue : d->queue);
	if (*death->event_id == '\0' && !str_empty(message))
		death->event_id = str_fit(mem, message, LIMIT_ATTRIBUTE_BYTES);
	if (*death->event_id == '\0')
		death->event_id = str_fmt(mem, "sha256:%s", d->digest);
}

static enum status bury(struct parcel *p, void (*done)(enum status s, void *arg))
{
	SCOPE(mem);
	const struct broker_delivery *d = p->delivery;
	struct death *death = NULL;
	int64_t now = clock_now();
	bool cut = d->body_bytes != d->whole_bytes;

	death_read(mem, d->headers, body_json(mem, d), &death);
	identify(mem, d, death);
	const struct dead_letter letter = {
		.event_id = death->event_id,
		.event_type = death->event_type,
		.event_source = death->event_source,
		.subject = death->subject,
		.correlation_id = death->correlation_id,
		.reason = death->reason,
		.category = cut ? "oversize" : death->category,
		.permanent = death->permanent,
		.stage = "broker",
		.attempts = (int)death->count,
		.origin = BROKER_ORIGIN,
		.received_ms = now,
		.failed_ms = death->first_ms > 0 && death->first_ms < now ? death->first_ms : now,
		.body = d->body,
		.body_bytes = d->body_bytes,
		.mode = mode_of(mem, d),
		.content_type = d->content_type,
		.headers = http_headers(mem, d->headers),
		.origin_detail = origin_of(mem, d, death),
	};
	return store_bury(p->broker->store, &letter, done, p);
}

/* On the writer's thread. */
static void stored(enum status s, void *arg)
{
	struct parcel *p = arg;
	struct broker *b = p->broker;
	const uint64_t one = 1;

	p->stored = s;
	p->next = NULL;
	pthread_mutex_lock(&b->lock);
	*b->settled_end = p;
	b->settled_end = &p->next;
	ssize_t written = write(
		b->wake, &one, sizeof(one)); /* under the lock: broker_stop may be waiting for us */
	pthread_mutex_unlock(&b->lock);
	(void)written; /* fails only when it is readable anyway */
}

static void forget(struct broker *b, struct parcel *p)
{
	b->held_bytes -= p->bytes;
	talloc_free(p->delivery);
	talloc_free(p);
}

static void wait_for_store(struct broker *b, struct parcel *p)
{
	p->next = NULL;
	*b->waiting_end = p;
	b->waiting_end = &p->next;
	b->store_ms = clock_monotonic() + STORE_AGAIN_MS;
}

static void offer(struct broker *b)
{
	while (b->waiting != NULL && clock_monotonic() >= b->store_ms) {
		struct parcel *p = b->waiting;
		struct parcel *next = p->next; /* `stored` may come before bury returns */
		b->storing++;
		if (bury(p, stored) != OK) {
			b->storing--;
			b->store_ms = clock_monotonic() + STORE_AGAIN_MS;
			return;
		}
		b->waiting = next;
		if (next == NULL)
			b->waiting_end = &b->waiting;
	}
}

/* The connection. */

static void report(struct broker *b, bool good, const char *why)
{
	struct watch *w = atomic_load(&b->watch);

	watch_report(w, watch_find(w, "broker", ""), good, "reset", why);
}

static void lose(struct broker *b, const char *why)
{
	while (b->waiting != NULL) {
		struct parcel *p = b->waiting;
		b->waiting = p->next;
		forget(b, p);
	}
	b->waiting_end = &b->waiting;
	broker_link_close(b->link);
	b->link = NULL;
	b->epoch++;
	b->failures++;
	int64_t pause = backoff_delay(RECONNECT, b->failures, id_fraction(), 0);
	b->connect_ms = clock_monotonic() + pause;
	for (size_t n = 0; n < b->queue_count; n++)
		b->queues[n].consuming = false;
	if (why != NULL)
		log_event(LOG_WARN, "broker_lost", "error", why, NULL);
}

static enum status consume(struct broker *b)
{
	b->queues_ms = clock_monotonic() + QUEUE_AGAIN_MS;
	for (size_t n = 0; n < b->queue_count; n++) {
		struct queue_state *q = &b->queues[n];
		if (q->consuming)
			continue;
		enum status s =
			broker_link_consume(b->link, q->name, (int)b->settings->broker_prefetch);
		metric_add(M_PEER_REQUESTS, 1, "broker", s == OK ? "ok" : status_name(s));
		q->consuming = s == OK;
		log_event(s == OK ? LOG_INFO : LOG_WARN,
			  s == OK ? "broker_queue" : "broker_queue_refused", "queue", q->name,
			  "error", s == OK ? NULL : status_message(), NULL);
		if (s != OK && s != E_NOTFOUND && s != E_DENIED)
			return failure_in(s, "queue %s", q->name);
	}
	return OK;
}

static enum status settle(struct broker *b)
{
	enum status status = OK;

	pthread_mutex_lock(&b->lock);
	struct parcel *p = b->settled;
	b->settled = NULL;
	b->settled_end = &b->settled;
	pthread_mutex_unlock(&b->lock);
	while (p != NULL) {
		struct parcel *next = p->next;
		bool present = b->link != NULL && p->epoch == b->epoch;
		b->storing--;
		if (p->stored != OK && present) {
			wait_for_store(b, p);
		} else {
			if (p->stored == OK)
				b->store_ms = 0;
			if (present && status == OK)
				status = broker_link_ack(b->link, p->delivery->channel,
							 p->delivery->tag);
			forget(b, p);
		}
		p = next;
	}
	return status;
}

static void note(const struct broker_delivery *d)
{
	bool cut = d->body_bytes != d->whole_bytes;

	log_event(cut ? LOG_ERROR : LOG_DEBUG, cut ? "broker_message_cut" : "broker_message",
		  "queue", d->queue, "routing_key", d->routing_key, NULL);
}

static enum status take(struct broker *b)
{
	while (b->waiting == NULL && b->held_bytes < HELD_BYTES_MAX) {
		struct broker_delivery *d = NULL;
		TRY(broker_link_next(b->link, 0, LIMIT_BROKER_BODY_BYTES, &d));
		if (d == NULL)
			return OK;
		note(d);
		struct parcel *p = NEW(NULL, struct parcel);
		*p = (struct parcel){
			.broker = b, .delivery = d, .epoch = b->epoch, .bytes = d->body_bytes};
		b->held_bytes += p->bytes;
		wait_for_store(b, p);
		b->store_ms = 0;
		offer(b);
	}
	return OK;
}

static enum status connect_now(struct broker *b)
{
	TRY(connect_to(NULL, b->settings, &b->link));
	log_event(LOG_INFO, "broker_connected", NULL);
	report(b, true, NULL);
	TRY(consume(b));
	b->failures = 0;
	return take(b); /* what came with the answers is not seen by poll */
}

static enum status turn(struct broker *b)
{
	TRY(settle(b));
	offer(b);
	if (clock_monotonic() >= b->queues_ms)
		TRY(consume(b));
	return take(b);
}

static void sleep_until_due(struct broker *b)
{
	bool reading = b->link != NULL && b->waiting == NULL && b->held_bytes < HELD_BYTES_MAX;
	struct pollfd fds[] = {
		{.fd = b->wake, .events = POLLIN},
		{.fd = reading ? broker_link_fd(b->link) : -1, .events = POLLIN},
	};
	int64_t wait = b->waiting != NULL ? STORE_AGAIN_MS : LOOK_MS;
	uint64_t count;

	if (b->link == NULL && b->connect_ms - clock_monotonic() < wait)
		wait = b->connect_ms - clock_monotonic();
	if (poll(fds, 2, wait > 0 ? (int)wait : 0) > 0 && (fds[0].revents & POLLIN) != 0) {
		ssize_t got = read(b->wake, &count, sizeof(count));
		(void)got;
	}
}

static void work(struct broker *b)
{
	enum status s = OK;

	if (b->link != NULL) {
		s = turn(b);
	} else {
		s = settle(b); /* of a lost connection: only forgotten */
		if (s == OK && clock_monotonic() >= b->connect_ms)
			s = connect_now(b);
	}
	if (s == E_TRANSIENT || s == E_TIMEOUT)
		report(b, false, status_message());
	if (s != OK)
		lose(b, status_message());
}

/* What the store still has must come back before anything is freed. */
static void finish(struct broker *b)
{
	while (b->storing > 0) {
		struct pollfd fd = {.fd = b->wake, .events = POLLIN};
		poll(&fd, 1, LOOK_MS);
		if (settle(b) != OK)
			lose(b, status_message());
	}
	lose(b, NULL);
}

static void *run(void *arg)
{
	struct broker *b = arg;

	while (!atomic_load(&b->stopping)) {
		work(b);
		sleep_until_due(b);
	}
	finish(b);
	return NULL;
}

enum status broker_start(void *mem, const struct settings *s, struct store *store,
			 struct broker **out)
{
	TRY(broker_check(s));
	struct broker *b = NEW(mem, struct broker);
	b->settings = s;
	b->store = store;
	b->waiting_end = &b->waiting;
	b->settled_end = &b->settled;
	for (; s->broker_queues[b->queue_count] != NULL; b->queue_count++)
		b->queues[b->queue_count].name = s->broker_queues[b->queue_count];
	b->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&b->lock, NULL);
	pthread_mutex_init(&b->replay_lock, NULL);
	if (b->wake < 0 || pthread_create(&b->thread, NULL, run, b) != 0)
		return failure(E_INTERNAL, "broker: cannot start a thread");
	*out = b;
	return OK;
}

void broker_use_watch(struct broker *b, struct watch *w)
{
	if (b != NULL)
		atomic_store(&b->watch, w);
}

void broker_stop(struct broker *b)
{
	const uint64_t one = 1;

	if (b == NULL)
		return;
	atomic_store(&b->stopping, true);
	ssize_t written = write(b->wake, &one, sizeof(one));
	(void)written;
	pthread_join(b->thread, NULL);
	broker_link_close(b->replay_link);
	pthread_mutex_lock(&b->lock); /* the writer may be in its last lines of `stored` */
	pthread_mutex_unlock(&b->lock);
	close(b->wake);
	talloc_free(b);
}

/* Back to where it came from. */

bool broker_owns(const char *origin_kind, const char *event_type)
{
	return str_eq(origin_kind, BROKER_ORIGIN) && !str_eq(event_type, EVENT_TYPE_FIRED) &&
	       !str_eq(event_type, EVENT_TYPE_RESOLVED);
}

static enum status check_consumers(struct broker_link *l, const char *queue)
{
	int64_t messages = 0;
	int64_t consumers = 0;

	if (str_empty(queue))
		return OK; /* it is not known which; the mandatory flag still finds a missing
			      binding */
	TRY(broker_link_queue(l, queue, &messages, &consumers));
	return consumers > 0 ? OK : failure(E_TRANSIENT, "broker: nobody consumes queue %s", queue);
}

static void close_replay_link(struct broker *b)
{
	broker_link_close(b->replay_link);
	b->replay_link = NULL;
}

/* Before anything was sent, a broker that does not answer is only away: nothing is in doubt. */
static enum status nothing_sent(enum status s)
{
	return s == E_TIMEOUT ? failure_in(E_TRANSIENT, "nothing was sent") : s;
}

static enum status send_back(struct broker *b, const json_t *origin, const struct broker_message *m)
{
	if (clock_monotonic() - b->replay_link_ms > REPLAY_LINK_IDLE_MS)
		close_replay_link(b);
	b->replay_link_ms = clock_monotonic();
	if (b->replay_link == NULL)
		TRY(nothing_sent(connect_to(NULL, b->settings, &b->replay_link)));
	TRY(nothing_sent(check_consumers(b->replay_link, json_str(origin, "died_in"))));
	return broker_link_publish(b->replay_link, m);
}

enum status broker_replay(struct broker *b, const json_t *origin, const char *body,
			  size_t body_bytes)
{
	SCOPE(tmp);
	const json_t *headers = json_object_get(origin, "headers");
	const char *key = json_str(origin, "routing_key");
	struct broker_message m = {
		.exchange = json_str(origin, "exchange"), .body = body, .body_bytes = body_bytes};

	if (m.exchange == NULL || key == NULL || !json_is_object(headers))
		return failure(E_INVALID, "where the message was published first is not known");
	if (json_int(headers, DEATH_REPLAY_HEADER, 0) >= BROKER_REPLAYS_MAX)
		return failure(E_CONFLICT,
			       "sent back %d times already, and dead-lettered again each time",
			       BROKER_REPLAYS_MAX);
	m.routing_key = key;
	m.headers = death_strip(tmp, headers);
	pthread_mutex_lock(&b->replay_lock);
	enum status s = send_back(b, origin, &m);
	if (s != OK && s != E_NOTFOUND)
		close_replay_link(b); /* the next one begins with a fresh connection */
	pthread_mutex_unlock(&b->replay_lock);
	metric_add(M_PEER_REQUESTS, 1, "broker", s == OK ? "ok" : status_name(s));
	return s;
}

enum status broker_examine(void *mem, const struct settings *s, const char **said)
{
	SCOPE(tmp);
	struct broker_link *l = NULL;
	char *address = NULL;
	char *host = NULL;
	bool tls = false;

	TRY(broker_check(s));
	TRY(broker_url(tmp, s->broker_url, &address, &host, &tls));
	TRY(connect_to(tmp, s, &l));
	char *text = str_dup(mem, address);
	for (size_t n = 0; s->broker_queues[n] != NULL; n++) {
		int64_t messages = 0;
		int64_t consumers = 0;
		TRY(broker_link_queue(l, s->broker_queues[n], &messages, &consumers));
		str_add(&text, ", %s: %lld messages", s->broker_queues[n], (long long)messages);
	}
	*said = text;
	return OK;
}
