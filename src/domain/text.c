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
#include "domain/redact.h"

static const char REDACTED[] = "[redacted]";

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

static const struct match NO_MATCH = {0, 0};

static bool begins_with(const char *s, const char *prefix)
{
	return strncasecmp(s, prefix, strlen(prefix)) == 0;
}

static bool is_base64(char c)
{
	return isalnum((unsigned char)c) || strchr("+/=", c) != NULL;
}

/* Prose has neither digits nor "=" nor capitals inside of a word. */
static bool looks_random(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool hump =
			i > 0 && islower((unsigned char)s[i - 1]) && isupper((unsigned char)s[i]);
		if (isdigit((unsigned char)s[i]) || s[i] == '=' || hump)
			return true;
	}
	return false;
}

static struct match authorization(const char *s)
{
	bool bearer = begins_with(s, "bearer ");

	if (!bearer && !begins_with(s, "basic "))
		return NO_MATCH;
	size_t keep = bearer ? 7 : 6;
	keep += strspn(s + keep, " ");
	size_t n = span_of(s + keep, bearer ? is_token : is_base64);
	while (n > 0 && s[keep + n - 1] == '.')
		n--;
	bool credential = n >= 6 && (looks_random(s + keep, n) || (bearer && n >= 16));
	return credential ? (struct match){keep, n} : NO_MATCH;
}

static bool is_vendor_char(char c)
{
	return is_word(c) || c == '-';
}

static bool is_alnum(char c)
{
	return isalnum((unsigned char)c);
}

/* "sk-" begins many a pod's name: a key has capitals and digits, or a long part without dashes. */
static struct match service_key(const char *s)
{
	if (strncmp(s, "sk-", 3) != 0)
		return NO_MATCH;
	size_t n = span_of(s, is_vendor_char);
	size_t part = 0;
	bool solid = false, capital = false, digit = false;
	for (size_t i = 3; i < n; i++) {
		part = is_alnum(s[i]) ? part + 1 : 0;
		solid = solid || part >= 16;
		capital = capital || isupper((unsigned char)s[i]);
		digit = digit || isdigit((unsigned char)s[i]);
	}
	return n >= 19 && digit && (solid || capital) ? (struct match){0, n} : NO_MATCH;
}

static struct match vendor_token(const char *s)
{
	static const struct {
		const char *prefix;
		bool (*in)(char);
		size_t least;
	} KINDS[] = {
		{"AKIA", is_alnum, 16},	      {"ASIA", is_alnum, 16},
		{"AIza", is_vendor_char, 30}, {"npm_", is_alnum, 16},
		{"ghp_", is_word, 12},	      {"gho_", is_word, 12},
		{"ghs_", is_word, 12},	      {"ghu_", is_word, 12},
		{"ghr_", is_word, 12},	      {"github_pat_", is_word, 12},
		{"hvs.", is_vendor_char, 12}, {"glpat-", is_vendor_char, 12},
		{"xox", is_vendor_char, 12},  {"lin_api_", is_word, 12},
		{"sk_live_", is_word, 12},
	};

	for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
		size_t n = strlen(KINDS[i].prefix);
		if (strncmp(s, KINDS[i].prefix, n) != 0)
			continue;
		bool slack = str_eq(KINDS[i].prefix, "xox");
		if (slack && (!is_alnum(s[n]) || s[n + 1] != '-'))
			continue;
		size_t more = span_of(s + n, KINDS[i].in);
		if (more >= KINDS[i].least)
			return (struct match){0, n + more};
	}
	return service_key(s);
}

/* eyJ….….… */
static struct match web_token(const char *s)
{
	if (strncmp(s, "eyJ", 3) != 0)
		return NO_MATCH;
	size_t head = span_of(s, is_vendor_char);
	if (head < 10 || s[head] != '.')
		return NO_MATCH;
	return (struct match){0, head + span_of(s + head, is_token)};
}

