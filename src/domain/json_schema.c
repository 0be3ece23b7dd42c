/*
 * A schema is compiled into a graph of nodes, one for each subschema; $ref makes cycles. Keywords
 * are one table.
 */
#include "domain/json_schema.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/json_schema_parts.h"

enum { NODES_MAX = 2048, NESTED_MAX = 128, COST_MAX = 65536 };

struct compiler {
	void *mem;
	json_t *doc;
	struct node **nodes;
	size_t count;
	size_t cost; /* of all patterns: bounds what they keep in memory */
	int nested;  /* $ref included: bounds the stack */
};

static enum status node_of(struct compiler *c, const json_t *schema, struct node **out);

const struct type_name TYPE_NAMES[TYPE_COUNT] = {
	{"null", TYPE_NULL},	   {"boolean", TYPE_BOOLEAN}, {"object", TYPE_OBJECT},
	{"array", TYPE_ARRAY},	   {"number", TYPE_NUMBER},   {"string", TYPE_STRING},
	{"integer", TYPE_INTEGER},
};

static enum status add_type(struct node *n, const json_t *name)
{
	for (size_t t = 0; t < TYPE_COUNT; t++) {
		if (str_eq(json_string_value(name), TYPE_NAMES[t].name)) {
			n->types |= TYPE_NAMES[t].type;
			return OK;
		}
	}
	return failure(E_INVALID, "unknown type");
}

static enum status compile_type(struct compiler *c, struct node *n, const json_t *value, int which)
{
	size_t i;
	json_t *name;

	(void)c;
	(void)which;
	if (!json_is_array(value))
		return add_type(n, value);
	json_array_foreach ((json_t *)value, i, name)
		TRY(add_type(n, name));
	return json_array_size(value) > 0 ? OK : failure(E_INVALID, "must name a type");
}

static enum status compile_enum(struct compiler *c, struct node *n, const json_t *value, int which)
{
	(void)c;
	(void)which;
	if (!json_is_array(value))
		return failure(E_INVALID, "must be an array");
	n->choice = value;
	return OK;
}

static enum status compile_const(struct compiler *c, struct node *n, const json_t *value, int which)
{
	(void)c;
	(void)which;
	n->constant = value;
	return OK;
}

static bool are_strings(const json_t *value)
{
	size_t i;
	json_t *name;

	json_array_foreach ((json_t *)value, i, name)
		if (!json_is_string(name))
			return false;
	return json_is_array(value);
}

static enum status compile_required(struct compiler *c, struct node *n, const json_t *value,
				    int which)
{
	(void)c;
	(void)which;
	if (!are_strings(value))
		return failure(E_INVALID, "must be an array of strings");
	n->required = value;
	return OK;
}

static enum status compile_size(struct compiler *c, struct node *n, const json_t *value, int which)
{
	double number = json_is_number(value) ? json_number_value(value) : -1;

	(void)c;
	if (number < 0 || number != floor(number) || number > 1e15)
		return failure(E_INVALID, "must be a whole number from 0 on");
	n->sizes[which] = (int64_t)number;
	return OK;
}

static enum status compile_bound(struct compiler *c, struct node *n, const json_t *value, int which)
{
	(void)c;
	if (!json_is_number(value))
		return failure(E_INVALID, "must be a number");
	if (which == MULTIPLE_OF && json_number_value(value) <= 0)
		return failure(E_INVALID, "must be above 0");
	n->bounds[which] = value;
	return OK;
}

static enum status compile_unique(struct compiler *c, struct node *n, const json_t *value,
				  int which)
{
	(void)c;
	(void)which;
	if (!json_is_boolean(value))
		return failure(E_INVALID, "must be true or false");
	n->unique = json_is_true(value);
	return OK;
}

static enum status pattern_of(struct compiler *c, const char *text, const struct pattern **out)
{
	struct pattern *p = NULL;

	if (text == NULL)
		return failure(E_INVALID, "must be a string");
	TRY(pattern_compile(c->mem, text, &p));
	c->cost += pattern_cost(p);
	if (c->cost > COST_MAX)
		return failure(E_INVALID,
			       "all patterns together have more than %d steps and ranges",
			       COST_MAX);
	*out = p;
	return OK;
}

