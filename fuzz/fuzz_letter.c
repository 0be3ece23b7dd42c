#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/seal.h"
#include "fuzz.h"
#include "store/letter_parts.h"

/* What stands in the seal of a dead letter: an older version, or a bug, may have written anything.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char KEY[] =
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
	SCOPE(mem);
	struct seal *seal = NULL;
	unsigned char *sealed = NULL;
	size_t n = 0, body_bytes = 0;
	json_t *frame = NULL;
	const char *body = NULL;

	assert(seal_new(mem, KEY, "", "", &seal) == OK);
	assert(letter_open(mem, seal, data, size, &frame, &body, &body_bytes) != OK);
	assert(seal_lock(mem, seal, LETTER_CONTEXT, data, size, &sealed, &n) == OK);
	if (letter_open(mem, seal, sealed, n, &frame, &body, &body_bytes) != OK)
		return 0;
	assert(json_is_object(frame));
	assert(body_bytes < size);
	assert(body_bytes == 0 || memcmp(body, data + size - body_bytes, body_bytes) == 0);
	return 0;
}
