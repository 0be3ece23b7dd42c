/* What the files of flow/gather share; for nobody else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/trace.h"
#include "clients/grid.h"
#include "domain/queries.h"
#include "flow/gather.h"

/* One source being asked. Everything that comes of it lives under mem, a tree of its own that only the thread that runs
 * the errand touches until it has ended; what is const is shared, and nobody changes it meanwhile. */
struct errand {
	void *mem;
	enum source source;
	const struct sources *sources;
	const struct subject *subject;
	const json_t *labels; /* of the alert: read, never referenced */
	const struct window *window;
	struct range range;
	int64_t deadline_ms;        /* monotonic */
	struct trace_context trace; /* of who sent it */

	const char *const *rules; /* expressions of the alert's rule, for metrics */
	size_t rule_count;

	struct asked asked;
	size_t queries, failed;
	enum status first_status; /* of the first failure … */
	const char *first_why;    /* … and its words */
	bool stopped;

	struct series *series;
	size_t series_count;
	struct log_line *lines;
	size_t line_count;
	struct trace_span *spans;
	size_t span_count;
};

/* Time left, ms; at least 1. */
int64_t errand_left(const struct errand *e);

/* Sends them when the gate lets them pass, with the time that is left; what it does not let pass in time is replied to with
 * E_RATE. */
void errand_fetch(struct errand *e, void *mem, struct http_client *http, struct http_request *requests, size_t n,
		  struct http_reply **replies);

/* Where the window begins for a source that refuses longer ones than `most_ms`; notes that it was cut. */
int64_t errand_start(struct errand *e, int64_t most_ms);

/* Notes a query that is going to be sent. */
void errand_asks(struct errand *e, const char *query);
/* Notes that one failed: the status and this thread's message. `what` names it: "cpu", "log lines". */
void errand_failed(struct errand *e, const char *what, enum status status);
/* Nothing to ask; `why` is a sentence. */
void errand_idle(struct errand *e, const char *why);

/* A series of the grid's that has a value at all. */
void errand_keeps(struct errand *e, const struct grid *g, const struct grid_series *s, enum series_role role,
		  const char *object, const char *query);

void gather_metrics(struct errand *e);
void gather_logs(struct errand *e);
void gather_traces(struct errand *e);
