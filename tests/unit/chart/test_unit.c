#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "base/mem.h"
#include "chart/unit.h"

static void values_are_written_in_the_unit_that_people_use(void **state)
{
	static const struct {
		const char *unit;
		double value;
		const char *text;
	} CASES[] = {
		{"bytes", 0, "0 B"},
		{"bytes", 512, "512 B"},
		{"bytes", 536870912, "512 MiB"},
		{"bytes", 1610612736, "1.5 GiB"},
		{"s", 0.0001, "100 \u00b5s"},
		{"s", 0.12, "120 ms"},
		{"s", 2.5, "2.5 s"},
		{"s", 90, "1.5 min"},
		{"s", 0, "0 s"},
		{"cores", 1.8, "1.8 cores"},
		{"cores", 0.25, "250 millicores"},
		{"cores", 0, "0 cores"},
		{"ratio", 0.931, "93.1 %"},
		{"1/s", 210, "210/s"},
		{"1/s", 2100, "2.1 k/s"},
		{"", 1234567, "1.23 M"},
		{"", 7, "7"},
		{"unheard of", 7, "7"},
		{"ms", 1500, "1.5 s"},
		{"bytes", NAN, "unknown"},
		{"bytes", INFINITY, "unknown"},
		{"bytes", -1048576, "-1 MiB"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		assert_string_equal(unit_text(mem, CASES[n].unit, CASES[n].value), CASES[n].text);
	}
}

static void numbers_of_an_axis_have_the_decimals_of_their_step(void **state)
{
	SCOPE(mem);
	struct unit cores = unit_for("cores", 2);
	struct unit mib = unit_for("bytes", 700.0 * 1048576);

	(void)state;
	assert_string_equal(unit_tick(mem, &cores, 1, 0.5), "1.0");
	assert_string_equal(unit_tick(mem, &cores, 0.75, 0.25), "0.75");
	assert_string_equal(unit_tick(mem, &cores, 2, 1), "2");
	assert_string_equal(unit_tick(mem, &cores, 0, 0.5), "0");
	assert_string_equal(unit_tick(mem, &cores, 1e-17, 0.5), "0");
	assert_string_equal(unit_tick(mem, &mib, 400.0 * 1048576, 200.0 * 1048576), "400");
	assert_string_equal(mib.suffix, "MiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_written_in_the_unit_that_people_use),
		cmocka_unit_test(numbers_of_an_axis_have_the_decimals_of_their_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
