#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cairo.h>
#include <pango/pangocairo.h>

#include "example.h"

/* What a PNG shows, for looking at single pixels. */
struct pixels {
	const unsigned char *data;
	int width, height, stride;
	cairo_surface_t *surface;
};

struct reader {
	const unsigned char *bytes;
	size_t left;
};

static cairo_status_t give(void *from, unsigned char *to, unsigned int length)
{
	struct reader *r = from;

	if (length > r->left)
		return CAIRO_STATUS_READ_ERROR;
	memcpy(to, r->bytes, length);
	r->bytes += length;
	r->left -= length;
	return CAIRO_STATUS_SUCCESS;
}

static struct pixels draw(void *mem, const struct chart *c)
{
	unsigned char *png = NULL;
	struct reader r = {0};

	assert_int_equal(chart_png(mem, c, &png, &r.left), OK);
	r.bytes = png;
	cairo_surface_t *s = cairo_image_surface_create_from_png_stream(give, &r);
	assert_int_equal(cairo_surface_status(s), CAIRO_STATUS_SUCCESS);
	return (struct pixels){cairo_image_surface_get_data(s), cairo_image_surface_get_width(s),
			       cairo_image_surface_get_height(s), cairo_image_surface_get_stride(s),
			       s};
}

static uint32_t pixel(const struct pixels *p, int x, int y)
{
	uint32_t value;

	memcpy(&value, p->data + (ptrdiff_t)y * p->stride + (ptrdiff_t)x * 4, sizeof(value));
	return value & 0xffffff;
}

static bool is_near(uint32_t a, uint32_t b)
{
	for (int shift = 0; shift < 24; shift += 8)
		if (abs((int)(a >> shift & 0xff) - (int)(b >> shift & 0xff)) > 70)
			return false;
	return true;
}

/* How many pixels of a row are about of a colour. */
static int in_row(const struct pixels *p, int y, uint32_t colour)
{
	int found = 0;

	for (int x = 0; x < p->width; x++)
		found += is_near(pixel(p, x, y), colour);
	return found;
}

static struct chart line_chart(void *mem, size_t count)
{
	double *x = NEW_ARRAY(mem, double, count);
	double *y = NEW_ARRAY(mem, double, count);
	struct chart c = {.kind = CHART_LINE,
			  .title = "t",
			  .subtitle = "s",
			  .alt = "a",
			  .window = {0, (int64_t)count * 60000, -1}};

	for (size_t n = 0; n < count; n++) {
		x[n] = (double)n * 60000;
		y[n] = 1;
	}
	c.panels = NEW(mem, struct panel);
	c.panels->name = "CPU";
	c.panels->unit = "cores";
	c.panels->tracks = NEW(mem, struct track);
	c.panels->track_count = c.panel_count = 1;
	c.panels->tracks[0] = (struct track){"one", TRACK_DATA, count, x, NULL, y};
	return c;
}

static void a_png_is_one_and_small(void **state)
{
	SCOPE(mem);
	struct evidence *e = example(mem, "surge");
	struct gallery_wish wish = {.remedied_ms = e->window.start_ms + REMEDIED_AT_MINUTE * 60000};

	(void)state;
	for (int theme = THEME_LIGHT; theme <= THEME_DARK; theme++) {
		wish.theme = (enum chart_theme)theme;
		struct gallery *g = charts_of(mem, e, &wish);
		for (size_t n = 0; n < g->count; n++) {
			unsigned char *png = NULL;
			size_t size = 0;
			assert_int_equal(chart_png(mem, &g->charts[n], &png, &size), OK);
			assert_memory_equal(png, "\x89PNG\r\n\x1a\n", 8);
			assert_in_range(size, 5000, CHART_PNG_BYTES_MAX);
			/* width and height in the header */
			assert_memory_equal(png + 16, "\x00\x00\x04\xb0\x00\x00\x02\x58", 8);
		}
	}
}

static void drawing_twice_gives_the_same_bytes(void **state)
{
	SCOPE(mem);
	struct evidence *e = example(mem, "surge");
	struct gallery *g = charts_of(mem, e, NULL);
	unsigned char *one = NULL;
	unsigned char *other = NULL;
	char *svg = NULL;
	char *again = NULL;
	size_t n = 0;
	size_t m = 0;

	(void)state;
	assert_int_equal(chart_png(mem, &g->charts[0], &one, &n), OK);
	assert_int_equal(chart_png(mem, &g->charts[0], &other, &m), OK);
	assert_int_equal(n, m);
	assert_memory_equal(one, other, n);
	assert_int_equal(chart_svg(mem, &g->charts[0], &svg, &n), OK);
	assert_int_equal(chart_svg(mem, &g->charts[0], &again, &m), OK);
	assert_string_equal(svg, again);
}

