#include <assert.h>

#include "base/json.h"
#include "base/mem.h"
#include "fuzz.h"
#include "round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(tmp);
	json_t *value = NULL;
	json_t *map = NULL;

	if (json_parse(tmp, (const char *)data, size, &value) == OK) {
		assert_round_trip(tmp, value);
		if (json_string_map(tmp, value, "labels", &map) == OK)
			assert(json_is_object(map));
	} else {
		assert(value == NULL && status_message()[0] != '\0');
	}
	return 0;
}
