#include "insight/change_point.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "insight/robust.h"

enum {
	BLOCKS_MAX = 512,
	KNEE_LEAST = 8,	  /* blocks on both sides of a knee */
	PIECE_LEAST = 4,  /* blocks of a straight piece */
	SPIKE_LEAST = 10, /* times the spread around the running median */
	MOVE_LEAST = 5,	  /* times the noise: what counts as a change */
	MEDIAN_REACH = 4, /* the running median looks this far to both sides */
	SPIKES_MAX = 8,	  /* more of them are noise of another kind */
	SPIKE_SAMPLES = 3,
	DAYS_LEAST = 3,
};
static const double KNEE_SHARE = 0.4; /* of the penalty */
static const double PENALTY = 4.5;    /* of one more piece, times log n: calibrated on noise */
static const int64_t TRANSITION_MS =
	420000; /* rate(...[5m]) makes ramps of 5 minutes out of steps */
static const int64_t DAY_MS = 86400000;

struct samples {
	size_t count;
	double *x; /* number of the sample on the series' grid */
	double *y;
};

/* A straight piece: blocks [begin, end). */
struct piece {
	size_t begin, end;
	double slope, at_zero;
	double low, high; /* of its blocks */
};

struct fit {
	size_t n;
	double *x, *y; /* y in units of noise around the median */
	double *sum_x, *sum_y, *sum_xx, *sum_xy, *sum_yy;
	double penalty;
};

/* What one piece, or the gap before it, adds to the level. */
struct move {
	size_t piece;
	bool jump;
	double delta;
};

static struct samples collect(void *mem, const struct series *s)
{
	struct samples out = {0, NEW_ARRAY(mem, double, s->count + 1),
			      NEW_ARRAY(mem, double, s->count + 1)};

	for (size_t n = 0; n < s->count; n++) {
		if (!is_usable(s->values[n]))
			continue;
		out.x[out.count] = (double)n;
		out.y[out.count++] = s->values[n];
	}
	return out;
}

static double median_of(void *mem, const double *values, size_t n)
{
	double *copy = NEW_ARRAY(mem, double, n + 1);

	memcpy(copy, values, n * sizeof(*values));
	double m = robust_median(copy, n);
	talloc_free(copy);
	return m;
}

/* Takes the median of each time of day off; the level stays. */
static void remove_daily_course(void *mem, struct samples *p, int64_t step_ms)
{
	size_t day = step_ms > 0 && DAY_MS % step_ms == 0 ? (size_t)(DAY_MS / step_ms) : 0;

	if (day < 2 || p->count == 0 || p->x[p->count - 1] < (double)(day * DAYS_LEAST) - 1)
		return;
	size_t days = (size_t)(p->x[p->count - 1]) / day + 1;
	double *seen = NEW_ARRAY(mem, double, day *days);
	size_t *count = NEW_ARRAY(mem, size_t, day);
	for (size_t n = 0; n < p->count; n++) {
		size_t phase = (size_t)p->x[n] % day;
		seen[phase * days + count[phase]++] = p->y[n];
	}
	double level = median_of(mem, p->y, p->count);
	double *course = NEW_ARRAY(mem, double, day);
	for (size_t phase = 0; phase < day; phase++)
		course[phase] = count[phase] == 0
					? level
					: robust_median(&seen[phase * days], count[phase]);
	for (size_t n = 0; n < p->count; n++)
		p->y[n] -= course[(size_t)p->x[n] % day] - level;
}

/* As far to one side as to the other, or a slope would look wild at its ends. */
static double running_median(const struct samples *p, size_t n)
{
	double around[2 * MEDIAN_REACH + 1];
	size_t reach = n < MEDIAN_REACH ? n : MEDIAN_REACH;

	if (p->count - 1 - n < reach)
		reach = p->count - 1 - n;
	memcpy(around, p->y + n - reach, (2 * reach + 1) * sizeof(around[0]));
	return robust_median(around, 2 * reach + 1);
}

