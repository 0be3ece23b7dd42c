/*
 * Checking walks value and graph together; inside anyOf, not, if and their like it keeps silent,
 * elsewhere it reports and goes on.
 */
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/json_schema_parts.h"

enum { DEPTH_MAX = 192, WORK_MAX = 200000 };
enum { POINTER_BYTES = 200, PATTERN_BYTES = 100 }; /* of what a report quotes */

static const char *const SIZE_NAMES[SIZES] = {"minLength", "maxLength",	    "minItems",
					      "maxItems",  "minProperties", "maxProperties"};
static const char *const BOUND_NAMES[BOUNDS] = {"minimum", "maximum", "exclusiveMinimum",
						"exclusiveMaximum", "multipleOf"};

struct place {
	const struct place *up;
	const char *name; /* NULL: an item */
	size_t item;
};

struct check {
	void *mem;
	struct json_verdict *out; /* NULL = only yes or no is wanted */
	long work;
	int depth;
	int silent;
};

static bool fits(struct check *c, const struct node *n, const json_t *v, const struct place *at);

static char *pointer_to(void *mem, const struct place *at)
{
	if (at == NULL)
		return str_dup(mem, "");
	char *text = pointer_to(mem, at->up);
	if (at->name == NULL) {
		str_add(&text, "/%zu", at->item);
		return text;
	}
	str_add(&text, "/");
	for (const char *s = at->name; *s != '\0'; s++)
		if (*s == '~' || *s == '/')
			str_add(&text, "%s", *s == '~' ? "~0" : "~1");
		else
			str_add(&text, "%c", *s);
	return text;
}

static bool is_heard(const struct check *c)
{
	return c->out != NULL && c->silent == 0 && c->out->count < JSON_VIOLATIONS_MAX;
}

/* Says no; and why, unless nobody listens. */
static bool PRINTF(4, 5)
	no(struct check *c, const struct place *at, const char *rule, const char *fmt, ...)
{
	va_list args;

	if (!is_heard(c))
		return false;
	struct json_violation *v = &c->out->violations[c->out->count++];
	v->pointer = pointer_to(c->mem, at);
	v->rule = rule;
	va_start(args, fmt);
	char *text = mem_check(talloc_vasprintf(c->mem, fmt, args));
	va_end(args);
	bool long_pointer = strlen(v->pointer) > POINTER_BYTES;
	v->text = str_fmt(c->mem, "%s%s%s%s", str_fit(c->mem, v->pointer, POINTER_BYTES),
			  long_pointer ? "…" : "", *v->pointer == '\0' ? "" : " ", text);
	return false;
}

static bool spend(struct check *c, size_t work)
{
	c->work -= (long)(work > WORK_MAX ? WORK_MAX : work);
	return c->work >= 0;
}

static int compare_int_double(json_int_t a, double b)
{
	if (b >= 9223372036854775808.0)
		return -1;
	if (b < -9223372036854775808.0)
		return 1;
	json_int_t whole = (json_int_t)b;
	if (a != whole)
		return a < whole ? -1 : 1;
	double rest = b - (double)whole;
	return rest > 0 ? -1 : rest < 0;
}

static int compare(const json_t *a, const json_t *b)
{
	if (json_is_integer(a) && json_is_integer(b)) {
		json_int_t x = json_integer_value(a);
		json_int_t y = json_integer_value(b);
		return x < y ? -1 : x > y;
	}
	if (json_is_integer(a))
		return compare_int_double(json_integer_value(a), json_real_value(b));
	if (json_is_integer(b))
		return -compare_int_double(json_integer_value(b), json_real_value(a));
	return json_real_value(a) < json_real_value(b) ? -1
						       : json_real_value(a) > json_real_value(b);
}

static bool same(struct check *c, const json_t *a, const json_t *b);

static bool same_array(struct check *c, const json_t *a, const json_t *b)
{
	if (json_array_size(a) != json_array_size(b))
		return false;
	for (size_t i = 0; i < json_array_size(a); i++)
		if (!same(c, json_array_get(a, i), json_array_get(b, i)))
			return false;
	return true;
}

