#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/trace.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static void a_traceparent_is_read(void **state)
{
	static const struct {
		const char *text;
		bool sampled;
	} CASES[] = {
		{"00-" TRACE "-" SPAN "-01", true},  {"00-" TRACE "-" SPAN "-00", false},
		{"00-" TRACE "-" SPAN "-03", true},  {"00-" TRACE "-" SPAN "-ff", true},
		{"00-" TRACE "-" SPAN "-fe", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		struct trace_context c;
		char again[56];
		assert_true(traceparent_parse(CASES[i].text, &c));
		assert_string_equal(c.trace_id, TRACE);
		assert_string_equal(c.span_id, SPAN);
		assert_int_equal(c.sampled, CASES[i].sampled);
		traceparent_format(&c, again);
		assert_string_equal(again, CASES[i].sampled ? "00-" TRACE "-" SPAN "-01"
							    : "00-" TRACE "-" SPAN "-00");
	}
}

static void anything_else_is_no_traceparent(void **state)
{
	static const char *const CASES[] = {
		NULL,
		"",
		"00",
		"00-" TRACE "-" SPAN,
		"00-" TRACE "-" SPAN "-",
		"00-" TRACE "-" SPAN "-1",
		"00-" TRACE "-" SPAN "-011",
		"00-" TRACE "-" SPAN "-01 ",
		" 00-" TRACE "-" SPAN "-01",
		"00-" TRACE "-" SPAN "-01-more",
		"00-" TRACE "-" SPAN "-0x",
		"00-" TRACE "-" SPAN "-0F",
		"01-" TRACE "-" SPAN "-01",
		"ff-" TRACE "-" SPAN "-01",
		"00-00000000000000000000000000000000-" SPAN "-01",
		"00-" TRACE "-0000000000000000-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
		"00-4bf92f3577b34da6a3ce929d0e0e473g-" SPAN "-01",
		"00-4bf92f3577b34da6a3ce929d0e0e473--" SPAN "-01",
		"00-" TRACE "-00f067aa0ba902b\n-01",
		"00_" TRACE "_" SPAN "_01",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(CASES); i++) {
		struct trace_context c;
		char text[56] = "x";
		memset(&c, 'x', sizeof(c.trace_id));
		print_message("# row %zu\n", i);
		assert_false(traceparent_parse(CASES[i], &c));
		assert_string_equal(c.trace_id, "");
		assert_string_equal(c.span_id, "");
		assert_false(c.sampled);
		traceparent_format(&c, text);
		assert_string_equal(text, "");
	}
}

static void assert_id(const char *id, size_t length)
{
	assert_int_equal(strlen(id), length);
	assert_int_equal(strspn(id, "0123456789abcdef"), length);
}

static void spans_nest(void **state)
{
	struct span outer;
	struct span inner;

	(void)state;
	assert_null(span_current());
	span_begin(&outer, "outer", SPAN_SERVER, NULL);
	assert_ptr_equal(span_current(), &outer);
	assert_id(outer.self.trace_id, 32);
	assert_id(outer.self.span_id, 16);
	assert_string_equal(outer.parent_span_id, "");
	assert_true(outer.self.sampled);
	span_begin(&inner, "inner", SPAN_CLIENT, NULL);
	assert_ptr_equal(span_current(), &inner);
	assert_string_equal(inner.self.trace_id, outer.self.trace_id);
	assert_string_equal(inner.parent_span_id, outer.self.span_id);
	assert_string_not_equal(inner.self.span_id, outer.self.span_id);
	span_end(&inner);
	assert_ptr_equal(span_current(), &outer);
	span_end(&outer);
	assert_null(span_current());
}

static void a_given_parent_wins(void **state)
{
	struct trace_context remote;
	struct trace_context none = {.trace_id = ""};
	struct span outer;
	struct span inner;

	(void)state;
	assert_true(traceparent_parse("00-" TRACE "-" SPAN "-00", &remote));
	span_begin(&outer, "outer", SPAN_INTERNAL, NULL);
	span_begin(&inner, "inner", SPAN_INTERNAL, &remote);
	assert_string_equal(inner.self.trace_id, TRACE);
	assert_string_equal(inner.parent_span_id, SPAN);
	assert_false(inner.self.sampled);
	span_end(&inner);
	span_begin(&inner, "inner", SPAN_INTERNAL, &none);
	assert_string_equal(inner.self.trace_id, outer.self.trace_id);
	assert_string_equal(inner.parent_span_id, outer.self.span_id);
	span_end(&inner);
	span_end(&outer);
}

struct seen {
	int count;
	char name[32], attributes[256], error[256];
	int64_t start_ms, end_ms;
	bool was_current;
};

static void look(const struct span *s, void *arg)
{
	SCOPE(tmp);
	struct seen *seen = arg;

	seen->count++;
	strncpy(seen->name, s->name, sizeof(seen->name) - 1);
	strncpy(seen->attributes, json_text(tmp, s->attributes), sizeof(seen->attributes) - 1);
	memcpy(seen->error, s->error, sizeof(seen->error));
	seen->start_ms = s->start_ms;
	seen->end_ms = s->end_ms;
	seen->was_current = span_current() == s;
}

static void the_sink_gets_what_a_span_holds(void **state)
{
	struct seen seen = {0};
	struct span s;

	(void)state;
	span_sink(look, &seen);
	span_begin(&s, "alert.process", SPAN_INTERNAL, NULL);
	span_attribute(&s, "alertname", "QueueStuck");
	span_attribute(&s, "absent", NULL);
	span_attribute(&s, "again", "1");
	span_attribute(&s, "again", "2");
	span_attribute(&s, "broken", "a\xff");
	span_error(&s, "the function said no");
	assert_int_equal(seen.count, 0);
	span_end(&s);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.name, "alert.process");
	assert_string_equal(seen.attributes,
			    "{\"again\":\"2\",\"alertname\":\"QueueStuck\",\"broken\":\"a?\"}");
	assert_string_equal(seen.error, "the function said no");
	assert_true(seen.was_current);
	assert_true(seen.start_ms <= seen.end_ms && seen.end_ms <= clock_now());
	span_sink(NULL, NULL);
	span_begin(&s, "unseen", SPAN_INTERNAL, NULL);
	span_end(&s);
	assert_int_equal(seen.count, 1);
}

