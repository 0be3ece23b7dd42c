#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "clients/bucket.h"
#include "scripted.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LIST(more, keys) \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult " \
	"xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>vault</Name>" more keys \
	"</ListBucketResult>"
#define KEY(name) "<Contents><ETag>&quot;0&quot;</ETag><Key>" name "</Key><Size>1</Size></Contents>"
#define ERROR(code) "<Error><Code>" code "</Code><Message>said &amp; done</Message></Error>"

static struct bucket bucket_at(void *mem, const struct scripted *s)
{
	return (struct bucket){.http = scripted_client(mem),
			       .endpoint = scripted_url(s),
			       .region = "us-east-1",
			       .name = "vault",
			       .prefix = "some/where",
			       .key_id = "ID",
			       .secret = "very-secret",
			       .token = "",
			       .timeout_ms = 5000};
}

static void a_bucket_and_its_prefix_are_read(void **state)
{
	static const struct {
		const char *text, *name, *prefix; /* name NULL: refused */
	} CASES[] = {
		{"s3://vault", "vault", ""},
		{"s3://vault/", "vault", ""},
		{"s3://vault/a/b/", "vault", "a/b"},
		{"s3://va.u-lt/a_b.c", "va.u-lt", "a_b.c"},
		{"s3://", NULL, NULL},
		{"s3://ab/x", NULL, NULL},
		{"s3:///x", NULL, NULL},
		{"s3://vault//x", NULL, NULL},
		{"s3://vault/../x", NULL, NULL},
		{"s3://vault/a b", NULL, NULL},
		{"s3://vault/a?x=1", NULL, NULL},
		{"s3://user:secret@vault", NULL, NULL},
		{"http://vault/x", NULL, NULL},
		{"/var/backups", NULL, NULL},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		const char *name = NULL;
		const char *prefix = NULL;
		enum status s = bucket_parse(mem, CASES[n].text, &name, &prefix);
		if ((s == OK) != (CASES[n].name != NULL))
			fail_msg("%s", CASES[n].text);
		if (s == OK)
			assert_string_equal(name, CASES[n].name);
		if (s == OK)
			assert_string_equal(prefix, CASES[n].prefix);
	}
}

