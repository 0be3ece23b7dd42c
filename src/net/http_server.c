/*
 * libmicrohttpd's callback dance, hidden in one file. For each request its poll thread calls
 * on_request: once with the headers, once per piece of the body, once at the end. There the
 * connection is suspended and the handler called; whoever answers stores the response and resumes;
 * on_request is then called once more and queues it.
 *
 * libmicrohttpd's own timeout only sees inactivity, so a reaper thread shuts down the sockets of
 * clients that have not finished a request in time, however busy they look.
 */
#include "net/http_server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <time.h>

#include <microhttpd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "base/utf8.h"

enum {
	DRAIN_FACTOR = 16,
	REAPER_TICK_MS = 250,
	FLUSH_MS = 2000,
	MEMORY_PER_CONNECTION = 32 * 1024
};

struct connection {
	struct connection *next, **self;
	int fd;
	int64_t since_ms; /* monotonic: since when a whole request is awaited */
	bool awaited;	  /* no request is being answered */
	bool begun;	  /* the first line of a request is here */
	bool cut;
	bool malformed; /* the poll thread's: path or query cannot be decoded */
};

struct http_server {
	struct MHD_Daemon *daemon;
	http_handler_fn *handler;
	http_refused_fn *refused;
	void *arg;
	size_t body_limit;
	int64_t request_timeout_ms;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* for who stops */
	pthread_cond_t tick;	/* for the reaper, only at the end */
	struct connection *connections;
	int exchanges; /* begun and not yet completed */
	int kept;      /* handed to a handler and not yet answered */
	bool closing;  /* requests that come now are not handed over */
	bool stopping;
	pthread_t reaper;
};

struct http_exchange {
	struct http_server *server;
	struct MHD_Connection *mhd;
	struct connection *connection;
	void *mem;
	const char *method, *path;
	char *body;
	size_t bytes, room, received;
	int refusal;
	const char *why;
	int64_t body_at_ms;
	bool handed;
	struct MHD_Response *response;
	int code;
	char address[INET6_ADDRSTRLEN];
};

static void connection_begins(struct http_server *s, struct MHD_Connection *mhd, void **context)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct connection *c = NEW(NULL, struct connection);

	c->fd = info->connect_fd;
	c->since_ms = clock_monotonic();
	c->awaited = true;
	pthread_mutex_lock(&s->lock);
	c->next = s->connections;
	c->self = &s->connections;
	if (c->next != NULL)
		c->next->self = &c->next;
	s->connections = c;
	pthread_mutex_unlock(&s->lock);
	*context = c;
}

static void connection_ends(struct http_server *s, struct connection *c)
{
	pthread_mutex_lock(&s->lock);
	*c->self = c->next;
	if (c->next != NULL)
		c->next->self = c->self;
	pthread_mutex_unlock(&s->lock);
	talloc_free(c);
}

static void notify_connection(void *arg, struct MHD_Connection *mhd, void **context,
			      enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		connection_begins(arg, mhd, context);
	else
		connection_ends(arg, *context);
}

static void await(struct http_server *s, struct connection *c, bool awaited, bool begun)
{
	pthread_mutex_lock(&s->lock);
	if (awaited)
		c->since_ms = clock_monotonic();
	c->awaited = awaited;
	c->begun = begun;
	pthread_mutex_unlock(&s->lock);
}

static void note_begun(struct http_server *s, struct connection *c)
{
	pthread_mutex_lock(&s->lock);
	c->begun = true;
	pthread_mutex_unlock(&s->lock);
}

static void cut_slow(struct http_server *s)
{
	int64_t latest = clock_monotonic() - s->request_timeout_ms;

	for (struct connection *c = s->connections; c != NULL; c = c->next) {
		if (!c->awaited || c->cut || c->since_ms > latest)
			continue;
		c->cut = true;
		metric_add(M_HTTP_CUT, 1, c->begun ? "slow" : "idle");
		shutdown(c->fd, SHUT_RDWR); /* the poll thread sees the end and cleans up */
	}
}

