#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "domain/ticket.h"

static void kinds_have_names_that_parse_back(void **state)
{
	(void)state;
	for (int n = TICKET_CREATE; n <= TICKET_STATE; n++) {
		enum ticket_kind kind = TICKET_CREATE;
		assert_int_equal(ticket_kind_parse(ticket_kind_name((enum ticket_kind)n), &kind),
				 OK);
		assert_int_equal(kind, n);
	}
	assert_string_equal(ticket_kind_name(TICKET_CREATE), "create");
	assert_string_equal(ticket_kind_name(TICKET_STATE), "state");
}

static void unknown_kinds_are_refused(void **state)
{
	static const char *const WORDS[] = {"", "Create", "create ", "delete"};
	enum ticket_kind kind = TICKET_LINK;

	(void)state;
	for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
		assert_int_equal(ticket_kind_parse(WORDS[i], &kind), E_INVALID);
	assert_int_equal(kind, TICKET_LINK);
	assert_string_equal(status_message(), "'delete' is not a ticket operation");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_have_names_that_parse_back),
		cmocka_unit_test(unknown_kinds_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
