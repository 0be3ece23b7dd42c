/* SRE-013 on one registry and on decoded events. What needs a running agent:
 * tests/scenario/test_schemas.py. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "domain/event.h"
#include "domain/schema.h"

#define AT "https://schemas.homelab.com/alert/"
#define BOTH "\"type\":\"io.homelab.prometheus.alert.*\""
#define RENAME_BACK "[{\"rename\":{\"path\":\"/alert_name\",\"to\":\"alertname\"}}]"
#define LABELS "\"labels\":{\"pod\":\"app-xyz\",\"namespace\":\"production\"}"
#define V1(more) "{\"alertname\":\"PodCPUHigh\",\"status\":\"firing\"," LABELS more "}"
#define V2(more) "{\"alert_name\":\"PodCPUHigh\",\"status\":\"firing\"," LABELS more "}"

static const int64_t NOW = 1768474000000;
static const int64_t DAY = 24LL * 3600 * 1000;

static json_t *parsed(void *mem, const char *text)
{
	json_t *value = NULL;

	if (json_parse(mem, text, strlen(text), &value) != OK)
		fail_msg("%s: %s", text, status_message());
	return value;
}

/* What is built in and these documents, ended by NULL. */
static enum status registry(struct schema_registry **out, ...)
{
	SCOPE(mem);
	struct schema_source sources[8];
	size_t count = 0;
	va_list args;

	va_start(args, out);
	for (const char *text; (text = va_arg(args, const char *)) != NULL;)
		sources[count++] =
			(struct schema_source){.document = parsed(mem, text), .origin = "test"};
	va_end(args);
	return schema_registry_new(sources, count, out);
}

static struct schema_registry *built_in(void)
{
	struct schema_registry *r = NULL;

	assert_int_equal(registry(&r, NULL), OK);
	return r;
}

static const char *no_header(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return NULL;
}

static struct event_member decode(void *mem, const struct schema_registry *r,
				  const char *dataschema, const char *data)
{
	struct event_set *set = NULL;
	bool unsupported;
	json_t *e =
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:O}", "specversion", "1.0", "id",
			  "alert-12345", "source", "prometheus-events", "type", EVENT_TYPE_FIRED,
			  "time", "2026-01-15T10:45:00Z", "data", parsed(mem, data));

	if (dataschema != NULL)
		json_object_set_new(e, "dataschema", json_string(dataschema));
	const char *body = json_text(mem, mem_own(mem, e));
	const struct event_request request = {.content_type = "application/cloudevents+json",
					      .header = no_header,
					      .body = body,
					      .body_bytes = strlen(body),
					      .received_ms = NOW,
					      .schemas = r};
	assert_int_equal(event_decode(mem, &request, &set, &unsupported), OK);
	return set->members[0];
}

static struct event *accepted(void *mem, const struct schema_registry *r, const char *dataschema,
			      const char *data)
{
	struct event_member m = decode(mem, r, dataschema, data);

	if (m.event == NULL)
		fail_msg("%s: %s", dataschema == NULL ? "" : dataschema, m.error);
	return m.event;
}

static const json_t *violation(const struct event_member *m)
{
	const json_t *all = json_object_get(m->report, "violations");

	assert_true(json_array_size(all) > 0);
	return json_array_get(all, 0);
}

/* SRE-013.2 */
static void the_version_is_the_last_segment_of_dataschema(void **state)
{
	static const struct {
		const char *dataschema, *version;
	} CASES[] = {
		{NULL, "v1.0"},
		{"", "v1.0"},
		{AT "v1.1", "v1.1"},
		{"v2.0", "v2.0"},
		{AT "v2.0?draft=1", "v2.0"},
		{AT "v2.0#x", "v2.0"},
		{AT "v1.10", "v1.10"},
		{AT "v1.0/", "unknown"},
		{AT "alert.json", "unknown"},
		{AT "1.0", "unknown"},
		{AT "v1", "unknown"},
		{AT "v1.", "unknown"},
		{AT "v1.0.0", "unknown"},
		{AT "v01.0", "unknown"},
		{AT "V1.0", "unknown"},
		{AT "v1.0 ", "unknown"},
		{AT "v12345.0", "unknown"},
		{"?v1.0", "unknown"},
	};

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		SCOPE(mem);
		assert_string_equal(schema_version_of(mem, CASES[n].dataschema), CASES[n].version);
	}
}

