/*
 * The arithmetic of service levels. Pure. All ratios are fractions (0.999, never 99.9); what is not known is NAN and stays
 * NAN: a missing number never looks healthy.
 *
 *   error budget            1 - objective
 *   budget consumed         (1 - SLI) / (1 - objective)         of the SLO's period, 1 = all of it
 *   budget remaining        1 - consumed                        negative when overspent (WORKFLOW-001.9)
 *   burn multiple           errors of a window / (1 - objective): 1 spends the budget exactly in the period
 *   burn rate               what the violation severity is judged by (WORKFLOW-001.7): as it is recorded; where only
 *                           multiples are known, the share of the period's budget that one minute spends, which is
 *                           multiple * 60 s / period. With 30 days 1x is 0.0000231 (medium), 6x 0.000139 and 14.4x 0.000333
 *                           (high), 21.6x 0.0005: what pages is high, what is only a ticket medium.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

/* W(id, name in PromQL, seconds), shortest first: those of the multiwindow, multi-burn-rate alerts (Google's SRE Workbook,
 * chapter 5) and of Sloth's records. */
#define SLO_WINDOWS(W)       \
	W(5M, "5m", 300)     \
	W(30M, "30m", 1800)  \
	W(1H, "1h", 3600)    \
	W(2H, "2h", 7200)    \
	W(6H, "6h", 21600)   \
	W(1D, "1d", 86400)   \
	W(3D, "3d", 259200)

enum slo_window {
#define SLO_WINDOW_ENUM(id, name, seconds) SLO_##id,
	SLO_WINDOWS(SLO_WINDOW_ENUM)
#undef SLO_WINDOW_ENUM
	SLO_WINDOW_COUNT
};

const char *slo_window_name(enum slo_window w);

/* A pair burns when both its windows do: the long one shows that it matters, the short one that it still goes on. */
struct slo_pair {
	enum slo_window brief, lengthy;
	double factor; /* of the sustainable rate */
	bool page;     /* else a ticket */
};

enum { SLO_PAIR_COUNT = 4 };
extern const struct slo_pair slo_pairs[SLO_PAIR_COUNT];

/* V(id, name), worst first. */
#define SLO_VIOLATIONS(V)       \
	V(UNKNOWN, "unknown")   \
	V(CRITICAL, "critical") \
	V(HIGH, "high")         \
	V(MEDIUM, "medium")     \
	V(LOW, "low")

enum slo_violation {
#define SLO_VIOLATION_ENUM(id, name) SLO_##id,
	SLO_VIOLATIONS(SLO_VIOLATION_ENUM)
#undef SLO_VIOLATION_ENUM
};

const char *slo_violation_name(enum slo_violation v);

/* Burn rates strictly above which a violation is critical, high, medium; fractions. */
struct slo_thresholds {
	double critical, high, medium;
};
extern const struct slo_thresholds slo_thresholds_standard; /* 0.0005, 0.0001, 0.00001 (WORKFLOW-001.8) */

/* NAN unless sli is in [0, 1] and objective in (0, 1): a budget of nothing has no parts. */
double slo_budget_consumed(double sli, double objective);
double slo_budget_remaining(double sli, double objective);

/* NAN unless errors is in [0, 1] and objective in (0, 1). */
double slo_burn_multiple(double errors, double objective);

/* Seconds until nothing of the budget is left at that multiple: 0 when it is spent already, INFINITY when nothing burns, NAN
 * when something is unknown. */
double slo_exhaustion_s(double remaining, double multiple, double period_s);

enum slo_violation slo_violation_of(double burn_rate, const struct slo_thresholds *t);

/* What a source said. Every number may be NAN. */
struct slo_reading {
	double objective;
	double sli;                      /* over the SLO's period */
	double errors[SLO_WINDOW_COUNT]; /* ratio of errors in each window */
	double remaining;                /* of the budget, as recorded */
	double burn_rate;                /* as recorded */
	double period_s;
};

/* All unknown. */
struct slo_reading slo_reading_unknown(void);

/* True when it knows anything but the objective and the period, which a definition knows without any measurement. */
bool slo_reading_measures(const struct slo_reading *r);

/* True when it knows the SLI over the period, or the budget. */
bool slo_reading_knows_budget(const struct slo_reading *r);

/* Several series of one SLO: the worst of both. A number that is not finite is unknown and counts for nothing. */
double slo_worse_low(double a, double b);  /* the lower: SLI, remaining */
double slo_worse_high(double a, double b); /* the higher: objective, errors, burn rate */

/* The SLO of an incident, at one moment. */
struct slo_context {
	const char *slo, *sli;       /* never NULL once assessed */
	const char *source;          /* "openslo", "sloth", "pyrra", "series"; NULL = the data was unavailable, and nothing below
					is known but what a definition says (target, period_s) */
	const char *trouble;         /* why it was unavailable; NULL = it was not */
	double target, current, budget_remaining, burn_rate; /* fractions, NAN = unknown */
	double period_s;
	double consumed;             /* (1 - current) / (1 - target): the conventional multiple over the period. Never mixed with
					burn_rate */
	double multiples[SLO_WINDOW_COUNT];
	double exhaustion_s;         /* at the pace of the last hour (5 minutes when that is unknown) */
	enum slo_violation violation;
};

/* Fills the numbers of `out` and leaves its texts. The recorded remaining budget wins over the computed one. */
void slo_assess(const struct slo_reading *r, const struct slo_thresholds *t, struct slo_context *out);

/* All numbers unknown. Texts are borrowed. */
struct slo_context slo_context_unavailable(const char *slo, const char *sli, const char *trouble);

/* The lesser of a pair's multiples: the pair burns when it is above the factor. NAN when either is unknown. */
double slo_pair_multiple(const struct slo_context *c, const struct slo_pair *p);

/* Is it known to be violated: the SLI below the target, or a violation that is high or critical (WORKFLOW-001.20)? */
bool slo_is_violated(const struct slo_context *c);

/* As JSON for the store, the API and the command line; unknown numbers are null, a budget that is never spent "never". */
json_t *slo_context_encode(const struct slo_context *c);
struct slo_context *slo_context_decode(void *mem, const json_t *doc);

/* Is anything known of it? NULL is not. */
bool slo_is_known(const struct slo_context *c);

/* A copy under mem. */
struct slo_context *slo_context_copy(void *mem, const struct slo_context *c);
