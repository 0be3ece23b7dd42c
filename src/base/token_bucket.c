#include "base/token_bucket.h"

#include <math.h>

void token_bucket_init(struct token_bucket *b, const struct token_rate *r, int64_t now_ms)
{
	*b = (struct token_bucket){.tokens = r->burst, .at_ms = now_ms};
}

int64_t token_bucket_wait(struct token_bucket *b, const struct token_rate *r, double n,
			  int64_t now_ms)
{
	double wanted = n < r->burst ? n : r->burst;

	if (now_ms > b->at_ms) {
		b->tokens += (double)(now_ms - b->at_ms) * r->per_second / 1000.0;
		b->at_ms = now_ms;
	}
	if (b->tokens > r->burst)
		b->tokens = r->burst;
	if (b->tokens >= wanted)
		return 0;
	return (int64_t)ceil((wanted - b->tokens) * 1000.0 / r->per_second);
}

void token_bucket_take(struct token_bucket *b, double n)
{
	b->tokens -= n;
}
