#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/redact.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void secrets_in_text_are_hidden(void **state)
{
	static const struct {
		const char *text, *shown;
	} CASES[] = {
		{"password=tulip7", "password=[redacted]"},
		{"PASSWORD: tulip7, next", "PASSWORD: [redacted], next"},
		{"{\"db_password\": \"tul\\\"ip\", \"a\": 1}",
		 "{\"db_password\": \"[redacted]\", \"a\": 1}"},
		{"{\\\"token\\\":\\\"tulip\\\"}", "{\\\"token\\\":\\\"[redacted]\\\"}"},
		{"--api-key='a b c' rest", "--api-key='[redacted]' rest"},
		{"x-api-key: 12", "x-api-key: [redacted]"},
		{"Authorization: Bearer abcdefgh end", "Authorization: [redacted] end"},
		{"sent Bearer abcdefgh.ij-k end", "sent Bearer [redacted] end"},
		{"Basic dXNlcjpwYXNz", "Basic [redacted]"},
		{"Basic check", "Basic check"},
		{"curl https://amy:tulip@db.test:5432/x", "curl https://[redacted]@db.test:5432/x"},
		{"see eyJhbGciOi.eyJzdWIi.c2ln-nat_ure.", "see [redacted]"},
		{"key ghp_0123456789abcdef0123 leaked", "key [redacted] leaked"},
		{"AKIAABCDEFGHIJKLMNOP", "[redacted]"},
		{"word aB3dE5fG7hI9jK1lM3nO5pQ7 end", "word [redacted] end"},
		{"write to amy.b+c@mail.example.test, please", "write to [e-mail], please"},
		{"card 4111 1111 1111 1111.", "card [card]."},
		{"card 4111-1111-1111-1111", "card [card]"},
		{"5500005555555559", "[card]"},
		{"-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\nafter",
		 "[private key]\nafter"},
		{"-----BEGIN PRIVATE KEY-----\ncut", "[private key]"},
		{"\\npassword=tulip", "\\npassword=[redacted]"},
		{"PRIVATE_KEY=-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE "
		 "KEY-----\nx",
		 "PRIVATE_KEY=[private key]\nx"},
		{"private_key: -----BEGIN PRIVATE KEY-----\nMIIE", "private_key: [private key]"},
		{"-----BEGIN PRIVATE KEY ----\nMIIE\n-----END PRIVATE KEY-----", "[private key]"},
		{"token: -----BEGIN PRIVATE KEY\nMIIE", "token: [private key]"},
		{"secret=-----BEGIN THING----- ab -----END THING----- x", "secret=[redacted] x"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(redact_text(tmp, CASES[i].text), CASES[i].shown);
}

static void a_value_is_hidden_to_its_end(void **state)
{
	static const struct {
		const char *text, *shown;
	} CASES[] = {
		{"Authorization: Token tulip x\nnext", "Authorization: [redacted]\nnext"},
		{"authorization: Digest username=\"amy\", response=\"tulip\"\r\nb",
		 "authorization: [redacted]\r\nb"},
		{"Proxy-Authorization=Negotiate tulip", "Proxy-Authorization=[redacted]"},
		{"'Authorization': Token tulip x", "'Authorization': [redacted]"},
		{"Authorization: Bearer  tulip end", "Authorization: [redacted] end"},
		{"sent Bearer \tabcdefgh.ij-k end", "sent Bearer \t[redacted] end"},
		{"Cookie: theme=dark; sid=abc\nHost: a", "Cookie: [redacted]\nHost: a"},
		{"Set-Cookie: sid=abc; Path=/", "Set-Cookie: [redacted]"},
		{"authorization-mode=RBAC --port=1", "authorization-mode=[redacted] --port=1"},
		{"password := tulip end", "password := [redacted] end"},
		{"{\"token\" => \"tu lip\"}", "{\"token\" => \"[redacted]\"}"},
		{"secret == 'tu lip'", "secret == '[redacted]'"},
		{"password=ab&cd)ef", "password=[redacted]"},
		{"password=a,b;c<d>{e}[f](g) end", "password=[redacted] end"},
		{"password=(tulip", "password=[redacted]"},
		{"password=it's\"so end", "password=[redacted] end"},
		{"a?token=ab&cd)ef&user=amy", "a?token=[redacted]&user=amy"},
		{"Password=t;u;Server=db; x", "Password=[redacted];Server=db; x"},
		{"password=a,b,user=amy", "password=[redacted],user=amy"},
		{"secret=a; pod=b", "secret=[redacted]; pod=b"},
		{"{\"url\": \"a?token=tulip\", \"b\": 1}",
		 "{\"url\": \"a?token=[redacted]\", \"b\": 1}"},
		{"['token=tulip']", "['token=[redacted]']"},
		{"{\"token\":12,\"a\":1}", "{\"token\":[redacted],\"a\":1}"},
		{"{\"cookie\":-1e3, \"a\":1}", "{\"cookie\":[redacted], \"a\":1}"},
		{"{\"a\":[{\"token\":false}]}", "{\"a\":[{\"token\":[redacted]}]}"},
		{"{\\\"token\\\":null,\\\"a\\\":1}", "{\\\"token\\\":[redacted],\\\"a\\\":1}"},
		{"'password': 12,34)tulip", "'password': [redacted]"},
		{"\"password\":nullify", "\"password\":[redacted]"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(redact_text(tmp, CASES[i].text), CASES[i].shown);
}

/* {"token":…,"a":"b"} in a string of JSON, and that in a string of JSON, … */
static char *nested(void *mem, const char *token, int levels)
{
	json_t *object = mem_own(mem, json_pack("{s:s, s:s}", "token", token, "a", "b"));
	char *text = json_text(mem, object);

	while (levels-- > 0)
		text = json_text(mem, mem_own(mem, json_pack("{s:s, s:i}", "in", text, "b", 1)));
	return text;
}

static void a_quoted_value_is_hidden_to_its_own_quote(void **state)
{
	static const char *const VALUES[] = {
		"tulip",     "tu\"lip",	   "tu\\lip",	       "tulip\\",
		"\"",	     "tu\\\"lip",  "tulip\\\\\"",      "\\\\",
		"{\"a\":1}", "\"a\\\"b\"", "a\",\"token\":\"b"};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(VALUES); i++)
		for (int levels = 0; levels < 4; levels++)
			assert_string_equal(redact_text(tmp, nested(tmp, VALUES[i], levels)),
					    nested(tmp, "[redacted]", levels));
	assert_string_equal(redact_text(tmp, "{\"in\":\"{\\\"token\\\":\\\"tulip\",\"a\":\"b\"}"),
			    "{\"in\":\"{\\\"token\\\":\\\"[redacted]\",\"a\":\"b\"}");
	assert_string_equal(redact_text(tmp, "token='tulip\\"), "token='[redacted]");
}

static void an_object_or_array_behind_a_telling_name_is_hidden_whole(void **state)
{
	static const struct {
		const char *text, *shown;
	} CASES[] = {
		{"{\"tokens\":[\"tu]lip\",{\"a\":\"\\\"}\"}],\"b\":1, cut",
		 "{\"tokens\":[redacted],\"b\":1, cut"},
		{"{\\\"secret\\\": {\\\"a\\\":\\\"tu}lip\\\",\\\"b\\\":[1]},\\\"c\\\":1}",
		 "{\\\"secret\\\": [redacted],\\\"c\\\":1}"},
		{"{'password': ['tulip', 12], 'b': 1", "{'password': [redacted], 'b': 1"},
		{"{\"tokens\":[\"tulip\",{\"a\":[1]}", "{\"tokens\":[redacted]"},
		{"{\"credentials\":{\"a\":\"tulip", "{\"credentials\":[redacted]"},
		{"{\"credentials\":[", "{\"credentials\":[redacted]"},
		{"{\"credentials\": ", "{\"credentials\": "},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(redact_text(tmp, CASES[i].text), CASES[i].shown);
}

/* Each of these begins behind what could be a letter of its own word. */
static void a_word_begins_behind_an_escape_or_an_underscore(void **state)
{
	static const struct {
		const char *text, *shown;
	} CASES[] = {
		{"a\\t4111111111111111", "a\\t[card]"},
		{"a\\r\\n4111111111111111", "a\\r\\n[card]"},
		{"a\\rghp_0123456789abcdef0123", "a\\r[redacted]"},
		{"a\\tauth=tulip", "a\\tauth=[redacted]"},
		{"a\\tdsn: tulip", "a\\tdsn: [redacted]"},
		{"a\\u00264111111111111111", "a\\u0026[card]"},
		{"\\u003cghp_0123456789abcdef0123\\u003e", "\\u003c[redacted]\\u003e"},
		{"a\\x4111111111111111", "a\\x4111111111111111"},
		{"_token=tulip", "_token=[redacted]"},
		{"{\"__password\":\"tulip\"}", "{\"__password\":\"[redacted]\"}"},
		{"_amy@mail.test", "[e-mail]"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(redact_text(tmp, CASES[i].text), CASES[i].shown);
}

static void what_is_no_secret_stays(void **state)
{
	static const char *const CASES[] = {
		"",
		"pod api-7f9c5d6b4-x2x9z in namespace shop is not ready",
		"4111 1111 1111 1112",			 /* a wrong check digit */
		"1732464000000 and 1732464000000000001", /* times */
		"f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
		"0f343b0931126a20f133d67c2b018a3b5c1d2e3f405162738495a6b7c8d9eaf0",
		"password must not be empty",
		"the token: ",
		"https://prometheus.test:9090/graph?g0.expr=up",
		"a@b, @, x@y.z1",
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
		"-----BEGIN CERTIFICATE\nthe PRIVATE KEY-----",
		"data.labels.pod must be a string",
		"grüße ☂",
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(redact_text(tmp, CASES[i]), CASES[i]);
}

static void members_with_telling_names_are_hidden_whole(void **state)
{
	static const char IN[] =
		"{\"labels\":{\"pod\":\"p\",\"Api_Key\":\"q\"},\"password\":{\"a\":[1]},\"n\":5,"
		"\"token\":null,\"env\":[{\"name\":\"DB_PASSWORD\",\"value\":\"tulip\"},"
		"{\"name\":\"PORT\",\"value\":\"1\"}],\"note\":\"secret=tulip by a@b.test\"}";
	static const char WANT[] =
		"{\"env\":[{\"name\":\"DB_PASSWORD\",\"value\":\"[redacted]\"},"
		"{\"name\":\"PORT\",\"value\":\"1\"}],\"labels\":{\"Api_Key\":\"[redacted]\","
		"\"pod\":\"p\"},\"n\":5,\"note\":\"secret=[redacted] by [e-mail]\","
		"\"password\":\"[redacted]\",\"token\":null}";
	SCOPE(tmp);
	json_t *in = NULL;

	(void)state;
	assert_int_equal(json_parse(tmp, IN, strlen(IN), &in), OK);
	assert_string_equal(json_text(tmp, redact_json(tmp, in)), WANT);
	assert_non_null(strstr(json_text(tmp, in), "tulip")); /* the original is untouched */
}

static void a_long_name_tells_wherever_it_does(void **state)
{
	SCOPE(tmp);
	const char *filler = str_fmt(tmp, "%0150d", 0);
	const char *names[] = {
		str_fmt(tmp, "%s_pass-word", filler),
		str_fmt(tmp, "PassWord_%s", filler),
		str_fmt(tmp, "%s_API-key_%s", filler, filler),
		str_fmt(tmp, "%s_db.pwd", filler),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		assert_string_equal(redact_text(tmp, str_fmt(tmp, "%s=tulip x", names[i])),
				    str_fmt(tmp, "%s=[redacted] x", names[i]));
		assert_true(redact_is_telling(names[i]));
	}
	assert_string_equal(redact_text(tmp, str_fmt(tmp, "%s.auth=tulip", filler)),
			    str_fmt(tmp, "%s.auth=[redacted]", filler));
	assert_false(redact_is_telling(str_fmt(tmp, "%s_author", filler)));
}

static void numbers_and_names_of_members_are_masked_too(void **state)
{
	static const struct {
		const char *in, *want;
	} CASES[] = {
		{"{\"n\":4111111111111111}", "{\"n\":\"[card]\"}"},
		{"[-4111111111111111,4111111111111111.0]", "[\"[card]\",\"[card]\"]"},
		{"[4111111111111112,1732464000000,0.5,-1,1e22]",
		 "[4111111111111112,1732464000000,0.5,-1,1e22]"},
		{"{\"a@b.test\":1,\"plain\":2}", "{\"[e-mail]\":1,\"plain\":2}"},
		{"{\"a@b.test\":1,\"c@d.test\":2}", "{\"[e-mail]\":1,\"[e-mail] 2\":2}"},
		{"{\"[e-mail] 3\":1,\"a@b.test\":2,\"c@d.test\":3,\"e@f.test\":4}",
		 "{\"[e-mail]\":2,\"[e-mail] 2\":3,\"[e-mail] 3\":1,\"[e-mail] 4\":4}"},
		{"{\"4111111111111111\":{\"ghp_0123456789abcdef0123\":0}}",
		 "{\"[card]\":{\"[redacted]\":0}}"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		json_t *in = NULL;
		assert_int_equal(json_parse(tmp, CASES[i].in, strlen(CASES[i].in), &in), OK);
		assert_string_equal(json_text(tmp, redact_json(tmp, in)), CASES[i].want);
	}
}

static void reasons_of_one_kind_have_one_pattern(void **state)
{
	static const struct {
		const char *reason, *pattern;
	} CASES[] = {
		{"line 3, column 17: '}' expected near 'x'",
		 "line <n>, column <n>: <…> expected near <…>"},
		{"events[12].data.labels.pod must be a string",
		 "events[<n>].data.labels.pod must be a string"},
		{"no answer from f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "no answer from <id>"},
		{"trace 4bf92f3577b34da6a3ce929d0e0e4736 failed", "trace <id> failed"},
		{"the peer's answer was 503", "the peer's answer was <n>"},
		{"assignee amy@mail.test is unknown", "assignee <e-mail> is unknown"},
		{"specversion must be \"1.0\"", "specversion must be <…>"},
		{"defaced face", "defaced face"},
		{"unended \"quote", "unended \"quote"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(redact_pattern(tmp, CASES[i].reason), CASES[i].pattern);
}

static void a_reason_does_not_quote_what_a_parser_found(void **state)
{
	SCOPE(tmp);

	(void)state;
	assert_string_equal(redact_reason(tmp, "line 1, column 2: '}' expected near 'tulip'"),
			    "line 1, column 2: '}' expected near …");
	assert_string_equal(redact_reason(tmp, "token=tulip is wrong"),
			    "token=[redacted] is wrong");
}

static void a_pattern_is_bounded(void **state)
{
	SCOPE(tmp);
	char *text = talloc_zero_array(tmp, char, 5001);

	(void)state;
	memset(text, 'x', 5000);
	assert_true(strlen(redact_pattern(tmp, text)) < 210);
}

static char *again_and_again(void *mem, const char *unit, const char *tail)
{
	enum { SIZE = 1 << 20 };
	char *text = NEW_ARRAY(mem, char, SIZE + 1);

	for (size_t at = 0; at < SIZE; at++)
		text[at] = *tail != '\0' && at > SIZE / 2 ? *tail : unit[at % strlen(unit)];
	text[SIZE] = '\0';
	return text;
}

/* As long as a letter can be: each of these took minutes when a finder read to the end of the text
 * at every word, and takes a fraction of a second now. */
static void long_texts_are_read_once(void **state)
{
	static const struct {
		const char *unit, *tail;
	} CASES[] = {
		{"a.", ""},	    {"a-", ""},		  {"-----BEGIN ", ""},	 {"a+", ""},
		{"sk-a.", ""},	    {"a@", ""},		  {"://", ""},		 {"token-", ""},
		{"Bearer a ", ""},  {"4 ", ""},		  {"a.a@", ""},		 {"eyJ ", ""},
		{"x=1&", ""},	    {"\\n", ""},	  {"token-", "\\"},	 {"auth.", " "},
		{"p--", ""},	    {"token=a&b=", ""},	  {"token=&", ""},	 {"cookie=1\n", ""},
		{"\"token\":", ""}, {"\"token\":[]", ""}, {"\"token\":[", "\\"}, {"auth--", ""},
	};
	enum { SECONDS = 5 };
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		char *text = again_and_again(tmp, CASES[i].unit, CASES[i].tail);
		clock_t begun = clock();
		assert_non_null(redact_text(tmp, text));
		assert_non_null(redact_pattern(tmp, text));
		if (clock() - begun > SECONDS * CLOCKS_PER_SEC)
			fail_msg("'%s' again and again takes too long", CASES[i].unit);
	}
}

static void a_failed_scan_hides_nothing_from_the_next(void **state)
{
	static const struct {
		const char *text, *shown;
	} CASES[] = {
		{"a.b-c amy@mail.test", "a.b-c [e-mail]"},
		{"a@b amy@mail.test", "a@b [e-mail]"},
		{"a@b@mail.test", "a@[e-mail]"},
		{"a-b aB3dE5fG7hI9jK1lM3nO5pQ7", "a-b [redacted]"},
		{"a.aB3dE5fG7hI9jK1lM3nO5pQ7", "a.[redacted]"},
		{"-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nMIIB",
		 "-----BEGIN CERTIFICATE-----\n[private key]"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(redact_text(tmp, CASES[i].text), CASES[i].shown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_in_text_are_hidden),
		cmocka_unit_test(a_value_is_hidden_to_its_end),
		cmocka_unit_test(a_quoted_value_is_hidden_to_its_own_quote),
		cmocka_unit_test(an_object_or_array_behind_a_telling_name_is_hidden_whole),
		cmocka_unit_test(a_word_begins_behind_an_escape_or_an_underscore),
		cmocka_unit_test(what_is_no_secret_stays),
		cmocka_unit_test(members_with_telling_names_are_hidden_whole),
		cmocka_unit_test(a_long_name_tells_wherever_it_does),
		cmocka_unit_test(numbers_and_names_of_members_are_masked_too),
		cmocka_unit_test(reasons_of_one_kind_have_one_pattern),
		cmocka_unit_test(a_reason_does_not_quote_what_a_parser_found),
		cmocka_unit_test(a_pattern_is_bounded),
		cmocka_unit_test(long_texts_are_read_once),
		cmocka_unit_test(a_failed_scan_hides_nothing_from_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
