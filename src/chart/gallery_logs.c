/* Log lines over time, and the classes of those that are errors. */
#include "chart/gallery_parts.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "chart/error_class.h"
#include "chart/words.h"

enum { BINS_MAX = 72, CLASSES_MAX = 7 };

/* What loggers call their levels, in the order of a stack. */
enum level { LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG, LEVEL_OTHER, LEVEL_COUNT };

static const struct {
	const char *word;
	enum level level;
} LEVELS[] = {{"error", LEVEL_ERROR},  {"err", LEVEL_ERROR},	  {"fatal", LEVEL_ERROR},
	      {"crit", LEVEL_ERROR},   {"critical", LEVEL_ERROR}, {"panic", LEVEL_ERROR},
	      {"alert", LEVEL_ERROR},  {"emerg", LEVEL_ERROR},	  {"warn", LEVEL_WARN},
	      {"warning", LEVEL_WARN}, {"info", LEVEL_INFO},	  {"notice", LEVEL_INFO},
	      {"debug", LEVEL_DEBUG},  {"trace", LEVEL_DEBUG}};

static const char *const NAMES[LEVEL_COUNT] = {"error", "warn", "info", "debug", "unknown"};

static enum level level_of(const struct log_line *l)
{
	for (size_t n = 0; n < sizeof(LEVELS) / sizeof(LEVELS[0]); n++)
		if (strcasecmp(LEVELS[n].word, l->level) == 0)
			return LEVELS[n].level;
	return LEVEL_OTHER;
}

struct volume {
	double bin;
	size_t bins;
	double *start, *end;
	double *counts[LEVEL_COUNT];
	double totals[LEVEL_COUNT];
};

static struct volume volume_of(struct making *m)
{
	const struct window *w = &m->e->window;
	struct volume v = {.bin = gallery_bin(w, BINS_MAX)};
	double first = floor((double)w->start_ms / v.bin) * v.bin;

	v.bins = (size_t)(((double)w->end_ms - first) / v.bin) + 1;
	v.start = NEW_ARRAY(m->mem, double, v.bins);
	v.end = NEW_ARRAY(m->mem, double, v.bins);
	for (size_t n = 0; n < v.bins; n++) {
		v.start[n] = first + v.bin * (double)n;
		v.end[n] = v.start[n] + v.bin;
	}
	for (int level = 0; level < LEVEL_COUNT; level++)
		v.counts[level] = NEW_ARRAY(m->mem, double, v.bins);
	for (size_t n = 0; n < m->e->line_count; n++) {
		const struct log_line *l = &m->e->lines[n];
		double at = ((double)l->at_ms - first) / v.bin;
		if (l->at_ms < w->start_ms || l->at_ms > w->end_ms)
			continue;
		v.counts[level_of(l)][(size_t)at]++;
		v.totals[level_of(l)]++;
	}
	return v;
}

static char *volume_title(struct making *m, const struct volume *v, double all)
{
	const double *errors = v->counts[LEVEL_ERROR];
	size_t kept = 0;
	double *sorted = sorted_copy(m->mem, errors, v->bins, &kept);
	double median = quantile(sorted, kept, 0.5);
	size_t before_remedy = 0;
	size_t most = 0;

	while (before_remedy < v->bins &&
	       (m->wish->remedied_ms <= 0 || v->end[before_remedy] <= (double)m->wish->remedied_ms))
		before_remedy++;
	struct trend t = trend_of(errors, before_remedy);
	if (v->totals[LEVEL_ERROR] == 0)
		return str_fmt(m->mem, "No error among %.0f log lines", all);
	if (t.course == COURSE_STEP && t.after > t.before)
		return str_fmt(
			m->mem, "Errors rose from %.0f to %.0f per %s at %s", t.before, t.after,
			words_length(m->mem, v->bin),
			gallery_when(m, fmax(v->start[t.at], (double)m->e->window.start_ms)));
	for (size_t n = 1; n < v->bins; n++)
		if (errors[n] > errors[most])
			most = n;
	if (errors[most] >= 3 * fmax(1, median))
		return str_fmt(
			m->mem, "Errors jumped to %.0f in %s at %s", errors[most],
			words_length(m->mem, v->bin),
			gallery_when(m, fmax(v->start[most], (double)m->e->window.start_ms)));
	return str_fmt(m->mem, "%.0f errors among %.0f log lines, %.0f at most in %s",
		       v->totals[LEVEL_ERROR], all, errors[most], words_length(m->mem, v->bin));
}