/* SRE-013.1, .3, .5, .11 */
static void all_versions_become_the_same_record_and_slo_survives(void **state)
{
	SCOPE(mem);
	struct schema_registry *r = built_in();
	const struct event *first = accepted(mem, r, NULL, V1(""));
	const struct event *additive = accepted(mem, r, AT "v1.1", V1(",\"slo\":\"availability\""));
	const struct event *breaking = accepted(mem, r, AT "v2.0", V2(",\"slo\":\"availability\""));
	const struct event *all[] = {first, additive, breaking};

	(void)state;
	for (size_t n = 0; n < 3; n++) {
		assert_string_equal(all[n]->alert->name, "PodCPUHigh");
		assert_string_equal(all[n]->alert->fingerprint, first->alert->fingerprint);
		assert_string_equal(all[n]->id, "alert-12345");
		assert_string_equal(all[n]->source, "prometheus-events");
		assert_string_equal(all[n]->type, EVENT_TYPE_FIRED);
		assert_true(all[n]->time_ms == first->time_ms && first->time_ms > 0);
	}
	assert_string_equal(first->version, "v1.0");
	assert_string_equal(additive->version, "v1.1");
	assert_string_equal(breaking->version, "v2.0");
	assert_string_equal(first->slo, "");
	assert_string_equal(additive->slo, "availability");
	assert_string_equal(breaking->slo, "availability");
	assert_null(labels_get(&first->alert->annotations, "slo"));
	assert_string_equal(labels_get(&additive->alert->annotations, "slo"), "availability");
	assert_string_equal(labels_get(&breaking->alert->annotations, "slo"), "availability");
	assert_null(labels_get(&breaking->alert->labels, "slo"));
	assert_string_equal(additive->schema, AT "v1.1");
	assert_string_equal(breaking->schema, AT "v1.0");
	schema_registry_release(r);
}

static const char *binary_header(void *arg, const char *name)
{
	static const char *const HEADERS[][2] = {{"ce-specversion", "1.0"},
						 {"ce-id", "b-1"},
						 {"ce-source", "prometheus-events"},
						 {"ce-type", EVENT_TYPE_FIRED}};

	for (size_t n = 0; n < sizeof(HEADERS) / sizeof(HEADERS[0]); n++)
		if (strcasecmp(name, HEADERS[n][0]) == 0)
			return HEADERS[n][1];
	return strcasecmp(name, "ce-dataschema") == 0 ? arg : NULL;
}

/* SRE-013.2 */
static void in_binary_mode_the_version_is_in_a_header(void **state)
{
	SCOPE(mem);
	struct event_set *set = NULL;
	bool unsupported;
	struct event_request request = {.content_type = "application/json",
					.header = binary_header,
					.arg = (void *)AT "v2.0",
					.body = V2(",\"slo\":\"latency\""),
					.received_ms = NOW};

	(void)state;
	request.body_bytes = strlen(request.body);
	assert_int_equal(event_decode(mem, &request, &set, &unsupported), OK);
	assert_non_null(set->members[0].event);
	assert_string_equal(set->members[0].event->version, "v2.0");
	assert_string_equal(set->members[0].event->slo, "latency");
	request.arg = (void *)AT "v7.0";
	assert_int_equal(event_decode(mem, &request, &set, &unsupported), OK);
	assert_null(set->members[0].event);
	/* the dead letter decodes again by itself: it has the version */
	assert_non_null(strstr(set->members[0].raw, AT "v7.0"));
}

/* SRE-013.4 */
static void additive_changes_need_nothing(void **state)
{
	SCOPE(mem);
	struct schema_registry *r = built_in();

	(void)state;
	accepted(mem, r, AT "v1.0", V1(",\"slo\":\"availability\",\"brand_new\":{\"x\":[1]}"));
	accepted(mem, r, AT "v1.1", V1(""));
	accepted(mem, r, AT "v1.1", V1(",\"slo\":null"));
	schema_registry_release(r);
	assert_int_equal(registry(&r, "{" BOTH ",\"version\":\"v1.2\"}", NULL), OK);
	accepted(mem, r, AT "v1.2", V1(",\"team\":\"shop\""));
	schema_registry_release(r);
}

