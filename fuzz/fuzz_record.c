#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "fuzz.h"
#include "store/record.h"

static void touch(const unsigned char *begin, const unsigned char *end, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	assert(at >= begin && at < end);
	assert(at + strlen(text) < end);
}

static void look(const uint8_t *data, size_t size, const struct record_event *e)
{
	const char *const TEXTS[] = {
		e->id,		e->source,  e->type,   e->subject,	 e->correlation_id,
		e->trace_id,	e->span_id, e->key,    e->partition_key, e->sequence,
		e->fingerprint, e->name,    e->labels, e->annotations,	 e->generator_url};

	for (size_t n = 0; n < sizeof(TEXTS) / sizeof(TEXTS[0]); n++)
		touch(data, data + size, TEXTS[n]);
}

/* A record as it lies in the log. Texts never leave it; what is sealed with a key that is not here
 * does not open. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char KEY[] =
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
	SCOPE(mem);
	struct seal *seal = NULL;
	struct record r;
	struct record_event e;
	struct record_refusal f;
	bool refused;

	assert(seal_new(mem, KEY, "", "", &seal) == OK);
	if (record_begin(data, size, &r) != OK)
		return 0;
	touch(data, data + size, r.origin);
	for (uint32_t n = 0; n < r.count; n++) {
		const unsigned char *before = r.at;
		if (record_next(mem, &r, seal, &e, &f, &refused) != OK)
			return 0;
		assert(r.at > before && r.at <= r.end);
		if (refused)
			assert(strlen(f.body) < size);
		else
			look(data, size, &e);
	}
	return 0;
}
