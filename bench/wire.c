#include "wire.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/str.h"

enum { FIRST_ROOM = 16 * 1024, EVENTS = 64, BACKLOG = 1024 };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

int64_t wire_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct sockaddr_in loopback(unsigned short port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static struct wire *wire_of(void *mem, int fd)
{
	struct wire *w = NEW(mem, struct wire);
	int yes = 1;

	w->fd = fd;
	w->room = FIRST_ROOM;
	w->text = NEW_ARRAY(w, char, w->room + 1);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	return w;
}

struct wire *wire_connect(void *mem, unsigned short port)
{
	struct sockaddr_in to = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("cannot connect");
	return wire_of(mem, fd);
}

void wire_close(struct wire *w)
{
	close(w->fd);
	talloc_free(w);
}

bool wire_send(struct wire *w, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(w->fd, text, n, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		text += sent;
		n -= (size_t)sent;
	}
	return true;
}

bool wire_receive(struct wire *w, bool wait)
{
	if (w->have == w->room) {
		w->room *= 2;
		w->text = GROW(w, w->text, char, w->room + 1);
	}
	ssize_t n = recv(w->fd, w->text + w->have, w->room - w->have, wait ? 0 : MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	w->have += (size_t)n;
	w->text[w->have] = '\0';
	return true;
}

static bool find_length(const char *head, const char *end, size_t *out)
{
	static const char NAME[] = "\r\nContent-Length:";

	*out = 0;
	for (const char *at = head; (at = strchr(at, '\r')) != NULL && at < end; at++) {
		if (strncasecmp(at, NAME, sizeof(NAME) - 1) != 0)
			continue;
		long long n = -1;
		char digits[24];
		const char *from = at + sizeof(NAME) - 1;
		from += strspn(from, " ");
		str_print(digits, sizeof(digits), "%.*s", (int)strcspn(from, "\r"), from);
		if (str_to_int(digits, 0, 1 << 30, &n) != OK)
			return false;
		*out = (size_t)n;
		return true;
	}
	return true;
}

enum parsed wire_next(struct wire *w, struct message *out)
{
	memmove(w->text, w->text + w->used, w->have - w->used);
	w->have -= w->used;
	w->used = 0;
	w->text[w->have] = '\0';
	char *end = strstr(w->text, "\r\n\r\n");
	size_t body;
	if (end == NULL)
		return PARTIAL;
	if (!find_length(w->text, end, &body))
		return BROKEN;
	size_t head = (size_t)(end - w->text) + 4;
	if (w->have < head + body)
		return PARTIAL;
	*strchr(w->text, '\r') = '\0';
	*out = (struct message){w->text, end + 4, body, head + body};
	w->used = out->bytes;
	return WHOLE;
}

char *wire_request(void *mem, const char *path, const char *body, size_t *n)
{
	char *text =
		body == NULL
			? str_fmt(mem, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path)
			: str_fmt(mem,
				  "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
				  "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
				  path, strlen(body), body);
	*n = strlen(text);
	return text;
}

int wire_code(const struct message *reply)
{
	long long code = 0;
	char digits[4];

	if (strlen(reply->line) < strlen("HTTP/1.1 200"))
		return 0;
	str_print(digits, sizeof(digits), "%.3s", reply->line + strlen("HTTP/1.1 "));
	return str_to_int(digits, 100, 599, &code) == OK ? (int)code : 0;
}

int wire_exchange(struct wire *w, const char *request, size_t n, struct message *reply)
{
	enum parsed p = PARTIAL;

	if (!wire_send(w, request, n))
		die("cannot send");
	while ((p = wire_next(w, reply)) == PARTIAL)
		if (!wire_receive(w, true))
			die("the reply does not come");
	if (p == BROKEN)
		die("the reply cannot be read");
	return wire_code(reply);
}

struct server {
	int listener, epoll;
	wire_handler_fn *handler;
	void *arg;
	FILE *out; /* writes to the next two */
	char *answer;
	size_t answer_bytes;
};

static void watch(struct server *s, int fd, void *of)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = of};

	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) != 0)
		die("epoll");
}

static void admit(struct server *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	struct wire *w = wire_of(s, fd);
	watch(s, fd, w);
}

/* The head has a fixed size: the length is filled in when the body is known. */
static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
			   "Content-Length: 00000000\r\n\r\n";
enum { HEAD_BYTES = sizeof(HEAD) - 1, DIGITS = 8, DIGITS_AT = HEAD_BYTES - 4 - DIGITS };

static bool answer(struct server *s, struct wire *w, const struct message *m, int64_t at)
{
	char digits[DIGITS + 1];

	rewind(s->out);
	fputs(HEAD, s->out);
	s->handler(m, at, s->out, s->arg);
	if (fflush(s->out) != 0)
		die("out of memory");
	str_print(digits, sizeof(digits), "%0*zu", DIGITS, s->answer_bytes - HEAD_BYTES);
	memcpy(s->answer + DIGITS_AT, digits, DIGITS);
	return wire_send(w, s->answer, s->answer_bytes);
}

static void attend(struct server *s, struct wire *w)
{
	int64_t at = wire_now_ns();
	bool alive = wire_receive(w, false);
	enum parsed p = PARTIAL;
	struct message m;

	while (alive && (p = wire_next(w, &m)) == WHOLE)
		alive = answer(s, w, &m, at);
	if (!alive || p == BROKEN)
		wire_close(w);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	struct epoll_event events[EVENTS];

	for (;;) {
		int n = epoll_wait(s->epoll, events, EVENTS, -1);
		for (int k = 0; k < n; k++) {
			if (events[k].data.ptr == NULL)
				admit(s);
			else
				attend(s, events[k].data.ptr);
		}
	}
	return NULL;
}

unsigned short wire_serve(void *mem, wire_handler_fn *handler, void *arg)
{
	struct server *s = NEW(mem, struct server);
	struct sockaddr_in at = loopback(0);
	socklen_t size = sizeof(at);
	pthread_t thread;

	*s = (struct server){.handler = handler, .arg = arg};
	s->out = open_memstream(&s->answer, &s->answer_bytes);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->out == NULL || s->listener < 0 || s->epoll < 0 ||
	    bind(s->listener, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(s->listener, BACKLOG) != 0 ||
	    getsockname(s->listener, (struct sockaddr *)&at, &size) != 0)
		die("cannot listen");
	watch(s, s->listener, NULL);
	if (pthread_create(&thread, NULL, serve, s) != 0)
		die("no thread");
	pthread_detach(thread);
	return ntohs(at.sin_port);
}
