#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "domain/event.h"
#include "fuzz.h"

/* What the converter makes of an alert, the decoder reads as the same alert. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	const struct node *body = NULL;
	struct webhook *w = NULL;

	if (node_parse(mem, (const char *)data, size, &body) != OK ||
	    webhook_decode(mem, body, 1768474000000, &w) != OK)
		return 0;
	for (size_t n = 0; n < w->count; n++) {
		json_t *event = NULL;
		struct alert *again = NULL;
		assert((w->alerts[n] == NULL) == (w->errors[n] != NULL));
		if (w->alerts[n] == NULL)
			continue;
		char *text = event_encode(mem, w, n, 1768474000000);
		assert(json_parse(mem, text, strlen(text), &event) == OK);
		if (alert_decode(mem, node_of(mem, json_object_get(event, "data")), 1768474000000,
				 &again) == OK)
			assert(again->state == w->alerts[n]->state);
	}
	return 0;
}
