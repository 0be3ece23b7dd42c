/*
 * A circuit breaker with hysteresis for one peer: pure, times are passed in (monotonic ms), the caller locks.
 * Closed → open after `failures` within `window_ms`; open → half-open after `pause_ms`, one call may try;
 * `successes` good calls in a row close it again, a bad one opens it anew with a doubled pause up to `pause_max_ms`.
 * While it is closed each good call takes back the oldest failure: what counts is a peer that fails more often than
 * not, and a few lost calls among many good ones are no outage.
 * Only what says that the peer is away counts as failure (refused, timeout, reset, no name, TLS, 5xx); an answer
 * that refuses one request (4xx) is a success of the peer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

struct breaker_options {
	int failures;         /* SRE-012.9: 5; at most BREAKER_FAILURES_MAX */
	int64_t window_ms;    /* 60 s */
	int successes;        /* 2 */
	int64_t pause_ms;     /* 1 s */
	int64_t pause_max_ms; /* 5 s */
};

enum { BREAKER_FAILURES_MAX = 32 };

struct breaker {
	struct breaker_options options;
	enum breaker_state state;
	int64_t failed_at[BREAKER_FAILURES_MAX]; /* the failures that count, oldest first */
	int failed_count, good_in_row;
	int64_t pause_ms, opened_ms, trying_since_ms;
	bool trying;
};

void breaker_init(struct breaker *b, const struct breaker_options *o);
/* May a call go out now? When half-open only one at a time may; it must be reported (a try that never reports is
 * forgotten after pause_max_ms). `*wait_ms` (may be NULL) is when to ask again, 0 = now. */
bool breaker_allows(struct breaker *b, int64_t now_ms, int64_t *wait_ms);
/* Each returns true when the state changed. A good call that was under way when the breaker opened changes nothing:
 * only what was tried in the half-open state closes it. */
bool breaker_succeeded(struct breaker *b, int64_t now_ms);
bool breaker_failed(struct breaker *b, int64_t now_ms);
/* Somebody who looked closer knows that the peer is away: opens at once. */
bool breaker_trip(struct breaker *b, int64_t now_ms);
const char *breaker_state_name(enum breaker_state s); /* "closed", "half-open", "open" */
