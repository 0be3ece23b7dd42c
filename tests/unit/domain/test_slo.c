#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/slo.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Every wanted value was worked out by hand; none comes from the code. */

static const double DAY = 86400;

/* Equal but for the noise of a few roundings; what is unknown must be unknown. */
static void assert_near(double got, double want)
{
	if (isnan(want)) {
		assert_true(isnan(got));
		return;
	}
	if (isinf(want)) {
		assert_true(got == want);
		return;
	}
	assert_true(fabs(got - want) <= 1e-9 * fmax(1, fabs(want)));
}

static void remaining_budget_is_one_less_the_part_that_is_spent(void **state)
{
	static const struct {
		double sli, objective, consumed, remaining;
	} CASES[] = {
		{0.9985, 0.999, 1.5, -0.5}, /* WORKFLOW-001.9 */
		{1, 0.999, 0, 1},
		{0.999, 0.999, 1, 0},
		{0.9995, 0.999, 0.5, 0.5},
		{0.9999, 0.999, 0.1, 0.9},
		{0.99, 0.999, 10, -9},
		{0, 0.999, 1000, -999},
		{0.95, 0.9, 0.5, 0.5},
		{0.8, 0.9, 2, -1},
		{0.99995, 0.9999, 0.5, 0.5},
		{0.9998, 0.9999, 2, -1},
		{0.9975, 0.995, 0.5, 0.5},
		{0.999999, 0.99999, 0.1, 0.9},
		{0.5, 0.5, 1, 0},
		{0.75, 0.5, 0.5, 0.5},
		{0.25, 0.5, 1.5, -0.5},
		/* without a budget, or without a number, nothing is known */
		{1, 1, NAN, NAN},
		{0.5, 1, NAN, NAN},
		{0.999, 0, NAN, NAN},
		{NAN, 0.999, NAN, NAN},
		{0.999, NAN, NAN, NAN},
		{NAN, NAN, NAN, NAN},
		{1.1, 0.999, NAN, NAN},
		{-0.1, 0.999, NAN, NAN},
		{0.9, 1.5, NAN, NAN},
		{0.9, -0.5, NAN, NAN},
		{INFINITY, 0.999, NAN, NAN},
		{0.999, INFINITY, NAN, NAN},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		assert_near(slo_budget_consumed(CASES[n].sli, CASES[n].objective),
			    CASES[n].consumed);
		assert_near(slo_budget_remaining(CASES[n].sli, CASES[n].objective),
			    CASES[n].remaining);
	}
	/* the SLI at the objective leaves exactly nothing, whatever the objective */
	for (int n = 1; n < 100; n++)
		assert_true(slo_budget_remaining(n / 100.0, n / 100.0) == 0);
}

static void errors_become_multiples_of_what_can_be_sustained(void **state)
{
	static const struct {
		double errors, objective, multiple;
	} CASES[] = {
		{0.001, 0.999, 1}, {0.0144, 0.999, 14.4}, {0.006, 0.999, 6},	   {0, 0.999, 0},
		{1, 0.999, 1000},  {0.05, 0.9, 0.5},	  {0.00144, 0.9999, 14.4}, {0.5, 1, NAN},
		{NAN, 0.999, NAN}, {-0.1, 0.999, NAN},	  {1.1, 0.999, NAN},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++)
		assert_near(slo_burn_multiple(CASES[n].errors, CASES[n].objective),
			    CASES[n].multiple);
}

static void a_budget_is_spent_after_the_time_that_is_left(void **state)
{
	static const struct {
		double remaining, multiple, period_days, seconds;
	} CASES[] = {
		{1, 1, 30, 2592000},   {0.5, 1, 30, 1296000},
		{1, 14.4, 30, 180000}, {0.2, 6, 30, 86400},
		{1, 1000, 30, 2592},   {0.5, 2, 28, 604800},
		{0, 1, 30, 0},	       {-0.5, 1, 30, 0},
		{-0.5, 0, 30, 0},      {0.5, 0, 30, INFINITY},
		{NAN, 1, 30, NAN},     {0.5, NAN, 30, NAN},
		{0.5, 1, NAN, NAN},    {0.5, 1, 0, NAN},
		{0.5, -1, 30, NAN},    {0.5, INFINITY, 30, NAN},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++)
		assert_near(slo_exhaustion_s(CASES[n].remaining, CASES[n].multiple,
					     CASES[n].period_days * DAY),
			    CASES[n].seconds);
}

