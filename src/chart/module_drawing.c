#include "chart/module.h"

extern const struct chart_module agent_sre_chart;

__attribute__((visibility("default"))) const struct chart_module agent_sre_chart = {
	.png = chart_png, .svg = chart_svg, .why = status_message};
