#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "chart/palette.h"

static void everything_can_be_told_from_the_background(void **state)
{
	(void)state;
	for (int theme = THEME_LIGHT; theme <= THEME_DARK; theme++) {
		const struct palette *p = palette_of((enum chart_theme)theme);
		for (int n = 0; n < PALETTE_SERIES; n++)
			assert_true(palette_contrast(p->series[n], p->background) >= 3);
		assert_true(palette_contrast(p->text, p->background) >= 7);
		assert_true(palette_contrast(p->quiet_text, p->background) >= 4.5);
		/* these two are also written in */
		assert_true(palette_contrast(p->alarm, p->background) >= 4.5);
		assert_true(palette_contrast(p->series[1], p->background) >= 4.5);
		assert_true(palette_contrast(p->series[2], p->background) >= 4.5);
		assert_true(palette_contrast(p->neutral, p->background) >= 3);
		assert_true(palette_contrast(p->warning, p->background) >= 3);
	}
}

static void contrast_is_wcags(void **state)
{
	(void)state;
	assert_true(palette_contrast(0xffffff, 0x000000) > 20.99);
	assert_true(palette_contrast(0x777777, 0xffffff) > 4.47 &&
		    palette_contrast(0xffffff, 0x777777) < 4.49);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_can_be_told_from_the_background),
		cmocka_unit_test(contrast_is_wcags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