static bool same_object(struct check *c, const json_t *a, const json_t *b)
{
	const char *name;
	json_t *value;

	if (json_object_size(a) != json_object_size(b))
		return false;
	json_object_foreach ((json_t *)a, name, value) {
		const json_t *other = json_object_get(b, name);
		if (other == NULL || !same(c, value, other))
			return false;
	}
	return true;
}

/* As JSON Schema means it: 1 and 1.0 are the same. */
static bool same(struct check *c, const json_t *a, const json_t *b)
{
	if (!spend(c, 1))
		return false;
	if (json_is_number(a) && json_is_number(b))
		return compare(a, b) == 0;
	if (json_typeof(a) != json_typeof(b))
		return false;
	if (json_is_array(a))
		return same_array(c, a, b);
	if (json_is_object(a))
		return same_object(c, a, b);
	return json_equal(a, b);
}

static unsigned types_of(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_NULL: return TYPE_NULL;
	case JSON_TRUE:
	case JSON_FALSE: return TYPE_BOOLEAN;
	case JSON_OBJECT: return TYPE_OBJECT;
	case JSON_ARRAY: return TYPE_ARRAY;
	case JSON_STRING: return TYPE_STRING;
	case JSON_INTEGER: return TYPE_NUMBER | TYPE_INTEGER;
	case JSON_REAL: break;
	}
	double real = json_real_value(v);
	return real == floor(real) ? TYPE_NUMBER | TYPE_INTEGER : TYPE_NUMBER;
}

static const char *type_names(const struct check *c, unsigned types)
{
	if (!is_heard(c))
		return "";
	char *text = str_dup(c->mem, "");
	for (size_t t = 0; t < TYPE_COUNT; t++)
		if ((types & TYPE_NAMES[t].type) != 0)
			str_add(&text, "%s%s", *text == '\0' ? "" : " or ", TYPE_NAMES[t].name);
	return text;
}

static const char *shown(const struct check *c, const json_t *value)
{
	if (!is_heard(c))
		return "";
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	char *out = str_cut(c->mem, text == NULL ? "?" : text, 80);

	/* jansson's own memory */
	free(text);
	return out;
}

static bool check_type(struct check *c, const struct node *n, const json_t *v,
		       const struct place *at)
{
	unsigned have = types_of(v);

	if (n->types == 0 || (n->types & have) != 0)
		return true;
	return no(c, at, "type", "must be %s, is %s", type_names(c, n->types),
		  type_names(c, have & ~(unsigned)TYPE_INTEGER));
}

static bool check_choice(struct check *c, const struct node *n, const json_t *v,
			 const struct place *at)
{
	size_t i;
	json_t *one;

	if (n->constant != NULL && !same(c, n->constant, v))
		return no(c, at, "const", "must be %s", shown(c, n->constant));
	if (n->choice == NULL)
		return true;
	json_array_foreach ((json_t *)n->choice, i, one)
		if (same(c, one, v))
			return true;
	return no(c, at, "enum", "must be one of %s", shown(c, n->choice));
}

static bool is_multiple(const json_t *v, const json_t *of)
{
	if (json_is_integer(v) && json_is_integer(of))
		return json_integer_value(v) % json_integer_value(of) == 0;
	double inverse = 1 / json_number_value(of);
	if (json_is_integer(v) && inverse >= 1 &&
	    fabs(inverse - nearbyint(inverse)) <= 1e-9 * inverse)
		return true; /* the quotient may have more digits than a double */
	double ratio = json_number_value(v) / json_number_value(of);
	if (!isfinite(ratio))
		return fmod(json_number_value(v), json_number_value(of)) == 0;
	return fabs(ratio - nearbyint(ratio)) <= 1e-9 * fmax(1, fabs(ratio)) &&
	       (fabs(ratio) < 1e9 || fmod(json_number_value(v), json_number_value(of)) == 0);
}

