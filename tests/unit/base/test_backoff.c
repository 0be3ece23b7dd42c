#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/backoff.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void delays_grow_to_the_cap(void **state)
{
	static const struct {
		struct backoff b;
		int attempt;
		double jitter;
		int64_t asked_ms, delay_ms;
	} CASES[] = {
		{{1000, 60000}, 1, 0.999, 0, 999},
		{{1000, 60000}, 1, 0, 0, 500},
		{{1000, 60000}, 1, 0.6, 0, 600},
		{{1000, 60000}, 2, 0.5, 0, 1000},
		{{1000, 60000}, 3, 0.5, 0, 2000},
		{{1000, 60000}, 6, 0.5, 0, 16000},
		{{1000, 60000}, 7, 0.5, 0, 30000},
		{{1000, 60000}, 1000000, 0.5, 0, 30000},
		{{1000, 60000}, 10, 0, 0, 500},
		{{1000, 60000}, 1, 0.5, 7000, 7000},
		{{1000, 60000}, 1, 0.5, 120000, 120000},
		{{1000, 60000}, 10, 0.5, 7000, 30000},
		{{1000, 100}, 1, 0.9, 0, 500},
		{{0, 60000}, 2147483647, 0.5, 0, 0},
		{{1, INT64_MAX}, 2147483647, 0.5, 0, INT64_MAX / 2 + 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		print_message("# row %zu\n", i);
		assert_int_equal(backoff_delay(CASES[i].b, CASES[i].attempt, CASES[i].jitter,
					       CASES[i].asked_ms),
				 CASES[i].delay_ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(delays_grow_to_the_cap)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
