/*
 * Redaction walks the text once and asks, at each place where a word begins, whether a credential
 * begins there. Every recogniser looks at a bounded piece or consumes what it looked at, so the
 * whole is linear.
 */
#include "domain/text.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"

static const char REDACTED[] = "[redacted]";

/* --- redaction -----------------------------------------------------------------------------------
 */

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static bool is_token(char c)
{
	return isalnum((unsigned char)c) || strchr("-._~+/=", c) != NULL;
}

static size_t span_of(const char *s, bool (*in)(char))
{
	size_t n = 0;

	while (s[n] != '\0' && in(s[n]))
		n++;
	return n;
}

/* A match: `keep` bytes stay, the next `hide` bytes go. */
struct match {
	size_t keep, hide;
};

static bool begins_with(const char *s, const char *prefix)
{
	return strncasecmp(s, prefix, strlen(prefix)) == 0;
}

static struct match authorization(const char *s)
{
	static const char *const SCHEMES[] = {"bearer ", "basic "};

	for (size_t i = 0; i < 2; i++) {
		if (!begins_with(s, SCHEMES[i]))
			continue;
		size_t keep = strlen(SCHEMES[i]);
		size_t n = span_of(s + keep, is_token);
		/* "basic checks" is prose; a credential has a digit, or is long */
		bool odd = strcspn(s + keep, "0123456789+/=_.-") < n || n >= 16;
		if (n >= 6 && odd)
			return (struct match){keep, n};
	}
	return (struct match){0, 0};
}

static struct match vendor_token(const char *s)
{
	static const char *const PREFIXES[] = {
		"AKIA",	  "ASIA",     "ghp_",  "gho_",	"ghs_",	 "github_pat_",
		"glpat-", "xoxb-",    "xoxp-", "xoxa-", "xoxs-", "lin_api_",
		"sk-",	  "sk_live_", "AIza",  "hvs.",	"npm_"};

	for (size_t i = 0; i < sizeof(PREFIXES) / sizeof(PREFIXES[0]); i++) {
		size_t n = strlen(PREFIXES[i]);
		if (strncmp(s, PREFIXES[i], n) == 0 && span_of(s + n, is_token) >= 12)
			return (struct match){0, n + span_of(s + n, is_token)};
	}
	/* a JSON web token: eyJ….….… */
	size_t n = span_of(s, is_token);
	if (strncmp(s, "eyJ", 3) == 0 && n >= 20 && memchr(s, '.', n) != NULL)
		return (struct match){0, n};
	return (struct match){0, 0};
}

static struct match private_key(const char *s)
{
	static const char BEGIN[] = "-----BEGIN ";

	if (strncmp(s, BEGIN, sizeof(BEGIN) - 1) != 0)
		return (struct match){0, 0};
	const char *line_end = strpbrk(s + sizeof(BEGIN) - 1, "\r\n");
	size_t head = line_end == NULL ? strlen(s) : (size_t)(line_end - s);
	if (head > 80 || strstr(s, "PRIVATE KEY") == NULL || strstr(s, "PRIVATE KEY") > s + head)
		return (struct match){0, 0};
	const char *end = strstr(s, "-----END ");
	const char *close = end == NULL ? NULL : strstr(end + 9, "-----");
	return (struct match){0, close == NULL ? strlen(s) : (size_t)(close + 5 - s)};
}

static bool is_email_char(char c)
{
	return isalnum((unsigned char)c) || strchr("._%+-", c) != NULL;
}

static bool is_host_char(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '-';
}

static struct match email(const char *s)
{
	size_t local = span_of(s, is_email_char);

	if (local == 0 || local > 64 || s[local] != '@')
		return (struct match){0, 0};
	size_t host = span_of(s + local + 1, is_host_char);
	while (host > 0 && strchr(".-", s[local + host]) != NULL)
		host--;
	const char *dot = memchr(s + local + 1, '.', host);
	return dot == NULL || host > 253 ? (struct match){0, 0}
					 : (struct match){0, local + 1 + host};
}

