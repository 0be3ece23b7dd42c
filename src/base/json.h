/*
 * Jansson with our rules: duplicate keys, NULs, invalid UTF-8 and deep nesting are refused.
 * Decode at the edge, once, into structs; encode with json_pack and json_text.
 */
#pragma once

#include <jansson.h>

#include "base/status.h"

/* Parses exactly `n` bytes, nested at most LIMIT_JSON_DEPTH deep. The value lives under mem.
 * E_INVALID says "line 3, column 7: …". */
NODISCARD enum status json_parse(void *mem, const char *text, size_t n, json_t **out);

/* Reads a whole file of at most `limit` bytes into *out, NUL-terminated, under mem. E_NOTFOUND when there is none. */
NODISCARD enum status file_read(void *mem, const char *path, size_t limit, char **out, size_t *n);

/* Compact text, keys sorted (stable for digests). */
char *json_text(void *mem, const json_t *value);

/* The string member `key`, or NULL when absent, null or not a string. Borrowed. */
const char *json_str(const json_t *object, const char *key);

/* The integer member `key`, or `otherwise`. */
int64_t json_int(const json_t *object, const char *key, int64_t otherwise);

/* Member `key` as an object of strings only: E_INVALID says which key is not one. An absent or null
 * member gives an empty object. Numbers and booleans are refused, not converted. Lives under mem. */
NODISCARD enum status json_string_map(void *mem, const json_t *object, const char *key, json_t **out);