static enum status compile_pattern(struct compiler *c, struct node *n, const json_t *value,
				   int which)
{
	(void)which;
	n->pattern_text = json_string_value(value);
	return pattern_of(c, n->pattern_text, &n->pattern);
}

static enum status compile_format(struct compiler *c, struct node *n, const json_t *value,
				  int which)
{
	const char *name = json_string_value(value);

	(void)c;
	(void)which;
	if (str_eq(name, "date-time"))
		n->format = FORMAT_DATE_TIME;
	else if (str_eq(name, "uri"))
		n->format = FORMAT_URI;
	else
		return failure(E_INVALID, "only date-time and uri are supported");
	return OK;
}

static enum status compile_group(struct compiler *c, struct node *n, const json_t *value, int which)
{
	struct group_of *g = &n->groups[which];
	size_t i;
	json_t *schema;

	if (!json_is_array(value) || json_array_size(value) == 0)
		return failure(E_INVALID, "must be an array of schemas");
	g->nodes = NEW_ARRAY(c->mem, struct node *, json_array_size(value));
	json_array_foreach ((json_t *)value, i, schema) {
		enum status s = node_of(c, schema, &g->nodes[i]);
		if (s != OK)
			return failure_in(s, "%zu", i);
	}
	g->count = json_array_size(value);
	return OK;
}

static enum status compile_single(struct compiler *c, struct node *n, const json_t *value,
				  int which)
{
	return node_of(c, value, &n->singles[which]);
}

static enum status compile_items(struct compiler *c, struct node *n, const json_t *value, int which)
{
	(void)which;
	if (!json_is_array(value))
		return node_of(c, value, &n->singles[EACH_ITEM]);
	return json_array_size(value) == 0 ? OK : compile_group(c, n, value, TUPLE);
}

static enum status members_of(struct compiler *c, const json_t *value, bool patterns,
			      struct members *out)
{
	const char *name;
	json_t *schema;

	if (!json_is_object(value))
		return failure(E_INVALID, "must be an object of schemas");
	out->list = NEW_ARRAY(c->mem, struct member, json_object_size(value) + 1);
	json_object_foreach ((json_t *)value, name, schema) {
		struct member *m = &out->list[out->count++];
		m->name = name;
		enum status s = patterns ? pattern_of(c, name, &m->pattern) : OK;
		if (s == OK && json_is_array(schema)) {
			m->names = schema;
			s = are_strings(schema) ? OK : failure(E_INVALID, "must hold strings");
		} else if (s == OK) {
			s = node_of(c, schema, &m->node);
		}
		if (s != OK)
			return failure_in(s, "%.60s", name);
	}
	return OK;
}

/* Before anything is compiled: a name may be a large pattern. */
static enum status no_arrays(const json_t *value)
{
	const char *name;
	json_t *schema;

	json_object_foreach ((json_t *)value, name, schema)
		if (json_is_array(schema))
			return failure(E_INVALID, "%.60s: a schema must be an object or a boolean",
				       name);
	return OK;
}

static enum status compile_properties(struct compiler *c, struct node *n, const json_t *value,
				      int which)
{
	(void)which;
	TRY(no_arrays(value));
	return members_of(c, value, false, &n->properties);
}

static enum status compile_patterns(struct compiler *c, struct node *n, const json_t *value,
				    int which)
{
	(void)which;
	TRY(no_arrays(value));
	return members_of(c, value, true, &n->patterns);
}

static enum status compile_dependencies(struct compiler *c, struct node *n, const json_t *value,
					int which)
{
	(void)which;
	return members_of(c, value, false, &n->dependencies);
}

/* Compiled although nothing may refer to them: what is wrong shows at once. */
static enum status compile_definitions(struct compiler *c, struct node *n, const json_t *value,
				       int which)
{
	struct members unused = {0};

	(void)n;
	(void)which;
	TRY(no_arrays(value));
	return members_of(c, value, false, &unused);
}

static enum status compile_schema(struct compiler *c, struct node *n, const json_t *value,
				  int which)
{
	const char *uri = json_string_value(value);

	(void)c;
	(void)n;
	(void)which;
	if (uri == NULL || strstr(uri, "json-schema.org/draft-07/schema") == NULL)
		return failure(E_INVALID, "only draft-07 is supported");
	return OK;
}

static enum status compile_id(struct compiler *c, struct node *n, const json_t *value, int which)
{
	(void)which;
	if (n->source != c->doc || !json_is_string(value))
		return failure(E_INVALID, "is supported at the root only");
	return OK;
}