static void make_volume(struct making *m)
{
	struct volume v = volume_of(m);
	double all = 0;
	char *figures = str_dup(m->mem, "");
	struct track *tracks = NEW_ARRAY(m->mem, struct track, LEVEL_COUNT);

	for (int level = 0; level < LEVEL_COUNT; level++) {
		all += v.totals[level];
		tracks[level] =
			(struct track){NULL, TRACK_DATA, v.bins, v.start, v.end, v.counts[level]};
		if (v.totals[level] == 0)
			continue;
		tracks[level].name = str_fmt(m->mem, "%s %.0f", NAMES[level], v.totals[level]);
		str_add(&figures, "%.0f of level %s. ", v.totals[level], NAMES[level]);
	}
	if (all == 0) {
		gallery_note(m, CHART_LOG_VOLUME, "no log line in the window");
		return;
	}
	struct chart *c = gallery_add(m, CHART_LOG_VOLUME, true);
	c->panels = NEW(m->mem, struct panel);
	c->panels[0] =
		(struct panel){str_fmt(m->mem, "Log lines per %s", words_length(m->mem, v.bin)), "",
			       tracks, LEVEL_COUNT};
	c->panel_count = 1;
	gallery_words(m, c, volume_title(m, &v, all),
		      m->e->asked[SOURCE_LOGS].cut ? "only a part of all lines was read" : "",
		      figures);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_count(const void *a, const void *b)
{
	const struct share *one = a;
	const struct share *other = b;

	if (one->count != other->count)
		return one->count > other->count ? -1 : 1;
	return strcmp(one->name, other->name);
}

/* Equal names beside each other are counted, then the most frequent come first. */
static size_t count_classes(const char **names, size_t count, struct share *out)
{
	size_t used = 0;

	qsort(names, count, sizeof(*names), by_name);
	for (size_t n = 0; n < count; n++) {
		if (n == 0 || !str_eq(names[n], names[n - 1]))
			out[used++] = (struct share){names[n], 0, false};
		out[used - 1].count++;
	}
	qsort(out, used, sizeof(*out), by_count);
	return used;
}

static size_t keep_largest(struct making *m, struct share *all, size_t count)
{
	double rest = 0;

	if (count <= CLASSES_MAX + 1)
		return count;
	for (size_t n = CLASSES_MAX; n < count; n++)
		rest += all[n].count;
	all[CLASSES_MAX] = (struct share){str_fmt(m->mem, "%zu other classes", count - CLASSES_MAX),
					  rest, true};
	return CLASSES_MAX + 1;
}

static void make_classes(struct making *m)
{
	const char **names = NEW_ARRAY(m->mem, const char *, m->e->line_count + 1);
	struct share *shares = NEW_ARRAY(m->mem, struct share, m->e->line_count + 1);
	char *figures = str_dup(m->mem, "");
	size_t errors = 0;

	for (size_t n = 0; n < m->e->line_count; n++)
		if (level_of(&m->e->lines[n]) == LEVEL_ERROR)
			names[errors++] = error_class_of(m->mem, m->e->lines[n].text);
	if (errors == 0) {
		gallery_note(m, CHART_CLASSES, "no error among the log lines");
		return;
	}
	size_t classes = count_classes(names, errors, shares);
	struct chart *c = gallery_add(m, CHART_CLASSES, false);
	c->shares = shares;
	c->share_count = keep_largest(m, shares, classes);
	for (size_t n = 0; n < c->share_count; n++)
		str_add(&figures, "%.0f times %s. ", shares[n].count, shares[n].name);
	char *title = str_fmt(m->mem, "%s is %.0f %% of %zu errors", shares[0].name,
			      100 * shares[0].count / (double)errors, errors);
	if (classes == 1)
		title = str_fmt(m->mem, "%s is the only error (%zu times)", shares[0].name, errors);
	gallery_words(m, c, title, "classes of error lines", figures);
}

void gallery_logs(struct making *m)
{
	const char *why = gallery_missing(m, SOURCE_LOGS);

	if (why == NULL && m->e->line_count == 0)
		why = "no log line in the window";
	if (m->e->line_count > 0) {
		make_volume(m);
		make_classes(m);
		return;
	}
	gallery_note(m, CHART_LOG_VOLUME, why);
	gallery_note(m, CHART_CLASSES, why);
}
