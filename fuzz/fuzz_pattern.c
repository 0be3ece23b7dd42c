#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/pattern.h"
#include "fuzz.h"

/* The first line of the input is the expression, the rest the text; both are UTF-8, as they are in
 * JSON. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	char *expression = str_ndup(mem, (const char *)data, size);
	char *text = strchr(expression, '\n');
	struct pattern *p = NULL;
	json_t *probe = json_string(expression);

	json_decref(probe);
	if (text == NULL || probe == NULL)
		return 0;
	*text++ = '\0';
	if (pattern_compile(mem, expression, &p) != OK)
		return 0;
	if (pattern_steps(p) > PATTERN_STEPS_MAX)
		__builtin_trap();
	/* it matches anywhere: more text at the end may only undo a match by an anchor or an edge
	 */
	bool found = pattern_search(p, text);
	if (found && strpbrk(expression, "$^\\") == NULL &&
	    !pattern_search(p, str_fmt(mem, "%sx", text)))
		__builtin_trap();
	return 0;
}