static bool is_armour(char c)
{
	return isupper((unsigned char)c) || isdigit((unsigned char)c) || c == ' ';
}

/* Up to its end line, wherever the line breaks went; without one, all the rest. */
static struct match private_key(const char *s)
{
	static const char BEGIN[] = "-----BEGIN ";

	if (strncmp(s, BEGIN, sizeof(BEGIN) - 1) != 0)
		return NO_MATCH;
	const char *label = s + sizeof(BEGIN) - 1;
	size_t n = span_of(label, is_armour);
	if (memmem(label, n, "PRIVATE KEY", 11) == NULL || strncmp(label + n, "-----", 5) != 0)
		return NO_MATCH;
	const char *end = strstr(label + n, "-----END ");
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

/* "getty@tty1.service" is a unit of systemd, not a person. */
static bool names_unit(const char *host, size_t n)
{
	static const char *const SUFFIXES[] = {".service", ".socket", ".timer",	 ".mount",
					       ".target",  ".slice",  ".device", ".scope"};

	for (size_t i = 0; i < sizeof(SUFFIXES) / sizeof(SUFFIXES[0]); i++) {
		size_t length = strlen(SUFFIXES[i]);
		if (n > length && memcmp(host + n - length, SUFFIXES[i], length) == 0)
			return true;
	}
	return false;
}

static size_t span_at_most(const char *s, bool (*in)(char), size_t limit)
{
	size_t n = 0;

	while (n < limit && s[n] != '\0' && in(s[n]))
		n++;
	return n;
}

static struct match email(const char *s)
{
	size_t local = span_at_most(s, is_email_char, 65);

	if (local == 0 || local > 64 || s[local] != '@')
		return NO_MATCH;
	const char *host = s + local + 1;
	size_t n = span_at_most(host, is_host_char, 254);
	while (n > 0 && strchr(".-", host[n - 1]) != NULL)
		n--;
	if (n > 253 || memchr(host, '.', n) == NULL || names_unit(host, n))
		return NO_MATCH;
	return (struct match){0, local + 1 + n};
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

static bool is_quote(char c)
{
	return c == '"' || c == '\'';
}

/* Bytes up to the quote that is escaped as often as the opening one, or to the end of the line. */
static size_t quoted_length(const char *v, char quote, size_t escapes)
{
	size_t slashes = 0;
	size_t n = 0;

	for (; v[n] != '\0' && v[n] != '\n' && v[n] != '\r'; n++) {
		if (v[n] == quote && slashes == escapes)
			return n - slashes;
		slashes = v[n] == '\\' ? slashes + 1 : 0;
	}
	return n;
}

static size_t word_length(const char *v)
{
	if (strncmp(v, REDACTED, sizeof(REDACTED) - 1) == 0)
		return sizeof(REDACTED) - 1; /* what was redacted before stays as it is */
	return strcspn(v, " \t\r\n,;&}])<>\"'`|");
}

static size_t value_length(const char *v)
{
	size_t scheme = begins_with(v, "bearer ") ? 7 : begins_with(v, "basic ") ? 6 : 0;

	return scheme + word_length(v + scheme);
}

/* password=…, "token": "…", \"secret\": \"…\", api_key => … */
static struct match assignment(const char *s)
{
	size_t at = span_of(s, is_key);

	if (at == 0 || !names_secret(s, at))
		return NO_MATCH;
	at += strspn(s + at, "\\");
	at += is_quote(s[at]) ? 1 : 0;
	at += strspn(s + at, " \t");
	if (s[at] != '=' && s[at] != ':')
		return NO_MATCH;
	bool path = s[at] == ':' && s[at + 1] == '/';
	at += strspn(s + at, "=:>~");
	at += strspn(s + at, " \t");
	size_t escapes = strspn(s + at, "\\");
	char quote = s[at + escapes];
	bool quoted = is_quote(quote);
	at += quoted ? escapes + 1 : 0;
	size_t hide = quoted ? quoted_length(s + at, quote, escapes) : value_length(s + at);
	return path ? NO_MATCH : (struct match){at, hide};
}

/* scheme://user:password@host; a password may hold an "@" itself */
static struct match user_info(const char *s)
{
	if (strncmp(s, "://", 3) != 0)
		return NO_MATCH;
	const char *at = memrchr(s + 3, '@', strcspn(s + 3, "/?# \t\r\n\"'<>`"));
	return at == NULL ? NO_MATCH : (struct match){3, (size_t)(at - s) - 3};
}

static struct match find_secret(const char *s, char before)
{
	struct match m = *s == ':' ? user_info(s) : *s == '-' ? private_key(s) : NO_MATCH;

