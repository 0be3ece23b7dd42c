#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/json_schema.h"
#include "fuzz.h"

/* The first line of the input is the schema, the rest the value, both JSON. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	const uint8_t *end = memchr(data, '\n', size);
	struct json_schema *s = NULL;
	struct json_verdict v;
	json_t *schema = NULL;
	json_t *value = NULL;

	if (end == NULL ||
	    json_parse(mem, (const char *)data, (size_t)(end - data), &schema) != OK ||
	    json_parse(mem, (const char *)end + 1, size - (size_t)(end + 1 - data), &value) != OK ||
	    json_schema_compile(mem, schema, &s) != OK)
		return 0;
	bool good = json_schema_accepts(mem, s, value, &v);
	assert(good == json_schema_accepts(mem, s, value, NULL));
	assert(good == (v.count == 0));
	for (size_t n = 0; n < v.count; n++)
		assert(v.violations[n].pointer != NULL && !str_empty(v.violations[n].rule) &&
		       !str_empty(v.violations[n].text));
	return 0;
}
