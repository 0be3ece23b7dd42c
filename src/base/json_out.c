#include "base/json_out.h"

#include <string.h>

#include "base/mem.h"

enum { ESCAPED_MOST = 6 }; /* \u00XX */

void json_out_begin(struct json_out *o, void *mem, size_t room)
{
	*o = (struct json_out){.mem = mem, .room = room + 1};
	o->text = mem_check(talloc_size(mem, o->room));
	o->text[0] = '\0';
}

static void make_room(struct json_out *o, size_t n)
{
	if (o->used + n < o->room)
		return;
	o->room = 2 * (o->used + n) + 1;
	o->text = GROW(o->mem, o->text, char, o->room);
}

void json_out_raw(struct json_out *o, const char *text)
{
	size_t n = strlen(text);

	make_room(o, n);
	memcpy(o->text + o->used, text, n + 1);
	o->used += n;
}

static size_t escape(char *to, unsigned char c)
{
	static const char HEX[] = "0123456789ABCDEF";
	static const char NAMED[] = "\b\f\n\r\t\"\\", NAMES[] = "bfnrt\"\\";
	const char *known = c == '\0' ? NULL : strchr(NAMED, c);

	to[0] = '\\';
	if (known != NULL) {
		to[1] = NAMES[known - NAMED];
		return 2;
	}
	to[1] = 'u';
	to[2] = to[3] = '0';
	to[4] = HEX[c >> 4];
	to[5] = HEX[c & 15];
	return 6;
}

void json_out_string(struct json_out *o, const char *text)
{
	make_room(o, ESCAPED_MOST * strlen(text) + 2);
	char *to = o->text + o->used;

	*to++ = '"';
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		if (c >= 0x20 && c != '"' && c != '\\')
			*to++ = (char)c;
		else
			to += escape(to, c);
	}
	*to++ = '"';
	*to = '\0';
	o->used = (size_t)(to - o->text);
}

void json_out_member(struct json_out *o, const char *name, const char *value)
{
	json_out_raw(o, o->used > 0 && o->text[o->used - 1] != '{' ? ",\"" : "\"");
	json_out_raw(o, name);
	json_out_raw(o, "\":");
	json_out_string(o, value);
}
