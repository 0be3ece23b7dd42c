/* What compiling and checking share; nobody else includes it. */
#pragma once

#include <stdint.h>

#include "domain/json_schema.h"
#include "domain/pattern.h"

enum type {
	TYPE_NULL = 1,
	TYPE_BOOLEAN = 2,
	TYPE_OBJECT = 4,
	TYPE_ARRAY = 8,
	TYPE_NUMBER = 16,
	TYPE_STRING = 32,
	TYPE_INTEGER = 64,
};

enum size { MIN_LENGTH, MAX_LENGTH, MIN_ITEMS, MAX_ITEMS, MIN_PROPERTIES, MAX_PROPERTIES, SIZES };
enum bound { MINIMUM, MAXIMUM, EXCLUSIVE_MINIMUM, EXCLUSIVE_MAXIMUM, MULTIPLE_OF, BOUNDS };
enum group { ALL_OF, ANY_OF, ONE_OF, TUPLE, GROUPS };
enum single {
	NOT,
	IF,
	THEN,
	ELSE,
	EACH_ITEM,
	OTHER_ITEMS,
	CONTAINS,
	OTHER_PROPERTIES,
	NAMES,
	SINGLES
};

struct node;

struct group_of {
	struct node **nodes;
	size_t count;
};

struct member {
	const char *name;
	struct node *node;
	const struct pattern *pattern; /* of patternProperties */
	const json_t *names;	       /* of dependencies: what must be there too */
};

struct members {
	struct member *list;
	size_t count;
};

enum format { FORMAT_NONE, FORMAT_DATE_TIME, FORMAT_URI };

struct node {
	bool never;
	struct node *ref; /* then there is nothing else */
	unsigned types;	  /* 0 = any */
	enum format format;
	bool unique;
	const json_t *choice, *constant, *required; /* NULL = none */
	int64_t sizes[SIZES];			    /* -1 = none */
	const json_t *bounds[BOUNDS];
	const struct pattern *pattern;
	const char *pattern_text;
	struct group_of groups[GROUPS];
	struct node *singles[SINGLES];
	struct members properties, patterns, dependencies;
	const json_t *source;
	enum { NEW_NODE, ON_PATH, CHECKED } mark; /* while looking for endless $ref */
};

struct json_schema {
	struct node *root;
};

/* "string", TYPE_STRING, …: TYPE_COUNT of them */
struct type_name {
	const char *name;
	unsigned type;
};
enum { TYPE_COUNT = 7 };
extern const struct type_name TYPE_NAMES[TYPE_COUNT];
