/*
 * Strings: talloc'd, NUL-terminated, valid UTF-8 inside the program. Built with str_fmt and
 * str_add; there is no other growing buffer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

char *str_dup(void *mem, const char *s);            /* NULL stays NULL */
char *str_ndup(void *mem, const char *s, size_t n); /* at most n bytes */
char *str_fmt(void *mem, const char *fmt, ...) PRINTF(2, 3);

/* snprintf into a caller's buffer, for hot paths; what does not fit is cut. */
void str_print(char *buffer, size_t size, const char *fmt, ...) PRINTF(3, 4);

/* Appends to *s, which must come from str_dup(mem, "") or a sibling. */
void str_add(char **s, const char *fmt, ...) PRINTF(2, 3);

bool str_eq(const char *a, const char *b); /* NULL equals only NULL */
bool str_empty(const char *s);             /* NULL or "" */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/* At most `points` code points of s, with "…" in place of what was cut. */
char *str_cut(void *mem, const char *s, size_t points);

/* At most `bytes` bytes of s, cut between code points. */
char *str_fit(void *mem, const char *s, size_t bytes);

char *str_lower(void *mem, const char *s); /* ASCII only */

/* Strict numbers: the whole text, no sign tricks, in range; else E_INVALID with a message. */
NODISCARD enum status str_to_int(const char *s, long long min, long long max, long long *out);
NODISCARD enum status str_to_double(const char *s, double *out);

/* "250ms" "30s" "5m" "1h" "7d", or a plain number of seconds, in ms. */
NODISCARD enum status str_to_duration(const char *s, long long *out_ms);

/* 1234 → "1.2 s"; short text for people. */
char *str_duration(void *mem, long long ms);

/* DNS-1123 label: [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most 63 characters (SHARED.10). */
bool str_is_dns_label(const char *s);

/* True when `text` matches `pattern`, in which * stands for any run of characters. */
bool str_glob(const char *pattern, const char *text);

/* Compares without a time that depends on where the difference is. */
bool str_eq_secret(const char *a, const char *b);