	if (m.hide > 0 || is_word(before) || before == '-')
		return m;
	struct match (*const LOOK[])(const char *) = {authorization, vendor_token, web_token,
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
	/* "://x@" is the shortest match: four bytes become thirteen */
	char *out = NEW_ARRAY(mem, char, strlen(s) * 4 + 1);
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

static const char ZERO_WIDTH_SPACE[] = "\u200b";

/* Soft hyphens, zero-width and bidirectional marks, tags, byte order marks: they hide or reorder
 * what a person reads. Ranges of code points. */
static bool is_invisible(unsigned point)
{
	static const unsigned RANGES[][2] = {{0xad, 0xad},	{0x34f, 0x34f},	  {0x61c, 0x61c},
					     {0x180e, 0x180e},	{0x200b, 0x200f}, {0x202a, 0x202e},
					     {0x2060, 0x206f},	{0xfeff, 0xfeff}, {0xfff9, 0xfffb},
					     {0xe0000, 0xe007f}};

	for (size_t i = 0; i < sizeof(RANGES) / sizeof(RANGES[0]); i++)
		if (point >= RANGES[i][0] && point <= RANGES[i][1])
			return true;
	return false;
}

/* The code point at s and its length; s is valid UTF-8, and a NUL ends what is not. */
static unsigned decode(const char *s, size_t *n)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t want = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : u[0] >= 0xc0 ? 2 : 1;
	unsigned point = want == 1 ? u[0] : u[0] & (0x7fU >> want);

