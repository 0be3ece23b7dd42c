#include "domain/alert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/json_node.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

const char *alert_state_name(enum alert_state s)
{
	return s == ALERT_FIRING ? "firing" : "resolved";
}

static bool has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

static enum status check_entry(const char *map, const char *name, const char *value,
			       size_t value_limit)
{
	size_t n = strlen(name);

	if (n == 0 || n > LIMIT_LABEL_NAME_BYTES || has_control(name))
		return failure(E_INVALID,
			       "data.%s: a name must have 1 to %d bytes and no control characters",
			       map, LIMIT_LABEL_NAME_BYTES);
	if (strlen(value) > value_limit)
		return failure(E_INVALID, "data.%s.%.60s is longer than %zu bytes", map, name,
			       value_limit);
	return OK;
}

static bool is_absent(const struct node *value)
{
	return value == NULL || value->kind == NODE_NULL;
}

/* Adds the strings of member `key` to `out`, which has room. */
static enum status add_map(const struct node *data, const char *key, size_t value_limit,
			   struct labels *out)
{
	const struct node *map = node_get(data, key);

	if (is_absent(map))
		return OK;
	if (map->kind != NODE_OBJECT)
		return failure(E_INVALID, "data.%s must be an object of strings", key);
	NODE_MEMBERS(name, map)
	{
		const struct node *value = name + 1;
		if (value->kind != NODE_STRING)
			return failure(E_INVALID, "data.%s.%.60s must be a string", key,
				       name->text);
		TRY(check_entry(key, name->text, value->text, value_limit));
		out->at[out->count++] = (struct label){name->text, value->text};
	}
	return OK;
}

static size_t size_of(const struct node *data, const char *key)
{
	const struct node *map = node_get(data, key);

	return map != NULL && map->kind == NODE_OBJECT ? map->size : 0;
}

/* Where a member's values come from: the alert itself, then the frame that it came in. */
struct origin {
	const struct node *data, *frame; /* frame NULL = none */
};

/* The alert's own values win over the group's common ones, which stand beside them in an event. */
static enum status read_map(void *mem, const struct origin *from, const char *own,
			    const char *common, size_t value_limit, struct labels *out)
{
	size_t most = size_of(from->data, own) + size_of(from->data, common) + 1;

	if (most > (size_t)4 * LIMIT_LABELS)
		return failure(E_INVALID, "data.%s has more than %d entries", own, LIMIT_LABELS);
	*out = (struct labels){.at = NEW_ARRAY(mem, struct label, most)};
	TRY(add_map(from->data, own, value_limit, out));
	TRY(add_map(from->data, common, value_limit, out));
	labels_sort(out);
	if (out->count > LIMIT_LABELS)
		return failure(E_INVALID, "data.%s has more than %d entries", own, LIMIT_LABELS);
	return OK;
}

/* What an alert inherits from the frame, when it does not say so itself. */
static const struct node *inherited(const struct origin *from, const char *key)
{
	const struct node *own = node_get(from->data, key);

	return own != NULL ? own : node_get(from->frame, key);
}

static const char *text_of(const struct node *value)
{
	return value != NULL && value->kind == NODE_STRING ? value->text : "";
}

static enum status read_state(const struct origin *from, enum alert_state *out)
{
	const char *word = text_of(inherited(from, "status"));

	if (str_eq(word, "firing"))
		*out = ALERT_FIRING;
	else if (str_eq(word, "resolved"))
		*out = ALERT_RESOLVED;
	else
		return failure(E_INVALID, "data.status must be \"firing\" or \"resolved\"");
	return OK;
}

static enum status read_time(const struct node *data, const char *key, int64_t *out)
{
	const struct node *value = node_get(data, key);

	*out = 0;
	if (is_absent(value))
		return OK;
	if (value->kind != NODE_STRING)
		return failure(E_INVALID, "data.%s must be an RFC 3339 time", key);
	if (clock_parse(value->text, out) != OK)
		return failure(E_INVALID, "data.%s: %s", key, status_message());
	return OK;
}

static enum status read_name(const struct node *data, struct alert *a)
{
	const char *labelled = labels_get(&a->labels, "alertname");
	const char *named = node_str(data, "alertname");

	a->name = !str_empty(labelled) ? labelled : named;
	a->names_disagree = !str_empty(labelled) && !str_empty(named) && !str_eq(labelled, named);
	if (str_empty(a->name))
		return failure(E_INVALID,
			       "data.labels.alertname (or data.alertname) must name the alert");
	TRY(check_entry("labels", "alertname", a->name, LIMIT_LABEL_VALUE_BYTES));
	if (labelled == NULL) {
		a->labels.at[a->labels.count++] = (struct label){"alertname", a->name};
		labels_sort(&a->labels);
		return OK;
	}
	for (size_t n = 0; n < a->labels.count; n++)
		if (str_eq(a->labels.at[n].name, "alertname"))
			a->labels.at[n].value = a->name;
	return OK;
}

static enum status read_times(const struct node *data, int64_t received_ms, struct alert *a)
{
	TRY(read_time(data, "startsAt", &a->starts_ms));
	TRY(read_time(data, "endsAt", &a->ends_ms));
	if (a->starts_ms <= 0)
		a->starts_ms = received_ms;
	if (a->state == ALERT_FIRING)
		a->ends_ms = 0;
	return OK;
}

static enum status decode(void *mem, const struct origin *from, int64_t received_ms,
			  struct alert **out)
{
	struct alert *a = NEW(mem, struct alert);

