#include <assert.h>
#include <string.h>

#include <jansson.h>

#include "base/mem.h"
#include "base/str.h"
#include "domain/text.h"
#include "fuzz.h"

static void check(const char *out, int lines)
{
	json_t *valid = json_string(out);

	assert(valid != NULL);
	json_decref(valid);
	assert(lines || strchr(out, '\n') == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	char *in = str_ndup(mem, (const char *)data, size);
	json_t *valid = json_string(in);

	if (valid == NULL)
		return 0;
	json_decref(valid);
	check(text_redact(mem, in), 1);
	check(text_markdown(mem, in, 200), 1);
	check(text_title(mem, in, 80), 0);
	char *code = text_code(mem, in, 80);
	check(code, 0);
	assert(strchr(code + 1, '`') == code + strlen(code) - 1);
	return 0;
}