	for (*n = 1; *n < want && (u[*n] & 0xc0) == 0x80; (*n)++)
		point = point << 6 | (u[*n] & 0x3fU);
	return point;
}

static bool breaks_line(unsigned point)
{
	return point == '\n' || point == '\r' || point == 0x85 || point == 0x2028 ||
	       point == 0x2029;
}

static bool is_control(unsigned point)
{
	return point < 0x20 || (point >= 0x7f && point <= 0x9f);
}

/* What a person sees. Everything below looks at this, for a mark inside of "pass<mark>word=" or
 * "http:<mark>//" must neither hide a secret nor come apart into a link later. */
static char *visible(void *mem, const char *s)
{
	char *out = NEW_ARRAY(mem, char, strlen(s) + 1);
	size_t at = 0;
	size_t n = 0;

	for (; *s != '\0'; s += n) {
		unsigned point = decode(s, &n);
		if (breaks_line(point)) {
			out[at++] = '\n';
			n += s[0] == '\r' && s[1] == '\n' ? 1 : 0;
		} else if (is_control(point)) {
			out[at++] = ' ';
		} else if (!is_invisible(point)) {
			append(out, &at, s, n);
		}
	}
	out[at] = '\0';
	return out;
}

static char *clean(void *mem, const char *s, size_t points)
{
	return str_cut(mem, text_redact(mem, visible(mem, s)), points);
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
	bool address =
		begins_with(s, "www.") || begins_with(s, "mailto:") || begins_with(s, "xmpp:");
	if (address && !is_word(before)) {
		str_add(out, "%c%s", *s, ZERO_WIDTH_SPACE);
		return true;
	}
	return false;
}

/* At the start of a line "1. x" and "1) x" make a list; "- x", "---" and "===" lists, rules and
 * headings. */
static bool starts_block(const char *s)
{
	size_t digits = strspn(s, "0123456789");

	if (strchr("-=", *s) != NULL || (*s == ':' && s[1] != '/'))
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

static const char SPECIAL[] = "\\`*_{}[]()#+!|~<>&$^";

/* Bytes that stand for themselves; what could begin an address is looked at closer. */
static size_t plain_run(const char *s, char before)
{
	size_t n = 0;

	for (; s[n] != '\0' && strchr(SPECIAL, s[n]) == NULL && strchr("\n@:", s[n]) == NULL; n++) {
		char last = n == 0 ? before : s[n - 1];
		if (strchr("wmxWMX", s[n]) != NULL && !is_word(last))
			break;
	}
	return n;
}

static void put_markdown(char **out, const char *s)
{
	char before = '\n';

	put_line_start(out, &s);
	while (*s != '\0') {
		size_t run = plain_run(s, before);
		if (run > 0) {
			str_add(out, "%.*s", (int)run, s);
			before = s[run - 1];
			s += run;
			continue;
		}
		char c = *s++;
		if (c == '\n') {
			str_add(out, before == '\n' ? "\n" : "  \n");
			put_line_start(out, &s);
		} else if (!break_link(out, s - 1, before)) {
			str_add(out, strchr(SPECIAL, c) != NULL ? "\\%c" : "%c", c);
		}
		before = c;
	}
}

char *text_markdown(void *mem, const char *s, size_t points)
{
	SCOPE(tmp);
	char *text = clean(tmp, s, points);
	size_t n = strlen(text);
	char *out = str_dup(mem, "");

	while (n > 0 && isspace((unsigned char)text[n - 1]))
		text[--n] = '\0';
	put_markdown(&out, text + strspn(text, " \n"));
	return out;
}

/* One line; `mention` stands for "@". */
static char *flat(void *mem, const char *s, size_t points, const char *mention)
{
	SCOPE(tmp);
	char *out = str_dup(mem, "");

	for (const char *c = clean(tmp, s, points); *c != '\0';) {
		size_t run = strcspn(c, "@\n`");
		str_add(&out, "%.*s", (int)run, c);
		c += run;
		if (*c != '\0')
			str_add(&out, "%s", *c == '@' ? mention : *c == '\n' ? " " : "'");
		c += *c != '\0';
	}
	return out;
}

char *text_code(void *mem, const char *s, size_t points)
{
	char *inside = flat(mem, s, points, "@");

	return str_fmt(mem, "`%s`", str_empty(inside) ? " " : inside);
}

char *text_title(void *mem, const char *s, size_t points)
{
	return flat(mem, s, points, "@\u200b");
}

/* What is looked at of a line whose first `points` are shown: more than these, for hiding may
 * shorten it. A word at the cut goes, for half a secret is not known as one. */
static char *head_of(void *mem, const char *s, size_t points)
{
	size_t most = points * 8;
	char *head = str_fit(mem, s, most);
	size_t n = strlen(head);

	if (s[n] == '\0')
		return head;
	while (n > 0 && !isspace((unsigned char)head[n - 1]))
		n--;
	if (n > 0)
		head[n] = '\0';
	return head;
}

/* "\x1b[31m" and the like, in place. */
static void drop_colours(char *s)
{
	char *to = s;

	while (*s != '\0') {
		if (s[0] == '\x1b' && s[1] == '[') {
			s += 2 + strspn(s + 2, "0123456789;:?");
			s += *s != '\0';
			continue;
		}
		*to++ = *s++;
	}
	*to = '\0';
}

char *text_line(void *mem, const char *s, size_t points)
{
	SCOPE(tmp);
	char *head = head_of(tmp, s, points);

	drop_colours(head);
	char *line = redact_text(tmp, text_redact(tmp, visible(tmp, head)));
	for (char *c = line; *c != '\0'; c++)
		if (*c == '\n' || *c == '\r' || *c == '\t')
			*c = ' ';
	return str_cut(mem, line, points);
}
