/* Random and derived identifiers. Randomness is the kernel's; a failure to get it aborts. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { ID_HEX_BYTES = 33, ID_UUID_BYTES = 37 }; /* with the final NUL */

void id_random(void *bytes, size_t n);
char *id_random_hex(void *mem, size_t bytes); /* 2 × bytes lower-case hex digits */

/* Lower-case hex SHA-256. */
char *id_sha256(void *mem, const void *data, size_t n);

/* A UUID with version-4 bits made of SHA-256("seed/purpose"): the same inputs always give the same
 * id, so that a retry names the same object at the peer (WORKFLOW-001.22). */
char *id_uuid_of(void *mem, const char *seed, const char *purpose);

/* A random UUID, version 4. */
char *id_uuid(void *mem);

/* A double in [0,1) for jitter; not for secrets. */
double id_fraction(void);
