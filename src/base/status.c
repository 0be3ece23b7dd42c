#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"

/* Text is composed with room for one code point more than a message holds, so that the cut to a
 * message falls between code points. */
enum { MESSAGE_BYTES = 1024, ROOM_BYTES = MESSAGE_BYTES + 4 };

static _Thread_local char message[MESSAGE_BYTES];
static _Thread_local int64_t retry_after_ms;

/* The number of bytes of the control character (C0, DEL, C1) that starts at s; 0 when it is none.
 */
static size_t control(const char *s)
{
	unsigned char c = (unsigned char)s[0];
	unsigned char next = c == 0 ? 0 : (unsigned char)s[1];

	if (c == 0xc2 && next >= 0x80 && next <= 0x9f)
		return 2;
	return c < 0x20 || c == 0x7f ? 1 : 0;
}

/* A message ends up in logs, tickets and JSON: one line of UTF-8, never empty. */
static void keep(enum status s, const char *text)
{
	if (utf8_copy(message, sizeof(message), text) == 0)
		utf8_copy(message, sizeof(message), status_name(s));
	for (char *c = message; *c != '\0'; c++)
		for (size_t n = control(c); n > 0; n--)
			c[n - 1] = ' ';
}

/* Not straight into `message`: an argument may be status_message(). */
static PRINTF(2, 0) void say(enum status s, const char *fmt, va_list args)
{
	char text[ROOM_BYTES] = "";

	vsnprintf(text, sizeof(text), fmt, args);
	keep(s, text);
}

enum status failure(enum status s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(s, fmt, args);
	va_end(args);
	retry_after_ms = 0;
	return s;
}

enum status failure_after(int64_t pause_ms, enum status s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(s, fmt, args);
	va_end(args);
	retry_after_ms = pause_ms;
	return s;
}

enum status failure_in(enum status s, const char *fmt, ...)
{
	char context[ROOM_BYTES] = "";
	char text[2 * ROOM_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(context, sizeof(context), fmt, args);
	va_end(args);
	snprintf(text, sizeof(text), "%s%s%s", context, message[0] == '\0' ? "" : ": ", message);
	keep(s, text);
	return s;
}

const char *status_message(void)
{
	return message;
}

int64_t status_retry_after_ms(void)
{
	return retry_after_ms;
}

const char *status_name(enum status s)
{
	switch (s) {
	case OK: return "ok";
	case E_INVALID: return "invalid";
	case E_NOTFOUND: return "notfound";
	case E_CONFLICT: return "conflict";
	case E_DENIED: return "denied";
	case E_TRANSIENT: return "transient";
	case E_TIMEOUT: return "timeout";
	case E_RATE: return "rate";
	case E_CANCELED: return "canceled";
	case E_INTERNAL: return "internal";
	}
	return "unknown";
}

int status_is_retryable(enum status s)
{
	return s == E_TRANSIENT || s == E_TIMEOUT || s == E_RATE;
}
