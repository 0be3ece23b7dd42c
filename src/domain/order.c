#include "domain/order.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"

static bool parse(const char *word, enum order_policy *out)
{
	static const char *const NAMES[] = {"allow", "skip", "block"};

	for (int n = 0; n < 3; n++) {
		if (str_eq(NAMES[n], word)) {
			*out = (enum order_policy)n;
			return true;
		}
	}
	return false;
}

enum order_policy order_policy_of(const char *const *rules, const char *type)
{
	enum order_policy policy = ORDER_ALLOW;

	for (; rules != NULL && *rules != NULL; rules++) {
		const char *sign = strrchr(*rules, '=');
		if (sign != NULL && strlen(type) == (size_t)(sign - *rules) &&
		    str_starts(*rules, type) && parse(sign + 1, &policy))
			return policy;
	}
	return ORDER_ALLOW;
}

enum status order_check(const char *const *rules)
{
	enum order_policy policy;

	for (; rules != NULL && *rules != NULL; rules++) {
		const char *sign = strrchr(*rules, '=');
		if (sign == NULL || sign == *rules || !parse(sign + 1, &policy))
			return failure(
				E_INVALID,
				"\"%.200s\" is no rule; want TYPE=allow, TYPE=skip or TYPE=block",
				*rules);
	}
	return OK;
}