/* SRE-013.2, .6 */
static void an_unknown_version_is_refused_with_all_that_is_known(void **state)
{
	static const char *const UNKNOWN[] = {AT "v9.9", AT "v1.0/", AT "alert.json", "nonsense"};
	SCOPE(mem);
	struct schema_registry *r = built_in();

	(void)state;
	for (size_t n = 0; n < sizeof(UNKNOWN) / sizeof(UNKNOWN[0]); n++) {
		double before = metric_value(M_SCHEMA_ERRORS, EVENT_TYPE_FIRED, SCHEMA_UNKNOWN);
		struct event_member m = decode(mem, r, UNKNOWN[n], V1(""));
		assert_null(m.event);
		assert_string_equal(m.category, "schema");
		assert_string_equal(m.version, "unknown");
		assert_non_null(strstr(m.error, UNKNOWN[n]));
		assert_string_equal(json_str(m.report, "type"), EVENT_TYPE_FIRED);
		assert_string_equal(json_str(m.report, "dataschema"), UNKNOWN[n]);
		assert_string_equal(json_str(m.report, "detected_version"),
				    n == 0 ? "v9.9" : "unknown");
		assert_int_equal(json_array_size(json_object_get(m.report, "supported")), 3);
		assert_string_equal(json_str(violation(&m), "rule"), "version");
		assert_string_equal(json_str(violation(&m), "pointer"), "/dataschema");
		assert_true(metric_value(M_SCHEMA_ERRORS, EVENT_TYPE_FIRED, SCHEMA_UNKNOWN) ==
			    before + 1);
	}
	schema_registry_release(r);
}

/* SRE-013.4, .6 */
static void what_breaks_its_schema_is_refused_with_rule_and_pointer(void **state)
{
	static const struct {
		const char *dataschema, *data, *category, *rule, *pointer;
	} CASES[] = {
		/* the producer renamed the member and kept the version */
		{NULL, V2(""), "data", "anyOf", "/data"},
		{AT "v2.0", V1(""), "schema", "required", "/data/alert_name"},
		{AT "v2.0", "{\"alert_name\":\"\",\"status\":\"firing\"}", "schema", "minLength",
		 "/data/alert_name"},
		{AT "v1.1", V1(",\"slo\":5"), "schema", "type", "/data/slo"},
		{AT "v1.0", "{\"alertname\":\"A\",\"status\":\"firing\",\"labels\":{\"a/b\":1}}",
		 "data", "type", "/data/labels/a~1b"},
		/* right by its schema, and unreadable all the same */
		{NULL, V1(",\"startsAt\":\"now\""), "data", "alert", "/data"},
	};
	SCOPE(mem);
	struct schema_registry *r = built_in();

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		struct event_member m = decode(mem, r, CASES[n].dataschema, CASES[n].data);
		assert_null(m.event);
		assert_string_equal(m.category, CASES[n].category);
		assert_string_equal(json_str(violation(&m), "rule"), CASES[n].rule);
		assert_string_equal(json_str(violation(&m), "pointer"), CASES[n].pointer);
		assert_true(strlen(json_str(violation(&m), "message")) > 0);
	}
	schema_registry_release(r);
}

static void a_name_whose_quote_ends_within_a_code_point_is_refused_like_any(void **state)
{
	static const char *const POINTS[] = {"ä", "日", "🔥"};
	struct schema_registry *r = built_in();

	(void)state;
	for (size_t n = 0; n < 3; n++) {
		SCOPE(mem);
		char *labels = str_dup(mem, "{\"alertname\":\"x\",\"");
		for (int i = 0; i < 191; i++)
			str_add(&labels, "x");
		str_add(&labels, "%s\":1}", POINTS[n]);
		const char *data = str_fmt(mem, "{\"status\":\"firing\",\"labels\":%s}", labels);
		struct event_member m = decode(mem, r, NULL, data);
		assert_null(m.event);
		assert_string_equal(json_str(violation(&m), "rule"), "type");
	}
	schema_registry_release(r);
}

