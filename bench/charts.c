/*
 * How long charts take, and how much memory: the nine of one hour, and 7 days of 20 series. Prints
 * one JSON object.
 *
 *   charts EVIDENCE.json REMEDIED_AT ROUNDS
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "chart/gallery.h"
#include "chart/vega.h"

enum { WEEK_POINTS = 7 * 24 * 60, WEEK_SERIES = 20, MINUTE_MS = 60000 };

static double clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double peak_mib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_maxrss / 1024;
}

/* Milliseconds for making all charts of the evidence and drawing them as PNG, without or with SVG
 * and Vega-Lite. */
static enum status draw_all(const struct evidence *e, const struct gallery_wish *wish, bool all,
			    double *ms, double *cpu_ms, size_t *bytes, size_t *charts)
{
	SCOPE(mem);
	double began = clock_ms(CLOCK_MONOTONIC);
	double cpu_began = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
	struct gallery *g = charts_of(mem, e, wish);

	*bytes = 0;
	*charts = g->count;
	for (size_t n = 0; n < g->count; n++) {
		unsigned char *png = NULL;
		char *svg = NULL;
		size_t size = 0;
		TRY(chart_png(mem, &g->charts[n], &png, &size));
		*bytes = size > *bytes ? size : *bytes;
		if (!all)
			continue;
		TRY(chart_svg(mem, &g->charts[n], &svg, &size));
		chart_vega(mem, &g->charts[n]);
	}
	*ms = clock_ms(CLOCK_MONOTONIC) - began;
	*cpu_ms = clock_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu_began;
	return OK;
}

static struct evidence *week(void *mem)
{
	struct evidence *e = NEW(mem, struct evidence);
	int64_t end = INT64_C(1768474800000);

	e->window = (struct window){end - (int64_t)WEEK_POINTS * MINUTE_MS, end, end - 3600000};
	e->object = "namespace shop";
	e->asked[SOURCE_METRICS].wanted = true;
	e->series = NEW_ARRAY(mem, struct series, WEEK_SERIES);
	e->series_count = WEEK_SERIES;
	for (size_t s = 0; s < WEEK_SERIES; s++) {
		double *values = NEW_ARRAY(mem, double, WEEK_POINTS);
		for (size_t n = 0; n < WEEK_POINTS; n++)
			values[n] = 1 + (double)s / 10 + sin((double)n / 229) / 2 +
				    (double)rand() / RAND_MAX / 4;
		e->series[s] = (struct series){.role = SERIES_CPU,
					       .object = str_fmt(mem, "pod-%zu", s),
					       .query = "",
					       .start_ms = e->window.start_ms,
					       .step_ms = MINUTE_MS,
					       .count = WEEK_POINTS,
					       .values = values};
	}
	return e;
}

struct best {
	double least, most, sum, cpu;
};

static enum status repeat(const struct evidence *e, const struct gallery_wish *wish, bool all,
			  long long rounds, json_t *out, const char *name)
{
	struct best b = {INFINITY, 0, 0, 0};
	size_t bytes = 0;
	size_t charts = 0;
	double first = 0;

	for (long long n = 0; n < rounds; n++) {
		double ms = 0;
		double cpu = 0;
		TRY(draw_all(e, wish, all, &ms, &cpu, &bytes, &charts));
		first = n == 0 ? ms : first;
		b.least = fmin(b.least, ms);
		b.most = fmax(b.most, ms);
		b.sum += ms;
		b.cpu += cpu;
	}
	json_object_set_new(out, name,
			    json_pack("{s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:f}", "first_ms", first,
				      "mean_ms", b.sum / (double)rounds, "least_ms", b.least,
				      "most_ms", b.most, "mean_cpu_ms", b.cpu / (double)rounds,
				      "charts", (json_int_t)charts, "largest_png_bytes",
				      (json_int_t)bytes, "peak_memory_mib", peak_mib()));
	return OK;
}

static enum status run(void *mem, char **argv)
{
	struct gallery_wish wish = {0};
	struct evidence *hour = NULL;
	json_t *doc = NULL;
	json_t *out = mem_own(mem, json_object());
	char *text = NULL;
	size_t n = 0;
	long long rounds = 0;

	TRY(clock_parse(argv[2], &wish.remedied_ms));
	TRY(str_to_int(argv[3], 1, 10000, &rounds));
	TRY(file_read(mem, argv[1], LIMIT_FILE_BYTES, &text, &n));
	TRY(json_parse(mem, text, n, &doc));
	TRY(evidence_decode(mem, doc, &hour));
	TRY(repeat(hour, &wish, false, rounds, out, "nine_charts_png"));
	TRY(repeat(hour, &wish, true, rounds, out, "nine_charts_png_svg_vega"));
	wish.remedied_ms = 0;
	TRY(repeat(week(mem), &wish, true, rounds, out, "week_of_20_series"));
	char *json = json_dumps(out, JSON_INDENT(1) | JSON_REAL_PRECISION(5) | JSON_PRESERVE_ORDER);
	printf("%s\n", json);
	free(json);
	return OK;
}

int main(int argc, char **argv)
{
	SCOPE(mem);

	if (argc != 4 || run(mem, argv) != OK) {
		fprintf(stderr, "charts: %s\n",
			argc != 4 ? "EVIDENCE.json REMEDIED_AT ROUNDS" : status_message());
		return 1;
	}
	return 0;
}