static void violations_are_strictly_above_their_thresholds(void **state)
{
	static const struct {
		double burn_rate;
		const char *violation;
	} CASES[] = {
		{0.0006, "critical"},
		{0.0005, "high"},
		{0.0002, "high"},
		{0.0001, "medium"},
		{0.00005, "medium"},
		{0.00001, "low"},
		{0, "low"},
		{NAN, "unknown"},
		{INFINITY, "unknown"},
		{-INFINITY, "unknown"},
		{1, "critical"},
		{-0.001, "unknown"},
	};
	static const double BOUNDS[] = {0.0005, 0.0001, 0.00001};
	static const enum slo_violation ABOVE[] = {SLO_CRITICAL, SLO_HIGH, SLO_MEDIUM};
	static const enum slo_violation BELOW[] = {SLO_HIGH, SLO_MEDIUM, SLO_LOW};
	const struct slo_thresholds *t = &slo_thresholds_standard;

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++)
		assert_string_equal(slo_violation_name(slo_violation_of(CASES[n].burn_rate, t)),
				    CASES[n].violation);
	for (size_t n = 0; n < COUNT(BOUNDS); n++) {
		double b = BOUNDS[n];
		assert_int_equal(slo_violation_of(nextafter(b, 1), t), ABOVE[n]);
		assert_int_equal(slo_violation_of(b, t), BELOW[n]);
		assert_int_equal(slo_violation_of(nextafter(b, 0), t), BELOW[n]);
	}
}

static void thresholds_are_configurable(void **state)
{
	const struct slo_thresholds t = {0.5, 0.25, 0.125};

	(void)state;
	assert_int_equal(slo_violation_of(0.6, &t), SLO_CRITICAL);
	assert_int_equal(slo_violation_of(0.5, &t), SLO_HIGH);
	assert_int_equal(slo_violation_of(0.25, &t), SLO_MEDIUM);
	assert_int_equal(slo_violation_of(0.125, &t), SLO_LOW);
}

static struct slo_context assess(const struct slo_reading *r)
{
	struct slo_context c = {.slo = "a", .sli = "a", .source = "series"};

	slo_assess(r, &slo_thresholds_standard, &c);
	return c;
}

static void what_is_recorded_wins_over_what_is_computed(void **state)
{
	struct slo_reading r = slo_reading_unknown();

	(void)state;
	r.objective = 0.999;
	r.sli = 0.9985;
	r.remaining = 0.001;
	r.burn_rate = 0.0005;
	struct slo_context c = assess(&r);
	assert_true(c.target == 0.999 && c.current == 0.9985);
	assert_true(c.budget_remaining == 0.001);
	assert_true(c.burn_rate == 0.0005);
	assert_near(c.consumed, 1.5);
	assert_int_equal(c.violation, SLO_HIGH);
	assert_true(slo_is_violated(&c));
	r.remaining = NAN;
	c = assess(&r);
	assert_near(c.budget_remaining, -0.5);
	r.burn_rate = NAN;
	c = assess(&r);
	assert_int_equal(c.violation, SLO_UNKNOWN);
}

static void multiples_give_a_rate_of_a_minute(void **state)
{
	static const struct {
		double multiple, burn_rate;
		enum slo_violation violation;
	} CASES[] = {
		{0.4, 0.00000925925926, SLO_LOW},
		{1, 0.0000231481481, SLO_MEDIUM},
		{3, 0.0000694444444, SLO_MEDIUM},
		{6, 0.000138888889, SLO_HIGH},
		{14.4, 0.000333333333, SLO_HIGH},
		{30, 0.000694444444, SLO_CRITICAL},
		{0, 0, SLO_LOW},
	};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		struct slo_reading r = slo_reading_unknown();
		r.objective = 0.999;
		r.period_s = 30 * DAY;
		r.errors[SLO_5M] = CASES[n].multiple / 1000;
		struct slo_context c = assess(&r);
		assert_near(c.multiples[SLO_5M], CASES[n].multiple);
		assert_true(fabs(c.burn_rate - CASES[n].burn_rate) < 1e-9);
		assert_int_equal(c.violation, CASES[n].violation);
	}
}

