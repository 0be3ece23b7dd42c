/* What a step changes is copied first, object by object along its path: the input is shared. */
#include "domain/adapter.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

enum action { RENAME, MOVE, DEFAULT, DROP };

struct path {
	const char *text;
	const char **names;
	size_t count;
};

struct step {
	enum action action;
	struct path from, to;
	const json_t *value; /* of DEFAULT */
};

struct adapter {
	struct step *steps;
	size_t count;
};

static char *unescaped(void *mem, const char *text, size_t n)
{
	char *out = str_ndup(mem, text, n);
	size_t to = 0;

	for (size_t i = 0; out[i] != '\0'; i++) {
		bool escape = out[i] == '~' && (out[i + 1] == '0' || out[i + 1] == '1');
		out[to++] = !escape ? out[i] : out[++i] == '0' ? '~' : '/';
	}
	out[to] = '\0';
	return out;
}

static enum status read_path(void *mem, const json_t *value, struct path *out)
{
	const char *at = json_string_value(value);

	if (at == NULL || *at != '/' || at[1] == '\0')
		return failure(E_INVALID, "a path must be a JSON pointer such as /labels/pod");
	for (const char *t = strchr(at, '~'); t != NULL; t = strchr(t + 1, '~'))
		if (t[1] != '0' && t[1] != '1')
			return failure(E_INVALID, "in a path ~ must be written ~0 (and / ~1)");
	out->text = str_dup(mem, at);
	out->names = NEW_ARRAY(mem, const char *, ADAPTER_DEPTH_MAX);
	while (*at == '/') {
		size_t n = strcspn(++at, "/");
		if (out->count == ADAPTER_DEPTH_MAX)
			return failure(E_INVALID, "a path has more than %d parts",
				       ADAPTER_DEPTH_MAX);
		out->names[out->count++] = unescaped(mem, at, n);
		at += n;
	}
	return OK;
}

static enum status only(const json_t *object, const char *first, const char *second)
{
	const char *name;
	json_t *value;

	if (!json_is_object(object))
		return failure(E_INVALID, "want {%s, %s}", first, second);
	json_object_foreach ((json_t *)object, name, value)
		if (!str_eq(name, first) && !str_eq(name, second))
			return failure(E_INVALID, "unknown member %.40s: want {%s, %s}", name,
				       first, second);
	return OK;
}

static enum status read_rename(void *mem, const json_t *v, struct step *s)
{
	const char *to = json_str(v, "to");

	TRY(only(v, "path", "to"));
	TRY(read_path(mem, json_object_get(v, "path"), &s->from));
	if (str_empty(to))
		return failure(E_INVALID, "to must be a name");
	s->to = (struct path){.text = s->from.text, .count = s->from.count};
	s->to.names = NEW_ARRAY(mem, const char *, ADAPTER_DEPTH_MAX);
	memcpy(s->to.names, s->from.names, s->from.count * sizeof(*s->to.names));
	s->to.names[s->to.count - 1] = str_dup(mem, to);
	return OK;
}

static enum status read_move(void *mem, const json_t *v, struct step *s)
{
	TRY(only(v, "from", "to"));
	TRY(read_path(mem, json_object_get(v, "from"), &s->from));
	return read_path(mem, json_object_get(v, "to"), &s->to);
}

static enum status read_default(void *mem, const json_t *v, struct step *s)
{
	json_t *value = json_object_get(v, "value");

	TRY(only(v, "path", "value"));
	if (value == NULL)
		return failure(E_INVALID, "value is missing");
	s->value = mem_own(mem, json_deep_copy(value));
	return read_path(mem, json_object_get(v, "path"), &s->to);
}

static enum status read_drop(void *mem, const json_t *v, struct step *s)
{
	return read_path(mem, v, &s->from);
}

static enum status read_step(void *mem, const json_t *one, struct step *s)
{
	static const struct {
		const char *name;
		enum action action;
		enum status (*read)(void *mem, const json_t *v, struct step *s);
	} ACTIONS[] = {
		{"rename", RENAME, read_rename},
		{"move", MOVE, read_move},
		{"default", DEFAULT, read_default},
		{"drop", DROP, read_drop},
	};

