/* What the two files of the registry share; nobody else includes it. */
#pragma once

#include "domain/adapter.h"
#include "domain/json_schema.h"
#include "domain/schema.h"

enum { SCHEMA_TYPE_COUNT = 2, SCHEMA_HOPS_MAX = 256 };

extern const char *const SCHEMA_TYPES[SCHEMA_TYPE_COUNT];

struct hop {
	const char *from, *to, *origin;
	const json_t *steps;
	struct adapter *adapter;
};

struct version {
	const char *type, *name, *origin;
	const json_t *document, *schema_document; /* schema_document NULL = none */
	json_t *changes;			  /* that break; NULL = none */
	struct json_schema *schema;
	bool built_in; /* its schema demands no more than decoding does */
	bool forced; /* active without a way to a native version */
	bool native;
	bool from_native;	/* adapters lead here from a native version */
	const struct hop *next; /* towards a native version; NULL = none */
	bool deprecated;
	int64_t deprecated_ms, end_ms;
};

struct family {
	const char *type;
	struct version *versions[SCHEMA_VERSIONS_MAX];
	size_t count;
	struct hop *hops[SCHEMA_HOPS_MAX];
	size_t hop_count;
};

struct schema_registry {
	struct family families[SCHEMA_TYPE_COUNT];
	int holds; /* under current_lock */
};

/* v<major>.<minor> */
bool schema_is_version(const char *s);

/* Where that version stands in the family; f->count when there is none. */
size_t schema_place(const struct family *f, const char *name);
struct version *schema_find(const struct family *f, const char *name);

/* Takes one document in. E_INVALID says what is wrong with it. */
NODISCARD enum status schema_read(struct schema_registry *r, const struct schema_source *source, bool built_in);
