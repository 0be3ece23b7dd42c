/*
 * Encryption at rest: AES-256-GCM with a random 96-bit nonce per text. What is locked carries the id of its
 * key, so that keys can be rotated: the previous key still opens, only the present one locks.
 *
 * Layout: version (1 byte, 1) · key id (first 4 bytes of SHA-256 of the key) · nonce (12) · ciphertext · tag (16).
 */
#pragma once

#include <stddef.h>

#include "base/status.h"

enum { SEAL_KEY_BYTES = 32, SEAL_OVERHEAD = 1 + 4 + 12 + 16 };

struct seal; /* keys; immutable after seal_new, usable from any thread */

/* `key` and `previous` are 64 hex digits or base64 of 32 bytes; "" = not set. With no key the file `path` is
 * read, and created with a random key, mode 0600, fsynced, when absent. E_INVALID: not a key, or a file that
 * others may read. The key bytes are wiped when mem goes. */
NODISCARD enum status seal_new(void *mem, const char *key, const char *previous, const char *path, struct seal **out);

/* `context` is authenticated and not stored: what is locked for one purpose does not open for another. */
NODISCARD enum status seal_lock(void *mem, const struct seal *s, const char *context, const void *plain, size_t bytes,
				unsigned char **out, size_t *out_bytes);

/* E_INVALID: cut, altered, of another context; E_DENIED: locked with a key that is not here (the message names
 * its id). `*out` is followed by a NUL. */
NODISCARD enum status seal_unlock(void *mem, const struct seal *s, const char *context, const void *locked, size_t bytes,
				  char **out, size_t *out_bytes);
