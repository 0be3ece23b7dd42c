/*
 * Log lines grouped by what they say: what changes from line to line (numbers, ids, paths, quoted text) is masked, and lines
 * with the same number of words, the same beginning and most words alike become one template. After Drain (He, Zhu, Zheng,
 * Lyu 2017, "Drain: an online log parsing approach with fixed depth tree"). Pure; deterministic in the order of the lines.
 *
 * Bounded whatever comes: 512 bytes and 48 words of a line, 48 templates that begin alike, 800 in all; what fits nowhere
 * then is counted in `ungrouped`. Time is linear in the lines.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "domain/evidence.h"

enum line_level { LEVEL_UNKNOWN, LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR };

/* What kind of failure a line tells of, by the words that runtimes use. */
enum failure_kind {
	FAILURE_NONE,
	FAILURE_OTHER,   /* an exception or error class of another name */
	FAILURE_MEMORY,  /* out of memory */
	FAILURE_TIMEOUT,
	FAILURE_REFUSED, /* connection refused, reset, no route */
	FAILURE_DISK,    /* no space left */
	FAILURE_ACCESS,  /* certificate, token, permission */
	FAILURE_CRASH,   /* panic, segmentation fault */
};

struct log_pattern {
	const char *text;    /* the template: masks are <n>, <id>, <ip>, <path>, <text>, <*> */
	const char *example; /* the first line of it, borrowed from the lines */
	enum line_level level;
	enum failure_kind failure;
	size_t count, before, after; /* before: lines with at_ms < split_ms */
	int64_t first_ms, last_ms;
	double rate_before, rate_after; /* lines a minute; NAN where that side has no length */
	bool is_new;                    /* none before, at least three after */
};

/* A class of failures: "OutOfMemoryError", or the kind's words when no class is named. */
struct failure_class {
	const char *name;
	enum failure_kind kind;
	size_t before, after;
	int64_t first_ms;
	const char *example; /* borrowed */
};

struct log_summary {
	struct log_pattern *patterns; /* most lines first */
	size_t pattern_count;
	struct failure_class *classes; /* most lines after the split first */
	size_t class_count;
	size_t errors_before, errors_after; /* lines of level error */
	size_t ungrouped;
	double minutes_before, minutes_after;
};

/* Under mem. `split_ms` is the change or the alert. */
void log_summarise(void *mem, const struct log_line *lines, size_t count, const struct window *window, int64_t split_ms,
		   struct log_summary *out);

/* The line with its changing parts masked, words parted by one blank. */
char *log_mask(void *mem, const char *text);

/* By the level that came with the line, else by a word at its beginning ("[ERROR]", "level=warn"). */
enum line_level line_level_of(const struct log_line *line);

/* FAILURE_NONE when it tells of none; *name then is not set. */
enum failure_kind log_failure(void *mem, const char *text, const char **name);

/* The other side that a failed call names, as "http://stock:8080/…" or "stock:8080"; NULL when it names none by name (an
 * address is none). Under mem. */
const char *log_peer(void *mem, const char *text);

const char *failure_kind_name(enum failure_kind k); /* "out of memory", "timeout", … */
