/* The level of a line, and which failure it tells of. */
#include "insight/log_pattern.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"

enum { LOOK_BYTES = 2048, HEAD_WORDS = 5, NAME_MAX_BYTES = 80 };

static const struct {
	const char *word;
	enum line_level level;
} LEVELS[] = {
	{"error", LEVEL_ERROR},	   {"err", LEVEL_ERROR},    {"fatal", LEVEL_ERROR},
	{"critical", LEVEL_ERROR}, {"crit", LEVEL_ERROR},   {"panic", LEVEL_ERROR},
	{"alert", LEVEL_ERROR},	   {"emerg", LEVEL_ERROR},  {"severe", LEVEL_ERROR},
	{"warn", LEVEL_WARN},	   {"warning", LEVEL_WARN}, {"info", LEVEL_INFO},
	{"notice", LEVEL_INFO},	   {"debug", LEVEL_DEBUG},  {"trace", LEVEL_DEBUG},
};

static const struct {
	const char *words;
	enum failure_kind kind;
} PHRASES[] = {
	{"outofmemory", FAILURE_MEMORY},
	{"out of memory", FAILURE_MEMORY},
	{"memoryerror", FAILURE_MEMORY},
	{"cannot allocate memory", FAILURE_MEMORY},
	{"oomkilled", FAILURE_MEMORY},
	{"oom-kill", FAILURE_MEMORY},
	{"no space left", FAILURE_DISK},
	{"disk full", FAILURE_DISK},
	{"enospc", FAILURE_DISK},
	{"disk quota exceeded", FAILURE_DISK},
	{"connection refused", FAILURE_REFUSED},
	{"connectionrefused", FAILURE_REFUSED},
	{"econnrefused", FAILURE_REFUSED},
	{"connection reset", FAILURE_REFUSED},
	{"no route to host", FAILURE_REFUSED},
	{"timed out", FAILURE_TIMEOUT},
	{"timeout", FAILURE_TIMEOUT},
	{"deadline exceeded", FAILURE_TIMEOUT},
	{"certificate", FAILURE_ACCESS},
	{"unauthenticated", FAILURE_ACCESS},
	{"permission denied", FAILURE_ACCESS},
	{"has expired", FAILURE_ACCESS},
	{"panic:", FAILURE_CRASH},
	{"segmentation fault", FAILURE_CRASH},
	{"segfault", FAILURE_CRASH},
};

static const char *const KINDS[] = {[FAILURE_NONE] = "none",
				    [FAILURE_OTHER] = "failure",
				    [FAILURE_MEMORY] = "out of memory",
				    [FAILURE_TIMEOUT] = "timeout",
				    [FAILURE_REFUSED] = "connection refused",
				    [FAILURE_DISK] = "no space left on device",
				    [FAILURE_ACCESS] = "access refused",
				    [FAILURE_CRASH] = "crash"};

const char *failure_kind_name(enum failure_kind k)
{
	return KINDS[k];
}

static enum line_level level_named(const char *s, size_t n)
{
	for (size_t i = 0; i < sizeof(LEVELS) / sizeof(LEVELS[0]); i++)
		if (strlen(LEVELS[i].word) == n && strncasecmp(LEVELS[i].word, s, n) == 0)
			return LEVELS[i].level;
	return LEVEL_UNKNOWN;
}

/* A level in prose ("no error found") is none: it is in capitals, in brackets, or the value of a
 * key. */
static enum line_level level_at_head(const char *text)
{
	const char *at = text;

	for (int words = 0; words < HEAD_WORDS && *at != '\0'; words++) {
		at += strcspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
		size_t n = 0;
		bool capitals = true;
		for (; isalpha((unsigned char)at[n]); n++)
			capitals = capitals && isupper((unsigned char)at[n]);
		bool marked = at > text ? strchr("[=<|", at[-1]) != NULL : at[n] == ':';
		enum line_level found = level_named(at, n);
		if (found != LEVEL_UNKNOWN && (capitals || marked))
			return found;
		at += n;
	}
	return LEVEL_UNKNOWN;
}

enum line_level line_level_of(const struct log_line *line)
{
	enum line_level told = level_named(line->level, strlen(line->level));

	return told != LEVEL_UNKNOWN ? told : level_at_head(line->text);
}

static bool ends(const char *s, size_t n, const char *suffix)
{
	size_t length = strlen(suffix);

	return n > length && memcmp(s + n - length, suffix, length) == 0;
}

/* "java.lang.OutOfMemoryError" -> "OutOfMemoryError": the first word that is the name of a class of
 * failures. */
static const char *class_name(void *mem, const char *text, size_t length)
{
	for (size_t at = 0; at < length;) {
		size_t n = 0;
		while (at + n < length &&
		       (isalnum((unsigned char)text[at + n]) || text[at + n] == '_'))
			n++;
		const char *word = text + at;
		bool named = n < NAME_MAX_BYTES &&
			     (ends(word, n, "Exception") || ends(word, n, "Error"));
		if (named && isupper((unsigned char)word[0]))
			return str_ndup(mem, word, n);
		at += n + 1;
	}
	return NULL;
}

enum failure_kind log_failure(void *mem, const char *text, const char **name)
{
	size_t length = strnlen(text, LOOK_BYTES);
	char *head = str_ndup(mem, text, length);
	const char *class = class_name(mem, text, length);
	enum failure_kind kind = class == NULL ? FAILURE_NONE : FAILURE_OTHER;

	for (size_t i = 0; i < sizeof(PHRASES) / sizeof(PHRASES[0]); i++) {
		if (strcasestr(head, PHRASES[i].words) != NULL) {
			kind = PHRASES[i].kind;
			break;
		}
	}
	talloc_free(head);
	if (kind != FAILURE_NONE)
		*name = class != NULL ? class : KINDS[kind];
	return kind;
}

static size_t host_length(const char *s)
{
	size_t n = 0;

	while (n < NAME_MAX_BYTES && (isalnum((unsigned char)s[n]) || s[n] == '-' || s[n] == '.'))
		n++;
	return n;
}

static bool has_letter(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (isalpha((unsigned char)s[i]))
			return true;
	return false;
}

/* "Cart.java:1234" and "pid:1234" are no hosts. */
static bool is_host(const char *s, size_t n)
{
	static const char *const NONE[] = {"pid",  "id",  "port", "line", "thread", ".java",
					   ".py",  ".go", ".js",  ".ts",  ".c",	    ".cc",
					   ".cpp", ".cs", ".rb",  ".rs",  ".kt",    ".php"};

	for (size_t i = 0; i < sizeof(NONE) / sizeof(NONE[0]); i++) {
		size_t length = strlen(NONE[i]);
		bool whole = NONE[i][0] != '.';
		if (n >= length && strncasecmp(s + n - length, NONE[i], length) == 0 &&
		    (!whole || n == length))
			return false;
	}
	return n > 0 && has_letter(s, n) && isalnum((unsigned char)s[0]);
}

const char *log_peer(void *mem, const char *text)
{
	size_t length = strnlen(text, LOOK_BYTES);

	for (size_t at = 0; at < length;) {
		size_t n = host_length(text + at);
		bool scheme = at >= 3 && strncmp(text + at - 3, "://", 3) == 0;
		size_t digits = text[at + n] == ':' ? strspn(text + at + n + 1, "0123456789") : 0;
		bool port = digits == 4 || digits == 5;
		if ((scheme || port) && is_host(text + at, n))
			return str_ndup(mem, text + at, n);
		at += n + 1;
	}
	return NULL;
}
