#include "base/backoff.h"

int64_t backoff_delay(struct backoff b, int attempt, double jitter, int64_t asked_ms)
{
	int64_t ceiling = b.base_ms < b.cap_ms ? b.base_ms : b.cap_ms;

	for (int i = 1; i < attempt && ceiling > 0 && ceiling < b.cap_ms; i++)
		ceiling = ceiling > b.cap_ms / 2 ? b.cap_ms : ceiling * 2;
	int64_t delay = (int64_t)(jitter * (double)ceiling);
	if (delay < b.base_ms / 2)
		delay = b.base_ms / 2;
	return delay > asked_ms ? delay : asked_ms;
}
