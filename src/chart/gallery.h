/*
 * Which of the nine charts an evidence allows, made from it with titles that say what was found (AI-001.2: the
 * automatic recommendation). Deterministic: the same evidence gives the same charts, word for word. Pure; takes no
 * time from the clock.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "chart/chart.h"
#include "domain/evidence.h"

/* What the caller knows better. All zero is fine. */
struct gallery_wish {
	const char *titles[CHART_KIND_COUNT]; /* NULL = made from the data */
	int64_t remedied_ms;                  /* when the remedy took effect; 0 = nothing was done yet */
	enum chart_theme theme;
};

/* Why a kind is not there, in a sentence for people. */
struct gallery_note {
	enum chart_kind kind;
	const char *why;
};

/* Every kind is once in `charts` or once in `notes`, in the order of enum chart_kind. */
struct gallery {
	struct chart *charts;
	size_t count;
	struct gallery_note *notes;
	size_t note_count;
};

/* Under mem, and it copies nothing of `e`, which must live as long. A failed or silent source costs only its own
 * charts. */
struct gallery *charts_of(void *mem, const struct evidence *e, const struct gallery_wish *wish);
