#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

static void new_memory_is_zero(void **state)
{
	SCOPE(tmp);

	(void)state;
	const int64_t *one = NEW(tmp, int64_t);
	int32_t *many = NEW_ARRAY(tmp, int32_t, 100);
	assert_int_equal(*one, 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(many[i], 0);
	many[99] = 7;
	many = GROW(tmp, many, int32_t, 1000);
	assert_int_equal(many[99], 7);
}

static int count_end(int **count)
{
	(**count)++;
	return 0;
}

static void a_scope_ends_with_its_block(void **state)
{
	int ended = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		SCOPE(tmp);
		int **child = NEW(tmp, int *);
		*child = &ended;
		talloc_set_destructor(child, count_end);
		assert_int_equal(ended, i);
	}
	assert_int_equal(ended, 3);
}

static void an_owned_value_is_dropped_with_its_tree(void **state)
{
	void *mem = talloc_new(NULL);
	json_t *value = json_object();

	(void)state;
	assert_ptr_equal(mem_own(mem, json_incref(value)), value);
	assert_int_equal(value->refcount, 2);
	talloc_free(mem);
	assert_int_equal(value->refcount, 1);
	json_decref(value);
}

static void no_memory_ends_the_process(void **state)
{
	int how = 0;

	(void)state;
	pid_t child = fork();
	if (child == 0) {
		close(STDERR_FILENO);
		mem_check(NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &how, 0), child);
	assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_memory_is_zero),
		cmocka_unit_test(a_scope_ends_with_its_block),
		cmocka_unit_test(an_owned_value_is_dropped_with_its_tree),
		cmocka_unit_test(no_memory_ends_the_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
