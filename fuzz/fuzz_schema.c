#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/event.h"
#include "domain/schema.h"
#include "fuzz.h"

static void apply(void *mem, const struct schema_registry *r, const char *dataschema,
		  const json_t *data)
{
	struct schema_outcome found;

	enum status s = schema_apply(mem, r, EVENT_TYPE_FIRED, dataschema, data, &found);
	assert(found.version != NULL);
	if (s == OK)
		assert(found.data != NULL && found.dataschema != NULL && found.slo != NULL);
	else
		assert(json_array_size(json_object_get(found.report, "violations")) > 0);
}

/* The first line of the input is a document (a registry of it and what is built in), the second a
 * dataschema, the rest the data of an event. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	char *first = str_ndup(mem, (const char *)data, size);
	char *second = strchr(first, '\n');
	char *third = second == NULL ? NULL : strchr(second + 1, '\n');
	struct schema_registry *r = NULL;
	json_t *doc = NULL;
	json_t *in = NULL;

	if (third == NULL || json_parse(mem, first, (size_t)(second - first), &doc) != OK)
		return 0;
	*third++ = '\0';
	const struct schema_source source = {.document = doc, .origin = "fuzz"};
	if (schema_registry_new(&source, 1, &r) != OK)
		return 0;
	assert(json_array_size(schema_list(mem, r, 1768474000000)) >= 6);
	json_t *dataschema = json_string(second + 1);
	if (json_parse(mem, third, strlen(third), &in) == OK && dataschema != NULL)
		apply(mem, r, second + 1, in);
	json_decref(dataschema);
	schema_registry_release(r);
	return 0;
}
