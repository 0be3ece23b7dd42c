#include "domain/ticket.h"

#include "base/str.h"

static const char *const NAMES[] = {
#define TICKET_NAME(id, name) name,
	TICKET_KINDS(TICKET_NAME)
#undef TICKET_NAME
};

const char *ticket_kind_name(enum ticket_kind k)
{
	return NAMES[k];
}

enum status ticket_kind_parse(const char *word, enum ticket_kind *out)
{
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
		if (str_eq(NAMES[i], word)) {
			*out = (enum ticket_kind)i;
			return OK;
		}
	}
	return failure(E_INVALID, "'%.40s' is not a ticket operation", word);
}
