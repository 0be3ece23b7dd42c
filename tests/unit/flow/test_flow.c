#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "flow/flow.h"

static void the_table_of_steps_is_sound(void **state)
{
	(void)state;
	assert_int_equal(flow_check(), OK);
	for (int n = 0; n < STEP_COUNT; n++) {
		enum step found;
		assert_int_equal(flow_step_parse(flow_steps[n].name, &found), OK);
		assert_int_equal(found, n);
		assert_true(strlen(flow_steps[n].name) < sizeof(((struct job *)NULL)->step));
		assert_true(strlen(flow_steps[n].leaves_behind) > 0);
	}
}

static void a_step_of_another_version_is_named(void **state)
{
	enum step found;

	(void)state;
	assert_int_equal(flow_step_parse("learn", &found), E_INTERNAL);
	assert_non_null(strstr(status_message(), "'learn'"));
}

static void operations_get_ids_from_the_incident_and_their_purpose(void **state)
{
	SCOPE(mem);
	struct incident i = {.uid = "0123456789abcdef0123456789abcdef"};
	struct run a = {.mem = mem, .incident = &i};
	struct run b = {.mem = mem, .incident = &i};

	(void)state;
	run_comment(&a, "one", "text");
	run_comment(&a, "two", "text");
	run_comment(&b, "one", "text");
	assert_int_equal(a.op_count, 2);
	assert_string_equal(a.ops[0].uuid, b.ops[0].uuid);
	assert_string_not_equal(a.ops[0].uuid, a.ops[1].uuid);
	assert_int_equal(strlen(a.ops[0].uuid), 36);
	assert_int_equal(a.ops[0].uuid[14], '4');
}

static void a_spent_remedy_is_remembered(void **state)
{
	SCOPE(mem);
	struct plan p = {.function = "f", .digest = "d"};
	struct incident i = {.uid = "u", .plan = &p};
	struct run run = {.mem = mem, .incident = &i};
	struct outcome out = {0};

	(void)state;
	assert_int_equal(run_replan(&run, &out, "failed", "it broke"), OK);
	assert_int_equal(out.next, STEP_plan);
	assert_int_equal(i.plans_tried, 1);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(i.rejected, 0), "reason")),
		"it broke");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_of_steps_is_sound),
		cmocka_unit_test(a_step_of_another_version_is_named),
		cmocka_unit_test(operations_get_ids_from_the_incident_and_their_purpose),
		cmocka_unit_test(a_spent_remedy_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
