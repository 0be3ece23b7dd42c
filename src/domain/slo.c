#include "domain/slo.h"

#include <math.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

static const struct {
	const char *name;
	double seconds;
} WINDOWS[SLO_WINDOW_COUNT] = {
#define SLO_WINDOW_ROW(id, name, seconds) [SLO_##id] = {name, seconds},
	SLO_WINDOWS(SLO_WINDOW_ROW)
#undef SLO_WINDOW_ROW
};

static const char *const VIOLATIONS[] = {
#define SLO_VIOLATION_NAME(id, name) [SLO_##id] = name,
	SLO_VIOLATIONS(SLO_VIOLATION_NAME)
#undef SLO_VIOLATION_NAME
};

enum { VIOLATION_COUNT = sizeof(VIOLATIONS) / sizeof(VIOLATIONS[0]) };

const struct slo_pair slo_pairs[SLO_PAIR_COUNT] = {
	{SLO_5M, SLO_1H, 14.4, true},
	{SLO_30M, SLO_6H, 6, true},
	{SLO_2H, SLO_1D, 3, false},
	{SLO_6H, SLO_3D, 1, false},
};

const struct slo_thresholds slo_thresholds_standard = {0.0005, 0.0001, 0.00001};

static const double MINUTE_S = 60;

const char *slo_window_name(enum slo_window w)
{
	return WINDOWS[w].name;
}

const char *slo_violation_name(enum slo_violation v)
{
	return VIOLATIONS[v];
}

/* Comparisons with NAN are false. */
static bool is_ratio(double v)
{
	return v >= 0 && v <= 1;
}

static bool has_budget(double objective)
{
	return objective > 0 && objective < 1;
}

double slo_burn_multiple(double errors, double objective)
{
	return is_ratio(errors) && has_budget(objective) ? errors / (1 - objective) : NAN;
}

double slo_budget_consumed(double sli, double objective)
{
	return is_ratio(sli) ? slo_burn_multiple(1 - sli, objective) : NAN;
}

double slo_budget_remaining(double sli, double objective)
{
	return 1 - slo_budget_consumed(sli, objective);
}

double slo_exhaustion_s(double remaining, double multiple, double period_s)
{
	if (!isfinite(remaining) || !(multiple >= 0) || !isfinite(multiple) || !(period_s > 0) ||
	    !isfinite(period_s))
		return NAN;
	if (remaining <= 0)
		return 0;
	return multiple > 0 ? remaining * period_s / multiple : INFINITY;
}

enum slo_violation slo_violation_of(double burn_rate, const struct slo_thresholds *t)
{
	if (!isfinite(burn_rate) || burn_rate < 0) /* nothing burns backwards: it is broken */
		return SLO_UNKNOWN;
	if (burn_rate > t->critical)
		return SLO_CRITICAL;
	if (burn_rate > t->high)
		return SLO_HIGH;
	return burn_rate > t->medium ? SLO_MEDIUM : SLO_LOW;
}

struct slo_reading slo_reading_unknown(void)
{
	struct slo_reading r = {NAN, NAN, {0}, NAN, NAN, NAN};

	for (int w = 0; w < SLO_WINDOW_COUNT; w++)
		r.errors[w] = NAN;
	return r;
}

bool slo_reading_knows_budget(const struct slo_reading *r)
{
	return isfinite(r->sli) || isfinite(r->remaining);
}

bool slo_reading_measures(const struct slo_reading *r)
{
	bool known = slo_reading_knows_budget(r) || isfinite(r->burn_rate);

	for (int w = 0; w < SLO_WINDOW_COUNT; w++)
		known = known || isfinite(r->errors[w]);
	return known;
}

double slo_worse_low(double a, double b)
{
	if (!isfinite(a) || !isfinite(b))
		return isfinite(a) ? a : isfinite(b) ? b : NAN;
	return a < b ? a : b;
}

double slo_worse_high(double a, double b)
{
	if (!isfinite(a) || !isfinite(b))
		return isfinite(a) ? a : isfinite(b) ? b : NAN;
	return a > b ? a : b;
}

static double ratio_or_unknown(double v)
{
	return is_ratio(v) ? v : NAN;
}

static double finite_or_unknown(double v)
{
	return isfinite(v) ? v : NAN;
}

static double pace(const struct slo_context *c)
{
	return isfinite(c->multiples[SLO_1H]) ? c->multiples[SLO_1H] : c->multiples[SLO_5M];
}

