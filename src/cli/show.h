/* Small things that `incidents` and `show` print alike. */
#pragma once

#include <stdint.h>

#include <jansson.h>

/* ANSI colour for a state or outcome when stdout is a terminal and NO_COLOR is not set; "" otherwise. */
const char *show_colour(const char *word);
const char *show_plain(void);

/* "3 m" since an RFC 3339 time; "" when unreadable. */
char *show_age(void *mem, const char *time);
