#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "clients/tempo.h"
#include "fuzz.h"

static int is_hex(const char *id, size_t n)
{
	return strlen(id) == n && strspn(id, "0123456789abcdef") == n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	const char *body = (const char *)data;
	struct found_trace *t = NULL;
	struct spans *spans = NULL;
	size_t count = 0;

	enum status s = tempo_decode_search(mem, body, size, &t, &count);
	assert(s == OK ? t != NULL : s == E_INVALID && t == NULL);
	for (size_t n = 0; s == OK && n < count; n++)
		assert(is_hex(t[n].id, 32) && t[n].start_ns >= 0 && t[n].duration_ms >= 0);
	s = tempo_decode_trace(mem, body, size, 4, &spans);
	assert(s == OK || s == E_INVALID || s == E_NOTFOUND);
	assert((s == OK) == (spans != NULL));
	for (size_t n = 0; s == OK && n < spans->count; n++) {
		const struct trace_span *one = &spans->spans[n];
		assert(n < 4 && is_hex(one->trace_id, 32) && is_hex(one->span_id, 16));
		assert(*one->parent_id == '\0' || is_hex(one->parent_id, 16));
		assert(one->duration_us >= 0 && one->service != NULL && one->name != NULL);
	}
	return 0;
}
