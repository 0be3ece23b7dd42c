#include "domain/alert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
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

static enum status check_map(const char *map, const json_t *entries, size_t value_limit)
{
	const char *name;
	json_t *value;

	if (json_object_size(entries) > LIMIT_LABELS)
		return failure(E_INVALID, "data.%s has more than %d entries", map, LIMIT_LABELS);
	json_object_foreach ((json_t *)entries, name, value)
		TRY(check_entry(map, name, json_string_value(value), value_limit));
	return OK;
}

/* The alert's own values win over the group's common ones. */
static enum status merged(void *mem, const json_t *data, const char *own, const char *common,
			  size_t value_limit, json_t **out)
{
	json_t *mine = NULL;
	json_t *shared = NULL;

	if (json_string_map(mem, data, own, &mine) != OK ||
	    json_string_map(mem, data, common, &shared) != OK)
		return failure(E_INVALID, "data.%s", status_message());
	json_t *all = mem_own(mem, json_copy(shared));
	json_object_update(all, mine);
	TRY(check_map(own, all, value_limit));
	*out = all;
	return OK;
}

static enum status read_state(const json_t *data, enum alert_state *out)
{
	const char *word = json_str(data, "status");

	if (str_eq(word, "firing"))
		*out = ALERT_FIRING;
	else if (str_eq(word, "resolved"))
		*out = ALERT_RESOLVED;
	else
		return failure(E_INVALID, "data.status must be \"firing\" or \"resolved\"");
	return OK;
}

static enum status read_time(const json_t *data, const char *key, int64_t *out)
{
	const json_t *value = json_object_get(data, key);

	*out = 0;
	if (value == NULL || json_is_null(value))
		return OK;
	if (!json_is_string(value))
		return failure(E_INVALID, "data.%s must be an RFC 3339 time", key);
	if (clock_parse(json_string_value(value), out) != OK)
		return failure(E_INVALID, "data.%s: %s", key, status_message());
	return OK;
}

static const char *text_or_empty(void *mem, const json_t *data, const char *key)
{
	const char *text = json_str(data, key);

	return text == NULL ? "" : str_dup(mem, text);
}

static enum status read_name(void *mem, const json_t *data, struct alert *a)
{
	const char *labelled = json_str(a->labels, "alertname");
	const char *named = json_str(data, "alertname");

	a->name = str_dup(mem, !str_empty(labelled) ? labelled : named);
	a->names_disagree = !str_empty(labelled) && !str_empty(named) && !str_eq(labelled, named);
	if (str_empty(a->name))
		return failure(E_INVALID,
			       "data.labels.alertname (or data.alertname) must name the alert");
	TRY(check_entry("labels", "alertname", a->name, LIMIT_LABEL_VALUE_BYTES));
	json_object_set_new(a->labels, "alertname", json_string(a->name));
	return OK;
}

static enum status read_times(const json_t *data, int64_t received_ms, struct alert *a)
{
	TRY(read_time(data, "startsAt", &a->starts_ms));
	TRY(read_time(data, "endsAt", &a->ends_ms));
	if (a->starts_ms <= 0)
		a->starts_ms = received_ms;
	if (a->state == ALERT_FIRING)
		a->ends_ms = 0;
	return OK;
}

enum status alert_decode(void *mem, const json_t *data, int64_t received_ms, struct alert **out)
{
	struct alert *a = NEW(mem, struct alert);

	if (!json_is_object(data))
		return failure(E_INVALID, "data must be an object");
	TRY(read_state(data, &a->state));
	TRY(merged(mem, data, "labels", "commonLabels", LIMIT_LABEL_VALUE_BYTES, &a->labels));
	TRY(merged(mem, data, "annotations", "commonAnnotations", LIMIT_ANNOTATION_VALUE_BYTES,
		   &a->annotations));
	TRY(read_name(mem, data, a));
	TRY(read_times(data, received_ms, a));
	a->fingerprint = alert_fingerprint(mem, a->labels);
	a->generator_url = text_or_empty(mem, data, "generatorURL");
	a->receiver = text_or_empty(mem, data, "receiver");
	a->group_key = text_or_empty(mem, data, "groupKey");
	a->truncated_alerts = json_int(data, "truncatedAlerts", 0);
	*out = a;
	return OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static uint64_t fnv1a(uint64_t hash, const char *text)
{
	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * 1099511628211ULL;
	return (hash ^ 0xff) * 1099511628211ULL;
}

char *alert_fingerprint(void *mem, const json_t *labels)
{
	size_t n = json_object_size(labels);
	const char **names = NEW_ARRAY(mem, const char *, n + 1);
	uint64_t hash = 14695981039346656037ULL;
	const char *name;
	json_t *value;
	size_t at = 0;

	json_object_foreach ((json_t *)labels, name, value)
		names[at++] = name;
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++)
		hash = fnv1a(fnv1a(hash, names[i]), json_str(labels, names[i]));
	talloc_free(names);
	return str_fmt(mem, "%016llx", (unsigned long long)hash);
}

