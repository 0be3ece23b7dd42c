/*
 * Time is int64_t milliseconds since the epoch, passed into pure code and into SQL. This is the
 * only file that asks the system for it.
 *
 * With -Dtesting=true the environment variable AGENT_SRE_TEST_CLOCK may name a file of 8 bytes
 * (native int64_t, ms) that is mapped and replaces the wall clock, so that a test can move time.
 */
#pragma once

#include <stdbool.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "base/status.h"

/* Call once before threads start; only the testing build can fail. */
NODISCARD enum status clock_init(void);

int64_t clock_now(void);       /* wall clock (or the test's), ms since the epoch */
int64_t clock_monotonic(void); /* ms, for measuring durations; never faked */
bool clock_is_fake(void);

/* The moment in_ms from now on the monotonic clock, for timed waits on conditions that use CLOCK_MONOTONIC. */
struct timespec clock_deadline(int64_t in_ms);
/* Such a condition. */
void clock_condition_init(pthread_cond_t *c);

/* RFC 3339. Parsing accepts 0 to 9 fractional digits and any offset; E_INVALID otherwise.
 * Alertmanager's zero time 0001-01-01T00:00:00Z reads as 0 (SHARED.4). */
NODISCARD enum status clock_parse(const char *text, int64_t *out_ms);
char *clock_format(void *mem, int64_t ms); /* 2026-01-15T10:45:00Z, with .123 when not whole */
