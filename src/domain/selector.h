/*
 * Matchers of labels as PromQL and LogQL have them, and quoted strings as PromQL, LogQL and TraceQL read them (all three
 * as Go does): no value can break out of its quotes. Pure.
 */
#pragma once

#include <stddef.h>

/* "…", with quotes, backslashes and control characters escaped. `value` is valid UTF-8. */
char *selector_quote(void *mem, const char *value);

/* A regular expression (RE2, anchored by who reads it) that matches exactly `value`; not quoted yet. */
char *selector_literal(void *mem, const char *value);

struct matcher {
	const char *name;  /* a label's name, from our own code */
	const char *sign;  /* "=", "!=", "=~", "!~" */
	const char *value; /* for ~: an expression; parts of it that are values go through selector_literal */
};

/* metric{a="…",b=~"…"}; `metric` "" gives a selector of log streams. */
char *selector_text(void *mem, const char *metric, const struct matcher *matchers, size_t n);
