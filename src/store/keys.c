#include "store/keys.h"

#include <string.h>

#include <xxhash.h>

#include "base/id.h"
#include "base/mem.h"

enum {
	SECRET_BYTES = 192, /* XXH3 wants 136 at least */
	LATELY = 32768,	    /* keys of one generation */
	PROBES = 6,
	BITS_PER_KEY = 12,
	BLOCK_BITS = 512
};

/* Open addressing, at most half full. {0, 0} is an empty place. */
struct generation {
	struct key_hash *places;
	size_t room, count;
	uint64_t newest; /* the largest number */
};

struct keys {
	unsigned char secret[SECRET_BYTES];
	struct generation open, now, before;
	uint64_t applied;
	/* blocks of 512 bits; a key sets its bits in one of them */
	uint64_t *filter;
	size_t blocks, room, count;
	bool complete;
};

struct keys *keys_new(void *mem)
{
	struct keys *k = NEW(mem, struct keys);

	id_random(k->secret, sizeof(k->secret));
	return k;
}

struct key_hash keys_hash(const struct keys *k, const char *source, const char *key)
{
	size_t n = strlen(source) + 1, m = strlen(key);
	char text[1024];
	SCOPE(tmp);
	char *both = n + m < sizeof(text) ? text : NEW_ARRAY(tmp, char, n + m + 1);

	memcpy(both, source, n);
	memcpy(both + n, key, m + 1);
	XXH128_hash_t h = XXH3_128bits_withSecret(both, n + m, k->secret, sizeof(k->secret));
	return (struct key_hash){h.low64 | 1, h.high64};
}

static struct key_hash *place_of(const struct generation *g, struct key_hash h)
{
	size_t at = h.low >> 1 & (g->room - 1);

	while (g->places[at].low != 0 &&
	       (g->places[at].low != h.low || g->places[at].high != h.high))
		at = (at + 1) & (g->room - 1);
	return &g->places[at];
}

static bool holds(const struct generation *g, struct key_hash h)
{
	return g->room != 0 && place_of(g, h)->low != 0;
}

static void grow(struct keys *k, struct generation *g)
{
	struct generation larger = *g;

	larger.room = g->room == 0 ? 256 : g->room * 2;
	larger.places = NEW_ARRAY(k, struct key_hash, larger.room);
	for (size_t n = 0; n < g->room; n++)
		if (g->places[n].low != 0)
			*place_of(&larger, g->places[n]) = g->places[n];
	talloc_free(g->places);
	*g = larger;
}

static void insert(struct keys *k, struct generation *g, struct key_hash h)
{
	if (2 * (g->count + 1) > g->room)
		grow(k, g);
	struct key_hash *place = place_of(g, h);
	if (place->low == 0) {
		*place = h;
		g->count++;
	}
}

/* One bit of the block per nine bits of the hash. */
static bool probe(const struct keys *k, struct key_hash h, bool set)
{
	uint64_t *block = k->filter + (h.low >> 1) % k->blocks * (BLOCK_BITS / 64);
	uint64_t bits = h.high;

	for (int n = 0; n < PROBES; n++, bits >>= 9) {
		uint64_t mask = UINT64_C(1) << (bits & 63);
		uint64_t *word = block + (bits >> 6 & 7);
		if (set)
			*word |= mask;
		else if ((*word & mask) == 0)
			return false;
	}
	return true;
}

enum key_answer keys_find(const struct keys *k, struct key_hash h)
{
	if (holds(&k->now, h) || holds(&k->before, h) || holds(&k->open, h))
		return KEY_KNOWN;
	return k->complete && !probe(k, h, false) ? KEY_NEW : KEY_UNSURE;
}

void keys_put(struct keys *k, struct key_hash h)
{
	if (k->blocks == 0)
		return;
	probe(k, h, true);
	k->count++;
}

void keys_hold(struct keys *k, struct key_hash h)
{
	insert(k, &k->open, h);
}

static void clear(struct generation *g)
{
	if (g->room > LATELY) { /* a huge batch must not make every later group slow */
		talloc_free(g->places);
		*g = (struct generation){0};
	}
	if (g->count != 0)
		memset(g->places, 0, g->room * sizeof(g->places[0]));
	g->count = 0;
}

void keys_drop(struct keys *k)
{
	clear(&k->open);
}

void keys_keep(struct keys *k, uint64_t number)
{
	if (k->now.count >= LATELY && k->before.newest <= k->applied) {
		talloc_free(k->before.places);
		k->before = k->now;
		k->now = (struct generation){0};
	}
	for (size_t n = 0; n < k->open.room && k->open.count != 0; n++) {
		if (k->open.places[n].low == 0)
			continue;
		insert(k, &k->now, k->open.places[n]);
		keys_put(k, k->open.places[n]);
	}
	k->now.newest = number;
	clear(&k->open);
}

void keys_applied(struct keys *k, uint64_t number)
{
	k->applied = number;
}

void keys_reset(struct keys *k, size_t room)
{
	k->complete = false;
	k->room = room;
	k->blocks = room * BITS_PER_KEY / BLOCK_BITS + 1;
	k->count = 0;
	talloc_free(k->filter);
	k->filter = NEW_ARRAY(k, uint64_t, k->blocks * (BLOCK_BITS / 64));
}

void keys_complete(struct keys *k)
{
	k->complete = true;
}

bool keys_crowded(const struct keys *k)
{
	return k->count > k->room;
}
