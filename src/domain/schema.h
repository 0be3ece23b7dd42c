/*
 * Versions of the data of events (SRE-013): which there are, what they must look like, and how each becomes the
 * internal record, which alert.h decodes (the superset of v1.0 and v1.1). A registry is an immutable value; the
 * process has a current one that can be replaced at any time. Decoding counts its outcomes in metrics (schema_*).
 *
 * A version is a document:
 *   {type, version, schema?, adapters?: {"v3.0->v2.0": [steps of adapter.h]}, breaking_changes?: [text],
 *    deprecated?, deprecation_date?, end_of_life_date?, activate_without_adapter?, description?}
 * `type` is an event type that this agent knows, or a pattern with *. `schema` is a JSON Schema (json_schema.h) of
 * the event's data. v1.x without breaking_changes is read as it is; every other version needs adapters that lead, step
 * by step, to one that is. A document for a version that is there already changes what it says and nothing else; an
 * adapter that is null is taken away. Built in are v1.0, v1.1 and v2.0 (alertname is called alert_name) with the
 * adapters between v1.0 and v2.0.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

enum {
	SCHEMA_DOCUMENT_BYTES = 256 * 1024, /* as compact JSON */
	SCHEMA_VERSIONS_MAX = 64, /* of one type */
};

#define SCHEMA_UNKNOWN "unknown" /* every version that is not registered, in reports and metrics */
#define SCHEMA_NOTICE_MS (90LL * 24 * 3600 * 1000) /* from the deprecation notice to the end of life (SRE-013.12) */

struct schema_registry;

struct schema_source {
	const json_t *document;
	const char *origin; /* for people: "built in", "run time", a file name */
};

/* What is built in, then these; a later one replaces an earlier one of the same type and version. E_INVALID says which
 * document is wrong and why: also a version that breaks and has no adapter, unless it says activate_without_adapter.
 * The caller holds the result. */
NODISCARD enum status schema_registry_new(const struct schema_source *sources, size_t count,
					  struct schema_registry **out);
void schema_registry_release(struct schema_registry *r);

/* Makes a document that is to be added durable by itself: what it does not say and `old` (the one that it replaces;
 * NULL = none) says, and the date of a deprecation that is new. */
void schema_document_complete(json_t *doc, const json_t *old, int64_t now_ms);

/* The process' registry, held for the caller; what is built in, until another was installed. */
struct schema_registry *schema_current(void);
/* Takes over the caller's hold. */
void schema_install(struct schema_registry *r);

/* Every version: [{type, version, origin, internal, path[], schema, adapters, breaking_changes, deprecated,
 * deprecation_date?, end_of_life_date?, days_left?, forward_compatible, backward_compatible}]. Under mem. */
json_t *schema_list(void *mem, const struct schema_registry *r, int64_t now_ms);

/* The version that a dataschema names: its last path segment when that reads v<major>.<minor>; "v1.0" for "" and NULL;
 * else "unknown". Under mem, or a literal. */
const char *schema_version_of(void *mem, const char *dataschema);

struct schema_outcome {
	const char *version;    /* that came; "unknown" when it is not registered */
	const char *dataschema; /* of `data`: its last segment names the version it was brought to */
	const json_t *data;     /* in the shape of the internal record */
	const char *slo;        /* "" when absent */
	json_t *report;         /* of a failure: {type, dataschema, detected_version, supported[], violations: [{rule,
				   pointer, message}]}; pointers into the event */
};

/* Version, validation, transformation. `version` and `report` are set on failure too. E_INVALID: unknown version, data
 * that does not fit its schema, "No transformation defined for …". What is found lives under mem. */
NODISCARD enum status schema_apply(void *mem, const struct schema_registry *r, const char *type,
				   const char *dataschema, const json_t *data, struct schema_outcome *out);

/* The report about data that schema_apply let pass and that could not be decoded all the same, which `why` explains.
 * Counts it. */
json_t *schema_report(void *mem, const struct schema_registry *r, const char *type, const char *dataschema,
		      const json_t *data, const char *why);

/* A structured event as one of version `to`: the same but for data and dataschema, and unchanged when it is of that
 * version. E_INVALID: "No transformation defined for …", or an adapter that does not fit the data. Under mem. */
NODISCARD enum status schema_transform(void *mem, const struct schema_registry *r, const json_t *event, const char *to,
				       json_t **out);
