#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/url.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void parts_are_encoded_into_the_url(void **state)
{
	static const struct {
		const char *base;
		const char *segments[4];
		struct url_pair query[2];
		size_t query_count;
		const char *url;
	} CASES[] = {
		{"http://a", {NULL}, {{0}}, 0, "http://a/"},
		{"http://a", {"x", NULL}, {{0}}, 0, "http://a/x"},
		{"http://a/", {"x", "y", NULL}, {{0}}, 0, "http://a/x/y"},
		{"http://a/base", {"x", NULL}, {{0}}, 0, "http://a/base/x"},
		{"http://a/base/", {"x", NULL}, {{0}}, 0, "http://a/base/x"},
		{"HTTPS://a:8443/", {"x", NULL}, {{0}}, 0, "https://a:8443/x"},
		{"http://[::1]:80/", {"x", NULL}, {{0}}, 0, "http://[::1]:80/x"},
		{"http://a",
		 {"a/b c", "?#&", "100%", NULL},
		 {{0}},
		 0,
		 "http://a/a%2fb%20c/%3f%23%26/100%25"},
		{"http://a", {"größe", NULL}, {{0}}, 0, "http://a/gr%c3%b6%c3%9fe"},
		{"http://a", {"%2e", NULL}, {{0}}, 0, "http://a/%252e"},
		{"http://a", {"x", NULL}, {{"q", "a=b&c d"}}, 1, "http://a/x?q=a%3db%26c%20d"},
		{"http://a?k=1",
		 {NULL},
		 {{"q", "+"}, {"m[]", ""}},
		 2,
		 "http://a/?k=1&q=%2b&m%5b%5d="},
		{"http://a",
		 {NULL},
		 {{"query", "up{job=\"x\"}#"}},
		 1,
		 "http://a/?query=up%7bjob%3d%22x%22%7d%23"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		char *url = NULL;
		assert_int_equal(url_build(tmp, CASES[i].base, CASES[i].segments, CASES[i].query,
					   CASES[i].query_count, &url),
				 OK);
		assert_string_equal(url, CASES[i].url);
	}
}

static void no_segments_leave_the_path_alone(void **state)
{
	SCOPE(tmp);
	char *url = NULL;

	(void)state;
	assert_int_equal(url_build(tmp, "http://a/b%20c", NULL, NULL, 0, &url), OK);
	assert_string_equal(url, "http://a/b%20c");
}

static void segments_cannot_climb_out_of_the_base(void **state)
{
	static const char *const UP[] = {"x", "..", "y", NULL};
	static const char *const HERE[] = {".", NULL};
	SCOPE(tmp);
	char *url = NULL;

	(void)state;
	assert_int_equal(url_build(tmp, "http://a/base", UP, NULL, 0, &url), E_INVALID);
	assert_int_equal(url_build(tmp, "http://a/base", HERE, NULL, 0, &url), E_INVALID);
	assert_null(url);
}

static const char *const BAD[] = {"",
				  "a",
				  "/x",
				  "//a/x",
				  "a.example/x",
				  "ftp://a/",
				  "file:///x",
				  "http://",

				  "http://a b/",
				  "http://a:99999/",
				  "http://[::1",
				  "javascript:x",
				  "http://a/\nx"};

static void only_absolute_http_urls_are_taken(void **state)
{
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(BAD); i++) {
		char *url = NULL;
		if (url_check(BAD[i]) != E_INVALID)
			fail_msg("'%s' was taken", BAD[i]);
		assert_int_equal(url_build(tmp, BAD[i], NULL, NULL, 0, &url), E_INVALID);
		assert_false(url_is_plaintext_remote(BAD[i]));
		assert_string_equal(url_origin(tmp, BAD[i]), "(not a URL)");
	}
}

static void credentials_and_fragments_are_refused(void **state)
{
	static const struct {
		const char *url;
		enum status status;
	} CASES[] = {
		{"http://a", OK},
		{"https://a:1/x?y=z@w", OK},
		{"http://[::1]:9090/", OK},
		{"http://me@a/", E_INVALID},
		{"http://me:secret@a/", E_INVALID},
		{"http://:secret@a/", E_INVALID},
		{"http://a/#part", E_INVALID},
		{"http://a/#", E_INVALID},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		if (url_check(CASES[i].url) != CASES[i].status)
			fail_msg("'%s' was not judged right", CASES[i].url);
		if (CASES[i].status != OK)
			assert_null(strstr(status_message(), "secret"));
	}
}

static void plaintext_to_another_host_is_noticed(void **state)
{
	static const struct {
		const char *url;
		bool remote;
	} CASES[] = {
		{"http://a.example/", true},	       {"http://10.0.0.1:9090", true},
		{"http://[2001:db8::1]/", true},       {"http://127.a.example/", true},
		{"http://localhost.a.example/", true}, {"http://0.0.0.0/", true},
		{"https://a.example/", false},	       {"http://127.0.0.1/", false},
		{"http://127.8.9.1:1/x", false},       {"http://localhost:80", false},
		{"http://LocalHost", false},	       {"http://[::1]:80", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		if (url_is_plaintext_remote(CASES[i].url) != CASES[i].remote)
			fail_msg("'%s' was not judged right", CASES[i].url);
}

static void an_origin_tells_no_secrets(void **state)
{
	static const struct {
		const char *url;
		const char *origin;
	} CASES[] = {
		{"https://me:secret@a.example:8443/private?token=1", "https://a.example:8443"},
		{"http://a.example/x", "http://a.example"},
		{"http://[::1]:9/x", "http://[::1]:9"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(url_origin(tmp, CASES[i].url), CASES[i].origin);
}

static void addresses_are_split(void **state)
{
	static const struct {
		const char *text;
		const char *host; /* NULL = refused */
		unsigned short port;
	} CASES[] = {
		{"127.0.0.1:8000", "127.0.0.1", 8000},
		{"a.example:65535", "a.example", 65535},
		{"[::]:0", "::", 0},
		{"[fe80::1]:1", "fe80::1", 1},
		{"", NULL, 0},
		{":80", NULL, 0},
		{"a", NULL, 0},
		{"a:", NULL, 0},
		{"a:65536", NULL, 0},
		{"a:-1", NULL, 0},
		{"a: 80", NULL, 0},
		{"a:80x", NULL, 0},
		{"::1:80", NULL, 0},
		{"[]:80", NULL, 0},
		{"[:80", NULL, 0},
		{"[::1:80", NULL, 0},
		{"a]:80", NULL, 0},
		{"http://a:80", NULL, 0},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		char *host = NULL;
		unsigned short port = 0;
		enum status s = url_address(tmp, CASES[i].text, &host, &port);
		if (s != (CASES[i].host == NULL ? E_INVALID : OK))
			fail_msg("'%s' was not judged right", CASES[i].text);
		if (s != OK)
			continue;
		assert_string_equal(host, CASES[i].host);
		assert_int_equal(port, CASES[i].port);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_encoded_into_the_url),
		cmocka_unit_test(no_segments_leave_the_path_alone),
		cmocka_unit_test(segments_cannot_climb_out_of_the_base),
		cmocka_unit_test(only_absolute_http_urls_are_taken),
		cmocka_unit_test(credentials_and_fragments_are_refused),
		cmocka_unit_test(plaintext_to_another_host_is_noticed),
		cmocka_unit_test(an_origin_tells_no_secrets),
		cmocka_unit_test(addresses_are_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
