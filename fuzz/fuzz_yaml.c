#include <assert.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"
#include "fuzz.h"
#include "round_trip.h"

static void check_lines(json_t *lines, const uint8_t *data, size_t size)
{
	json_int_t last = 1;
	const char *path;
	json_t *line;

	for (size_t i = 0; i < size; i++)
		last += data[i] == '\n' || data[i] == '\r' || data[i] >= 0x80;
	json_object_foreach (lines, path, line)
		assert(json_integer_value(line) >= 1 && json_integer_value(line) <= last);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(tmp);
	json_t *value = NULL;
	json_t *lines = NULL;
	json_t *unlined = NULL;

	if (yaml_parse(tmp, "input", (const char *)data, size, &value, &lines) == OK) {
		assert_round_trip(tmp, value);
		check_lines(lines, data, size);
		assert(yaml_parse(tmp, "input", (const char *)data, size, &unlined, NULL) == OK);
		assert(json_equal(value, unlined));
	} else {
		assert(value == NULL && lines == NULL);
		assert(str_starts(status_message(), "input:"));
	}
	return 0;
}