char *alert_event_id(void *mem, const char *fingerprint, int64_t starts_ms, enum alert_state state)
{
	return str_fmt(mem, "%s-%lld-%s", fingerprint, (long long)starts_ms,
		       alert_state_name(state));
}

bool alert_event_id_parse(const char *id, char fingerprint[17], int64_t *starts_ms)
{
	long long starts;
	char state[16];
	int end = 0;

	if (sscanf(id, "%16[0-9a-f]-%lld-%15[a-z]%n", fingerprint, &starts, state, &end) != 3)
		return false;
	*starts_ms = starts;
	return strlen(fingerprint) == 16 && id[end] == '\0' &&
	       (str_eq(state, alert_state_name(ALERT_FIRING)) ||
		str_eq(state, alert_state_name(ALERT_RESOLVED)));
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

static const json_t *object_or_empty(void *mem, const json_t *body, const char *key)
{
	json_t *value = json_object_get(body, key);

	return mem_own(mem, json_is_object(value) ? json_incref(value) : json_object());
}

/* What a member inherits from the frame, when it does not say so itself. */
static json_t *member_data(void *mem, const json_t *body, const json_t *member)
{
	static const char *const INHERITED[] = {"receiver", "groupKey", "truncatedAlerts",
						"status"};
	json_t *data = mem_own(mem, json_copy((json_t *)member));

	for (size_t i = 0; i < sizeof(INHERITED) / sizeof(INHERITED[0]); i++) {
		json_t *value = json_object_get(body, INHERITED[i]);
		if (json_object_get(data, INHERITED[i]) == NULL && value != NULL)
			json_object_set(data, INHERITED[i], value);
	}
	return data;
}

static void decode_member(void *mem, const json_t *body, struct webhook *w, size_t n,
			  int64_t received_ms)
{
	const json_t *member = w->raw[n];
	enum status s = json_is_object(member) ? alert_decode(mem, member_data(mem, body, member),
							      received_ms, &w->alerts[n])
					       : failure(E_INVALID, "data must be an object");

	if (s != OK) {
		const char *message = status_message();
		bool about_data = str_starts(message, "data");
		w->errors[n] = str_fmt(mem, "alerts[%zu]%s", n, about_data ? message + 4 : message);
	}
}

enum status webhook_decode(void *mem, const json_t *body, int64_t received_ms, struct webhook **out)
{
	const json_t *alerts = json_object_get(body, "alerts");
	const char *version = json_str(body, "version");
	struct webhook *w = NEW(mem, struct webhook);

	if (!json_is_object(body) || !json_is_array(alerts))
		return failure(E_INVALID, "the payload must be an object with an array alerts");
	if (version != NULL && !str_eq(version, "4"))
		return failure(E_INVALID, "version \"%.20s\" is not supported; want \"4\"",
			       version);
	w->count = json_array_size(alerts);
	if (w->count > LIMIT_BATCH_EVENTS)
		return failure(E_INVALID, "alerts has more than %d elements", LIMIT_BATCH_EVENTS);
	w->version = "4";
	w->receiver = json_str(body, "receiver") == NULL ? "unknown"
							 : text_or_empty(mem, body, "receiver");
	w->group_status =
		json_str(body, "status") == NULL ? "unknown" : text_or_empty(mem, body, "status");
	w->group_key = text_or_empty(mem, body, "groupKey");
	w->external_url = text_or_empty(mem, body, "externalURL");
	w->truncated_alerts = json_int(body, "truncatedAlerts", 0);
	w->group_labels = object_or_empty(mem, body, "groupLabels");
	w->common_labels = object_or_empty(mem, body, "commonLabels");
	w->common_annotations = object_or_empty(mem, body, "commonAnnotations");
	w->raw = NEW_ARRAY(mem, const json_t *, w->count + 1);
	w->alerts = NEW_ARRAY(mem, struct alert *, w->count + 1);
	w->errors = NEW_ARRAY(mem, const char *, w->count + 1);
	mem_own(mem, json_incref((json_t *)body));
	for (size_t n = 0; n < w->count; n++) {
		w->raw[n] = json_array_get(alerts, n);
		decode_member(mem, body, w, n, received_ms);
	}
	*out = w;
	return OK;
}