/* The standard deviation of what is neither level nor slope. */
static double second_difference_spread(const struct samples *b, size_t lag, double *scratch)
{
	size_t n = 0;

	for (size_t i = lag; i + lag < b->count; i++)
		scratch[n++] = b->y[i - lag] - 2 * b->y[i] + b->y[i + lag];
	return robust_spread(scratch, n, 0) / sqrt(6);
}

static struct change spike_of(const struct series *s, const struct samples *p, size_t n,
			      double level, double spread)
{
	return (struct change){.kind = CHANGE_SPIKE,
			       .up = p->y[n] > level,
			       .at_ms = series_time(s, (size_t)p->x[n]),
			       .until_ms = series_time(s, (size_t)p->x[n]),
			       .before = level,
			       .after = p->y[n],
			       .noise = spread,
			       .size = fmin(fabs(p->y[n] - level) / spread, CHANGE_SIZE_MAX)};
}

/* Sets wild samples to the median around them; returns how many spikes of at most SPIKE_SAMPLES
 * they form. */
static size_t take_spikes(void *mem, const struct series *s, struct samples *p,
			  struct change *spikes)
{
	double *level = NEW_ARRAY(mem, double, p->count);
	double *rest = NEW_ARRAY(mem, double, p->count);
	size_t found = 0;
	size_t run = 0;

	for (size_t n = 0; n < p->count; n++) {
		level[n] = running_median(p, n);
		rest[n] = p->y[n] - level[n];
	}
	double spread = robust_spread(rest, p->count, 0);
	spread = fmax(spread, second_difference_spread(p, 1, rest));
	if (spread <= 0)
		return 0;
	for (size_t n = 0; n < p->count; n++) {
		bool wild = fabs(p->y[n] - level[n]) > SPIKE_LEAST * spread;
		run = wild ? run + 1 : 0;
		if (!wild)
			continue;
		struct change one = spike_of(s, p, n, level[n], spread);
		if (run == 1 && found < SPIKES_MAX)
			spikes[found++] = one;
		else if (found > 0 && run <= SPIKE_SAMPLES && one.size > spikes[found - 1].size)
			spikes[found - 1] = one;
		p->y[n] = level[n];
	}
	return found;
}

static struct samples blocks_of(void *mem, const struct samples *p, size_t *each)
{
	*each = p->count <= BLOCKS_MAX ? 1 : (p->count + BLOCKS_MAX - 1) / BLOCKS_MAX;
	struct samples out = {0, NEW_ARRAY(mem, double, p->count / *each + 1),
			      NEW_ARRAY(mem, double, p->count / *each + 1)};

	for (size_t n = 0; n < p->count; n += *each) {
		size_t many = n + *each <= p->count ? *each : p->count - n;
		out.x[out.count] = (p->x[n] + p->x[n + many - 1]) / 2;
		out.y[out.count++] = median_of(mem, p->y + n, many);
	}
	return out;
}

/* Of one block; *slower says by which factor its variance is larger at long lags than at lag 1. */
static double noise_of(void *mem, const struct samples *b, double *slower)
{
	double *scratch = NEW_ARRAY(mem, double, b->count);
	double low = b->y[0];
	double high = b->y[0];
	double noise = 0;

	for (size_t n = 0; n < b->count; n++) {
		low = fmin(low, b->y[n]);
		high = fmax(high, b->y[n]);
	}
	double floor = fmax((high - low) * 0.005, fmax(fabs(low), fabs(high)) * 1e-9);
	double first = second_difference_spread(b, 1, scratch);
	for (size_t lag = 1; lag <= 16 && lag * 6 < b->count; lag *= 2)
		noise = fmax(noise, second_difference_spread(b, lag, scratch));
	noise = fmax(noise, floor);
	*slower = fmin(fmax(pow(noise / fmax(first, floor), 2), 1), 16);
	return noise;
}

