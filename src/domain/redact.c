/*
 * One pass from left to right: at the beginning of a word each finder may claim a stretch of text
 * and say what stands in its place; what nobody claims is copied.
 */
#include "domain/redact.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"

enum {
	RANDOM_LEAST = 24,
	CREDENTIAL_LEAST = 6,
	KEY_LEAST = 16,
	CARD_LEAST = 14,
	CARD_MOST = 19,
	PATTERN_POINTS = 200
};

static const char HIDDEN[] = "[redacted]";

/* How far a scan that failed went: from whatever begins before that, the same scan fails too. So
 * each finder reads every character once, not once for each word before it. */
struct failed {
	const char *email, *random, *identifier;
};

/* The name that was read last, so that a long one is read once too. */
struct name {
	const char *end;
	const char *value; /* behind its ':', '=' or '=>', NULL where there is none */
	bool quoted;	   /* as a member's in JSON */
};

struct builder {
	void *mem;
	char *text;
	size_t length, room;
	struct failed failed;
	struct name name;
};

static void put(struct builder *b, const char *text, size_t n)
{
	if (b->length + n + 1 > b->room) {
		b->room = (b->length + n + 1) * 2;
		b->text = GROW(b->mem, b->text, char, b->room);
	}
	memcpy(b->text + b->length, text, n);
	b->length += n;
	b->text[b->length] = '\0';
}

static void put_text(struct builder *b, const char *text)
{
	put(b, text, strlen(text));
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static bool is_name(char c)
{
	return is_word(c) || c == '-' || c == '.';
}

/* Where `word` ends when it is spelled from `at` on, with or without signs in between, or NULL. */
static const char *past_word(const char *at, const char *end, const char *word)
{
	for (; *word != '\0'; at++) {
		if (at == end)
			return NULL;
		if (isalnum((unsigned char)*at) && tolower((unsigned char)*at) != *word++)
			return NULL;
	}
	return at;
}

static bool is_over(const char *at, const char *end)
{
	while (at < end && !isalnum((unsigned char)*at))
		at++;
	return at == end;
}

/* True when `word` is in the name, at its end where only the `last` one counts. */
static bool has_word(const char *at, const char *end, const char *word, bool last)
{
	for (; at < end; at++) {
		const char *rest = isalnum((unsigned char)*at) ? past_word(at, end, word) : NULL;
		if (rest != NULL && (!last || is_over(rest, end)))
			return true;
	}
	return false;
}

/* Too short to tell anything when they are but a part of a name. */
static bool is_telling_word(const char *at, const char *end)
{
	static const char *const WORDS[] = {"dsn", "pass", "auth"};

	for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
		const char *rest = past_word(at, end, WORDS[i]);
		if (rest != NULL && is_over(rest, end))
			return true;
	}
	return false;
}

static bool has_telling_part(const char *at, const char *end)
{
	static const char *const PARTS[] = {
		"password",   "passwd",		  "passphrase", "secret",	 "token",
		"apikey",     "accesskey",	  "privatekey", "authorization", "cookie",
		"credential", "connectionstring", "sessionid",	"encryptionkey",
	};

	for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]); i++)
		if (has_word(at, end, PARTS[i], false))
			return true;
	return has_word(at, end, "pwd", true);
}

bool redact_is_telling(const char *name)
{
	const char *end = name + strlen(name);

	return is_telling_word(name, end) || has_telling_part(name, end);
}

/* Skips one quote, maybe escaped as inside a JSON string. */
static const char *past_quote(const char *at)
{
	const char *p = at;

	while (*p == '\\')
		p++;
	return *p == '"' || *p == '\'' ? p + 1 : at;
}

static const char PEM_BEGIN[] = "-----BEGIN ";

/* A block without its end takes all the rest. */
static size_t pem_length(const char *at)
{
	const char *end = strstr(at + 1, "-----END ");
	const char *last = end == NULL ? NULL : strstr(end + 1, "-----");

	return last == NULL ? strlen(at) : (size_t)(last + 5 - at);
}

