#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "store/point.h"

enum { PAGE_BYTES = 512, PAGES = 100 };

struct seen {
	size_t count;
	unsigned sum;
};

static enum status look(uint32_t number, const unsigned char *bytes, void *arg)
{
	struct seen *seen = arg;

	assert(number >= 1 && number <= PAGES);
	for (int n = 0; n < DIGEST_BYTES; n++) /* all of it may be read */
		seen->sum += bytes[n];
	seen->count++;
	return OK;
}

static void read_as(enum part_kind kind, uint32_t entry_bytes, const uint8_t *data, size_t size)
{
	struct seen seen = {0};
	enum status s =
		entries_each(kind, (const char *)data, size, entry_bytes, PAGES, look, &seen);

	assert(s == OK || s == E_INVALID);
	if (s == OK)
		assert(size == 12 + seen.count * (4 + entry_bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_as(PART_PAGES, PAGE_BYTES, data, size);
	read_as(PART_DIGESTS, DIGEST_BYTES, data, size);
	return 0;
}
