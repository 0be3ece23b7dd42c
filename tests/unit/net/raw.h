/* A socket in the hands of a test: for clients and servers that misbehave. */
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

static inline struct sockaddr_in raw_address(unsigned short port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A connection to 127.0.0.1, or -1. */
static inline int raw_dial(unsigned short port)
{
	const struct sockaddr_in a = raw_address(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* A listening socket on any free port of 127.0.0.1. */
static inline int raw_listen(unsigned short *port)
{
	struct sockaddr_in a = raw_address(0);
	socklen_t size = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (const struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, 16) != 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &size) != 0) {
		close(fd);
		return -1;
	}
	*port = ntohs(a.sin_port);
	return fd;
}

static inline bool raw_write(int fd, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		data += sent;
		n -= (size_t)sent;
	}
	return true;
}

static inline bool raw_say(int fd, const char *text)
{
	return raw_write(fd, text, strlen(text));
}

/* More of what the other side says: false when it closed, reset, or stays silent that long. */
static inline bool raw_more(int fd, char **heard, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char piece[4096];

	if (poll(&p, 1, timeout_ms) != 1)
		return false;
	ssize_t n = recv(fd, piece, sizeof(piece), 0);
	if (n <= 0)
		return false;
	str_add(heard, "%.*s", (int)n, piece);
	return true;
}

/* Everything until the other side closes, at most for that long. */
static inline char *raw_hear_all(void *mem, int fd, int timeout_ms)
{
	char *heard = str_dup(mem, "");
	int64_t until = clock_monotonic() + timeout_ms;

	while (clock_monotonic() < until && raw_more(fd, &heard, (int)(until - clock_monotonic())))
		;
	return heard;
}

/* True when the other side closes or resets within that time; what it says is dropped. */
static inline bool raw_is_closed(int fd, int timeout_ms)
{
	int64_t until = clock_monotonic() + timeout_ms;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char piece[4096];

	for (;;) {
		int64_t left = until - clock_monotonic();
		if (left <= 0 || poll(&p, 1, (int)left) != 1)
			return false;
		if (recv(fd, piece, sizeof(piece), 0) <= 0)
			return true;
	}
}

/* Everything until `text` was heard, at most for that long. */
static inline char *raw_hear_until(void *mem, int fd, const char *text, int timeout_ms)
{
	char *heard = str_dup(mem, "");

	while (strstr(heard, text) == NULL && raw_more(fd, &heard, timeout_ms))
		;
	return heard;
}
