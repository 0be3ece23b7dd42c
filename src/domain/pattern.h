/*
 * Regular expressions of JSON Schema (ECMA 262 without look-around, back-references, named groups and \p), matched
 * in time proportional to pattern × text, whatever the pattern. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { PATTERN_POINTS_MAX = 512, PATTERN_STEPS_MAX = 2048 };

struct pattern; /* immutable; usable from any thread */

/* E_INVALID: not a regular expression, one that needs what is left out, or one that is too large. */
NODISCARD enum status pattern_compile(void *mem, const char *text, struct pattern **out);

/* True when it matches anywhere in the text (which is valid UTF-8). */
bool pattern_search(const struct pattern *p, const char *text);

size_t pattern_steps(const struct pattern *p); /* at most PATTERN_STEPS_MAX */

/* How much one code point of text can cost: one for each step, and one more for each range of a set. */
size_t pattern_cost(const struct pattern *p);