static size_t private_key(const char *at, struct builder *b)
{
	if (!str_starts(at, PEM_BEGIN))
		return 0;
	const char *title = at + strlen(PEM_BEGIN);
	if (memmem(title, strcspn(title, "-\r\n"), "PRIVATE KEY", 11) == NULL)
		return 0;
	put_text(b, "[private key]");
	return pem_length(at);
}

/* To the quote that ends what one behind so many backslashes opened. Each level of JSON inside JSON
 * makes 2n + 1 backslashes of n: a quote inside the value has as many, and twice that for each
 * backslash of the value's own; any other number ends it, or what is around it. */
static size_t quoted_length(const char *value, size_t backslashes)
{
	size_t before = 0;
	const char *end = value;

	for (; *end != '\0'; end++) {
		if (*end == value[-1] && (before + 1) % (2 * (backslashes + 1)) != 0)
			return (size_t)(end - value) -
			       (before < backslashes ? before : backslashes);
		before = *end == '\\' ? before + 1 : 0;
	}
	return (size_t)(end - value);
}

/* "Bearer " and "Basic " with the blanks before the credential. */
static size_t scheme_length(const char *at)
{
	size_t n = strncasecmp(at, "bearer", 6) == 0 ? 6 : strncasecmp(at, "basic", 5) == 0 ? 5 : 0;
	size_t blanks = strspn(at + n, " \t");

	return n == 0 || blanks == 0 ? 0 : n + blanks;
}

/* Passwords have quotes and separators in them. One that ends a value is followed by what is none
 * of it: a blank, a bracket, "&name=". */
static bool ends_word(const char *at)
{
	size_t name = 1;

	if (strchr(" \t\r\n", *at) != NULL)
		return true;
	if (*at == '"' || *at == '\'')
		return strchr(" \t\r\n,;:)]}>\"'\\", at[1]) != NULL;
	if (strchr("&;,", *at) == NULL)
		return false;
	while (is_name(at[name]))
		name++;
	return name > 1 ? at[name] == '=' : strchr(" \t\r\n", at[1]) != NULL;
}

static size_t word_length(const char *value)
{
	size_t n = 0;

	while (!ends_word(value + n))
		n++;
	return n;
}

/* A number, true, false or null that is all the value of a member in JSON. */
static size_t scalar_length(const char *value)
{
	size_t n = strspn(value, "+-.0123456789eE");

	if (str_starts(value, "true") || str_starts(value, "null"))
		n = 4;
	if (str_starts(value, "false"))
		n = 5;
	bool last = strchr("}]", value[n]) != NULL;
	bool more = value[n] == ',' && strchr(" \t\r\n\"'\\", value[n + 1]) != NULL;
	return last || more ? n : 0;
}

/* Behind the string that begins here, or behind one character. */
static const char *past_piece(const char *at)
{
	const char *inside = past_quote(at);

	if (inside != at)
		return past_quote(inside + quoted_length(inside, (size_t)(inside - 1 - at)));
	return at + (*at == '\\' ? strspn(at, "\\") : 1);
}

/* Through the bracket that closes the one here; without it all the rest. */
static size_t group_length(const char *value)
{
	const char *end = value;
	size_t open = 0;

	do {
		open += *end == '{' || *end == '[';
		open -= *end == '}' || *end == ']';
		end = past_piece(end);
	} while (*end != '\0' && open > 0);
	return (size_t)(end - value);
}

/* Of these headers all the line is secret: cookies are many, and a scheme may have parameters. */
static bool is_header(const char *name, const char *end)
{
	return has_word(name, end, "authorization", true) || has_word(name, end, "cookie", true) ||
	       has_word(name, end, "cookies", true);
}

static size_t bare_length(const char *at, const struct name *name)
{
	const char *value = name->value;
	size_t scheme = scheme_length(value);
	size_t scalar = name->quoted ? scalar_length(value) : 0;

	if (name->quoted && (*value == '{' || *value == '['))
		return group_length(value);
	if (str_starts(value, PEM_BEGIN))
		return pem_length(value);
	if (scheme > 0)
		return scheme + word_length(value + scheme);
	if (scalar > 0)
		return scalar;
	return is_header(at, name->end) ? strcspn(value, "\r\n") : word_length(value);
}

