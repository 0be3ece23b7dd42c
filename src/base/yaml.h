/*
 * YAML to json_t: the JSON-shaped subset of YAML 1.2 that configuration needs. Plain scalars
 * follow the JSON grammar (true, false, null, numbers); everything else is a string, so `no` and
 * `010` stay what they look like. Anchors, aliases, tags, several documents, duplicate keys and
 * nesting beyond LIMIT_JSON_DEPTH are errors with "name:line:column: ".
 */
#pragma once

#include <jansson.h>

#include "base/status.h"

/* `name` stands in messages (a file name). `*lines`, when wanted (may be NULL), becomes an object
 * that maps each key path ("a.b", "a.list[2].c") to its line number. Both live under mem. An
 * empty document is an empty object. */
NODISCARD enum status yaml_parse(void *mem, const char *name, const char *text, size_t n,
				 json_t **out, json_t **lines);

/* The same for a text of one or more documents: `*out` is an array of them, empty ones left out; `*lines`, when wanted, an
 * array of one object for each. */
NODISCARD enum status yaml_parse_all(void *mem, const char *name, const char *text, size_t n,
				     json_t **out, json_t **lines);

/* A value in block style, keys in their order, every text in double quotes: what yaml_parse reads back as the same value. */
char *yaml_text(void *mem, const json_t *value);
