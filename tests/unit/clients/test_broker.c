/* A broker that keeps to no protocol: what a real one never sends, or only in the worst moment. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/broker.h"

enum {
	METHOD = 1,
	HEADER = 2,
	BODY = 3,
	RECORD_BYTES = 65536,
	PUBLISH_CHANNEL = BROKER_QUEUES_MAX + 1
};

struct bytes {
	unsigned char at[4096];
	size_t n;
};

/* Answers what a client asks on its way, and adds what the test wants said after a consume or a
 * publish. */
struct server {
	int listener;
	pthread_t thread;
	bool opens_no_channel;
	struct bytes after_consume, after_publish;
	unsigned char got[RECORD_BYTES];
	size_t got_bytes;
};

static void add(struct bytes *b, const void *what, size_t n)
{
	assert_true(b->n + n <= sizeof(b->at));
	memcpy(b->at + b->n, what, n);
	b->n += n;
}

static void add_number(struct bytes *b, uint64_t value, size_t width)
{
	for (size_t n = 0; n < width; n++) {
		unsigned char byte = (unsigned char)(value >> 8 * (width - 1 - n));
		add(b, &byte, 1);
	}
}

static void add_frame(struct bytes *b, int type, int channel, const struct bytes *payload)
{
	add_number(b, (uint64_t)type, 1);
	add_number(b, (uint64_t)channel, 2);
	add_number(b, payload->n, 4);
	add(b, payload->at, payload->n);
	add_number(b, 0xCE, 1);
}

/* `arguments` as they are on the wire. */
static void add_method(struct bytes *b, int channel, int class_id, int method,
		       const char *arguments, size_t n)
{
	struct bytes payload = {0};

	add_number(&payload, (uint64_t)class_id, 2);
	add_number(&payload, (uint64_t)method, 2);
	add(&payload, arguments, n);
	add_frame(b, METHOD, channel, &payload);
}

#define ADD_METHOD(b, channel, class_id, method, arguments) \
	add_method(b, channel, class_id, method, arguments, sizeof(arguments) - 1)

static void add_delivery(struct bytes *b)
{
	/* consumer tag, delivery tag, redelivered, exchange, routing key */
	ADD_METHOD(b, 1, 60, 60, "\1c\0\0\0\0\0\0\0\1\0\1x\1k");
}

static void add_header(struct bytes *b, int class_id, uint64_t size)
{
	struct bytes payload = {0};

	add_number(&payload, (uint64_t)class_id, 2);
	add_number(&payload, 0, 2);
	add_number(&payload, size, 8);
	add_number(&payload, 0, 2); /* no properties */
	add_frame(b, HEADER, 1, &payload);
}

static void add_body(struct bytes *b, size_t n)
{
	struct bytes payload = {.n = n};

	memset(payload.at, 'x', n);
	add_frame(b, BODY, 1, &payload);
}

static void add_ack(struct bytes *b)
{
	/* delivery tag, multiple */
	ADD_METHOD(b, PUBLISH_CHANNEL, 60, 80, "\0\0\0\0\0\0\0\1\0");
}

static bool receive(struct server *s, int fd, unsigned char *to, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t more = recv(fd, to + got, n - got, 0);
		if (more <= 0)
			return false;
		got += (size_t)more;
	}
	if (s->got_bytes + n <= RECORD_BYTES) {
		memcpy(s->got + s->got_bytes, to, n);
		s->got_bytes += n;
	}
	return true;
}

