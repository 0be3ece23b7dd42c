/*
 * A token bucket: pure, times are passed in (monotonic ms), the caller locks. What asks for more than the bucket can
 * ever hold passes when it is full, and is paid for afterwards: so a large batch is not refused for ever, and the rate
 * holds all the same.
 */
#pragma once

#include <stdint.h>

struct token_rate {
	double per_second; /* > 0 */
	double burst;      /* ≥ 1: how much a rested bucket holds */
};

struct token_bucket {
	double tokens; /* negative: in debt */
	int64_t at_ms; /* of `tokens` */
};

void token_bucket_init(struct token_bucket *b, const struct token_rate *r, int64_t now_ms); /* full */

/* Refills it; 0: `n` may pass now, else in how many ms to ask again. Takes nothing. */
int64_t token_bucket_wait(struct token_bucket *b, const struct token_rate *r, double n, int64_t now_ms);
void token_bucket_take(struct token_bucket *b, double n);