void slo_assess(const struct slo_reading *r, const struct slo_thresholds *t,
		struct slo_context *out)
{
	out->target = ratio_or_unknown(r->objective);
	out->current = ratio_or_unknown(r->sli);
	out->period_s = r->period_s > 0 ? finite_or_unknown(r->period_s) : NAN;
	out->consumed = slo_budget_consumed(out->current, out->target);
	out->budget_remaining = isfinite(r->remaining)
					? r->remaining
					: slo_budget_remaining(out->current, out->target);
	for (int w = 0; w < SLO_WINDOW_COUNT; w++)
		out->multiples[w] = slo_burn_multiple(r->errors[w], out->target);
	out->burn_rate = isfinite(r->burn_rate) ? r->burn_rate
						: out->multiples[SLO_5M] * MINUTE_S / out->period_s;
	out->exhaustion_s = slo_exhaustion_s(out->budget_remaining, pace(out), out->period_s);
	out->violation = slo_violation_of(out->burn_rate, t);
}

struct slo_context slo_context_unavailable(const char *slo, const char *sli, const char *trouble)
{
	const struct slo_reading nothing = slo_reading_unknown();
	struct slo_context c = {.slo = slo, .sli = sli, .trouble = trouble};

	slo_assess(&nothing, &slo_thresholds_standard, &c);
	return c;
}

double slo_pair_multiple(const struct slo_context *c, const struct slo_pair *p)
{
	double brief = c->multiples[p->brief];
	double lengthy = c->multiples[p->lengthy];

	if (!isfinite(brief) || !isfinite(lengthy))
		return NAN;
	return brief < lengthy ? brief : lengthy;
}

bool slo_is_known(const struct slo_context *c)
{
	return c != NULL && c->source != NULL;
}

bool slo_is_violated(const struct slo_context *c)
{
	return c->current < c->target || c->violation == SLO_CRITICAL || c->violation == SLO_HIGH;
}

/* JSON has no NAN. */
static json_t *number(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

static json_t *seconds(double v)
{
	return isinf(v) ? json_string("never") : number(v);
}

/* The values of C that JSON cannot tell apart from absence are absent. */
static double number_of(const json_t *doc, const char *key)
{
	const json_t *value = json_object_get(doc, key);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

json_t *slo_context_encode(const struct slo_context *c)
{
	json_t *burn = json_object();

	for (int w = 0; w < SLO_WINDOW_COUNT; w++)
		json_object_set_new(burn, WINDOWS[w].name, number(c->multiples[w]));
	return mem_check(json_pack(
		"{s:s, s:s?, s:s?, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "slo",
		c->slo, "sli", c->sli, "source", c->source, "trouble", c->trouble, "target",
		number(c->target), "current", number(c->current), "error_budget_remaining",
		number(c->budget_remaining), "error_budget_burn_rate", number(c->burn_rate),
		"error_budget_consumed", number(c->consumed), "period_s", number(c->period_s),
		"burn_multiples", burn, "exhausted_in_s", seconds(c->exhaustion_s),
		"violation_severity", VIOLATIONS[c->violation]));
}

static enum slo_violation violation_of(const char *word)
{
	for (int v = 0; v < VIOLATION_COUNT; v++)
		if (str_eq(VIOLATIONS[v], word))
			return (enum slo_violation)v;
	return SLO_UNKNOWN;
}

static const char *text_of(void *mem, const json_t *doc, const char *key)
{
	return str_dup(mem, json_str(doc, key));
}

struct slo_context *slo_context_decode(void *mem, const json_t *doc)
{
	struct slo_context *c = NEW(mem, struct slo_context);
	const json_t *burn = json_object_get(doc, "burn_multiples");

	*c = (struct slo_context){
		.slo = json_str(doc, "slo") == NULL ? "" : text_of(c, doc, "slo"),
		.sli = text_of(c, doc, "sli"),
		.source = text_of(c, doc, "source"),
		.trouble = text_of(c, doc, "trouble"),
		.target = number_of(doc, "target"),
		.current = number_of(doc, "current"),
		.budget_remaining = number_of(doc, "error_budget_remaining"),
		.burn_rate = number_of(doc, "error_budget_burn_rate"),
		.consumed = number_of(doc, "error_budget_consumed"),
		.period_s = number_of(doc, "period_s"),
		.exhaustion_s = str_eq(json_str(doc, "exhausted_in_s"), "never")
					? INFINITY
					: number_of(doc, "exhausted_in_s"),
		.violation = violation_of(json_str(doc, "violation_severity")),
	};
	for (int w = 0; w < SLO_WINDOW_COUNT; w++)
		c->multiples[w] = number_of(burn, WINDOWS[w].name);
	return c;
}

struct slo_context *slo_context_copy(void *mem, const struct slo_context *c)
{
	struct slo_context *copy = NEW(mem, struct slo_context);

	*copy = *c;
	copy->slo = str_dup(copy, c->slo);
	copy->sli = str_dup(copy, c->sli);
	copy->source = str_dup(copy, c->source);
	copy->trouble = str_dup(copy, c->trouble);
	return copy;
}
