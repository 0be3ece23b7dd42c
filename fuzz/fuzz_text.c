#include <assert.h>
#include <string.h>

#include <jansson.h>

#include "base/mem.h"
#include "base/str.h"
#include "domain/text.h"
#include "fuzz.h"

static void check(const char *out, size_t most)
{
	json_t *valid = json_string(out);

	assert(valid != NULL);
	json_decref(valid);
	assert(strlen(out) <= most);
}

static void check_line(const char *out, size_t most)
{
	check(out, most);
	assert(strchr(out, '\n') == NULL);
}

/* Nothing that Markdown obeys is left without a backslash. */
static void check_neutral(const char *out)
{
	assert(strstr(out, "://") == NULL);
	for (const char *s = out; *s != '\0'; s++) {
		if (*s == '\\') {
			s++;
			assert(*s != '\0' && strchr("\\`*_{}[]()#+!|~<>&$^-=:.", *s) != NULL);
			continue;
		}
		assert(strchr("`*_{}[]()#+!|~<>&", *s) == NULL);
		assert(*s != '@' || strncmp(s + 1, "\u200b", 3) == 0);
		bool line = s == out || s[-1] == '\n';
		assert(!line || strchr("-=\t", *s) == NULL);
		assert(!line || *s != ' ' || strncmp(s, "  \n", 3) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	char *in = str_ndup(mem, (const char *)data, size);
	json_t *valid = json_string(in);

	if (valid == NULL)
		return 0;
	json_decref(valid);
	check(text_redact(mem, in), strlen(in) * 4);
	char *prose = text_markdown(mem, in, 200);
	check(prose, 800);
	check_neutral(prose);
	check_line(text_title(mem, in, 80), 320);
	char *code = text_code(mem, in, 80);
	check_line(code, 322);
	size_t n = strlen(code);
	assert(n >= 3 && code[0] == '`' && memchr(code + 1, '`', n - 1) == code + n - 1);
	return 0;
}
