#include "alert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

char *alert_template(void *mem, const char *path)
{
	char *text = NULL;
	size_t n;

	if (file_read(mem, path, LIMIT_FILE_BYTES, &text, &n) != OK) {
		fprintf(stderr, "bench: %s\n", status_message());
		exit(1);
	}
	return text;
}

static void put(char **out, char mark, unsigned long *number)
{
	switch (mark) {
	case 'N': str_add(out, "%lu", *number); break;
	case 'S': str_add(out, "%lu", *number % SHARDS); break;
	case 'F': str_add(out, "%lu", *number % FUNCTIONS); break;
	default: (*number)++; break; /* '+' */
	}
}

static bool is_mark(const char *at)
{
	return at[1] != '\0' && strchr("NSF+", at[1]) != NULL && at[2] == '@';
}

char *alert_render(void *mem, const char *text, unsigned long number)
{
	char *out = str_dup(mem, "");

	for (const char *at; (at = strchr(text, '@')) != NULL;) {
		bool mark = is_mark(at);
		str_add(&out, "%.*s", (int)(at - text) + !mark, text);
		if (mark)
			put(&out, at[1], &number);
		text = at + (mark ? 3 : 1);
	}
	str_add(&out, "%s", text);
	return out;
}