static void read_name(const char *at, struct name *name)
{
	name->end = at;
	while (is_name(*name->end))
		name->end++;
	const char *p = past_quote(name->end);
	name->quoted = p != name->end;
	p += strspn(p, " \t");
	size_t sign = *p == ':' || *p == '=' ? strspn(p, ":=>") : 0; /* also ":=", "==", "=>" */
	name->value = sign == 0 ? NULL : p + sign + strspn(p + sign, " \t\r\n");
}

/* name = value, "name": "value", \"name\":\"value\". A part that tells was found where the name
 * began; at each word after that, what must stand alone is asked for. */
static size_t named_value(const char *at, struct builder *b)
{
	struct name *name = &b->name;
	bool first = at >= name->end;

	if (first)
		read_name(at, name);
	if (name->value == NULL ||
	    !(is_telling_word(at, name->end) || (first && has_telling_part(at, name->end))))
		return 0;
	const char *value = past_quote(name->value);
	bool quoted = value != name->value;
	size_t hidden = quoted ? quoted_length(value, (size_t)(value - 1 - name->value))
			       : bare_length(at, name);
	if (hidden == 0)
		return 0;
	put(b, at, (size_t)(value - at));
	if (quoted || private_key(value, b) == 0)
		put_text(b, HIDDEN);
	return (size_t)(value - at) + hidden;
}

static bool is_credential(char c)
{
	return isalnum((unsigned char)c) || strchr("._~+/=-", c) != NULL;
}

static size_t credential_length(const char *at)
{
	size_t n = 0;

	while (at[n] != '\0' && is_credential(at[n]))
		n++;
	return n;
}

static size_t scheme(const char *at, struct builder *b)
{
	size_t n = scheme_length(at);
	size_t hidden = n == 0 ? 0 : credential_length(at + n);

	if (hidden < CREDENTIAL_LEAST)
		return 0;
	put(b, at, n);
	put_text(b, HIDDEN);
	return n + hidden;
}

static size_t known_key(const char *at, struct builder *b)
{
	static const char *const PREFIXES[] = {
		"eyJ",	      "ghp_", "gho_",	  "ghu_",  "ghs_",  "ghr_",  "github_pat_",
		"glpat-",     "sk-",  "sk_live_", "xoxb-", "xoxp-", "xoxa-", "lin_api_",
		"lin_oauth_", "AKIA", "ASIA",	  "AIza",  "hvs.",  "npm_",  "dop_v1_"};
	size_t i = 0;

	while (i < sizeof(PREFIXES) / sizeof(PREFIXES[0]) && !str_starts(at, PREFIXES[i]))
		i++;
	if (i == sizeof(PREFIXES) / sizeof(PREFIXES[0]))
		return 0;
	size_t n = credential_length(at);
	if (n < KEY_LEAST)
		return 0;
	put_text(b, HIDDEN);
	return n;
}

static size_t random_word(const char *at, struct builder *b)
{
	int upper = 0;
	int lower = 0;
	int digits = 0;
	size_t n = 0;

	if (at < b->failed.random)
		return 0;
	for (; is_word(at[n]) || at[n] == '-' || at[n] == '+' || at[n] == '='; n++) {
		upper += isupper((unsigned char)at[n]) != 0;
		lower += islower((unsigned char)at[n]) != 0;
		digits += isdigit((unsigned char)at[n]) != 0;
	}
	if (n < RANDOM_LEAST || upper < 2 || lower < 2 || digits < 2) {
		b->failed.random = at + n;
		return 0;
	}
	put_text(b, HIDDEN);
	return n;
}

/* In "scheme://user:password@host" what stands before the @. */
static size_t user_info(const char *at, struct builder *b)
{
	if (!str_starts(at, "://"))
		return 0;
	size_t n = strcspn(at + 3, "/ \t\r\n\"'<>?#");
	const char *sign = memrchr(at + 3, '@', n);
	if (sign == NULL || sign == at + 3)
		return 0;
	put_text(b, "://");
	put_text(b, HIDDEN);
	return (size_t)(sign - at);
}

