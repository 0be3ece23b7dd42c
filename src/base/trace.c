#include "base/trace.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

enum { TRACE_DIGITS = 32, SPAN_DIGITS = 16, TRACEPARENT_LENGTH = 55 };

static _Thread_local struct span *current;

static span_sink_fn *sink_call;
static void *sink_arg;

/* Copies n lower-case hex digits; false when they are not, or all zero (which W3C calls invalid).
 */
static bool copy_id(char *out, const char *text, size_t n)
{
	if (strspn(text, "0123456789abcdef") < n || strspn(text, "0") >= n)
		return false;
	memcpy(out, text, n);
	out[n] = '\0';
	return true;
}

static bool read_traceparent(const char *text, struct trace_context *c)
{
	if (text == NULL || strlen(text) != TRACEPARENT_LENGTH || !str_starts(text, "00-") ||
	    text[35] != '-' || text[52] != '-')
		return false;
	if (strspn(text + 53, "0123456789abcdef") != 2)
		return false;
	c->sampled = strchr("13579bdf", text[54]) != NULL;
	return copy_id(c->trace_id, text + 3, TRACE_DIGITS) &&
	       copy_id(c->span_id, text + 36, SPAN_DIGITS);
}

bool traceparent_parse(const char *text, struct trace_context *out)
{
	struct trace_context c = {0};
	bool good = read_traceparent(text, &c);

	*out = good ? c : (struct trace_context){0};
	return good;
}

void traceparent_format(const struct trace_context *c, char out[56])
{
	out[0] = '\0';
	if (c->trace_id[0] != '\0')
		snprintf(out, 56, "00-%s-%s-%s", c->trace_id, c->span_id, c->sampled ? "01" : "00");
}

static void random_id(char *out, size_t digits)
{
	SCOPE(tmp);
	memcpy(out, id_random_hex(tmp, digits / 2), digits + 1);
}

static const struct trace_context *origin(const struct trace_context *parent)
{
	if (parent != NULL && parent->trace_id[0] != '\0')
		return parent;
	return current == NULL ? NULL : &current->self;
}

void span_begin(struct span *s, const char *name, enum span_kind kind,
		const struct trace_context *parent)
{
	const struct trace_context *from = origin(parent);
	struct span fresh = {.name = name, .kind = kind, .outer = current};

	if (from != NULL) {
		fresh.self = *from;
		memcpy(fresh.parent_span_id, from->span_id, sizeof(fresh.parent_span_id));
	} else {
		random_id(fresh.self.trace_id, TRACE_DIGITS);
		fresh.self.sampled = true;
	}
	random_id(fresh.self.span_id, SPAN_DIGITS);
	fresh.start_ms = clock_now();
	*s = fresh;
	current = s;
}

void span_attribute(struct span *s, const char *name, const char *value)
{
	char text[LIMIT_ATTRIBUTE_BYTES + 1];

	if (value == NULL || sink_call == NULL) /* nobody would read it */
		return;
	if (s->attributes == NULL)
		s->attributes = mem_check(json_object());
	utf8_copy(text, sizeof(text), value);
	json_object_set_new(s->attributes, name, mem_check(json_string(text)));
}

void span_error(struct span *s, const char *message)
{
	utf8_copy(s->error, sizeof(s->error), str_empty(message) ? "error" : message);
}

void span_end(struct span *s)
{
	int64_t now = clock_now();

	assert(current == s);
	s->end_ms = now < s->start_ms ? s->start_ms : now;
	if (sink_call != NULL) {
		if (s->attributes == NULL)
			s->attributes = mem_check(json_object());
		sink_call(s, sink_arg);
	}
	current = s->outer;
	json_decref(s->attributes);
	s->attributes = NULL;
}

const struct span *span_current(void)
{
	return current;
}

void span_sink(span_sink_fn *sink, void *arg)
{
	sink_call = sink;
	sink_arg = arg;
}