static bool within(enum bound b, const json_t *v, const json_t *limit)
{
	switch (b) {
	case MINIMUM: return compare(v, limit) >= 0;
	case MAXIMUM: return compare(v, limit) <= 0;
	case EXCLUSIVE_MINIMUM: return compare(v, limit) > 0;
	case EXCLUSIVE_MAXIMUM: return compare(v, limit) < 0;
	case MULTIPLE_OF:
	case BOUNDS: break;
	}
	return is_multiple(v, limit);
}

static bool check_number(struct check *c, const struct node *n, const json_t *v,
			 const struct place *at)
{
	static const char *const WORDS[BOUNDS] = {"at least", "at most", "above", "below",
						  "a multiple of"};
	bool good = true;

	for (int b = 0; b < BOUNDS; b++)
		if (n->bounds[b] != NULL && !within((enum bound)b, v, n->bounds[b]))
			good = no(c, at, BOUND_NAMES[b], "must be %s %s", WORDS[b],
				  shown(c, n->bounds[b]));
	return good;
}

static bool check_size(struct check *c, const struct node *n, enum size least, size_t have,
		       const char *unit, const struct place *at)
{
	int64_t min = n->sizes[least];
	int64_t max = n->sizes[least + 1];

	if (min >= 0 && have < (uint64_t)min)
		return no(c, at, SIZE_NAMES[least], "must have at least %lld %s", (long long)min,
			  unit);
	if (max >= 0 && have > (uint64_t)max)
		return no(c, at, SIZE_NAMES[least + 1], "must have at most %lld %s", (long long)max,
			  unit);
	return true;
}

static size_t points(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* scheme ":" and then no character that a URI may not hold */
static bool is_uri(const char *s)
{
	size_t scheme =
		strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

	if (!isalpha((unsigned char)*s) || s[scheme] != ':' || s[scheme + 1] == '\0')
		return false;
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f ||
		    strchr("\"<>\\^`{|}", *s) != NULL)
			return false;
	return true;
}

/* A leap second is the last one of a day in UTC, if it is one at all. */
static bool is_time(const char *text)
{
	int64_t ms;

	if (clock_parse(text, &ms) != OK)
		return false;
	bool leap = strncmp(text + strlen("2016-12-31T23:59:"), "60", 2) == 0;
	return !leap || ms / 1000 % (24LL * 3600) == 0;
}

static bool check_format(struct check *c, const struct node *n, const char *text,
			 const struct place *at)
{
	if (n->format == FORMAT_DATE_TIME && !is_time(text))
		return no(c, at, "format", "must be an RFC 3339 time");
	if (n->format == FORMAT_URI && !is_uri(text))
		return no(c, at, "format", "must be a URI");
	return true;
}

static bool matches(struct check *c, const struct pattern *p, const char *text)
{
	/* the machine starts before the first code point: an empty text costs too */
	return spend(c, 1 + (strlen(text) + 1) * pattern_cost(p) / 16) && pattern_search(p, text);
}

static const char *shown_pattern(const struct check *c, const struct node *n)
{
	return is_heard(c) ? str_fit(c->mem, n->pattern_text, PATTERN_BYTES) : "";
}

static bool check_string(struct check *c, const struct node *n, const json_t *v,
			 const struct place *at)
{
	const char *text = json_string_value(v);
	bool sized = n->sizes[MIN_LENGTH] >= 0 || n->sizes[MAX_LENGTH] >= 0;

	if (!spend(c, json_string_length(v) / 64))
		return false;
	bool good = !sized || check_size(c, n, MIN_LENGTH, points(text), "characters", at);

	if (n->pattern != NULL && !matches(c, n->pattern, text))
		good = no(c, at, "pattern", "must match %s", shown_pattern(c, n));
	return check_format(c, n, text, at) && good;
}

static bool check_unique(struct check *c, const json_t *v, const struct place *at)
{
	size_t count = json_array_size(v);

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < i && c->work >= 0; k++)
			if (same(c, json_array_get(v, i), json_array_get(v, k)))
				return no(c, at, "uniqueItems", "items %zu and %zu are the same", k,
					  i);
	return true;
}

