/*
 * Pixels as a PNG. cairo's own writer tries five filters on every row and compresses at the default level: for flat
 * charts that took half of the whole time and made larger files (docs/decisions/0014-charts.md). Pure.
 */
#pragma once

#include <stddef.h>

#include "base/status.h"

/* `pixels`: rows of native 32-bit words 0x??RRGGBB, `stride` bytes from one row to the next, as in
 * CAIRO_FORMAT_RGB24. The result is under mem. E_INTERNAL when libpng cannot. */
NODISCARD enum status raster_png(void *mem, const unsigned char *pixels, int width, int height, int stride,
				 unsigned char **out, size_t *n);