static void prepare(void *mem, struct fit *f, const struct samples *b, double centre, double noise)
{
	f->n = b->count;
	f->x = b->x;
	f->y = NEW_ARRAY(mem, double, f->n);
	double **sums[] = {&f->sum_x, &f->sum_y, &f->sum_xx, &f->sum_xy, &f->sum_yy};
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		*sums[i] = NEW_ARRAY(mem, double, f->n + 1);
	for (size_t i = 0; i < f->n; i++) {
		double x = f->x[i];
		double y = f->y[i] = (b->y[i] - centre) / noise;
		f->sum_x[i + 1] = f->sum_x[i] + x;
		f->sum_y[i + 1] = f->sum_y[i] + y;
		f->sum_xx[i + 1] = f->sum_xx[i] + x * x;
		f->sum_xy[i + 1] = f->sum_xy[i] + x * y;
		f->sum_yy[i + 1] = f->sum_yy[i] + y * y;
	}
}

/* Least squares over blocks [begin, end); returns the sum of squared residuals. */
static double line_through(const struct fit *f, size_t begin, size_t end, struct piece *out)
{
	double n = (double)(end - begin);
	double x = (f->sum_x[end] - f->sum_x[begin]) / n;
	double y = (f->sum_y[end] - f->sum_y[begin]) / n;
	double xx = f->sum_xx[end] - f->sum_xx[begin] - n * x * x;
	double xy = f->sum_xy[end] - f->sum_xy[begin] - n * x * y;
	double yy = f->sum_yy[end] - f->sum_yy[begin] - n * y * y;
	double slope = xx > 0 ? xy / xx : 0;

	if (out != NULL)
		*out = (struct piece){begin, end, slope, y - slope * x, -INFINITY, INFINITY};
	return fmax(yy - slope * xy, 0);
}

/* The pieces of least penalised cost; *count of them. */
static struct piece *cut(void *mem, const struct fit *f, size_t *count)
{
	double *best = NEW_ARRAY(mem, double, f->n + 1);
	size_t *from = NEW_ARRAY(mem, size_t, f->n + 1);

	for (size_t end = 1; end <= f->n; end++) {
		best[end] = INFINITY;
		for (size_t begin = 0; begin + PIECE_LEAST <= end; begin++) {
			if (!isfinite(best[begin]))
				continue;
			double cost = best[begin] + line_through(f, begin, end, NULL) + f->penalty;
			if (cost < best[end]) {
				best[end] = cost;
				from[end] = begin;
			}
		}
	}
	*count = 0;
	for (size_t end = f->n; end > 0; end = from[end])
		(*count)++;
	struct piece *pieces = NEW_ARRAY(mem, struct piece, *count);
	size_t at = *count;
	for (size_t end = f->n; end > 0; end = from[end]) {
		struct piece *p = &pieces[--at];
		line_through(f, from[end], end, p);
		p->low = p->high = f->y[p->begin];
		for (size_t n = p->begin; n < p->end; n++) {
			p->low = fmin(p->low, f->y[n]);
			p->high = fmax(p->high, f->y[n]);
		}
	}
	return pieces;
}

static double value_at(const struct piece *p, double x)
{
	return p->at_zero + p->slope * x;
}

/* A line through a curve ends where no block ever was: a level is one that was seen. */
static double first_of(const struct fit *f, const struct piece *p)
{
	return fmin(fmax(value_at(p, f->x[p->begin]), p->low), p->high);
}

static double last_of(const struct fit *f, const struct piece *p)
{
	return fmin(fmax(value_at(p, f->x[p->end - 1]), p->low), p->high);
}

static double length_ms(const struct series *s, const struct fit *f, const struct piece *p)
{
	return (f->x[p->end - 1] - f->x[p->begin]) * (double)s->step_ms;
}

/* In order: the rise of piece 0, the jump to piece 1, the rise of piece 1, … */
static struct move *moves_of(void *mem, const struct fit *f, const struct piece *pieces,
			     size_t count, size_t *moves)
{
	struct move *out = NEW_ARRAY(mem, struct move, 2 * count);

	*moves = 0;
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			out[(*moves)++] = (struct move){
				i, true, first_of(f, &pieces[i]) - last_of(f, &pieces[i - 1])};
		out[(*moves)++] =
			(struct move){i, false, last_of(f, &pieces[i]) - first_of(f, &pieces[i])};
	}
	return out;
}

