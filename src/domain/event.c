/*
 * The three modes differ only in where attributes and data come from; one struct draft collects
 * them, and one function turns a draft into an event or into the reason why not.
 */
#include "domain/event.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"

/* A(field, attribute name) */
#define ATTRIBUTES(A) \
	A(specversion, "specversion") \
	A(id, "id") \
	A(source, "source") \
	A(type, "type") \
	A(time, "time") \
	A(subject, "subject") \
	A(dataschema, "dataschema") \
	A(correlationid, "correlationid") \
	A(idempotencykey, "idempotencykey") \
	A(partitionkey, "partitionkey") \
	A(sequence, "sequence") \
	A(traceparent, "traceparent")

struct draft {
#define DRAFT_FIELD(field, name) const char *field;
	ATTRIBUTES(DRAFT_FIELD)
#undef DRAFT_FIELD
	const json_t *data;
};

static const struct {
	const char *name;
	size_t offset;
} ATTRIBUTE_TABLE[] = {
#define ATTRIBUTE_ROW(field, name) {name, offsetof(struct draft, field)},
	ATTRIBUTES(ATTRIBUTE_ROW)
#undef ATTRIBUTE_ROW
};

enum { ATTRIBUTE_COUNT = sizeof(ATTRIBUTE_TABLE) / sizeof(ATTRIBUTE_TABLE[0]) };

static const char **slot(struct draft *d, size_t n)
{
	return (const char **)((char *)d + ATTRIBUTE_TABLE[n].offset);
}

const char *event_mode_name(enum event_mode m)
{
	static const char *const NAMES[] = {"binary", "structured", "batch", "webhook"};
	return NAMES[m];
}

static bool is_utf8(const char *s)
{
	json_t *probe = json_string(s);

	json_decref(probe);
	return probe != NULL;
}

