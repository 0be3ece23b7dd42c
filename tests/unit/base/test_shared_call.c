#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/shared_call.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "base/mem.h"

enum { ASKERS = 32, ASKS = 20 };

static atomic_int made, living, under_way;

struct answer {
	int number; /* of the call, counted when it begins */
};

static int die(struct answer *a)
{
	(void)a;
	atomic_fetch_sub(&living, 1);
	return 0;
}

static void *make(const void *arg)
{
	const struct timespec ms = {.tv_nsec = 1000000};
	struct answer *a = NEW(NULL, struct answer);

	(void)arg;
	assert_int_equal(atomic_fetch_add(&under_way, 1), 0);
	a->number = atomic_fetch_add(&made, 1) + 1;
	atomic_fetch_add(&living, 1);
	talloc_set_destructor(a, die);
	nanosleep(&ms, NULL);
	atomic_fetch_sub(&under_way, 1);
	return a;
}

static int reset(void **state)
{
	*state = shared_call_new(NULL);
	atomic_store(&made, 0);
	return 0;
}

static int clean(void **state)
{
	talloc_free(*state);
	return atomic_load(&living);
}

static void each_who_asks_alone_gets_a_call_of_his_own(void **state)
{
	for (int n = 1; n <= 3; n++) {
		SCOPE(mem);
		const struct answer *a = shared_call_get(mem, *state, make, NULL);
		assert_int_equal(a->number, n);
	}
}

static void a_result_stays_while_somebody_holds_it_and_no_longer(void **state)
{
	void *first = talloc_new(NULL);
	void *second = talloc_new(NULL);
	const struct answer *a = shared_call_get(first, *state, make, NULL);
	const struct answer *b = shared_call_get(second, *state, make, NULL);

	assert_int_equal(a->number, 1);
	assert_int_equal(b->number, 2);
	assert_int_equal(atomic_load(&living), 2);
	talloc_free(first);
	assert_int_equal(atomic_load(&living), 1);
	talloc_free(second);
	assert_int_equal(atomic_load(&living), 0);
}

static void *ask(void *call)
{
	intptr_t wrong = 0;

	for (int n = 0; n < ASKS; n++) {
		SCOPE(mem);
		int before = atomic_load(&made);
		const struct answer *a = shared_call_get(mem, call, make, NULL);
		wrong += a->number <= before; /* begun before the question */
	}
	return (void *)wrong;
}

static void many_share_a_call_and_none_gets_an_older_answer(void **state)
{
	pthread_t threads[ASKERS];
	void *wrong = NULL;

	for (int n = 0; n < ASKERS; n++)
		pthread_create(&threads[n], NULL, ask, *state);
	for (int n = 0; n < ASKERS; n++) {
		pthread_join(threads[n], &wrong);
		assert_null(wrong);
	}
	assert_in_range(atomic_load(&made), ASKS, ASKERS * ASKS / 4);
}

int main(void)
{
#define CALL_TEST(name) cmocka_unit_test_setup_teardown(name, reset, clean)
	const struct CMUnitTest tests[] = {
		CALL_TEST(each_who_asks_alone_gets_a_call_of_his_own),
		CALL_TEST(a_result_stays_while_somebody_holds_it_and_no_longer),
		CALL_TEST(many_share_a_call_and_none_gets_an_older_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