static void a_slo_is_bounded_and_does_not_replace_an_annotation(void **state)
{
	SCOPE(mem);
	struct schema_registry *r = built_in();
	char *slo = NEW_ARRAY(mem, char, 4098);

	(void)state;
	memset(slo, 'x', 4096);
	accepted(mem, r, AT "v1.1", str_fmt(mem, V1(",\"slo\":\"%s\""), slo));
	slo[4096] = 'x';
	struct event_member m = decode(mem, r, AT "v1.1", str_fmt(mem, V1(",\"slo\":\"%s\""), slo));
	assert_null(m.event);
	assert_non_null(strstr(m.error, "data.slo is longer than 4096 bytes"));
	const struct event *e = accepted(mem, r, AT "v1.1",
					 V1(",\"slo\":\"latency\",\"annotations\":{\"slo\":\"own\","
					    "\"a\":\"1\",\"z\":\"2\"}"));
	assert_string_equal(labels_get(&e->alert->annotations, "slo"), "own");
	e = accepted(mem, r, AT "v1.1",
		     V1(",\"slo\":\"latency\",\"annotations\":{\"z\":\"2\",\"a\":\"1\"}"));
	assert_string_equal(labels_text(mem, &e->alert->annotations),
			    "{\"a\":\"1\",\"slo\":\"latency\",\"z\":\"2\"}");
	schema_registry_release(r);
}

/* SRE-013.4, .8, .10 */
static void a_breaking_version_without_adapter_is_not_activated_but_by_force(void **state)
{
	static const char TAKEN[] =
		"{" BOTH ",\"version\":\"v2.0\",\"adapters\":{\"v2.0->v1.0\":null}}";
	static const char FORCED[] =
		"{" BOTH ",\"version\":\"v2.0\",\"adapters\":{\"v2.0->v1.0\":null},"
		"\"activate_without_adapter\":true}";
	SCOPE(mem);
	struct schema_registry *r = NULL;

	(void)state;
	assert_int_equal(registry(&r, TAKEN, NULL), E_INVALID);
	assert_non_null(strstr(status_message(), "breaks and has no adapter"));
	assert_int_equal(registry(&r, "{" BOTH ",\"version\":\"v3.0\"}", NULL), E_INVALID);
	assert_int_equal(
		registry(&r, "{" BOTH ",\"version\":\"v1.3\",\"breaking_changes\":[\"x\"]}", NULL),
		E_INVALID);
	assert_int_equal(registry(&r, FORCED, NULL), OK);
	struct event_member m = decode(mem, r, AT "v2.0", V2(""));
	assert_null(m.event);
	assert_string_equal(m.category, "schema");
	assert_string_equal(m.version, "v2.0");
	assert_string_equal(m.error, "No transformation defined for v2.0->v1.0");
	assert_string_equal(json_str(violation(&m), "rule"), "adapter");
	accepted(mem, r, NULL, V1(""));
	schema_registry_release(r);
	/* then the adapter comes */
	assert_int_equal(registry(&r, FORCED,
				  "{" BOTH
				  ",\"version\":\"v2.0\",\"adapters\":{\"v2.0->v1.0\":" RENAME_BACK
				  "}}",
				  NULL),
			 OK);
	assert_string_equal(accepted(mem, r, AT "v2.0", V2(""))->alert->name, "PodCPUHigh");
	schema_registry_release(r);
}

static json_t *transformed(void *mem, const struct schema_registry *r, const char *event,
			   const char *to)
{
	json_t *out = NULL;

	if (schema_transform(mem, r, parsed(mem, event), to, &out) != OK)
		fail_msg("%s: %s", to, status_message());
	return out;
}

/* SRE-013.5 */
static void events_are_transformed_by_a_table_of_version_pairs(void **state)
{
	static const char OLD[] = "{\"id\":\"1\",\"source\":\"s\",\"type\":\"" EVENT_TYPE_FIRED
				  "\",\"time\":\"2026-01-15T10:45:00Z\",\"dataschema\":\"" AT
				  "v1.0\",\"data\":{\"alertname\":\"A\",\"slo\":\"availability\"}}";
	static const char NEW_ONE[] =
		"{\"data\":{\"alert_name\":\"A\",\"slo\":\"availability\"},\"dataschema\":\"" AT
		"v2.0\",\"id\":\"1\",\"source\":\"s\",\"time\":\"2026-01-15T10:45:00Z\","
		"\"type\":\"" EVENT_TYPE_FIRED "\"}";
	SCOPE(mem);
	struct schema_registry *r = built_in();
	json_t *out = NULL;

	(void)state;
	assert_string_equal(json_text(mem, transformed(mem, r, OLD, "v2.0")), NEW_ONE);
	assert_string_equal(json_text(mem, transformed(mem, r, NEW_ONE, "v1.0")),
			    json_text(mem, parsed(mem, OLD)));
	assert_string_equal(json_text(mem, transformed(mem, r, OLD, "v1.0")),
			    json_text(mem, parsed(mem, OLD)));
	assert_int_equal(schema_transform(mem, r, parsed(mem, NEW_ONE), "v1.1", &out), E_INVALID);
	assert_string_equal(status_message(), "No transformation defined for v2.0->v1.1");
	assert_int_equal(schema_transform(mem, r, parsed(mem, OLD), "v7.0", &out), E_INVALID);
	assert_string_equal(status_message(), "No transformation defined for v1.0->v7.0");
	assert_int_equal(schema_transform(mem, r, parsed(mem, "{\"type\":\"x\"}"), "v1.0", &out),
			 E_INVALID);
	schema_registry_release(r);
}