static char *unquoted(void *mem, const char *value)
{
	size_t n = strlen(value);
	char *out = str_dup(mem, value);

	if (n < 2 || value[0] != '"' || value[n - 1] != '"')
		return out;
	size_t at = 0;
	for (size_t i = 1; i + 1 < n; i++) {
		if (value[i] == '\\' && i + 2 < n)
			i++;
		out[at++] = value[i];
	}
	out[at] = '\0';
	return out;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum status event_header_decode(void *mem, const char *value, char **out)
{
	char *text = unquoted(mem, value);
	size_t at = 0;

	for (size_t i = 0; text[i] != '\0'; i++) {
		int high = text[i] == '%' ? hex_digit(text[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
		if (low >= 0 && (high != 0 || low != 0)) {
			text[at++] = (char)(high * 16 + low);
			i += 2;
		} else {
			text[at++] = text[i];
		}
	}
	text[at] = '\0';
	if (!is_utf8(text))
		return failure(E_INVALID, "is not valid UTF-8");
	*out = text;
	return OK;
}

char *event_header_encode(void *mem, const char *value)
{
	char *out = str_dup(mem, "");

	for (; *value != '\0'; value++) {
		unsigned char c = (unsigned char)*value;
		if (c <= 0x20 || c >= 0x7f || c == '"' || c == '%')
			str_add(&out, "%%%02X", c);
		else
			str_add(&out, "%c", c);
	}
	return out;
}

static enum status header_attribute(void *mem, const struct event_request *r, const char *name,
				    const char **out)
{
	char header[32];
	char *text = NULL;

	str_print(header, sizeof(header), "ce-%s", name);
	const char *raw = r->header(r->arg, header);
	*out = NULL;
	if (raw == NULL)
		return OK;
	if (strlen(raw) > (size_t)LIMIT_ATTRIBUTE_BYTES * 3)
		return failure(E_INVALID, "%s is longer than %d bytes", header,
			       LIMIT_ATTRIBUTE_BYTES);
	if (event_header_decode(mem, raw, &text) != OK)
		return failure_in(E_INVALID, "%s", header);
	*out = text;
	return OK;
}

static enum status draft_from_headers(void *mem, const struct event_request *r, struct draft *d)
{
	for (size_t n = 0; n < ATTRIBUTE_COUNT; n++)
		TRY(header_attribute(mem, r, ATTRIBUTE_TABLE[n].name, slot(d, n)));
	return OK;
}

/* Some senders write the sequence as a number. */
static const char *sequence_of(void *mem, const char *attribute, const json_t *data)
{
	const json_t *value = json_object_get(data, "eventSequence");

	if (!str_empty(attribute))
		return str_dup(mem, attribute);
	if (json_is_integer(value))
		return str_fmt(mem, "%lld", (long long)json_integer_value(value));
	return json_is_string(value) ? str_dup(mem, json_string_value(value)) : "";
}

static enum status member_attribute(const json_t *member, const char *name, const char **out)
{
	const json_t *value = json_object_get(member, name);

	*out = NULL;
	if (value == NULL || json_is_null(value))
		return OK;
	if (!json_is_string(value))
		return failure(E_INVALID, "%s must be a string", name);
	*out = json_string_value(value);
	return OK;
}

/* The body wins; a header may fill what it lacks, and must not contradict it (SHARED.2). */
static enum status reconcile(void *mem, const struct event_request *r, struct draft *d)
{
	for (size_t n = 0; n < ATTRIBUTE_COUNT; n++) {
		const char *header = NULL;
		TRY(header_attribute(mem, r, ATTRIBUTE_TABLE[n].name, &header));
		if (header == NULL)
			continue;
		if (*slot(d, n) == NULL)
			*slot(d, n) = header;
		else if (!str_eq(*slot(d, n), header))
			return failure(E_INVALID,
				       "%s differs between the body and the header ce-%s",
				       ATTRIBUTE_TABLE[n].name, ATTRIBUTE_TABLE[n].name);
	}
	return OK;
}

static enum status decode_base64(void *mem, const char *text, json_t **out)
{
	size_t n = strlen(text);

	if (n == 0 || n % 4 != 0)
		return failure(E_INVALID, "data_base64 is not base64");
	unsigned char *bytes = NEW_ARRAY(mem, unsigned char, n / 4 * 3 + 1);
	int got = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)n);
	if (got < 0)
		return failure(E_INVALID, "data_base64 is not base64");
	got -= (text[n - 1] == '=') + (text[n - 2] == '=');
	if (json_parse(mem, (const char *)bytes, (size_t)got, out) != OK)
		return failure_in(E_INVALID, "data_base64");
	return OK;
}

static enum status member_data(void *mem, const json_t *member, const json_t **out)
{
	const json_t *data = json_object_get(member, "data");
	const json_t *encoded = json_object_get(member, "data_base64");
	json_t *decoded = NULL;

	if (data != NULL && !json_is_null(data) && encoded != NULL && !json_is_null(encoded))
		return failure(E_INVALID, "data and data_base64 exclude each other");
	if (json_is_string(encoded)) {
		TRY(decode_base64(mem, json_string_value(encoded), &decoded));
		data = decoded;
	}
	*out = data;
	return OK;
}

static enum status draft_from_member(void *mem, const json_t *member, struct draft *d)
{
	if (!json_is_object(member))
		return failure(E_INVALID, "an event must be an object");
	for (size_t n = 0; n < ATTRIBUTE_COUNT; n++)
		TRY(member_attribute(member, ATTRIBUTE_TABLE[n].name, slot(d, n)));
	return member_data(mem, member, &d->data);
}

static enum status check_attribute(const char *name, const char *value)
{
	if (str_empty(value))
		return failure(E_INVALID, "%s is missing or empty", name);
	if (strlen(value) > LIMIT_ATTRIBUTE_BYTES)
		return failure(E_INVALID, "%s is longer than %d bytes", name,
			       LIMIT_ATTRIBUTE_BYTES);
	for (const char *c = value; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return failure(E_INVALID, "%s holds a control character", name);
	return OK;
}

/* SRE-011.5: nothing that means something to a shell, a template, SQL or HTML. */
static enum status check_injection(const char *name, const char *value)
{
	static const char *const TRICKS[] = {"../", "--", "/*", "${", "{{", "$("};

	if (strpbrk(value, "'\"`;<>\\{}|") != NULL)
		return failure(E_INVALID, "%s holds a character that no key needs", name);
	for (size_t n = 0; n < sizeof(TRICKS) / sizeof(TRICKS[0]); n++)
		if (strstr(value, TRICKS[n]) != NULL)
			return failure(E_INVALID, "%s holds \"%s\", which no key needs", name,
				       TRICKS[n]);
	return OK;
}

static enum status check_key(const char *name, const char *value)
{
	const char *fault = strlen(value) > LIMIT_ATTRIBUTE_BYTES ? "length" : "format";
	enum status s = check_attribute(name, value);

	if (s == OK) {
		fault = "injection";
		s = check_injection(name, value);
	}
	if (s != OK)
		metric_add(M_IDEMPOTENCY_REJECTED, 1, fault);
	return s;
}

static enum status check_keys(const struct draft *d)
{
	TRY(check_key("id", d->id));
	if (!str_empty(d->idempotencykey))
		TRY(check_key("idempotencykey", d->idempotencykey));
	if (!str_empty(d->partitionkey))
		TRY(check_key("partitionkey", d->partitionkey));
	return OK;
}

static enum status check_envelope(const struct draft *d)
{
	TRY(check_attribute("specversion", d->specversion));
	if (!str_eq(d->specversion, "1.0"))
		return failure(E_INVALID, "specversion must be \"1.0\"");
	if (str_empty(d->id)) /* the rest of it is check_keys' */
		return failure(E_INVALID, "id is missing or empty");
	TRY(check_attribute("source", d->source));
	TRY(check_attribute("type", d->type));
	if (!str_empty(d->subject))
		TRY(check_attribute("subject", d->subject));
	if (!str_empty(d->dataschema))
		TRY(check_attribute("dataschema", d->dataschema));
	return OK;
}

static bool is_correlation_id(const char *s)
{
	static const char ALLOWED[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/@+-";
	size_t n = s == NULL ? 0 : strlen(s);

	return n > 0 && n <= LIMIT_CORRELATION_BYTES && strspn(s, ALLOWED) == n;
}

/* DEC-20: header, extension, event id; what does not fit the charset is replaced by a digest of it.
 */
static const char *correlation_of(void *mem, const char *header, const struct draft *d)
{
	if (is_correlation_id(header))
		return str_dup(mem, header);
	if (is_correlation_id(d->correlationid))
		return str_dup(mem, d->correlationid);
	if (is_correlation_id(d->id))
		return str_dup(mem, d->id);
	char *digest = id_sha256(mem, d->id, strlen(d->id));
	digest[32] = '\0';
	return digest;
}

struct source {
	const struct event_request *request;
	const struct schema_registry *schemas;
	bool single; /* request headers speak of this one event */
};

static enum status check_type(const struct draft *d)
{
	if (!str_eq(d->type, EVENT_TYPE_FIRED) && !str_eq(d->type, EVENT_TYPE_RESOLVED))
		return failure(E_INVALID,
			       "type must be " EVENT_TYPE_FIRED " or " EVENT_TYPE_RESOLVED);
	return OK;
}

/* Its report is made after the message, and must not replace it. */
static enum status blame_data(void *mem, const struct source *from, const struct draft *d,
			      struct event_member *m)
{
	const char *why = str_dup(mem, status_message());

	m->report = schema_report(mem, from->schemas, d->type, d->dataschema, d->data, why);
	return failure(E_INVALID, "%s", why);
}

/* Where the incident finds it whatever the version (incident_slo). No label: that would make
 * another alert of it. */
static void annotate(void *mem, struct alert *a, const char *slo)
{
	const struct labels old = a->annotations;

	if (*slo == '\0' || labels_get(&old, "slo") != NULL)
		return;
	a->annotations = (struct labels){.at = NEW_ARRAY(mem, struct label, old.count + 1),
					 .count = old.count + 1};
	for (size_t n = 0; n < old.count; n++)
		a->annotations.at[n] = old.at[n];
	a->annotations.at[old.count] = (struct label){.name = "slo", .value = slo};
	labels_sort(&a->annotations);
}

static enum status keep_slo(void *mem, struct event *e, const char *slo)
{
	if (strlen(slo) > LIMIT_LABEL_VALUE_BYTES)
		return failure(E_INVALID, "data.slo is longer than %d bytes",
			       LIMIT_LABEL_VALUE_BYTES);
	e->slo = slo;
	annotate(mem, e->alert, slo);
	return OK;
}

static enum status decode_data(void *mem, const struct source *from, const struct draft *d,
			       struct event *e, struct event_member *m)
{
	struct schema_outcome found;

	m->category = "data";
	if (d->data == NULL || json_is_null(d->data))
		return failure(E_INVALID, "data is missing or null");
	enum status s = schema_apply(mem, from->schemas, d->type, d->dataschema, d->data, &found);
	m->version = found.version;
	if (s != OK) {
		m->category = "schema";
		m->report = found.report;
		return s;
	}
	s = alert_decode(mem, node_of(mem, found.data), from->request->received_ms, &e->alert);
	if (s == OK)
		s = keep_slo(mem, e, found.slo);
	if (s != OK)
		return blame_data(mem, from, d, m);
	e->version = found.version;
	e->schema = *found.dataschema == '\0' ? "" : str_dup(mem, found.dataschema);
	e->sequence = sequence_of(mem, d->sequence, found.data);
	return OK;
}

static enum status finish_event(void *mem, const struct source *from, const struct draft *d,
				struct event_member *m)
{
	struct event *e = NEW(mem, struct event);
	const struct event_request *r = from->request;
	const char *correlation = from->single ? r->header(r->arg, "X-Correlation-ID") : NULL;
	const char *parent = from->single ? r->header(r->arg, "traceparent") : NULL;

	TRY(check_envelope(d));
	m->category = "key";
	TRY(check_keys(d));
	m->category = "envelope";
	if (!str_empty(d->time) && clock_parse(d->time, &e->time_ms) != OK)
		return failure_in(E_INVALID, "time");
	m->category = "type";
	TRY(check_type(d));
	TRY(decode_data(mem, from, d, e, m));
	e->id = str_dup(mem, d->id);
	e->source = str_dup(mem, d->source);
	e->type = str_dup(mem, d->type);
	e->subject = str_empty(d->subject) ? "" : str_dup(mem, d->subject);
	e->key = str_empty(d->idempotencykey) ? e->id : str_dup(mem, d->idempotencykey);
	e->partition_key = str_empty(d->partitionkey) ? "" : str_dup(mem, d->partitionkey);
	e->correlation_id = correlation_of(mem, correlation, d);
	if (!traceparent_parse(parent == NULL ? "" : parent, &e->trace))
		traceparent_parse(d->traceparent == NULL ? "" : d->traceparent, &e->trace);
	e->status_disagrees =
		str_eq(d->type, EVENT_TYPE_FIRED) != (e->alert->state == ALERT_FIRING);
	m->event = e;
	return OK;
}

static const char *fit(void *mem, const char *text)
{
	return text == NULL ? "" : str_fit(mem, text, LIMIT_ATTRIBUTE_BYTES);
}

static void refuse(void *mem, struct event_member *m, const struct draft *d, const char *where,
		   const char *raw)
{
	m->event = NULL;
	m->error = str_fmt(mem, "%s%s", where, status_message());
	m->id = fit(mem, d->id);
	m->source = fit(mem, d->source);
	m->type = fit(mem, d->type);
	m->partition_key = fit(mem, d->partitionkey);
	m->raw = raw;
}

static bool utf8_or_null(const char *text)
{
	return text == NULL || is_utf8(text);
}

static void decode_member(void *mem, const struct source *from, enum status drafted,
			  struct draft *d, const char *where, const char *raw,
			  struct event_member *m)
{
	enum status s = drafted;

	m->category = "envelope";
	m->version = "";
	if (s == OK)
		s = finish_event(mem, from, d, m);
	if (s != OK) {
		if (!utf8_or_null(d->id) || !utf8_or_null(d->source) || !utf8_or_null(d->type) ||
		    !utf8_or_null(d->partitionkey))
			*d = (struct draft){0};
		refuse(mem, m, d, where, raw);
	}
}

static bool media_type_is(const char *content_type, const char *name)
{
	size_t n = strlen(name);

	while (*content_type == ' ' || *content_type == '\t')
		content_type++;
	if (strncasecmp(content_type, name, n) != 0)
		return false;
	return strchr("; \t,", content_type[n]) != NULL; /* the NUL counts too */
}

static bool media_type_is_json(const char *content_type)
{
	if (str_empty(content_type))
		return true;
	size_t n = strcspn(content_type, "; \t");
	return (n >= 5 && strncasecmp(content_type + n - 5, "/json", 5) == 0) ||
	       (n >= 5 && strncasecmp(content_type + n - 5, "+json", 5) == 0);
}

static struct event_set *set_of(void *mem, enum event_mode mode, size_t count)
{
	struct event_set *set = NEW(mem, struct event_set);

	set->mode = mode;
	set->count = count;
	set->members = NEW_ARRAY(mem, struct event_member, count + 1);
	return set;
}

/* A refused binary event in structured form, so that its attributes are kept with it. */
static char *as_structured(void *mem, struct draft *d, const struct event_request *r,
			   const json_t *data)
{
	json_t *e = mem_own(mem, json_object());
	const char *correlation = r->header(r->arg, "X-Correlation-ID");

	for (size_t n = 0; n < ATTRIBUTE_COUNT; n++)
		if (*slot(d, n) != NULL)
			json_object_set_new(e, ATTRIBUTE_TABLE[n].name, json_string(*slot(d, n)));
	if (d->correlationid == NULL && is_correlation_id(correlation))
		json_object_set_new(e, "correlationid", json_string(correlation));
	json_object_set(e, "data", (json_t *)data);
	return json_text(mem, e);
}

static enum status decode_binary(void *mem, const struct event_request *r, struct event_set **out)
{
	struct event_set *set = set_of(mem, EVENT_BINARY, 1);
	const struct source from = {.request = r, .schemas = r->schemas, .single = true};
	struct draft d = {0};
	json_t *data = NULL;

	enum status s = draft_from_headers(mem, r, &d);
	if (s == OK && str_empty(d.specversion) && str_empty(d.id) && str_empty(d.type))
		s = failure(
			E_INVALID,
			"no ce-* headers, and Content-Type is not application/cloudevents+json");
	if (s == OK && r->body_bytes > 0) {
		TRY(json_parse(mem, r->body, r->body_bytes, &data));
		d.data = data;
	}
	decode_member(mem, &from, s, &d, "", r->body, &set->members[0]);
	bool attributes = !str_empty(d.specversion) || !str_empty(d.id) || !str_empty(d.type);
	if (set->members[0].event == NULL && attributes)
		set->members[0].raw = as_structured(mem, &d, r, data);
	*out = set;
	return OK;
}

static enum status decode_structured(void *mem, const struct event_request *r,
				     struct event_set **out)
{
	struct event_set *set = set_of(mem, EVENT_STRUCTURED, 1);
	const struct source from = {.request = r, .schemas = r->schemas, .single = true};
	struct draft d = {0};
	json_t *body = NULL;

	TRY(json_parse(mem, r->body, r->body_bytes, &body));
	enum status s = draft_from_member(mem, body, &d);
	if (s == OK)
		s = reconcile(mem, r, &d);
	decode_member(mem, &from, s, &d, "", r->body, &set->members[0]);
	*out = set;
	return OK;
}

static enum status decode_batch(void *mem, const struct event_request *r, struct event_set **out)
{
	const struct source from = {.request = r, .schemas = r->schemas, .single = false};
	json_t *body = NULL;

	TRY(json_parse(mem, r->body, r->body_bytes, &body));
	if (!json_is_array(body))
		return failure(E_INVALID, "a batch must be a JSON array");
	if (json_array_size(body) > LIMIT_BATCH_EVENTS)
		return failure(E_INVALID, "a batch may hold at most %d events", LIMIT_BATCH_EVENTS);
	struct event_set *set = set_of(mem, EVENT_BATCH, json_array_size(body));
	for (size_t n = 0; n < set->count; n++) {
		const json_t *member = json_array_get(body, n);
		struct draft d = {0};
		enum status s = draft_from_member(mem, member, &d);
		struct event_member *m = &set->members[n];
		decode_member(mem, &from, s, &d, str_fmt(mem, "events[%zu].", n), NULL, m);
		if (m->event == NULL)
			m->raw = json_text(mem, member);
	}
	*out = set;
	return OK;
}

static enum status decode_by_type(void *mem, const struct event_request *r, struct event_set **out,
				  bool *unsupported)
{
	const char *type = r->content_type == NULL ? "" : r->content_type;

	*unsupported = false;
	if (media_type_is(type, "application/cloudevents-batch+json"))
		return decode_batch(mem, r, out);
	if (media_type_is(type, "application/cloudevents+json"))
		return decode_structured(mem, r, out);
	if (strncasecmp(type, "application/cloudevents", 23) == 0 || !media_type_is_json(type)) {
		*unsupported = true;
		return failure(E_INVALID,
			       "Content-Type must be application/cloudevents+json, "
			       "application/cloudevents-batch+json, or JSON with ce-* headers");
	}
	return decode_binary(mem, r, out);
}

enum status event_decode(void *mem, const struct event_request *r, struct event_set **out,
			 bool *unsupported)
{
	struct event_request with = *r;

	if (r->schemas != NULL)
		return decode_by_type(mem, r, out, unsupported);
	struct schema_registry *schemas = schema_current();
	with.schemas = schemas;
	enum status s = decode_by_type(mem, &with, out, unsupported);
	schema_registry_release(schemas);
	return s;
}

static json_t *object_or_empty(void *mem, const struct node *value)
{
	bool is_object = value != NULL && value->kind == NODE_OBJECT;

	return is_object ? node_json(mem, value) : mem_own(mem, json_object());
}

/* One alert of a webhook, with the frame that it came in. */
static char *webhook_of_one(void *mem, const struct webhook *w, size_t n)
{
	json_t *one = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:I, s:O, s:O, s:O, s:[O]}", "version", w->version,
		"receiver", w->receiver, "status", w->group_status, "groupKey", w->group_key,
		"externalURL", w->external_url, "truncatedAlerts", (json_int_t)w->truncated_alerts,
		"groupLabels", object_or_empty(mem, w->group_labels), "commonLabels",
		object_or_empty(mem, w->common_labels), "commonAnnotations",
		object_or_empty(mem, w->common_annotations), "alerts", node_json(mem, w->raw[n]));

	return json_text(mem, mem_own(mem, one));
}

static void webhook_member(void *mem, const struct event_request *r, const struct webhook *w,
			   size_t n, const char *source, struct event_member *m)
{
	const struct alert *a = w->alerts[n];
	struct event *e = NEW(mem, struct event);
	const char *parent = r->header(r->arg, "traceparent");

	if (a == NULL) {
		*m = (struct event_member){.error = w->errors[n],
					   .category = "data",
					   .version = "",
					   .id = "",
					   .source = source,
					   .type = "",
					   .partition_key = "",
					   .raw = webhook_of_one(mem, w, n)};
		return;
	}
	*e = (struct event){
		.id = alert_event_id(mem, a->fingerprint, a->starts_ms, a->state),
		.source = source,
		.type = a->state == ALERT_FIRING ? EVENT_TYPE_FIRED : EVENT_TYPE_RESOLVED,
		.subject = a->name,
		.schema = "",
		.version = "v1.0",
		.slo = "",
		.partition_key = "",
		.sequence = "",
		.time_ms = r->received_ms,
		.alert = w->alerts[n],
	};
	e->key = e->id;
	const char *asked = r->header(r->arg, "X-Correlation-ID");
	e->correlation_id = w->count == 1 && is_correlation_id(asked) ? str_dup(mem, asked) : e->id;
	traceparent_parse(parent == NULL ? "" : parent, &e->trace);
	m->event = e;
}

enum status event_decode_webhook(void *mem, const struct event_request *r, struct event_set **out)
{
	const struct node *body = NULL;
	struct webhook *w = NULL;

	TRY(node_parse(mem, r->body, r->body_bytes, &body));
	TRY(webhook_decode(mem, body, r->received_ms, &w));
	struct event_set *set = set_of(mem, EVENT_WEBHOOK, w->count);
	char *receiver = str_ndup(mem, w->receiver, strnlen(w->receiver, 200));
	char *source = str_fmt(mem, "prometheus/alertmanager/%s",
			       is_utf8(receiver) ? receiver : "unknown");
	for (size_t n = 0; n < w->count; n++)
		webhook_member(mem, r, w, n, source, &set->members[n]);
	*out = set;
	return OK;
}

static const char *first_label(const struct alert *a, const struct webhook *w, const char *name)
{
	const char *own = labels_get(&a->labels, name);

	return own != NULL ? own : node_str(w->common_labels, name);
}

static json_t *converted_data(void *mem, const struct webhook *w, const struct alert *a)
{
	const char *severity = first_label(a, w, "severity");
	const char *rule = first_label(a, w, "prometheus_rule");
	json_t *data = json_pack(
		"{s:s, s:s, s:s, s:O, s:O, s:O, s:O, s:s, s:s, s:s, s:s, s:s}", "alertname",
		a->name, "status", alert_state_name(a->state), "severity",
		severity == NULL ? "warning" : severity, "labels", labels_json(mem, &a->labels),
		"annotations", labels_json(mem, &a->annotations), "commonLabels",
		object_or_empty(mem, w->common_labels), "commonAnnotations",
		object_or_empty(mem, w->common_annotations), "startsAt",
		clock_format(mem, a->starts_ms), "generatorURL", a->generator_url, "receiver",
		w->receiver, "version", w->version, "fingerprint", a->fingerprint);

	mem_check(data);
	json_object_set_new(data, "endsAt",
			    a->ends_ms == 0 ? json_null()
					    : json_string(clock_format(mem, a->ends_ms)));
	json_object_set_new(data, "groupKey", json_string(w->group_key));
	json_object_set(data, "groupLabels", object_or_empty(mem, w->group_labels));
	json_object_set_new(data, "externalURL", json_string(w->external_url));
	json_object_set_new(data, "truncatedAlerts", json_integer(w->truncated_alerts));
	if (rule != NULL)
		json_object_set_new(data, "prometheusRule", json_string(rule));
	return data;
}

char *event_encode(void *mem, const struct webhook *w, size_t member, int64_t now_ms)
{
	const struct alert *a = w->alerts[member];
	const char *type = a->state == ALERT_FIRING ? EVENT_TYPE_FIRED : EVENT_TYPE_RESOLVED;
	json_t *e =
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "specversion", "1.0", "type",
			  type, "source", str_fmt(mem, "prometheus/alertmanager/%s", w->receiver),
			  "id", alert_event_id(mem, a->fingerprint, a->starts_ms, a->state), "time",
			  clock_format(mem, now_ms), "subject", a->name, "datacontenttype",
			  "application/json", "data", converted_data(mem, w, a));

	return json_text(mem, mem_own(mem, e));
}