	for (size_t a = 0; a < sizeof(ACTIONS) / sizeof(ACTIONS[0]); a++) {
		const json_t *value = json_object_get(one, ACTIONS[a].name);
		if (value == NULL || json_object_size(one) != 1)
			continue;
		s->action = ACTIONS[a].action;
		enum status status = ACTIONS[a].read(mem, value, s);
		return status == OK ? OK : failure_in(status, "%s", ACTIONS[a].name);
	}
	return failure(E_INVALID, "a step must be one of rename, move, default, drop");
}

enum status adapter_compile(void *mem, const json_t *steps, struct adapter **out)
{
	struct adapter *a = NEW(mem, struct adapter);
	size_t i;
	json_t *one;

	if (!json_is_array(steps))
		return failure(E_INVALID, "an adapter must be an array of steps");
	if (json_array_size(steps) > ADAPTER_STEPS_MAX)
		return failure(E_INVALID, "an adapter may have at most %d steps",
			       ADAPTER_STEPS_MAX);
	a->steps = NEW_ARRAY(a, struct step, json_array_size(steps) + 1);
	json_array_foreach ((json_t *)steps, i, one) {
		enum status s = read_step(a, one, &a->steps[a->count++]);
		if (s != OK)
			return failure_in(s, "step %zu", i + 1);
	}
	*out = a;
	return OK;
}

/* The object that holds the last name of the path, fit to be changed; NULL when it is not there
 * and not wanted. */
static enum status holder(json_t *root, const struct path *p, bool make, json_t **out)
{
	json_t *at = root;

	*out = NULL;
	for (size_t i = 0; i + 1 < p->count; i++) {
		const json_t *inner = json_object_get(at, p->names[i]);
		if (inner == NULL && !make)
			return OK;
		if (inner != NULL && !json_is_object(inner))
			return failure(E_INVALID, "%.100s leads through %.60s, which is no object",
				       p->text, p->names[i]);
		json_t *copy = inner == NULL ? json_object() : json_copy((json_t *)inner);
		json_object_set_new(at, p->names[i], mem_check(copy));
		at = copy;
	}
	*out = at;
	return OK;
}

static const char *last(const struct path *p)
{
	return p->names[p->count - 1];
}

/* Takes the member out. `*out` NULL: there was none; else a reference of the caller's. */
static enum status take(json_t *root, const struct path *p, json_t **out)
{
	json_t *in = NULL;

	*out = NULL;
	TRY(holder(root, p, false, &in));
	if (in == NULL || json_object_get(in, last(p)) == NULL)
		return OK;
	*out = json_incref(json_object_get(in, last(p)));
	json_object_del(in, last(p));
	return OK;
}

/* Takes over the reference. */
static enum status put(json_t *root, const struct path *p, json_t *value)
{
	json_t *in = NULL;
	enum status s = holder(root, p, true, &in);

	if (s == OK)
		json_object_set_new(in, last(p), value);
	else
		json_decref(value);
	return s;
}

static enum status set_default(json_t *root, const struct step *s)
{
	json_t *in = NULL;

	TRY(holder(root, &s->to, false, &in));
	if (in != NULL && json_object_get(in, last(&s->to)) != NULL)
		return OK;
	return put(root, &s->to, mem_check(json_deep_copy(s->value)));
}

static enum status run(json_t *root, const struct step *s)
{
	json_t *value = NULL;

	if (s->action == DEFAULT)
		return set_default(root, s);
	TRY(take(root, &s->from, &value));
	if (value == NULL)
		return OK;
	if (s->action != DROP)
		return put(root, &s->to, value);
	json_decref(value);
	return OK;
}

enum status adapter_run(void *mem, const struct adapter *a, const json_t *data, json_t **out)
{
	if (!json_is_object(data))
		return failure(E_INVALID, "data must be an object");
	json_t *root = mem_own(mem, json_copy((json_t *)data));
	for (size_t i = 0; i < a->count; i++) {
		enum status s = run(root, &a->steps[i]);
		if (s != OK)
			return failure_in(s, "step %zu", i + 1);
	}
	*out = root;
	return OK;
}
