/*
 * What draws is a module, loaded when the first chart is drawn: cairo, pango and the forty libraries behind them take 4 MB of
 * memory, which an agent that draws nothing does without. It lies beside the program, or in CHART_MODULE_DIR.
 */
#pragma once

#include "chart/chart.h"

#define CHART_MODULE_FILE "agent-sre-chart.so"
#define CHART_MODULE_SYMBOL "agent_sre_chart"

/* The module's one symbol. It has its own copy of base/status, so that its words are asked for there. */
struct chart_module {
	enum status (*png)(void *mem, const struct chart *c, unsigned char **out, size_t *n);
	enum status (*svg)(void *mem, const struct chart *c, char **out, size_t *n);
	const char *(*why)(void);
};

/* Loads it, unless it is. E_INTERNAL says where it was looked for; chart_png and chart_svg of the agent say the same. From any
 * thread. */
NODISCARD enum status chart_module_load(const struct chart_module **out);
