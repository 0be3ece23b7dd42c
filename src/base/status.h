/*
 * What a fallible function returns, and the one place where failures are born.
 *
 * A status says what the engine should do next, not where something went wrong: the words are in
 * the thread-local message. Non-OK comes only out of failure(), failure_in() and failure_after(),
 * so a message is always there and always fresh. Read it once, at a step or request boundary.
 */
#pragma once

#include <stdint.h>

enum status {
	OK = 0,
	E_INVALID,   /* the input is wrong and will stay wrong: do not retry */
	E_NOTFOUND,  /* an expected answer of look-ups; never logged */
	E_CONFLICT,  /* somebody was faster, or it exists already */
	E_DENIED,    /* credentials or policy say no: do not retry, tell a person */
	E_TRANSIENT, /* try again later; the effect did not happen */
	E_TIMEOUT,   /* try again later; whether the effect happened is unknown */
	E_RATE,      /* the peer asks for a pause; see status_retry_after_ms() */
	E_CANCELED,  /* we are shutting down */
	E_INTERNAL,  /* a bug or a broken store: a person must look */
};

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Sets this thread's message (cut at 1 KiB, control characters replaced) and returns `s`. */
enum status failure(enum status s, const char *fmt, ...) PRINTF(2, 3);

/* Puts context in front of the present message: "alert 3: " + "labels must be an object". */
enum status failure_in(enum status s, const char *fmt, ...) PRINTF(2, 3);

/* Like failure(), with the pause in ms that the peer asked for. */
enum status failure_after(int64_t retry_after_ms, enum status s, const char *fmt, ...) PRINTF(3, 4);

/* This thread's last message; "" before the first failure. Valid until the next failure here. */
const char *status_message(void);

/* The pause that came with the last failure, in ms; 0 when none was asked for. */
int64_t status_retry_after_ms(void);

/* "transient", "timeout", …: bounded words for metrics and logs. */
const char *status_name(enum status s);

/* True for the statuses that the engine retries: transient, timeout, rate. */
int status_is_retryable(enum status s);

#define TRY(expression)                                     \
	do {                                                \
		enum status try_status_ = (expression);     \
		if (try_status_ != OK)                      \
			return try_status_;                 \
	} while (0)
