#include "domain/selector.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

/* Go's scanner, which reads LogQL and TraceQL, takes no byte order mark inside of a text. */
static const char BYTE_ORDER_MARK[] = "\xef\xbb\xbf";

char *selector_quote(void *mem, const char *value)
{
	char *out = str_dup(mem, "\"");

	for (const char *c = value; *c != '\0'; c++) {
		unsigned char byte = (unsigned char)*c;
		if (*c == '\n') {
			str_add(&out, "\\n");
		} else if (*c == '"' || *c == '\\') {
			str_add(&out, "\\%c", *c);
		} else if (byte < 0x20 || byte == 0x7f) {
			str_add(&out, "\\x%02x", byte);
		} else if (str_starts(c, BYTE_ORDER_MARK)) {
			str_add(&out, "\\ufeff");
			c += 2;
		} else {
			str_add(&out, "%c", *c);
		}
	}
	str_add(&out, "\"");
	return out;
}

char *selector_literal(void *mem, const char *value)
{
	char *out = str_dup(mem, "");

	for (; *value != '\0'; value++)
		str_add(&out, strchr("\\.+*?()|[]{}^$", *value) != NULL ? "\\%c" : "%c", *value);
	return out;
}

char *selector_text(void *mem, const char *metric, const struct matcher *matchers, size_t n)
{
	char *out = str_fmt(mem, "%s{", metric);

	for (size_t i = 0; i < n; i++)
		str_add(&out, "%s%s%s%s", i > 0 ? "," : "", matchers[i].name, matchers[i].sign,
			selector_quote(mem, matchers[i].value));
	str_add(&out, "}");
	return out;
}
