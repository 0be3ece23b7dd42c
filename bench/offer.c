/*
 * Requests at a fixed rate, whatever the server does: request k is due at start + k / rate, and its
 * latency counts from then, also when it had to wait for a free connection (no coordinated
 * omission).
 *
 *   offer PORT PATH TEMPLATE FIRST RATE SECONDS CONNECTIONS
 *
 * prints {"due", "ok", "refused", "broken", "waited", "p50_us", "p90_us", "p99_us", "p999_us",
 * "max_us"}: refused = answered, but not with 2xx; waited = all connections were busy when it was
 * due.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "alert.h"
#include "wire.h"
#include "base/mem.h"
#include "base/str.h"

enum { CONNECTIONS_MAX = 1024, GRACE_S = 10, EVENTS = 64 };

static const int64_t SECOND_NS = 1000000000;

struct call {
	struct wire *wire;
	int64_t due_ns; /* of the request that is under way; 0 = free */
	struct call *next_free;
};

struct offer {
	void *mem;
	const char *path, *text;
	unsigned long first, total, begun, ended, answered;
	int64_t start_ns, rate;
	int epoll;
	struct call *free;
	int64_t *latency_ns;
	unsigned long ok, refused, broken, waited;
};

static int64_t due_of(const struct offer *o, unsigned long k)
{
	return o->start_ns + (int64_t)k * SECOND_NS / o->rate;
}

static void begin(struct offer *o, int64_t now)
{
	struct call *c = o->free;
	size_t n;
	char *body = alert_render(o->mem, o->text, o->first + o->begun);
	char *request = wire_request(body, o->path, body, &n);

	o->free = c->next_free;
	c->due_ns = due_of(o, o->begun++);
	o->waited += now - c->due_ns > SECOND_NS / 1000;
	if (!wire_send(c->wire, request, n)) { /* this connection takes part no more */
		o->broken++;
		o->ended++;
	}
	talloc_free(body);
}

static void finish(struct offer *o, struct call *c)
{
	bool alive = wire_receive(c->wire, false);
	struct message m;
	enum parsed p = alive ? wire_next(c->wire, &m) : BROKEN;

	if (!alive)
		epoll_ctl(o->epoll, EPOLL_CTL_DEL, c->wire->fd, NULL);
	if (p == PARTIAL || c->due_ns == 0) /* idle and closed: sending will fail */
		return;
	int code = p == WHOLE ? wire_code(&m) : 0;
	bool good = code >= 200 && code <= 299;
	o->ended++;
	o->ok += good;
	o->refused += code != 0 && !good;
	o->broken += code == 0;
	if (p == BROKEN)
		return; /* this connection takes part no more */
	o->latency_ns[o->answered++] = wire_now_ns() - c->due_ns;
	c->due_ns = 0;
	c->next_free = o->free;
	o->free = c;
}

static void wait_until(struct offer *o, int64_t until)
{
	struct epoll_event events[EVENTS];
	int64_t pause = until - wire_now_ns();
	struct timespec t = {0};

	if (pause > 0)
		t = (struct timespec){pause / SECOND_NS, pause % SECOND_NS};
	int n = epoll_pwait2(o->epoll, events, EVENTS, &t, NULL);
	for (int k = 0; k < n; k++)
		finish(o, events[k].data.ptr);
}

static void run(struct offer *o)
{
	int64_t end = 0;

	o->start_ns = wire_now_ns();
	end = due_of(o, o->total) + GRACE_S * SECOND_NS;
	while (o->ended < o->total) {
		int64_t now = wire_now_ns();
		if (now > end)
			break;
		while (o->begun < o->total && o->free != NULL && due_of(o, o->begun) <= now)
			begin(o, now);
		bool may_send = o->begun < o->total && o->free != NULL;
		wait_until(o, may_send ? due_of(o, o->begun) : now + SECOND_NS / 100);
	}
	o->broken += o->total - o->ended; /* never answered */
}

static void connect_all(struct offer *o, unsigned short port, long n)
{
	for (long k = 0; k < n; k++) {
		struct call *c = NEW(o->mem, struct call);
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
		c->wire = wire_connect(c, port);
		epoll_ctl(o->epoll, EPOLL_CTL_ADD, c->wire->fd, &e);
		c->next_free = o->free;
		o->free = c;
	}
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static double share(const struct offer *o, double p)
{
	unsigned long last = o->answered == 0 ? 0 : o->answered - 1;
	return (double)o->latency_ns[(unsigned long)(p * (double)last)] / 1000.0;
}

static void tell(struct offer *o)
{
	qsort(o->latency_ns, o->answered, sizeof(int64_t), by_size);
	printf("{\"due\": %lu, \"ok\": %lu, \"refused\": %lu, \"broken\": %lu, \"waited\": %lu, "
	       "\"p50_us\": %.0f, "
	       "\"p90_us\": %.0f, \"p99_us\": %.0f, \"p999_us\": %.0f, \"max_us\": %.0f}\n",
	       o->total, o->ok, o->refused, o->broken, o->waited, share(o, 0.5), share(o, 0.9),
	       share(o, 0.99), share(o, 0.999), share(o, 1));
}

int main(int argc, char **argv)
{
	SCOPE(mem);
	long long port, first, rate, seconds, connections;

	if (argc != 8 || str_to_int(argv[1], 1, 65535, &port) != OK ||
	    str_to_int(argv[4], 0, INT32_MAX, &first) != OK ||
	    str_to_int(argv[5], 1, 1000000, &rate) != OK ||
	    str_to_int(argv[6], 1, 3600, &seconds) != OK ||
	    str_to_int(argv[7], 1, CONNECTIONS_MAX, &connections) != OK) {
		fprintf(stderr, "usage: offer PORT PATH TEMPLATE FIRST RATE SECONDS CONNECTIONS\n");
		return 2;
	}
	struct offer o = {.mem = mem, .path = argv[2], .first = (unsigned long)first, .rate = rate};
	o.text = alert_template(mem, argv[3]);
	o.total = (unsigned long)(rate * seconds);
	o.latency_ns = NEW_ARRAY(mem, int64_t, o.total);
	o.epoll = epoll_create1(EPOLL_CLOEXEC);
	prctl(PR_SET_TIMERSLACK, 1UL);
	connect_all(&o, (unsigned short)port, connections);
	run(&o);
	tell(&o);
	return 0;
}
