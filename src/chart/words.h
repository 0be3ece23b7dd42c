/*
 * Words on a chart. What is written there was often chosen by strangers (label values, services, log text). Pure.
 */
#pragma once

#include <stddef.h>

/* A copy fit to be drawn: secrets masked (domain/redact.h; AI-001.21), valid UTF-8, one line, without control
 * characters and without those that turn the direction of writing, at most `points` code points with "…" for what was
 * cut. NULL reads as "". */
char *words_clean(void *mem, const char *text, size_t points);

/* A copy in which & < > " and ' are XML's entities; `text` must be clean. */
char *words_xml(void *mem, const char *text);

/* "10:41", or with the day where the moment is not on `reference_ms`'s day: "Jan 14 10:41". UTC. */
char *words_time(void *mem, double ms, double reference_ms);

/* "Jan 15". UTC. */
char *words_date(void *mem, double ms);

/* "2026-01-15". UTC. */
char *words_day(void *mem, double ms);

/* "5 min", "40 s", "1 h 20 min", "2 d 3 h": a length of time in words, rounded. */
char *words_length(void *mem, double ms);
