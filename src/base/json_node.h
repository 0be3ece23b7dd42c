/*
 * JSON as an array of nodes, each followed by what it holds: made in one pass over one copy of the text, without an
 * allocation per value. For what comes in by the thousand; everything else uses json.h, which stands on this. The same
 * texts are accepted and refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

enum node_kind { NODE_NULL, NODE_FALSE, NODE_TRUE, NODE_INTEGER, NODE_REAL, NODE_STRING, NODE_ARRAY, NODE_OBJECT };

struct node {
	uint8_t kind;
	uint32_t size; /* a string's bytes; an array's elements; an object's members (a key and a value each) */
	uint32_t span; /* nodes: this one and all that it holds */
	union {
		const char *text; /* ends with a NUL */
		int64_t integer;
		double real;
	};
};

/* As json_parse. Everything under mem. */
NODISCARD enum status node_parse(void *mem, const char *text, size_t n, const struct node **out);

/* A view of a value; its texts stay the value's. */
const struct node *node_of(void *mem, const json_t *value);
/* A value made of a node, under mem. */
json_t *node_json(void *mem, const struct node *node);

static inline const struct node *node_next(const struct node *n) /* the one behind this and all that it holds */
{
	return n + n->span;
}

/* Walks an array's elements. */
#define NODE_EACH(element, array) \
	for (const struct node *element = (array) + 1; element < (array) + (array)->span; element = node_next(element))
/* Walks an object's members: `key` is a string, key + 1 its value. */
#define NODE_MEMBERS(key, object) \
	for (const struct node *key = (object) + 1; key < (object) + (object)->span; key = node_next(key + 1))

/* The member's value; NULL when there is none, or `object` is NULL or no object. */
const struct node *node_get(const struct node *object, const char *key);
/* The string member, or NULL. */
const char *node_str(const struct node *object, const char *key);
/* The integer member, or `otherwise`. */
int64_t node_int(const struct node *object, const char *key, int64_t otherwise);
