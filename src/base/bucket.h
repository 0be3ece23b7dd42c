/*
 * A token bucket: pure, times are passed in (monotonic ms), the caller locks. What asks for more than the bucket can
 * ever hold passes when it is full, and is paid for afterwards: so a large batch is not refused for ever, and the rate
 * holds all the same.
 */
#pragma once

#include <stdint.h>

struct bucket_rate {
	double per_second; /* > 0 */
	double burst;      /* ≥ 1: how much a rested bucket holds */
};

struct bucket {
	double tokens; /* negative: in debt */
	int64_t at_ms; /* of `tokens` */
};

void bucket_init(struct bucket *b, const struct bucket_rate *r, int64_t now_ms); /* full */

/* Refills it; 0: `n` may pass now, else in how many ms to ask again. Takes nothing. */
int64_t bucket_wait(struct bucket *b, const struct bucket_rate *r, double n, int64_t now_ms);
void bucket_take(struct bucket *b, double n);
