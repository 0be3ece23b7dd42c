#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "fuzz.h"

/* What is accepted can be written, and reads back as the same value. */
static void check_round_trip(void *mem, const json_t *value)
{
	const char *text = json_text(mem, value);
	json_t *again = NULL;

	assert(json_parse(mem, text, strlen(text), &again) == OK);
	assert(json_equal(value, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(tmp);
	json_t *value = NULL;
	json_t *map = NULL;

	if (json_parse(tmp, (const char *)data, size, &value) == OK) {
		check_round_trip(tmp, value);
		if (json_string_map(tmp, value, "labels", &map) == OK)
			assert(json_is_object(map));
	} else {
		assert(value == NULL && status_message()[0] != '\0');
	}
	return 0;
}