static bool names_secret(const char *key, size_t n)
{
	static const char *const WORDS[] = {
		"password",   "passwd",	     "secret",	    "token",	  "apikey",
		"api_key",    "api-key",     "accesskey",   "access_key", "access-key",
		"privatekey", "private_key", "private-key", "credential", "credentials"};
	for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
		size_t w = strlen(WORDS[i]);
		if (n >= w && strncasecmp(key + n - w, WORDS[i], w) == 0)
			return true;
	}
	return n == 3 && strncasecmp(key, "pwd", 3) == 0;
}

static bool is_key(char c)
{
	return is_word(c) || c == '-';
}

static size_t value_length(const char *v)
{
	if (*v == '"' || *v == '\'') {
		const char *end = strchr(v + 1, *v);
		return end == NULL ? strlen(v) : (size_t)(end - v) + 1;
	}
	return strcspn(v, " \t\r\n,;&}])<>\"'`|");
}

/* password=…, "token": "…", api_key: … */
static struct match assignment(const char *s)
{
	size_t n = span_of(s, is_key);

	if (n == 0 || n > 64 || !names_secret(s, n))
		return (struct match){0, 0};
	size_t at = n + (s[n] == '"' || s[n] == '\'' ? 1 : 0);
	at += strspn(s + at, " ");
	if (s[at] != '=' && s[at] != ':')
		return (struct match){0, 0};
	bool colon = s[at] == ':';
	at++;
	size_t space = strspn(s + at, " ");
	/* "Token: the thing that …" is prose when more words follow without quotes; hide one word
	 * anyway */
	at += space;
	size_t hide = value_length(s + at);
	if (hide == 0 || (colon && space == 0 && s[at] == '/'))
		return (struct match){0, 0};
	return (struct match){at, hide};
}

/* scheme://user:password@host */
static struct match user_info(const char *s)
{
	if (strncmp(s, "://", 3) != 0)
		return (struct match){0, 0};
	size_t n = strcspn(s + 3, "/@ \t\r\n\"'<>");
	if (n == 0 || n > 256 || s[3 + n] != '@' || memchr(s + 3, ':', n) == NULL)
		return (struct match){0, 0};
	return (struct match){3, n};
}

static struct match find_secret(const char *s, char before)
{
	struct match m = *s == ':' ? user_info(s) : (struct match){0, 0};

	if (m.hide > 0 || is_word(before) || before == '-')
		return m;
	struct match (*const LOOK[])(const char *) = {private_key, authorization, vendor_token,
						      assignment, email};
	for (size_t i = 0; i < sizeof(LOOK) / sizeof(LOOK[0]) && m.hide == 0; i++)
		m = LOOK[i](s);
	return m;
}

static void append(char *out, size_t *at, const char *from, size_t n)
{
	memcpy(out + *at, from, n);
	*at += n;
}

char *text_redact(void *mem, const char *s)
{
	/* every hidden piece has at least one byte, the mark has ten */
	char *out = NEW_ARRAY(mem, char, strlen(s) * sizeof(REDACTED) + 1);
	size_t at = 0;
	char before = ' ';

	while (*s != '\0') {
		struct match m = find_secret(s, before);
		if (m.hide > 0) {
			append(out, &at, s, m.keep);
			append(out, &at, REDACTED, sizeof(REDACTED) - 1);
			s += m.keep + m.hide;
			before = ']';
			continue;
		}
		before = *s;
		out[at++] = *s++;
	}
	out[at] = '\0';
	return out;
}

/* --- neutralisation
 * --------------------------------------------------------------------------------- */

static const char ZERO_WIDTH_SPACE[] = "\u200b";

/* C1 controls, zero-width and bidirectional marks, line and paragraph separators, byte order mark:
 * they hide or reorder what a person reads. Returns their length in bytes, 0 for everything else.
 */
