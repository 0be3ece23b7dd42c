#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/point.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SERIES "20260115T104640000Z-00112233"
#define LATER "20260115T104740000Z-44556677"
#define SUM "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void an_id_says_when_and_sorts_by_that(void **state)
{
	char id[POINT_ID_BYTES];
	char later[POINT_ID_BYTES];

	(void)state;
	point_id(id, INT64_C(1768474000123));
	point_id(later, INT64_C(1768474000124));
	assert_true(point_id_fits(id));
	assert_memory_equal(id, "20260115T104640123Z-", 20);
	assert_int_equal(point_id_time(id), INT64_C(1768474000123));
	assert_true(strcmp(id, later) < 0);
}

static void what_is_no_id_does_not_fit(void **state)
{
	static const char *const CASES[] = {"",
					    "20260115T104640123Z",
					    "20260115T104640123Z-0011223",
					    SERIES "0",
					    "20261315T104640123Z-00112233",
					    "20260115T104640123Z-0011223G",
					    "../../../../etc/passwd-123456"};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++)
		assert_false(point_id_fits(CASES[n]));
}

static void names_of_points_are_told_from_others(void **state)
{
	static const char *const OTHERS[] = {SERIES "/" LATER "-000001.part",
					     SERIES "/" LATER,
					     SERIES,
					     "x/" LATER ".point",
					     SERIES "/x.point",
					     "drill.sealed",
					     SERIES "/" LATER ".point/x"};
	SCOPE(mem);
	char *series = NULL;
	char *id = NULL;

	(void)state;
	assert_true(point_name_parse(mem, SERIES "/" LATER ".point", &series, &id));
	assert_string_equal(series, SERIES);
	assert_string_equal(id, LATER);
	for (size_t n = 0; n < COUNT(OTHERS); n++)
		assert_false(point_name_parse(mem, OTHERS[n], &series, &id));
}

static void only_files_of_the_store_fit(void **state)
{
	static const struct {
		const char *name;
		bool fits;
	} CASES[] = {{"intake-0000000000000001.log", true},
		     {"archive/dlq-2026-01.jsonl", true},
		     {"agent-sre.db", false},
		     {"seal.key", false},
		     {"intake-/../x.log", false},
		     {"../intake-1.log", false},
		     {"archive/../seal.key", false},
		     {"archive/a/b", false},
		     {"archive/", false},
		     {"archive/.hidden", false},
		     {"/intake-1.log", false},
		     {"intake-1.log/", false}};

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++)
		if (point_file_fits(CASES[n].name) != CASES[n].fits)
			fail_msg("%s", CASES[n].name);
}

static struct point sample(void *mem, struct part *parts, struct table_digest *tables)
{
	parts[0] = (struct part){.kind = PART_PAGES,
				 .name = str_dup(mem, SERIES "/" LATER "-000001.part"),
				 .bytes = 5000,
				 .sha256 = str_dup(mem, SUM),
				 .file = str_dup(mem, ""),
				 .plain_sha256 = str_dup(mem, "")};
	parts[1] = (struct part){.kind = PART_FILE,
				 .name = str_dup(mem, SERIES "/" SERIES "-000002.part"),
				 .bytes = 100,
				 .sha256 = str_dup(mem, SUM),
				 .file = str_dup(mem, "intake-0000000000000001.log"),
				 .offset = 1048576,
				 .length = 67,
				 .size = 4194304,
				 .plain_sha256 = str_dup(mem, SUM)};
	tables[0] = (struct table_digest){str_dup(mem, "incident"), 7, str_dup(mem, SUM)};
	return (struct point){.id = str_dup(mem, LATER),
			      .series = str_dup(mem, SERIES),
			      .store = str_dup(mem, "0f"),
			      .parent = str_dup(mem, SERIES),
			      .time_ms = 1768474060000,
			      .page_size = 4096,
			      .page_count = 45,
			      .pages = 3,
			      .schema = 5,
			      .took_ms = 12,
			      .parts = parts,
			      .part_count = 2,
			      .tables = tables,
			      .table_count = 1};
}

static void a_manifest_reads_back_as_it_was(void **state)
{
	SCOPE(mem);
	struct part parts[2];
	struct table_digest tables[1];
	struct point p = sample(mem, parts, tables);
	struct point *back = NULL;
	char *text = point_encode(mem, &p);

	(void)state;
	if (point_decode(mem, text, strlen(text), &back) != OK)
		fail_msg("%s", status_message());
	assert_string_equal(point_encode(mem, back), text);
	assert_int_equal(back->parts[1].size, 4194304);
	assert_string_equal(back->tables[0].name, "incident");
}

