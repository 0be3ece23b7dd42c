#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "domain/order.h"

static void a_type_has_the_policy_of_its_rule(void **state)
{
	static const char *const RULES[] = {"a.b=block", "a=skip", "x=y=allow", "x=y=block", NULL};

	(void)state;
	assert_int_equal(order_policy_of(RULES, "a.b"), ORDER_BLOCK);
	assert_int_equal(order_policy_of(RULES, "a"), ORDER_SKIP);
	assert_int_equal(order_policy_of(RULES, "x=y"), ORDER_ALLOW); /* the first one counts */
	assert_int_equal(order_policy_of(RULES, "a.b.c"), ORDER_ALLOW);
	assert_int_equal(order_policy_of(RULES, ""), ORDER_ALLOW);
	assert_int_equal(order_policy_of(NULL, "a"), ORDER_ALLOW);
}

static void what_is_no_rule_is_named(void **state)
{
	static const char *const BAD[] = {"a", "=block", "a=", "a=Block", "a=hold"};

	(void)state;
	for (size_t n = 0; n < sizeof(BAD) / sizeof(BAD[0]); n++) {
		const char *const rules[] = {"good=skip", BAD[n], NULL};
		assert_int_equal(order_check(rules), E_INVALID);
		assert_non_null(strstr(status_message(), BAD[n]));
	}
	assert_int_equal(order_check(NULL), OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_type_has_the_policy_of_its_rule),
		cmocka_unit_test(what_is_no_rule_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
