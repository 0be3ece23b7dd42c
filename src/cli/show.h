/* Small things that the client commands print alike. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* ANSI colour for a state or outcome when stdout is a terminal and NO_COLOR is not set; else "". */
const char *show_colour(const char *word);
const char *show_plain(void);

/* "3 m" since an RFC 3339 time; "-" when unreadable. */
char *show_age(void *mem, const char *time);

/* The string member of an answer; "-" when it is absent or empty. Borrowed. */
const char *show_word(const json_t *row, const char *key);

/* Makes an answer fit for a terminal: alerts are made by others, so control characters other than
 * newline and tab become '?' in every text of it. */
void show_clean(void *mem, json_t *answer);

struct show_column {
	const char *title, *key;
	size_t most; /* code points; 0 = a time, shown as its age */
};

/* The objects of the array `rows` under their titles, aligned; numbers and strings. */
void show_table(void *mem, const struct show_column *columns, size_t count, const json_t *rows);
