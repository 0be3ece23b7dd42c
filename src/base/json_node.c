#include "base/json_node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

enum { COMPARE_ALL = 16 }; /* members up to which each key is compared with each */

/* `at` walks a copy of the text that ends with a NUL; strings are unescaped and ended in place. Any
 * failure is only "not this way": json.c finds the words for it. */
struct scan {
	void *mem;
	char *at;
	const char *end;
	struct node *nodes;
	size_t count, room;
	int depth;
};

static size_t add(struct scan *s, enum node_kind kind)
{
	if (s->count == s->room) {
		s->room *= 2;
		s->nodes = GROW(s->mem, s->nodes, struct node, s->room);
	}
	s->nodes[s->count] = (struct node){.kind = (uint8_t)kind, .span = 1};
	return s->count++;
}

static void skip_space(struct scan *s)
{
	while (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t')
		s->at++;
}

/* Bytes of a string that stand for themselves. */
static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static bool is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Length of the code point that begins here, 0 for what is no UTF-8. The text's NUL ends every look
 * ahead. */
static size_t utf8_length(const unsigned char *c)
{
	if (c[0] >= 0xc2 && c[0] <= 0xdf)
		return is_tail(c[1]) ? 2 : 0;
	if ((c[0] & 0xf0) == 0xe0) {
		bool good = is_tail(c[1]) && (c[0] != 0xe0 || c[1] >= 0xa0) &&
			    (c[0] != 0xed || c[1] <= 0x9f) && is_tail(c[2]);
		return good ? 3 : 0;
	}
	if (c[0] >= 0xf0 && c[0] <= 0xf4) {
		bool good = is_tail(c[1]) && (c[0] != 0xf0 || c[1] >= 0x90) &&
			    (c[0] != 0xf4 || c[1] <= 0x8f) && is_tail(c[2]) && is_tail(c[3]);
		return good ? 4 : 0;
	}
	return 0;
}

static bool hex4(const char *c, uint32_t *out)
{
	*out = 0;
	for (int n = 0; n < 4; n++) {
		char d = c[n];
		if (d >= '0' && d <= '9')
			*out = *out * 16 + (uint32_t)(d - '0');
		else if ((d | 0x20) >= 'a' && (d | 0x20) <= 'f')
			*out = *out * 16 + (uint32_t)((d | 0x20) - 'a' + 10);
		else
			return false;
	}
	return true;
}

static char *put_utf8(char *to, uint32_t point)
{
	if (point < 0x80) {
		*to++ = (char)point;
		return to;
	}
	if (point < 0x800) {
		*to++ = (char)(0xc0 | point >> 6);
	} else {
		if (point < 0x10000) {
			*to++ = (char)(0xe0 | point >> 12);
		} else {
			*to++ = (char)(0xf0 | point >> 18);
			*to++ = (char)(0x80 | (point >> 12 & 0x3f));
		}
		*to++ = (char)(0x80 | (point >> 6 & 0x3f));
	}
	*to++ = (char)(0x80 | (point & 0x3f));
	return to;
}

/* Behind "\u". */
static bool unescape_unicode(struct scan *s, char **to)
{
	uint32_t point, low;

	if (!hex4(s->at, &point))
		return false;
	s->at += 4;
	if (point >= 0xd800 && point <= 0xdbff) {
		if (s->at[0] != '\\' || s->at[1] != 'u' || !hex4(s->at + 2, &low) || low < 0xdc00 ||
		    low > 0xdfff)
			return false;
		s->at += 6;
		point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
	} else if (point >= 0xdc00 && point <= 0xdfff) {
		return false;
	}
	if (point == 0)
		return false;
	*to = put_utf8(*to, point);
	return true;
}

/* Behind the backslash. */
static bool unescape(struct scan *s, char **to)
{
	static const char NAMES[] = "\"\\/bfnrt", VALUES[] = "\"\\/\b\f\n\r\t";
	char c = *s->at;
	const char *known = c == '\0' ? NULL : strchr(NAMES, c);

	if (c != 'u' && known == NULL)
		return false;
	s->at++;
	if (c == 'u')
		return unescape_unicode(s, to);
	*(*to)++ = VALUES[known - NAMES];
	return true;
}

static bool scan_string(struct scan *s)
{
	size_t node = add(s, NODE_STRING);
	char *begin = ++s->at;

	while (is_plain((unsigned char)*s->at))
		s->at++;
	for (char *to = s->at;;) {
		unsigned char c = (unsigned char)*s->at;
		size_t n = is_plain(c) ? 1 : c < 0x80 ? 0 : utf8_length((unsigned char *)s->at);
		if (n > 0) {
			memmove(to, s->at, n);
			to += n;
			s->at += n;
		} else if (c == '\\') {
			s->at++;
			if (!unescape(s, &to))
				return false;
		} else if (c == '"') {
			s->at++;
			*to = '\0';
			s->nodes[node].text = begin;
			s->nodes[node].size = (uint32_t)(to - begin);
			return true;
		} else {
			return false;
		}
	}
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool skip_digits(char **at)
{
	if (!is_digit(**at))
		return false;
	while (is_digit(**at))
		(*at)++;
	return true;
}

static bool scan_number(struct scan *s)
{
	size_t node = add(s, NODE_INTEGER);
	char *begin = s->at;
	char *at = begin + (*begin == '-');
	char *end = NULL;
	bool real = false;

	if (at[0] == '0' && is_digit(at[1]))
		return false;
	if (!skip_digits(&at))
		return false;
	if (*at == '.') {
		real = true;
		at++;
		if (!skip_digits(&at))
			return false;
	}
	if (*at == 'e' || *at == 'E') {
		real = true;
		at += 1 + (at[1] == '+' || at[1] == '-');
		if (!skip_digits(&at))
			return false;
	}
	errno = 0;
	if (real) {
		s->nodes[node].kind = NODE_REAL;
		s->nodes[node].real = strtod(begin, &end);
		/* what is too small to tell from zero is no error */
		if (errno == ERANGE && (s->nodes[node].real > 1 || s->nodes[node].real < -1))
			return false;
	} else {
		s->nodes[node].integer = strtoll(begin, &end, 10);
		if (errno != 0)
			return false;
	}
	s->at = at;
	return end == at;
}

static bool scan_word(struct scan *s, const char *word, enum node_kind kind)
{
	size_t n = strlen(word);

	if (strncmp(s->at, word, n) != 0)
		return false;
	s->at += n;
	add(s, kind);
	return true;
}

static int by_key(const void *a, const void *b)
{
	const struct node *x = *(const struct node *const *)a;
	const struct node *y = *(const struct node *const *)b;

	return x->size != y->size ? (x->size < y->size ? -1 : 1)
				  : memcmp(x->text, y->text, x->size);
}

static bool keys_repeat_sorted(const struct node *object)
{
	SCOPE(tmp);
	const struct node **keys = NEW_ARRAY(tmp, const struct node *, object->size);
	size_t count = 0;

	NODE_MEMBERS(key, object)
	keys[count++] = key;
	qsort(keys, count, sizeof(*keys), by_key);
	for (size_t n = 1; n < count; n++)
		if (by_key(&keys[n - 1], &keys[n]) == 0)
			return true;
	return false;
}

static bool keys_repeat(const struct node *object)
{
	if (object->size > COMPARE_ALL)
		return keys_repeat_sorted(object);
	NODE_MEMBERS(key, object)
	NODE_MEMBERS(other, object)
	{
		if (other == key)
			break;
		if (by_key(&key, &other) == 0)
			return true;
	}
	return false;
}

static bool scan_value(struct scan *s);

static bool scan_members(struct scan *s, size_t node, bool object)
{
	char end = object ? '}' : ']';

	s->at++;
	skip_space(s);
	for (; *s->at != end; s->nodes[node].size++) {
		if (s->nodes[node].size > 0) {
			if (*s->at++ != ',')
				return false;
			skip_space(s);
		}
		if (object) {
			if (*s->at != '"' || !scan_string(s))
				return false;
			skip_space(s);
			if (*s->at++ != ':')
				return false;
			skip_space(s);
		}
		if (!scan_value(s))
			return false;
		skip_space(s);
	}
	s->at++;
	return true;
}

static bool scan_holder(struct scan *s, bool object)
{
	size_t node = add(s, object ? NODE_OBJECT : NODE_ARRAY);

	if (++s->depth > LIMIT_JSON_DEPTH || !scan_members(s, node, object))
		return false;
	s->depth--;
	s->nodes[node].span = (uint32_t)(s->count - node);
	return !object || !keys_repeat(&s->nodes[node]);
}

static bool scan_value(struct scan *s)
{
	switch (*s->at) {
	case '{': return scan_holder(s, true);
	case '[': return scan_holder(s, false);
	case '"': return scan_string(s);
	case 't': return scan_word(s, "true", NODE_TRUE);
	case 'f': return scan_word(s, "false", NODE_FALSE);
	case 'n': return scan_word(s, "null", NODE_NULL);
	default: return scan_number(s);
	}
}

/* NULL when the text is not strict JSON. */
static const struct node *scan(void *mem, const char *text, size_t n)
{
	char *copy = mem_check(talloc_size(mem, n + 1));
	struct scan s = {.mem = mem, .at = copy, .end = copy + n, .room = n / 8 + 8};

	if (n > 0) /* a body of no bytes may have no place either */
		memcpy(copy, text, n);
	copy[n] = '\0';
	s.nodes = mem_check(talloc_array(mem, struct node, s.room));
	skip_space(&s);
	if (!scan_value(&s))
		return NULL;
	skip_space(&s);
	return s.at == s.end ? s.nodes : NULL;
}

/* The slow way, for the words of a refusal. */
static enum status refuse(void *mem, const char *text, size_t n, const struct node **out)
{
	json_error_t error;
	json_t *value = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	if (value == NULL)
		return failure(E_INVALID, "line %d, column %d: %s", error.line, error.column,
			       error.text);
	*out = node_of(mem, mem_own(mem, value));
	return OK;
}

/* Jansson's own depth limit is fixed at 2048, so the nesting is measured before it parses. */
static enum status check_depth(const char *text, size_t n)
{
	int depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > LIMIT_JSON_DEPTH)
				return failure(E_INVALID, "JSON is nested deeper than %d levels",
					       LIMIT_JSON_DEPTH);
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return OK;
}

enum status node_parse(void *mem, const char *text, size_t n, const struct node **out)
{
	const struct node *nodes = n < UINT32_MAX / 2 ? scan(mem, text, n) : NULL;

	if (nodes == NULL) {
		TRY(check_depth(text, n));
		return refuse(mem, text, n, out);
	}
	*out = nodes;
	return OK;
}

static void add_value(struct scan *s, const json_t *value);

static size_t add_text(struct scan *s, const char *text, size_t n)
{
	size_t node = add(s, NODE_STRING);

	s->nodes[node].text = text;
	s->nodes[node].size = (uint32_t)n;
	return node;
}

static void add_members(struct scan *s, const json_t *value)
{
	const char *name;
	json_t *member;
	size_t n;

	json_object_foreach ((json_t *)value, name, member) {
		add_text(s, name, strlen(name));
		add_value(s, member);
	}
	json_array_foreach (value, n, member)
		add_value(s, member);
}

static void add_value(struct scan *s, const json_t *value)
{
	static const enum node_kind KINDS[] = {
		[JSON_OBJECT] = NODE_OBJECT, [JSON_ARRAY] = NODE_ARRAY,
		[JSON_STRING] = NODE_STRING, [JSON_INTEGER] = NODE_INTEGER,
		[JSON_REAL] = NODE_REAL,     [JSON_TRUE] = NODE_TRUE,
		[JSON_FALSE] = NODE_FALSE,   [JSON_NULL] = NODE_NULL};
	size_t node;

	if (json_is_string(value)) {
		add_text(s, json_string_value(value), json_string_length(value));
		return;
	}
	node = add(s, KINDS[json_typeof(value)]);
	if (json_is_integer(value))
		s->nodes[node].integer = json_integer_value(value);
	else if (json_is_real(value))
		s->nodes[node].real = json_real_value(value);
	add_members(s, value);
	s->nodes[node].size = (uint32_t)(json_is_object(value) ? json_object_size(value)
							       : json_array_size(value));
	s->nodes[node].span = (uint32_t)(s->count - node);
}

const struct node *node_of(void *mem, const json_t *value)
{
	struct scan s = {.mem = mem, .room = 64};

	s.nodes = mem_check(talloc_array(mem, struct node, s.room));
	add_value(&s, value);
	return s.nodes;
}

static json_t *value_of(const struct node *node);

static json_t *object_of(const struct node *node)
{
	json_t *object = mem_check(json_object());

	NODE_MEMBERS(key, node)
	json_object_setn_new_nocheck(object, key->text, key->size, value_of(key + 1));
	return object;
}

static json_t *array_of(const struct node *node)
{
	json_t *array = mem_check(json_array());

	NODE_EACH(element, node)
	json_array_append_new(array, value_of(element));
	return array;
}

static json_t *value_of(const struct node *node)
{
	switch ((enum node_kind)node->kind) {
	case NODE_OBJECT: return object_of(node);
	case NODE_ARRAY: return array_of(node);
	case NODE_STRING: return mem_check(json_stringn_nocheck(node->text, node->size));
	case NODE_INTEGER: return mem_check(json_integer(node->integer));
	case NODE_REAL: return mem_check(json_real(node->real));
	case NODE_TRUE: return json_true();
	case NODE_FALSE: return json_false();
	default: return json_null();
	}
}

json_t *node_json(void *mem, const struct node *node)
{
	return mem_own(mem, value_of(node));
}

const struct node *node_get(const struct node *object, const char *key)
{
	size_t n = strlen(key);

	if (object == NULL || object->kind != NODE_OBJECT)
		return NULL;
	NODE_MEMBERS(member, object)
	if (member->size == n && memcmp(member->text, key, n) == 0)
		return member + 1;
	return NULL;
}

const char *node_str(const struct node *object, const char *key)
{
	const struct node *value = node_get(object, key);

	return value != NULL && value->kind == NODE_STRING ? value->text : NULL;
}

int64_t node_int(const struct node *object, const char *key, int64_t otherwise)
{
	const struct node *value = node_get(object, key);

	return value != NULL && value->kind == NODE_INTEGER ? value->integer : otherwise;
}
