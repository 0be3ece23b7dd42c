/*
 * One blocking call drives a curl multi handle of its own, so requests of one call run side by side
 * and calls of different threads never meet. Idle multi handles wait in a pool, newest first: the
 * one used last holds the warmest connections.
 */
#include "net/http_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "base/trace.h"

enum { IDLE_MAX = 32, POLL_MS = 1000, CONNECT_MS = 10000, HEADERS_MAX = 200 };

/* Of a line, to different hosts: a gateway speaks for a dozen functions, and each name is a host of
 * its own. libcurl keeps four. */
static const long CONNECTIONS_KEPT = 16;

struct line {
	CURLM *multi;
	struct line *next; /* in the idle list, or the list of those in use */
	struct line **self;
};

struct http_client {
	const char *user_agent;
	pthread_mutex_t lock;
	struct line *idle, *busy;
	int idle_count;
	atomic_bool stopping;
	http_observer_fn *observer;
	void *observer_arg;
};

static void free_lines(struct line *l)
{
	for (struct line *next; l != NULL; l = next) {
		next = l->next;
		curl_multi_cleanup(l->multi);
		talloc_free(l);
	}
}

static int close_client(struct http_client *c)
{
	free_lines(c->idle);
	pthread_mutex_destroy(&c->lock);
	return 0;
}

enum status http_client_new(void *mem, const char *user_agent, struct http_client **out)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return failure(E_INTERNAL, "libcurl does not start");
	struct http_client *c = NEW(mem, struct http_client);
	c->user_agent = str_dup(c, user_agent);
	pthread_mutex_init(&c->lock, NULL);
	talloc_set_destructor(c, close_client);
	*out = c;
	return OK;
}

void http_client_observe(struct http_client *c, http_observer_fn *observer, void *arg)
{
	c->observer = observer;
	c->observer_arg = arg;
}

void http_client_stop(struct http_client *c)
{
	atomic_store(&c->stopping, true);
	pthread_mutex_lock(&c->lock);
	for (struct line *l = c->busy; l != NULL; l = l->next)
		curl_multi_wakeup(l->multi);
	pthread_mutex_unlock(&c->lock);
}

bool http_client_is_stopping(const struct http_client *c)
{
	return atomic_load(&c->stopping);
}

static struct line *take_line(struct http_client *c)
{
	pthread_mutex_lock(&c->lock);
	struct line *l = c->idle;
	if (l != NULL) {
		c->idle = l->next;
		c->idle_count--;
	} else {
		l = NEW(NULL, struct line); /* rootless: it wanders between threads */
		l->multi = mem_check(curl_multi_init());
		curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT);
	}
	l->next = c->busy;
	l->self = &c->busy;
	if (l->next != NULL)
		l->next->self = &l->next;
	c->busy = l;
	pthread_mutex_unlock(&c->lock);
	return l;
}

static void give_line(struct http_client *c, struct line *l)
{
	pthread_mutex_lock(&c->lock);
	*l->self = l->next;
	if (l->next != NULL)
		l->next->self = l->self;
	bool keep = c->idle_count < IDLE_MAX;
	l->next = keep ? c->idle : NULL;
	if (keep) {
		c->idle = l;
		c->idle_count++;
	}
	pthread_mutex_unlock(&c->lock);
	if (!keep)
		free_lines(l);
}

struct exchange {
	void *mem;
	const struct http_request *request;
	struct http_reply *reply;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	size_t limit, room;
	bool too_large, done;
	bool whole_head; /* the empty line after the header fields was here */
	char error[CURL_ERROR_SIZE];
};

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	struct http_reply *r = x->reply;
	size_t bytes = size * n;

	if (bytes > x->limit - r->body_bytes) {
		x->too_large = true;
		return 0;
	}
	if (r->body_bytes + bytes + 1 > x->room) {
		x->room = 2 * (r->body_bytes + bytes + 1);
		r->body = GROW(x->mem, r->body, char, x->room);
	}
	memcpy(r->body + r->body_bytes, data, bytes);
	r->body_bytes += bytes;
	r->body[r->body_bytes] = '\0';
	return bytes;
}

