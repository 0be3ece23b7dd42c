#include <assert.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "domain/event.h"
#include "fuzz.h"

/* The first line of the input is a header field "name: value", the second the content type, the
 * rest the body. */
struct input {
	const char *name, *value;
};

static const char *header(void *arg, const char *name)
{
	const struct input *in = arg;

	return in->name != NULL && strcasecmp(in->name, name) == 0 ? in->value : NULL;
}

static char *take_line(char **at)
{
	char *line = *at;
	char *end = strchr(line, '\n');

	if (end == NULL)
		return NULL;
	*end = '\0';
	*at = end + 1;
	return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	char *at = str_ndup(mem, (const char *)data, size);
	char *first = take_line(&at);
	char *type = first == NULL ? NULL : take_line(&at);
	char *colon = type == NULL ? NULL : strchr(first, ':');
	struct input in = {0};
	struct event_set *set = NULL;
	bool unsupported;

	if (colon != NULL) {
		*colon = '\0';
		in = (struct input){first, colon + 1};
	}
	const struct event_request r = {.content_type = type,
					.header = header,
					.arg = &in,
					.body = at,
					.body_bytes = strlen(at),
					.received_ms = 1768474000000};
	if (event_decode(mem, &r, &set, &unsupported) != OK)
		return 0;
	for (size_t n = 0; n < set->count; n++) {
		const struct event_member *m = &set->members[n];
		assert((m->event == NULL) == (m->error != NULL));
		assert(m->event == NULL || (strlen(m->event->alert->fingerprint) == 16 &&
					    m->event->alert->starts_ms > 0));
	}
	return 0;
}
