#include "domain/on_call.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"

enum { EMAIL_BYTES = 254, PEOPLE_MAX = 1000, ENTRIES_MAX = 10000 };

struct reader {
	void *mem;
	const char *name;
	const char *zone;
	const json_t *lines;
	char path[64]; /* of what is being read, such as rotations[3] */
};

static enum status wrong(const struct reader *r, const char *key, const char *what)
{
	char path[128];

	str_print(path, sizeof(path), "%s%s%s", r->path,
		  *r->path != '\0' && *key != '\0' ? "." : "", key);
	return failure(E_INVALID, "%s:%lld: %s: %s", r->name,
		       (long long)json_int(r->lines, path, 1), path, what);
}

static enum status check_keys(const struct reader *r, const json_t *object,
			      const char *const *known)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return wrong(r, "", "must be a mapping");
	json_object_foreach ((json_t *)object, key, value) {
		bool found = false;
		for (int n = 0; known[n] != NULL; n++)
			found = found || str_eq(known[n], key);
		if (!found)
			return wrong(r, key, "unknown key");
	}
	return OK;
}

enum status on_call_check(const char *email)
{
	const char *at = strchr(email, '@');
	bool shape = at != NULL && at != email && at[1] != '\0' && strchr(at + 1, '@') == NULL &&
		     strlen(email) <= EMAIL_BYTES;

	for (const char *c = email; shape && *c != '\0'; c++)
		shape = (unsigned char)*c > ' ' && *c != 0x7f && strchr("<>,;\"", *c) == NULL;
	return shape ? OK : failure(E_INVALID, "'%.60s' is not an e-mail address", email);
}

static bool names_zone(const char *time)
{
	const char *clock = strchr(time, 'T');

	return clock != NULL && strpbrk(clock, "Zz+-") != NULL;
}

/* 2026-01-05T09:00, with seconds and an offset if one likes. */
static enum status read_time(const struct reader *r, const json_t *object, const char *key,
			     int64_t *out)
{
	const char *text = json_str(object, key);
	const char *clock = text == NULL ? NULL : strchr(text, 'T');

	if (clock == NULL)
		return wrong(r, key, "must be a time such as 2026-01-05T09:00");
	size_t digits = strspn(clock + 1, "0123456789:");
	char *whole = str_fmt(r->mem, "%.*s%s%s%s", (int)(clock + 1 + digits - text), text,
			      digits == 5 ? ":00" : "", clock + 1 + digits,
			      names_zone(text) ? "" : r->zone);
	if (clock_parse(whole, out) != OK)
		return wrong(r, key, "must be a time such as 2026-01-05T09:00");
	return OK;
}

static enum status read_person(const struct reader *r, const json_t *value, const char *key,
			       const char **out)
{
	const char *email = json_string_value(value);

	if (email == NULL || on_call_check(email) != OK)
		return wrong(r, key, "must be an e-mail address");
	*out = str_dup(r->mem, email);
	return OK;
}

static enum status read_people(const struct reader *r, const json_t *doc,
			       struct on_call_rotation *out)
{
	const json_t *list = json_object_get(doc, "people");
	size_t count = json_array_size(list);
	const char **people = NEW_ARRAY(r->mem, const char *, count + 1);
	size_t n;
	json_t *one;

	if (list != NULL && !json_is_array(list))
		return wrong(r, "people", "must be a list");
	if (count > PEOPLE_MAX)
		return wrong(r, "people", "are too many");
	json_array_foreach (list, n, one)
		TRY(read_person(r, one, "people", &people[n]));
	out->people = people;
	out->count = count;
	return OK;
}

static enum status read_rotation(const struct reader *r, const json_t *doc,
				 struct on_call_rotation *out)
{
	static const char *const KEYS[] = {"name", "people", "start", "end", "shift", NULL};
	const char *shift = json_str(doc, "shift");
	long long ms = 0;

	TRY(check_keys(r, doc, KEYS));
	*out = (struct on_call_rotation){.end_ms = INT64_MAX};
	out->name = json_str(doc, "name") == NULL ? "" : str_dup(r->mem, json_str(doc, "name"));
	TRY(read_people(r, doc, out));
	TRY(read_time(r, doc, "start", &out->start_ms));
	if (json_object_get(doc, "end") != NULL)
		TRY(read_time(r, doc, "end", &out->end_ms));
	if (shift == NULL || str_to_duration(shift, &ms) != OK || ms < 60000)
		return wrong(r, "shift",
			     "must be a duration of a minute or more, such as 12h or 7d");
	out->shift_ms = ms;
	return OK;
}

static enum status read_override(const struct reader *r, const json_t *doc,
				 struct on_call_override *out)
{
	static const char *const KEYS[] = {"person", "from", "to", NULL};

