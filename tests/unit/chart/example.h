/* The evidence of tests/data/evidence, and how drawings are taken apart. Included by tests only. */
#pragma once

#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "chart/gallery.h"

enum { REMEDIED_AT_MINUTE = 72 };

static inline struct evidence *example(void *mem, const char *name)
{
	struct evidence *e = NULL;
	json_t *doc = NULL;
	char *text = NULL;
	size_t n = 0;

	assert_int_equal(file_read(mem, str_fmt(mem, SOURCE_ROOT "/tests/data/evidence/%s.json", name), LIMIT_FILE_BYTES, &text, &n), OK);
	assert_int_equal(json_parse(mem, text, n, &doc), OK);
	assert_int_equal(evidence_decode(mem, doc, &e), OK);
	return e;
}

static inline const struct chart *chart_in(const struct gallery *g, enum chart_kind kind)
{
	for (size_t n = 0; n < g->count; n++)
		if (g->charts[n].kind == kind)
			return &g->charts[n];
	return NULL;
}

static inline const char *note_in(const struct gallery *g, enum chart_kind kind)
{
	for (size_t n = 0; n < g->note_count; n++)
		if (g->notes[n].kind == kind)
			return g->notes[n].why;
	return NULL;
}