static const struct node *node_of_item(const struct node *n, size_t i)
{
	if (i < n->groups[TUPLE].count)
		return n->groups[TUPLE].nodes[i];
	if (n->groups[TUPLE].count > 0)
		return n->singles[OTHER_ITEMS];
	return n->singles[EACH_ITEM];
}

static bool contains(struct check *c, const struct node *n, const json_t *v)
{
	bool found = false;
	size_t i;
	json_t *item;

	c->silent++;
	json_array_foreach ((json_t *)v, i, item)
		found = found || (c->work >= 0 && fits(c, n, item, NULL));
	c->silent--;
	return found;
}

static bool check_array(struct check *c, const struct node *n, const json_t *v,
			const struct place *at)
{
	bool good = check_size(c, n, MIN_ITEMS, json_array_size(v), "items", at);
	size_t i;
	json_t *item;

	json_array_foreach ((json_t *)v, i, item) {
		if (c->work < 0)
			return false;
		const struct node *inner = node_of_item(n, i);
		const struct place here = {.up = at, .item = i};
		if (inner != NULL && !fits(c, inner, item, &here))
			good = false;
	}
	if (n->singles[CONTAINS] != NULL && !contains(c, n->singles[CONTAINS], v))
		good = no(c, at, "contains", "must hold an item of the wanted kind");
	if (n->unique && !check_unique(c, v, at))
		good = false;
	return good;
}

static const struct member *find(const struct members *all, const char *name)
{
	for (size_t i = 0; i < all->count; i++)
		if (str_eq(all->list[i].name, name))
			return &all->list[i];
	return NULL;
}

static bool check_property(struct check *c, const struct node *n, const char *name, const json_t *v,
			   const struct place *at)
{
	const struct place here = {.up = at, .name = name};
	const struct member *known = find(&n->properties, name);
	bool covered = known != NULL;
	bool good = known == NULL || fits(c, known->node, v, &here);

	if (!spend(c, 1 + n->properties.count / 8))
		return false;
	for (size_t i = 0; i < n->patterns.count; i++) {
		if (!matches(c, n->patterns.list[i].pattern, name))
			continue;
		covered = true;
		good = fits(c, n->patterns.list[i].node, v, &here) && good;
	}
	if (!covered && n->singles[OTHER_PROPERTIES] != NULL) {
		if (n->singles[OTHER_PROPERTIES]->never)
			return no(c, &here, "additionalProperties", "is not allowed");
		good = fits(c, n->singles[OTHER_PROPERTIES], v, &here) && good;
	}
	return good;
}

static bool check_name(struct check *c, const struct node *names, const char *name,
		       const struct place *at)
{
	const struct place here = {.up = at, .name = name};
	json_t *text = json_string(name);

	c->silent++;
	bool good = fits(c, names, text, NULL);
	c->silent--;
	json_decref(text);
	return good ? true : no(c, &here, "propertyNames", "has a name that is not allowed");
}

static bool check_required(struct check *c, const json_t *names, const json_t *v, const char *rule,
			   const struct place *at)
{
	bool good = true;
	size_t i;
	json_t *name;

	if (!spend(c, json_array_size(names)))
		return false;
	json_array_foreach ((json_t *)names, i, name) {
		const struct place here = {.up = at, .name = json_string_value(name)};
		if (json_object_get(v, json_string_value(name)) == NULL)
			good = no(c, &here, rule, "is missing");
	}
	return good;
}

static bool check_dependencies(struct check *c, const struct node *n, const json_t *v,
			       const struct place *at)
{
	bool good = true;

	if (!spend(c, n->dependencies.count))
		return false;
	for (size_t i = 0; i < n->dependencies.count; i++) {
		const struct member *m = &n->dependencies.list[i];
		if (json_object_get(v, m->name) == NULL)
			continue;
		good = (m->names != NULL ? check_required(c, m->names, v, "dependencies", at)
					 : fits(c, m->node, v, at)) &&
		       good;
	}
	return good;
}

