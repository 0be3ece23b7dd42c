/*
 * What was looked at for an incident: one window of time, the metrics, log lines and spans that fall into it, and for each
 * source what was asked and what came of it. Values only; who made an evidence owns all of it (one talloc parent). Read-only
 * once it is made, so any thread may look.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

/* AI-001.3, WORKFLOW-003.2: from an hour before the alert until now, the same for all sources. ms since the epoch. */
struct window {
	int64_t start_ms, end_ms;
	int64_t alert_ms; /* startsAt of the alert, inside */
};

/* What a series says about the alert's object. R(id, name, unit) */
#define SERIES_ROLES(R)                              \
	R(RULE, "rule", "")                          \
	R(CPU, "cpu", "cores")                       \
	R(CPU_LIMIT, "cpu_limit", "cores")           \
	R(THROTTLED, "throttled", "ratio")           \
	R(MEMORY, "memory", "bytes")                 \
	R(MEMORY_LIMIT, "memory_limit", "bytes")     \
	R(REQUESTS, "requests", "1/s")               \
	R(ERRORS, "errors", "1/s")                   \
	R(LATENCY, "latency", "s")                   \
	R(RESTARTS, "restarts", "")                  \
	R(DISK, "disk", "bytes")                     \
	R(DISK_LIMIT, "disk_limit", "bytes")         \
	R(VERSION, "version", "")                    \
	R(NEIGHBOUR_CPU, "neighbour_cpu", "cores")   \
	R(NODE_CPU, "node_cpu", "ratio")             \
	R(LOG_VOLUME, "log_volume", "lines")

enum series_role {
#define SERIES_ROLE_ENUM(id, name, unit) SERIES_##id,
	SERIES_ROLES(SERIES_ROLE_ENUM)
#undef SERIES_ROLE_ENUM
	SERIES_ROLE_COUNT
};

/* Values on a regular grid: values[n] is that of start_ms + n * step_ms. */
struct series {
	enum series_role role;
	const char *object;   /* what it is measured on: a pod, a node, a claim, an image; never NULL */
	const json_t *labels; /* an object of strings, or NULL */
	const char *query;    /* the PromQL that gave it */
	int64_t start_ms, step_ms; /* step_ms > 0 */
	size_t count;
	const double *values; /* NAN = no sample there; never a stand-in */
};

/* Text as it is shown: redacted, valid UTF-8, one line. */
struct log_line {
	int64_t at_ms;
	const char *level; /* "error", "warn", "info", "debug", or "" = not told */
	const char *text;
};

/* One unit of work of a service (OpenTelemetry's span). */
struct trace_span {
	const char *trace_id, *span_id; /* lower-case hex */
	const char *parent_id;          /* "" = a root, or its parent was not among what came */
	const char *service, *name;
	int64_t start_us, duration_us;  /* since the epoch */
	bool failed;                    /* status code ERROR */
};

enum source { SOURCE_METRICS, SOURCE_LOGS, SOURCE_TRACES, SOURCE_COUNT };

/* What came of asking one source. */
struct asked {
	bool wanted;           /* false: not configured, or nothing to ask about: `why` says which */
	enum status status;    /* OK although some of several queries failed: then `why` names them */
	const char *why;       /* one sentence for people; NULL = all came */
	const char *const *queries; /* NULL-terminated, as sent */
	int64_t took_ms;
	bool cut;              /* more there than was taken */
};

struct evidence {
	struct window window;
	const char *object; /* what the alert is about, for people: "pod shop/cart-0" */
	const char *service; /* whose spans are looked at; NULL = unknown */
	struct asked asked[SOURCE_COUNT];
	struct series *series;
	size_t series_count;
	struct log_line *lines; /* oldest first */
	size_t line_count;
	struct trace_span *spans;
	size_t span_count;
};

const char *series_role_name(enum series_role r);
NODISCARD enum status series_role_parse(const char *name, enum series_role *out);
const char *series_role_unit(enum series_role r); /* "" = a plain number */
const char *source_name(enum source s);           /* "metrics", "logs", "traces" */

/* {window, object, service?, asked, series[], lines[], spans[]}: for the store, and for files of recorded incidents. */
json_t *evidence_encode(void *mem, const struct evidence *e);
NODISCARD enum status evidence_decode(void *mem, const json_t *doc, struct evidence **out);