/* Where the line before meets that of the change, if that is near; else where the piece begins. */
static double meeting(const struct series *s, const struct fit *f, const struct piece *before,
		      const struct piece *moving)
{
	double begin = f->x[moving->begin];
	double apart = moving->slope - before->slope;
	double reach = (double)TRANSITION_MS / (double)s->step_ms;
	double x = (before->at_zero - moving->at_zero) / apart;

	if (fabs(apart) < 1e-12 || x < begin - reach || x > f->x[moving->end - 1] ||
	    x > begin + reach || x < f->x[before->begin])
		return begin;
	return x;
}

/* Of a step: back from where half of it is reached, over all that is off the level before by more
 * than noise. */
static double begin_of_step(const struct series *s, const struct fit *f, const struct change *c,
			    const struct piece *moving, const struct piece *end)
{
	double by = c->after - c->before;
	double off = fmin(fmax(4 / fabs(by), 0.05), 0.5);
	double least = f->x[moving->begin] - (double)TRANSITION_MS / (double)s->step_ms;
	size_t n = moving->begin > 0 ? moving->begin - 1 : 0;

	while (n + 1 < end->end && (f->y[n] - c->before) / by < 0.5)
		n++;
	for (; n > 0 && f->x[n - 1] >= least; n--) {
		double share = (f->y[n - 1] - c->before) / by;
		if (share <= off || share > 1 + off)
			break;
	}
	return f->x[n];
}

/* To the second: more would only look exact. */
static int64_t time_at(const struct series *s, double x)
{
	return s->start_ms + llround(fmax(x, 0) * (double)s->step_ms / 1000) * 1000;
}

/* The change that the moves [from, to) are, all the same way. */
static struct change change_of(const struct series *s, const struct fit *f,
			       const struct piece *pieces, const struct move *moves, size_t from,
			       size_t to)
{
	const struct piece *moving = &pieces[moves[from].piece];
	const struct piece *end = &pieces[moves[to - 1].piece];
	double quick = 0;
	double all = 0;
	struct change c = {.from_start = moves[from].piece == 0};

	for (size_t n = from; n < to; n++) {
		bool brief = moves[n].jump ||
			     length_ms(s, f, &pieces[moves[n].piece]) <= (double)TRANSITION_MS;
		quick += brief ? moves[n].delta : 0;
		all += moves[n].delta;
	}
	double at = f->x[moving->begin];
	double last = moves[to - 1].jump ? f->x[end->begin] : f->x[end->end - 1];
	c.kind = fabs(quick) >= 0.6 * fabs(all) ? CHANGE_STEP : CHANGE_RAMP;
	c.up = all > 0;
	c.before = moves[from].jump ? last_of(f, moving - 1) : first_of(f, moving);
	c.after = moves[to - 1].jump ? first_of(f, end) : last_of(f, end);
	if (c.kind == CHANGE_STEP && !c.from_start)
		at = begin_of_step(s, f, &c, moving, end);
	else if (!c.from_start && !moves[from].jump)
		at = meeting(s, f, moving - 1, moving);
	c.at_ms = time_at(s, at);
	c.until_ms = time_at(s, fmax(last, at));
	return c;
}

/* A long piece that hardly moves is a plateau between two changes; a short one is a rest on the
 * way. */
static bool goes_on(const struct series *s, const struct fit *f, const struct piece *pieces,
		    const struct move *m, double sum)
{
	bool brief = m->jump || length_ms(s, f, &pieces[m->piece]) <= (double)TRANSITION_MS;

	if (m->delta * sum > 0 && fabs(m->delta) >= (brief ? 1 : fmax(MOVE_LEAST, 0.1 * fabs(sum))))
		return true;
	return brief && fabs(m->delta) < MOVE_LEAST && fabs(m->delta) < 0.3 * fabs(sum);
}