static void *reap(void *arg)
{
	struct http_server *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping) {
		struct timespec until = clock_deadline(REAPER_TICK_MS);
		pthread_cond_timedwait(&s->tick, &s->lock, &until);
		cut_slow(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static struct connection *connection_of(struct MHD_Connection *mhd)
{
	return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* As soon as the first line of a request is here. */
static void *notice_request(void *arg, const char *uri, struct MHD_Connection *mhd)
{
	struct connection *c = connection_of(mhd);

	(void)uri;
	c->malformed = false;
	note_begun(arg, c);
	return NULL;
}

static bool is_text(const char *s)
{
	SCOPE(tmp);
	size_t room = strlen(s) + 1;
	char *copy = NEW_ARRAY(tmp, char, room);

	utf8_copy(copy, room, s);
	return str_eq(copy, s);
}

static int hex_digit(char c)
{
	static const char DIGITS[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c == '\0' ? NULL : strchr(DIGITS, c);

	return at == NULL ? -1 : (int)((at - DIGITS) % 16);
}

/* Strict, unlike libmicrohttpd's own: %zz is no text, and %00 would end the string early. */
static size_t unescape(void *arg, struct MHD_Connection *mhd, char *s)
{
	const char *from = s;
	char *to = s;
	bool good = true;

	(void)arg;
	while (*from != '\0') {
		int high = *from == '%' ? hex_digit(from[1]) : -1;
		int low = high < 0 ? -1 : hex_digit(from[2]);
		good = good && (*from != '%' || (low >= 0 && high + low > 0));
		*to++ = low < 0 ? *from : (char)(high * 16 + low);
		from += low < 0 ? 1 : 3;
	}
	*to = '\0';
	if (!good || !is_text(s))
		connection_of(mhd)->malformed = true;
	return (size_t)(to - s);
}

static void refuse(struct http_exchange *x, int code, const char *why)
{
	if (x->refusal == 0) {
		x->refusal = code;
		x->why = why;
	}
}

static void write_v6(const struct in6_addr *a, char *out, socklen_t room)
{
	if (IN6_IS_ADDR_V4MAPPED(a)) /* an IPv4 client of a dual-stack socket */
		inet_ntop(AF_INET, a->s6_addr + 12, out, room);
	else
		inet_ntop(AF_INET6, a, out, room);
}

static void find_address(struct http_exchange *x)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(x->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *a = info == NULL ? NULL : info->client_addr;

	if (a != NULL && a->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr,
			  x->address, sizeof(x->address));
	else if (a != NULL && a->sa_family == AF_INET6)
		write_v6(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, x->address,
			 sizeof(x->address));
}

static struct http_exchange *begin(struct http_server *s, struct MHD_Connection *mhd,
				   const char *url, const char *method)
{
	void *mem = mem_check(talloc_new(NULL));
	struct http_exchange *x = NEW(mem, struct http_exchange);

	x->server = s;
	x->mhd = mhd;
	x->mem = mem;
	x->connection = connection_of(mhd);
	x->method = str_dup(mem, method);
	x->path = str_dup(mem, url);
	x->room = 1024;
	x->body = NEW_ARRAY(mem, char, x->room);
	find_address(x);
	pthread_mutex_lock(&s->lock);
	s->exchanges++;
	pthread_mutex_unlock(&s->lock);
	return x;
}

static enum MHD_Result send_response(struct http_exchange *x)
{
	/* who does not read the answer is cut like who does not finish a request */
	await(x->server, x->connection, true, true);
	enum MHD_Result r = MHD_queue_response(x->mhd, (unsigned)x->code, x->response);

	MHD_destroy_response(x->response);
	x->response = NULL;
	return r;
}

/* Too much to even read: the only answer that is given before the body is here. */
static enum MHD_Result refuse_unread(struct http_exchange *x)
{
	static char text[] =
		"{\"error\":\"request refused\",\"detail\":\"the body is far too large\"}";

	x->response =
		MHD_create_response_from_buffer(sizeof(text) - 1, text, MHD_RESPMEM_PERSISTENT);
	x->code = 413;
	x->handed = true;
	metric_add(M_HTTP_CUT, 1, "too_large");
	return send_response(x);
}

static enum MHD_Result check_headers(struct http_exchange *x)
{
	const char *length = http_header(x, "Content-Length");
	long long bytes = 0;

	if (MHD_get_connection_values(x->mhd, MHD_HEADER_KIND, NULL, NULL) > LIMIT_HEADERS)
		refuse(x, 431, "too many header fields");
	if (x->connection->malformed)
		refuse(x, 400, "the path or the query is not well encoded");
	if (length != NULL && http_header(x, "Transfer-Encoding") != NULL)
		refuse(x, 400, "both Content-Length and Transfer-Encoding");
	if (length != NULL && str_to_int(length, 0, INT64_MAX, &bytes) != OK)
		refuse(x, 400, "Content-Length is not a number");
	if ((unsigned long long)bytes > (unsigned long long)x->server->body_limit * DRAIN_FACTOR)
		return refuse_unread(x);
	if ((size_t)bytes > x->server->body_limit)
		refuse(x, 413, "the body is too large");
	return MHD_YES;
}

static enum MHD_Result take_piece(struct http_exchange *x, const char *data, size_t n)
{
	size_t limit = x->server->body_limit;

	x->received += n;
	if (x->received > limit)
		refuse(x, 413, "the body is too large");
	if (x->received > limit * DRAIN_FACTOR) {
		metric_add(M_HTTP_CUT, 1, "too_large");
		return MHD_NO;
	}
	size_t cap = x->refusal != 0 ? LIMIT_DEAD_LETTER_HEAD_BYTES : limit;
	if (x->bytes >= cap)
		return MHD_YES;
	n = n < cap - x->bytes ? n : cap - x->bytes;
	if (x->bytes + n + 1 > x->room) {
		x->room = 2 * (x->bytes + n + 1);
		x->body = GROW(x->mem, x->body, char, x->room);
	}
	memcpy(x->body + x->bytes, data, n);
	x->bytes += n;
	x->body[x->bytes] = '\0';
	return MHD_YES;
}

static void answer_refusal(struct http_exchange *x)
{
	char text[160];

	str_print(text, sizeof(text), "{\"error\":\"request refused\",\"detail\":\"%s\"}", x->why);
	http_answer(x, x->refusal, "application/json", text, strlen(text), NULL);
}

/* A request on a kept-alive connection of a server that stops. */
static enum MHD_Result turn_away(struct http_exchange *x)
{
	static char text[] = "{\"error\":\"stopping\",\"detail\":\"the server stops\"}";

	x->response =
		MHD_create_response_from_buffer(sizeof(text) - 1, text, MHD_RESPMEM_PERSISTENT);
	x->code = 503;
	MHD_add_response_header(x->response, "Content-Type", "application/json");
	MHD_add_response_header(x->response, "Connection", "close");
	return send_response(x);
}

/* Counts a kept exchange, unless nobody waits for it any more. */
static bool keep(struct http_server *s)
{
	pthread_mutex_lock(&s->lock);
	bool kept = !s->closing;
	s->kept += kept;
	pthread_mutex_unlock(&s->lock);
	return kept;
}

/* The connection is suspended first: an answer may come from another thread before the handler
 * returns. */
static enum MHD_Result hand_over(struct http_exchange *x)
{
	struct http_server *s = x->server;

	x->handed = true;
	if (!keep(s))
		return turn_away(x);
	x->body_at_ms = clock_monotonic();
	if (x->refusal != 0 && x->bytes > LIMIT_DEAD_LETTER_HEAD_BYTES)
		x->body[x->bytes = LIMIT_DEAD_LETTER_HEAD_BYTES] = '\0';
	await(s, x->connection, false, true);
	MHD_suspend_connection(x->mhd);
	if (x->refusal == 0)
		s->handler(x, s->arg);
	else if (s->refused != NULL)
		s->refused(x, x->refusal, x->why, s->arg);
	else
		answer_refusal(x);
	return MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *mhd, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *n, void **context)
{
	struct http_exchange *x = *context;

	(void)version;
	if (x == NULL) {
		*context = begin(arg, mhd, url, method);
		return check_headers(*context);
	}
	if (*n > 0) {
		size_t piece = *n;
		*n = 0;
		return take_piece(x, data, piece);
	}
	if (x->response != NULL)
		return send_response(x);
	return x->handed ? MHD_YES : hand_over(x);
}

static void notify_completed(void *arg, struct MHD_Connection *mhd, void **context,
			     enum MHD_RequestTerminationCode code)
{
	struct http_server *s = arg;
	struct http_exchange *x = *context;

	(void)mhd;
	(void)code;
	if (x == NULL)
		return;
	if (x->response != NULL)
		MHD_destroy_response(x->response);
	await(s, x->connection, true, false);
	talloc_free(x->mem);
	*context = NULL;
	pthread_mutex_lock(&s->lock);
	s->exchanges--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static enum status resolve(void *mem, const struct http_server_options *o, struct addrinfo **out)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_PASSIVE,
				       .ai_socktype = SOCK_STREAM};
	const char *host = str_eq(o->host, "localhost") ? "127.0.0.1" : o->host;

	if (getaddrinfo(host, str_fmt(mem, "%u", o->port), &hints, out) != 0)
		return failure(E_INVALID, "cannot listen on '%s': not a numeric address", o->host);
	return OK;
}

static struct MHD_Daemon *start_daemon(struct http_server *s, const struct http_server_options *o,
				       const struct addrinfo *a)
{
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
	bool tls = o->tls_certificate != NULL;
	struct MHD_OptionItem options[] = {
		{MHD_OPTION_CONNECTION_LIMIT, (intptr_t)o->connection_limit, NULL},
		{MHD_OPTION_PER_IP_CONNECTION_LIMIT, (intptr_t)o->connection_limit_per_address,
		 NULL},
		{MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_PER_CONNECTION, NULL},
		{tls ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0,
		 (void *)(uintptr_t)o->tls_certificate},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->tls_key},
		{MHD_OPTION_HTTPS_PRIORITIES, 0,
		 (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
		{MHD_OPTION_END, 0, NULL},
	};

	flags |= tls ? MHD_USE_TLS : 0;
	flags |= a->ai_family == AF_INET6 ? MHD_USE_DUAL_STACK : 0;
	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR,
				a->ai_addr, MHD_OPTION_URI_LOG_CALLBACK, notice_request, s,
				MHD_OPTION_UNESCAPE_CALLBACK, unescape, s,
				MHD_OPTION_NOTIFY_COMPLETED, notify_completed, s,
				MHD_OPTION_NOTIFY_CONNECTION, notify_connection, s,
				MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

static struct http_server *make(void *mem, const struct http_server_options *o,
				http_handler_fn *handler, http_refused_fn *refused, void *arg)
{
	struct http_server *s = NEW(mem, struct http_server);

	s->handler = handler;
	s->refused = refused;
	s->arg = arg;
	s->body_limit = o->body_limit_bytes;
	s->request_timeout_ms = o->request_timeout_ms;
	pthread_mutex_init(&s->lock, NULL);
	clock_condition_init(&s->changed);
	clock_condition_init(&s->tick);
	return s;
}

enum status http_server_start(void *mem, const struct http_server_options *o,
			      http_handler_fn *handler, http_refused_fn *refused, void *arg,
			      struct http_server **out)
{
	struct addrinfo *address = NULL;

	TRY(resolve(mem, o, &address));
	struct http_server *s = make(mem, o, handler, refused, arg);
	s->daemon = start_daemon(s, o, address);
	freeaddrinfo(address);
	if (s->daemon == NULL)
		return failure(
			E_INVALID,
			"cannot listen on %s:%u: is the port in use, or the certificate wrong?",
			o->host, o->port);
	if (pthread_create(&s->reaper, NULL, reap, s) != 0) {
		MHD_stop_daemon(s->daemon);
		return failure(E_INTERNAL, "cannot start a thread");
	}
	*out = s;
	return OK;
}

unsigned short http_server_port(const struct http_server *s)
{
	return MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static void wait_for_answers(struct http_server *s)
{
	pthread_mutex_lock(&s->lock);
	s->closing = true;
	while (s->kept > 0)
		pthread_cond_wait(&s->changed, &s->lock);
	struct timespec until = clock_deadline(FLUSH_MS);
	/* a client that has sent half a request, or does not read its answer, is not waited for
	 * longer */
	while (s->exchanges > 0 && pthread_cond_timedwait(&s->changed, &s->lock, &until) == 0)
		;
	s->stopping = true;
	pthread_cond_signal(&s->tick);
	pthread_mutex_unlock(&s->lock);
}

void http_server_stop(struct http_server *s)
{
	MHD_socket listener = MHD_quiesce_daemon(s->daemon);

	/* closed only later: the poll thread may be about to accept, and a number comes back soon
	 */
	if (listener != MHD_INVALID_SOCKET)
		shutdown(listener, SHUT_RDWR);
	wait_for_answers(s);
	pthread_join(s->reaper, NULL);
	MHD_stop_daemon(s->daemon);
	if (listener != MHD_INVALID_SOCKET)
		close(listener);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
	pthread_cond_destroy(&s->tick);
}

const char *http_method(const struct http_exchange *x)
{
	return x->method;
}

const char *http_path(const struct http_exchange *x)
{
	return x->path;
}

const char *http_query(const struct http_exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->mhd, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_header(const struct http_exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->mhd, MHD_HEADER_KIND, name);
}

const char *http_body(const struct http_exchange *x, size_t *bytes)
{
	*bytes = x->bytes;
	return x->body;
}

const char *http_peer_address(const struct http_exchange *x)
{
	return x->address;
}

int64_t http_body_at_ms(const struct http_exchange *x)
{
	return x->body_at_ms;
}

struct each_header {
	void (*each)(const char *, const char *, void *);
	void *arg;
};

static enum MHD_Result visit(void *arg, enum MHD_ValueKind kind, const char *name,
			     const char *value)
{
	const struct each_header *e = arg;

	(void)kind;
	e->each(name, value == NULL ? "" : value, e->arg);
	return MHD_YES;
}

void http_headers(const struct http_exchange *x, void (*each)(const char *, const char *, void *),
		  void *arg)
{
	struct each_header e = {each, arg};

	MHD_get_connection_values(x->mhd, MHD_HEADER_KIND, visit, &e);
}

void *http_mem(struct http_exchange *x)
{
	return x->mem;
}

void http_answer(struct http_exchange *x, int code, const char *content_type, const char *body,
		 size_t bytes, const char *const *headers)
{
	struct http_server *s = x->server;
	struct MHD_Connection *mhd = x->mhd;

	x->code = code;
	x->response = mem_check(MHD_create_response_from_buffer(bytes, (void *)(uintptr_t)body,
								MHD_RESPMEM_MUST_COPY));
	if (content_type != NULL)
		MHD_add_response_header(x->response, "Content-Type", content_type);
	if (x->refusal != 0) /* what follows on the connection may be no request at all */
		MHD_add_response_header(x->response, "Connection", "close");
	for (size_t n = 0; headers != NULL && headers[n] != NULL; n += 2)
		MHD_add_response_header(x->response, headers[n], headers[n + 1]);
	MHD_resume_connection(mhd); /* x may be gone from here on */
	pthread_mutex_lock(&s->lock);
	s->kept--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}
