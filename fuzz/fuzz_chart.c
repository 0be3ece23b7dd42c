#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "chart/gallery.h"
#include "chart/vega.h"
#include "fuzz.h"

/* XML 1.0 knows no other control characters. */
static void check_svg(const char *svg)
{
	json_t *valid = json_string(svg);

	assert(valid != NULL);
	json_decref(valid);
	for (; *svg != '\0'; svg++)
		assert((unsigned char)*svg >= 0x20 || *svg == '\n' || *svg == '\t');
}

static void check_chart(void *mem, const struct chart *c)
{
	char *svg = NULL;
	size_t n = 0;

	assert(chart_svg(mem, c, &svg, &n) == OK);
	assert(strlen(svg) == n);
	check_svg(svg);
	assert(json_is_object(chart_vega(mem, c)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	struct gallery_wish wish = {0};
	struct evidence *e = NULL;
	json_t *doc = NULL;

	if (json_parse(mem, (const char *)data, size, &doc) != OK ||
	    evidence_decode(mem, doc, &e) != OK)
		return 0;
	wish.remedied_ms = e->window.alert_ms / 2 + e->window.end_ms / 2;
	struct gallery *g = charts_of(mem, e, &wish);
	assert(g->count + g->note_count == CHART_KIND_COUNT);
	for (size_t n = 0; n < g->count; n++)
		check_chart(mem, &g->charts[n]);
	return 0;
}