static enum status annotation(struct compiler *c, struct node *n, const json_t *value, int which)
{
	(void)c;
	(void)n;
	(void)value;
	(void)which;
	return OK;
}

static const struct {
	const char *name;
	enum status (*compile)(struct compiler *c, struct node *n, const json_t *value, int which);
	int which;
} KEYWORDS[] = {
	{"type", compile_type, 0},
	{"enum", compile_enum, 0},
	{"const", compile_const, 0},
	{"required", compile_required, 0},
	{"properties", compile_properties, 0},
	{"patternProperties", compile_patterns, 0},
	{"additionalProperties", compile_single, OTHER_PROPERTIES},
	{"propertyNames", compile_single, NAMES},
	{"dependencies", compile_dependencies, 0},
	{"items", compile_items, 0},
	{"additionalItems", compile_single, OTHER_ITEMS},
	{"contains", compile_single, CONTAINS},
	{"uniqueItems", compile_unique, 0},
	{"minLength", compile_size, MIN_LENGTH},
	{"maxLength", compile_size, MAX_LENGTH},
	{"minItems", compile_size, MIN_ITEMS},
	{"maxItems", compile_size, MAX_ITEMS},
	{"minProperties", compile_size, MIN_PROPERTIES},
	{"maxProperties", compile_size, MAX_PROPERTIES},
	{"minimum", compile_bound, MINIMUM},
	{"maximum", compile_bound, MAXIMUM},
	{"exclusiveMinimum", compile_bound, EXCLUSIVE_MINIMUM},
	{"exclusiveMaximum", compile_bound, EXCLUSIVE_MAXIMUM},
	{"multipleOf", compile_bound, MULTIPLE_OF},
	{"pattern", compile_pattern, 0},
	{"format", compile_format, 0},
	{"allOf", compile_group, ALL_OF},
	{"anyOf", compile_group, ANY_OF},
	{"oneOf", compile_group, ONE_OF},
	{"not", compile_single, NOT},
	{"if", compile_single, IF},
	{"then", compile_single, THEN},
	{"else", compile_single, ELSE},
	{"definitions", compile_definitions, 0},
	{"$schema", compile_schema, 0},
	{"$id", compile_id, 0},
	{"$comment", annotation, 0},
	{"title", annotation, 0},
	{"description", annotation, 0},
	{"default", annotation, 0},
	{"examples", annotation, 0},
	{"readOnly", annotation, 0},
	{"writeOnly", annotation, 0},
};

