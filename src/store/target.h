/*
 * Where backups are kept: objects by name, in a directory or in a bucket (daemon/bucket.c). Names are relative paths
 * of [A-Za-z0-9._-] and slashes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { TARGET_OBJECT_BYTES = 64 * 1024 * 1024 }; /* no object of ours is larger */

struct target {
	const char *name; /* for people: "/var/backups", "s3://bucket/prefix" */
	void *of;
	/* Durable and whole when it returns, or not there at all. */
	enum status (*put)(struct target *t, const char *name, const void *bytes, size_t n);
	/* E_NOTFOUND when there is no such object. `*out` is followed by a NUL. */
	enum status (*get)(void *mem, struct target *t, const char *name, char **out, size_t *n);
	/* Every object's name, sorted; under mem. A target that was never written to is empty. */
	enum status (*list)(void *mem, struct target *t, char ***names, size_t *count);
	/* Removing what is not there is fine. */
	enum status (*remove)(struct target *t, const char *name);
};

/* A directory, created (0700) when first written to. */
struct target *target_directory(void *mem, const char *path);

/* True for a name that may be an object's: no empty, "." or ".." component. */
int target_name_fits(const char *name);

/* Sorts names; for implementations. */
void target_sort(char **names, size_t count);

/* Shared with others that write files: opens, writes all, fsyncs. E_TRANSIENT says why not (disk full, …). */
NODISCARD enum status file_write_durably(const char *path, const void *bytes, size_t n);
NODISCARD enum status directory_sync(const char *path);
/* Removes what is in a directory of ours, but not lost+found. E_TRANSIENT: not all of it. */
NODISCARD enum status directory_clear(const char *path);
