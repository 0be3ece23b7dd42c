#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/adapter.h"
#include "fuzz.h"

/* The first line of the input are the steps, the rest the data, both JSON. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	const uint8_t *end = memchr(data, '\n', size);
	struct adapter *a = NULL;
	json_t *steps = NULL;
	json_t *in = NULL;
	json_t *out = NULL;

	if (end == NULL ||
	    json_parse(mem, (const char *)data, (size_t)(end - data), &steps) != OK ||
	    json_parse(mem, (const char *)end + 1, size - (size_t)(end + 1 - data), &in) != OK ||
	    adapter_compile(mem, steps, &a) != OK)
		return 0;
	const char *before = json_text(mem, in);
	if (adapter_run(mem, a, in, &out) == OK)
		assert(json_is_object(out) && json_text(mem, out) != NULL);
	assert(str_eq(before, json_text(mem, in))); /* it is shared: never changed */
	return 0;
}
