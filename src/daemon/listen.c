#include "daemon/listen.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "net/url.h"

enum status listen_address(void *mem, const char *text, struct http_server_options *o)
{
	char *host = NULL;
	long long port;

	if (strchr(text, ':') == NULL) {
		TRY(str_to_int(text, 0, 65535, &port));
		o->host = "0.0.0.0";
		o->port = (unsigned short)port;
		return OK;
	}
	TRY(url_address(mem, text, &host, &o->port));
	o->host = host;
	return OK;
}

static sigset_t stop_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return set;
}

void listen_block_signals(void)
{
	sigset_t set = stop_signals();

	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

enum listen_news listen_wait(int64_t wait_ms)
{
	sigset_t set = stop_signals();
	const struct timespec wait = {.tv_sec = wait_ms / 1000,
				      .tv_nsec = wait_ms % 1000 * 1000000};
	int got = sigtimedwait(&set, NULL, &wait);

	if (got == SIGTERM || got == SIGINT)
		return LISTEN_STOP;
	return got == SIGHUP ? LISTEN_HANGUP : LISTEN_NOTHING;
}
