/* Reading points back: which there are, their manifests, their parts; every sum and seal is checked. */
#pragma once

#include "store/point.h"
#include "store/target.h"

struct point_ref {
	char *series, *id;
	int64_t time_ms;
};

/* All points, oldest first. */
NODISCARD enum status points_list(void *mem, struct target *t, struct point_ref **out, size_t *count);

/* The manifest. E_NOTFOUND, E_DENIED (another key), E_INVALID (altered, cut, or of another name). */
NODISCARD enum status point_load(void *mem, struct target *t, const struct seal *seal, const char *series,
				 const char *id, struct point **out);
NODISCARD enum status point_save(struct target *t, const struct seal *seal, const struct point *p, int64_t *bytes);

/* From the full point to this one, in order. */
NODISCARD enum status chain_load(void *mem, struct target *t, const struct seal *seal, const char *series,
				 const char *id, struct point ***out, size_t *count);

/* Fetches a part and opens it. */
NODISCARD enum status part_load(void *mem, struct target *t, const struct seal *seal, const struct part *p,
				char **plain, size_t *n);
/* Seals and puts `plain`; fills in name, bytes and sha256 of `*out`, under mem. */
NODISCARD enum status part_save(void *mem, struct target *t, const struct seal *seal, const char *name,
				const void *plain, size_t n, struct part *out);

/* The digests of all pages at the end of a chain: DIGEST_BYTES each; zeros where there is no page. Under mem. */
NODISCARD enum status chain_digests(void *mem, struct target *t, const struct seal *seal, struct point **chain,
				    size_t count, unsigned char **out);