static size_t domain_length(const char *domain)
{
	size_t n = 0;

	while (isalnum((unsigned char)domain[n]) || domain[n] == '.' || domain[n] == '-')
		n++;
	while (n > 0 && !isalpha((unsigned char)domain[n - 1]))
		n--;
	const char *dot = memrchr(domain, '.', n);
	return dot == NULL || dot == domain || domain + n - dot < 3 ? 0 : n;
}

static size_t email_length(const char *at, struct builder *b)
{
	size_t local = 0;

	if (at < b->failed.email)
		return 0;
	while (isalnum((unsigned char)at[local]) ||
	       (at[local] != '\0' && strchr("._%+-", at[local]) != NULL))
		local++;
	size_t n = local == 0 || at[local] != '@' ? 0 : domain_length(at + local + 1);
	if (n == 0) {
		b->failed.email = at + local;
		return 0;
	}
	return local + 1 + n;
}

static size_t email(const char *at, struct builder *b)
{
	size_t n = email_length(at, b);

	if (n > 0)
		put_text(b, "[e-mail]");
	return n;
}

static bool check_digit_fits(const char *digits, size_t n)
{
	int sum = 0;

	for (size_t i = 0; i < n; i++) {
		int d = digits[n - 1 - i] - '0';
		if (i % 2 == 1)
			d = d > 4 ? 2 * d - 9 : 2 * d;
		sum += d;
	}
	return sum % 10 == 0;
}

/* 14 to 19 digits, in groups or not, that begin as cards do; so times in ms and ns stay readable.
 */
static size_t card(const char *at, struct builder *b)
{
	char digits[CARD_MOST];
	size_t count = 0;
	size_t n = 0;

	if (*at < '2' || *at > '6')
		return 0;
	for (;;) {
		if (isdigit((unsigned char)at[n])) {
			if (count == CARD_MOST)
				return 0;
			digits[count++] = at[n++];
		} else if ((at[n] == ' ' || at[n] == '-') && isdigit((unsigned char)at[n + 1])) {
			n++;
		} else {
			break;
		}
	}
	if (count < CARD_LEAST || is_word(at[n]) || !check_digit_fits(digits, count))
		return 0;
	put_text(b, "[card]");
	return n;
}

typedef size_t finder(const char *at, struct builder *b);

/* Behind "\n" or "\u0026", as JSON writes them inside a string, a word begins. */
static bool is_after_escape(const char *text, const char *at)
{
	size_t before = (size_t)(at - text);
	int digits = 0;

	if (before >= 2 && at[-2] == '\\' && strchr("bfnrt", at[-1]) != NULL)
		return true;
	if (before < 6 || at[-6] != '\\' || at[-5] != 'u')
		return false;
	while (digits < 4 && isxdigit((unsigned char)at[-1 - digits]))
		digits++;
	return digits == 4;
}

static size_t hide_at(const char *text, const char *at, struct builder *b)
{
	static finder *const IN_WORDS[] = {named_value, scheme, known_key,
					   email,	card,	random_word};
	size_t used = 0;

	if (*at == '-')
		used = private_key(at, b);
	if (*at == ':')
		used = user_info(at, b);
	bool begins = at == text || !is_word(at[-1]) || is_after_escape(text, at);
	if (!begins || !is_word(*at))
		return used;
	for (size_t f = 0; f < sizeof(IN_WORDS) / sizeof(IN_WORDS[0]) && used == 0; f++)
		used = IN_WORDS[f](at, b);
	return used;
}

char *redact_text(void *mem, const char *text)
{
	struct builder b = {.mem = mem};

	put(&b, "", 0);
	for (const char *at = text; *at != '\0';) {
		size_t used = hide_at(text, at, &b);
		if (used == 0)
			put(&b, at, 1);
		at += used == 0 ? 1 : used;
	}
	return b.text;
}

static json_t *masked(const json_t *value);

/* Two names may be masked alike, or as a third one is; no member is lost for that. `copies` only
 * grows, so that no number is tried twice for one object. */
static void set_shown(json_t *out, const char *name, json_t *value, size_t *copies)
{
	SCOPE(tmp);
	const char *masked_name = redact_text(tmp, name);
	const char *shown = masked_name;

	while (json_object_get(out, shown) != NULL)
		shown = str_fmt(tmp, "%s %zu", masked_name, ++*copies + 1);
	json_object_set_new(out, shown, value);
}

