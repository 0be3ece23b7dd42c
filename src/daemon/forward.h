/* `agent-sre forward`: the Alertmanager-to-CloudEvents converter as a service of its own, drop-in for
 * prometheus-events. It keeps nothing: Alertmanager gets its 200 only when the sink has taken every
 * event. */
#pragma once

#include <stddef.h>

struct forward_options {
	const char *listen;  /* ADDRESS:PORT */
	const char *sink;    /* K_SINK */
	const char *sink_token; /* or NULL */
	const char *ca_file; /* or NULL */
};

/* Runs until SIGTERM or SIGINT. 0 = stopped on request, 1 = could not start. */
int daemon_forward(const struct forward_options *options);
