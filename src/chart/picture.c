/* chart_png and chart_svg themselves. In the agent they are in a module of their own (module.h). */
#include "chart/chart.h"

#include <string.h>

#include <cairo.h>
#include <cairo-svg.h>

#include "base/mem.h"
#include "base/str.h"
#include "chart/canvas.h"
#include "chart/draw.h"
#include "chart/frame.h"
#include "chart/raster.h"
#include "chart/words.h"

static void (*const DRAW[])(struct canvas *c, const struct chart *chart, struct area body) = {
	[CHART_LINE] = draw_over_time,	     [CHART_SCATTER] = draw_scatter,
	[CHART_BARS] = draw_over_time,	     [CHART_PANELS] = draw_over_time,
	[CHART_LOG_VOLUME] = draw_over_time, [CHART_CLASSES] = draw_classes,
	[CHART_LATENCY] = draw_latency,	     [CHART_MAP] = draw_map,
	[CHART_COMPARISON] = draw_comparison};

static void draw(void *mem, cairo_t *cr, const struct chart *chart, double device)
{
	struct canvas c = canvas_begin(mem, cr, palette_of(chart->theme), device);

	c.width = CHART_WIDTH;
	c.height = CHART_HEIGHT;
	struct area body = frame_begin(&c, chart);
	if (chart_has_data(chart))
		DRAW[chart->kind](&c, chart, body);
	else
		frame_empty(&c, body,
			    chart->empty == NULL ? "no values in this window" : chart->empty);
	canvas_end(&c);
}

/* Bytes as they come out of cairo. */
struct sink {
	void *mem;
	unsigned char *bytes;
	size_t count, room;
};

static cairo_status_t take(void *to, const unsigned char *data, unsigned int length)
{
	struct sink *s = to;

	if (s->count + length + 1 > s->room) {
		s->room = (s->count + length + 1) * 2;
		s->bytes = GROW(s->mem, s->bytes, unsigned char, s->room);
	}
	memcpy(s->bytes + s->count, data, length);
	s->count += length;
	s->bytes[s->count] = '\0';
	return CAIRO_STATUS_SUCCESS;
}

/* cairo_t and surfaces keep their first error; nothing in between needs to be asked. */
static enum status judge(cairo_status_t status, const char *what)
{
	if (status == CAIRO_STATUS_SUCCESS)
		return OK;
	return failure(E_INTERNAL, "chart: %s cannot be drawn: %s", what,
		       cairo_status_to_string(status));
}

enum status chart_png(void *mem, const struct chart *c, unsigned char **out, size_t *n)
{
	SCOPE(scratch);
	double device = (double)CHART_PNG_WIDTH / CHART_WIDTH;
	cairo_surface_t *surface =
		cairo_image_surface_create(CAIRO_FORMAT_RGB24, CHART_PNG_WIDTH, CHART_PNG_HEIGHT);
	cairo_t *cr = cairo_create(surface);

	cairo_scale(cr, device, device);
	draw(scratch, cr, c, device);
	enum status status = judge(cairo_status(cr), "a PNG");
	cairo_surface_flush(surface);
	if (status == OK)
		status = raster_png(mem, cairo_image_surface_get_data(surface), CHART_PNG_WIDTH,
				    CHART_PNG_HEIGHT, cairo_image_surface_get_stride(surface), out,
				    n);
	cairo_destroy(cr);
	cairo_surface_destroy(surface);
	TRY(status);
	if (*n > CHART_PNG_BYTES_MAX)
		return failure(E_INTERNAL, "chart: a PNG of %zu bytes, more than %d", *n,
			       CHART_PNG_BYTES_MAX);
	return OK;
}

/* cairo numbers its surfaces through the life of the process, and nothing refers to the number:
 * without it the same chart is the same SVG. */
static void drop_surface_id(char *svg)
{
	static const char NAME[] = " id=\"surface";
	char *at = strstr(svg, NAME);
	char *end = at == NULL ? NULL : strchr(at + strlen(NAME), '"');

	if (end != NULL)
		memmove(at, end + 1, strlen(end + 1) + 1);
}

/* <title> and <desc>, for those who hear an SVG: cairo knows neither. They come behind the opening
 * tag of <svg>. */
static char *with_words(void *mem, char *svg, const struct chart *c)
{
	SCOPE(scratch);
	enum { ALT_POINTS = 1000 };
	char *open = strstr(svg, "<svg ");
	char *end = open == NULL ? NULL : strchr(open, '>');

	if (end == NULL)
		return str_dup(mem, svg);
	drop_surface_id(svg);
	return str_fmt(mem, "%.*s role=\"img\">\n<title>%s</title>\n<desc>%s</desc>%s",
		       (int)(end - svg), svg,
		       words_xml(scratch, words_clean(scratch, c->title, ALT_POINTS)),
		       words_xml(scratch, words_clean(scratch, c->alt, ALT_POINTS)), end + 1);
}

enum status chart_svg(void *mem, const struct chart *c, char **out, size_t *n)
{
	SCOPE(scratch);
	struct sink s = {.mem = scratch};
	cairo_surface_t *surface =
		cairo_svg_surface_create_for_stream(take, &s, CHART_WIDTH, CHART_HEIGHT);
	cairo_svg_surface_set_document_unit(surface, CAIRO_SVG_UNIT_PX);
	cairo_t *cr = cairo_create(surface);

	draw(scratch, cr, c, (double)CHART_PNG_WIDTH / CHART_WIDTH);
	cairo_status_t status = cairo_status(cr);
	cairo_destroy(cr);
	cairo_surface_finish(surface);
	if (status == CAIRO_STATUS_SUCCESS)
		status = cairo_surface_status(surface);
	cairo_surface_destroy(surface);
	TRY(judge(status, "an SVG"));
	*out = with_words(mem, (char *)s.bytes, c);
	*n = strlen(*out);
	return OK;
}
