#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "domain/evidence.h"

static const double VALUES[] = {1.5, NAN, 3};

static struct evidence sample(void *mem)
{
	static const char *const QUERIES[] = {"up", NULL};
	struct series *s = NEW(mem, struct series);
	struct log_line *l = NEW(mem, struct log_line);
	struct trace_span *t = NEW(mem, struct trace_span);

	*s = (struct series){.role = SERIES_CPU_LIMIT,
			     .object = "cart-0",
			     .labels = mem_own(mem, json_pack("{s:s}", "pod", "cart-0")),
			     .query = "up",
			     .start_ms = 1000,
			     .step_ms = 500,
			     .count = 3,
			     .values = VALUES};
	*l = (struct log_line){1200, "error", "out of memory"};
	*t = (struct trace_span){"aa", "bb", "", "cart", "GET /", 1100000, 2500, true};
	return (struct evidence){.window = {1000, 3000, 2000},
				 .object = "pod shop/cart-0",
				 .service = "cart",
				 .asked = {[SOURCE_METRICS] = {true, OK, NULL, QUERIES, 12, false},
					   [SOURCE_LOGS] = {true, E_TIMEOUT, "no answer in 8 s",
							    QUERIES, 8000, true}},
				 .series = s,
				 .series_count = 1,
				 .lines = l,
				 .line_count = 1,
				 .spans = t,
				 .span_count = 1};
}

static void an_evidence_survives_being_written_and_read(void **state)
{
	SCOPE(mem);
	struct evidence before = sample(mem);
	struct evidence *after = NULL;

	(void)state;
	json_t *doc = evidence_encode(mem, &before);
	assert_int_equal(evidence_decode(mem, doc, &after), OK);
	assert_int_equal(after->series[0].role, SERIES_CPU_LIMIT);
	assert_int_equal(after->series[0].count, 3);
	assert_true(after->series[0].values[0] == 1.5 && isnan(after->series[0].values[1]));
	assert_int_equal(after->asked[SOURCE_LOGS].status, E_TIMEOUT);
	assert_string_equal(after->asked[SOURCE_METRICS].queries[0], "up");
	assert_false(after->asked[SOURCE_TRACES].wanted);
	assert_string_equal(after->lines[0].text, "out of memory");
	assert_true(after->spans[0].failed);
	assert_string_equal(json_text(mem, evidence_encode(mem, after)), json_text(mem, doc));
}

static void what_is_no_evidence_is_refused(void **state)
{
	static const char *const PLACES[] = {"window", "object", "asked"};

	(void)state;
	for (size_t n = 0; n < sizeof(PLACES) / sizeof(PLACES[0]); n++) {
		SCOPE(mem);
		struct evidence before = sample(mem);
		struct evidence *after = NULL;
		json_t *doc = evidence_encode(mem, &before);
		json_object_del(doc, PLACES[n]);
		assert_int_equal(evidence_decode(mem, doc, &after), E_INVALID);
	}
}

static void every_role_has_a_name_that_is_read_back(void **state)
{
	(void)state;
	for (int r = 0; r < SERIES_ROLE_COUNT; r++) {
		enum series_role back = SERIES_ROLE_COUNT;
		assert_int_equal(series_role_parse(series_role_name((enum series_role)r), &back),
				 OK);
		assert_int_equal(back, r);
		assert_non_null(series_role_unit((enum series_role)r));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_evidence_survives_being_written_and_read),
		cmocka_unit_test(what_is_no_evidence_is_refused),
		cmocka_unit_test(every_role_has_a_name_that_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
