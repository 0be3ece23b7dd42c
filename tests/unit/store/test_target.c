#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#include "base/mem.h"
#include "base/str.h"
#include "store/target.h"

struct folder {
	char *path;
	struct target *target;
};

static int set_up(void **state)
{
	char name[] = "/tmp/agent-sre-target-XXXXXX";
	struct folder *f = NEW(NULL, struct folder);

	assert_non_null(mkdtemp(name));
	f->path = str_dup(f, name);
	f->target = target_directory(f, str_fmt(f, "%s/a/b/", name));
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct folder *f = *state;

	assert_int_equal(directory_clear(f->path), OK);
	rmdir(f->path);
	talloc_free(f);
	return 0;
}

static void names_stay_inside(void **state)
{
	static const char *const BAD[] = {"",	  "/",	  "/x", "x/",  "x//y", ".",    "..",
					  "../x", "x/..", ".x", "x y", "x\n",  "x\\y", "x/.y/z"};
	static const char *const GOOD[] = {"x", "x.y", "x-1/y_2/z.part", "x..y"};
	struct folder *f = *state;
	char *text = NULL;
	size_t n = 0;

	for (size_t k = 0; k < sizeof(BAD) / sizeof(BAD[0]); k++) {
		if (target_name_fits(BAD[k]))
			fail_msg("%s", BAD[k]);
		assert_int_equal(f->target->put(f->target, BAD[k], "x", 1), E_INVALID);
		assert_int_equal(f->target->remove(f->target, BAD[k]), E_INVALID);
		assert_int_equal(f->target->get(f, f->target, BAD[k], &text, &n), E_INVALID);
	}
	for (size_t k = 0; k < sizeof(GOOD) / sizeof(GOOD[0]); k++)
		assert_true(target_name_fits(GOOD[k]));
}

static void what_is_put_can_be_read_listed_and_removed(void **state)
{
	struct folder *f = *state;
	struct target *t = f->target;
	char **names = NULL;
	char *text = NULL;
	size_t n = 1;
	struct stat st;

	assert_int_equal(t->list(f, t, &names, &n), OK);
	assert_int_equal(n, 0);
	assert_int_equal(t->get(f, t, "s/one", &text, &n), E_NOTFOUND);
	assert_int_equal(t->put(t, "s/two", "22", 2), OK);
	assert_int_equal(t->put(t, "s/one", "1", 1), OK);
	assert_int_equal(t->put(t, "s/one", "first", 5), OK);
	assert_int_equal(t->put(t, "top", "", 0), OK);
	assert_int_equal(t->list(f, t, &names, &n), OK);
	assert_int_equal(n, 3);
	assert_string_equal(names[0], "s/one");
	assert_string_equal(names[1], "s/two");
	assert_string_equal(names[2], "top");
	assert_int_equal(t->get(f, t, "s/one", &text, &n), OK);
	assert_string_equal(text, "first");
	assert_int_equal(stat(str_fmt(f, "%s/a/b/s", f->path), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(t->remove(t, "s/one"), OK);
	assert_int_equal(t->remove(t, "s/one"), OK);
	assert_int_equal(t->remove(t, "s/two"), OK);
	assert_int_not_equal(stat(str_fmt(f, "%s/a/b/s", f->path), &st), 0);
}

static void half_written_files_are_no_objects_and_go_when_they_are_old(void **state)
{
	struct folder *f = *state;
	struct target *t = f->target;
	char **names = NULL;
	size_t n = 0;
	const struct utimbuf old = {time(NULL) - 25 * 3600, time(NULL) - 25 * 3600};

	assert_int_equal(t->put(t, "s/one", "1", 1), OK);
	const char *fresh = str_fmt(f, "%s/a/b/s/.writing-1", f->path);
	const char *stale = str_fmt(f, "%s/a/b/s/.writing-2", f->path);
	assert_int_equal(file_write_durably(fresh, "x", 1), OK);
	assert_int_equal(file_write_durably(stale, "x", 1), OK);
	assert_int_equal(utime(stale, &old), 0);
	assert_int_equal(t->list(f, t, &names, &n), OK);
	assert_int_equal(n, 1);
	assert_int_equal(access(fresh, F_OK), 0);
	assert_int_not_equal(access(stale, F_OK), 0);
}

static void a_new_directory_below_this_one_is_made(void **state)
{
	struct folder *f = *state;
	char before[4096];

	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(f->path), 0);
	struct target *t = target_directory(f, "vault");
	assert_int_equal(t->put(t, "s/one", "1", 1), OK);
	assert_int_equal(access("vault/s/one", F_OK), 0);
	assert_int_equal(chdir(before), 0);
}

/* Its path fits, those of its files are too long. */
static void a_list_that_would_lack_what_is_there_fails(void **state)
{
	struct folder *f = *state;
	struct target *near = target_directory(f, f->path);
	char *far = str_dup(f, f->path);
	char **names = NULL;
	size_t count = 0;

	assert_int_equal(near->put(near, "a-name-of-twenty-two-x", "1", 1), OK);
	while (strlen(far) < 4080)
		str_add(&far, "/.");
	struct target *t = target_directory(f, far);
	assert_int_equal(t->list(f, t, &names, &count), E_INVALID);
	assert_int_equal(near->list(f, near, &names, &count), OK);
	assert_int_equal(count, 1);
}

static void a_place_that_is_no_directory_says_so(void **state)
{
	struct folder *f = *state;
	struct target *t = target_directory(f, str_fmt(f, "%s/file/inner", f->path));

	assert_int_equal(file_write_durably(str_fmt(f, "%s/file", f->path), "x", 1), OK);
	assert_int_equal(t->put(t, "one", "1", 1), E_INVALID);
	assert_non_null(strstr(status_message(), "Not a directory"));
}

static void clearing_removes_all_but_what_the_file_system_needs(void **state)
{
	struct folder *f = *state;
	const char *inner = str_fmt(f, "%s/one", f->path);

	assert_int_equal(mkdir(inner, 0700), 0);
	assert_int_equal(mkdir(str_fmt(f, "%s/lost+found", f->path), 0700), 0);
	assert_int_equal(file_write_durably(str_fmt(f, "%s/file", inner), "x", 1), OK);
	assert_int_equal(symlink("/etc", str_fmt(f, "%s/link", f->path)), 0);
	assert_int_equal(directory_clear(f->path), OK);
	assert_int_not_equal(access(inner, F_OK), 0);
	assert_int_equal(access("/etc/passwd", F_OK), 0);
	assert_int_equal(rmdir(str_fmt(f, "%s/lost+found", f->path)), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(names_stay_inside),
		TEST(what_is_put_can_be_read_listed_and_removed),
		TEST(half_written_files_are_no_objects_and_go_when_they_are_old),
		TEST(a_new_directory_below_this_one_is_made),
		TEST(a_list_that_would_lack_what_is_there_fails),
		TEST(a_place_that_is_no_directory_says_so),
		TEST(clearing_removes_all_but_what_the_file_system_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
