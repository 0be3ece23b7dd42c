#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "fuzz.h"
#include "round_trip.h"

/* Jansson is the judge of what is JSON, but for the depth. */
static void assert_same_as_jansson(const char *text, size_t n, const json_t *value)
{
	json_t *other = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);

	assert(value == NULL || other != NULL);
	if (value != NULL)
		assert(json_equal(value, other));
	else if (other != NULL)
		assert(strstr(status_message(), "nested") != NULL);
	json_decref(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(tmp);
	json_t *value = NULL;
	json_t *map = NULL;

	enum status s = json_parse(tmp, (const char *)data, size, &value);
	assert_same_as_jansson((const char *)data, size, s == OK ? value : NULL);
	if (s == OK) {
		assert_round_trip(tmp, value);
		if (json_string_map(tmp, value, "labels", &map) == OK)
			assert(json_is_object(map));
	} else {
		assert(value == NULL && status_message()[0] != '\0');
	}
	return 0;
}
