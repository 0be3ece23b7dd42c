#include "daemon/depot.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/bucket.h"

enum { TIMEOUT_MS = 120000, KEY_FILE_LIMIT = 256 };

static const char DRILL[] = "drill.sealed";
static const char DRILL_CONTEXT[] = "agent-sre backup drill";

static enum status put(struct target *t, const char *name, const void *bytes, size_t n)
{
	return bucket_put(t->of, name, bytes, n);
}

static enum status get(void *mem, struct target *t, const char *name, char **out, size_t *n)
{
	return bucket_get(mem, t->of, name, TARGET_OBJECT_BYTES, out, n);
}

static enum status list(void *mem, struct target *t, char ***names, size_t *count)
{
	size_t kept = 0;

	TRY(bucket_list(mem, t->of, names, count));
	/* what others keep there is not ours to touch */
	for (size_t n = 0; n < *count; n++)
		if (target_name_fits((*names)[n]))
			(*names)[kept++] = (*names)[n];
	*count = kept;
	target_sort(*names, *count);
	return OK;
}

static enum status discard(struct target *t, const char *name)
{
	return bucket_remove(t->of, name);
}

static enum status open_bucket(void *mem, const struct settings *s, struct http_client *http,
			       const char *name, struct target **out)
{
	struct target *t = NEW(mem, struct target);
	struct bucket *b = NEW(t, struct bucket);

	TRY(bucket_parse(b, name, &b->name, &b->prefix));
	if (str_empty(s->backup_s3_key_id) || str_empty(s->backup_s3_secret))
		return failure(E_INVALID,
			       "%s needs credentials: set backup.s3.access_key_id and "
			       "backup.s3.secret_access_key (AWS_ACCESS_KEY_ID, "
			       "AWS_SECRET_ACCESS_KEY_FILE)",
			       name);
	b->http = http;
	b->region = s->backup_s3_region;
	b->endpoint = !str_empty(s->backup_s3_endpoint)
			      ? s->backup_s3_endpoint
			      : str_fmt(b, "https://s3.%s.amazonaws.com", b->region);
	b->key_id = s->backup_s3_key_id;
	b->secret = s->backup_s3_secret;
	b->token = s->backup_s3_token;
	b->ca_file = str_empty(s->ca_file) ? NULL : s->ca_file;
	b->timeout_ms = TIMEOUT_MS;
	*t = (struct target){.name = str_dup(t, name),
			     .of = b,
			     .put = put,
			     .get = get,
			     .list = list,
			     .remove = discard};
	*out = t;
	return OK;
}

enum status depot_open(void *mem, const struct settings *s, struct http_client *http,
		       const char *name, struct target **out)
{
	if (str_starts(name, "s3://"))
		return open_bucket(mem, s, http, name, out);
	if (*name == '\0' || strstr(name, "://") != NULL)
		return failure(E_INVALID,
			       "'%.100s' is no place for backups: want a directory or "
			       "s3://BUCKET/PREFIX",
			       name);
	*out = target_directory(mem, name);
	return OK;
}

static enum status keys_of_file(void *mem, const char *file, struct depot_keys *out)
{
	char *text = NULL;
	size_t n = 0;

	TRY(file_read(mem, file, KEY_FILE_LIMIT, &text, &n));
	/* reads it with the checks of a key file */
	TRY(seal_new(mem, "", "", file, &out->seal));
	out->text = text;
	return OK;
}

enum status depot_keys(void *mem, const struct settings *s, const char *file,
		       struct depot_keys *out)
{
	const char *own = str_fmt(mem, "%s/seal.key", s->data);

	*out = (struct depot_keys){0};
	if (file != NULL) {
		enum status status = keys_of_file(mem, file, out);
		return status == E_NOTFOUND ? failure_in(E_INVALID, "--key") : status;
	}
	if (!str_empty(s->encryption_key))
		return seal_new(mem, s->encryption_key, s->encryption_previous_key, "", &out->seal);
	if (access(own, F_OK) == 0)
		return keys_of_file(mem, own, out);
	TRY(seal_new(mem, id_random_hex(mem, SEAL_KEY_BYTES), "", "", &out->seal));
	return failure(E_NOTFOUND, "no key: name the seal.key of the store that was backed up with "
				   "--key FILE, or set encryption.key (AGENT_SRE_ENCRYPTION_KEY)");
}

enum status depot_drilled(struct target *t, const struct seal *seal, int64_t *at_ms)
{
	SCOPE(tmp);
	char *sealed = NULL;
	char *text = NULL;
	size_t n = 0;
	long long value = 0;

	*at_ms = 0;
	enum status s = t->get(tmp, t, DRILL, &sealed, &n);
	if (s == E_NOTFOUND)
		return OK;
	TRY(s);
	/* what another key wrote, or nobody can read, proves nothing */
	if (seal_unlock(tmp, seal, DRILL_CONTEXT, sealed, n, &text, &n) == OK &&
	    str_to_int(text, 0, INT64_MAX, &value) == OK)
		*at_ms = value;
	return OK;
}

enum status depot_note_drill(struct target *t, const struct seal *seal, int64_t at_ms)
{
	SCOPE(tmp);
	const char *text = str_fmt(tmp, "%lld", (long long)at_ms);
	unsigned char *sealed = NULL;
	size_t n = 0;

	TRY(seal_lock(tmp, seal, DRILL_CONTEXT, text, strlen(text), &sealed, &n));
	return t->put(t, DRILL, sealed, n);
}