static void pairs_burn_when_both_windows_do(void **state)
{
	struct slo_reading r = slo_reading_unknown();

	(void)state;
	r.objective = 0.999;
	r.period_s = 30 * DAY;
	r.sli = 0.9998;
	r.errors[SLO_5M] = 0.02;
	r.errors[SLO_1H] = 0.016;
	r.errors[SLO_2H] = 0.001;
	r.errors[SLO_6H] = 0.002;
	struct slo_context c = assess(&r);
	assert_near(slo_pair_multiple(&c, &slo_pairs[0]), 16);
	assert_true(slo_pair_multiple(&c, &slo_pairs[0]) > slo_pairs[0].factor);
	assert_true(isnan(slo_pair_multiple(&c, &slo_pairs[1]))); /* 30m is unknown */
	/* 80 % of the budget, at the pace of the last hour: 0.8 * 30 d / 16 */
	assert_near(c.exhaustion_s, 0.8 * 30 * DAY / 16);
	r.errors[SLO_1H] = NAN;
	c = assess(&r);
	assert_near(c.exhaustion_s, 0.8 * 30 * DAY / 20);
}

static void nothing_known_is_never_healthy(void **state)
{
	const struct slo_reading nothing = slo_reading_unknown();
	struct slo_reading broken = slo_reading_unknown();
	struct slo_context c = assess(&nothing);

	(void)state;
	assert_false(slo_reading_measures(&nothing));
	assert_int_equal(c.violation, SLO_UNKNOWN);
	assert_true(isnan(c.target) && isnan(c.current) && isnan(c.budget_remaining));
	assert_true(isnan(c.burn_rate) && isnan(c.exhaustion_s) && isnan(c.consumed));
	assert_false(slo_is_violated(&c));
	broken.objective = 1;
	broken.sli = 1;
	broken.burn_rate = INFINITY;
	c = assess(&broken);
	assert_int_equal(c.violation, SLO_UNKNOWN);
	assert_true(isnan(c.budget_remaining));
	broken.objective = 99.9; /* percent by mistake */
	assert_true(isnan(assess(&broken).target));
	c = slo_context_unavailable("a", "b", "away");
	assert_false(slo_is_known(&c));
	assert_false(slo_is_known(NULL));
	assert_int_equal(c.violation, SLO_UNKNOWN);
}

static void of_several_series_the_worst_counts(void **state)
{
	(void)state;
	assert_true(slo_worse_low(0.4, 0.2) == 0.2 && slo_worse_low(-1, 0.2) == -1);
	assert_true(slo_worse_high(0.4, 0.2) == 0.4 && slo_worse_high(0.1, 0.2) == 0.2);
	assert_true(slo_worse_low(NAN, 0.2) == 0.2 && slo_worse_high(0.2, NAN) == 0.2);
	assert_true(isnan(slo_worse_low(NAN, NAN)) && isnan(slo_worse_high(INFINITY, NAN)));
}

static void a_context_survives_the_store(void **state)
{
	SCOPE(mem);
	struct slo_reading r = slo_reading_unknown();

	(void)state;
	r.objective = 0.999;
	r.sli = 0.9995;
	r.period_s = 30 * DAY;
	r.errors[SLO_1H] = 0;
	struct slo_context c = assess(&r);
	assert_true(isinf(c.exhaustion_s));
	json_t *doc = mem_own(mem, slo_context_encode(&c));
	char *text = json_text(mem, doc);
	json_t *back = NULL;
	assert_int_equal(json_parse(mem, text, strlen(text), &back), OK);
	struct slo_context *d = slo_context_decode(mem, back);
	assert_true(d->target == c.target && d->current == c.current);
	assert_true(d->budget_remaining == c.budget_remaining && isinf(d->exhaustion_s));
	assert_true(isnan(d->burn_rate) && isnan(d->multiples[SLO_5M]));
	assert_true(d->multiples[SLO_1H] == 0);
	assert_string_equal(d->source, "series");
	assert_null(d->trouble);
	assert_string_equal(json_text(mem, mem_own(mem, slo_context_encode(d))), text);
	d = slo_context_decode(mem, mem_own(mem, json_object()));
	assert_int_equal(d->violation, SLO_UNKNOWN);
	assert_true(isnan(d->target) && !slo_is_known(d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remaining_budget_is_one_less_the_part_that_is_spent),
		cmocka_unit_test(errors_become_multiples_of_what_can_be_sustained),
		cmocka_unit_test(a_budget_is_spent_after_the_time_that_is_left),
		cmocka_unit_test(violations_are_strictly_above_their_thresholds),
		cmocka_unit_test(thresholds_are_configurable),
		cmocka_unit_test(what_is_recorded_wins_over_what_is_computed),
		cmocka_unit_test(multiples_give_a_rate_of_a_minute),
		cmocka_unit_test(pairs_burn_when_both_windows_do),
		cmocka_unit_test(nothing_known_is_never_healthy),
		cmocka_unit_test(of_several_series_the_worst_counts),
		cmocka_unit_test(a_context_survives_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
