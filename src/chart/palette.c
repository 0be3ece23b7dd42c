#include "chart/palette.h"

#include <math.h>

static const struct palette PALETTES[] = {
	[THEME_LIGHT] = {.background = 0xffffff,
			 .text = 0x1b1f24,
			 .quiet_text = 0x57606a,
			 .grid = 0xe3e6ea,
			 .neutral = 0x6e7781,
			 .alarm = 0xb84300,
			 .warning = 0x8f6400,
			 .series = {0x0072b2, 0x00795a, 0xa3447e, 0x8f6400, 0x2b7fa8, 0x4b4f58}},
	[THEME_DARK] = {.background = 0x16191f,
			.text = 0xe8eaed,
			.quiet_text = 0xa4acb6,
			.grid = 0x2d323a,
			.neutral = 0x8b949e,
			.alarm = 0xff8c52,
			.warning = 0xe8b730,
			.series = {0x56b4e9, 0x2fc79a, 0xe39ac7, 0xe8b730, 0x9fd4f5, 0xd0d5db}},
};

const struct palette *palette_of(enum chart_theme theme)
{
	return &PALETTES[theme == THEME_DARK ? THEME_DARK : THEME_LIGHT];
}

static double linear(uint32_t channel)
{
	double c = channel / 255.0;

	return c <= 0.03928 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4);
}

static double luminance(uint32_t rgb)
{
	return 0.2126 * linear(rgb >> 16 & 0xff) + 0.7152 * linear(rgb >> 8 & 0xff) +
	       0.0722 * linear(rgb & 0xff);
}

double palette_contrast(uint32_t a, uint32_t b)
{
	double one = luminance(a) + 0.05;
	double other = luminance(b) + 0.05;

	return one > other ? one / other : other / one;
}