#define V3(steps_to) \
	"{" BOTH ",\"version\":\"v3.0\",\"breaking_changes\":[\"alert_name is meta.name\"]," \
	"\"adapters\":{\"v3.0->" steps_to "\":[{\"move\":{\"from\":\"/meta/name\",\"to\":" \
	"\"/alert_name\"}}]}}"

/* SRE-013.5 */
static void adapters_lead_there_step_by_step_and_never_in_circles(void **state)
{
	static const char THREE[] =
		"{\"meta\":{\"name\":\"Far\"},\"status\":\"firing\",\"slo\":\"latency\"}";
	SCOPE(mem);
	struct schema_registry *r = NULL;

	(void)state;
	assert_int_equal(registry(&r, V3("v2.0"), NULL), OK);
	const struct event *e = accepted(mem, r, AT "v3.0", THREE);
	assert_string_equal(e->alert->name, "Far");
	assert_string_equal(e->slo, "latency");
	assert_string_equal(e->version, "v3.0");
	assert_string_equal(e->schema, AT "v1.0");
	schema_registry_release(r);
	/* v3.0 and v4.0 know only each other */
	assert_int_equal(
		registry(&r, V3("v4.0"),
			 "{" BOTH ",\"version\":\"v4.0\",\"adapters\":{\"v4.0->v3.0\":[]}}", NULL),
		E_INVALID);
	assert_non_null(strstr(status_message(), "has no adapter"));
	assert_int_equal(registry(&r, V3("v8.0"), NULL), E_INVALID);
	assert_non_null(strstr(status_message(), "no such version"));
}

/* An adapter that cannot be applied is the event's fault, and said. */
static void data_that_an_adapter_cannot_take_is_refused(void **state)
{
	SCOPE(mem);
	struct schema_registry *r = NULL;

	(void)state;
	assert_int_equal(registry(&r, V3("v2.0"), NULL), OK);
	struct event_member m =
		decode(mem, r, AT "v3.0", "{\"meta\":\"Far\",\"status\":\"firing\"}");
	assert_null(m.event);
	assert_non_null(strstr(m.error, "v3.0->v2.0"));
	assert_string_equal(json_str(violation(&m), "rule"), "adapter");
	/* no member to move: the result has no name, which decoding finds */
	m = decode(mem, r, AT "v3.0", "{\"status\":\"firing\"}");
	assert_null(m.event);
	assert_string_equal(json_str(violation(&m), "rule"), "alert");
	schema_registry_release(r);
}

static const json_t *listed(void *mem, const struct schema_registry *r, const char *version)
{
	json_t *all = schema_list(mem, r, NOW);
	size_t n;
	json_t *v;

	json_array_foreach (all, n, v)
		if (str_eq(json_str(v, "type"), EVENT_TYPE_FIRED) &&
		    str_eq(json_str(v, "version"), version))
			return v;
	fail_msg("%s is not listed", version);
	return NULL;
}

/* SRE-013.7 */
static void the_list_says_how_compatible_each_version_is(void **state)
{
	SCOPE(mem);
	struct schema_registry *r = built_in();
	const json_t *v1 = listed(mem, r, "v1.0");
	const json_t *v2 = listed(mem, r, "v2.0");

	(void)state;
	assert_int_equal(json_array_size(schema_list(mem, r, NOW)), 6);
	assert_true(json_is_true(json_object_get(v1, "internal")));
	assert_false(json_is_true(json_object_get(v2, "internal")));
	assert_true(json_is_true(json_object_get(v2, "forward_compatible")));
	assert_true(json_is_true(json_object_get(v2, "backward_compatible")));
	assert_false(json_is_true(json_object_get(v2, "deprecated")));
	assert_int_equal(json_array_size(json_object_get(v2, "breaking_changes")), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(v2, "path"), 0)),
			    "v1.0");
	assert_non_null(json_object_get(json_object_get(v2, "adapters"), "v2.0->v1.0"));
	assert_non_null(json_object_get(json_object_get(v1, "adapters"), "v1.0->v2.0"));
	schema_registry_release(r);
}