static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	struct http_reply *r = x->reply;
	size_t bytes = size * n;
	const char *colon = memchr(data, ':', bytes);

	if (bytes >= 5 && strncmp(data, "HTTP/", 5) == 0) {
		r->header_count = 0; /* a new reply after 100 Continue */
		x->whole_head = false;
		return bytes;
	}
	if (data[0] == '\r' || data[0] == '\n')
		x->whole_head = true;
	if (colon == NULL || r->header_count == HEADERS_MAX)
		return bytes;
	const char *value = colon + 1;
	size_t length = bytes - (size_t)(value - data);
	while (length > 0 && (*value == ' ' || *value == '\t')) {
		value++;
		length--;
	}
	while (length > 0 && strchr("\r\n \t", value[length - 1]) != NULL)
		length--;
	r->headers = GROW(x->mem, r->headers, struct http_header, r->header_count + 1);
	r->headers[r->header_count++] = (struct http_header){
		str_lower(x->mem, str_ndup(x->mem, data, (size_t)(colon - data))),
		str_ndup(x->mem, value, length)};
	return bytes;
}

static void add_header(struct exchange *x, const char *name, const char *value)
{
	/* an empty value needs a semicolon, or libcurl leaves the header out */
	char *text = str_empty(value) ? str_fmt(x->mem, "%s;", name)
				      : str_fmt(x->mem, "%s: %s", name, value);

	/* nothing from outside may begin another header */
	for (char *c = text; *c != '\0'; c++)
		if (*c == '\r' || *c == '\n')
			*c = ' ';
	x->headers = mem_check(curl_slist_append(x->headers, text));
}

static void add_headers(struct exchange *x)
{
	const struct http_request *q = x->request;
	const struct span *span = span_current();
	char parent[56];
	bool traced = false;

	for (size_t n = 0; n < q->header_count; n++) {
		traced = traced || strcasecmp(q->headers[n].name, "traceparent") == 0;
		add_header(x, q->headers[n].name, q->headers[n].value);
	}
	if (!traced && span != NULL) {
		traceparent_format(&span->self, parent);
		add_header(x, "traceparent", parent);
	}
	x->headers = mem_check(curl_slist_append(x->headers, "Expect:"));
	curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers);
}

static void set_method(struct exchange *x)
{
	const struct http_request *q = x->request;

	if (q->body != NULL || str_eq(q->method, "POST")) {
		curl_easy_setopt(x->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, q->body == NULL ? "" : q->body);
		curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)(q->body == NULL ? 0 : q->body_bytes));
	}
	if (str_eq(q->method, "HEAD"))
		curl_easy_setopt(x->easy, CURLOPT_NOBODY, 1L);
	else if (!str_eq(q->method, "GET") && !str_eq(q->method, "POST"))
		curl_easy_setopt(x->easy, CURLOPT_CUSTOMREQUEST, q->method);
}