	TRY(check_keys(r, doc, KEYS));
	TRY(read_person(r, json_object_get(doc, "person"), "person", &out->person));
	TRY(read_time(r, doc, "from", &out->from_ms));
	TRY(read_time(r, doc, "to", &out->to_ms));
	if (out->to_ms <= out->from_ms)
		return wrong(r, "to", "must be after from");
	return OK;
}

static enum status read_list(struct reader *r, const json_t *doc, const char *key,
			     const json_t **list, size_t *count)
{
	*list = json_object_get(doc, key);
	*count = json_array_size(*list);
	if (*list != NULL && !json_is_array(*list))
		return wrong(r, key, "must be a list");
	if (*count > ENTRIES_MAX)
		return wrong(r, key, "is too long");
	return OK;
}

static enum status read_rotations(struct reader *r, const json_t *doc, struct on_call_schedule *s)
{
	const json_t *list = NULL;

	TRY(read_list(r, doc, "rotations", &list, &s->rotation_count));
	s->rotations = NEW_ARRAY(r->mem, struct on_call_rotation, s->rotation_count + 1);
	for (size_t n = 0; n < s->rotation_count; n++) {
		str_print(r->path, sizeof(r->path), "rotations[%zu]", n);
		TRY(read_rotation(r, json_array_get(list, n), &s->rotations[n]));
	}
	*r->path = '\0';
	return OK;
}

static enum status read_overrides(struct reader *r, const json_t *doc, struct on_call_schedule *s)
{
	const json_t *list = NULL;

	TRY(read_list(r, doc, "overrides", &list, &s->override_count));
	s->overrides = NEW_ARRAY(r->mem, struct on_call_override, s->override_count + 1);
	for (size_t n = 0; n < s->override_count; n++) {
		str_print(r->path, sizeof(r->path), "overrides[%zu]", n);
		TRY(read_override(r, json_array_get(list, n), &s->overrides[n]));
	}
	*r->path = '\0';
	return OK;
}

static enum status read_zone(struct reader *r, const json_t *doc)
{
	const json_t *zone = json_object_get(doc, "time_zone");
	int64_t unused;

	r->zone = "Z";
	if (zone == NULL || json_is_null(zone))
		return OK;
	r->zone = json_string_value(zone);
	if (r->zone == NULL ||
	    clock_parse(str_fmt(r->mem, "2026-01-05T09:00:00%s", r->zone), &unused) != OK)
		return wrong(r, "time_zone", "must be an offset such as \"+02:00\", or Z");
	return OK;
}

enum status on_call_parse(void *mem, const char *name, const char *text, size_t n,
			  struct on_call_schedule **out)
{
	static const char *const KEYS[] = {"time_zone", "rotations", "overrides", NULL};
	struct on_call_schedule *s = NEW(mem, struct on_call_schedule);
	struct reader r = {.mem = s, .name = name};
	json_t *doc = NULL;
	json_t *lines = NULL;

	TRY(yaml_parse(s, name, text, n, &doc, &lines));
	r.lines = lines;
	TRY(check_keys(&r, doc, KEYS));
	TRY(read_zone(&r, doc));
	TRY(read_rotations(&r, doc, s));
	TRY(read_overrides(&r, doc, s));
	*out = s;
	return OK;
}

static const char *whose_turn(const struct on_call_rotation *r, int64_t at_ms)
{
	if (r->count == 0 || at_ms < r->start_ms || at_ms >= r->end_ms)
		return NULL;
	uint64_t shifts = ((uint64_t)at_ms - (uint64_t)r->start_ms) / (uint64_t)r->shift_ms;
	return r->people[shifts % r->count];
}

const char *on_call_at(const struct on_call_schedule *s, int64_t at_ms)
{
	const char *who = NULL;

	for (size_t n = s->override_count; n-- > 0 && who == NULL;)
		if (at_ms >= s->overrides[n].from_ms && at_ms < s->overrides[n].to_ms)
			who = s->overrides[n].person;
	for (size_t n = 0; n < s->rotation_count && who == NULL; n++)
		who = whose_turn(&s->rotations[n], at_ms);
	return who;
}

enum status on_call_decode(void *mem, const char *body, size_t n, const char **email)
{
	json_t *doc = NULL;

	if (json_parse(mem, body, n, &doc) != OK || !json_is_object(doc))
		return failure(E_INVALID, "the schedule's answer is not a JSON object");
	const json_t *value = json_object_get(doc, "email");
	if (value == NULL)
		return failure(E_INVALID, "the schedule's answer has no email");
	if (json_is_null(value) || str_empty(json_string_value(value))) {
		*email = NULL;
		return json_is_null(value) || json_is_string(value)
			       ? OK
			       : failure(E_INVALID, "the schedule's email is no text");
	}
	TRY(on_call_check(json_string_value(value)));
	*email = str_dup(mem, json_string_value(value));
	return OK;
}
