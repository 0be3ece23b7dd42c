#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "net/http_server.h"
#include "raw.h"

enum { BODY_LIMIT = 10000, KEPT_MAX = 512, SLOW_MS = 300, LONG_MS = 5000, BIG = 8 * 1024 * 1024 };

/* A server, what its handler saw, and the exchanges that it keeps. */
struct bench {
	void *mem;
	struct http_server *server;
	unsigned short port;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct http_exchange *kept[KEPT_MAX];
	int first, last; /* kept[first..last) wait */
	bool closing;
	atomic_int begun, freed; /* exchanges that came to a handler; that were let go */
	atomic_int refused_code;
	size_t refused_bytes;
	int fields;
};

static int note_freed(char *mark)
{
	struct bench *b;

	memcpy(&b, mark, sizeof(b));
	atomic_fetch_add(&b->freed, 1);
	return 0;
}

static void mark(struct bench *b, struct http_exchange *x)
{
	char *note = talloc_memdup(http_mem(x), &b, sizeof(b));

	talloc_set_destructor(note, note_freed);
	atomic_fetch_add(&b->begun, 1);
}

static void keep(struct bench *b, struct http_exchange *x)
{
	pthread_mutex_lock(&b->lock);
	b->kept[b->last++ % KEPT_MAX] = x;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

/* The oldest kept exchange; waits for one. NULL when the bench closes. */
static struct http_exchange *take(struct bench *b)
{
	pthread_mutex_lock(&b->lock);
	while (b->first == b->last && !b->closing)
		pthread_cond_wait(&b->changed, &b->lock);
	struct http_exchange *x = b->first == b->last ? NULL : b->kept[b->first++ % KEPT_MAX];
	pthread_mutex_unlock(&b->lock);
	return x;
}

static void answer(struct http_exchange *x, int code, const char *text)
{
	http_answer(x, code, "text/plain", text, strlen(text), NULL);
}

static void count_field(const char *name, const char *value, void *arg)
{
	struct bench *b = arg;

	b->fields += name != NULL && value != NULL;
}

static void inspect(struct bench *b, struct http_exchange *x)
{
	static const char *const HEADERS[] = {"X-One", "1", "X-Two", "2", NULL};
	size_t bytes;
	const char *body = http_body(x, &bytes);
	const char *q = http_query(x, "q");
	const char *seen = http_header(x, "x-SEEN");

	b->fields = 0;
	http_headers(x, count_field, b);
	char *text = str_fmt(http_mem(x), "<%s|%s|%s|%s|%s|%zu|%s|%zu|%d|%d>", http_method(x),
			     http_path(x), q == NULL ? "-" : q, seen == NULL ? "-" : seen,
			     http_peer_address(x), bytes, body, strlen(body), b->fields,
			     http_body_at_ms(x) <= clock_monotonic() && http_body_at_ms(x) > 0);
	http_answer(x, 200, "text/plain", text, strlen(text), HEADERS);
}

static void big(struct http_exchange *x)
{
	char *text = NEW_ARRAY(http_mem(x), char, BIG);

	memset(text, 'b', BIG);
	http_answer(x, 200, "text/plain", text, BIG, NULL);
}

static void handle(struct http_exchange *x, void *arg)
{
	struct bench *b = arg;

	mark(b, x);
	if (str_eq(http_path(x), "/keep"))
		keep(b, x);
	else if (str_eq(http_path(x), "/big"))
		big(x);
	else
		inspect(b, x);
}

static void refuse(struct http_exchange *x, int code, const char *why, void *arg)
{
	struct bench *b = arg;

	mark(b, x);
	atomic_store(&b->refused_code, code);
	const char *body = http_body(x, &b->refused_bytes);
	if (strlen(body) != b->refused_bytes)
		abort();
	answer(x, code, why);
}

static void start_with(struct bench *b, const char *host, int64_t timeout_ms,
		       http_refused_fn *refused, const struct http_server_options *limits)
{
	struct http_server_options o = *limits;

	o.host = host;
	o.body_limit_bytes = BODY_LIMIT;
	o.request_timeout_ms = timeout_ms;
	b->mem = talloc_new(NULL);
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->changed, NULL);
	assert_int_equal(http_server_start(b->mem, &o, handle, refused, b, &b->server), OK);
	b->port = http_server_port(b->server);
	assert_int_not_equal(b->port, 0);
}

