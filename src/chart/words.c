#include "chart/words.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "domain/redact.h"

/* What is never looked at, however long a stranger's text is. */
enum { READ_BYTES = 4096 };

/* The code point at `at`, which is valid UTF-8; *n = its bytes. */
static uint32_t code_point(const char *at, size_t *n)
{
	const unsigned char *b = (const unsigned char *)at;

	if (b[0] < 0x80) {
		*n = 1;
		return b[0];
	}
	if (b[0] < 0xe0) {
		*n = 2;
		return (uint32_t)(b[0] & 0x1f) << 6 | (b[1] & 0x3f);
	}
	if (b[0] < 0xf0) {
		*n = 3;
		return (uint32_t)(b[0] & 0x0f) << 12 | (uint32_t)(b[1] & 0x3f) << 6 | (b[2] & 0x3f);
	}
	*n = 4;
	return (uint32_t)(b[0] & 0x07) << 18 | (uint32_t)(b[1] & 0x3f) << 12 |
	       (uint32_t)(b[2] & 0x3f) << 6 | (b[3] & 0x3f);
}

static bool is_space(uint32_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0x2028 || c == 0x2029;
}

/* Controls, marks of direction, invisible joiners, and what is no character at all. */
static bool is_unfit(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) ||
	       (c & 0xfffe) == 0xfffe || c >= 0xe0000;
}

/* Marks that are drawn over the character before them: more than a few cover the lines above and
 * below. */
static bool is_combining(uint32_t c)
{
	return (c >= 0x300 && c <= 0x36f) || (c >= 0x483 && c <= 0x489) ||
	       (c >= 0x1ab0 && c <= 0x1aff) || (c >= 0x1dc0 && c <= 0x1dff) ||
	       (c >= 0x20d0 && c <= 0x20ff) || (c >= 0xfe20 && c <= 0xfe2f);
}

enum { MARKS_MAX = 2 };

static char *keep_fit(void *mem, const char *text)
{
	char *out = NEW_ARRAY(mem, char, strlen(text) + 1);
	size_t used = 0;
	int marks = 0;
	size_t n = 0;

	for (; *text != '\0'; text += n) {
		uint32_t c = code_point(text, &n);
		if (is_space(c)) {
			if (used > 0 && out[used - 1] != ' ')
				out[used++] = ' ';
			continue;
		}
		marks = is_combining(c) ? marks + 1 : 0;
		if (is_unfit(c) || marks > MARKS_MAX)
			continue;
		memcpy(out + used, text, n);
		used += n;
	}
	while (used > 0 && out[used - 1] == ' ')
		used--;
	out[used] = '\0';
	return out;
}

char *words_clean(void *mem, const char *text, size_t points)
{
	SCOPE(scratch);

	if (text == NULL)
		return str_dup(mem, "");
	char *head = str_fit(scratch, text, READ_BYTES);
	char *valid = NEW_ARRAY(scratch, char, strlen(head) + 1);
	utf8_copy(valid, strlen(head) + 1, head);
	return str_cut(mem, redact_text(scratch, keep_fit(scratch, valid)), points);
}

char *words_xml(void *mem, const char *text)
{
	static const struct {
		char plain;
		const char *entity;
	} ENTITIES[] = {
		{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
	char *out = str_dup(mem, "");

	for (; *text != '\0'; text++) {
		const char *entity = NULL;
		for (size_t n = 0; n < sizeof(ENTITIES) / sizeof(ENTITIES[0]); n++)
			if (ENTITIES[n].plain == *text)
				entity = ENTITIES[n].entity;
		if (entity == NULL)
			str_add(&out, "%c", *text);
		else
			str_add(&out, "%s", entity);
	}
	return out;
}

static struct tm broken_down(double ms)
{
	/* what any calendar can hold */
	time_t seconds = (time_t)fmax(-1e15, fmin(floor(ms / 1000), 1e15));
	struct tm tm;

	gmtime_r(&seconds, &tm);
	return tm;
}

/* strftime would ask the locale. */
static const char *const MONTHS[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
				     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

char *words_time(void *mem, double ms, double reference_ms)
{
	struct tm at = broken_down(ms);
	struct tm reference = broken_down(reference_ms);

	if (at.tm_year == reference.tm_year && at.tm_yday == reference.tm_yday)
		return str_fmt(mem, "%02d:%02d", at.tm_hour, at.tm_min);
	return str_fmt(mem, "%s %d %02d:%02d", MONTHS[at.tm_mon], at.tm_mday, at.tm_hour,
		       at.tm_min);
}

char *words_date(void *mem, double ms)
{
	struct tm at = broken_down(ms);

	return str_fmt(mem, "%s %d", MONTHS[at.tm_mon], at.tm_mday);
}

char *words_day(void *mem, double ms)
{
	struct tm at = broken_down(ms);

	return str_fmt(mem, "%04d-%02d-%02d", at.tm_year + 1900, at.tm_mon + 1, at.tm_mday);
}

char *words_length(void *mem, double ms)
{
	long long seconds = llround(fabs(ms) / 1000);
	long long minutes = (seconds + 30) / 60;
	long long hours = (minutes + 30) / 60;

	if (seconds < 60)
		return str_fmt(mem, "%lld s", seconds);
	if (minutes < 60)
		return str_fmt(mem, "%lld min", minutes);
	if (minutes < 1440 && minutes % 60 == 0)
		return str_fmt(mem, "%lld h", minutes / 60);
	if (minutes < 1440)
		return str_fmt(mem, "%lld h %lld min", minutes / 60, minutes % 60);
	if (hours % 24 == 0)
		return str_fmt(mem, "%lld d", hours / 24);
	return str_fmt(mem, "%lld d %lld h", hours / 24, hours % 24);
}