static void set_connection(struct exchange *x)
{
	const struct http_request *q = x->request;

	if (q->connect_to != NULL) {
		x->connect_to =
			mem_check(curl_slist_append(NULL, str_fmt(x->mem, "::%s", q->connect_to)));
		curl_easy_setopt(x->easy, CURLOPT_CONNECT_TO, x->connect_to);
	}
	if (q->once) {
		curl_easy_setopt(x->easy, CURLOPT_FRESH_CONNECT, 1L);
		curl_easy_setopt(x->easy, CURLOPT_FORBID_REUSE, 1L);
		curl_easy_setopt(x->easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
	}
	if (q->connect_only)
		curl_easy_setopt(x->easy, CURLOPT_CONNECT_ONLY, 1L);
	if (q->ca_file != NULL)
		curl_easy_setopt(x->easy, CURLOPT_CAINFO, q->ca_file);
	curl_easy_setopt(x->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(x->easy, CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
	curl_easy_setopt(x->easy, CURLOPT_NOPROXY, "*");
}

static void prepare(struct http_client *c, struct exchange *x)
{
	const struct http_request *q = x->request;

	x->easy = mem_check(curl_easy_init());
	x->limit = q->reply_limit_bytes == 0 ? LIMIT_REPLY_BYTES : q->reply_limit_bytes;
	x->room = 512;
	x->reply->body = NEW_ARRAY(x->mem, char, x->room);
	curl_easy_setopt(x->easy, CURLOPT_URL, q->url);
	curl_easy_setopt(x->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(x->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(x->easy, CURLOPT_NOSIGNAL, 1L);
	/* or a timeout and a stop would wait for a name server that does not answer */
	curl_easy_setopt(x->easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(x->easy, CURLOPT_USERAGENT, c->user_agent);
	curl_easy_setopt(x->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(x->easy, CURLOPT_ERRORBUFFER, x->error);
	curl_easy_setopt(x->easy, CURLOPT_PRIVATE, x);
	curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(x->easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(x->easy, CURLOPT_HEADERDATA, x);
	set_method(x);
	set_connection(x);
	add_headers(x);
}

/* Sent means: the peer may have acted. When in doubt, it was sent. */
static enum http_progress progress_of(const struct exchange *x, CURLcode code)
{
	curl_off_t pretransfer = 0;
	long request_bytes = 0;

	if (code == CURLE_OK)
		return HTTP_REPLIED;
	/* also when a request was sent, the reused connection was dead, and a new one is refused */
	curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
	if (request_bytes > 0)
		return HTTP_SENT;
	switch (code) {
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE: return HTTP_NOT_SENT;
	default: break;
	}
	curl_easy_getinfo(x->easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer);
	return pretransfer == 0 ? HTTP_NOT_SENT : HTTP_SENT;
}

static enum status status_of(const struct exchange *x, CURLcode code)
{
	if (x->too_large)
		return E_INVALID;
	switch (code) {
	case CURLE_OK: return OK;
	case CURLE_OPERATION_TIMEDOUT: return E_TIMEOUT;
	case CURLE_UNSUPPORTED_PROTOCOL: /* of the URL, or of a reply that is no HTTP */
	case CURLE_URL_MALFORMAT:
		return x->reply->progress == HTTP_NOT_SENT ? E_INVALID : E_TRANSIENT;
	default: return E_TRANSIENT;
	}
}

static const char *timeout_word(const struct exchange *x)
{
	curl_off_t connected = 0;

	curl_easy_getinfo(x->easy, CURLINFO_CONNECT_TIME_T, &connected);
	if (connected == 0)
		return "unreachable";
	return x->reply->header_count == 0 && x->reply->body_bytes == 0 ? "silent" : "slow";
}

static const char *trouble_of(const struct exchange *x, CURLcode code)
{
	if (x->too_large)
		return "invalid";
	switch (code) {
	case CURLE_OK: return NULL;
	case CURLE_COULDNT_RESOLVE_HOST: return "dns";
	case CURLE_COULDNT_CONNECT: return "refused";
	case CURLE_OPERATION_TIMEDOUT: return timeout_word(x);
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE: return "tls";
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE: return "reset";
	default: return "invalid";
	}
}

static void conclude(struct exchange *x, CURLcode code)
{
	struct http_reply *r = x->reply;
	curl_off_t elapsed_us = 0;

	x->done = true;
	/* libcurl takes a connection that ends among the header fields for a whole reply */
	if (code == CURLE_OK && !x->whole_head && !x->request->connect_only)
		code = CURLE_PARTIAL_FILE;
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &r->code);
	curl_easy_getinfo(x->easy, CURLINFO_TOTAL_TIME_T, &elapsed_us);
	r->elapsed_ms = elapsed_us / 1000;
	r->progress = progress_of(x, code);
	r->status = status_of(x, code);
	r->trouble = trouble_of(x, code);
	if (r->status == OK)
		return;
	if (x->too_large)
		r->message = str_fmt(x->mem, "the reply is larger than %zu bytes", x->limit);
	else
		r->message =
			str_dup(x->mem, x->error[0] != '\0' ? x->error : curl_easy_strerror(code));
}

static void count(const struct http_client *c, const struct exchange *x)
{
	const struct http_reply *r = x->reply;
	char word[16];

	if (x->request->peer == NULL)
		return;
	str_print(word, sizeof(word), "http_%ldxx", r->code / 100);
	metric_add(M_PEER_REQUESTS, 1, x->request->peer,
		   r->status == OK ? word : status_name(r->status));
	if (c->observer != NULL)
		c->observer(x->request, r, c->observer_arg);
}

static void finish(const struct http_client *c, struct exchange *x, CURLM *multi)
{
	curl_multi_remove_handle(multi, x->easy);
	if (!x->done) {
		x->reply->progress = progress_of(x, CURLE_ABORTED_BY_CALLBACK);
		x->reply->status = E_CANCELED;
		x->reply->message = "stopping";
		x->reply->trouble = "stopped";
	}
	count(c, x);
	curl_easy_cleanup(x->easy);
	curl_slist_free_all(x->headers);
	curl_slist_free_all(x->connect_to);
}

static void collect(CURLM *multi)
{
	int left;

	for (CURLMsg *m; (m = curl_multi_info_read(multi, &left)) != NULL;) {
		struct exchange *x = NULL;
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&x);
		conclude(x, m->data.result);
	}
}

static void drive(struct http_client *c, CURLM *multi)
{
	int running = 1;

	while (running > 0 && !atomic_load(&c->stopping)) {
		if (curl_multi_perform(multi, &running) != CURLM_OK)
			return;
		collect(multi);
		if (running > 0 && curl_multi_poll(multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)
			return;
	}
}

void http_fetch_all(void *mem, struct http_client *c, const struct http_request *requests, size_t n,
		    struct http_reply **replies)
{
	struct http_reply *out = NEW_ARRAY(mem, struct http_reply, n + 1);
	struct exchange *exchanges = NEW_ARRAY(mem, struct exchange, n + 1);
	struct line *line = take_line(c);

	for (size_t i = 0; i < n; i++) {
		exchanges[i] =
			(struct exchange){.mem = mem, .request = &requests[i], .reply = &out[i]};
		prepare(c, &exchanges[i]);
		curl_multi_add_handle(line->multi, exchanges[i].easy);
	}
	drive(c, line->multi);
	for (size_t i = 0; i < n; i++)
		finish(c, &exchanges[i], line->multi);
	give_line(c, line);
	*replies = out;
}

enum status http_fetch(void *mem, struct http_client *c, const struct http_request *request,
		       struct http_reply **out)
{
	http_fetch_all(mem, c, request, 1, out);
	struct http_reply *r = *out;
	return r->status == OK ? OK : failure(r->status, "%s", r->message);
}

const char *http_reply_header(const struct http_reply *r, const char *name)
{
	for (size_t n = 0; n < r->header_count; n++)
		if (strcmp(r->headers[n].name, name) == 0)
			return r->headers[n].value;
	return NULL;
}

int64_t http_retry_after_ms(const struct http_reply *r, int64_t now_ms)
{
	const char *text = http_reply_header(r, "retry-after");
	long long seconds;
	int64_t pause;

	if (text == NULL)
		return 0;
	if (str_to_int(text, 0, INT64_MAX / 1000, &seconds) == OK) {
		pause = seconds * 1000;
	} else {
		time_t at = curl_getdate(text, NULL);
		pause = at < 0 ? 0 : (int64_t)at * 1000 - now_ms;
	}
	if (pause > LIMIT_PAUSE_MS)
		return LIMIT_PAUSE_MS;
	return pause > 0 ? pause : 0;
}
