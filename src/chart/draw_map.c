/* Services and the time that callers wait for them, as a Sankey diagram. */
#include "chart/draw.h"

#include <math.h>

#include "base/str.h"
#include "chart/unit.h"

static const double BAR = 14; /* width of a node */
static const double LABEL = 172;

struct place {
	struct area body;
	double apart; /* between two columns */
};

static double column_x(const struct place *p, size_t column)
{
	return p->body.left + p->apart * (double)column;
}

static double row_y(const struct place *p, double fraction)
{
	return p->body.top + fraction * (p->body.bottom - p->body.top);
}

static void draw_band(struct canvas *c, const struct place *p, const struct sankey *m,
		      const struct sankey_call *call)
{
	const struct sankey_node *from = &m->nodes[call->from];
	const struct sankey_node *to = &m->nodes[call->to];
	double left = column_x(p, from->column) + BAR;
	double right = column_x(p, to->column);

	for (int side = 0; side < 2; side++) {
		double add = side == 0 ? 0 : call->height;
		for (int step = 0; step <= BAND_STEPS; step++) {
			double t = (side == 0 ? step : BAND_STEPS - step) / (double)BAND_STEPS;
			double y =
				call->from_top + (call->to_top - call->from_top) * sankey_bend(t);
			double at_x = left + (right - left) * t;
			if (side == 0 && step == 0)
				cairo_move_to(c->cr, at_x, row_y(p, y + add));
			else
				cairo_line_to(c->cr, at_x, row_y(p, y + add));
		}
	}
	cairo_close_path(c->cr);
	uint32_t ink = to->bottleneck ? c->colours->alarm : c->colours->series[0];
	cairo_set_source_rgba(c->cr, (ink >> 16 & 0xff) / 255.0, (ink >> 8 & 0xff) / 255.0,
			      (ink & 0xff) / 255.0, 0.30);
	cairo_fill(c->cr);
}

static void draw_node(struct canvas *c, const struct place *p, const struct sankey_node *n)
{
	double x = column_x(p, n->column);
	struct area bar = {x, row_y(p, n->top), x + BAR, row_y(p, n->top + n->height)};
	uint32_t ink = n->bottleneck ? c->colours->alarm : c->colours->series[0];

	canvas_box(c, bar, ink, 1);
	if (n->bottleneck)
		canvas_hatch(c, bar, c->colours->background, HATCH_RISING);
}

/* Up to the next column, or to the edge behind the last. */
static double label_room(const struct place *p, const struct sankey_node *n, size_t columns)
{
	double x = column_x(p, n->column) + BAR + 5;

	return (n->column + 1 == columns ? p->body.right : column_x(p, n->column + 1) - 5) - x;
}

/* In narrow columns the shorter words. */
static const double NARROW = 120;

static void draw_name(struct canvas *c, const struct place *p, const struct sankey_node *n,
		      size_t columns)
{
	uint32_t ink = n->bottleneck ? c->colours->alarm : c->colours->text;
	struct type name = {TYPE_TEXT, true, ink, ALIGN_LEFT, 1};
	struct type figures = {TYPE_SMALL, false, c->colours->text, ALIGN_LEFT, 1};
	struct type word = {TYPE_SMALL, true, ink, ALIGN_LEFT, 1};
	double high = n->bottleneck ? 46 : 31;
	double x = column_x(p, n->column) + BAR + 5;
	double y = row_y(p, n->top + n->height / 2) - high / 2;
	double room = label_room(p, n, columns);
	char *own = unit_text(c->mem, "s", n->own_s);
	char *second = room < NARROW ? str_fmt(c->mem, "%s own", own)
				     : str_fmt(c->mem, "%s own of %s", own,
					       unit_text(c->mem, "s", n->total_s));
	double wide = fmin(room, fmax(canvas_text_width(c, n->name, name),
				      canvas_text_width(c, second, figures)));

	y = fmin(fmax(y, p->body.top), p->body.bottom - high);
	canvas_box(c, (struct area){x - 2, y - 1, x + wide + 3, y + high}, c->colours->background,
		   0.8);
	canvas_text(c, x, y, room, n->name, name);
	canvas_text(c, x, y + 15, room, second, figures);
	if (n->bottleneck)
		canvas_text(c, x, y + 30, room, "bottleneck", word);
}

void draw_map(struct canvas *c, const struct chart *chart, struct area body)
{
	const struct sankey *m = chart->map;
	struct place p = {.body = body};

	if (m->columns > 1)
		p.apart = (body.right - body.left - BAR - LABEL) / (double)(m->columns - 1);
	for (size_t n = 0; n < m->call_count; n++)
		if (!m->calls[n].back)
			draw_band(c, &p, m, &m->calls[n]);
	for (size_t n = 0; n < m->node_count; n++)
		draw_node(c, &p, &m->nodes[n]);
	for (size_t n = 0; n < m->node_count; n++)
		draw_name(c, &p, &m->nodes[n], m->columns);
}
