#include <assert.h>

#include "base/mem.h"
#include "base/str.h"
#include "domain/on_call.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t TIMES[] = {INT64_MIN, -1, 0, 1768474000000, INT64_MAX};
	SCOPE(mem);
	struct on_call_schedule *s = NULL;
	const char *email = NULL;

	if (on_call_parse(mem, "fuzz", (const char *)data, size, &s) == OK) {
		for (size_t n = 0; n < sizeof(TIMES) / sizeof(TIMES[0]); n++) {
			const char *who = on_call_at(s, TIMES[n]);
			assert(who == NULL || on_call_check(who) == OK);
		}
	} else {
		assert(str_starts(status_message(), "fuzz:"));
	}
	if (on_call_decode(mem, (const char *)data, size, &email) == OK && email != NULL)
		assert(on_call_check(email) == OK);
	return 0;
}
