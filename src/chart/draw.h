/* How each kind is drawn into what frame_begin left (chart/chart.c has the table). */
#pragma once

#include "chart/canvas.h"
#include "chart/chart.h"

void draw_over_time(struct canvas *c, const struct chart *chart, struct area body); /* lines, bars, panels, logs */
void draw_scatter(struct canvas *c, const struct chart *chart, struct area body);
void draw_classes(struct canvas *c, const struct chart *chart, struct area body);
void draw_latency(struct canvas *c, const struct chart *chart, struct area body);
void draw_map(struct canvas *c, const struct chart *chart, struct area body);
void draw_comparison(struct canvas *c, const struct chart *chart, struct area body);