/* Per sample; a jump takes one. */
static double speed(const struct fit *f, const struct piece *pieces, const struct move *m)
{
	const struct piece *p = &pieces[m->piece];

	return fabs(m->delta) / (m->jump ? 1 : fmax(f->x[p->end - 1] - f->x[p->begin], 1));
}

/* A drift at either end is no part of the change: it adds little, and far more slowly than the
 * rest. */
static bool is_drift(const struct fit *f, const struct piece *pieces, const struct move *m,
		     double sum, double fastest, double *dropped)
{
	double pace = speed(f, pieces, m) / fastest;
	bool slow = pace < 0.35;
	bool small = fabs(*dropped + m->delta) < (pace < 0.05 ? 0.4 : 0.25) * fabs(sum);
	bool nothing = fabs(m->delta) < 0.08 * fabs(sum) && m->jump;

	if (m->delta * sum > 0 && !(small && (nothing || slow)))
		return false;
	*dropped += m->delta;
	return true;
}

static void trim_drift(const struct fit *f, const struct piece *pieces, const struct move *moves,
		       size_t *from, size_t *to)
{
	double sum = 0;
	double fastest = 0;
	double before = 0;
	double after = 0;

	for (size_t n = *from; n < *to; n++)
		sum += moves[n].delta;
	for (size_t n = *from; n < *to; n++)
		if (!moves[n].jump || fabs(moves[n].delta) >= 0.25 * fabs(sum))
			fastest = fmax(fastest, speed(f, pieces, &moves[n]));
	while (*from + 1 < *to && is_drift(f, pieces, &moves[*from], sum, fastest, &before))
		++*from;
	while (*from + 1 < *to && is_drift(f, pieces, &moves[*to - 1], sum, fastest, &after))
		--*to;
}

/*
 * One line may have been the cheapest fit for a level and a ramp when the noise is slow. Of a piece
 * that rises, two lines are tried once more: a ramp is there in any case, only its beginning is in
 * question, so less has to be gained.
 */
static void move_to_knee(const struct series *s, const struct fit *f, const struct piece *moving,
			 struct change *c)
{
	double least = line_through(f, moving->begin, moving->end, NULL) - KNEE_SHARE * f->penalty;
	struct piece level;
	struct piece ramp;
	double at = NAN;
	double before = 0;

	for (size_t k = moving->begin + KNEE_LEAST; k + KNEE_LEAST <= moving->end; k++) {
		double rest = line_through(f, moving->begin, k, &level) +
			      line_through(f, k, moving->end, &ramp);
		if (rest < least && fabs(level.slope) < 0.35 * fabs(ramp.slope) &&
		    ramp.slope * moving->slope > 0) {
			least = rest;
			at = meeting(s, f, &level, &ramp);
			before = value_at(&level, at);
		}
	}
	if (isnan(at) || fabs(c->after - before) < MOVE_LEAST)
		return;
	c->at_ms = time_at(s, at);
	c->before = before;
	c->from_start = false;
}

/* Runs of moves the same way become changes, as soon as together they are large enough. */
static size_t gather(const struct series *s, const struct fit *f, const struct piece *pieces,
		     const struct move *moves, size_t count, struct change *out)
{
	size_t found = 0;
	size_t next;

	for (size_t n = 0; n < count; n = next) {
		double sum = moves[n].delta;
		size_t last = n + 1;
		for (next = n + 1; fabs(moves[n].delta) >= 1 && next < count &&
				   goes_on(s, f, pieces, &moves[next], sum);
		     next++) {
			sum += moves[next].delta;
			if (moves[next].delta * sum > 0 && fabs(moves[next].delta) >= 1)
				last = next + 1;
		}
		next = last;
		size_t first = n;
		trim_drift(f, pieces, moves, &first, &last);
		struct change c = change_of(s, f, pieces, moves, first, last);
		if (fabs(c.after - c.before) < MOVE_LEAST)
			continue;
		if (c.kind == CHANGE_RAMP && !moves[first].jump)
			move_to_knee(s, f, &pieces[moves[first].piece], &c);
		out[found++] = c;
	}
	return found;
}