/* Each change of one member makes it unacceptable. */
static void a_manifest_with_anything_wrong_is_refused_by_its_name(void **state)
{
	static const struct {
		const char *member, *value;
	} CASES[] = {
		{"id", "\"x\""},
		{"series", "\"" LATER "\""},
		{"parent", "\"" LATER "\""},
		{"parent", "\"\""},
		{"page_size", "4095"},
		{"page_size", "131072"},
		{"page_count", "0"},
		{"page_count", "99999999999"},
		{"pages", "46"},
		{"time_ms", "-1"},
		{"time_ms", "\"now\""},
		{"format", "2"},
		{"format", "null"},
		{"parts", "{}"},
		{"parts", "[{}]"},
		{"tables", "[1]"},
		{"parts",
		 "[{\"kind\": \"pages\", \"name\": \"../x\", \"bytes\": 100, \"sha256\": \"" SUM
		 "\"}]"},
		{"parts", "[{\"kind\": \"pages\", \"name\": \"" LATER "/" LATER
			  "-000001.part\", \"bytes\": 100, \"sha256\": \"" SUM "\"}]"},
		{"parts",
		 "[{\"kind\": \"file\", \"name\": \"" SERIES "/" LATER
		 "-000001.part\", \"bytes\": 100, \"sha256\": \"" SUM
		 "\", \"file\": \"../../etc/passwd\", \"offset\": 0, \"length\": 1, \"size\": 1, "
		 "\"plain_sha256\": \"" SUM "\"}]"},
		{"parts",
		 "[{\"kind\": \"file\", \"name\": \"" SERIES "/" LATER
		 "-000001.part\", \"bytes\": 100, \"sha256\": \"" SUM
		 "\", \"file\": \"intake-1.log\", \"offset\": 10, \"length\": 5, \"size\": 14, "
		 "\"plain_sha256\": \"" SUM "\"}]"},
	};
	SCOPE(mem);
	struct part parts[2];
	struct table_digest tables[1];
	struct point p = sample(mem, parts, tables);

	(void)state;
	for (size_t n = 0; n < COUNT(CASES); n++) {
		struct point *back = NULL;
		json_t *doc = NULL;
		json_t *value = NULL;
		char *text = point_encode(mem, &p);
		assert_int_equal(json_parse(mem, text, strlen(text), &doc), OK);
		value = json_loads(CASES[n].value, JSON_DECODE_ANY, NULL);
		assert_non_null(value);
		json_object_set_new(doc, CASES[n].member, value);
		text = json_text(mem, doc);
		if (point_decode(mem, text, strlen(text), &back) != E_INVALID ||
		    strstr(status_message(), "backup: ") == NULL)
			fail_msg("%s: %s: %s", CASES[n].member, CASES[n].value, status_message());
	}
}

static enum status count_entry(uint32_t number, const unsigned char *bytes, void *arg)
{
	size_t *count = arg;

	assert_int_equal(bytes[0], (unsigned char)number);
	(*count)++;
	return OK;
}

static void pages_fill_a_part_and_come_back(void **state)
{
	SCOPE(mem);
	struct page_writer w = {0};
	unsigned char page[4096] = {0};
	uint32_t number = 0;
	size_t count = 0;
	bool full = false;

	(void)state;
	entries_begin(mem, &w, PART_PAGES, sizeof(page));
	while (!full) {
		page[0] = (unsigned char)++number;
		full = entries_add(&w, number, page);
	}
	assert_in_range(w.used, PART_PLAIN_BYTES - 5000, PART_PLAIN_BYTES + 12);
	assert_int_equal(entries_each(PART_PAGES, (char *)w.bytes, w.used, sizeof(page), 1000,
				      count_entry, &count),
			 OK);
	assert_int_equal(count, number);
}

static void parts_that_do_not_fit_are_refused(void **state)
{
	SCOPE(mem);
	struct page_writer w = {0};
	unsigned char page[512] = {1};
	size_t count = 0;

	(void)state;
	entries_begin(mem, &w, PART_PAGES, sizeof(page));
	assert_false(entries_add(&w, 1, page));
	const char *plain = (char *)w.bytes;
	for (size_t n = 0; n < w.used; n++)
		assert_int_equal(entries_each(PART_PAGES, plain, n, 512, 9, count_entry, &count),
				 E_INVALID);
	assert_int_equal(entries_each(PART_PAGES, plain, w.used + 1, 512, 9, count_entry, &count),
			 E_INVALID);
	assert_int_equal(entries_each(PART_DIGESTS, plain, w.used, 512, 9, count_entry, &count),
			 E_INVALID);
	assert_int_equal(entries_each(PART_PAGES, plain, w.used, 1024, 9, count_entry, &count),
			 E_INVALID);
	assert_int_equal(entries_each(PART_PAGES, plain, w.used, 512, 0, count_entry, &count),
			 E_INVALID);
	assert_int_equal(count, 0);
	assert_int_equal(entries_each(PART_PAGES, plain, w.used, 512, 1, count_entry, &count), OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_says_when_and_sorts_by_that),
		cmocka_unit_test(what_is_no_id_does_not_fit),
		cmocka_unit_test(names_of_points_are_told_from_others),
		cmocka_unit_test(only_files_of_the_store_fit),
		cmocka_unit_test(a_manifest_reads_back_as_it_was),
		cmocka_unit_test(a_manifest_with_anything_wrong_is_refused_by_its_name),
		cmocka_unit_test(pages_fill_a_part_and_come_back),
		cmocka_unit_test(parts_that_do_not_fit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
