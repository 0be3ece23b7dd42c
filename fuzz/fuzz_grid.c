#include <assert.h>
#include <math.h>

#include "base/mem.h"
#include "clients/grid.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct range RANGE = {1000, 61000, 1000};
	SCOPE(mem);
	struct grid *g = NULL;
	double sum = 0;

	enum status s = grid_decode(mem, "Prometheus", (const char *)data, size, &RANGE, &g);
	assert(s == OK ? g != NULL : s == E_INVALID && g == NULL);
	if (s != OK)
		return 0;
	assert(g->points == 61 && g->count <= GRID_SERIES_MAX);
	grid_keep(g, 2);
	assert(g->count <= 2);
	for (size_t i = 0; i < g->count; i++) {
		assert(json_is_object(g->series[i].labels));
		for (size_t n = 0; n < g->points; n++)
			sum += isfinite(g->series[i].values[n]) ? 1 : 0;
	}
	assert(sum <= 2 * 61);
	return 0;
}
