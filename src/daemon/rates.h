/*
 * How much a caller may send (DEC-06, X.5): a token bucket per caller and profile. A caller is the credential, or the
 * peer address where none is asked for; a profile is a pattern of event sources (intake.rates), all other events
 * (intake.rate), reading the API, or changing something with it. The table is bounded: the least recently used bucket
 * is dropped. One for the process; all functions may be called from any thread.
 */
#pragma once

#include <stdbool.h>

#include "config/settings.h"
#include "domain/event.h"
#include "net/http_server.h"

enum { RATE_CALLERS_MAX = 1024, RATE_PROFILES_MAX = 64 };

/* E_INVALID: intake.rates is no list of PATTERN=EVENTS/s, /m or /h. */
NODISCARD enum status rates_check(const struct settings *s);
/* Before the first request. Without it everything passes. Borrows the settings. */
NODISCARD enum status rates_configure(const struct settings *s);

/* True: go on. False: the exchange was answered with 429 and Retry-After, and the events are counted, not kept. A
 * request that could not be decoded (`set` NULL) is one event of an unknown source. All of a batch or nothing. */
bool rates_admit_events(struct http_exchange *x, const struct event_set *set);
/* The same for one call of the API. */
bool rates_admit_call(struct http_exchange *x);