static double mean_between(const struct samples *p, double from, double to, size_t *count)
{
	double sum = 0;

	*count = 0;
	for (size_t n = 0; n < p->count; n++) {
		if (p->x[n] < from || p->x[n] >= to)
			continue;
		sum += p->y[n];
		(*count)++;
	}
	return *count == 0 ? 0 : sum / (double)*count;
}

/* A step between blocks is found again between samples: the split of the two means that are
 * farthest apart. */
static void refine(const struct series *s, const struct samples *p, size_t each, struct change *c)
{
	double centre = (double)(c->at_ms - s->start_ms) / (double)s->step_ms;
	double reach = 2 * (double)each;
	double best = -1;
	double where = centre;

	if (each == 1 || c->kind != CHANGE_STEP)
		return;
	for (size_t n = 0; n <= 4 * each; n++) {
		double split = centre - reach + (double)n;
		size_t left;
		size_t right;
		double low = mean_between(p, centre - 2 * reach, split, &left);
		double high = mean_between(p, split, centre + 2 * reach, &right);
		double apart = left == 0 || right == 0
				       ? 0
				       : (high - low) * (high - low) * (double)left *
						 (double)right / (double)(left + right);
		if (apart > best) {
			best = apart;
			where = split;
		}
	}
	c->at_ms = time_at(s, where);
	if (c->until_ms < c->at_ms)
		c->until_ms = c->at_ms;
}

static size_t find_changes(void *mem, const struct series *s, struct samples *p, struct change *out)
{
	size_t each;
	size_t count;
	size_t moves;
	double slower;
	struct fit f;
	struct samples b = blocks_of(mem, p, &each);
	double noise = noise_of(mem, &b, &slower);
	double centre = median_of(mem, b.y, b.count);

	if (noise <= 0) /* it never moves */
		return 0;
	prepare(mem, &f, &b, centre, noise);
	f.penalty = PENALTY * slower * log((double)b.count);
	struct piece *pieces = cut(mem, &f, &count);
	struct move *list = moves_of(mem, &f, pieces, count, &moves);
	size_t found = gather(s, &f, pieces, list, moves, out);
	for (size_t n = 0; n < found; n++) {
		struct change *c = &out[n];
		c->size = fmin(fabs(c->after - c->before), CHANGE_SIZE_MAX);
		c->before = centre + c->before * noise;
		c->after = centre + c->after * noise;
		c->noise = noise;
		refine(s, p, each, c);
	}
	return found;
}

size_t change_points(void *mem, const struct series *s, struct change **out)
{
	void *scratch = mem_check(talloc_new(mem));
	struct samples p = collect(scratch, s);

	*out = NEW_ARRAY(mem, struct change, 2 * BLOCKS_MAX + SPIKES_MAX);
	size_t found = 0;
	if (p.count >= CHANGE_SAMPLES_LEAST) {
		struct change spikes[SPIKES_MAX];
		remove_daily_course(scratch, &p, s->step_ms);
		size_t wild = take_spikes(scratch, s, &p, spikes);
		found = find_changes(scratch, s, &p, *out);
		memcpy(*out + found, spikes, wild * sizeof(spikes[0]));
		found += wild;
	}
	*out = GROW(mem, *out, struct change, found + 1);
	talloc_free(scratch);
	return found;
}

const char *change_name(const struct change *c)
{
	static const char *const NAMES[][2] = {[CHANGE_STEP] = {"step down", "step up"},
					       [CHANGE_RAMP] = {"ramp down", "ramp up"},
					       [CHANGE_SPIKE] = {"spike down", "spike up"}};

	return NAMES[c->kind][c->up];
}

double change_share(const struct change *c)
{
	double by = c->after - c->before;

	if (c->before == 0)
		return by == 0 ? 0 : copysign(INFINITY, by);
	return by / fabs(c->before);
}
