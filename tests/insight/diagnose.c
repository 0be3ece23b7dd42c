/* diagnose FILE…: one line of JSON for each recorded incident: {"file", "truth", "ms", "insight"}.
 * For score.py. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "insight/finding.h"

enum { FILE_LIMIT = 64 * 1024 * 1024 };

static enum status diagnose_file(void *mem, const char *path, int markdown)
{
	char *text;
	size_t n;
	json_t *doc;
	struct evidence *e;

	TRY(file_read(mem, path, FILE_LIMIT, &text, &n));
	TRY(json_parse(mem, text, n, &doc));
	TRY(evidence_decode(mem, json_object_get(doc, "evidence"), &e));
	int64_t began = clock_monotonic();
	struct insight *i = insight_make(mem, e);
	int64_t took = clock_monotonic() - began;
	if (markdown) {
		printf("%s\n%s\n", insight_markdown(mem, i), remediation_markdown(mem, i));
		return OK;
	}
	json_t *lines =
		json_array(); /* every candidate, so that a wrong answer can be understood */
	for (size_t k = 0; k < i->diagnosis.candidate_count; k++) {
		const struct candidate *c = &i->diagnosis.candidates[k];
		json_array_append_new(lines,
				      json_pack("{s:s, s:s, s:I, s:f}", "cause",
						cause_name(c->cause), "object", c->object, "at_ms",
						(json_int_t)c->at_ms, "weight", c->weight));
	}
	json_t *missing = json_array();
	for (int s = 0; s < SOURCE_COUNT; s++)
		if (e->asked[s].status != OK)
			json_array_append_new(missing, json_string(source_name((enum source)s)));
	json_t *out = mem_own(
		mem, json_pack("{s:s, s:o, s:O, s:I, s:O, s:o, s:f, s:f}", "file", path, "missing",
			       missing, "truth", json_object_get(doc, "truth"), "ms",
			       (json_int_t)took, "insight", insight_encode(mem, i), "candidates",
			       lines, "weight", i->diagnosis.weight, "lead", i->diagnosis.lead));
	printf("%s\n", json_text(mem, out));
	return OK;
}

int main(int argc, char **argv)
{
	int markdown = argc > 2 && argv[1][0] == '-';

	for (int n = 1 + markdown; n < argc; n++) {
		SCOPE(mem);
		if (diagnose_file(mem, argv[n], markdown) != OK) {
			fprintf(stderr, "%s: %s\n", argv[n], status_message());
			return 1;
		}
	}
	return 0;
}
