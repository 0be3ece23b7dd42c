#include "chart/canvas.h"

#include <math.h>

#include <pango/pangocairo.h>

#include "chart/words.h"

const double TYPE_TITLE = 16;
const double TYPE_TEXT = 12.5;
const double TYPE_SMALL = 11.5;

/* More than fits into any box of a chart. */
enum { TEXT_POINTS = 240 };

/* Everything that a machine's font settings could change is set here, and no other font is looked
 * for: what DejaVu Sans lacks is drawn as a box with the character's number, the same everywhere.
 */
static PangoLayout *layout_new(cairo_t *cr)
{
	PangoLayout *layout = pango_cairo_create_layout(cr);
	PangoContext *context = pango_layout_get_context(layout);
	cairo_font_options_t *options = cairo_font_options_create();
	PangoAttrList *attributes = pango_attr_list_new();

	cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
	cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
	cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
	pango_cairo_context_set_font_options(context, options);
	pango_cairo_context_set_resolution(context, 72);
	pango_context_set_language(context, pango_language_from_string("en"));
	cairo_font_options_destroy(options);
	pango_attr_list_insert(attributes, pango_attr_fallback_new(FALSE));
	pango_layout_set_attributes(layout, attributes);
	pango_attr_list_unref(attributes);
	pango_layout_set_auto_dir(layout, FALSE);
	return layout;
}

struct canvas canvas_begin(void *mem, cairo_t *cr, const struct palette *colours, double device)
{
	struct canvas c = {.cr = cr, .mem = mem, .colours = colours, .device = device};

	/* 16 samples a pixel; the default takes twice the time for a week of 20 series and looks
	 * the same */
	cairo_set_antialias(cr, CAIRO_ANTIALIAS_FAST);
	c.layout = layout_new(cr);
	return c;
}

void canvas_end(struct canvas *c)
{
	g_object_unref(c->layout);
	c->layout = NULL;
}

static void set_ink(struct canvas *c, uint32_t ink, double opacity)
{
	cairo_set_source_rgba(c->cr, (ink >> 16 & 0xff) / 255.0, (ink >> 8 & 0xff) / 255.0,
			      (ink & 0xff) / 255.0, opacity);
}

static void set_text(struct canvas *c, const char *text, struct type type)
{
	PangoFontDescription *font = pango_font_description_new();

	pango_font_description_set_family_static(font, "DejaVu Sans");
	pango_font_description_set_absolute_size(font, type.size * PANGO_SCALE);
	pango_font_description_set_weight(font,
					  type.bold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
	pango_layout_set_font_description(c->layout, font);
	pango_font_description_free(font);
	pango_layout_set_text(c->layout, words_clean(c->mem, text, TEXT_POINTS), -1);
}

double canvas_text(struct canvas *c, double x, double y, double width, const char *text,
		   struct type type)
{
	static const PangoAlignment ALIGNMENTS[] = {[ALIGN_LEFT] = PANGO_ALIGN_LEFT,
						    [ALIGN_CENTRE] = PANGO_ALIGN_CENTER,
						    [ALIGN_RIGHT] = PANGO_ALIGN_RIGHT};
	int height = 0;

	if (width < 1)
		return 0;
	set_text(c, text, type);
	pango_layout_set_width(c->layout, (int)(width * PANGO_SCALE));
	pango_layout_set_height(c->layout, type.lines > 1 ? -type.lines : -1);
	pango_layout_set_wrap(c->layout, PANGO_WRAP_WORD_CHAR);
	pango_layout_set_ellipsize(c->layout, PANGO_ELLIPSIZE_END);
	pango_layout_set_alignment(c->layout, ALIGNMENTS[type.align]);
	pango_layout_get_size(c->layout, NULL, &height);
	set_ink(c, type.ink, 1);
	cairo_move_to(c->cr, x, y);
	pango_cairo_show_layout(c->cr, c->layout);
	return (double)height / PANGO_SCALE;
}

double canvas_text_width(struct canvas *c, const char *text, struct type type)
{
	int width = 0;

	set_text(c, text, type);
	pango_layout_set_width(c->layout, -1);
	pango_layout_get_size(c->layout, &width, NULL);
	return (double)width / PANGO_SCALE;
}

void canvas_stroke(struct canvas *c, uint32_t ink, double width, enum dash dash)
{
	static const struct {
		double lengths[4];
		int count;
	} DASHES[DASH_COUNT] = {[DASH_NONE] = {{0}, 0},
				[DASH_LONG] = {{7, 3}, 2},
				[DASH_SHORT] = {{4, 3}, 2},
				[DASH_DOTS] = {{1.5, 2.5}, 2},
				[DASH_MIXED] = {{7, 2.5, 1.5, 2.5}, 4}};

	cairo_set_dash(c->cr, DASHES[dash].lengths, DASHES[dash].count, 0);
	cairo_set_line_width(c->cr, width);
	cairo_set_line_join(c->cr, CAIRO_LINE_JOIN_BEVEL);
	set_ink(c, ink, 1);
	cairo_stroke(c->cr);
	cairo_set_dash(c->cr, NULL, 0, 0);
}

void canvas_line(struct canvas *c, double x1, double y1, double x2, double y2, uint32_t ink,
		 double width, enum dash dash)
{
	cairo_move_to(c->cr, x1, y1);
	cairo_line_to(c->cr, x2, y2);
	canvas_stroke(c, ink, width, dash);
}

void canvas_box(struct canvas *c, struct area a, uint32_t ink, double opacity)
{
	cairo_rectangle(c->cr, a.left, a.top, a.right - a.left, a.bottom - a.top);
	set_ink(c, ink, opacity);
	cairo_fill(c->cr);
}

/* Lines, not a pattern: an SVG keeps them as lines. */
void canvas_hatch(struct canvas *c, struct area a, uint32_t ink, int direction)
{
	static const double APART = 4;
	double rise = a.bottom - a.top;

	if (direction == HATCH_NONE || rise <= 0 || a.right <= a.left)
		return;
	cairo_save(c->cr);
	cairo_rectangle(c->cr, a.left, a.top, a.right - a.left, rise);
	cairo_clip(c->cr);
	/* multiples of the distance, so that neighbouring boxes continue each other */
	double first = floor((a.left - rise) / APART) * APART;
	double turn = direction == HATCH_RISING ? rise : -rise;
	int lines = (int)((a.right + rise - first) / APART) + 1;
	for (int n = 0; n < lines; n++) {
		double x = first + APART * n;
		cairo_move_to(c->cr, x, a.bottom);
		cairo_line_to(c->cr, x + turn, a.top);
	}
	canvas_stroke(c, ink, 0.8, DASH_NONE);
	cairo_restore(c->cr);
}

void canvas_point(struct canvas *c, double x, double y, double radius, uint32_t ink,
		  enum shape shape)
{
	cairo_new_sub_path(c->cr);
	if (shape == SHAPE_CIRCLE) {
		cairo_arc(c->cr, x, y, radius, 0, 2 * M_PI);
	} else {
		cairo_move_to(c->cr, x, y - radius * 1.2);
		cairo_line_to(c->cr, x + radius * 1.1, y + radius * 0.8);
		cairo_line_to(c->cr, x - radius * 1.1, y + radius * 0.8);
		cairo_close_path(c->cr);
	}
	set_ink(c, ink, 0.85);
	cairo_fill(c->cr);
}
