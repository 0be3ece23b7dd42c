#include "store/chain.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"

enum { CHAIN_MAX = 100000 };

static int by_time(const void *a, const void *b)
{
	return strcmp(((const struct point_ref *)a)->id, ((const struct point_ref *)b)->id);
}

enum status points_list(void *mem, struct target *t, struct point_ref **out, size_t *count)
{
	SCOPE(tmp);
	char **names = NULL;
	size_t found = 0;
	struct point_ref ref;

	TRY(t->list(tmp, t, &names, &found));
	*out = NEW_ARRAY(mem, struct point_ref, found);
	*count = 0;
	for (size_t n = 0; n < found; n++) {
		if (!point_name_parse(mem, names[n], &ref.series, &ref.id))
			continue;
		ref.time_ms = point_id_time(ref.id);
		(*out)[(*count)++] = ref;
	}
	if (*count > 1)
		qsort(*out, *count, sizeof(**out), by_time);
	return OK;
}

static const char *context_of(void *mem, const char *name)
{
	return str_fmt(mem, "agent-sre backup %s", name);
}

enum status point_load(void *mem, struct target *t, const struct seal *seal, const char *series,
		       const char *id, struct point **out)
{
	SCOPE(tmp);
	const char *name = point_name(tmp, series, id);
	char *sealed = NULL;
	char *text = NULL;
	size_t n = 0;

	TRY(t->get(tmp, t, name, &sealed, &n));
	enum status s = seal_unlock(tmp, seal, context_of(tmp, name), sealed, n, &text, &n);
	if (s == OK)
		s = point_decode(mem, text, n, out);
	if (s == OK && (!str_eq((*out)->id, id) || !str_eq((*out)->series, series)))
		s = failure(E_INVALID, "backup: it holds the manifest of another point");
	return s == OK ? OK : failure_in(s, "%s", name);
}

enum status point_save(struct target *t, const struct seal *seal, const struct point *p,
		       int64_t *bytes)
{
	SCOPE(tmp);
	const char *name = point_name(tmp, p->series, p->id);
	const char *text = point_encode(tmp, p);
	unsigned char *sealed = NULL;
	size_t n = 0;

	TRY(seal_lock(tmp, seal, context_of(tmp, name), text, strlen(text), &sealed, &n));
	if (n > TARGET_OBJECT_BYTES)
		return failure(E_INVALID, "backup: the database is too large");
	*bytes += (int64_t)n;
	return t->put(t, name, sealed, n);
}

enum status chain_load(void *mem, struct target *t, const struct seal *seal, const char *series,
		       const char *id, struct point ***out, size_t *count)
{
	struct point **chain = NULL;
	size_t n = 0;

	while (*id != '\0' && n < CHAIN_MAX) {
		chain = GROW(mem, chain, struct point *, n + 1);
		enum status s = point_load(mem, t, seal, series, id, &chain[n]);
		if (s == E_NOTFOUND)
			return failure(E_INVALID, "backup: point %s of series %s is missing", id,
				       series);
		TRY(s);
		if (n > 0 && chain[n]->page_size != chain[0]->page_size)
			return failure(E_INVALID, "backup: a chain with two page sizes");
		id = chain[n++]->parent;
	}
	for (size_t k = 0; k < n / 2; k++) {
		struct point *other = chain[k];
		chain[k] = chain[n - 1 - k];
		chain[n - 1 - k] = other;
	}
	*out = chain;
	*count = n;
	return OK;
}

static enum status check_part(void *mem, const struct part *p, const char *sealed, size_t n)
{
	if ((int64_t)n != p->bytes)
		return failure(E_INVALID, "%zu bytes in place of %lld", n, (long long)p->bytes);
	if (!str_eq(id_sha256(mem, sealed, n), p->sha256))
		return failure(E_INVALID, "the checksum does not match: it was altered");
	return OK;
}

enum status part_load(void *mem, struct target *t, const struct seal *seal, const struct part *p,
		      char **plain, size_t *n)
{
	SCOPE(tmp);
	char *sealed = NULL;
	size_t bytes = 0;

	enum status s = t->get(tmp, t, p->name, &sealed, &bytes);
	if (s == E_NOTFOUND)
		s = failure(E_INVALID, "it is missing");
	if (s == OK)
		s = check_part(tmp, p, sealed, bytes);
	if (s == OK)
		s = seal_unlock(mem, seal, context_of(tmp, p->name), sealed, bytes, plain, n);
	return s == OK ? OK : failure_in(s, "%s", p->name);
}

enum status part_save(void *mem, struct target *t, const struct seal *seal, const char *name,
		      const void *plain, size_t n, struct part *out)
{
	SCOPE(tmp);
	unsigned char *sealed = NULL;
	size_t bytes = 0;

	TRY(seal_lock(tmp, seal, context_of(tmp, name), plain, n, &sealed, &bytes));
	out->name = str_dup(mem, name);
	out->bytes = (int64_t)bytes;
	out->sha256 = id_sha256(mem, sealed, bytes);
	return t->put(t, name, sealed, bytes);
}

static enum status note_digest(uint32_t number, const unsigned char *bytes, void *arg)
{
	unsigned char *all = arg;

	memcpy(all + (size_t)(number - 1) * DIGEST_BYTES, bytes, DIGEST_BYTES);
	return OK;
}

static enum status point_digests(struct target *t, const struct seal *seal, const struct point *p,
				 unsigned char *all)
{
	for (size_t n = 0; n < p->part_count; n++) {
		SCOPE(tmp);
		char *plain = NULL;
		size_t bytes = 0;
		if (p->parts[n].kind != PART_DIGESTS)
			continue;
		TRY(part_load(tmp, t, seal, &p->parts[n], &plain, &bytes));
		TRY(entries_each(PART_DIGESTS, plain, bytes, DIGEST_BYTES, (uint32_t)p->page_count,
				 note_digest, all));
	}
	return OK;
}

enum status chain_digests(void *mem, struct target *t, const struct seal *seal,
			  struct point **chain, size_t count, unsigned char **out)
{
	unsigned char *all = NEW_ARRAY(mem, unsigned char, 0);
	size_t have = 0;

	for (size_t n = 0; n < count; n++) {
		size_t want = (size_t)chain[n]->page_count * DIGEST_BYTES;
		/* what a shrunken database has lost must not come back when it grows again */
		all = GROW(mem, all, unsigned char, want);
		if (want > have)
			memset(all + have, 0, want - have);
		have = want;
		TRY(point_digests(t, seal, chain[n], all));
	}
	*out = all;
	return OK;
}
