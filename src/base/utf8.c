#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of the code point that starts at s, 0 when it is not UTF-8 (overlong forms, surrogates and
 * what lies beyond U+10FFFF included). */
static size_t sequence(const unsigned char *s)
{
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
	bool outside = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);
	return overlong || outside ? 0 : n;
}

size_t utf8_copy(char *out, size_t room, const char *text)
{
	size_t written = 0;

	while (*text != '\0') {
		size_t valid = sequence((const unsigned char *)text);
		size_t n = valid == 0 ? 1 : valid;
		if (written + n >= room)
			break;
		memcpy(out + written, valid == 0 ? "?" : text, n);
		written += n;
		text += n;
	}
	out[written] = '\0';
	return written;
}
