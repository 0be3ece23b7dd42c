#include "daemon/alarm.h"

static const struct alarm_rule RULES[] = {
#define ALARM_ROW(name, severity, kind, metric, value, of, above, window, summary) \
	{#name, severity, ALARM_##kind, M_##metric, value, M_##of, above, (window)*1000LL, summary},
	ALARMS(ALARM_ROW)
#undef ALARM_ROW
};

const struct alarm_rule *alarm_rules(size_t *count)
{
	*count = sizeof(RULES) / sizeof(RULES[0]);
	return RULES;
}

static void keep(struct alarm *a, const struct alarm_sample *s)
{
	a->samples[a->next] = *s;
	a->next = (a->next + 1) % ALARM_SAMPLES;
	a->count += a->count < ALARM_SAMPLES;
}

/* The newest sample that is as old as the window, or the oldest there is. */
static const struct alarm_sample *base_of(const struct alarm *a, int64_t since_ms)
{
	size_t at = (a->next + ALARM_SAMPLES - a->count) % ALARM_SAMPLES;
	const struct alarm_sample *found = &a->samples[at];

	for (size_t n = 0; n < a->count; n++, at = (at + 1) % ALARM_SAMPLES)
		if (a->samples[at].at_ms <= since_ms)
			found = &a->samples[at];
	return found;
}

static double measure(const struct alarm *a, const struct alarm_sample *now)
{
	const struct alarm_sample *before = base_of(a, now->at_ms - a->rule->window_ms);
	double growth = now->metric - before->metric;
	double all = now->of - before->of;

	switch (a->rule->kind) {
	case ALARM_LEVEL: return now->metric;
	case ALARM_GROWTH: return growth;
	default: return all < ALARM_SHARE_LEAST ? 0 : growth / all;
	}
}

bool alarm_judge(struct alarm *a, double metric, double of, int64_t now_ms)
{
	const struct alarm_sample now = {.at_ms = now_ms, .metric = metric, .of = of};
	const struct alarm_sample start = {.at_ms = now_ms};
	bool before = a->firing;

	if (a->count == 0)
		keep(a, &start);
	keep(a, &now);
	a->value = measure(a, &now);
	if (a->value > a->rule->above) {
		a->firing = true;
		a->over_ms = now_ms;
	} else if (a->firing && now_ms - a->over_ms >= ALARM_KEEP_MS) {
		a->firing = false;
	}
	return a->firing != before;
}