struct drawer {
	pthread_t thread;
	const struct chart *chart;
	unsigned char *png;
	size_t n;
	void *mem; /* of this thread alone */
	enum status status;
};

static void *draw_often(void *arg)
{
	struct drawer *d = arg;

	for (int n = 0; n < 3 && d->status == OK; n++)
		d->status = chart_png(d->mem, d->chart, &d->png, &d->n);
	return NULL;
}

static void threads_draw_beside_each_other(void **state)
{
	enum { THREADS = 4 };
	SCOPE(mem);
	struct drawer drawers[THREADS];
	struct gallery *g = charts_of(mem, example(mem, "surge"), NULL);

	(void)state;
	for (int n = 0; n < THREADS; n++) {
		drawers[n] =
			(struct drawer){.chart = chart_in(g, CHART_MAP), .mem = talloc_new(NULL)};
		assert_int_equal(pthread_create(&drawers[n].thread, NULL, draw_often, &drawers[n]),
				 0);
	}
	for (int n = 0; n < THREADS; n++)
		assert_int_equal(pthread_join(drawers[n].thread, NULL), 0);
	for (int n = 0; n < THREADS; n++) {
		assert_int_equal(drawers[n].status, OK);
		assert_int_equal(drawers[n].n, drawers[0].n);
		assert_memory_equal(drawers[n].png, drawers[0].png, drawers[0].n);
	}
	for (int n = 0; n < THREADS; n++)
		talloc_free(drawers[n].mem);
}

static void the_font_is_the_one_that_is_asked_for(void **state)
{
	PangoContext *context = pango_font_map_create_context(pango_cairo_font_map_get_default());
	PangoFontDescription *asked = pango_font_description_from_string("DejaVu Sans 12");
	PangoFont *font = pango_context_load_font(context, asked);
	PangoFontDescription *got = pango_font_describe(font);

	(void)state;
	assert_string_equal(pango_font_description_get_family(got), "DejaVu Sans");
	pango_font_description_free(got);
	pango_font_description_free(asked);
	g_object_unref(font);
	g_object_unref(context);
}

/* A week of one sample a minute is far more than there are pixels. */
static void one_sample_in_a_week_is_seen(void **state)
{
	enum { WEEK = 10080 };
	const uint32_t ink = palette_of(THEME_LIGHT)->series[0];

	(void)state;
	for (size_t at = 1000; at < WEEK; at += 3001) {
		SCOPE(mem);
		struct chart c = line_chart(mem, WEEK);
		double *y = NEW_ARRAY(mem, double, WEEK);
		for (size_t n = 0; n < WEEK; n++)
			y[n] = n == at ? 10 : 1;
		c.panels->tracks[0].y = y;
		struct pixels with = draw(mem, &c);
		/* half way up, where nothing else is */
		assert_in_range(in_row(&with, 330, ink), 2, 12);
		y[at] = 1;
		struct pixels without = draw(mem, &c);
		assert_int_equal(in_row(&without, 330, ink), 0);
		cairo_surface_destroy(with.surface);
		cairo_surface_destroy(without.surface);
	}
}

static void a_gap_is_not_bridged(void **state)
{
	SCOPE(mem);
	struct chart c = line_chart(mem, 100);
	double *y = NEW_ARRAY(mem, double, 100);
	const uint32_t ink = palette_of(THEME_LIGHT)->series[0];
	int most[2] = {0, 0};

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (int n = 0; n < 100; n++)
			y[n] = round == 1 && n >= 40 && n < 60 ? NAN : 1;
		c.panels->tracks[0].y = y;
		struct pixels p = draw(mem, &c);
		for (int row = 125; row < p.height; row++)
			most[round] = in_row(&p, row, ink) > most[round] ? in_row(&p, row, ink)
									 : most[round];
		cairo_surface_destroy(p.surface);
	}
	assert_true(most[0] > 700);
	assert_in_range(most[1], most[0] * 70 / 100, most[0] * 88 / 100);
}

