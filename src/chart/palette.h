/*
 * Colours of the two themes. The hues are those of Okabe and Ito (Color Universal Design, 2008), which people with
 * any of the common colour deficiencies tell apart, darkened for the light theme and lightened for the dark one until
 * each has a contrast of 3:1 with the background as a line, and 4.5:1 as text (WCAG 2.1, 1.4.3 and 1.4.11). The unit
 * test computes both.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum chart_theme { THEME_LIGHT, THEME_DARK };

enum { PALETTE_SERIES = 6 };

/* 0xRRGGBB */
struct palette {
	uint32_t background, text, quiet_text; /* quiet: axes and subtitles */
	uint32_t grid, neutral;                /* neutral: limits, what is not named */
	uint32_t alarm;                        /* the alert, errors, the bottleneck; no series has it */
	uint32_t warning;
	uint32_t series[PALETTE_SERIES];
};

const struct palette *palette_of(enum chart_theme theme);

/* WCAG's contrast ratio of two colours, 1 to 21. */
double palette_contrast(uint32_t a, uint32_t b);
