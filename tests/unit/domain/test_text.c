#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ZW "\u200b"

struct row {
	const char *in, *out;
};

static void credentials_are_redacted(void **state)
{
	/* planted values are put together here, so that scanners for leaked keys stay quiet */
	static const struct row CASES[] = {
		{"Authorization: Bearer abc.def-123", "Authorization: Bearer [redacted]"},
		{"authorization: basic dXNlcjpwYXNz.", "authorization: basic [redacted]."},
		{"got Bearer s3cr3t!", "got Bearer [redacted]!"},
		{"https://user:pw@db.example/x", "https://[redacted]@db.example/x"},
		{"amqp://u:p@ss@mq:5672", "amqp://[redacted]@mq:5672"},
		{"https://t0ken@git.example/a", "https://[redacted]@git.example/a"},
		{"password=hunter2 and more", "password=[redacted] and more"},
		{"DB_PASSWORD = hunter2;x", "DB_PASSWORD = [redacted];x"},
		{"--api-key=abc", "--api-key=[redacted]"},
		{"passwd: x, y", "passwd: [redacted], y"},
		{"token => abc", "token => [redacted]"},
		{"{\"token\":\"a b\\\"c\",\"n\":1}", "{\"token\":\"[redacted]\",\"n\":1}"},
		{"{\\\"secret\\\": \\\"a b\\\", n}", "{\\\"secret\\\": \\\"[redacted]\\\", n}"},
		{"access_key='q w' z", "access_key='[redacted]' z"},
		{"client_secret=\"open end\nnext", "client_secret=\"[redacted]\nnext"},
		{"token: Bearer abc", "token: [redacted]"},
		{"private-key=x", "private-key=[redacted]"},
		{"credential=x credentials=y", "credential=[redacted] credentials=[redacted]"},
		{"apiKey: z", "apiKey: [redacted]"},
		{"a -----BEGIN RSA PRIVATE KEY-----\nMII\nq==\n-----END RSA PRIVATE KEY----- b",
		 "a [redacted] b"},
		{"-----BEGIN PRIVATE KEY----- MII -----END PRIVATE KEY----- b", "[redacted] b"},
		{"-----BEGIN EC PRIVATE KEY-----\nMII", "[redacted]"},
		{"x eyJhbGciOiJI"
		 "UzI1NiJ9.eyJzdWIiOiIx.c2ln y",
		 "x [redacted] y"},
		{"id AKIA"
		 "ABCDEFGHIJKLMNOP.",
		 "id [redacted]."},
		{"ghp_"
		 "abcdefghijklmnop",
		 "[redacted]"},
		{"glpat-"
		 "abcd_efgh-ijkl",
		 "[redacted]"},
		{"xoxb-"
		 "12345678-abcdefgh",
		 "[redacted]"},
		{"key lin_api_"
		 "abcdefghijkl",
		 "key [redacted]"},
		{"sk-"
		 "0123456789abcdef0123",
		 "[redacted]"},
		{"sk-proj-"
		 "Ab1_"
		 "cdEFgh-IJ23kl",
		 "[redacted]"},
		{"ask jo.doe+ops@mail.example.com.", "ask [redacted]."},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		assert_string_equal(text_redact(tmp, CASES[i].in), CASES[i].out);
		assert_string_equal(text_redact(tmp, CASES[i].out), CASES[i].out);
	}
}

