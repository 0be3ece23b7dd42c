/*
 * The questions about a subject: PromQL, LogQL and TraceQL from templates with escaped values, never from anybody's
 * text (AI-001.21). The namespace is in every query about something that lives in one; a label that is missing selects
 * other queries (AI-001.5 to .8). Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "domain/evidence.h"
#include "domain/subject.h"

struct metric_query {
	enum series_role role;
	const char *text; /* PromQL */
	const char *by;   /* the label whose value is the object of a series; NULL = the subject itself */
};

/* For a range with steps of step_ms: rates look back over five minutes, or one step when that is longer, so that nothing
 * falls between two. `node` may be learned: it selects the neighbours. */
void queries_metrics(void *mem, const struct subject *s, int64_t step_ms, struct metric_query **out, size_t *count);

/* What the alerting rule compares with its limit, or the whole expression when there is no such comparison: its series
 * are of every alert of the rule. `expr` is Prometheus' own, not the alert's. */
struct metric_query queries_rule(void *mem, const char *expr);

/* NULL = there is no way to tell its log lines from others'. A subject of which only the namespace is known gives
 * the lines that speak of trouble, whatever `trouble` says. */
char *queries_logs(void *mem, const struct subject *s, bool trouble);
/* Lines in each step, by level. */
char *queries_log_volume(void *mem, const struct subject *s, int64_t step_ms);

enum trace_choice { TRACES_SLOW, TRACES_FAILED, TRACES_ANY, TRACE_CHOICES };
/* NULL without a service, or when its name cannot be one. */
char *queries_traces(void *mem, const struct subject *s, enum trace_choice choice);
