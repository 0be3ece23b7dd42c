/*
 * Whole loops: sends alerts to a running agent-sre and is, in the same process and on the same
 * clock, the outside world that it talks to (peers.h).
 *
 *   loops latency TEMPLATE SAMPLES            one alert at a time on an idle agent
 *   loops throughput TEMPLATE SECONDS BATCH WINDOW
 *                                             webhooks of BATCH alerts, at most WINDOW loops under
 * way
 *
 * Prints the port of the outside world, reads the agent's port from standard input, and prints one
 * JSON object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alert.h"
#include "peers.h"
#include "wire.h"
#include "base/mem.h"
#include "base/str.h"

enum {
	WINDOW_MAX = 100000,
	LOOK_MS = 200,	    /* between two looks at the metrics, each of which costs the agent
			       milliseconds */
	DRAIN_LOOK_MS = 50, /* the same at the end */
	SETTLE_MS = 50, /* from an answered call to the next alert: what follows the call is over */
	PATIENCE_MS = 60000
};

static const int64_t MS_NS = 1000000;

struct bench {
	void *mem;
	struct peers *peers;
	struct wire *agent;
	char *text;
	unsigned long sent, refused;
};

static void pause_ms(int64_t ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * MS_NS};

	nanosleep(&t, NULL);
}

static int64_t wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Sends the alerts number sent + 0 … n - 1; false when the agent refuses them. */
static bool send_alerts(struct bench *b, unsigned long n, int64_t *sent_ns)
{
	size_t bytes;
	char *body = alert_render(b->mem, b->text, b->sent);
	char *request = wire_request(body, "/webhook", body, &bytes);
	struct message reply;

	*sent_ns = wire_now_ns();
	int code = wire_exchange(b->agent, request, bytes, &reply);
	talloc_free(body);
	b->refused += code > 299;
	b->sent += code <= 299 ? n : 0;
	return code <= 299;
}

/* The value of a metric without labels, or the sum over them. */
static double metric(const char *text, const char *name)
{
	double sum = 0, one;
	size_t n = strlen(name);

	for (const char *at = text; (at = strstr(at, name)) != NULL; at += n) {
		if ((at != text && at[-1] != '\n') || (at[n] != ' ' && at[n] != '{'))
			continue;
		const char *value = strpbrk(at, " }");
		char digits[32];
		if (value != NULL && *value == '}')
			value++;
		if (value == NULL)
			break;
		str_print(digits, sizeof(digits), "%.*s", (int)strcspn(value + 1, "\n"), value + 1);
		if (str_to_double(digits, &one) == OK)
			sum += one;
	}
	return sum;
}

struct progress {
	double succeeded, failed, waiting; /* loops, loops, ticket operations */
};

static struct progress look(struct bench *b)
{
	size_t n;
	struct message m;
	char *request = wire_request(b->mem, "/metrics", NULL, &n);

	if (wire_exchange(b->agent, request, n, &m) != 200) {
		fprintf(stderr, "loops: no metrics\n");
		exit(1);
	}
	char *text = str_ndup(request, m.body, m.body_bytes);
	struct progress p = {metric(text, "agent_sre_workflow_success_total"),
			     metric(text, "agent_sre_workflow_failure_total"),
			     metric(text, "agent_sre_ticket_operations_waiting")};
	talloc_free(request);
	return p;
}

static bool all_done(const struct bench *b, const struct progress *p)
{
	return p->succeeded + p->failed >= (double)b->sent && p->waiting == 0;
}

static struct progress drain(struct bench *b)
{
	int64_t until = wire_now_ns() + PATIENCE_MS * MS_NS;
	struct progress p = look(b);

	while (!all_done(b, &p) && wire_now_ns() < until) {
		pause_ms(DRAIN_LOOK_MS);
		p = look(b);
	}
	return p;
}

