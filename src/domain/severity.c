#include "domain/severity.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* Where a level stands in a line without structure. */
enum { HEAD_BYTES = 160, WORD_BYTES = 16 };

static const char *of_number(const char *digits)
{
	long long n;

	if (str_to_int(digits, 0, 100, &n) != OK)
		return "";
	if (n >= 50)
		return "error";
	return n >= 40 ? "warn" : n >= 30 ? "info" : n >= 10 ? "debug" : "";
}

const char *severity_of_word(const char *word)
{
	static const struct {
		const char *word, *level;
	} WORDS[] = {
		{"error", "error"},	{"err", "error"},	   {"fatal", "error"},
		{"critical", "error"},	{"crit", "error"},	   {"panic", "error"},
		{"emergency", "error"}, {"emerg", "error"},	   {"alert", "error"},
		{"severe", "error"},	{"dpanic", "error"},	   {"warn", "warn"},
		{"warning", "warn"},	{"info", "info"},	   {"information", "info"},
		{"notice", "info"},	{"informational", "info"}, {"debug", "debug"},
		{"trace", "debug"},	{"verbose", "debug"},	   {"fine", "debug"},
	};

	if (word == NULL)
		return "";
	for (size_t n = 0; n < LENGTH(WORDS); n++)
		if (strcasecmp(WORDS[n].word, word) == 0)
			return WORDS[n].level;
	return isdigit((unsigned char)word[0]) ? of_number(word) : "";
}

static const char *const KEYS[] = {"level", "severity", "lvl", "log.level", "loglevel"};

static const char *of_json(const char *line)
{
	SCOPE(mem);
	json_t *doc = NULL;

	if (json_parse(mem, line, strlen(line), &doc) != OK)
		return "";
	for (size_t n = 0; n < LENGTH(KEYS); n++) {
		const json_t *value = json_object_get(doc, KEYS[n]);
		const char *level = "";
		if (json_is_string(value))
			level = severity_of_word(json_string_value(value));
		else if (json_is_integer(value))
			level = of_number(
				str_fmt(mem, "%lld", (long long)json_integer_value(value)));
		if (*level != '\0')
			return level;
	}
	return "";
}

/* `n` bytes as a word. */
static const char *of_piece(const char *at, size_t n)
{
	char word[WORD_BYTES];

	if (n == 0 || n >= sizeof(word))
		return "";
	memcpy(word, at, n);
	word[n] = '\0';
	return severity_of_word(word);
}

static const char *of_logfmt(const char *line)
{
	for (size_t k = 0; k < LENGTH(KEYS); k++) {
		size_t length = strlen(KEYS[k]);
		for (const char *at = line; (at = strstr(at, KEYS[k])) != NULL; at += length) {
			if ((at > line && at[-1] != ' ') || at[length] != '=')
				continue;
			const char *value = at + length + 1;
			value += *value == '"';
			const char *level = of_piece(value, strcspn(value, " \""));
			if (*level != '\0')
				return level;
		}
	}
	return "";
}

/* "E1125 18:04:05.123456 …" */
static const char *of_klog(const char *line)
{
	static const char LETTERS[] = "EFWI";
	static const char *const LEVELS[] = {"error", "error", "warn", "info"};
	const char *letter = *line == '\0' ? NULL : strchr(LETTERS, *line);

	if (letter == NULL || strspn(line + 1, "0123456789") != 4 || line[5] != ' ')
		return "";
	return LEVELS[letter - LETTERS];
}

static bool is_capital(const char *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isupper((unsigned char)at[i]))
			return false;
	return true;
}

static const char *of_words(const char *line)
{
	for (const char *at = line; *at != '\0' && at - line < HEAD_BYTES;) {
		size_t n = 0;
		while (isalpha((unsigned char)at[n]))
			n++;
		bool bracketed = n > 0 && at > line && strchr("[<(", at[-1]) != NULL &&
				 at[n] != '\0' && strchr("]>)", at[n]) != NULL;
		const char *level =
			n > 0 && (bracketed || is_capital(at, n)) ? of_piece(at, n) : "";
		if (*level != '\0')
			return level;
		at += n == 0 ? 1 : n;
	}
	return "";
}

static const char *of_trouble(const char *line)
{
	static const char *const WORDS[] = {"exception", "traceback (most recent",
					    "panic:", "out of memory"};

	for (size_t n = 0; n < LENGTH(WORDS); n++)
		if (strcasestr(line, WORDS[n]) != NULL)
			return "error";
	return "";
}

const char *severity_of_line(const char *line)
{
	static const char *(*const WAYS[])(const char *) = {of_logfmt, of_klog, of_words,
							    of_trouble};

	line += strspn(line, " \t");
	if (*line == '{') {
		const char *level = of_json(line);
		if (*level != '\0')
			return level;
	}
	for (size_t n = 0; n < LENGTH(WAYS); n++) {
		const char *level = WAYS[n](line);
		if (*level != '\0')
			return level;
	}
	return "";
}
