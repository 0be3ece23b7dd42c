/*
 * What json_schema.h says about files of the official JSON Schema test suite: one line of JSON a
 * test, {file, group, test, want, got}; got is true, false, or why the schema was refused.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/json_schema.h"

static void judge(const char *file, const json_t *group)
{
	SCOPE(mem);
	struct json_schema *schema = NULL;
	struct json_verdict verdict;
	const char *refused = NULL;
	size_t n;
	json_t *test;

	if (json_schema_compile(mem, json_object_get(group, "schema"), &schema) != OK)
		refused = str_dup(mem, status_message());
	json_array_foreach (json_object_get(group, "tests"), n, test) {
		json_t *got =
			refused != NULL
				? json_string(refused)
				: json_boolean(json_schema_accepts(
					  mem, schema, json_object_get(test, "data"), &verdict));
		json_t *line = json_pack("{s:s, s:O, s:O, s:O, s:o}", "file", file, "group",
					 json_object_get(group, "description"), "test",
					 json_object_get(test, "description"), "want",
					 json_object_get(test, "valid"), "got", got);
		printf("%s\n", json_text(mem, mem_own(mem, line)));
	}
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		SCOPE(mem);
		char *text = NULL;
		size_t n = 0;
		json_error_t error;
		json_t *group;
		if (file_read(mem, argv[i], LIMIT_FILE_BYTES, &text, &n) != OK) {
			fprintf(stderr, "%s\n", status_message());
			return 1;
		}
		/* as jansson reads it: the suite has NULs in strings, which ours refuses */
		json_t *groups = json_loadb(text, n, JSON_ALLOW_NUL, &error);
		if (groups == NULL) {
			fprintf(stderr, "%s: %s\n", argv[i], error.text);
			return 1;
		}
		mem_own(mem, groups);
		json_array_foreach (groups, n, group)
			judge(argv[i], group);
	}
	return 0;
}
