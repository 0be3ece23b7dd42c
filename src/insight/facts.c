#include "insight/facts.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "insight/robust.h"

enum { SERIES_MAX = 200, STEP_MAX_MS = 86400000 };
static const int64_t TIME_MAX_MS = (int64_t)1 << 50;
static const int64_t AROUND_MS = 120000; /* an alert is evaluated a little after what it sees */
static const int64_t BASE_MS = 1200000;	 /* the level before: of the last 20 minutes */
static const int64_t EARLIER_MS = 480000;
static const double RULE_SHARE = 0.2;
static const double LASTING_SHARE = 0.3; /* of the change */
static const double DRIFT_SHARE = 0.5;
static const double SYMPTOM_SHARE = 0.3;

static bool is_sane(const struct series *s)
{
	return s->step_ms > 0 && s->step_ms <= STEP_MAX_MS && llabs(s->start_ms) < TIME_MAX_MS;
}

static int64_t clamp_time(int64_t ms)
{
	return ms < -TIME_MAX_MS ? -TIME_MAX_MS : ms > TIME_MAX_MS ? TIME_MAX_MS : ms;
}

bool facts_is_own(const struct facts *f, const char *object)
{
	const struct evidence *e = f->evidence;

	if (str_empty(object))
		return false;
	if (str_eq(object, e->object) || str_eq(object, e->service))
		return true;
	size_t n = strlen(object);
	size_t all = strlen(e->object);
	return all > n && str_ends(e->object, object) &&
	       strchr("/ ", e->object[all - n - 1]) != NULL;
}

struct hit facts_find(const struct facts *f, const struct wanted *w)
{
	struct hit best = {NULL, NULL};

	for (size_t i = 0; i < f->series_count; i++) {
		const struct series_facts *s = &f->series[i];
		if (s->series->role != w->role ||
		    (!w->anybodys && facts_is_own(f, s->series->object) == w->others))
			continue;
		for (size_t n = 0; n < s->count; n++) {
			const struct change *c = &s->changes[n];
			bool fits = c->kind != CHANGE_SPIKE && c->up == w->up &&
				    c->at_ms >= w->from_ms && c->at_ms <= w->to_ms &&
				    fabs(change_share(c)) >= w->least_share;
			if (fits && (best.change == NULL || c->size > best.change->size))
				best = (struct hit){s->series, c};
		}
	}
	return best;
}

static double still_there(const struct facts *f, const struct hit *h, int64_t from_ms,
			  int64_t to_ms)
{
	double now = series_level((void *)f, h->series, from_ms, to_ms, NULL);

	if (isnan(now))
		now = series_last(h->series, to_ms);
	return (now - h->change->before) / (h->change->after - h->change->before);
}

static bool at_the_end(const struct facts *f, const struct hit *h)
{
	int64_t end = f->window.end_ms + 1;

	return still_there(f, h, end - AROUND_MS, end) >= LASTING_SHARE;
}

/* What is under way when the alert fires has not come far yet: then the end of the window tells. */
bool facts_lasts(const struct facts *f, const struct hit *h)
{
	int64_t alert = f->window.alert_ms;

	if (h->change == NULL)
		return false;
	if (h->change->until_ms >= alert && at_the_end(f, h))
		return true;
	/* or a kill a moment later hides what the alert saw */
	return still_there(f, h, alert - AROUND_MS, alert + 1) >= LASTING_SHARE ||
	       still_there(f, h, alert - AROUND_MS / 2, alert + AROUND_MS) >= LASTING_SHARE;
}

bool facts_lasts_to_end(const struct facts *f, const struct hit *h)
{
	return facts_lasts(f, h) && at_the_end(f, h);
}

const struct series *facts_series(const struct facts *f, enum series_role role)
{
	for (size_t i = 0; i < f->series_count; i++)
		if (f->series[i].series->role == role &&
		    facts_is_own(f, f->series[i].series->object))
			return f->series[i].series;
	return NULL;
}

double facts_level_before(const struct facts *f, const struct series *s)
{
	return series_level((void *)f, s, f->began_ms - BASE_MS, f->began_ms, NULL);
}

