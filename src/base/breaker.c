#include "base/breaker.h"

#include <assert.h>
#include <string.h>

void breaker_init(struct breaker *b, const struct breaker_options *o)
{
	assert(o->failures >= 1 && o->failures <= BREAKER_FAILURES_MAX && o->successes >= 1);
	*b = (struct breaker){.options = *o, .state = BREAKER_CLOSED, .pause_ms = o->pause_ms};
}

static void forget_oldest(struct breaker *b, int n)
{
	b->failed_count -= n;
	memmove(b->failed_at, b->failed_at + n, (size_t)b->failed_count * sizeof(*b->failed_at));
}

static void forget_old(struct breaker *b, int64_t now_ms)
{
	int old = 0;

	while (old < b->failed_count && b->failed_at[old] <= now_ms - b->options.window_ms)
		old++;
	forget_oldest(b, old);
}

static void open_for(struct breaker *b, int64_t pause_ms, int64_t now_ms)
{
	b->state = BREAKER_OPEN;
	b->pause_ms = pause_ms > b->options.pause_max_ms ? b->options.pause_max_ms : pause_ms;
	b->opened_ms = now_ms;
	b->failed_count = 0;
	b->good_in_row = 0;
	b->trying = false;
}

static bool says_wait(int64_t until_ms, int64_t now_ms, int64_t *wait_ms)
{
	if (wait_ms != NULL)
		*wait_ms = until_ms > now_ms ? until_ms - now_ms : 0;
	return until_ms <= now_ms;
}

bool breaker_allows(struct breaker *b, int64_t now_ms, int64_t *wait_ms)
{
	if (b->state == BREAKER_CLOSED)
		return says_wait(now_ms, now_ms, wait_ms);
	if (b->state == BREAKER_OPEN) {
		if (!says_wait(b->opened_ms + b->pause_ms, now_ms, wait_ms))
			return false;
		b->state = BREAKER_HALF_OPEN;
	}
	if (b->trying && !says_wait(b->trying_since_ms + b->options.pause_max_ms, now_ms, wait_ms))
		return false;
	b->trying = true;
	b->trying_since_ms = now_ms;
	return says_wait(now_ms, now_ms, wait_ms);
}

bool breaker_succeeded(struct breaker *b, int64_t now_ms)
{
	if (b->state == BREAKER_CLOSED) {
		forget_old(b, now_ms);
		if (b->failed_count > 0)
			forget_oldest(b, 1);
		return false;
	}
	if (b->state == BREAKER_OPEN)
		return false;
	b->trying = false;
	if (++b->good_in_row < b->options.successes)
		return false;
	const struct breaker_options options = b->options;
	breaker_init(b, &options);
	return true;
}

bool breaker_failed(struct breaker *b, int64_t now_ms)
{
	if (b->state == BREAKER_OPEN)
		return false;
	if (b->state == BREAKER_HALF_OPEN) {
		open_for(b, b->pause_ms * 2, now_ms);
		return true;
	}
	forget_old(b, now_ms);
	b->failed_at[b->failed_count++] = now_ms;
	if (b->failed_count < b->options.failures)
		return false;
	open_for(b, b->options.pause_ms, now_ms);
	return true;
}

bool breaker_trip(struct breaker *b, int64_t now_ms)
{
	if (b->state != BREAKER_CLOSED)
		return false;
	open_for(b, b->options.pause_ms, now_ms);
	return true;
}

const char *breaker_state_name(enum breaker_state s)
{
	static const char *const NAMES[] = {"closed", "half-open", "open"};

	return NAMES[s];
}
