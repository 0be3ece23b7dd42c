/*
 * JSON Schema draft-07, compiled once, used from any thread. Pure.
 *
 * All assertions and applicators of the draft are there; format knows date-time and uri. What would change the meaning
 * and is not known (a keyword of another draft, another format, a remote $ref, an $id below the root, a pattern
 * outside pattern.h) is refused by json_schema_compile rather than ignored. Members whose names begin with "x-" are
 * annotations. Time and depth are bounded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/status.h"

enum { JSON_VIOLATIONS_MAX = 8 };

struct json_violation {
	const char *pointer; /* RFC 6901, "" = the whole value */
	const char *rule;    /* the keyword: "required", "type", … */
	const char *text;    /* one sentence, the pointer in front */
};

struct json_verdict {
	struct json_violation violations[JSON_VIOLATIONS_MAX]; /* the first ones found */
	size_t count;
};

struct json_schema; /* immutable */

/* E_INVALID says where and why: "properties/a/type: unknown type \"text\"". `doc` is kept. */
NODISCARD enum status json_schema_compile(void *mem, json_t *doc, struct json_schema **out);

/* True when `value` satisfies the schema; else `*out` (may be NULL) is filled, its texts under mem. A value that needs
 * more work than is allowed does not satisfy it (rule "work"). */
bool json_schema_accepts(void *mem, const struct json_schema *s, const json_t *value, struct json_verdict *out);
