/*
 * All charts of an evidence as files: for golden pictures, for contract tests, and to look at.
 *
 *   draw_charts EVIDENCE.json FOLDER [light|dark [REMEDIED_AT]]      REMEDIED_AT: RFC 3339
 *
 * Writes NAME.png, NAME.svg and NAME.json (Vega-Lite) for each, and words.json: titles, alt texts,
 * and why others are missing.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "chart/gallery.h"
#include "chart/vega.h"

static enum status write_file(void *mem, const char *folder, const char *name, const char *end,
			      const void *bytes, size_t n)
{
	char *path = str_fmt(mem, "%s/%s.%s", folder, name, end);
	FILE *file = fopen(path, "wb");
	size_t written = file == NULL ? 0 : fwrite(bytes, 1, n, file);

	if (file == NULL || fclose(file) != 0 || written != n)
		return failure(E_INTERNAL, "%s cannot be written", path);
	return OK;
}

static enum status write_chart(void *mem, const char *folder, const struct chart *c)
{
	const char *name = chart_kind_name(c->kind);
	unsigned char *png = NULL;
	char *svg = NULL;
	size_t n = 0;

	TRY(chart_png(mem, c, &png, &n));
	TRY(write_file(mem, folder, name, "png", png, n));
	TRY(chart_svg(mem, c, &svg, &n));
	TRY(write_file(mem, folder, name, "svg", svg, n));
	char *vega = json_text(mem, chart_vega(mem, c));
	return write_file(mem, folder, name, "json", vega, strlen(vega));
}

static enum status write_words(void *mem, const char *folder, const struct gallery *g)
{
	json_t *charts = json_object();
	json_t *notes = json_object();

	for (size_t n = 0; n < g->count; n++)
		json_object_set_new(charts, chart_kind_name(g->charts[n].kind),
				    json_pack("{s:s, s:s, s:s}", "title", g->charts[n].title,
					      "subtitle", g->charts[n].subtitle, "alt",
					      g->charts[n].alt));
	for (size_t n = 0; n < g->note_count; n++)
		json_object_set_new(notes, chart_kind_name(g->notes[n].kind),
				    json_string(g->notes[n].why));
	char *text = json_text(
		mem, mem_own(mem, json_pack("{s:o, s:o}", "charts", charts, "notes", notes)));
	return write_file(mem, folder, "words", "json", text, strlen(text));
}

static enum status draw(void *mem, int argc, char **argv)
{
	struct gallery_wish wish = {.theme = argc > 3 && str_eq(argv[3], "dark") ? THEME_DARK
										 : THEME_LIGHT};
	struct evidence *e = NULL;
	json_t *doc = NULL;
	char *text = NULL;
	size_t n = 0;

	if (argc > 4)
		TRY(clock_parse(argv[4], &wish.remedied_ms));
	TRY(file_read(mem, argv[1], LIMIT_FILE_BYTES, &text, &n));
	TRY(json_parse(mem, text, n, &doc));
	TRY(evidence_decode(mem, doc, &e));
	struct gallery *g = charts_of(mem, e, &wish);
	for (size_t c = 0; c < g->count; c++)
		TRY(write_chart(mem, argv[2], &g->charts[c]));
	return write_words(mem, argv[2], g);
}

int main(int argc, char **argv)
{
	SCOPE(mem);

	if (argc < 3 || draw(mem, argc, argv) != OK) {
		fprintf(stderr, "draw_charts: %s\n",
			argc < 3 ? "EVIDENCE.json FOLDER [light|dark [REMEDIED_AT]]"
				 : status_message());
		return 1;
	}
	return 0;
}
