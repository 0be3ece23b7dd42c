/* A promise that several targets check. */
#pragma once

#include <assert.h>
#include <string.h>

#include "base/json.h"

/* An accepted value can be written as JSON within our limits and reads back the same. */
static inline void assert_round_trip(void *mem, const json_t *value)
{
	const char *text = json_text(mem, value);
	json_t *again = NULL;

	assert(json_parse(mem, text, strlen(text), &again) == OK);
	assert(json_equal(value, again));
}