	if (from->data->kind != NODE_OBJECT)
		return failure(E_INVALID, "data must be an object");
	TRY(read_state(from, &a->state));
	TRY(read_map(a, from, "labels", "commonLabels", LIMIT_LABEL_VALUE_BYTES, &a->labels));
	TRY(read_map(a, from, "annotations", "commonAnnotations", LIMIT_ANNOTATION_VALUE_BYTES,
		     &a->annotations));
	TRY(read_name(from->data, a));
	TRY(read_times(from->data, received_ms, a));
	a->fingerprint = alert_fingerprint(a, &a->labels);
	a->generator_url = text_of(node_get(from->data, "generatorURL"));
	a->receiver = text_of(inherited(from, "receiver"));
	a->group_key = text_of(inherited(from, "groupKey"));
	const struct node *truncated = inherited(from, "truncatedAlerts");
	a->truncated_alerts =
		truncated != NULL && truncated->kind == NODE_INTEGER ? truncated->integer : 0;
	*out = a;
	return OK;
}

enum status alert_decode(void *mem, const struct node *data, int64_t received_ms,
			 struct alert **out)
{
	return decode(mem, &(struct origin){.data = data}, received_ms, out);
}

static uint64_t fnv1a(uint64_t hash, const char *text)
{
	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * 1099511628211ULL;
	return (hash ^ 0xff) * 1099511628211ULL;
}

char *alert_fingerprint(void *mem, const struct labels *labels)
{
	uint64_t hash = 14695981039346656037ULL;

	for (size_t n = 0; n < labels->count; n++)
		hash = fnv1a(fnv1a(hash, labels->at[n].name), labels->at[n].value);
	return str_fmt(mem, "%016llx", (unsigned long long)hash);
}

char *alert_event_id(void *mem, const char *fingerprint, int64_t starts_ms, enum alert_state state)
{
	return str_fmt(mem, "%s-%lld-%s", fingerprint, (long long)starts_ms,
		       alert_state_name(state));
}

/* What stands behind the state's word, which ends the id. */
static const char *state_word(const char *id)
{
	const char *dash = strrchr(id, '-');

	return dash == NULL ? "" : dash + 1;
}

bool alert_event_id_parse(const char *id, char fingerprint[17], int64_t *starts_ms)
{
	const char *word = state_word(id);
	char number[24];
	long long starts;

	if (strspn(id, "0123456789abcdef") != 16 || id[16] != '-' || word <= id + 17 ||
	    (size_t)(word - 1 - (id + 17)) >= sizeof(number))
		return false;
	str_print(number, sizeof(number), "%.*s", (int)(word - 1 - (id + 17)), id + 17);
	if (str_to_int(number, INT64_MIN, INT64_MAX, &starts) != OK ||
	    (!str_eq(word, alert_state_name(ALERT_FIRING)) &&
	     !str_eq(word, alert_state_name(ALERT_RESOLVED))))
		return false;
	str_print(fingerprint, 17, "%.16s", id);
	*starts_ms = starts;
	return true;
}

const char *alert_resource(const json_t *labels)
{
	static const char *const NAMES[] = {
		"pod",	"deployment", "statefulset", "persistentvolumeclaim",
		"name", "instance",   "node",	     "namespace"};

	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
		const char *value = json_str(labels, NAMES[i]);
		if (!str_empty(value))
			return value;
	}
	return NULL;
}

static void decode_member(void *mem, const struct node *body, struct webhook *w, size_t n,
			  int64_t received_ms)
{
	const struct origin from = {.data = w->raw[n], .frame = body};

	if (decode(mem, &from, received_ms, &w->alerts[n]) != OK) {
		const char *message = status_message();
		bool about_data = str_starts(message, "data");
		w->errors[n] = str_fmt(mem, "alerts[%zu]%s", n, about_data ? message + 4 : message);
	}
}

static const char *text_or(const struct node *body, const char *key, const char *otherwise)
{
	const char *text = node_str(body, key);

	return text == NULL ? otherwise : text;
}

enum status webhook_decode(void *mem, const struct node *body, int64_t received_ms,
			   struct webhook **out)
{
	const struct node *alerts = node_get(body, "alerts");
	const char *version = node_str(body, "version");
	struct webhook *w = NEW(mem, struct webhook);
	size_t at = 0;

	if (alerts == NULL || alerts->kind != NODE_ARRAY)
		return failure(E_INVALID, "the payload must be an object with an array alerts");
	if (version != NULL && !str_eq(version, "4"))
		return failure(E_INVALID, "version \"%.20s\" is not supported; want \"4\"",
			       version);
	w->count = alerts->size;
	if (w->count > LIMIT_BATCH_EVENTS)
		return failure(E_INVALID, "alerts has more than %d elements", LIMIT_BATCH_EVENTS);
	w->version = "4";
	w->receiver = text_or(body, "receiver", "unknown");
	w->group_status = text_or(body, "status", "unknown");
	w->group_key = text_or(body, "groupKey", "");
	w->external_url = text_or(body, "externalURL", "");
	w->truncated_alerts = node_int(body, "truncatedAlerts", 0);
	w->group_labels = node_get(body, "groupLabels");
	w->common_labels = node_get(body, "commonLabels");
	w->common_annotations = node_get(body, "commonAnnotations");
	w->raw = NEW_ARRAY(mem, const struct node *, w->count + 1);
	w->alerts = NEW_ARRAY(mem, struct alert *, w->count + 1);
	w->errors = NEW_ARRAY(mem, const char *, w->count + 1);
	NODE_EACH(element, alerts)
	w->raw[at++] = element;
	for (size_t n = 0; n < w->count; n++)
		decode_member(mem, body, w, n, received_ms);
	*out = w;
	return OK;
}
