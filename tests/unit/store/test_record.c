#include "fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "store/record.h"

static const char KEY[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
static const char OTHER[] = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

struct box {
	void *mem;
	struct seal *seal, *other;
	struct event_member members[3];
	struct event_set set;
	unsigned char *bytes;
	size_t n;
};

static enum status encode(struct box *b, const char *origin, int64_t received_ms)
{
	const struct admission a = {
		.set = &b->set, .origin = origin, .received_ms = received_ms, .letter = 7};

	return record_encode(b->mem, &a, b->seal, &b->bytes, &b->n);
}

static int setup(void **state)
{
	void *mem = mem_check(talloc_new(NULL));
	struct box *b = NEW(mem, struct box);

	b->mem = mem;
	assert_int_equal(seal_new(mem, KEY, "", "", &b->seal), OK);
	assert_int_equal(seal_new(mem, OTHER, "", "", &b->other), OK);
	b->members[0].event = fixture_event(mem, "id-1", "Högh \"load\"", 10, 0);
	b->members[1] = (struct event_member){.error = "data.labels must be an object",
					      .category = "data",
					      .id = "id-2",
					      .source = "s",
					      .type = "t",
					      .raw = "{\"secret\": \"hunter2\"}"};
	b->members[2].event = fixture_event(mem, "id-3", "B", 20, 25);
	b->set = (struct event_set){.mode = EVENT_BATCH, .members = b->members, .count = 3};
	assert_int_equal(encode(b, "agent", 1234), OK);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	talloc_free(((struct box *)*state)->mem);
	return 0;
}

static enum status read_all(const unsigned char *bytes, size_t n, const struct seal *seal)
{
	SCOPE(mem);
	struct record r;
	struct record_event e;
	struct record_refusal f;
	bool refused;

	TRY(record_begin(bytes, n, &r));
	for (uint32_t k = 0; k < r.count; k++)
		TRY(record_next(mem, &r, seal, &e, &f, &refused));
	return OK;
}

static void what_is_written_is_read(void **state)
{
	struct box *b = *state;
	struct record r;
	struct record_event e;
	struct record_refusal f;
	bool refused = true;

	assert_int_equal(record_begin(b->bytes, b->n, &r), OK);
	assert_int_equal(r.received_ms, 1234);
	assert_string_equal(r.origin, "agent");
	assert_int_equal(r.count, 3);
	assert_int_equal(record_next(b->mem, &r, b->seal, &e, &f, &refused), OK);
	assert_false(refused);
	assert_string_equal(e.id, "id-1");
	assert_string_equal(e.source, "test");
	assert_string_equal(e.name, "Högh \"load\"");
	assert_string_equal(e.labels, "{\"alertname\":\"Högh \\\"load\\\"\"}");
	assert_int_equal(e.state, ALERT_FIRING);
	assert_true(e.keyed);
	assert_int_equal(e.starts_ms, 10000);
	assert_int_equal(record_next(b->mem, &r, b->seal, &e, &f, &refused), OK);
	assert_true(refused);
	assert_string_equal(f.error, "data.labels must be an object");
	assert_string_equal(f.body, "{\"secret\": \"hunter2\"}");
	assert_string_equal(f.report, "");
	assert_int_equal(record_next(b->mem, &r, b->seal, &e, &f, &refused), OK);
	assert_int_equal(e.state, ALERT_RESOLVED);
	assert_int_equal(e.ends_ms, 25000);
	assert_ptr_equal(r.at, r.end);
	assert_int_equal(record_next(b->mem, &r, b->seal, &e, &f, &refused), E_INTERNAL);
}

static void a_webhook_has_no_keys(void **state)
{
	struct box *b = *state;
	struct record r;
	struct record_event e;
	struct record_refusal f;
	bool refused;

	b->set.mode = EVENT_WEBHOOK;
	assert_int_equal(encode(b, "webhook", 1), OK);
	assert_int_equal(record_begin(b->bytes, b->n, &r), OK);
	assert_int_equal(record_next(b->mem, &r, b->seal, &e, &f, &refused), OK);
	assert_false(e.keyed);
}

static void every_truncation_is_refused(void **state)
{
	struct box *b = *state;

	assert_int_equal(read_all(b->bytes, b->n, b->seal), OK);
	for (size_t n = 0; n < b->n; n++) {
		SCOPE(tmp); /* of exactly n bytes: a read beyond it is seen by the sanitizer */
		unsigned char *cut = mem_check(talloc_memdup(tmp, b->bytes, n == 0 ? 1 : n));
		assert_int_not_equal(read_all(cut, n, b->seal), OK);
	}
}

static void every_changed_byte_is_refused_or_stays_in_its_bounds(void **state)
{
	struct box *b = *state;

	for (size_t n = 0; n < b->n; n++) {
		for (int bit = 0; bit < 8; bit++) {
			b->bytes[n] ^= (unsigned char)(1 << bit);
			enum status s = read_all(b->bytes, b->n, b->seal);
			assert_true(s == OK || s == E_INTERNAL || s == E_INVALID || s == E_DENIED);
			b->bytes[n] ^= (unsigned char)(1 << bit);
		}
	}
}

static void what_was_refused_is_not_readable_in_the_log(void **state)
{
	struct box *b = *state;

	assert_null(memmem(b->bytes, b->n, "hunter2", 7));
	assert_null(memmem(b->bytes, b->n, "must be an object", 17));
}

static void another_key_does_not_open_it(void **state)
{
	struct box *b = *state;

	assert_int_equal(read_all(b->bytes, b->n, b->other), E_DENIED);
	assert_non_null(strstr(status_message(), "key"));
}

static void a_refusal_that_was_altered_is_refused(void **state)
{
	struct box *b = *state;
	struct record r;
	struct record_event e;
	struct record_refusal f;
	bool refused;

	assert_int_equal(record_begin(b->bytes, b->n, &r), OK);
	assert_int_equal(record_next(b->mem, &r, b->seal, &e, &f, &refused), OK);
	size_t at = (size_t)(r.at - b->bytes) + 1 + 4 + SEAL_OVERHEAD;
	b->bytes[at] ^= 1;
	assert_int_equal(record_next(b->mem, &r, b->seal, &e, &f, &refused), E_INVALID);
}

static void another_version_is_named(void **state)
{
	struct box *b = *state;
	struct record r;

	b->bytes[0] = 7;
	assert_int_equal(record_begin(b->bytes, b->n, &r), E_INTERNAL);
	assert_non_null(strstr(status_message(), "version 7"));
}

static void too_much_together_is_refused_before_anything_is_written(void **state)
{
	struct box *b = *state;
	char *huge = NEW_ARRAY(b->mem, char, 65 * 1024 * 1024);

	memset(huge, 'x', 65 * 1024 * 1024 - 1);
	b->members[1].raw = huge;
	assert_int_equal(encode(b, "agent", 1), E_INVALID);
	b->members[1].raw = "";
	b->members[0].event->subject = huge;
	assert_int_equal(encode(b, "agent", 1), E_INVALID);
}

int main(void)
{
#define RECORD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		RECORD_TEST(what_is_written_is_read),
		RECORD_TEST(a_webhook_has_no_keys),
		RECORD_TEST(every_truncation_is_refused),
		RECORD_TEST(every_changed_byte_is_refused_or_stays_in_its_bounds),
		RECORD_TEST(what_was_refused_is_not_readable_in_the_log),
		RECORD_TEST(another_key_does_not_open_it),
		RECORD_TEST(a_refusal_that_was_altered_is_refused),
		RECORD_TEST(another_version_is_named),
		RECORD_TEST(too_much_together_is_refused_before_anything_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