/* The words "No data" are drawn, not an empty frame: more than a few dark pixels in the middle. */
static void no_data_says_so(void **state)
{
	static const struct chart EMPTY = {
		.title = "CPU", .subtitle = "", .alt = "", .window = {0, 1000, 500}};

	(void)state;
	for (int kind = 0; kind < CHART_KIND_COUNT; kind++) {
		SCOPE(mem);
		struct chart c = EMPTY;
		struct pixels p[2];
		c.kind = (enum chart_kind)kind;
		assert_false(chart_has_data(&c));
		p[0] = draw(mem, &c);
		c.empty = "Prometheus did not answer in 8 s";
		p[1] = draw(mem, &c);
		int dark[2] = {0, 0};
		for (int n = 0; n < 2; n++) {
			for (int y = 250; y < 420; y++)
				dark[n] += in_row(&p[n], y, palette_of(THEME_LIGHT)->quiet_text);
			cairo_surface_destroy(p[n].surface);
		}
		assert_true(dark[0] > 300);
		assert_true(dark[1] != dark[0]);
	}
}

static void values_of_which_none_is_a_number_are_no_data(void **state)
{
	SCOPE(mem);
	struct chart c = line_chart(mem, 3);
	static const double NONE[] = {NAN, INFINITY, NAN};

	(void)state;
	assert_true(chart_has_data(&c));
	c.panels->tracks[0].y = NONE;
	assert_false(chart_has_data(&c));
	cairo_surface_destroy(draw(mem, &c).surface);
}

static const char *const HOSTILE[] = {
	"\xff\xfe\x80 \xc3\x28 \xed\xa0\x80 \xf8\x88\x80\x80\x80",
	"<script>alert(1)</script>&amp;<!-- ]]>",
	"\x01\x02\x1b[31m\x7f\xc2\x85",
	"\u202e\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u2067",
	"%s%n%x %100000d",
	"",
};

static void hostile_text_breaks_nothing(void **state)
{
	(void)state;
	for (size_t n = 0; n <= sizeof(HOSTILE) / sizeof(HOSTILE[0]); n++) {
		SCOPE(mem);
		char *long_text = NEW_ARRAY(mem, char, 10001);
		char *svg = NULL;
		size_t size = 0;
		memset(long_text, 'W', 10000);
		const char *text =
			n == sizeof(HOSTILE) / sizeof(HOSTILE[0]) ? long_text : HOSTILE[n];
		struct evidence *e = example(mem, "surge");
		struct gallery *g = charts_of(mem, e, NULL);
		for (size_t k = 0; k < g->count; k++) {
			struct chart *c = &g->charts[k];
			c->title = c->subtitle = c->alt = text;
			for (size_t m = 0; m < c->mark_count; m++)
				c->marks[m].label = text;
			for (size_t p = 0; p < c->panel_count; p++)
				c->panels[p].name = c->panels[p].tracks[0].name = text;
			for (size_t s = 0; s < c->share_count; s++)
				c->shares[s].name = text;
			for (size_t s = 0; c->map != NULL && s < c->map->node_count; s++)
				c->map->nodes[s].name = text;
			cairo_surface_destroy(draw(mem, c).surface);
			assert_int_equal(chart_svg(mem, c, &svg, &size), OK);
			assert_null(strstr(svg, "<script"));
			assert_true(size < 4000000);
		}
	}
}

static void title_and_alt_are_in_the_svg_escaped(void **state)
{
	SCOPE(mem);
	struct chart c = line_chart(mem, 10);
	char *svg = NULL;
	size_t n = 0;

	(void)state;
	c.title = "a < b & c";
	c.alt = "<desc>";
	assert_int_equal(chart_svg(mem, &c, &svg, &n), OK);
	assert_non_null(strstr(svg, "<title>a &lt; b &amp; c</title>"));
	assert_non_null(strstr(svg, "<desc>&lt;desc&gt;</desc>"));
	assert_non_null(strstr(svg, "width=\"720px\" height=\"360px\""));
}

static void every_kind_has_a_name_and_a_source(void **state)
{
	(void)state;
	assert_string_equal(chart_kind_name(CHART_MAP), "service-map");
	assert_int_equal(chart_kind_source(CHART_CLASSES), SOURCE_LOGS);
	assert_int_equal(chart_kind_source(CHART_LATENCY), SOURCE_TRACES);
	assert_string_equal(chart_kind_what(CHART_LINE), "CPU over time");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_png_is_one_and_small),
		cmocka_unit_test(drawing_twice_gives_the_same_bytes),
		cmocka_unit_test(threads_draw_beside_each_other),
		cmocka_unit_test(the_font_is_the_one_that_is_asked_for),
		cmocka_unit_test(one_sample_in_a_week_is_seen),
		cmocka_unit_test(a_gap_is_not_bridged),
		cmocka_unit_test(no_data_says_so),
		cmocka_unit_test(values_of_which_none_is_a_number_are_no_data),
		cmocka_unit_test(hostile_text_breaks_nothing),
		cmocka_unit_test(title_and_alt_are_in_the_svg_escaped),
		cmocka_unit_test(every_kind_has_a_name_and_a_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
