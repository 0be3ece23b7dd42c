#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/seal.h"
#include "base/str.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* bytes 00 01 … 1f, and 32 times ff */
static const char HEX[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const char BASE64[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
static const char OTHER[] = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

static struct seal *seal_of(void *mem, const char *key, const char *previous)
{
	struct seal *s = NULL;

	assert_int_equal(seal_new(mem, key, previous, "/nonexistent/key", &s), OK);
	return s;
}

static void what_is_locked_opens_again(void **state)
{
	static const size_t SIZES[] = {0, 1, 15, 16, 17, 4096, 1 << 20};
	SCOPE(tmp);
	struct seal *s = seal_of(tmp, HEX, "");

	(void)state;
	for (size_t i = 0; i < COUNT(SIZES); i++) {
		char *plain = talloc_zero_array(tmp, char, SIZES[i] + 1);
		memset(plain, 'x', SIZES[i]);
		unsigned char *locked = NULL;
		char *opened = NULL;
		size_t n, m;
		assert_int_equal(seal_lock(tmp, s, "test", plain, SIZES[i], &locked, &n), OK);
		assert_int_equal(n, SIZES[i] + SEAL_OVERHEAD);
		assert_int_equal(seal_unlock(tmp, s, "test", locked, n, &opened, &m), OK);
		assert_int_equal(m, SIZES[i]);
		assert_string_equal(opened, plain);
	}
}

static void the_text_does_not_show_and_no_two_are_alike(void **state)
{
	SCOPE(tmp);
	struct seal *s = seal_of(tmp, HEX, "");
	unsigned char *a, *b;
	size_t n, m;

	(void)state;
	assert_int_equal(seal_lock(tmp, s, "test", "a very secret text", 18, &a, &n), OK);
	assert_int_equal(seal_lock(tmp, s, "test", "a very secret text", 18, &b, &m), OK);
	assert_null(memmem(a, n, "secret", 6));
	assert_int_equal(n, m);
	assert_memory_not_equal(a, b, n);
	assert_memory_equal(a, b, 5); /* version and key id */
}

static void every_altered_byte_and_every_cut_is_noticed(void **state)
{
	SCOPE(tmp);
	struct seal *s = seal_of(tmp, HEX, "");
	unsigned char *locked;
	char *opened = NULL;
	size_t n, m;

	(void)state;
	assert_int_equal(seal_lock(tmp, s, "test", "text", 4, &locked, &n), OK);
	for (size_t i = 0; i < n; i++) {
		locked[i] ^= 1;
		enum status got = seal_unlock(tmp, s, "test", locked, n, &opened, &m);
		assert_int_equal(got, i >= 1 && i <= 4 ? E_DENIED : E_INVALID);
		locked[i] ^= 1;
		assert_int_equal(seal_unlock(tmp, s, "test", locked, i, &opened, &m), E_INVALID);
	}
	assert_null(opened);
	assert_int_equal(seal_unlock(tmp, s, "test", locked, n, &opened, &m), OK);
}

static void another_context_does_not_open(void **state)
{
	SCOPE(tmp);
	struct seal *s = seal_of(tmp, HEX, "");
	unsigned char *locked;
	char *opened;
	size_t n, m;

	(void)state;
	assert_int_equal(seal_lock(tmp, s, "dead letter", "text", 4, &locked, &n), OK);
	assert_int_equal(seal_unlock(tmp, s, "archive", locked, n, &opened, &m), E_INVALID);
}

static void the_previous_key_still_opens_and_only_the_present_one_locks(void **state)
{
	SCOPE(tmp);
	struct seal *before = seal_of(tmp, HEX, "");
	struct seal *rotated = seal_of(tmp, OTHER, BASE64); /* the same key, written otherwise */
	struct seal *after = seal_of(tmp, OTHER, "");
	unsigned char *old, *fresh;
	char *opened;
	size_t n, m, k;

	(void)state;
	assert_int_equal(seal_lock(tmp, before, "test", "text", 4, &old, &n), OK);
	assert_int_equal(seal_unlock(tmp, rotated, "test", old, n, &opened, &k), OK);
	assert_string_equal(opened, "text");
	assert_int_equal(seal_lock(tmp, rotated, "test", "text", 4, &fresh, &m), OK);
	assert_int_equal(seal_unlock(tmp, after, "test", fresh, m, &opened, &k), OK);
	assert_int_equal(seal_unlock(tmp, after, "test", old, n, &opened, &k), E_DENIED);
	/* the first bytes of SHA-256 of 00..1f */
	assert_non_null(strstr(status_message(), "630dcd29"));
}

static void what_is_no_key_is_refused_without_being_shown(void **state)
{
	static const char *const WRONG[] = {
		"short",
		"00",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHw==",
		"AAECAwQFBgcICQoLDA0O=xAREhMUFRYXGBkaGxwdHh8=",
		"AAECAwQFBgcICQoL*A0ODxAREhMUFRYXGBkaGxwdHh8=",
	};
	SCOPE(tmp);
	struct seal *s = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(WRONG); i++) {
		assert_int_equal(seal_new(tmp, WRONG[i], "", "", &s), E_INVALID);
		assert_null(strstr(status_message(), WRONG[i]));
		assert_int_equal(seal_new(tmp, HEX, WRONG[i], "", &s), E_INVALID);
	}
	assert_null(s);
}

static char *fresh_path(void *mem)
{
	char *dir = str_dup(mem, "/tmp/seal-test-XXXXXX");

	assert_non_null(mkdtemp(dir));
	return str_fmt(mem, "%s/seal.key", dir);
}

static void clear_path(void *mem, const char *path)
{
	unlink(path);
	rmdir(str_ndup(mem, path, (size_t)(strrchr(path, '/') - path)));
}

static void a_key_file_is_created_once_and_read_ever_after(void **state)
{
	SCOPE(tmp);
	const char *path = fresh_path(tmp);
	struct seal *first = NULL;
	struct seal *again = NULL;
	struct stat st;
	unsigned char *locked;
	char *opened;
	size_t n, m;

	(void)state;
	assert_int_equal(seal_new(tmp, "", "", path, &first), OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, 65);
	assert_int_equal(seal_new(tmp, "", "", path, &again), OK);
	assert_int_equal(seal_lock(tmp, first, "test", "text", 4, &locked, &n), OK);
	assert_int_equal(seal_unlock(tmp, again, "test", locked, n, &opened, &m), OK);
	clear_path(tmp, path); /* fails in rmdir when more than the key file was left */
	assert_int_not_equal(access(str_ndup(tmp, path, strlen(path) - 9), F_OK), 0);
}

static void a_key_file_that_others_may_read_is_refused(void **state)
{
	SCOPE(tmp);
	const char *path = fresh_path(tmp);
	struct seal *s = NULL;

	(void)state;
	assert_int_equal(seal_new(tmp, "", "", path, &s), OK);
	s = NULL;
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(seal_new(tmp, "", "", path, &s), E_INVALID);
	assert_non_null(strstr(status_message(), "others may read it"));
	assert_null(s);
	clear_path(tmp, path);
}

static void a_cut_key_file_is_refused_and_kept(void **state)
{
	SCOPE(tmp);
	const char *path = fresh_path(tmp);
	struct seal *s = NULL;
	struct stat st;

	(void)state;
	assert_int_equal(seal_new(tmp, "", "", path, &s), OK);
	s = NULL;
	assert_int_equal(truncate(path, 10), 0);
	assert_int_equal(seal_new(tmp, "", "", path, &s), E_INVALID);
	assert_null(s);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 10);
	clear_path(tmp, path);
}

static void a_directory_that_is_not_there_is_said(void **state)
{
	SCOPE(tmp);
	struct seal *s = NULL;

	(void)state;
	assert_int_equal(seal_new(tmp, "", "", "/nonexistent/seal.key", &s), E_INVALID);
	assert_non_null(strstr(status_message(), "/nonexistent/seal.key"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_locked_opens_again),
		cmocka_unit_test(the_text_does_not_show_and_no_two_are_alike),
		cmocka_unit_test(every_altered_byte_and_every_cut_is_noticed),
		cmocka_unit_test(another_context_does_not_open),
		cmocka_unit_test(the_previous_key_still_opens_and_only_the_present_one_locks),
		cmocka_unit_test(what_is_no_key_is_refused_without_being_shown),
		cmocka_unit_test(a_key_file_is_created_once_and_read_ever_after),
		cmocka_unit_test(a_key_file_that_others_may_read_is_refused),
		cmocka_unit_test(a_cut_key_file_is_refused_and_kept),
		cmocka_unit_test(a_directory_that_is_not_there_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
