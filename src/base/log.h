/*
 * One JSON object per line on stderr (commands) or stdout (the daemon): ts, level, event, then the
 * fields of the thread's scope (incident, step, correlation_id, trace_id, …), then the call's own.
 * Library code below flow/ never logs. Values are JSON-escaped, so a label cannot forge a line.
 */
#pragma once

#include <stdint.h>

#include "base/status.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Which lines appear and where (a file descriptor). Call before threads start. */
void log_init(enum log_level least, int fd);
NODISCARD enum status log_level_parse(const char *word, enum log_level *out);

/* Fields are pairs of const char * (name, value), ended by NULL; a NULL value leaves its field out:
 *     log_event(LOG_INFO, "remediation_completed", "lambda_function", name, NULL); */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

/* Sets or (value NULL) removes a field of this thread's scope; `name` must be a literal. At most
 * 8 fields; values are copied and cut at 255 bytes. log_scope_clear forgets all of them. */
void log_scope(const char *name, const char *value);
void log_scope_clear(void);
