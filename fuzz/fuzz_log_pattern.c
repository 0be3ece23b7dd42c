#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "fuzz.h"
#include "insight/log_pattern.h"

/* Each line of the input is a log line: all are counted, in a template or as ungrouped, and
 * templates stay few. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	enum { LINES = 2000 };
	static const struct window WINDOW = {0, LINES, LINES / 2};
	struct log_line *lines = NEW_ARRAY(mem, struct log_line, LINES);
	char *rest = str_ndup(mem, (const char *)data, size);
	char *one;
	size_t count = 0;
	size_t counted = 0;
	struct log_summary s;

	while (count < LINES && (one = strsep(&rest, "\n")) != NULL) {
		lines[count] = (struct log_line){(int64_t)count, "", one};
		if (strlen(log_mask(mem, one)) > 8 * strlen(one))
			__builtin_trap();
		count++;
	}
	log_summarise(mem, lines, count, &WINDOW, WINDOW.alert_ms, &s);
	for (size_t n = 0; n < s.pattern_count; n++) {
		counted += s.patterns[n].count;
		if (s.patterns[n].before + s.patterns[n].after != s.patterns[n].count)
			__builtin_trap();
	}
	if (counted + s.ungrouped != count || s.pattern_count > 800)
		__builtin_trap();
	return 0;
}