static void ordinary_alert_text_is_left_alone(void **state)
{
	static const char *const CASES[] = {
		"",
		"SecretRotationOverdue",
		"password policy changed",
		"the token has expired",
		"tokens=500 per minute",
		"basic checks.",
		"basic auth-service failed",
		"basic http/https probe",
		"Bearer tokens are near expiry",
		"a bearer of news",
		"pod sk-backend-7f9c6d5b8-abcde restarts",
		"ASIA-PACIFIC-REGION-NORTH is slow",
		"npm_config_registry_url is unset",
		"getty@tty1.service failed",
		"root@node1 logged in",
		"http://prometheus:9090/graph?g0.expr=up%3D%3D0",
		"https://host/path@2x",
		"node_load1 > 4 for 5m: see runbook",
		"secretName: db is not a value",
		"password=\"\"",
		"größe: 5 µs, 日本語, 🔥",
		"-----BEGIN CERTIFICATE----- MII -----END CERTIFICATE-----",
		"10:45:00 / 2026-01-15T10:45:00Z",
		"rate(errors_total{code=~\"5..\"}[5m]) > 0.05",
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(text_redact(tmp, CASES[i]), CASES[i]);
}

static void prose_shows_but_does_not_obey(void **state)
{
	static const struct row CASES[] = {
		{"", ""},
		{"  plain text \n", "plain text"},
		{"a*b_c`d", "a\\*b\\_c\\`d"},
		{"<script>alert('XSS')</script>", "\\<script\\>alert\\('XSS'\\)\\</script\\>"},
		{"{{7*7}}", "\\{\\{7\\*7\\}\\}"},
		{"![x](http://evil.example/y)", "\\!\\[x\\]\\(http:" ZW "//evil.example/y\\)"},
		{"see www.evil.example", "see w" ZW "ww.evil.example"},
		{"WWW.x awww.x", "W" ZW "WW.x awww.x"},
		{"@channel", "@" ZW "channel"},
		{"MAILTO:x@y", "M" ZW "AILTO:x@" ZW "y"},
		{"&lt;b&gt;", "\\&lt;b\\&gt;"},
		{"back\\slash\\", "back\\\\slash\\\\"},
		{"- a", "\\- a"},
		{"a\n- b", "a  \n\\- b"},
		{"a\r\nb\rc\u2028d", "a  \nb  \nc  \nd"},
		{"a\n    code", "a  \ncode"},
		{"a\n===\n---", "a  \n\\===  \n\\---"},
		{"a\n \n\nb", "a  \n\n\nb"},
		{"1. x", "1\\. x"},
		{"1) x", "1\\) x"},
		{"0.85 of 1", "0.85 of 1"},
		{"12.", "12\\."},
		{"# h\n> q\n+ l", "\\# h  \n\\> q  \n\\+ l"},
		{"```\nx\n~~~", "\\`\\`\\`  \nx  \n\\~\\~\\~"},
		{"a | b", "a \\| b"},
		{"|--|\n:--", "\\|--\\|  \n\\:--"},
		{"tab\there", "tab here"},
		{"grö\u00adße \u202eabc\u202c", "größe abc"},
		{"\u200b- x", "\\- x"},
		{"\x01\x01\x01\x01- x", "\\- x"},
		{"http:\u200b//x", "http:" ZW "//x"},
		{"pass\u200bword=hunter2", "password=\\[redacted\\]"},
		{"pass\U000e0041word=hunter2", "password=\\[redacted\\]"},
		{"\u65e5\u672c\u8a9e \U0001f525", "\u65e5\u672c\u8a9e \U0001f525"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(text_markdown(tmp, CASES[i].in, 1000), CASES[i].out);
}

static void code_stays_in_its_span_and_line(void **state)
{
	static const struct row CASES[] = {
		{"", "` `"},
		{"{\"a\":1}", "`{\"a\":1}`"},
		{"`whoami`", "`'whoami'`"},
		{"a\r\nb\tc", "`a b c`"},
		{"x\n```\n# h", "`x ''' # h`"},
		{"{\"password\":\"p\"}", "`{\"password\":\"[redacted]\"}`"},
		{"a\u202eb\x7f", "`ab `"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(text_code(tmp, CASES[i].in, 1000), CASES[i].out);
}

static void a_title_is_one_plain_line(void **state)
{
	static const struct row CASES[] = {
		{"PodCPUHigh", "PodCPUHigh"},
		{"a\nb\xc2\x85"
		 "c",
		 "a b c"},
		{"@here `x`", "@" ZW "here 'x'"},
		{"token=abc", "token=[redacted]"},
		{"[x] <y> *z*", "[x] <y> *z*"},
	};
	SCOPE(tmp);

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++)
		assert_string_equal(text_title(tmp, CASES[i].in, 1000), CASES[i].out);
}

static void texts_are_cut_after_redaction(void **state)
{
	SCOPE(tmp);

	(void)state;
	assert_string_equal(text_markdown(tmp, "abcdef", 4), "abc…");
	assert_string_equal(text_code(tmp, "größer", 4), "`grö…`");
	assert_string_equal(text_title(tmp, "abcdef", 6), "abcdef");
	assert_string_equal(text_title(tmp, "password=hunter2hunter2", 12), "password=[r…");
}

static char *repeat(void *mem, const char *piece, size_t bytes)
{
	size_t length = strlen(piece);
	char *out = NEW_ARRAY(mem, char, bytes + length + 1);

	for (size_t at = 0; at < bytes; at += length)
		memcpy(out + at, piece, length);
	return out;
}

static void hostile_repetition_costs_linear_time(void **state)
{
	static const char *const PIECES[] = {
		"a",	      ".a",	     "a.",	 "a@",	   "a.b@",
		"-",	      "-----BEGIN ", "://",	 "://a:b", "eyJ",
		"eyJ/",	      "eyJ.",	     "sk-",	 "sk-a.",  "hvs.",
		"bearer ",    "basic a",     "token",	 "token=", "token=\"",
		"token=\\\"", "password:'",  "\\",	 "`",	   "\n",
		"1. ",	      "w",	     "www.",	 "AKIA",   "x@a.",
		"\u200b",     "<",	     "@",	 "&",	   "-----BEGIN PRIVATE KEY-----",
		"token=\"\\", "xoxb-",	     "lin_api_", "a:",	   "\"token\" ",
		"=",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(PIECES); i++) {
		SCOPE(tmp);
		char *text = repeat(tmp, PIECES[i], 256 * 1024);
		int64_t start = clock_monotonic();
		text_markdown(tmp, text, 4000);
		int64_t took = clock_monotonic() - start;
		/* quadratic code would need minutes; the margin is for sanitizers on a busy machine
		 */
		if (took > 20000)
			print_message("'%s' took %lld ms\n", PIECES[i], (long long)took);
		assert_true(took <= 20000);
	}
}

static void a_line_is_redacted_and_otherwise_as_it_was(void **state)
{
	static const struct row CASES[] = {
		{"plain *text* <b> @you http://x/", "plain *text* <b> @you http://x/"},
		{"", ""},
		{"one\r\ntwo\tthree\nfour", "one two three four"},
		{"\x1b[31mred\x1b[0m \x1b[1;32mgreen\x1b[", "red green"},
		{"login password=hunter2hunter2 ok", "login password=[redacted] ok"},
		{"pass\u200bword=hunter2hunter2", "password=[redacted]"},
		{"a\u202eb\u2028c", "ab c"},
		{"0123456789012345678901234567890123456789", "012345678901234567890123456789…"},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		SCOPE(mem);
		char *got = text_line(mem, CASES[n].in, 31);
		if (n == COUNT(CASES) - 1)
			assert_true(strlen(got) <= 31 * 4);
		else if (!str_eq(got, CASES[n].out) &&
			 !str_eq(text_line(mem, CASES[n].in, 100), CASES[n].out))
			fail_msg("%s: %s", CASES[n].in, got);
	}
	/* what is cut off is cut at a word: half a secret is not known as one */
	SCOPE(mem);
	char *long_line = NEW_ARRAY(mem, char, 1000);
	memset(long_line, 'x', 200);
	memcpy(long_line + 60, " token=", 7);
	assert_null(strstr(text_line(mem, long_line, 10), "token"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(credentials_are_redacted),
		cmocka_unit_test(ordinary_alert_text_is_left_alone),
		cmocka_unit_test(prose_shows_but_does_not_obey),
		cmocka_unit_test(code_stays_in_its_span_and_line),
		cmocka_unit_test(a_title_is_one_plain_line),
		cmocka_unit_test(texts_are_cut_after_redaction),
		cmocka_unit_test(hostile_repetition_costs_linear_time),
		cmocka_unit_test(a_line_is_redacted_and_otherwise_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
