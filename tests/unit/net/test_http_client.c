#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "base/trace.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "raw.h"

enum { KEPT_MAX = 64, LONG_MS = 5000, SHORT_MS = 150 };

/* A well-behaved peer: answers /echo with what it saw, keeps the others until 50 are there. */
struct bench {
	void *mem;
	struct http_client *client;
	struct http_server *server;
	char *base;
	char *certificate, *key; /* PEM; set before start for https */
	struct http_exchange *kept[KEPT_MAX];
	atomic_int kept_count;
};

static void list_field(const char *name, const char *value, void *arg)
{
	char **text = arg;

	str_add(text, "%s=%s;", name, value);
}

static void echo(struct http_exchange *x)
{
	static const char *const HEADERS[] = {"X-Mixed-Case", "  Some Value ", "Retry-After", "7",
					      NULL};
	size_t bytes;
	const char *body = http_body(x, &bytes);
	char *text = str_fmt(http_mem(x), "%s %s %s\n", http_method(x), http_path(x), body);

	http_headers(x, list_field, &text);
	http_answer(x, 200, "text/plain", text, strlen(text), HEADERS);
}

static void handle(struct http_exchange *x, void *arg)
{
	struct bench *b = arg;

	if (str_eq(http_path(x), "/echo")) {
		echo(x);
	} else if (str_eq(http_path(x), "/moved")) {
		static const char *const HEADERS[] = {"Location", "/echo", NULL};
		http_answer(x, 302, NULL, "", 0, HEADERS);
	} else if (str_eq(http_path(x), "/large")) {
		http_answer(x, 200, NULL, NEW_ARRAY(http_mem(x), char, 100000), 100000, NULL);
	} else if (str_eq(http_path(x), "/500")) {
		http_answer(x, 500, NULL, "broken", 6, NULL);
	} else {
		int n = atomic_load(&b->kept_count);
		b->kept[n] = x;
		atomic_store(&b->kept_count, n + 1);
	}
}

static void begin(struct bench *b)
{
	const struct http_server_options o = {.host = "127.0.0.1",
					      .body_limit_bytes = 100000,
					      .request_timeout_ms = 10000,
					      .connection_limit = 200,
					      .connection_limit_per_address = 200,
					      .tls_certificate = b->certificate,
					      .tls_key = b->key};

	b->mem = talloc_new(NULL);
	assert_int_equal(http_client_new(b->mem, "test/1", &b->client), OK);
	assert_int_equal(http_server_start(b->mem, &o, handle, NULL, b, &b->server), OK);
	b->base = str_fmt(b->mem, "%s://127.0.0.1:%u", b->key == NULL ? "http" : "https",
			  http_server_port(b->server));
}

static void end(struct bench *b)
{
	http_client_stop(b->client);
	http_server_stop(b->server);
	talloc_free(b->mem);
}

static struct http_request get(struct bench *b, const char *path)
{
	return (struct http_request){.method = "GET",
				     .url = str_fmt(b->mem, "%s%s", b->base, path),
				     .timeout_ms = LONG_MS};
}

static struct http_reply *fetch(struct bench *b, const struct http_request *q)
{
	struct http_reply *r = NULL;
	enum status s = http_fetch(b->mem, b->client, q, &r);

	assert_int_equal(s, r->status);
	if (s != OK)
		assert_string_equal(status_message(), r->message);
	return r;
}

/* --- a peer that misbehaves */

struct rude {
	int listener;
	unsigned short port;
	const char *reply; /* to each request; NULL = silence */
	bool reset;	   /* after the reply, in place of an orderly end */
	bool hold;	   /* the connection stays open until the client closes it */
	int requests_each; /* answered on one connection before it ends */
	atomic_int connections, requests;
	pthread_t thread;
};

