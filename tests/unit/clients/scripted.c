#include "scripted.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/str.h"

enum { REQUESTS_MAX = 256, TURNS_MAX = 64, REQUEST_BYTES = 256 * 1024 };

struct scripted {
	const struct turn *turns;
	size_t turn_count;
	const char *url, *address;
	int listener, wake[2];
	pthread_t thread;
	pthread_mutex_t lock;
	bool used[TURNS_MAX];
	char *requests[REQUESTS_MAX]; /* made by the thread, read by the test */
	size_t connections, request_count, unexpected;
};

/* Waits until `fd` can be read; false when the server stops. */
static bool readable(const struct scripted *s, int fd)
{
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = s->wake[0], .events = POLLIN}};

	return poll(fds, 2, -1) > 0 && fds[1].revents == 0;
}

static bool is_whole(const char *text, size_t n)
{
	const char *end = strstr(text, "\r\n\r\n");
	const char *length = strcasestr(text, "content-length:");
	long long bytes = 0;
	char digits[16];

	if (end == NULL)
		return false;
	if (length != NULL && length < end) {
		length += strspn(length + 15, " ") + 15;
		str_print(digits, sizeof(digits), "%.*s", (int)strcspn(length, "\r"), length);
		if (str_to_int(digits, 0, REQUEST_BYTES, &bytes) != OK)
			return true;
	}
	return n >= (size_t)(end + 4 - text) + (size_t)bytes;
}

static char *read_request(const struct scripted *s, int fd)
{
	char *text = NEW_ARRAY(NULL, char, REQUEST_BYTES + 1);
	size_t n = 0;

	while (n < REQUEST_BYTES && !is_whole(text, n) && readable(s, fd)) {
		ssize_t got = read(fd, text + n, REQUEST_BYTES - n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	return text;
}

static const struct turn *take_turn(struct scripted *s, char *request)
{
	static const struct turn NONE = {.code = 599, .body = "the script has no such turn"};
	const struct turn *found = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->request_count < REQUESTS_MAX)
		s->requests[s->request_count++] = request;
	else
		talloc_free(request);
	for (size_t n = 0; n < s->turn_count && found == NULL; n++) {
		const struct turn *t = &s->turns[n];
		if (s->used[n] || (t->match != NULL && strstr(request, t->match) == NULL))
			continue;
		s->used[n] = !t->always;
		found = t;
	}
	s->unexpected += found == NULL;
	pthread_mutex_unlock(&s->lock);
	return found == NULL ? &NONE : found;
}

static void send_bytes(int fd, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
		if (sent <= 0)
			return;
		text += sent;
		n -= (size_t)sent;
	}
}

static void reset(int fd)
{
	const struct linger hard = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

static void play(const struct scripted *s, int fd, const struct turn *t)
{
	SCOPE(mem);
	const char *body = t->body == NULL ? "" : t->body;
	char *text = str_fmt(
		mem, "HTTP/1.1 %d Scripted\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n%s",
		t->code, strlen(body), t->headers == NULL ? "" : t->headers, body);
	char byte;

	if (t->act == ACT_ANSWER)
		send_bytes(fd, text, strlen(text));
	if (t->act == ACT_CUT) {
		send_bytes(fd, text, strlen(text) - (strlen(body) + 1) / 2);
		poll(NULL, 0, 50); /* the half must be there before the reset */
	}
	if (t->act == ACT_CUT || t->act == ACT_RESET)
		reset(fd);
	if (t->act == ACT_SILENT && readable(s, fd))
		(void)!read(fd, &byte, 1);
}

static void *serve(void *arg)
{
	struct scripted *s = arg;

	while (readable(s, s->listener)) {
		int fd = accept(s->listener, NULL, NULL);
		if (fd < 0)
			continue;
		pthread_mutex_lock(&s->lock);
		s->connections++;
		pthread_mutex_unlock(&s->lock);
		char *request = read_request(s, fd);
		if (*request == '\0')
			talloc_free(request);
		else
			play(s, fd, take_turn(s, request));
		close(fd);
	}
	return NULL;
}

static int stop(struct scripted *s)
{
	assert_int_equal(write(s->wake[1], "x", 1), 1);
	pthread_join(s->thread, NULL);
	for (size_t n = 0; n < s->request_count; n++)
		talloc_free(s->requests[n]);
	close(s->listener);
	close(s->wake[0]);
	close(s->wake[1]);
	pthread_mutex_destroy(&s->lock);
	return 0;
}

static int bind_loopback(unsigned short *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

struct scripted *scripted_start(void *mem, const struct turn *turns, size_t n)
{
	struct scripted *s = NEW(mem, struct scripted);
	unsigned short port;

	assert_true(n <= TURNS_MAX);
	s->turns = turns;
	s->turn_count = n;
	s->listener = bind_loopback(&port);
	assert_int_equal(listen(s->listener, 64), 0);
	s->address = str_fmt(s, "127.0.0.1:%u", port);
	s->url = str_fmt(s, "http://%s", s->address);
	assert_int_equal(pipe(s->wake), 0);
	pthread_mutex_init(&s->lock, NULL);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	talloc_set_destructor(s, stop);
	return s;
}

const char *scripted_url(const struct scripted *s)
{
	return s->url;
}

const char *scripted_address(const struct scripted *s)
{
	return s->address;
}

size_t scripted_connections(struct scripted *s)
{
	pthread_mutex_lock(&s->lock);
	size_t n = s->connections;
	pthread_mutex_unlock(&s->lock);
	return n;
}

size_t scripted_count(struct scripted *s, const char *match)
{
	size_t found = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t n = 0; n < s->request_count; n++)
		found += strstr(s->requests[n], match) != NULL;
	pthread_mutex_unlock(&s->lock);
	return found;
}

size_t scripted_unexpected(struct scripted *s)
{
	pthread_mutex_lock(&s->lock);
	size_t n = s->unexpected;
	pthread_mutex_unlock(&s->lock);
	return n;
}

const char *scripted_request(struct scripted *s, size_t n)
{
	pthread_mutex_lock(&s->lock);
	const char *text = n < s->request_count ? s->requests[n] : NULL;
	pthread_mutex_unlock(&s->lock);
	assert_non_null(text);
	return text;
}

const char *scripted_body(struct scripted *s, size_t n)
{
	return strstr(scripted_request(s, n), "\r\n\r\n") + 4;
}

bool scripted_has_line(struct scripted *s, size_t n, const char *line)
{
	SCOPE(mem);
	const char *request = scripted_request(s, n);
	const char *at = strstr(request, str_fmt(mem, "\r\n%s\r\n", line));

	return at != NULL && at < scripted_body(s, n);
}

const char *scripted_nobody(void *mem)
{
	unsigned short port;

	close(bind_loopback(&port));
	return str_fmt(mem, "http://127.0.0.1:%u", port);
}

struct http_client *scripted_client(void *mem)
{
	struct http_client *c = NULL;

	assert_int_equal(http_client_new(mem, "agent-sre/test", &c), OK);
	return c;
}

struct http_reply *scripted_reply(void *mem, long code, const char *const *headers,
				  const char *body)
{
	struct http_reply *r = NEW(mem, struct http_reply);
	size_t n = 0;

	for (; headers != NULL && headers[2 * n] != NULL; n++) {
		r->headers = GROW(mem, r->headers, struct http_header, n + 1);
		r->headers[n] = (struct http_header){headers[2 * n], headers[2 * n + 1]};
	}
	r->header_count = n;
	r->code = code;
	r->progress = HTTP_REPLIED;
	r->body = str_dup(mem, body);
	r->body_bytes = strlen(body);
	r->message = "";
	return r;
}
