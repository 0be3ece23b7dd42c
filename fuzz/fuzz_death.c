#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/broker.h"
#include "domain/death.h"
#include "domain/redact.h"
#include "fuzz.h"

static void check(void *mem, const json_t *headers)
{
	struct death *d = NULL;

	death_read(mem, headers, NULL, &d);
	assert(d->count >= 1 && d->replays >= 0);
	assert(d->event_id != NULL && d->reason != NULL && *d->category != '\0');
	json_t *back = death_strip(mem, headers);
	struct death *again = NULL;
	death_read(mem, back, NULL, &again);
	/* what it is stays, what it died of goes, and the cap on replays comes nearer */
	assert(str_eq(d->event_id, again->event_id) &&
	       str_eq(d->event_source, again->event_source));
	assert(again->replays > d->replays || d->replays == INT32_MAX);
	assert(json_object_get(back, "x-death") == NULL);
	assert(json_is_object(redact_json(mem, headers)));
}

/* Headers as JSON, or as the table of AMQP's wire. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	json_t *headers = NULL;

	if (json_parse(mem, (const char *)data, size, &headers) == OK && json_is_object(headers))
		check(mem, headers);
	if (broker_table_decode(mem, data, size, &headers) == OK)
		check(mem, headers);
	return 0;
}
