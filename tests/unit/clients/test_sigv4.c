/* The published examples: the Signature Version 4 test suite, and the four of Amazon S3's
 * documentation. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "clients/sigv4.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SUITE_MS INT64_C(1440938160000) /* 2015-08-30T12:36:00Z */
#define S3_MS INT64_C(1369353600000)	/* 2013-05-24T00:00:00Z */

static const struct sigv4_key SUITE = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
				       "us-east-1", "service"};
static const struct sigv4_key S3 = {"AKIAIOSFODNN7EXAMPLE",
				    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1", "s3"};

static void signs(const struct sigv4_key *k, const struct sigv4_request *q, const char *names,
		  const char *signature)
{
	SCOPE(mem);
	const char *text = sigv4_sign(mem, k, q);

	if (strstr(text, names) == NULL || strcmp(text + strlen(text) - 64, signature) != 0)
		fail_msg("%s: %s", q->url, text);
}

static void the_test_suite_is_signed_as_published(void **state)
{
	static const struct http_header HEADERS[] = {{"host", "example.amazonaws.com"},
						     {"x-amz-date", "20150830T123600Z"}};
	static const struct {
		const char *method, *url, *signature;
	} CASES[] = {
		{"GET", "https://example.amazonaws.com/",
		 "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"POST", "https://example.amazonaws.com/",
		 "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1",
		 "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"GET", "https://example.amazonaws.com/%E1%88%B4",
		 "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
		/* the same address, spelt otherwise */
		{"GET", "https://example.amazonaws.com/%e1%88%b4",
		 "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
		{"GET", "https://example.amazonaws.com",
		 "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		const struct sigv4_request q = {CASES[n].method, CASES[n].url, HEADERS, 2,
						NOTHING,	 SUITE_MS};
		signs(&SUITE, &q,
		      "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
		      "SignedHeaders=host;x-amz-date, Signature=",
		      CASES[n].signature);
	}
}

static void the_examples_of_s3_are_signed_as_published(void **state)
{
	static const struct http_header GET[] = {{"x-amz-date", "20130524T000000Z"},
						 {"x-amz-content-sha256", NOTHING},
						 {"range", "bytes=0-9"},
						 {"host", "examplebucket.s3.amazonaws.com"}};
	static const struct sigv4_request READ = {
		"GET", "https://examplebucket.s3.amazonaws.com/test.txt", GET, 4, NOTHING, S3_MS};

	(void)state;
	signs(&S3, &READ, "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, ",
	      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void a_body_is_signed_by_its_digest(void **state)
{
	SCOPE(mem);
	const char *digest = id_sha256(mem, "Welcome to Amazon S3.", 21);
	const struct http_header headers[] = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
					      {"host", "examplebucket.s3.amazonaws.com"},
					      {"x-amz-content-sha256", digest},
					      {"x-amz-date", "20130524T000000Z"},
					      {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};
	const struct sigv4_request put = {
		"PUT",	 "https://examplebucket.s3.amazonaws.com/test%24file.text",
		headers, 5,
		digest,	 S3_MS};

	(void)state;
	signs(&S3, &put,
	      "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, ",
	      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void queries_are_signed_in_order_and_with_their_equals_sign(void **state)
{
	static const struct http_header HEADERS[] = {{"host", "examplebucket.s3.amazonaws.com"},
						     {"x-amz-content-sha256", NOTHING},
						     {"x-amz-date", "20130524T000000Z"}};
	static const struct {
		const char *query, *signature;
	} CASES[] = {
		{"lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		{"max-keys=2&prefix=J",
		 "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
		{"prefix=J&max-keys=2",
		 "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		char url[160] = "https://examplebucket.s3.amazonaws.com/?";
		strncat(url, CASES[n].query, 60);
		const struct sigv4_request q = {"GET", url, HEADERS, 3, NOTHING, S3_MS};
		signs(&S3, &q, "SignedHeaders=host;x-amz-content-sha256;x-amz-date, ",
		      CASES[n].signature);
	}
}

static void the_time_is_written_as_the_service_wants_it(void **state)
{
	char text[SIGV4_TIME_BYTES];

	(void)state;
	sigv4_time(text, SUITE_MS + 999);
	assert_string_equal(text, "20150830T123600Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_test_suite_is_signed_as_published),
		cmocka_unit_test(the_examples_of_s3_are_signed_as_published),
		cmocka_unit_test(a_body_is_signed_by_its_digest),
		cmocka_unit_test(queries_are_signed_in_order_and_with_their_equals_sign),
		cmocka_unit_test(the_time_is_written_as_the_service_wants_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
