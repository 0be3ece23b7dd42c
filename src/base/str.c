#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/mem.h"

char *str_dup(void *mem, const char *s)
{
	return s == NULL ? NULL : mem_check(talloc_strdup(mem, s));
}

char *str_ndup(void *mem, const char *s, size_t n)
{
	return mem_check(talloc_strndup(mem, s, n));
}

char *str_fmt(void *mem, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	char *s = talloc_vasprintf(mem, fmt, args);
	va_end(args);
	return mem_check(s);
}

void str_print(char *buffer, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(buffer, size, fmt, args);
	va_end(args);
}

void str_add(char **s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	*s = mem_check(talloc_vasprintf_append_buffer(*s, fmt, args));
	va_end(args);
}

bool str_eq(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool str_empty(const char *s)
{
	return s == NULL || *s == '\0';
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s);
	size_t m = strlen(suffix);
	return n >= m && strcmp(s + n - m, suffix) == 0;
}

static bool starts_code_point(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

char *str_cut(void *mem, const char *s, size_t points)
{
	size_t seen = 0;
	size_t keep = 0; /* bytes before the last code point that fits beside the ellipsis */

	if (points == 0)
		return str_dup(mem, "");
	for (size_t i = 0; s[i] != '\0'; i++) {
		if (!starts_code_point(s[i]))
			continue;
		seen++;
		if (seen == points)
			keep = i;
		if (seen > points)
			return str_fmt(mem, "%.*s…", (int)keep, s);
	}
	return str_dup(mem, s);
}

char *str_fit(void *mem, const char *s, size_t bytes)
{
	size_t n = strnlen(s, bytes);

	while (n > 0 && !starts_code_point(s[n]))
		n--;
	return str_ndup(mem, s, n);
}

char *str_lower(void *mem, const char *s)
{
	char *copy = str_dup(mem, s);
	for (char *c = copy; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return copy;
}

enum status str_to_int(const char *s, long long min, long long max, long long *out)
{
	char *end = NULL;

	if (!(isdigit((unsigned char)s[0]) || (s[0] == '-' && isdigit((unsigned char)s[1]))))
		return failure(E_INVALID, "'%.40s' is not a whole number", s);
	errno = 0;
	long long value = strtoll(s, &end, 10);
	if (*end != '\0')
		return failure(E_INVALID, "'%.40s' is not a whole number", s);
	if (errno == ERANGE || value < min || value > max)
		return failure(E_INVALID, "%.40s is not between %lld and %lld", s, min, max);
	*out = value;
	return OK;
}

/* As Prometheus writes what is not finite. */
static bool is_special(const char *s)
{
	return strcmp(s, "NaN") == 0 || strcmp(s + (*s == '+' || *s == '-'), "Inf") == 0;
}

enum status str_to_double(const char *s, double *out)
{
	char *end = NULL;
	bool plain = *s != '\0' && *s != '+' && s[strspn(s, "0123456789.eE+-")] == '\0';

	if (!plain && !is_special(s))
		return failure(E_INVALID, "'%.40s' is not a number", s);
	double value = strtod(s, &end);
	if (*end != '\0')
		return failure(E_INVALID, "'%.40s' is not a number", s);
	if (plain && isinf(value))
		return failure(E_INVALID, "%.40s is too large a number", s);
	*out = value;
	return OK;
}

static long long unit_ms(const char *unit)
{
	static const struct {
		const char *name;
		long long ms;
	} UNITS[] = {
		{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
	};
	for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++)
		if (strcmp(unit, UNITS[i].name) == 0)
			return UNITS[i].ms;
	return 0;
}

enum status str_to_duration(const char *s, long long *out_ms)
{
	size_t digits = strspn(s, "0123456789");
	long long unit = unit_ms(s + digits);

	if (digits == 0 || unit == 0)
		return failure(E_INVALID,
			       "'%.40s' is not a duration such as 250ms, 30s, 5m, 1h or 7d", s);
	long long ms;
	if (digits > 12 || __builtin_mul_overflow(strtoll(s, NULL, 10), unit, &ms))
		return failure(E_INVALID, "%.40s is too long a duration", s);
	*out_ms = ms;
	return OK;
}

char *str_duration(void *mem, long long ms)
{
	if (ms < 1000)
		return str_fmt(mem, "%lld ms", ms);
	if (ms < 60000)
		return str_fmt(mem, "%lld.%lld s", ms / 1000, ms % 1000 / 100);
	if (ms < 3600000)
		return str_fmt(mem, "%lld m %02lld s", ms / 60000, ms / 1000 % 60);
	return str_fmt(mem, "%lld h %02lld m", ms / 3600000, ms / 60000 % 60);
}

static bool is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

bool str_is_dns_label(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_label_char(s[i]))
			return false;
	return true;
}

bool str_glob(const char *pattern, const char *text)
{
	const char *star = NULL;
	const char *retry = NULL;

	while (*text != '\0') {
		if (*pattern == '*') {
			star = pattern++;
			retry = text;
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star != NULL) {
			pattern = star + 1;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool str_eq_secret(const char *a, const char *b)
{
	size_t n = strlen(a);
	return n == strlen(b) && CRYPTO_memcmp(a, b, n) == 0;
}
