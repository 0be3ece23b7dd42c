/* Where backups are kept, and the keys that seal them: from settings to targets. Shared by the daemon and the commands. */
#pragma once

#include "base/seal.h"
#include "config/settings.h"
#include "net/http_client.h"
#include "store/target.h"

/* "s3://BUCKET/PREFIX", or a directory. E_INVALID: neither, or no credentials for the bucket. Borrows settings and http. */
NODISCARD enum status depot_open(void *mem, const struct settings *s, struct http_client *http, const char *name,
				 struct target **out);

struct depot_keys {
	struct seal *seal;
	const char *text; /* of the key file, for a seal.key beside what is restored; NULL: the key is in the settings */
};
/* The key of `file`; when that is NULL that of the settings, else of seal.key in the data directory. Creates none.
 * E_NOTFOUND: there is none; `out->seal` then opens nothing, and says which key it needs. */
NODISCARD enum status depot_keys(void *mem, const struct settings *s, const char *file, struct depot_keys *out);

/* When a restore on trial last went well, as the target remembers it; 0 = never. */
NODISCARD enum status depot_drilled(struct target *t, const struct seal *seal, int64_t *at_ms);
NODISCARD enum status depot_note_drill(struct target *t, const struct seal *seal, int64_t at_ms);
