/* Schema documents (domain/schema.h) in files: YAML or JSON, one document or a list of them a file. */
#pragma once

#include <stddef.h>

#include <jansson.h>

#include "base/status.h"
#include "domain/schema.h"

enum { SCHEMA_FILES_MAX = 256 };

/* The documents of one file, or of all files *.yaml, *.yml and *.json of a directory in the order of their names
 * (names that begin with a dot are left out: a mounted ConfigMap has some). `origin` is the file's name. E_INVALID
 * names the file, and the line where that is known. */
NODISCARD enum status schema_files_load(void *mem, const char *path, struct schema_source **out, size_t *count);

/* What is built in and these, one after the other; NULL and "" = none. As schema_registry_new. */
NODISCARD enum status schema_files_registry(const char *const *paths, size_t count, struct schema_registry **out);
