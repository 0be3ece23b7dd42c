/*
 * Event schemas that were added at run time (domain/schema.h), and how often each version came. All functions may be
 * called from any thread; writes block until durable.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "store/store.h"

struct schema_entry {
	const char *type, *version; /* a type may be a pattern */
	json_t *document;
	const char *by;
	int64_t added_ms;
};

/* In the order in which they were added. */
NODISCARD enum status store_schemas(void *mem, struct store *s, struct schema_entry **out, size_t *count);

/* All of them or none; one of the same type and version is replaced and stands last. */
NODISCARD enum status store_schemas_put(struct store *s, const struct schema_entry *entries, size_t count);

struct schema_usage {
	const char *type, *version;
	int64_t received, errors, last_seen_ms;
};

/* By type and version. */
NODISCARD enum status store_schema_usage(void *mem, struct store *s, struct schema_usage **out, size_t *count);

/* Adds to what is there. */
NODISCARD enum status store_schema_usage_add(struct store *s, const struct schema_usage *more, size_t count);
