/*
 * The alerts that are sent, made from a template that bench.py writes: @N@ stands for the alert's number, @S@ for its
 * shard (one of the rules), @F@ for its function; @+@ goes on to the next number. The only place that knows how number,
 * shard and function belong together.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { SHARDS = 64, FUNCTIONS = 10 };

/* Reads the template; aborts with a line on stderr when it cannot be read. */
char *alert_template(void *mem, const char *path);

/* The text for the alerts number..., under mem. */
char *alert_render(void *mem, const char *text, unsigned long number);