/* A card's number is one without quotes too. */
static json_t *masked_number(const json_t *value)
{
	double real = json_number_value(value);
	char digits[32];

	if (json_is_integer(value))
		str_print(digits, sizeof(digits), "%" JSON_INTEGER_FORMAT,
			  json_integer_value(value));
	else if (fabs(real) < 1e19)
		str_print(digits, sizeof(digits), "%.0f", real);
	else
		return json_deep_copy(value);
	SCOPE(tmp);
	struct builder b = {.mem = tmp};
	if (card(digits + strspn(digits, "-"), &b) == 0)
		return json_deep_copy(value);
	return json_string(b.text);
}

static json_t *masked_object(const json_t *object)
{
	json_t *out = json_object();
	const char *named = json_string_value(json_object_get(object, "name"));
	bool pair = named != NULL && redact_is_telling(named);
	const char *name;
	json_t *value;
	size_t copies = 0;

	json_object_foreach ((json_t *)object, name, value) {
		bool hide = redact_is_telling(name) || (pair && str_eq(name, "value"));
		bool empty = json_is_null(value) || json_is_boolean(value);
		json_t *shown = hide && !empty ? json_string(HIDDEN) : masked(value);
		set_shown(out, name, shown, &copies);
	}
	return out;
}

static json_t *masked(const json_t *value)
{
	json_t *out;
	size_t n;
	json_t *element;

	if (json_is_object(value))
		return masked_object(value);
	if (json_is_string(value)) {
		SCOPE(tmp);
		return json_string(redact_text(tmp, json_string_value(value)));
	}
	if (json_is_number(value))
		return masked_number(value);
	if (!json_is_array(value))
		return json_deep_copy(value);
	out = json_array();
	json_array_foreach ((json_t *)value, n, element)
		json_array_append_new(out, masked(element));
	return out;
}

json_t *redact_json(void *mem, const json_t *value)
{
	return mem_own(mem, masked(value));
}

char *redact_reason(void *mem, const char *reason)
{
	const char *near = strstr(reason, " near '");
	const char *kept = reason;

	if (near != NULL)
		kept = str_fmt(mem, "%.*s near …", (int)(near - reason), reason);
	return redact_text(mem, kept);
}

static size_t quoted(const char *at, struct builder *b)
{
	if (*at != '"' && *at != '\'')
		return 0;
	const char *end = strchr(at + 1, *at);
	if (end == NULL)
		return 0;
	put_text(b, "<…>");
	return (size_t)(end + 1 - at);
}

/* Hex with a digit in it, eight or more, UUIDs too. */
static size_t identifier(const char *at, struct builder *b)
{
	bool digit = false;
	size_t n = 0;

	if (at < b->failed.identifier)
		return 0;
	for (; isxdigit((unsigned char)at[n]) || (at[n] == '-' && n > 0); n++)
		digit = digit || isdigit((unsigned char)at[n]);
	if (n < 8 || !digit || is_word(at[n])) {
		b->failed.identifier = at + n;
		return 0;
	}
	put_text(b, "<id>");
	return n;
}

static size_t number(const char *at, struct builder *b)
{
	size_t n = strspn(at, "0123456789");

	if (n > 0)
		put_text(b, "<n>");
	return n;
}

static size_t address(const char *at, struct builder *b)
{
	size_t n = email_length(at, b);

	if (n > 0)
		put_text(b, "<e-mail>");
	return n;
}

char *redact_pattern(void *mem, const char *reason)
{
	static finder *const AT_BEGIN[] = {address, identifier};
	struct builder b = {.mem = mem};

	put(&b, "", 0);
	for (const char *at = reason; *at != '\0';) {
		bool begins = at == reason || !is_word(at[-1]);
		/* a ' in the middle of a word is no quote */
		size_t used = begins ? quoted(at, &b) : 0;
		for (size_t f = 0; f < 2 && begins && used == 0; f++)
			used = AT_BEGIN[f](at, &b);
		if (used == 0)
			used = number(at, &b);
		if (used == 0) {
			put(&b, at, 1);
			used = 1;
		}
		at += used;
	}
	return str_cut(mem, b.text, PATTERN_POINTS);
}
