#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "clients/loki.h"
#include "domain/severity.h"
#include "domain/text.h"
#include "fuzz.h"

static int is_level(const char *level)
{
	return *level == '\0' || str_eq(level, "error") || str_eq(level, "warn") ||
	       str_eq(level, "info") || str_eq(level, "debug");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	struct loki_lines *l = NULL;
	char *line = str_ndup(mem, (const char *)data, size);

	assert(is_level(severity_of_line(line)));
	enum status s = loki_decode_lines(mem, (const char *)data, size, 8, &l);
	assert(s == OK ? l != NULL : s == E_INVALID && l == NULL);
	for (size_t n = 0; s == OK && n < l->count; n++) {
		assert(n < 8 && l->lines[n].at_ns >= 0 && is_level(l->lines[n].level));
		assert(n == 0 || l->lines[n - 1].at_ns <= l->lines[n].at_ns);
		const char *shown = text_line(mem, l->lines[n].text, 40);
		assert(strpbrk(shown, "\n\r\t\x1b") == NULL && strlen(shown) <= 40 * 4 + 3);
	}
	return 0;
}