static bool check_object(struct check *c, const struct node *n, const json_t *v,
			 const struct place *at)
{
	bool good = check_size(c, n, MIN_PROPERTIES, json_object_size(v), "members", at);
	const char *name;
	json_t *value;

	if (n->required != NULL)
		good = check_required(c, n->required, v, "required", at) && good;
	json_object_foreach ((json_t *)v, name, value) {
		if (c->work < 0)
			return false;
		good = check_property(c, n, name, value, at) && good;
		if (n->singles[NAMES] != NULL)
			good = check_name(c, n->singles[NAMES], name, at) && good;
	}
	return check_dependencies(c, n, v, at) && good;
}

static size_t fitting(struct check *c, const struct group_of *g, const json_t *v)
{
	size_t count = 0;

	c->silent++;
	for (size_t i = 0; i < g->count; i++)
		count += fits(c, g->nodes[i], v, NULL);
	c->silent--;
	return count;
}

static bool fits_silently(struct check *c, const struct node *n, const json_t *v)
{
	c->silent++;
	bool good = fits(c, n, v, NULL);
	c->silent--;
	return good;
}

static bool check_groups(struct check *c, const struct node *n, const json_t *v,
			 const struct place *at)
{
	const struct group_of *g = n->groups;
	bool good = true;

	for (size_t i = 0; i < g[ALL_OF].count; i++)
		good = fits(c, g[ALL_OF].nodes[i], v, at) && good;
	if (g[ANY_OF].count > 0 && fitting(c, &g[ANY_OF], v) == 0)
		good = no(c, at, "anyOf", "fits none of the alternatives");
	if (g[ONE_OF].count > 0) {
		size_t count = fitting(c, &g[ONE_OF], v);
		if (count != 1)
			good = no(c, at, "oneOf", "fits %zu of the alternatives, must fit one",
				  count);
	}
	if (n->singles[NOT] != NULL && fits_silently(c, n->singles[NOT], v))
		good = no(c, at, "not", "is of a kind that is not allowed");
	if (n->singles[IF] != NULL) {
		bool holds = fits_silently(c, n->singles[IF], v);
		const struct node *then = n->singles[holds ? THEN : ELSE];
		good = (then == NULL || fits(c, then, v, at)) && good;
	}
	return good;
}

static bool check_all(struct check *c, const struct node *n, const json_t *v,
		      const struct place *at)
{
	bool good = check_type(c, n, v, at);

	good = check_choice(c, n, v, at) && good;
	if (json_is_number(v))
		good = check_number(c, n, v, at) && good;
	else if (json_is_string(v))
		good = check_string(c, n, v, at) && good;
	else if (json_is_array(v))
		good = check_array(c, n, v, at) && good;
	else if (json_is_object(v))
		good = check_object(c, n, v, at) && good;
	return check_groups(c, n, v, at) && good;
}

static bool fits(struct check *c, const struct node *n, const json_t *v, const struct place *at)
{
	if (n->never)
		return no(c, at, "false", "is not allowed");
	if (!spend(c, 1) || c->depth >= DEPTH_MAX) {
		c->work = -1;
		return false;
	}
	c->depth++;
	bool good = n->ref != NULL ? fits(c, n->ref, v, at) : check_all(c, n, v, at);
	c->depth--;
	return good;
}

bool json_schema_accepts(void *mem, const struct json_schema *s, const json_t *value,
			 struct json_verdict *out)
{
	struct check c = {.mem = mem, .out = out, .work = WORK_MAX};

	if (out != NULL)
		out->count = 0;
	bool good = fits(&c, s->root, value, NULL);
	if (c.work >= 0)
		return good;
	/* inside `not` an early end means nothing: what was found so far may be wrong */
	if (out != NULL)
		out->count = 0;
	return no(&c, NULL, "work", "takes too much work to check");
}