static enum status compile_keyword(struct compiler *c, struct node *n, const char *name,
				   const json_t *value)
{
	if (str_starts(name, "x-"))
		return OK;
	for (size_t k = 0; k < sizeof(KEYWORDS) / sizeof(KEYWORDS[0]); k++) {
		if (!str_eq(KEYWORDS[k].name, name))
			continue;
		enum status s = KEYWORDS[k].compile(c, n, value, KEYWORDS[k].which);
		return s == OK ? OK : failure_in(s, "%s", name);
	}
	return failure(E_INVALID, "%.60s: an unknown keyword", name);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next step of a pointer in a URI fragment, with %XX, ~0 and ~1 undone. */
static char *next_step(void *mem, const char **at)
{
	size_t n = strcspn(*at, "/");
	char *out = str_ndup(mem, *at, n);
	size_t to = 0;

	*at += n + ((*at)[n] == '/');
	for (size_t i = 0; out[i] != '\0'; i++) {
		int high = out[i] == '%' ? hex_digit(out[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(out[i + 2]) : -1;
		if (low >= 0) {
			out[to++] = (char)(high * 16 + low);
			i += 2;
		} else {
			out[to++] = out[i];
		}
	}
	out[to] = '\0';
	to = 0;
	for (size_t i = 0; out[i] != '\0'; i++) {
		bool escape = out[i] == '~' && (out[i + 1] == '0' || out[i + 1] == '1');
		out[to++] = !escape ? out[i] : out[++i] == '0' ? '~' : '/';
	}
	out[to] = '\0';
	return out;
}

static const json_t *step_into(const json_t *at, const char *step)
{
	long long n;

	if (json_is_array(at))
		return str_to_int(step, 0, INT32_MAX, &n) == OK ? json_array_get(at, (size_t)n)
								: NULL;
	return json_object_get(at, step);
}

static enum status compile_ref(struct compiler *c, struct node *n, const json_t *value)
{
	SCOPE(tmp);
	const char *at = json_string_value(value);
	const char *id = json_str(c->doc, "$id");
	const json_t *target = c->doc;

	if (at == NULL)
		return failure(E_INVALID, "$ref: must be a string");
	if (id != NULL && str_starts(at, id) && strchr("#", at[strlen(id)]) != NULL)
		at += strlen(id);
	if (str_eq(at, "#") || (*at == '\0' && id != NULL))
		return node_of(c, c->doc, &n->ref);
	if (!str_starts(at, "#/"))
		return failure(E_INVALID, "$ref: only references into this document (#/…) are "
					  "supported");
	at += 2;
	do {
		bool last = strchr(at, '/') == NULL;
		target = step_into(target, next_step(tmp, &at));
		if (last)
			break;
	} while (target != NULL);
	if (target == NULL)
		return failure(E_INVALID, "$ref: %.100s leads nowhere", json_string_value(value));
	return node_of(c, target, &n->ref);
}

static enum status compile_object(struct compiler *c, struct node *n, const json_t *schema)
{
	const char *name;
	json_t *value;

	if (json_object_get(schema, "$ref") != NULL)
		return compile_ref(c, n, json_object_get(schema, "$ref"));
	json_object_foreach ((json_t *)schema, name, value)
		TRY(compile_keyword(c, n, name, value));
	return OK;
}

static struct node *node_new(struct compiler *c, const json_t *schema)
{
	struct node *n = NEW(c->mem, struct node);

	n->source = schema;
	for (int s = 0; s < SIZES; s++)
		n->sizes[s] = -1;
	c->nodes = GROW(c->mem, c->nodes, struct node *, c->count + 1);
	c->nodes[c->count++] = n;
	return n;
}

/* The node is known before its parts are compiled, so that they may refer to it. */
static enum status node_of(struct compiler *c, const json_t *schema, struct node **out)
{
	for (size_t i = 0; i < c->count && !json_is_boolean(schema); i++) {
		if (c->nodes[i]->source == schema) {
			*out = c->nodes[i];
			return OK;
		}
	}
	if (c->count >= NODES_MAX)
		return failure(E_INVALID, "more than %d subschemas", NODES_MAX);
	if (!json_is_object(schema) && !json_is_boolean(schema))
		return failure(E_INVALID, "a schema must be an object or a boolean");
	if (c->nested == NESTED_MAX)
		return failure(E_INVALID, "subschemas nested deeper than %d", NESTED_MAX);
	*out = node_new(c, schema);
	(*out)->never = json_is_false(schema);
	c->nested++;
	enum status s = json_is_object(schema) ? compile_object(c, *out, schema) : OK;
	c->nested--;
	return s;
}

/* Following only what looks at the same value again must come to an end. */
static enum status check_endless(struct node *n)
{
	static const enum single IN_PLACE[] = {NOT, IF, THEN, ELSE};

	if (n == NULL || n->mark == CHECKED)
		return OK;
	if (n->mark == ON_PATH)
		return failure(E_INVALID, "$ref: refers to itself without end");
	n->mark = ON_PATH;
	TRY(check_endless(n->ref));
	for (int g = ALL_OF; g <= ONE_OF; g++)
		for (size_t i = 0; i < n->groups[g].count; i++)
			TRY(check_endless(n->groups[g].nodes[i]));
	for (size_t i = 0; i < sizeof(IN_PLACE) / sizeof(IN_PLACE[0]); i++)
		TRY(check_endless(n->singles[IN_PLACE[i]]));
	for (size_t i = 0; i < n->dependencies.count; i++)
		TRY(check_endless(n->dependencies.list[i].node));
	n->mark = CHECKED;
	return OK;
}

enum status json_schema_compile(void *mem, json_t *doc, struct json_schema **out)
{
	struct json_schema *s = NEW(mem, struct json_schema);
	struct compiler c = {.mem = s, .doc = mem_own(s, json_incref(doc))};

	TRY(node_of(&c, doc, &s->root));
	for (size_t i = 0; i < c.count; i++)
		TRY(check_endless(c.nodes[i]));
	*out = s;
	return OK;
}