static void serve_rudely(struct rude *r, int fd)
{
	const struct linger reset = {.l_onoff = 1};

	atomic_fetch_add(&r->connections, 1);
	for (int n = 0; n < r->requests_each; n++) {
		SCOPE(tmp);
		char *heard = raw_hear_until(tmp, fd, "\r\n\r\n", LONG_MS);
		if (strstr(heard, "\r\n\r\n") == NULL)
			break;
		atomic_fetch_add(&r->requests, 1);
		if (r->reply != NULL)
			raw_say(fd, r->reply);
	}
	if (r->hold)
		raw_is_closed(fd, LONG_MS);
	if (r->reset)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
}

static void *be_rude(void *arg)
{
	struct rude *r = arg;

	for (int fd; (fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
		serve_rudely(r, fd);
	return NULL;
}

static void rude_start(struct rude *r)
{
	r->requests_each = r->requests_each == 0 ? 1 : r->requests_each;
	r->listener = raw_listen(&r->port);
	assert_true(r->listener >= 0);
	pthread_create(&r->thread, NULL, be_rude, r);
}

static void rude_stop(struct rude *r)
{
	shutdown(r->listener, SHUT_RDWR);
	pthread_join(r->thread, NULL);
	close(r->listener);
}

static struct http_request ask_rude(struct bench *b, const struct rude *r, int64_t timeout_ms)
{
	return (struct http_request){
		.method = "GET",
		.url = str_fmt(b->mem, "http://127.0.0.1:%u/x?token=hidden", r->port),
		.timeout_ms = timeout_ms,
	};
}

/* --- exchanges that work */

static void a_request_arrives_as_it_was_meant(void **state)
{
	const struct http_header headers[] = {{"X-One", "1"},
					      {"X-Empty", ""},
					      {"X-Split", "a\r\nX-Injected: b"},
					      {"Content-Type", "application/json"}};
	struct bench b = {0};

	(void)state;
	begin(&b);
	struct http_request q = get(&b, "/echo?q=1");
	q.method = "POST";
	q.headers = headers;
	q.header_count = 4;
	q.body = "{}and more";
	q.body_bytes = 2;
	struct http_reply *r = fetch(&b, &q);
	assert_int_equal(r->status, OK);
	assert_int_equal(r->progress, HTTP_REPLIED);
	assert_int_equal(r->code, 200);
	assert_true(str_starts(r->body, "POST /echo {}\n"));
	assert_int_equal(r->body_bytes, strlen(r->body));
	assert_non_null(strstr(r->body, "X-One=1;"));
	assert_non_null(strstr(r->body, "X-Empty=;"));
	assert_non_null(strstr(r->body, "X-Split=a"));
	assert_null(strstr(r->body, ";X-Injected"));
	assert_non_null(strstr(r->body, "User-Agent=test/1;"));
	assert_non_null(strstr(r->body, "Content-Type=application/json;"));
	assert_null(strstr(r->body, "Expect"));
	assert_string_equal(http_reply_header(r, "x-mixed-case"), "Some Value");
	assert_null(http_reply_header(r, "x-none"));
	end(&b);
}

static void each_method_is_spoken(void **state)
{
	static const struct {
		const char *method, *body;
		const char *seen;
	} CASES[] = {
		{"GET", NULL, "GET /echo \n"},	     {"POST", NULL, "POST /echo \n"},
		{"POST", "x", "POST /echo x\n"},     {"PUT", "x", "PUT /echo x\n"},
		{"DELETE", NULL, "DELETE /echo \n"},
	};
	struct bench b = {0};

	(void)state;
	begin(&b);
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct http_request q = get(&b, "/echo");
		q.method = CASES[i].method;
		q.body = CASES[i].body;
		q.body_bytes = q.body == NULL ? 0 : strlen(q.body);
		assert_true(str_starts(fetch(&b, &q)->body, CASES[i].seen));
	}
	end(&b);
}

static void a_large_body_is_sent_whole(void **state)
{
	struct bench b = {0};

	(void)state;
	begin(&b);
	struct http_request q = get(&b, "/echo");
	char *body = NEW_ARRAY(b.mem, char, 90001);
	memset(body, 'y', 90000);
	q.method = "POST";
	q.body = body;
	q.body_bytes = 90000;
	struct http_reply *r = fetch(&b, &q);
	assert_true(r->body_bytes > 90000);
	assert_non_null(strstr(r->body, body));
	end(&b);
}

static void the_current_span_travels_along(void **state)
{
	const struct http_header own[] = {{"TraceParent", "00-own"}};
	struct bench b = {0};
	struct span s;
	char parent[56];

	(void)state;
	begin(&b);
	struct http_request q = get(&b, "/echo");
	assert_null(strstr(fetch(&b, &q)->body, "traceparent"));
	span_begin(&s, "test", SPAN_CLIENT, NULL);
	traceparent_format(&s.self, parent);
	assert_non_null(strstr(fetch(&b, &q)->body, str_fmt(b.mem, "traceparent=%s;", parent)));
	q.headers = own;
	q.header_count = 1;
	assert_null(strstr(fetch(&b, &q)->body, parent));
	span_end(&s);
	end(&b);
}

static void every_code_is_a_reply_and_redirects_stay(void **state)
{
	struct bench b = {0};

	(void)state;
	begin(&b);
	struct http_request q = get(&b, "/moved");
	struct http_reply *r = fetch(&b, &q);
	assert_int_equal(r->code, 302);
	assert_string_equal(r->body, "");
	q = get(&b, "/500");
	r = fetch(&b, &q);
	assert_int_equal(r->status, OK);
	assert_int_equal(r->code, 500);
	assert_string_equal(r->body, "broken");
	end(&b);
}

static void connections_are_used_again(void **state)
{
	struct rude peer = {.requests_each = 1000,
			    .reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"};
	struct bench b = {0};

	(void)state;
	begin(&b);
	rude_start(&peer);
	struct http_request q = ask_rude(&b, &peer, LONG_MS);
	for (int n = 0; n < 1000; n++) {
		SCOPE(tmp);
		struct http_reply *r = NULL;
		assert_int_equal(http_fetch(tmp, b.client, &q, &r), OK);
	}
	assert_int_equal(atomic_load(&peer.connections), 1);
	end(&b);
	rude_stop(&peer);
}

static void a_single_use_connection_is_not_used_again(void **state)
{
	struct rude peer = {.requests_each = 9,
			    .reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"};
	struct bench b = {0};

	(void)state;
	begin(&b);
	rude_start(&peer);
	struct http_request q = ask_rude(&b, &peer, LONG_MS);
	q.once = true;
	for (int n = 0; n < 3; n++)
		assert_int_equal(fetch(&b, &q)->status, OK);
	assert_int_equal(atomic_load(&peer.connections), 3);
	end(&b);
	rude_stop(&peer);
}

static void fifty_requests_run_side_by_side(void **state)
{
	enum { MANY = 50 };
	struct bench b = {0};
	struct http_request q[MANY];
	struct http_reply *replies = NULL;

	(void)state;
	begin(&b);
	for (int n = 0; n < MANY; n++)
		q[n] = get(&b, n % 10 == 9 ? "/500" : str_fmt(b.mem, "/echo?n=%d", n));
	http_fetch_all(b.mem, b.client, q, MANY, &replies);
	for (int n = 0; n < MANY; n++) {
		assert_int_equal(replies[n].status, OK);
		assert_int_equal(replies[n].code, n % 10 == 9 ? 500 : 200);
	}
	http_fetch_all(b.mem, b.client, q, 0, &replies);
	end(&b);
}

static void *answer_when_all_wait(void *arg)
{
	struct bench *b = arg;

	while (atomic_load(&b->kept_count) < 50)
		usleep(1000);
	for (int n = 49; n >= 0; n--) {
		char text[8];
		str_print(text, sizeof(text), "%s", http_query(b->kept[n], "n"));
		http_answer(b->kept[n], 200, "text/plain", text, strlen(text), NULL);
	}
	return NULL;
}

static void replies_keep_the_order_of_their_requests(void **state)
{
	struct bench b = {0};
	struct http_request q[50];
	struct http_reply *replies = NULL;
	pthread_t thread;

	(void)state;
	begin(&b);
	for (int n = 0; n < 50; n++)
		q[n] = get(&b, str_fmt(b.mem, "/keep?n=%d", n));
	pthread_create(&thread, NULL, answer_when_all_wait, &b);
	http_fetch_all(b.mem, b.client, q, 50, &replies);
	pthread_join(thread, NULL);
	for (int n = 0; n < 50; n++)
		assert_string_equal(replies[n].body, str_fmt(b.mem, "%d", n));
	end(&b);
}

struct caller {
	struct bench *bench;
	int good;
};

static void *call_often(void *arg)
{
	struct caller *c = arg;
	SCOPE(tmp);
	const struct http_request q = {.method = "GET",
				       .url = str_fmt(tmp, "%s/echo", c->bench->base),
				       .timeout_ms = LONG_MS,
				       .peer = "busy"};

	for (int n = 0; n < 50; n++) {
		struct http_reply *r = NULL;
		c->good += http_fetch(tmp, c->bench->client, &q, &r) == OK && r->code == 200;
	}
	return NULL;
}

static void many_threads_share_one_client(void **state)
{
	enum { THREADS = 40 }; /* more than idle handles are kept */
	struct bench b = {0};
	struct caller callers[THREADS];
	pthread_t threads[THREADS];

	(void)state;
	begin(&b);
	for (int n = 0; n < THREADS; n++) {
		callers[n] = (struct caller){.bench = &b};
		pthread_create(&threads[n], NULL, call_often, &callers[n]);
	}
	for (int n = 0; n < THREADS; n++) {
		pthread_join(threads[n], NULL);
		assert_int_equal(callers[n].good, 50);
	}
	assert_true(metric_value(M_PEER_REQUESTS, "busy", "http_2xx") == 50 * THREADS);
	end(&b);
}

static void a_request_can_go_to_another_address(void **state)
{
	struct bench b = {0};

	(void)state;
	begin(&b);
	struct http_request q = {.method = "GET",
				 .url = "http://service.example:81/echo",
				 .connect_to = b.base + strlen("http://"),
				 .timeout_ms = LONG_MS};
	struct http_reply *r = fetch(&b, &q);
	assert_int_equal(r->status, OK);
	assert_non_null(strstr(r->body, "Host=service.example:81;"));
	end(&b);
}

/* --- exchanges that do not */

static void what_was_not_sent_is_known(void **state)
{
	unsigned short port = 0;
	struct bench b = {0};

	(void)state;
	int fd = raw_listen(&port);
	close(fd);
	begin(&b);
	const struct {
		char *url;
		enum status status;
	} CASES[] = {
		{str_fmt(b.mem, "http://me:secret@127.0.0.1:%u/?token=secret", port), E_TRANSIENT},
		{str_fmt(b.mem, "http://no-such-host.invalid/?token=secret"), E_TRANSIENT},
		{str_fmt(b.mem, "ftp://127.0.0.1/secret"), E_INVALID},
		{str_fmt(b.mem, "file:///etc/hostname"), E_INVALID},
		{str_fmt(b.mem, "not a url secret"), E_INVALID},
	};
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct http_request q = {
			.method = "POST", .url = CASES[i].url, .timeout_ms = LONG_MS};
		struct http_reply *r = fetch(&b, &q);
		if (r->status != CASES[i].status || r->progress != HTTP_NOT_SENT)
			fail_msg("%s: %s %d", CASES[i].url, status_name(r->status), r->progress);
		assert_null(strstr(r->message, "secret"));
	}
	end(&b);
}

static void a_silent_peer_times_out_as_sent(void **state)
{
	unsigned short port = 0;
	struct bench b = {0};

	(void)state;
	int fd = raw_listen(&port); /* the kernel accepts, nobody answers */
	begin(&b);
	struct http_request q = {.method = "GET",
				 .url = str_fmt(b.mem, "http://127.0.0.1:%u/x?token=hidden", port),
				 .timeout_ms = SHORT_MS,
				 .peer = "hole"};
	struct http_reply *r = fetch(&b, &q);
	assert_int_equal(r->status, E_TIMEOUT);
	assert_int_equal(r->progress, HTTP_SENT);
	assert_true(r->elapsed_ms >= SHORT_MS - 5 && r->elapsed_ms < LONG_MS);
	assert_null(strstr(r->message, "hidden"));
	assert_true(metric_value(M_PEER_REQUESTS, "hole", "timeout") == 1);
	close(fd);
	end(&b);
}

static void a_tls_handshake_without_answer_is_not_sent(void **state)
{
	unsigned short port = 0;
	struct bench b = {0};

	(void)state;
	int fd = raw_listen(&port);
	begin(&b);
	struct http_request q = {.method = "POST",
				 .url = str_fmt(b.mem, "https://127.0.0.1:%u/", port),
				 .timeout_ms = SHORT_MS};
	struct http_reply *r = fetch(&b, &q);
	assert_int_equal(r->status, E_TIMEOUT);
	assert_int_equal(r->progress, HTTP_NOT_SENT);
	close(fd);
	end(&b);
}

static void replies_that_are_cut_are_no_replies(void **state)
{
	static const struct {
		const char *reply;
		bool reset;
	} CASES[] = {
		{"", false},
		{"", true},
		{"HTTP/1.1 200 OK\r\nContent-Le", false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false},
		{"SSH-2.0-something\r\n\r\n", false},
	};
	struct bench b = {0};

	(void)state;
	begin(&b);
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct rude peer = {.reply = CASES[i].reply, .reset = CASES[i].reset};
		rude_start(&peer);
		struct http_request q = ask_rude(&b, &peer, LONG_MS);
		struct http_reply *r = fetch(&b, &q);
		if (r->status != E_TRANSIENT || r->progress != HTTP_SENT)
			fail_msg("case %zu: %s %d", i, status_name(r->status), r->progress);
		assert_null(strstr(r->message, "hidden"));
		rude_stop(&peer);
	}
	end(&b);
}

static void a_reply_that_stalls_times_out(void **state)
{
	struct rude peer = {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
			    .hold = true};
	struct bench b = {0};

	(void)state;
	begin(&b);
	rude_start(&peer);
	struct http_request q = ask_rude(&b, &peer, SHORT_MS);
	struct http_reply *r = fetch(&b, &q);
	assert_int_equal(r->status, E_TIMEOUT);
	assert_int_equal(r->progress, HTTP_SENT);
	end(&b);
	rude_stop(&peer);
}

static void an_oversize_reply_is_cut_off(void **state)
{
	struct bench b = {0};

	(void)state;
	begin(&b);
	struct http_request q = get(&b, "/large");
	q.peer = "large";
	q.reply_limit_bytes = 100000;
	assert_int_equal(fetch(&b, &q)->body_bytes, 100000);
	q.reply_limit_bytes = 99999;
	struct http_reply *r = fetch(&b, &q);
	assert_int_equal(r->status, E_INVALID);
	assert_int_equal(r->progress, HTTP_SENT);
	assert_non_null(strstr(r->message, "99999"));
	assert_true(metric_value(M_PEER_REQUESTS, "large", "invalid") == 1);
	end(&b);
}

static void a_colon_in_the_status_line_makes_no_header(void **state)
{
	struct rude peer = {
		.reply = "HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n"
			 "HTTP/1.1 500 Error: bad\r\nX-Late: 2\r\nContent-Length: 0\r\n\r\n"};
	struct bench b = {0};

	(void)state;
	begin(&b);
	rude_start(&peer);
	struct http_request q = ask_rude(&b, &peer, LONG_MS);
	struct http_reply *r = fetch(&b, &q);
	assert_int_equal(r->code, 500);
	assert_int_equal(r->header_count, 2);
	assert_string_equal(http_reply_header(r, "x-late"), "2");
	assert_null(http_reply_header(r, "x-early"));
	end(&b);
	rude_stop(&peer);
}

/* The first connection answers once and swallows the second request; then nobody listens. */
static void *swallow_second(void *arg)
{
	struct rude *r = arg;
	int fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
	SCOPE(tmp);

	raw_hear_until(tmp, fd, "\r\n\r\n", LONG_MS);
	raw_say(fd, r->reply);
	raw_hear_until(tmp, fd, "\r\n\r\n", LONG_MS);
	shutdown(r->listener, SHUT_RDWR);
	close(fd);
	return NULL;
}

static void a_request_lost_on_a_used_connection_counts_as_sent(void **state)
{
	struct rude peer = {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"};
	struct bench b = {0};

	(void)state;
	begin(&b);
	peer.listener = raw_listen(&peer.port);
	pthread_create(&peer.thread, NULL, swallow_second, &peer);
	struct http_request q = ask_rude(&b, &peer, LONG_MS);
	assert_int_equal(fetch(&b, &q)->status, OK);
	struct http_reply *r = fetch(&b, &q);
	assert_int_equal(r->status, E_TRANSIENT);
	assert_int_equal(r->progress, HTTP_SENT);
	pthread_join(peer.thread, NULL);
	close(peer.listener);
	end(&b);
}

/* --- stop */

static void *stop_soon(void *arg)
{
	struct bench *b = arg;

	while (atomic_load(&b->kept_count) < 2)
		usleep(1000);
	usleep(250000); /* past libcurl's own first timers, which would wake the call too */
	http_client_stop(b->client);
	return NULL;
}

static void a_stop_cancels_running_and_later_calls(void **state)
{
	struct bench b = {0};
	struct http_reply *replies = NULL;
	pthread_t thread;

	(void)state;
	begin(&b);
	struct http_request q[] = {get(&b, "/keep"), get(&b, "/keep")};
	q[0].timeout_ms = q[1].timeout_ms = 60000;
	int64_t begun = clock_monotonic();
	pthread_create(&thread, NULL, stop_soon, &b);
	http_fetch_all(b.mem, b.client, q, 2, &replies);
	pthread_join(thread, NULL);
	assert_true(clock_monotonic() - begun < 750);
	for (int n = 0; n < 2; n++) {
		assert_int_equal(replies[n].status, E_CANCELED);
		assert_int_equal(replies[n].progress, HTTP_SENT);
		http_answer(b.kept[n], 200, NULL, "", 0, NULL);
	}
	struct http_reply *r = fetch(&b, &q[0]);
	assert_int_equal(r->status, E_CANCELED);
	assert_int_equal(r->progress, HTTP_NOT_SENT);
	end(&b);
}

/* --- TLS */

static char *pem_text(void *mem, BIO *bio)
{
	char *data = NULL;
	long n = BIO_get_mem_data(bio, &data);
	char *text = str_ndup(mem, data, (size_t)n);

	BIO_free(bio);
	return text;
}

/* A certificate for 127.0.0.1 that signs itself. */
static void make_certificate(void *mem, char **certificate, char **key)
{
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
						    "IP:127.0.0.1,DNS:tls.example");
	BIO *out = BIO_new(BIO_s_mem());

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, pair);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
				   (const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_add_ext(x, names, -1);
	assert_true(X509_sign(x, pair, EVP_sha256()) > 0);
	PEM_write_bio_X509(out, x);
	*certificate = pem_text(mem, out);
	out = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(out, pair, NULL, NULL, 0, NULL, NULL);
	*key = pem_text(mem, out);
	X509_EXTENSION_free(names);
	X509_free(x);
	EVP_PKEY_free(pair);
}

static void write_file(char *path, const char *text)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void certificates_are_verified(void **state)
{
	char path[] = "/tmp/test_http_client_XXXXXX";
	struct bench b = {0};
	SCOPE(tmp);

	(void)state;
	make_certificate(tmp, &b.certificate, &b.key);
	write_file(path, b.certificate);
	begin(&b);
	struct http_request q = get(&b, "/echo");
	q.ca_file = path;
	assert_int_equal(fetch(&b, &q)->code, 200);
	q.url = "https://tls.example/echo";
	q.connect_to = b.base + strlen("https://");
	assert_int_equal(fetch(&b, &q)->code, 200);
	q.url = "https://wrong.example/echo";
	struct http_reply *r = fetch(&b, &q);
	assert_int_equal(r->status, E_TRANSIENT);
	assert_int_equal(r->progress, HTTP_NOT_SENT);
	q = get(&b, "/echo"); /* the system does not know the certificate */
	r = fetch(&b, &q);
	assert_int_equal(r->status, E_TRANSIENT);
	assert_int_equal(r->progress, HTTP_NOT_SENT);
	q.ca_file = "/does/not/exist";
	r = fetch(&b, &q);
	assert_int_equal(r->progress, HTTP_NOT_SENT);
	unlink(path);
	end(&b);
}

/* --- pauses */

static void pauses_are_read_and_capped(void **state)
{
	static const struct {
		const char *text;
		int64_t pause_ms;
	} CASES[] = {
		{"0", 0},
		{"7", 7000},
		{"3600", 3600000},
		{"86400", 3600000},
		{"99999999999", 3600000},
		{"-5", 0},
		{"soon", 0},
		{"", 0},
		{"Thu, 01 Jan 2026 00:00:30 GMT", 30000},
		{"Thu, 01 Jan 2026 05:00:00 GMT", 3600000},
		{"Wed, 31 Dec 2025 23:59:59 GMT", 0},
	};
	const struct http_reply none = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct http_header header = {"retry-after", CASES[i].text};
		const struct http_reply r = {.headers = &header, .header_count = 1};
		if (http_retry_after_ms(&r, 1767225600000) != CASES[i].pause_ms)
			fail_msg("'%s'", CASES[i].text);
	}
	assert_int_equal(http_retry_after_ms(&none, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_arrives_as_it_was_meant),
		cmocka_unit_test(each_method_is_spoken),
		cmocka_unit_test(a_large_body_is_sent_whole),
		cmocka_unit_test(the_current_span_travels_along),
		cmocka_unit_test(every_code_is_a_reply_and_redirects_stay),
		cmocka_unit_test(connections_are_used_again),
		cmocka_unit_test(a_single_use_connection_is_not_used_again),
		cmocka_unit_test(fifty_requests_run_side_by_side),
		cmocka_unit_test(replies_keep_the_order_of_their_requests),
		cmocka_unit_test(many_threads_share_one_client),
		cmocka_unit_test(a_request_can_go_to_another_address),
		cmocka_unit_test(what_was_not_sent_is_known),
		cmocka_unit_test(a_silent_peer_times_out_as_sent),
		cmocka_unit_test(a_tls_handshake_without_answer_is_not_sent),
		cmocka_unit_test(replies_that_are_cut_are_no_replies),
		cmocka_unit_test(a_reply_that_stalls_times_out),
		cmocka_unit_test(an_oversize_reply_is_cut_off),
		cmocka_unit_test(a_colon_in_the_status_line_makes_no_header),
		cmocka_unit_test(a_request_lost_on_a_used_connection_counts_as_sent),
		cmocka_unit_test(a_stop_cancels_running_and_later_calls),
		cmocka_unit_test(certificates_are_verified),
		cmocka_unit_test(pauses_are_read_and_capped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
