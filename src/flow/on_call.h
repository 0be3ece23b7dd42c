/* Who gets a ticket: looked up in a schedule, a file or an HTTP endpoint, with a fallback. A schedule that cannot be read
 * stops no ticket: the fallback gets it, and the log says so. All functions from any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "net/http_client.h"

struct on_call_options {
	struct http_client *http;
	const char *schedule;  /* a file, an http(s) URL, or "": always the fallback */
	const char *fallback;  /* an e-mail address, or "": nobody */
	const char *ca_file;   /* or NULL */
	int64_t timeout_ms;    /* of the HTTP request */
	int64_t remember_ms;   /* an HTTP answer is taken as good for so long */
};

struct on_call;

/* Borrows what the options point to. E_INVALID when the schedule is a file that is there and wrong, or is not there. */
NODISCARD enum status on_call_new(void *mem, const struct on_call_options *o, struct on_call **out);

/* The address, "" = nobody, without waiting; false when the HTTP endpoint must be asked. A file is read again when it has
 * changed. */
bool on_call_recall(void *mem, struct on_call *c, const char **email);

/* The same, asking if need be. Blocks for the timeout at most; E_CANCELED when stopping. */
NODISCARD enum status on_call_ask(void *mem, struct on_call *c, const char **email);
