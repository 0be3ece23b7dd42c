#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "chart/frame.h"

/* A canvas on which nothing is looked at. */
struct paper {
	cairo_surface_t *surface;
	cairo_t *cr;
	struct canvas canvas;
};

static struct paper paper(void *mem)
{
	struct paper p;

	p.surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, CHART_WIDTH, CHART_HEIGHT);
	p.cr = cairo_create(p.surface);
	p.canvas = canvas_begin(mem, p.cr, palette_of(THEME_LIGHT), 1);
	p.canvas.width = CHART_WIDTH;
	p.canvas.height = CHART_HEIGHT;
	return p;
}

static void done(struct paper *p)
{
	canvas_end(&p->canvas);
	cairo_destroy(p->cr);
	cairo_surface_destroy(p->surface);
}

static void names_beside_the_data_do_not_cover_each_other(void **state)
{
	static const double HEIGHTS[] = {100, 101, 99, 100, 297, 299, 298, 20};
	enum { COUNT = sizeof(HEIGHTS) / sizeof(HEIGHTS[0]) };
	SCOPE(mem);
	struct paper p = paper(mem);
	struct area plot = {50, 80, 500, 300};
	struct label labels[COUNT];

	(void)state;
	for (int n = 0; n < COUNT; n++)
		labels[n] = (struct label){.y = HEIGHTS[n], .text = "a name"};
	frame_labels(&p.canvas, plot, labels, COUNT);
	for (int n = 0; n < COUNT; n++) {
		assert_true(labels[n].y >= plot.top && labels[n].y <= plot.bottom);
		assert_true(n == 0 || labels[n].y - labels[n - 1].y >= 14.9);
	}
	done(&p);
}

static void labels_of_marks_that_are_near_stand_in_rows(void **state)
{
	SCOPE(mem);
	struct paper p = paper(mem);
	struct scale x = {.low = 0, .high = 100, .from = 50, .to = 550};
	struct mark marks[] = {{MARK_ALERT, 50, "alert 10:45"},
			       {MARK_REMEDY, 52, "remedy 10:47"},
			       {MARK_SURGE, 54, "surge 10:49"}};
	struct chart c = {.marks = marks, .mark_count = 3};

	(void)state;
	assert_int_equal(frame_mark_rows(&p.canvas, &c, &x), 3);
	marks[1].x = 10;
	marks[2].x = 90;
	assert_int_equal(frame_mark_rows(&p.canvas, &c, &x), 1);
	c.mark_count = 0;
	assert_int_equal(frame_mark_rows(&p.canvas, &c, &x), 0);
	done(&p);
}

static void an_axis_begins_at_zero_and_leaves_room_above(void **state)
{
	struct axis a = axis_of("bytes", 0, 900.0 * 1048576, 5);
	struct axis nothing = axis_of("cores", 0, 0, 5);
	struct axis below = axis_of("", -4, 2, 5);
	struct axis huge = axis_of("", -1.7e308, 1.7e308, 5);

	(void)state;
	assert_true(a.scale.low == 0);
	assert_true(a.scale.high > 900.0 * 1048576 && a.scale.high < 1000.0 * 1048576);
	assert_string_equal(a.unit.suffix, "MiB");
	assert_true(nothing.scale.high > nothing.scale.low);
	assert_true(below.scale.low < -4 && below.scale.high > 2);
	assert_true(isfinite(huge.scale.high - huge.scale.low));
}

static void text_that_is_too_long_is_shortened_in_its_box(void **state)
{
	SCOPE(mem);
	struct paper p = paper(mem);
	char *long_text = NEW_ARRAY(mem, char, 10001);
	struct type one = {TYPE_TEXT, false, 0, ALIGN_LEFT, 1};
	struct type two = {TYPE_TEXT, false, 0, ALIGN_LEFT, 2};

	(void)state;
	memset(long_text, 'x', 10000);
	double line = canvas_text(&p.canvas, 0, 0, 300, "x", one);
	assert_true(fabs(canvas_text(&p.canvas, 0, 0, 300, long_text, one) - line) < 1);
	assert_true(fabs(canvas_text(&p.canvas, 0, 0, 300, long_text, two) - 2 * line) < 2);
	assert_true(canvas_text_width(&p.canvas, "xx", one) >
		    canvas_text_width(&p.canvas, "x", one));
	done(&p);
}

static void no_letter_is_too_small_for_a_ticket(void **state)
{
	(void)state;
	assert_true(TYPE_SMALL >= 11 && TYPE_TEXT >= TYPE_SMALL && TYPE_TITLE > TYPE_TEXT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_beside_the_data_do_not_cover_each_other),
		cmocka_unit_test(labels_of_marks_that_are_near_stand_in_rows),
		cmocka_unit_test(an_axis_begins_at_zero_and_leaves_room_above),
		cmocka_unit_test(text_that_is_too_long_is_shortened_in_its_box),
		cmocka_unit_test(no_letter_is_too_small_for_a_ticket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