static void answer(const struct server *s, int channel, int method, struct bytes *out)
{
	switch (method) {
	case 10 << 16 | 11: /* start-ok: tune */
		ADD_METHOD(out, 0, 10, 30, "\7\xff\0\2\0\0\0\0");
		break;
	case 10 << 16 | 40: ADD_METHOD(out, 0, 10, 41, "\0"); break;
	case 20 << 16 | 10:
		if (!s->opens_no_channel)
			ADD_METHOD(out, channel, 20, 11, "\0\0\0\0");
		break;
	case 60 << 16 | 10: ADD_METHOD(out, channel, 60, 11, ""); break;
	case 85 << 16 | 10: ADD_METHOD(out, channel, 85, 11, ""); break;
	case 60 << 16 | 20:
		ADD_METHOD(out, channel, 60, 21, "\1c");
		add(out, s->after_consume.at, s->after_consume.n);
		break;
	default: break;
	}
}

static void converse(struct server *s, int fd)
{
	unsigned char head[8], payload[RECORD_BYTES];
	struct bytes out = {0};
	bool published = false;

	if (!receive(s, fd, head, 8))
		return;
	ADD_METHOD(&out, 0, 10, 10, "\0\11\0\0\0\0\0\0\0\5PLAIN\0\0\0\5en_US");
	for (;;) {
		if (out.n > 0 && send(fd, out.at, out.n, MSG_NOSIGNAL) != (ssize_t)out.n)
			return;
		out.n = 0;
		if (!receive(s, fd, head, 7))
			return;
		size_t n = (size_t)head[3] << 24 | (size_t)head[4] << 16 | (size_t)head[5] << 8 |
			   head[6];
		if (n >= sizeof(payload) || !receive(s, fd, payload, n + 1))
			return;
		if (head[0] == METHOD)
			answer(s, head[1] << 8 | head[2],
			       payload[0] << 24 | payload[1] << 16 | payload[2] << 8 | payload[3],
			       &out);
		if (head[0] == BODY && !published) {
			published = true;
			add(&out, s->after_publish.at, s->after_publish.n);
		}
	}
}

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd = accept(s->listener, NULL, NULL);

	if (fd >= 0) {
		converse(s, fd);
		close(fd);
	}
	return NULL;
}

static struct broker_link *open_link(void *mem, struct server *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	struct broker_link *l = NULL;

	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(s->listener, 1), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &n), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	const struct broker_options o = {
		.url = str_fmt(mem, "amqp://u:p@127.0.0.1:%d/", ntohs(a.sin_port)),
		.heartbeat_s = 5,
		.timeout_ms = s->opens_no_channel ? 1000 : 5000,
	};
	if (broker_link_open(mem, &o, &l) != OK)
		fail_msg("%s", status_message());
	return l;
}

static void end(struct server *s, struct broker_link *l)
{
	broker_link_close(l);
	pthread_join(s->thread, NULL);
	close(s->listener);
}

/* What taking messages ends with; `*taken` complete ones came before. */
static enum status take_all(struct server *s, int *taken)
{
	SCOPE(mem);
	struct broker_link *l = open_link(mem, s);
	struct broker_delivery *d = NULL;
	enum status status = broker_link_consume(l, "q", 10);

	*taken = 0;
	assert_int_equal(status, OK);
	do {
		status = broker_link_next(l, 1000, 1024, &d);
		*taken += d != NULL;
		talloc_free(d);
	} while (status == OK && d != NULL);
	end(s, l);
	return status;
}

static enum status publish(struct server *s, const char *headers)
{
	SCOPE(mem);
	struct broker_message m = {
		.exchange = "x", .routing_key = "k", .body = "body", .body_bytes = 4};
	json_t *parsed = NULL;

	assert_int_equal(json_parse(mem, headers, strlen(headers), &parsed), OK);
	m.headers = parsed;
	struct broker_link *l = open_link(mem, s);
	enum status status = broker_link_publish(l, &m);
	end(s, l);
	return status;
}

static struct server *new_server(void **state)
{
	return NEW(*state, struct server);
}

static void a_message_in_parts_is_put_together(void **state)
{
	struct server *s = new_server(state);
	int taken = 0;

	add_delivery(&s->after_consume);
	add_header(&s->after_consume, 60, 900);
	add_body(&s->after_consume, 500);
	add_body(&s->after_consume, 400);
	assert_int_equal(take_all(s, &taken), OK);
	assert_int_equal(taken, 1);
}

