#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void digests_are_sha256(void **state)
{
	static const struct {
		const char *text, *digest;
	} CASES[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(id_sha256(tmp, CASES[i].text, strlen(CASES[i].text)),
				    CASES[i].digest);
}

static void random_hex_has_the_length_asked_for(void **state)
{
	SCOPE(tmp);

	(void)state;
	for (size_t n = 0; n < 40; n++) {
		const char *text = id_random_hex(tmp, n);
		assert_int_equal(strlen(text), 2 * n);
		assert_int_equal(strspn(text, "0123456789abcdef"), 2 * n);
	}
	assert_string_not_equal(id_random_hex(tmp, 16), id_random_hex(tmp, 16));
}

static void assert_uuid(const char *text)
{
	assert_int_equal(strlen(text), ID_UUID_BYTES - 1);
	for (size_t i = 0; i < 36; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23)
			assert_int_equal(text[i], '-');
		else
			assert_non_null(strchr("0123456789abcdef", text[i]));
	}
	assert_int_equal(text[14], '4');
	assert_non_null(strchr("89ab", text[19]));
}

static void a_derived_uuid_is_always_the_same(void **state)
{
	SCOPE(tmp);

	(void)state;
	const char *first = id_uuid_of(tmp, "incident-1", "ticket");
	assert_uuid(first);
	assert_string_equal(first, "5fce9e12-b8be-43d0-b64f-5b601ea48b41");
	assert_string_equal(first, id_uuid_of(tmp, "incident-1", "ticket"));
	assert_string_not_equal(first, id_uuid_of(tmp, "incident-1", "comment"));
	assert_string_not_equal(first, id_uuid_of(tmp, "incident-2", "ticket"));
}

static void random_uuids_differ(void **state)
{
	SCOPE(tmp);

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_uuid(id_uuid(tmp));
	assert_string_not_equal(id_uuid(tmp), id_uuid(tmp));
}

static void fractions_spread_below_one(void **state)
{
	int low = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		double f = id_fraction();
		assert_true(f >= 0 && f < 1);
		low += f < 0.5;
	}
	assert_in_range(low, 4000, 6000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_sha256),
		cmocka_unit_test(random_hex_has_the_length_asked_for),
		cmocka_unit_test(a_derived_uuid_is_always_the_same),
		cmocka_unit_test(random_uuids_differ),
		cmocka_unit_test(fractions_spread_below_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