/* SRE-013.1, .12 */
static void a_deprecated_version_is_supported_for_ninety_days_from_its_notice(void **state)
{
	SCOPE(mem);
	json_t *doc = parsed(mem, "{" BOTH ",\"version\":\"v1.0\",\"deprecated\":true}");
	struct schema_registry *r = NULL;

	(void)state;
	schema_document_complete(doc, NULL, NOW - 10 * DAY);
	assert_non_null(json_str(doc, "deprecation_date"));
	assert_int_equal(registry(&r, json_text(mem, doc), NULL), OK);
	const json_t *v = listed(mem, r, "v1.0");
	assert_true(json_is_true(json_object_get(v, "deprecated")));
	assert_string_equal(json_str(v, "deprecation_date"), clock_format(mem, NOW - 10 * DAY));
	assert_string_equal(json_str(v, "end_of_life_date"), clock_format(mem, NOW + 80 * DAY));
	assert_int_equal(json_int(v, "days_left", -1), 80);
	accepted(mem, r, NULL, V1(""));
	schema_install(r);
	assert_true(metric_value(M_SCHEMA_DEPRECATED, EVENT_TYPE_FIRED, "v1.0") == 1);
	schema_install(built_in());
	assert_true(metric_value(M_SCHEMA_DEPRECATED, EVENT_TYPE_FIRED, "v1.0") == 0);
	/* shorter notice is refused; so is one without a date */
	assert_int_equal(registry(&r,
				  "{" BOTH ",\"version\":\"v1.0\",\"deprecated\":true,"
				  "\"deprecation_date\":\"2026-01-01T00:00:00Z\","
				  "\"end_of_life_date\":\"2026-03-31T23:59:59Z\"}",
				  NULL),
			 E_INVALID);
	assert_non_null(strstr(status_message(), "90 days"));
	assert_int_equal(registry(&r,
				  "{" BOTH ",\"version\":\"v1.0\",\"deprecated\":true,"
				  "\"deprecation_date\":\"2026-01-01T00:00:00Z\","
				  "\"end_of_life_date\":\"2026-04-01T00:00:00Z\"}",
				  NULL),
			 OK);
	schema_registry_release(r);
	assert_int_equal(registry(&r, "{" BOTH ",\"version\":\"v1.0\",\"deprecated\":true}", NULL),
			 E_INVALID);
}

static void a_version_that_is_gone_is_not_deprecated_any_more(void **state)
{
	struct schema_registry *r = NULL;

	(void)state;
	assert_int_equal(registry(&r,
				  "{" BOTH ",\"version\":\"v1.5\",\"deprecated\":true,"
				  "\"deprecation_date\":\"2026-01-01T00:00:00Z\"}",
				  NULL),
			 OK);
	schema_install(r);
	assert_true(metric_value(M_SCHEMA_DEPRECATED, EVENT_TYPE_FIRED, "v1.5") == 1);
	schema_install(built_in());
	assert_true(metric_value(M_SCHEMA_DEPRECATED, EVENT_TYPE_FIRED, "v1.5") == 0);
}

static void what_a_later_document_does_not_say_stays(void **state)
{
	SCOPE(mem);
	struct schema_registry *r = NULL;
	json_t *doc =
		parsed(mem, "{" BOTH ",\"version\":\"v3.0\",\"adapters\":{\"v2.0->v3.0\":[]}}");

	(void)state;
	assert_int_equal(registry(&r, V3("v2.0"),
				  "{" BOTH ",\"version\":\"v3.0\",\"deprecated\":true,"
				  "\"deprecation_date\":\"2026-01-01T00:00:00Z\"}",
				  "{\"type\":\"" EVENT_TYPE_FIRED
				  "\",\"version\":\"v3.0\",\"description\":\"old\"}",
				  NULL),
			 OK);
	const json_t *v = listed(mem, r, "v3.0");
	assert_int_equal(json_array_size(json_object_get(v, "breaking_changes")), 1);
	assert_true(json_is_true(json_object_get(v, "forward_compatible")));
	assert_true(json_is_true(json_object_get(v, "deprecated")));
	schema_registry_release(r);
	/* in one document: what the old one said, adapters one by one */
	schema_document_complete(doc, parsed(mem, V3("v2.0")), NOW);
	assert_int_equal(json_object_size(json_object_get(doc, "adapters")), 2);
	assert_int_equal(json_array_size(json_object_get(doc, "breaking_changes")), 1);
	json_t *undone = parsed(mem, "{\"deprecated\":false}");
	schema_document_complete(
		undone, parsed(mem, "{\"deprecated\":true,\"deprecation_date\":\"x\"}"), NOW);
	assert_null(json_object_get(undone, "deprecation_date"));
}

