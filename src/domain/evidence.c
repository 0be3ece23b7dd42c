#include "domain/evidence.h"

#include <math.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

enum { POINTS_MAX = 100000 };

static const struct {
	const char *name, *unit;
} ROLES[] = {
#define SERIES_ROLE_ROW(id, name, unit) [SERIES_##id] = {name, unit},
	SERIES_ROLES(SERIES_ROLE_ROW)
#undef SERIES_ROLE_ROW
};

static const char *const SOURCES[] = {
	[SOURCE_METRICS] = "metrics", [SOURCE_LOGS] = "logs", [SOURCE_TRACES] = "traces"};

const char *series_role_name(enum series_role r)
{
	return ROLES[r].name;
}

const char *series_role_unit(enum series_role r)
{
	return ROLES[r].unit;
}

enum status series_role_parse(const char *name, enum series_role *out)
{
	for (int r = 0; r < SERIES_ROLE_COUNT; r++) {
		if (str_eq(ROLES[r].name, name)) {
			*out = (enum series_role)r;
			return OK;
		}
	}
	return failure(E_INVALID, "%.40s is no role of a series", name == NULL ? "nothing" : name);
}

const char *source_name(enum source s)
{
	return SOURCES[s];
}

static json_t *encode_asked(const struct asked *a)
{
	json_t *queries = json_array();

	for (size_t n = 0; a->queries != NULL && a->queries[n] != NULL; n++)
		json_array_append_new(queries, json_string(a->queries[n]));
	return json_pack("{s:b, s:s, s:s*, s:o, s:I, s:b}", "wanted", a->wanted, "status",
			 status_name(a->status), "why", a->why, "queries", queries, "took_ms",
			 (json_int_t)a->took_ms, "cut", a->cut);
}

/* JSON has no NaN: a missing sample is null. */
static json_t *encode_series(const struct series *s)
{
	json_t *values = json_array();

	for (size_t n = 0; n < s->count; n++)
		json_array_append_new(values, isfinite(s->values[n]) ? json_real(s->values[n])
								     : json_null());
	return json_pack("{s:s, s:s, s:O*, s:s, s:I, s:I, s:o}", "role", series_role_name(s->role),
			 "object", s->object, "labels", s->labels, "query", s->query, "start_ms",
			 (json_int_t)s->start_ms, "step_ms", (json_int_t)s->step_ms, "values",
			 values);
}

static json_t *encode_line(const struct log_line *l)
{
	return json_pack("{s:I, s:s, s:s}", "at_ms", (json_int_t)l->at_ms, "level", l->level,
			 "text", l->text);
}

static json_t *encode_span(const struct trace_span *s)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:b}", "trace_id", s->trace_id,
			 "span_id", s->span_id, "parent_id", s->parent_id, "service", s->service,
			 "name", s->name, "start_us", (json_int_t)s->start_us, "duration_us",
			 (json_int_t)s->duration_us, "failed", s->failed);
}

json_t *evidence_encode(void *mem, const struct evidence *e)
{
	json_t *asked = json_object();
	json_t *series = json_array();
	json_t *lines = json_array();
	json_t *spans = json_array();

	for (int s = 0; s < SOURCE_COUNT; s++)
		json_object_set_new(asked, SOURCES[s], encode_asked(&e->asked[s]));
	for (size_t n = 0; n < e->series_count; n++)
		json_array_append_new(series, encode_series(&e->series[n]));
	for (size_t n = 0; n < e->line_count; n++)
		json_array_append_new(lines, encode_line(&e->lines[n]));
	for (size_t n = 0; n < e->span_count; n++)
		json_array_append_new(spans, encode_span(&e->spans[n]));
	return mem_own(mem, json_pack("{s:{s:I, s:I, s:I}, s:s, s:s*, s:o, s:o, s:o, s:o}",
				      "window", "start_ms", (json_int_t)e->window.start_ms,
				      "end_ms", (json_int_t)e->window.end_ms, "alert_ms",
				      (json_int_t)e->window.alert_ms, "object", e->object,
				      "service", e->service, "asked", asked, "series", series,
				      "lines", lines, "spans", spans));
}

static enum status need(void *mem, const json_t *o, const char *key, const char **out)
{
	const char *text = json_str(o, key);

	if (text == NULL)
		return failure(E_INVALID, "evidence: %s is missing", key);
	*out = str_dup(mem, text);
	return OK;
}

static enum status decode_status(const char *word, enum status *out)
{
	for (int s = OK; s <= E_INTERNAL; s++) {
		if (str_eq(status_name((enum status)s), word)) {
			*out = (enum status)s;
			return OK;
		}
	}
	return failure(E_INVALID, "evidence: unknown status");
}

static enum status decode_asked(void *mem, const json_t *o, struct asked *out)
{
	const json_t *queries = json_object_get(o, "queries");
	const char **list = NEW_ARRAY(mem, const char *, json_array_size(queries) + 1);
	size_t count = 0;

