/* The words and the evidence for one statement of a rule. Sentences are plain text: who shows them escapes them. */
#pragma once

#include "insight/diagnosis.h"

/* "1.5 GiB", "250 ms", "97 %", "0.42 cores", "12.3/s"; "unknown" for NAN. */
char *quantity(void *mem, double value, const char *unit);

/* "memory of cart-0 rose from 512 MiB to 1.9 GiB (ramp up, 34 times its noise)" */
void support_change(void *mem, struct candidate *c, const struct hit *h);

/* A sentence with one citation, or none when `source` of it is SOURCE_COUNT. More than SUPPORTS_MAX are dropped. */
void support_say(void *mem, struct candidate *c, int64_t at_ms, struct citation cited, const char *fmt, ...) PRINTF(5, 6);

/* The sentence and citation of a change, for findings that belong to no candidate. */
struct support support_of_change(void *mem, const struct hit *h);

/* The query that a source was asked first; "" when none. */
const char *query_of(const struct evidence *e, enum source s);