static void start(struct bench *b, const char *host, int64_t timeout_ms, http_refused_fn *refused)
{
	const struct http_server_options limits = {.connection_limit = 400,
						   .connection_limit_per_address = 400};

	start_with(b, host, timeout_ms, refused, &limits);
}

/* Stops; every exchange must have been let go exactly once. */
static void stop(struct bench *b)
{
	http_server_stop(b->server);
	assert_int_equal(atomic_load(&b->freed), atomic_load(&b->begun));
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->changed);
	talloc_free(b->mem);
}

static char *ask(struct bench *b, void *mem, const char *text)
{
	int fd = raw_dial(b->port);

	assert_true(fd >= 0);
	raw_say(fd, text);
	char *heard = raw_hear_all(mem, fd, LONG_MS);
	close(fd);
	return heard;
}

static bool has_code(const char *heard, int code)
{
	char line[32];

	str_print(line, sizeof(line), "HTTP/1.1 %d ", code);
	return str_starts(heard, line);
}

static int count_of(const char *text, const char *part)
{
	int n = 0;

	for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
		n++;
	return n;
}

/* --- requests as they should be */

static void a_request_reaches_the_handler_whole(void **state)
{
	static const struct {
		const char *request;
		const char *seen;
	} CASES[] = {
		{"GET /a%20b/%C3%A4?p=1&q=x%26y+z HTTP/1.1\r\nHost: a\r\nX-Seen: yes\r\n"
		 "Connection: close\r\n\r\n",
		 "<GET|/a b/\xC3\xA4|x&y z|yes|127.0.0.1|0||0|3|1>"},
		{"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: "
		 "close\r\n\r\nhello",
		 "<POST|/x|-|-|127.0.0.1|5|hello|5|3|1>"},
		{"PUT /x?q= HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
		 "Connection: close\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
		 "<PUT|/x||-|127.0.0.1|5|hello|5|3|1>"},
		{"DELETE /x HTTP/1.0\r\n\r\n", "<DELETE|/x|-|-|127.0.0.1|0||0|0|1>"},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		 "<POST|/|-|-|127.0.0.1|0||0|3|1>"},
	};
	struct bench b = {0};
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", LONG_MS, NULL);
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char *heard = ask(&b, tmp, CASES[i].request);
		if (strstr(heard, CASES[i].seen) == NULL)
			fail_msg("%s: %s", CASES[i].seen, heard);
		assert_true(strstr(heard, " 200 ") != NULL);
		assert_non_null(strstr(heard, "X-Two: 2"));
	}
	stop(&b);
}

