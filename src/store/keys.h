/*
 * The memory tier of idempotency keys: answers most look-ups without the database, and never wrongly. A key is the
 * pair (source, idempotency key). What was kept lately is known exactly (by a 128-bit hash with a secret of this
 * process); of all older keys a Bloom filter knows which ones are certainly new. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keys;

struct key_hash {
	uint64_t low, high;
};

enum key_answer {
	KEY_NEW,    /* was never kept */
	KEY_KNOWN,  /* was kept lately */
	KEY_UNSURE, /* ask the database */
};

struct keys *keys_new(void *mem);
struct key_hash keys_hash(const struct keys *k, const char *source, const char *key);
enum key_answer keys_find(const struct keys *k, struct key_hash h);

/* Adds a key to the open group: known from now on, for as long as keys_drop does not take the group back. */
void keys_hold(struct keys *k, struct key_hash h);
void keys_drop(struct keys *k);
/* The open group is on disk, in records up to this number. Its keys are remembered exactly at least until
 * keys_applied(number), then for some ten thousand further keys. */
void keys_keep(struct keys *k, uint64_t number);
/* What was kept with numbers up to this one can be found in the database. */
void keys_applied(struct keys *k, uint64_t number);

/* The filter: empty it with room for so many keys, put every key of the database in (keys_put), then call
 * keys_complete. Until then nothing is new. keys_keep puts as well. */
void keys_reset(struct keys *k, size_t room);
void keys_put(struct keys *k, struct key_hash h);
void keys_complete(struct keys *k);
/* The filter holds more than it has room for: it wants to be made anew. */
bool keys_crowded(const struct keys *k);