static void wrong_documents_are_refused_with_the_reason(void **state)
{
	static const struct {
		const char *doc, *says;
	} CASES[] = {
		{"[]", "must be an object"},
		{"{}", "type and version"},
		{"{\"type\":\"x\",\"version\":\"v1.2\"}", "type x is none that this agent knows"},
		{"{" BOTH ",\"version\":\"2\"}", "v<major>.<minor>"},
		{"{" BOTH ",\"version\":\"v1.2\",\"schemas\":{}}", "unknown member schemas"},
		{"{" BOTH ",\"version\":\"v1.2\",\"schema\":{\"type\":\"text\"}}",
		 "schema: type: unknown type"},
		{"{" BOTH ",\"version\":\"v1.2\",\"adapters\":[]}", "adapters must be an object"},
		{"{" BOTH ",\"version\":\"v1.2\",\"adapters\":{\"v1.2\":[]}}", "must be named as"},
		{"{" BOTH ",\"version\":\"v1.2\",\"adapters\":{\"v1.2->v1.2\":[]}}",
		 "from one version to another"},
		{"{" BOTH ",\"version\":\"v1.2\",\"adapters\":{\"v2.0->v1.0\":[]}}",
		 "does not concern v1.2"},
		{"{" BOTH ",\"version\":\"v1.2\",\"adapters\":{\"v1.2->v1.0\":[{}]}}", "step 1"},
		{"{" BOTH ",\"version\":\"v1.2\",\"breaking_changes\":\"x\"}", "must be an array"},
		{"{" BOTH ",\"version\":\"v1.2\",\"deprecated\":\"yes\"}", "true or false"},
		{"{" BOTH ",\"version\":\"v1.2\",\"activate_without_adapter\":1}", "true or false"},
		{"{" BOTH ",\"version\":\"v1.2\",\"deprecation_date\":\"2026-01-01T00:00:00Z\"}",
		 "need deprecated: true"},
		{"{" BOTH
		 ",\"version\":\"v1.2\",\"deprecated\":true,\"deprecation_date\":\"soon\"}",
		 "RFC 3339"},
	};
	SCOPE(mem);
	struct schema_registry *r = NULL;

	(void)state;
	for (size_t n = 0; n < sizeof(CASES) / sizeof(CASES[0]); n++) {
		assert_int_equal(registry(&r, CASES[n].doc, NULL), E_INVALID);
		if (strstr(status_message(), CASES[n].says) == NULL)
			fail_msg("%s: %s", CASES[n].doc, status_message());
		assert_true(str_starts(status_message(), "test: "));
	}
	char *large = NEW_ARRAY(mem, char, SCHEMA_DOCUMENT_BYTES + 1);
	memset(large, 'x', SCHEMA_DOCUMENT_BYTES);
	assert_int_equal(registry(&r,
				  str_fmt(mem,
					  "{" BOTH ",\"version\":\"v1.2\",\"description\":"
					  "\"%s\"}",
					  large),
				  NULL),
			 E_INVALID);
	assert_non_null(strstr(status_message(), "256 KiB"));
}

static void the_number_of_versions_is_bounded(void **state)
{
	SCOPE(mem);
	struct schema_source *sources = NEW_ARRAY(mem, struct schema_source, SCHEMA_VERSIONS_MAX);
	struct schema_registry *r = NULL;

	(void)state;
	for (size_t n = 0; n < SCHEMA_VERSIONS_MAX; n++)
		sources[n] = (struct schema_source){
			.origin = "test",
			.document = parsed(
				mem, str_fmt(mem, "{" BOTH ",\"version\":\"v1.%zu\"}", 10 + n))};
	assert_int_equal(schema_registry_new(sources, SCHEMA_VERSIONS_MAX - 3, &r), OK);
	schema_registry_release(r);
	assert_int_equal(schema_registry_new(sources, SCHEMA_VERSIONS_MAX - 2, &r), E_INVALID);
	assert_non_null(strstr(status_message(), "more than 64 versions"));
}