static void a_body_may_hold_nul_bytes(void **state)
{
	static const char REQUEST[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
				      "Connection: close\r\n\r\na\0b";
	struct bench b = {0};
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", LONG_MS, NULL);
	int fd = raw_dial(b.port);
	raw_write(fd, REQUEST, sizeof(REQUEST) - 1);
	assert_non_null(strstr(raw_hear_all(tmp, fd, LONG_MS), "|3|a|1|"));
	close(fd);
	stop(&b);
}

static void the_largest_body_is_taken(void **state)
{
	struct bench b = {0};
	char body[BODY_LIMIT + 1];
	SCOPE(tmp);

	(void)state;
	memset(body, 'x', BODY_LIMIT);
	body[BODY_LIMIT] = '\0';
	start(&b, "127.0.0.1", LONG_MS, refuse);
	char *heard = ask(&b, tmp,
			  str_fmt(tmp,
				  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n"
				  "Connection: close\r\n\r\n%s",
				  BODY_LIMIT, body));
	assert_true(has_code(heard, 200));
	assert_non_null(strstr(heard, "|10000|xxx"));
	assert_int_equal(atomic_load(&b.refused_code), 0);
	stop(&b);
}

static void an_answer_to_head_has_no_body(void **state)
{
	struct bench b = {0};
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", LONG_MS, NULL);
	char *heard = ask(&b, tmp, "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_true(has_code(heard, 200));
	assert_true(str_ends(heard, "\r\n\r\n"));
	stop(&b);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct bench b = {0};
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", LONG_MS, NULL);
	char *heard = ask(&b, tmp,
			  "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
			  "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
			  "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	const char *one = strstr(heard, "<GET|/1|");
	const char *two = strstr(heard, "<POST|/2|");
	const char *three = strstr(heard, "<GET|/3|");
	assert_true(one != NULL && two != NULL && three != NULL && one < two && two < three);
	stop(&b);
}

/* --- requests that are refused */

static void texts_that_are_not_well_encoded_are_refused(void **state)
{
	static const char *const CASES[] = {"/%zz",  "/%",	"/a%0",	   "/a%00b",  "/%ff",
					    "/?q=%", "/?q=%c3", "/?%00=1", "/%2g?q=1"};
	struct bench b = {0};
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", LONG_MS, refuse);
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char *heard =
			ask(&b, tmp,
			    str_fmt(tmp, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
				    CASES[i]));
		if (!has_code(heard, 400))
			fail_msg("%s: %s", CASES[i], heard);
	}
	stop(&b);
}

static char *many_fields(void *mem, int n)
{
	char *text = str_dup(mem, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");

	for (int i = 2; i < n; i++)
		str_add(&text, "X-%d: %d\r\n", i, i);
	str_add(&text, "\r\n");
	return text;
}

static void too_many_header_fields_are_refused(void **state)
{
	struct bench b = {0};
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", LONG_MS, refuse);
	assert_true(has_code(ask(&b, tmp, many_fields(tmp, LIMIT_HEADERS)), 200));
	assert_true(has_code(ask(&b, tmp, many_fields(tmp, LIMIT_HEADERS + 1)), 431));
	assert_int_equal(atomic_load(&b.refused_code), 431);
	char *heard = ask(&b, tmp, many_fields(tmp, 3000));
	assert_true(str_empty(heard) || has_code(heard, 431) || has_code(heard, 413));
	stop(&b);
}

static void two_lengths_are_refused_and_the_connection_closes(void **state)
{
	static const char REQUEST[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: "
				      "5\r\nTransfer-Encoding: chunked\r\n\r\n"
				      "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
	struct bench b = {0};
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", LONG_MS, refuse);
	char *heard = ask(&b, tmp, REQUEST);
	assert_true(has_code(heard, 400));
	assert_null(strstr(heard, "smuggled"));
	assert_int_equal(count_of(heard, "HTTP/1.1 "), 1);
	stop(&b);
}

static char *chunked(void *mem, int bytes)
{
	char *text =
		str_dup(mem, "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	char chunk[1001] = {0};

	memset(chunk, 'c', 1000);
	for (int n = 0; n < bytes; n += 1000)
		str_add(&text, "3e8\r\n%s\r\n", chunk);
	str_add(&text, "0\r\n\r\n");
	return text;
}

static void oversize_bodies_are_refused_and_their_head_kept(void **state)
{
	struct bench b = {0};
	char body[BODY_LIMIT + 2] = {0};
	SCOPE(tmp);

	(void)state;
	memset(body, 'x', BODY_LIMIT + 1);
	char *sized = str_fmt(tmp, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s",
			      BODY_LIMIT + 1, body);
	char *requests[] = {sized, chunked(tmp, BODY_LIMIT + 1000)};
	start(&b, "127.0.0.1", LONG_MS, refuse);
	for (int i = 0; i < 2; i++) {
		atomic_store(&b.refused_code, 0);
		b.refused_bytes = 0;
		char *heard = ask(&b, tmp, requests[i]);
		assert_true(has_code(heard, 413));
		assert_int_equal(atomic_load(&b.refused_code), 413);
		assert_int_equal(b.refused_bytes, LIMIT_DEAD_LETTER_HEAD_BYTES);
	}
	stop(&b);
}

static void the_server_refuses_on_its_own_without_a_callback(void **state)
{
	struct bench b = {0};
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", LONG_MS, NULL);
	char *heard = ask(&b, tmp, chunked(tmp, BODY_LIMIT + 1000));
	assert_true(has_code(heard, 413));
	assert_non_null(strstr(heard, "application/json"));
	assert_int_equal(atomic_load(&b.begun), 0);
	stop(&b);
}

static void bodies_far_over_the_cap_are_not_read(void **state)
{
	struct bench b = {0};
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", LONG_MS, refuse);
	char *heard =
		ask(&b, tmp, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n");
	assert_true(has_code(heard, 413));
	double cut = metric_value(M_HTTP_CUT, "too_large");
	assert_true(cut >= 1);
	heard = ask(&b, tmp, chunked(tmp, 17 * BODY_LIMIT));
	assert_false(has_code(heard, 200));
	assert_true(metric_value(M_HTTP_CUT, "too_large") == cut + 1);
	assert_int_equal(atomic_load(&b.begun), 0);
	stop(&b);
}

/* --- slow clients */

static void drip(struct bench *b, const char *first, const char *drop)
{
	int64_t begun = clock_monotonic();
	int fd = raw_dial(b->port);

	raw_say(fd, first);
	while (!raw_is_closed(fd, 30) && clock_monotonic() < begun + LONG_MS)
		raw_say(fd, drop);
	int64_t took = clock_monotonic() - begun;
	close(fd);
	assert_true(took >= SLOW_MS - 20);
	assert_true(took < SLOW_MS + 2000);
}

static void clients_that_drip_are_cut(void **state)
{
	struct bench b = {0};

	(void)state;
	double slow = metric_value(M_HTTP_CUT, "slow");
	start(&b, "127.0.0.1", SLOW_MS, refuse);
	drip(&b, "GET / HTTP/1.1\r\n", "X-A: b\r\n");
	drip(&b, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", "x");
	drip(&b, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n");
	assert_true(metric_value(M_HTTP_CUT, "slow") == slow + 3);
	double idle = metric_value(M_HTTP_CUT, "idle");
	drip(&b, "", "");
	assert_true(metric_value(M_HTTP_CUT, "idle") == idle + 1);
	assert_int_equal(atomic_load(&b.begun), 0);
	stop(&b);
}

static void an_idle_kept_connection_is_cut_after_its_last_answer(void **state)
{
	struct bench b = {0};
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", SLOW_MS, NULL);
	int fd = raw_dial(b.port);
	for (int i = 0; i < 4; i++) {
		assert_true(raw_say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
		assert_true(str_ends(raw_hear_until(tmp, fd, "|1>", LONG_MS), "|1>"));
		usleep(SLOW_MS * 1000 / 2);
	}
	assert_true(raw_is_closed(fd, LONG_MS));
	close(fd);
	stop(&b);
}

static void a_client_that_does_not_read_its_answer_is_cut(void **state)
{
	struct bench b = {0};

	(void)state;
	start(&b, "127.0.0.1", SLOW_MS, NULL);
	int fd = raw_dial(b.port);
	raw_say(fd, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
	for (int n = 0; n < 100 && atomic_load(&b.freed) == 0; n++)
		usleep(20000);
	assert_int_equal(atomic_load(&b.freed), 1);
	close(fd);
	stop(&b);
}

static void a_half_closed_client_is_cut(void **state)
{
	struct bench b = {0};

	(void)state;
	start(&b, "127.0.0.1", SLOW_MS, NULL);
	int fd = raw_dial(b.port);
	raw_say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
	shutdown(fd, SHUT_WR);
	assert_true(raw_is_closed(fd, LONG_MS));
	close(fd);
	assert_int_equal(atomic_load(&b.begun), 0);
	stop(&b);
}

/* --- kept exchanges */

static void a_kept_request_outlives_the_timeout(void **state)
{
	struct bench b = {0};
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", SLOW_MS, NULL);
	int fd = raw_dial(b.port);
	raw_say(fd, "GET /keep HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	struct http_exchange *x = take(&b);
	assert_false(raw_is_closed(fd, SLOW_MS + 600));
	answer(x, 202, "late");
	assert_true(has_code(raw_hear_all(tmp, fd, LONG_MS), 202));
	close(fd);
	stop(&b);
}

static void *answer_all(void *arg)
{
	struct bench *b = arg;

	for (struct http_exchange *x; (x = take(b)) != NULL;)
		answer(x, 200, "from another thread");
	return NULL;
}

static void close_bench(struct bench *b)
{
	pthread_mutex_lock(&b->lock);
	b->closing = true;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

static void answers_may_race_with_the_handler(void **state)
{
	struct bench b = {0};
	pthread_t threads[2];
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", LONG_MS, NULL);
	for (int n = 0; n < 2; n++)
		pthread_create(&threads[n], NULL, answer_all, &b);
	int fd = raw_dial(b.port);
	for (int n = 0; n < 500; n++) {
		raw_say(fd, "POST /keep HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
		char *heard = raw_hear_until(tmp, fd, "another thread", LONG_MS);
		assert_true(has_code(heard, 200));
		talloc_free(heard);
	}
	close(fd);
	close_bench(&b);
	for (int n = 0; n < 2; n++)
		pthread_join(threads[n], NULL);
	stop(&b);
	assert_int_equal(atomic_load(&b.begun), 500);
}

static void two_hundred_kept_requests_are_answered_by_one_thread(void **state)
{
	enum { MANY = 200 };
	struct bench b = {0};
	struct http_exchange *kept[MANY];
	int fds[MANY];
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", LONG_MS, NULL);
	for (int n = 0; n < MANY; n++) {
		fds[n] = raw_dial(b.port);
		assert_true(fds[n] >= 0);
		raw_say(fds[n], "GET /keep HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	}
	for (int n = 0; n < MANY; n++)
		kept[n] = take(&b);
	for (int n = MANY - 1; n >= 0; n--)
		answer(kept[n], 200, "done");
	for (int n = 0; n < MANY; n++) {
		assert_true(has_code(raw_hear_all(tmp, fds[n], LONG_MS), 200));
		close(fds[n]);
	}
	stop(&b);
	assert_int_equal(atomic_load(&b.begun), MANY);
}

static void an_abort_while_kept_is_survived(void **state)
{
	struct bench b = {0};
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", LONG_MS, NULL);
	for (int n = 0; n < 20; n++) {
		const struct linger reset = {.l_onoff = 1};
		int fd = raw_dial(b.port);
		raw_say(fd, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
		struct http_exchange *x = take(&b);
		if (n % 2 == 0) /* a reset; else an orderly end */
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
		if (n % 3 == 0)
			usleep(5000);
		assert_string_equal(http_path(x), "/keep");
		answer(x, 200, "nobody hears it");
	}
	char *heard = ask(&b, tmp, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_true(has_code(heard, 200));
	stop(&b);
}

/* --- start and stop */

static void *stop_server(void *arg)
{
	struct bench *b = arg;

	http_server_stop(b->server);
	return NULL;
}

static void wait_until_refused(struct bench *b)
{
	for (int n = 0; n < 200; n++) {
		int fd = raw_dial(b->port);
		if (fd < 0)
			return;
		close(fd);
		usleep(10000);
	}
	fail_msg("the server still accepts");
}

static void a_stop_waits_for_kept_requests_and_takes_no_more(void **state)
{
	struct bench b = {0};
	pthread_t stopper;
	SCOPE(tmp);

	(void)state;
	start(&b, "127.0.0.1", LONG_MS, NULL);
	int kept = raw_dial(b.port);
	raw_say(kept, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
	struct http_exchange *x = take(&b);
	int idle = raw_dial(b.port);
	raw_say(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	raw_hear_until(tmp, idle, "|1>", LONG_MS);
	pthread_create(&stopper, NULL, stop_server, &b);
	wait_until_refused(&b);
	usleep(20000);
	raw_say(idle, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
	char *heard = raw_hear_all(tmp, idle, LONG_MS);
	assert_true(has_code(heard, 503));
	assert_non_null(strstr(heard, "Connection: close"));
	answer(x, 200, "at last");
	assert_non_null(strstr(raw_hear_all(tmp, kept, LONG_MS), "at last"));
	pthread_join(stopper, NULL);
	close(kept);
	close(idle);
	assert_int_equal(atomic_load(&b.begun), 2);
	assert_int_equal(atomic_load(&b.freed), 2);
	talloc_free(b.mem);
}

static void a_stop_does_not_wait_for_half_a_request(void **state)
{
	struct bench b = {0};

	(void)state;
	start(&b, "127.0.0.1", 60000, NULL);
	int fd = raw_dial(b.port);
	raw_say(fd,
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n");
	SCOPE(tmp);
	assert_non_null(strstr(raw_hear_until(tmp, fd, "100 Continue", LONG_MS), "100 Continue"));
	int64_t begun = clock_monotonic();
	stop(&b);
	assert_true(clock_monotonic() - begun < 4000);
	close(fd);
}

static void a_full_server_serves_again_when_someone_leaves(void **state)
{
	const struct http_server_options limits[] = {
		{.connection_limit = 2, .connection_limit_per_address = 10},
		{.connection_limit = 10, .connection_limit_per_address = 2},
	};
	SCOPE(tmp);

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct bench b = {0};
		int fds[3];
		start_with(&b, "127.0.0.1", LONG_MS, NULL, &limits[i]);
		for (int n = 0; n < 3; n++) {
			fds[n] = raw_dial(b.port);
			raw_say(fds[n], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		}
		for (int n = 0; n < 2; n++)
			assert_true(has_code(raw_hear_until(tmp, fds[n], "|1>", LONG_MS), 200));
		assert_string_equal(raw_hear_until(tmp, fds[2], "|1>", 100), "");
		close(fds[0]);
		close(fds[1]);
		close(fds[2]);
		usleep(50000);
		char *heard =
			ask(&b, tmp, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
		assert_true(has_code(heard, 200));
		stop(&b);
	}
}

static void ipv4_clients_reach_a_dual_stack_server(void **state)
{
	struct bench b = {0};
	SCOPE(tmp);

	(void)state;
	int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (probe < 0)
		skip();
	close(probe);
	start(&b, "::", LONG_MS, NULL);
	char *heard = ask(&b, tmp, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_non_null(strstr(heard, "|127.0.0.1|"));
	stop(&b);
}

static void a_start_that_cannot_be_is_explained(void **state)
{
	struct bench b = {0};
	struct http_server *other = NULL;
	struct http_server_options o = {.host = "127.0.0.1",
					.body_limit_bytes = 10,
					.request_timeout_ms = 10,
					.connection_limit = 10,
					.connection_limit_per_address = 10};

	(void)state;
	start(&b, "127.0.0.1", LONG_MS, NULL);
	o.port = b.port;
	assert_int_equal(http_server_start(b.mem, &o, handle, NULL, &b, &other), E_INVALID);
	assert_non_null(strstr(status_message(), "port"));
	o.port = 0;
	o.host = "no.such.host.example";
	assert_int_equal(http_server_start(b.mem, &o, handle, NULL, &b, &other), E_INVALID);
	o.host = "127.0.0.1";
	o.tls_certificate = "not a certificate";
	o.tls_key = "not a key";
	assert_int_equal(http_server_start(b.mem, &o, handle, NULL, &b, &other), E_INVALID);
	assert_null(other);
	stop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_reaches_the_handler_whole),
		cmocka_unit_test(a_body_may_hold_nul_bytes),
		cmocka_unit_test(the_largest_body_is_taken),
		cmocka_unit_test(an_answer_to_head_has_no_body),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(texts_that_are_not_well_encoded_are_refused),
		cmocka_unit_test(too_many_header_fields_are_refused),
		cmocka_unit_test(two_lengths_are_refused_and_the_connection_closes),
		cmocka_unit_test(oversize_bodies_are_refused_and_their_head_kept),
		cmocka_unit_test(the_server_refuses_on_its_own_without_a_callback),
		cmocka_unit_test(bodies_far_over_the_cap_are_not_read),
		cmocka_unit_test(clients_that_drip_are_cut),
		cmocka_unit_test(an_idle_kept_connection_is_cut_after_its_last_answer),
		cmocka_unit_test(a_client_that_does_not_read_its_answer_is_cut),
		cmocka_unit_test(a_half_closed_client_is_cut),
		cmocka_unit_test(a_kept_request_outlives_the_timeout),
		cmocka_unit_test(answers_may_race_with_the_handler),
		cmocka_unit_test(two_hundred_kept_requests_are_answered_by_one_thread),
		cmocka_unit_test(an_abort_while_kept_is_survived),
		cmocka_unit_test(a_stop_waits_for_kept_requests_and_takes_no_more),
		cmocka_unit_test(a_stop_does_not_wait_for_half_a_request),
		cmocka_unit_test(a_full_server_serves_again_when_someone_leaves),
		cmocka_unit_test(ipv4_clients_reach_a_dual_stack_server),
		cmocka_unit_test(a_start_that_cannot_be_is_explained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