static void a_second_header_of_a_message_drops_the_connection(void **state)
{
	struct server *s = new_server(state);
	int taken = 0;

	add_delivery(&s->after_consume);
	add_header(&s->after_consume, 60, 900);
	add_body(&s->after_consume, 800);
	add_header(&s->after_consume, 60, 600); /* a smaller buffer than what is there already */
	add_body(&s->after_consume, 600);
	assert_int_equal(take_all(s, &taken), E_TRANSIENT);
	assert_int_equal(taken, 0);
}

static void a_header_of_another_class_drops_the_connection(void **state)
{
	struct server *s = new_server(state);
	int taken = 0;

	add_delivery(&s->after_consume);
	add_header(&s->after_consume, 90, 5); /* tx */
	add_body(&s->after_consume, 5);
	assert_int_equal(take_all(s, &taken), E_TRANSIENT);
	assert_int_equal(taken, 0);
}

static void the_broker_is_asked_to_tell_of_deleted_queues(void **state)
{
	static const char CAPABLE[] = "consumer_cancel_notifyt\1"; /* t: a boolean */
	struct server *s = new_server(state);

	end(s, open_link(*state, s));
	assert_non_null(memmem(s->got, s->got_bytes, CAPABLE, sizeof(CAPABLE) - 1));
}

static void a_property_that_is_no_utf8_goes_back_as_it_came(void **state)
{
	static const char ID[] = "\3\xff\xfe"; /* with the NUL that ends it */
	struct server *s = new_server(state);

	add_ack(&s->after_publish);
	assert_int_equal(publish(s, "{\"amqp:message-id\": {\"amqp:bytes\": \"//4A\"},"
				    " \"amqp:type\": \"order\"}"),
			 OK);
	assert_non_null(memmem(s->got, s->got_bytes, ID, sizeof(ID)));
	assert_non_null(memmem(s->got, s->got_bytes, "\5order", 6));
}

static void a_connection_closed_before_the_confirm_leaves_the_outcome_open(void **state)
{
	struct server *s = new_server(state);

	/* code, text, the method it is about */
	ADD_METHOD(&s->after_publish, 0, 10, 50, "\1\x40\6FORCED\0\0\0\0");
	assert_int_equal(publish(s, "{}"), E_TIMEOUT);
	assert_non_null(strstr(status_message(), "320 FORCED"));
}

static void a_channel_closed_before_the_confirm_says_why_the_message_was_not_taken(void **state)
{
	struct server *s = new_server(state);

	ADD_METHOD(&s->after_publish, PUBLISH_CHANNEL, 20, 40, "\1\x94\2NO\0\x3c\0\x28");
	assert_int_equal(publish(s, "{}"), E_NOTFOUND);
}

static void a_broker_that_opens_no_channel_has_taken_no_message(void **state)
{
	struct server *s = new_server(state);

	s->opens_no_channel = true;
	assert_int_equal(publish(s, "{}"), E_TRANSIENT);
	assert_non_null(strstr(status_message(), "nothing was sent"));
}

static int begin(void **state)
{
	*state = talloc_new(NULL);
	return 0;
}

static int finish(void **state)
{
	talloc_free(*state);
	return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_message_in_parts_is_put_together),
		CASE(a_second_header_of_a_message_drops_the_connection),
		CASE(a_header_of_another_class_drops_the_connection),
		CASE(the_broker_is_asked_to_tell_of_deleted_queues),
		CASE(a_property_that_is_no_utf8_goes_back_as_it_came),
		CASE(a_connection_closed_before_the_confirm_leaves_the_outcome_open),
		CASE(a_channel_closed_before_the_confirm_says_why_the_message_was_not_taken),
		CASE(a_broker_that_opens_no_channel_has_taken_no_message),
	};

	log_init(LOG_ERROR, 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