/* Label values of metrics come from what is registered, never from an event. */
static void hostile_versions_make_no_series(void **state)
{
	SCOPE(mem);
	struct schema_registry *r = built_in();
	double before = metric_value(M_SCHEMA_ERRORS, EVENT_TYPE_FIRED, SCHEMA_UNKNOWN);

	(void)state;
	for (int n = 0; n < 2000; n++)
		assert_null(decode(mem, r, str_fmt(mem, AT "v%d.%d", 10 + n / 100, n % 100), V1(""))
				    .event);
	assert_true(metric_value(M_SCHEMA_ERRORS, EVENT_TYPE_FIRED, SCHEMA_UNKNOWN) ==
		    before + 2000);
	assert_null(strstr(metrics_text(mem), "v15.50"));
	schema_registry_release(r);
}

/* SRE-013.7 */
static void every_event_is_counted_under_its_version(void **state)
{
	SCOPE(mem);
	struct schema_registry *r = built_in();
	double used = metric_value(M_SCHEMA_USAGE, EVENT_TYPE_FIRED, "v2.0");
	double wrong = metric_value(M_SCHEMA_ERRORS, EVENT_TYPE_FIRED, "v2.0");
	double moved = metric_value(M_SCHEMA_TRANSFORMS, "v2.0", "v1.0", "success");

	(void)state;
	accepted(mem, r, AT "v2.0", V2(""));
	assert_null(decode(mem, r, AT "v2.0", V1("")).event);
	assert_true(metric_value(M_SCHEMA_USAGE, EVENT_TYPE_FIRED, "v2.0") == used + 2);
	assert_true(metric_value(M_SCHEMA_ERRORS, EVENT_TYPE_FIRED, "v2.0") == wrong + 1);
	assert_true(metric_value(M_SCHEMA_TRANSFORMS, "v2.0", "v1.0", "success") == moved + 1);
	schema_registry_release(r);
}

enum { SWAPS = 200 };

static void *decode_many(void *arg)
{
	(void)arg;
	for (int n = 0; n < SWAPS; n++) {
		SCOPE(mem);
		accepted(mem, NULL, AT "v2.0", V2(",\"slo\":\"availability\""));
	}
	return NULL;
}

static void the_registry_may_be_replaced_while_events_come_in(void **state)
{
	pthread_t threads[2];

	(void)state;
	for (size_t n = 0; n < 2; n++)
		assert_int_equal(pthread_create(&threads[n], NULL, decode_many, NULL), 0);
	for (int n = 0; n < SWAPS; n++)
		schema_install(built_in());
	for (size_t n = 0; n < 2; n++)
		pthread_join(threads[n], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_version_is_the_last_segment_of_dataschema),
		cmocka_unit_test(all_versions_become_the_same_record_and_slo_survives),
		cmocka_unit_test(in_binary_mode_the_version_is_in_a_header),
		cmocka_unit_test(additive_changes_need_nothing),
		cmocka_unit_test(an_unknown_version_is_refused_with_all_that_is_known),
		cmocka_unit_test(what_breaks_its_schema_is_refused_with_rule_and_pointer),
		cmocka_unit_test(a_name_whose_quote_ends_within_a_code_point_is_refused_like_any),
		cmocka_unit_test(a_slo_is_bounded_and_does_not_replace_an_annotation),
		cmocka_unit_test(a_breaking_version_without_adapter_is_not_activated_but_by_force),
		cmocka_unit_test(events_are_transformed_by_a_table_of_version_pairs),
		cmocka_unit_test(adapters_lead_there_step_by_step_and_never_in_circles),
		cmocka_unit_test(data_that_an_adapter_cannot_take_is_refused),
		cmocka_unit_test(the_list_says_how_compatible_each_version_is),
		cmocka_unit_test(a_deprecated_version_is_supported_for_ninety_days_from_its_notice),
		cmocka_unit_test(a_version_that_is_gone_is_not_deprecated_any_more),
		cmocka_unit_test(what_a_later_document_does_not_say_stays),
		cmocka_unit_test(wrong_documents_are_refused_with_the_reason),
		cmocka_unit_test(the_number_of_versions_is_bounded),
		cmocka_unit_test(hostile_versions_make_no_series),
		cmocka_unit_test(every_event_is_counted_under_its_version),
		cmocka_unit_test(the_registry_may_be_replaced_while_events_come_in),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