static void throughput(struct bench *b, long long seconds, unsigned long batch, double window)
{
	int64_t began = wire_now_ns(), end = began + seconds * 1000 * MS_NS, at;
	struct progress p = {0};

	while (wire_now_ns() < end && b->sent + batch <= PODS_MAX) {
		p = look(b);
		int64_t next = wire_now_ns() + LOOK_MS * MS_NS;
		while ((double)(b->sent + batch) - p.succeeded - p.failed <= window &&
		       p.waiting < 8 * window && wire_now_ns() < end) {
			peers_break(b->peers, b->sent, batch);
			while (!send_alerts(b, batch, &at))
				pause_ms(LOOK_MS);
		}
		at = wire_now_ns();
		if (at < next)
			pause_ms((next - at) / MS_NS);
	}
	double sending = (double)(wire_now_ns() - began) / 1e9;
	p = drain(b);
	double all = (double)(wire_now_ns() - began) / 1e9;
	struct peers_count c = peers_count(b->peers);
	printf("{\"sent\": %lu, \"succeeded\": %.0f, \"failed\": %.0f, \"ticket_operations_left\": "
	       "%.0f, \"refused\": %lu, "
	       "\"sending_s\": %.3f, \"all_s\": %.3f, \"calls\": %lu, \"repeated_calls\": %lu, "
	       "\"queries\": %lu, "
	       "\"issues\": %lu, \"comments\": %lu, \"closed\": %lu}\n",
	       b->sent, p.succeeded, p.failed, p.waiting, b->refused, sending, all, c.calls,
	       c.repeated_calls, c.queries, c.issues, c.comments, c.closed);
}

/* Microseconds from the first byte sent to the first byte of the call. */
static int64_t one_call(struct bench *b, int64_t *ack_us)
{
	unsigned long pod = b->sent;
	int64_t sent, called, until;

	peers_break(b->peers, pod, 1);
	if (!send_alerts(b, 1, &sent)) {
		fprintf(stderr, "loops: an idle agent refuses an alert\n");
		exit(1);
	}
	*ack_us = (wire_now_ns() - sent) / 1000;
	until = sent + PATIENCE_MS * MS_NS;
	while ((called = peers_called_ns(b->peers, pod)) == 0) {
		if (wire_now_ns() > until) {
			fprintf(stderr, "loops: the function is not called\n");
			exit(1);
		}
		pause_ms(1);
	}
	return (called - sent) / 1000;
}

static void latency(struct bench *b, long long samples)
{
	int64_t ack = 0;

	printf("{\"samples\": [");
	for (long long n = 0; n < samples; n++) {
		pause_ms(SETTLE_MS);
		int64_t wall = wall_us();
		int64_t us = one_call(b, &ack);
		printf("%s{\"at_us\": %lld, \"call_us\": %lld, \"ack_us\": %lld}",
		       n == 0 ? "" : ", ", (long long)wall, (long long)us, (long long)ack);
	}
	printf("]}\n");
}

static unsigned short read_port(void)
{
	char line[16] = "";
	long long port = 0;

	if (fgets(line, sizeof(line), stdin) != NULL)
		line[strcspn(line, "\n")] = '\0';
	if (str_to_int(line, 1, 65535, &port) != OK) {
		fprintf(stderr, "loops: no port of the agent: %s\n", status_message());
		exit(1);
	}
	return (unsigned short)port;
}

int main(int argc, char **argv)
{
	SCOPE(mem);
	struct bench b = {.mem = mem};
	long long n = 0, batch = 1, window = 1;
	bool quick = argc == 4 && str_eq(argv[1], "latency");
	bool steady = argc == 6 && str_eq(argv[1], "throughput");

	if ((!quick && !steady) || str_to_int(argv[3], 1, 100000, &n) != OK ||
	    (steady && (str_to_int(argv[4], 1, WINDOW_MAX, &batch) != OK ||
			str_to_int(argv[5], batch, WINDOW_MAX, &window) != OK))) {
		fprintf(stderr, "usage: loops latency TEMPLATE SAMPLES | loops throughput TEMPLATE "
				"SECONDS BATCH\n");
		return 2;
	}
	b.text = alert_template(mem, argv[2]);
	b.peers = peers_start(mem);
	printf("%u\n", peers_port(b.peers));
	fflush(stdout);
	b.agent = wire_connect(mem, read_port());
	if (quick)
		latency(&b, n);
	else
		throughput(&b, n, (unsigned long)batch, (double)window);
	fflush(stdout);
	_Exit(0); /* the world still runs on a thread of its own */
}