	for (size_t n = 0; n < json_array_size(queries); n++)
		if (json_is_string(json_array_get(queries, n)))
			list[count++] = str_dup(mem, json_string_value(json_array_get(queries, n)));
	list[count] = NULL;
	*out = (struct asked){.wanted = json_is_true(json_object_get(o, "wanted")),
			      .why = json_str(o, "why") == NULL ? NULL
								: str_dup(mem, json_str(o, "why")),
			      .queries = list,
			      .took_ms = json_int(o, "took_ms", 0),
			      .cut = json_is_true(json_object_get(o, "cut"))};
	return decode_status(json_str(o, "status"), &out->status);
}

static enum status decode_series(void *mem, const json_t *o, struct series *out)
{
	const json_t *values = json_object_get(o, "values");
	size_t count = json_array_size(values);
	double *v = NEW_ARRAY(mem, double, count + 1);

	TRY(series_role_parse(json_str(o, "role"), &out->role));
	TRY(need(mem, o, "object", &out->object));
	TRY(need(mem, o, "query", &out->query));
	out->start_ms = json_int(o, "start_ms", 0);
	out->step_ms = json_int(o, "step_ms", 0);
	if (!json_is_array(values) || out->step_ms <= 0 || count > POINTS_MAX)
		return failure(E_INVALID, "evidence: a series wants step_ms > 0 and values, at "
					  "most 100000");
	for (size_t n = 0; n < count; n++) {
		const json_t *one = json_array_get(values, n);
		v[n] = json_is_number(one) ? json_number_value(one) : NAN;
	}
	out->values = v;
	out->count = count;
	json_t *labels = json_object_get(o, "labels");
	out->labels = json_is_object(labels) ? mem_own(mem, json_incref(labels)) : NULL;
	return OK;
}

static enum status decode_line(void *mem, const json_t *o, struct log_line *out)
{
	out->at_ms = json_int(o, "at_ms", 0);
	TRY(need(mem, o, "level", &out->level));
	return need(mem, o, "text", &out->text);
}

static enum status decode_span(void *mem, const json_t *o, struct trace_span *out)
{
	TRY(need(mem, o, "trace_id", &out->trace_id));
	TRY(need(mem, o, "span_id", &out->span_id));
	TRY(need(mem, o, "parent_id", &out->parent_id));
	TRY(need(mem, o, "service", &out->service));
	TRY(need(mem, o, "name", &out->name));
	out->start_us = json_int(o, "start_us", 0);
	out->duration_us = json_int(o, "duration_us", 0);
	out->failed = json_is_true(json_object_get(o, "failed"));
	return OK;
}

static enum status decode_window(const json_t *o, struct window *out)
{
	*out = (struct window){.start_ms = json_int(o, "start_ms", 0),
			       .end_ms = json_int(o, "end_ms", 0),
			       .alert_ms = json_int(o, "alert_ms", 0)};
	if (out->start_ms >= out->end_ms)
		return failure(E_INVALID, "evidence: the window has no length");
	return OK;
}

static enum status decode_lists(void *mem, const json_t *doc, struct evidence *e)
{
	const json_t *series = json_object_get(doc, "series");
	const json_t *lines = json_object_get(doc, "lines");
	const json_t *spans = json_object_get(doc, "spans");

	e->series = NEW_ARRAY(mem, struct series, json_array_size(series) + 1);
	e->lines = NEW_ARRAY(mem, struct log_line, json_array_size(lines) + 1);
	e->spans = NEW_ARRAY(mem, struct trace_span, json_array_size(spans) + 1);
	for (; e->series_count < json_array_size(series); e->series_count++)
		TRY(decode_series(mem, json_array_get(series, e->series_count),
				  &e->series[e->series_count]));
	for (; e->line_count < json_array_size(lines); e->line_count++)
		TRY(decode_line(mem, json_array_get(lines, e->line_count),
				&e->lines[e->line_count]));
	for (; e->span_count < json_array_size(spans); e->span_count++)
		TRY(decode_span(mem, json_array_get(spans, e->span_count),
				&e->spans[e->span_count]));
	return OK;
}

enum status evidence_decode(void *mem, const json_t *doc, struct evidence **out)
{
	struct evidence *e = NEW(mem, struct evidence);

	*e = (struct evidence){0};
	TRY(decode_window(json_object_get(doc, "window"), &e->window));
	TRY(need(e, doc, "object", &e->object));
	if (json_str(doc, "service") != NULL)
		e->service = str_dup(e, json_str(doc, "service"));
	for (int s = 0; s < SOURCE_COUNT; s++)
		TRY(decode_asked(e, json_object_get(json_object_get(doc, "asked"), SOURCES[s]),
				 &e->asked[s]));
	TRY(decode_lists(e, doc, e));
	*out = e;
	return OK;
}
