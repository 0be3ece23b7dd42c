#include "chart/error_class.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "domain/redact.h"

enum { CLASS_POINTS = 60, WORD_MAX = 200 };

static bool is_part(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '$';
}

/* "java.lang.OutOfMemoryError" is one, "Error" and "error" are none: they say nothing. */
static bool names_error(const char *word, size_t n)
{
	static const char *const ENDS[] = {"Error", "Exception", "Killed"};

	for (size_t e = 0; e < sizeof(ENDS) / sizeof(ENDS[0]); e++) {
		size_t length = strlen(ENDS[e]);
		if (n > length && strncmp(word + n - length, ENDS[e], length) == 0 &&
		    isalnum((unsigned char)word[n - length - 1]))
			return true;
	}
	return false;
}

static char *without_package(void *mem, const char *word, size_t n)
{
	size_t from = n;

	while (from > 0 && word[from - 1] != '.' && word[from - 1] != '$')
		from--;
	return str_ndup(mem, word + from, n - from);
}

char *error_class_of(void *mem, const char *line)
{
	size_t n = 0;

	for (const char *at = line; *at != '\0'; at += n == 0 ? 1 : n) {
		for (n = 0; is_part(at[n]); n++)
			;
		size_t end = n;
		while (end > 0 && (at[end - 1] == '.' || at[end - 1] == '$'))
			end--;
		if (end <= WORD_MAX && names_error(at, end))
			return without_package(mem, at, end);
	}
	char *pattern = redact_pattern(mem, line);
	return str_cut(mem, str_empty(pattern) ? "(empty line)" : pattern, CLASS_POINTS);
}