static size_t invisible(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;

	if (u[0] == 0xc2 && u[1] >= 0x80 && u[1] <= 0x9f)
		return 2;
	if (u[0] == 0xe2 && u[1] == 0x80 &&
	    ((u[2] >= 0x8b && u[2] <= 0x8f) || (u[2] >= 0xa8 && u[2] <= 0xae)))
		return 3;
	if (u[0] == 0xe2 && u[1] == 0x81 && u[2] >= 0xa0 && u[2] <= 0xaf)
		return 3;
	return u[0] == 0xef && u[1] == 0xbb && u[2] == 0xbf ? 3 : 0;
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Breaks mentions and autolinks; true when something was written for s[0]. */
static bool break_link(char **out, const char *s, char before)
{
	if (*s == '@') {
		str_add(out, "@%s", ZERO_WIDTH_SPACE);
		return true;
	}
	if (strncmp(s, "://", 3) == 0) {
		str_add(out, ":%s", ZERO_WIDTH_SPACE);
		return true;
	}
	if (!is_word(before) && strncasecmp(s, "www.", 4) == 0) {
		str_add(out, "%c%s", *s, ZERO_WIDTH_SPACE);
		return true;
	}
	return false;
}

static const char *skip_line_break(const char *s)
{
	return s[0] == '\r' && s[1] == '\n' ? s + 1 : s;
}

/* At the start of a line "1. x" and "1) x" make a list; "- x", "---" and "===" lists, rules and headings. */
static bool starts_block(const char *s)
{
	size_t digits = strspn(s, "0123456789");

	if (strchr("-=:", *s) != NULL)
		return true;
	bool marker = digits > 0 && digits <= 9 && (s[digits] == '.' || s[digits] == ')');
	return marker && (s[digits + 1] == '\0' || isspace((unsigned char)s[digits + 1]));
}

static void put_line_start(char **out, const char **s)
{
	*s += strspn(*s, " \t");
	if (**s == '\0' || !starts_block(*s))
		return;
	size_t digits = strspn(*s, "0123456789");
	str_add(out, "%.*s\\%c", (int)digits, *s, (*s)[digits]);
	*s += digits + 1;
}

static void put_markdown(char **out, const char *s)
{
	static const char SPECIAL[] = "\\`*_{}[]()#+!|~<>&$^";
	char before = '\n';

	put_line_start(out, &s);
	for (; *s != '\0'; before = *s, s++) {
		size_t hidden = invisible(s);
		if (hidden > 0) {
			s += hidden - 1;
		} else if (*s == '\n' || *s == '\r') {
			s = skip_line_break(s);
			str_add(out, "  \n");
			const char *next = s + 1;
			put_line_start(out, &next);
			s = next - 1;
		} else if (is_control(*s)) {
			str_add(out, " ");
		} else if (!break_link(out, s, before)) {
			str_add(out, strchr(SPECIAL, *s) != NULL ? "\\%c" : "%c", *s);
		}
	}
}

char *text_markdown(void *mem, const char *s, size_t points)
{
	SCOPE(tmp);
	char *clean = str_cut(tmp, text_redact(tmp, s), points);
	size_t n = strlen(clean);
	char *out = str_dup(mem, "");

	while (n > 0 && isspace((unsigned char)clean[n - 1]))
		clean[--n] = '\0';
	put_markdown(&out, clean + strspn(clean, " \t\r\n"));
	return out;
}

/* One line without controls; `tick` stands for a backtick, `mention` for "@". */
static char *flat(void *mem, const char *s, size_t points, char tick, const char *mention)
{
	SCOPE(tmp);
	char *clean = str_cut(tmp, text_redact(tmp, s), points);
	char *out = str_dup(mem, "");

	for (const char *c = clean; *c != '\0'; c++) {
		size_t hidden = invisible(c);
		if (hidden > 0)
			c += hidden - 1;
		else if (*c == '@')
			str_add(&out, "%s", mention);
		else
			str_add(&out, "%c", is_control(*c) ? ' ' : *c == '`' ? tick : *c);
	}
	return out;
}

char *text_code(void *mem, const char *s, size_t points)
{
	char *inside = flat(mem, s, points, '\'', "@");

	return str_fmt(mem, "`%s`", str_empty(inside) ? " " : inside);
}

char *text_title(void *mem, const char *s, size_t points)
{
	return flat(mem, s, points, '\'', "@\u200b");
}