static void a_put_is_signed_and_its_object_stands_below_the_prefix(void **state)
{
	static const struct turn TURNS[] = {{.code = 200, .body = ""}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct bucket b = bucket_at(mem, s);

	(void)state;
	b.token = "session-token";
	assert_int_equal(bucket_put(&b, "one/two.part", "bytes", 5), OK);
	assert_int_equal(scripted_count(s, "PUT /vault/some/where/one/two.part HTTP/1.1"), 1);
	assert_string_equal(scripted_body(s, 0), "bytes");
	assert_true(scripted_has_line(s, 0, str_fmt(mem, "Host: %s", scripted_address(s))));
	assert_non_null(
		strstr(scripted_request(s, 0),
		       "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token"));
	assert_true(scripted_has_line(s, 0, "x-amz-security-token: session-token"));
	assert_null(strstr(scripted_request(s, 0), "very-secret"));
}

static void what_is_there_is_read_and_what_is_not_is_not_found(void **state)
{
	static const struct turn TURNS[] = {{.code = 200, .body = "content"},
					    {.code = 404, .body = ERROR("NoSuchKey")},
					    {.code = 404, .body = ERROR("NoSuchBucket")},
					    {.code = 204, .body = ""},
					    {.code = 404, .body = ERROR("NoSuchKey")}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct bucket b = bucket_at(mem, s);
	char *text = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(bucket_get(mem, &b, "x", 1000, &text, &n), OK);
	assert_int_equal(n, 7);
	assert_string_equal(text, "content");
	assert_int_equal(bucket_get(mem, &b, "x", 1000, &text, &n), E_NOTFOUND);
	assert_int_equal(bucket_get(mem, &b, "x", 1000, &text, &n), E_INVALID);
	assert_non_null(strstr(status_message(), "NoSuchBucket: said & done"));
	assert_int_equal(bucket_remove(&b, "x"), OK);
	assert_int_equal(bucket_remove(&b, "x"), OK);
	assert_int_equal(scripted_count(s, "DELETE /vault/some/where/x "), 2);
}

static void a_busy_or_broken_server_is_tried_again(void **state)
{
	static const struct turn TURNS[] = {{.code = 503, .body = ERROR("SlowDown")},
					    {.act = ACT_RESET},
					    {.code = 429, .body = ""},
					    {.code = 500, .body = ERROR("InternalError")},
					    {.code = 200, .body = ""}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct bucket b = bucket_at(mem, s);

	(void)state;
	assert_int_equal(bucket_put(&b, "x", "bytes", 5), OK);
	assert_int_equal(scripted_count(s, "PUT /vault/some/where/x "), 5);
}

static void a_server_that_stays_broken_is_given_up(void **state)
{
	static const struct turn TURNS[] = {
		{.code = 500, .body = ERROR("InternalError"), .always = true}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct bucket b = bucket_at(mem, s);

	(void)state;
	assert_int_equal(bucket_put(&b, "x", "bytes", 5), E_TRANSIENT);
	assert_non_null(strstr(status_message(), "bucket vault: answered 500 InternalError"));
	assert_int_equal(scripted_connections(s), 5);
}

static void a_long_pause_is_left_to_the_caller(void **state)
{
	static const struct turn TURNS[] = {{.code = 503,
					     .body = ERROR("SlowDown"),
					     .headers = "Retry-After: 60\r\n",
					     .always = true}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct bucket b = bucket_at(mem, s);

	(void)state;
	assert_int_equal(bucket_put(&b, "x", "bytes", 5), E_RATE);
	assert_int_equal(status_retry_after_ms(), 60000);
	assert_int_equal(scripted_connections(s), 1);
}

static void refused_keys_are_not_tried_again(void **state)
{
	static const struct turn TURNS[] = {
		{.code = 403, .body = ERROR("SignatureDoesNotMatch"), .always = true}};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct bucket b = bucket_at(mem, s);

	(void)state;
	assert_int_equal(bucket_put(&b, "x", "bytes", 5), E_DENIED);
	assert_int_equal(scripted_connections(s), 1);
}

static void a_list_goes_on_over_all_its_pages(void **state)
{
	static const struct turn TURNS[] = {
		{.match = "continuation-token=a%2Fb%3D%26&list-type=2",
		 .code = 200,
		 .body = LIST("<IsTruncated>false</IsTruncated>", KEY("some/where/c"))},
		{.code = 200,
		 .body = LIST("<IsTruncated>true</IsTruncated><NextContinuationToken>a/b=&amp;"
			      "</NextContinuationToken>",
			      KEY("some/where/a") KEY("some/where/b&amp;&lt;")
				      KEY("some/wherever"))},
	};
	SCOPE(mem);
	struct scripted *s = scripted_start(mem, TURNS, COUNT(TURNS));
	struct bucket b = bucket_at(mem, s);
	char **names = NULL;
	size_t count = 0;

	(void)state;
	assert_int_equal(bucket_list(mem, &b, &names, &count), OK);
	assert_int_equal(count, 3);
	assert_string_equal(names[0], "a");
	assert_string_equal(names[1], "b&<");
	assert_string_equal(names[2], "c");
	assert_int_equal(scripted_unexpected(s), 0);
}

static void a_list_that_is_none_or_ends_in_the_middle_is_refused(void **state)
{
	static const char *const CASES[] = {
		"",
		"<html>hello</html>",
		LIST("<IsTruncated>true</IsTruncated>", KEY("some/where/a")),
		LIST("<IsTruncated>true</IsTruncated><NextContinuationToken></"
		     "NextContinuationToken>",
		     ""),
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		char **names = NULL;
		char *next = NULL;
		size_t count = 0;
		assert_int_equal(bucket_decode_list(mem, CASES[n], strlen(CASES[n]), "", &names,
						    &count, &next),
				 E_INVALID);
	}
}

static void nobody_there_is_worth_another_try_later(void **state)
{
	SCOPE(mem);
	struct bucket b = {.http = scripted_client(mem),
			   .endpoint = scripted_nobody(mem),
			   .region = "r",
			   .name = "vault",
			   .prefix = "",
			   .key_id = "ID",
			   .secret = "very-secret",
			   .timeout_ms = 1000};

	(void)state;
	assert_int_equal(bucket_put(&b, "x", "", 0), E_TRANSIENT);
	assert_non_null(strstr(status_message(), "bucket vault at http://127.0.0.1:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_and_its_prefix_are_read),
		cmocka_unit_test(a_put_is_signed_and_its_object_stands_below_the_prefix),
		cmocka_unit_test(what_is_there_is_read_and_what_is_not_is_not_found),
		cmocka_unit_test(a_busy_or_broken_server_is_tried_again),
		cmocka_unit_test(a_server_that_stays_broken_is_given_up),
		cmocka_unit_test(a_long_pause_is_left_to_the_caller),
		cmocka_unit_test(refused_keys_are_not_tried_again),
		cmocka_unit_test(a_list_goes_on_over_all_its_pages),
		cmocka_unit_test(a_list_that_is_none_or_ends_in_the_middle_is_refused),
		cmocka_unit_test(nobody_there_is_worth_another_try_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
