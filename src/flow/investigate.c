#include "flow/investigate.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "chart/gallery.h"
#include "chart/vega.h"
#include "domain/text.h"
#include "flow/gather.h"
#include "insight/finding.h"

enum { FORMS = 3 /* of a chart: PNG, SVG, Vega-Lite */, TEXT_POINTS = 400 };

struct inspection {
	void *mem;
	const struct incident *incident;
	enum inquiry_stage stage;
	picture_place_fn *place;
	void *arg;
	struct evidence *evidence;
	struct insight *insight;
	struct gallery *gallery;
	struct investigation *out;
	bool drawn[CHART_KIND_COUNT];
};

static void add_picture(struct inspection *v, const struct chart *c, const char *media_type,
			const void *bytes, size_t size)
{
	v->out->pictures[v->out->picture_count++] =
		(struct picture){.name = chart_kind_name(c->kind),
				 .media_type = media_type,
				 .alt = c->alt,
				 .bytes = bytes,
				 .size = size};
}

/* A chart that cannot be drawn is missing from the report and takes nothing else with it
 * (AI-001.24). */
static void draw(struct inspection *v, const struct chart *c)
{
	unsigned char *png = NULL;
	char *svg = NULL;
	size_t png_bytes = 0;
	size_t svg_bytes = 0;

	if (chart_png(v->mem, c, &png, &png_bytes) != OK ||
	    chart_svg(v->mem, c, &svg, &svg_bytes) != OK) {
		log_event(LOG_ERROR, "chart_failed", "chart", chart_kind_name(c->kind), "error",
			  status_message(), NULL);
		return;
	}
	const char *vega = json_text(v->mem, chart_vega(v->mem, c));
	add_picture(v, c, "image/png", png, png_bytes);
	add_picture(v, c, "image/svg+xml", svg, svg_bytes);
	add_picture(v, c, "application/json", vega, strlen(vega));
	v->drawn[c->kind] = true;
}

static void draw_all(struct inspection *v)
{
	v->out->pictures = NEW_ARRAY(v->mem, struct picture, FORMS * v->gallery->count + 1);
	for (size_t n = 0; n < v->gallery->count; n++)
		draw(v, &v->gallery->charts[n]);
}

/* The report. */

static void add_charts(const struct inspection *v, enum source source, bool comparison, char **text)
{
	for (size_t n = 0; n < v->gallery->count; n++) {
		const struct chart *c = &v->gallery->charts[n];
		if (chart_kind_source(c->kind) != source || !v->drawn[c->kind] ||
		    (c->kind == CHART_COMPARISON) != comparison)
			continue;
		str_add(text, "**%s**\n\n![%s](%s)\n\n",
			text_markdown(v->mem, c->title, TEXT_POINTS),
			text_markdown(v->mem, c->alt, TEXT_POINTS),
			v->place(v->mem, chart_kind_name(c->kind), v->arg));
	}
}

static bool has_charts(const struct inspection *v, enum source source)
{
	for (size_t n = 0; n < v->gallery->count; n++)
		if (chart_kind_source(v->gallery->charts[n].kind) == source &&
		    v->gallery->charts[n].kind != CHART_COMPARISON)
			return true;
	return false;
}

/* A section without data says why (AI-001.16). */
static void add_section(const struct inspection *v, enum source source, const char *heading,
			char **text)
{
	const struct asked *a = &v->evidence->asked[source];

	str_add(text, "### %s\n\n", heading);
	if (a->status != OK || a->why != NULL)
		str_add(text, "*%s: %s.*\n\n",
			a->status != OK ? "Unavailable"
			: a->wanted	? "Incomplete"
					: "Not looked at",
			text_markdown(v->mem, a->why == NULL ? "no reason given" : a->why,
				      TEXT_POINTS));
	add_charts(v, source, false, text);
	if (a->status != OK || has_charts(v, source))
		return;
	for (size_t n = 0; n < v->gallery->note_count; n++)
		if (chart_kind_source(v->gallery->notes[n].kind) == source &&
		    v->gallery->notes[n].kind != CHART_COMPARISON)
			str_add(text, "- %s: %s\n", chart_kind_what(v->gallery->notes[n].kind),
				text_markdown(v->mem, v->gallery->notes[n].why, TEXT_POINTS));
	str_add(text, "\n");
}

static const char *report(const struct inspection *v, int64_t now_ms)
{
	bool after = v->stage == INQUIRY_POST_REMEDIATION;
	char *text = str_fmt(v->mem,
			     "📊 **Observability Analysis**%s\n\n"
			     "Computed by agent-sre from what %s left between %s and %s.\n\n",
			     after ? " after the remedy" : "",
			     text_markdown(v->mem, v->evidence->object, TEXT_POINTS),
			     clock_format(v->mem, v->evidence->window.start_ms),
			     clock_format(v->mem, v->evidence->window.end_ms));

	if (after && v->drawn[CHART_COMPARISON]) {
		str_add(&text, "### Before and After\n\n");
		add_charts(v, chart_kind_source(CHART_COMPARISON), true, &text);
	}
	add_section(v, SOURCE_METRICS, "Metrics Analysis", &text);
	add_section(v, SOURCE_LOGS, "Log Analysis", &text);
	add_section(v, SOURCE_TRACES, "Trace Analysis", &text);
	str_add(&text, "### AI Agent Insights\n\n%s\n\n", insight_markdown(v->mem, v->insight));
	str_add(&text, "### Recommended Remediation\n\n%s\n\n",
		remediation_markdown(v->mem, v->insight));
	str_add(&text, "*Analysis generated at %s*", clock_format(v->mem, now_ms));
	return text;
}

static const char *summary(const struct inspection *v)
{
	const struct diagnosis *d = &v->insight->diagnosis;
	size_t failed = 0;

	for (int s = 0; s < SOURCE_COUNT; s++)
		failed += v->evidence->asked[s].wanted && v->evidence->asked[s].status != OK;
	return str_fmt(v->mem, "%s%s%s, confidence %.0f %%; %zu charts%s", cause_text(d->cause),
		       d->object == NULL ? "" : ": ",
		       d->object == NULL ? "" : text_title(v->mem, d->object, TEXT_POINTS),
		       100 * d->confidence, v->out->picture_count / FORMS,
		       failed == 0 ? "" : "; not every source answered");
}

static bool is_complete(const struct evidence *e)
{
	for (int s = 0; s < SOURCE_COUNT; s++)
		if (e->asked[s].wanted && e->asked[s].status != OK)
			return false;
	return true;
}

enum status investigate(void *mem, const struct flow *flow, const struct incident *i,
			enum inquiry_stage stage, picture_place_fn *place, void *arg,
			struct investigation *out)
{
	struct inspection v = {
		.mem = mem, .incident = i, .stage = stage, .place = place, .arg = arg, .out = out};
	const struct gallery_wish wish = {
		.remedied_ms = stage == INQUIRY_POST_REMEDIATION && i->action != NULL
				       ? i->action->finished_ms
				       : 0,
	};
	const struct window window = gather_window(i->starts_ms, clock_now());

	*out = (struct investigation){0};
	TRY(gather(mem, &flow->sources, i->labels, &window, &v.evidence));
	v.insight = insight_make(mem, v.evidence);
	v.gallery = charts_of(mem, v.evidence, &wish);
	draw_all(&v);
	out->report = report(&v, clock_now());
	out->summary = summary(&v);
	out->findings = insight_encode(mem, v.insight);
	out->evidence = evidence_encode(mem, v.evidence);
	out->complete = is_complete(v.evidence);
	return OK;
}