static void ignore(const struct span *s, void *arg)
{
	(void)s;
	(void)arg;
}

static void long_texts_are_cut(void **state)
{
	SCOPE(tmp);
	struct span s;
	char *text = str_dup(tmp, "x");

	(void)state;
	for (int i = 0; i < 1000; i++)
		str_add(&text, "é");
	span_sink(ignore, NULL);
	span_begin(&s, "long", SPAN_INTERNAL, NULL);
	span_attribute(&s, "text", text);
	span_error(&s, text);
	assert_int_equal(strlen(json_str(s.attributes, "text")), LIMIT_ATTRIBUTE_BYTES - 1);
	assert_int_equal(strlen(s.error), sizeof(s.error) - 1);
	assert_null(strchr(s.error, '?'));
	span_error(&s, "");
	assert_string_not_equal(s.error, "");
	span_end(&s);
	span_sink(NULL, NULL);
}

static void nobody_looks_nothing_is_kept(void **state)
{
	struct span s;

	(void)state;
	span_begin(&s, "unseen", SPAN_INTERNAL, NULL);
	span_attribute(&s, "name", "value");
	assert_null(s.attributes);
	assert_int_equal(strlen(s.self.trace_id), 32);
	span_end(&s);
}

static void *trace_elsewhere(void *arg)
{
	bool *good = arg;
	struct span s;

	*good = span_current() == NULL;
	for (int i = 0; i < 200; i++) {
		span_begin(&s, "there", SPAN_INTERNAL, NULL);
		span_attribute(&s, "key", "value");
		*good = *good && span_current() == &s && s.parent_span_id[0] == '\0';
		span_end(&s);
	}
	return NULL;
}

static void threads_have_current_spans_of_their_own(void **state)
{
	pthread_t threads[4];
	bool good[4] = {false};
	struct span s;

	(void)state;
	span_begin(&s, "here", SPAN_INTERNAL, NULL);
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, trace_elsewhere, &good[i]), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_true(good[i]);
	assert_ptr_equal(span_current(), &s);
	span_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_traceparent_is_read),
		cmocka_unit_test(anything_else_is_no_traceparent),
		cmocka_unit_test(spans_nest),
		cmocka_unit_test(a_given_parent_wins),
		cmocka_unit_test(the_sink_gets_what_a_span_holds),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(nobody_looks_nothing_is_kept),
		cmocka_unit_test(threads_have_current_spans_of_their_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
