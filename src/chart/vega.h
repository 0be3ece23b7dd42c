/*
 * A chart as a Vega-Lite v5 specification (https://vega.github.io/vega-lite/docs/) with its data inside, so that
 * other tools can show and change it. Sources are not asked again: what the chart holds is all there is. Pure.
 */
#pragma once

#include <jansson.h>

#include "chart/chart.h"

/* Valid against Vega-Lite's schema for every chart, also for one without data. Texts are cleaned as for drawing and
 * stand only where a specification takes text: nothing in it is an expression or an address. Long series are thinned
 * as for drawing (chart/downsample.h). Kind, window and time zone are in `usermeta`. Under mem. */
json_t *chart_vega(void *mem, const struct chart *c);
