#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_node.h"
#include "base/mem.h"
#include "base/str.h"

enum status json_parse(void *mem, const char *text, size_t n, json_t **out)
{
	SCOPE(tmp);
	const struct node *nodes = NULL;

	TRY(node_parse(tmp, text, n, &nodes));
	*out = node_json(mem, nodes);
	return OK;
}

static enum status read_all(void *mem, FILE *f, const char *path, size_t limit, char **out,
			    size_t *n)
{
	char *text = NEW_ARRAY(mem, char, limit + 2);
	size_t got = fread(text, 1, limit + 1, f);

	if (ferror(f))
		return failure(E_INVALID, "%s: cannot be read", path);
	if (got > limit)
		return failure(E_INVALID, "%s: larger than %zu bytes", path, limit);
	*out = GROW(mem, text, char, got + 1);
	(*out)[got] = '\0';
	*n = got;
	return OK;
}

enum status file_read(void *mem, const char *path, size_t limit, char **out, size_t *n)
{
	char reason[128];
	FILE *f = fopen(path, "re");
	int why = errno;

	if (f == NULL)
		return failure(why == ENOENT ? E_NOTFOUND : E_INVALID, "%s: %s", path,
			       strerror_r(why, reason, sizeof(reason)));
	enum status s = read_all(mem, f, path, limit, out, n);
	fclose(f);
	return s;
}

char *json_text(void *mem, const json_t *value)
{
	char *raw = mem_check(json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY));
	char *text = str_dup(mem, raw);

	free(raw);
	return text;
}

const char *json_str(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

int64_t json_int(const json_t *object, const char *key, int64_t otherwise)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

enum status json_string_map(void *mem, const json_t *object, const char *key, json_t **out)
{
	json_t *map = json_object_get(object, key);
	const char *name;
	json_t *value;

	if (map == NULL || json_is_null(map)) {
		*out = mem_own(mem, json_object());
		return OK;
	}
	if (!json_is_object(map))
		return failure(E_INVALID, "%s must be an object of strings", key);
	json_object_foreach (map, name, value)
		if (!json_is_string(value))
			return failure(E_INVALID, "%s.%.60s must be a string", key, name);
	*out = mem_own(mem, json_incref(map));
	return OK;
}