double facts_level_after(const struct facts *f, const struct series *s)
{
	return series_level((void *)f, s, f->began_ms, f->window.end_ms + 1, NULL);
}

static struct hit find_lasting(const struct facts *f, enum series_role role, bool up, double share,
			       bool anybodys)
{
	const struct window *w = &f->window;
	struct hit h = facts_find(f, &(struct wanted){.role = role,
						      .from_ms = w->start_ms,
						      .to_ms = w->alert_ms + AROUND_MS,
						      .up = up,
						      .least_share = share,
						      .anybodys = anybodys});
	return facts_lasts(f, &h) ? h : (struct hit){NULL, NULL};
}

/* What the rule itself measures says most; without it, whichever of the usual signs began first. */
static struct hit find_symptom(const struct facts *f)
{
	static const enum series_role SIGNS[] = {SERIES_LATENCY,   SERIES_ERRORS, SERIES_CPU,
						 SERIES_THROTTLED, SERIES_MEMORY, SERIES_DISK};
	struct hit best = find_lasting(f, SERIES_RULE, true, RULE_SHARE, true);

	/* a slow rise that was under way all the time is the daily course, unless it is large */
	if (best.change != NULL && best.change->from_start &&
	    change_share(best.change) < DRIFT_SHARE)
		best = (struct hit){NULL, NULL};
	if (best.change == NULL)
		best = find_lasting(f, SERIES_RULE, false, DRIFT_SHARE, true);
	for (size_t n = 0; best.change == NULL && n < sizeof(SIGNS) / sizeof(SIGNS[0]); n++) {
		struct hit h =
			find_lasting(f, SIGNS[n], true, SYMPTOM_SHARE, SIGNS[n] == SERIES_DISK);
		if (facts_lasts_to_end(f, &h))
			best = h;
	}
	return best;
}

/* The rule may see late what others saw a little before it: latency rises, then requests fail. */
static int64_t begin_of(const struct facts *f)
{
	static const enum series_role SIGNS[] = {SERIES_LATENCY, SERIES_ERRORS};
	int64_t rule_ms = f->symptom.change->at_ms;
	int64_t began = rule_ms;

	for (size_t n = 0; n < sizeof(SIGNS) / sizeof(SIGNS[0]); n++) {
		struct hit h = facts_find(f, &(struct wanted){.role = SIGNS[n],
							      .from_ms = rule_ms - EARLIER_MS,
							      .to_ms = rule_ms,
							      .up = true,
							      .least_share = SYMPTOM_SHARE});
		if (facts_lasts_to_end(f, &h) && h.change->at_ms < began)
			began = h.change->at_ms;
	}
	return began;
}

static void read_logs_and_traces(struct facts *f)
{
	const struct evidence *e = f->evidence;
	int64_t split_us = f->began_ms * 1000;

	log_summarise(f, e->lines, e->line_count, &f->window, f->began_ms, &f->logs);
	service_map_make(f, e->spans, e->span_count, INT64_MIN, split_us, &f->before);
	service_map_make(f, e->spans, e->span_count, split_us, INT64_MAX, &f->after);
	latency_measure(f, e->spans, e->span_count, e->service, INT64_MIN, split_us,
			&f->latency_before);
	latency_measure(f, e->spans, e->span_count, e->service, split_us, INT64_MAX,
			&f->latency_after);
}

struct facts *facts_make(void *mem, const struct evidence *e)
{
	struct facts *f = NEW(mem, struct facts);

	f->evidence = e;
	f->window = (struct window){clamp_time(e->window.start_ms), clamp_time(e->window.end_ms),
				    clamp_time(e->window.alert_ms)};
	f->began_ms = f->window.alert_ms;
	f->series = NEW_ARRAY(f, struct series_facts, e->series_count + 1);
	for (size_t n = 0; n < e->series_count && f->series_count < SERIES_MAX; n++) {
		if (!is_sane(&e->series[n]))
			continue;
		struct series_facts *s = &f->series[f->series_count++];
		s->series = &e->series[n];
		s->count = change_points(f, s->series, &s->changes);
	}
	f->symptom = find_symptom(f);
	if (f->symptom.change != NULL)
		f->began_ms = begin_of(f);
	read_logs_and_traces(f);
	return f;
}
