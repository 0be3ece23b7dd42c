#include "base/yaml.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

/*
 * libyaml turns the text into events; this turns the events into values. A list or mapping is hung
 * into its parent before it is filled, so what a refused document leaves behind goes with the tree.
 */

/* Paths repeat the keys above them, so their sum could grow with the square of the text. */
enum {
	KEY_BYTES = LIMIT_LABEL_VALUE_BYTES,
	PATHS_BYTES = 4 * LIMIT_FILE_BYTES,
	DOCUMENTS_MAX = 10000
};

struct reader {
	yaml_parser_t parser;
	const char *name;
	const char *text;
	size_t n;
	int depth;
	json_t *lines; /* NULL when not wanted */
	size_t paths_bytes;
};

/* Where the next value goes: under `key` of an object, or to the end of a list (key NULL). */
struct slot {
	json_t *into;
	const char *key;
	const char *path; /* "" when no lines are wanted */
};

static enum status read_value(struct reader *r, const yaml_event_t *e, const struct slot *slot);

static enum status refuse(const struct reader *r, yaml_mark_t at, const char *fmt, ...)
	PRINTF(3, 4);

static enum status refuse(const struct reader *r, yaml_mark_t at, const char *fmt, ...)
{
	SCOPE(tmp);
	va_list args;

	va_start(args, fmt);
	const char *what = mem_check(talloc_vasprintf(tmp, fmt, args));
	va_end(args);
	return failure(E_INVALID, "%s:%zu:%zu: %s", r->name, at.line + 1, at.column + 1, what);
}

/* The mark of a byte offset, for errors that libyaml finds before it counts lines. */
static yaml_mark_t mark_of(const struct reader *r, size_t offset)
{
	yaml_mark_t at = {0};

	for (size_t i = 0; i < offset && i < r->n; i++) {
		if (r->text[i] == '\n') {
			at.line++;
			at.column = 0;
		} else if (((unsigned char)r->text[i] & 0xc0) != 0x80) {
			at.column++;
		}
	}
	return at;
}

static enum status refuse_syntax(const struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem == NULL ? "not YAML" : p->problem;

	if (p->error == YAML_MEMORY_ERROR)
		mem_check(NULL);
	if (p->error == YAML_READER_ERROR)
		return refuse(r, mark_of(r, p->problem_offset), "%s", problem);
	return refuse(r, p->problem_mark, "%s%s%s", problem, p->context == NULL ? "" : " ",
		      p->context == NULL ? "" : p->context);
}

static void drop_event(yaml_event_t *e)
{
	yaml_event_delete(e);
}

#define EVENT(name) __attribute__((cleanup(drop_event))) yaml_event_t name = {0}

static enum status next(struct reader *r, yaml_event_t *e)
{
	return yaml_parser_parse(&r->parser, e) ? OK : refuse_syntax(r);
}

static bool is_tagged(const yaml_event_t *e)
{
	if (e->type == YAML_SCALAR_EVENT)
		return e->data.scalar.tag != NULL;
	return e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.tag != NULL
						    : e->data.mapping_start.tag != NULL;
}

static bool is_anchored(const yaml_event_t *e)
{
	if (e->type == YAML_SCALAR_EVENT)
		return e->data.scalar.anchor != NULL;
	return e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.anchor != NULL
						    : e->data.mapping_start.anchor != NULL;
}

static enum status check_node(const struct reader *r, const yaml_event_t *e)
{
	if (e->type == YAML_ALIAS_EVENT)
		return refuse(r, e->start_mark, "aliases are not supported");
	if (is_anchored(e))
		return refuse(r, e->start_mark, "anchors are not supported");
	if (is_tagged(e))
		return refuse(r, e->start_mark, "tags are not supported");
	if (e->type == YAML_SCALAR_EVENT &&
	    memchr(e->data.scalar.value, '\0', e->data.scalar.length) != NULL)
		return refuse(r, e->start_mark, "a NUL character in a text");
	return OK;
}

static const char *text_of(const yaml_event_t *e)
{
	return (const char *)e->data.scalar.value;
}

static bool is_plain(const yaml_event_t *e)
{
	return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static size_t digits(const char *s)
{
	return strspn(s, "0123456789");
}

/* The grammar of JSON numbers. */
static bool is_number(const char *s)
{
	s += *s == '-';
	size_t whole = digits(s);
	if (whole == 0 || (whole > 1 && *s == '0'))
		return false;
	s += whole;
	if (*s == '.') {
		size_t fraction = digits(s + 1);
		if (fraction == 0)
			return false;
		s += 1 + fraction;
	}
	if (*s == 'e' || *s == 'E') {
		s += s[1] == '+' || s[1] == '-' ? 2 : 1;
		size_t exponent = digits(s);
		if (exponent == 0)
			return false;
		s += exponent;
	}
	return *s == '\0';
}

/* NULL only for a number that has no place in 64 bits. A missing value is null. */
static json_t *scalar_value(const yaml_event_t *e)
{
	const char *text = text_of(e);
	size_t n = e->data.scalar.length;

	if (is_plain(e) && (n == 0 || strcmp(text, "null") == 0))
		return json_null();
	if (is_plain(e) && strcmp(text, "true") == 0)
		return json_true();
	if (is_plain(e) && strcmp(text, "false") == 0)
		return json_false();
	if (is_plain(e) && is_number(text))
		return json_loadb(text, n, JSON_DECODE_ANY, NULL);
	return mem_check(json_stringn(text, n));
}

/* Hangs a new value into its place; the tree owns it from here. */
static void put(const struct slot *slot, json_t *value)
{
	int full = slot->key == NULL ? json_array_append_new(slot->into, value)
				     : json_object_set_new(slot->into, slot->key, value);
	if (full != 0)
		mem_check(NULL);
}

static enum status note_line(struct reader *r, const char *path, yaml_mark_t at)
{
	if (r->lines == NULL)
		return OK;
	r->paths_bytes += strlen(path);
	if (r->paths_bytes > PATHS_BYTES)
		return refuse(r, at, "too many keys for one document");
	if (json_object_set_new(r->lines, path, json_integer((json_int_t)at.line + 1)) != 0)
		mem_check(NULL);
	return OK;
}

static enum status read_list(struct reader *r, json_t *list, const char *path)
{
	for (size_t i = 0;; i++) {
		SCOPE(tmp);
		EVENT(e);
		TRY(next(r, &e));
		if (e.type == YAML_SEQUENCE_END_EVENT)
			return OK;
		struct slot slot = {list, NULL, ""};
		if (r->lines != NULL)
			slot.path = str_fmt(tmp, "%s[%zu]", path, i);
		TRY(note_line(r, slot.path, e.start_mark));
		TRY(read_value(r, &e, &slot));
	}
}

static enum status check_key(const struct reader *r, const yaml_event_t *e, const json_t *map)
{
	TRY(check_node(r, e));
	if (e->type != YAML_SCALAR_EVENT)
		return refuse(r, e->start_mark, "a key must be text");
	if (e->data.scalar.length == 0 && is_plain(e))
		return refuse(r, e->start_mark, "a key is missing before ':'");
	if (e->data.scalar.length > KEY_BYTES)
		return refuse(r, e->start_mark, "a key is longer than %d bytes", KEY_BYTES);
	if (json_object_get(map, text_of(e)) != NULL)
		return refuse(r, e->start_mark, "the key '%.60s' appears twice", text_of(e));
	return OK;
}

static enum status read_member(struct reader *r, const yaml_event_t *key, json_t *map,
			       const char *path)
{
	SCOPE(tmp);
	EVENT(value);

	TRY(check_key(r, key, map));
	struct slot slot = {map, text_of(key), ""};
	if (r->lines != NULL)
		slot.path = str_fmt(tmp, "%s%s%s", path, *path == '\0' ? "" : ".", slot.key);
	TRY(note_line(r, slot.path, key->start_mark));
	TRY(next(r, &value));
	return read_value(r, &value, &slot);
}

static enum status read_map(struct reader *r, json_t *map, const char *path)
{
	for (;;) {
		EVENT(key);
		TRY(next(r, &key));
		if (key.type == YAML_MAPPING_END_EVENT)
			return OK;
		TRY(read_member(r, &key, map, path));
	}
}

static enum status read_collection(struct reader *r, const yaml_event_t *e, const struct slot *slot)
{
	bool is_list = e->type == YAML_SEQUENCE_START_EVENT;
	json_t *value = mem_check(is_list ? json_array() : json_object());

	put(slot, value);
	if (++r->depth > LIMIT_JSON_DEPTH)
		return refuse(r, e->start_mark, "nested deeper than %d levels", LIMIT_JSON_DEPTH);
	TRY(is_list ? read_list(r, value, slot->path) : read_map(r, value, slot->path));
	r->depth--;
	return OK;
}

static enum status read_value(struct reader *r, const yaml_event_t *e, const struct slot *slot)
{
	TRY(check_node(r, e));
	if (e->type != YAML_SCALAR_EVENT)
		return read_collection(r, e, slot);
	json_t *value = scalar_value(e);
	if (value == NULL)
		return refuse(r, e->start_mark,
			      "the number %.60s is too large; quotes make it text", text_of(e));
	put(slot, value);
	return OK;
}

static bool is_nothing(const yaml_event_t *e)
{
	return e->type == YAML_SCALAR_EVENT && e->data.scalar.length == 0 && is_plain(e);
}

/* From after the start of a document to its end. */
static enum status read_document(struct reader *r, const struct slot *root)
{
	EVENT(value);
	EVENT(end);

	TRY(next(r, &value));
	if (is_nothing(&value)) {
		TRY(check_node(r, &value));
		put(root, mem_check(json_object()));
	} else {
		TRY(read_value(r, &value, root));
	}
	return next(r, &end);
}

static enum status read_stream(struct reader *r, const struct slot *root)
{
	EVENT(start);
	EVENT(first);
	EVENT(second);

	TRY(next(r, &start));
	TRY(next(r, &first));
	if (first.type == YAML_STREAM_END_EVENT) {
		put(root, mem_check(json_object()));
		return OK;
	}
	TRY(read_document(r, root));
	TRY(next(r, &second));
	if (second.type != YAML_STREAM_END_EVENT)
		return refuse(r, second.start_mark, "a second document");
	return OK;
}

/* A document that holds nothing is none. */
static bool drop_empty(const struct slot *root, size_t before)
{
	const json_t *last = json_array_get(root->into, before);

	if (!json_is_object(last) || json_object_size(last) > 0)
		return false;
	json_array_remove(root->into, before);
	return true;
}

/* `lines` NULL, or an array. */
static enum status read_documents(struct reader *r, const struct slot *root, json_t *lines)
{
	EVENT(start);

	TRY(next(r, &start));
	for (size_t count = 0;; count = json_array_size(root->into)) {
		EVENT(e);
		TRY(next(r, &e));
		if (e.type == YAML_STREAM_END_EVENT)
			return OK;
		if (count >= DOCUMENTS_MAX)
			return refuse(r, e.start_mark, "more than %d documents", DOCUMENTS_MAX);
		if (lines != NULL) {
			r->lines = mem_check(json_object());
			json_array_append_new(lines, r->lines);
		}
		TRY(read_document(r, root));
		if (drop_empty(root, count) && lines != NULL)
			json_array_remove(lines, count);
	}
}

static void drop_parser(struct reader *r)
{
	yaml_parser_delete(&r->parser);
}

static void begin(struct reader *r)
{
	if (!yaml_parser_initialize(&r->parser))
		mem_check(NULL);
	yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r->parser, (const unsigned char *)r->text, r->n);
}

enum status yaml_parse(void *mem, const char *name, const char *text, size_t n, json_t **out,
		       json_t **lines)
{
	SCOPE(tmp);
	__attribute__((cleanup(drop_parser))) struct reader r = {
		.name = name, .text = text, .n = n};
	struct slot root = {mem_own(tmp, json_array()), NULL, ""};

	if (lines != NULL)
		r.lines = mem_own(tmp, json_object());
	begin(&r);
	TRY(read_stream(&r, &root));
	*out = mem_own(mem, json_incref(json_array_get(root.into, 0)));
	if (lines != NULL)
		*lines = mem_own(mem, json_incref(r.lines));
	return OK;
}

enum status yaml_parse_all(void *mem, const char *name, const char *text, size_t n, json_t **out,
			   json_t **lines)
{
	SCOPE(tmp);
	__attribute__((cleanup(drop_parser))) struct reader r = {
		.name = name, .text = text, .n = n};
	struct slot root = {mem_own(tmp, json_array()), NULL, ""};
	json_t *all = lines == NULL ? NULL : mem_own(tmp, json_array());

	begin(&r);
	TRY(read_documents(&r, &root, all));
	*out = mem_own(mem, json_incref(root.into));
	if (lines != NULL)
		*lines = mem_own(mem, json_incref(all));
	return OK;
}

/* Characters that JSON takes as they are, and YAML takes as line breaks or not at all. */
static const struct {
	const char *bytes, *escaped;
} ODD[] = {
	{"\x7f", "\\u007f"},	     {"\xc2\x85", "\\u0085"},	  {"\xe2\x80\xa8", "\\u2028"},
	{"\xe2\x80\xa9", "\\u2029"}, {"\xef\xbb\xbf", "\\ufeff"}, {"\xef\xbf\xbe", "\\ufffe"},
	{"\xef\xbf\xbf", "\\uffff"},
};

static size_t add_odd(char **out, const char *text)
{
	unsigned char lead = (unsigned char)text[0];
	unsigned char next = (unsigned char)text[lead != '\0'];

	for (size_t n = 0; n < sizeof(ODD) / sizeof(ODD[0]); n++)
		if (str_starts(text, ODD[n].bytes)) {
			str_add(out, "%s", ODD[n].escaped);
			return strlen(ODD[n].bytes);
		}
	if (lead != 0xc2 || next >= 0xa0) /* controls from 0x80 on */
		return 0;
	str_add(out, "\\u00%02x", next);
	return 2;
}

/* A text of JSON is one of YAML too, but for those. */
static void add_scalar(char **out, const json_t *value)
{
	char *text = mem_check(json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT));

	for (const char *at = text; *at != '\0';) {
		size_t odd = add_odd(out, at);
		size_t plain = odd > 0 ? 0 : 1 + strcspn(at + 1, "\x7f\xc2\xe2\xef");
		str_add(out, "%.*s", (int)plain, at);
		at += odd + plain;
	}
	free(text); /* jansson's own memory */
}

static bool is_branch(const json_t *value)
{
	return (json_is_array(value) && json_array_size(value) > 0) ||
	       (json_is_object(value) && json_object_size(value) > 0);
}

/* Words need no quotes, as long as they are no other scalar. */
static void add_key(void *mem, char **out, const char *key)
{
	static const char WORD[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";

	if (*key != '\0' && key[strspn(key, WORD)] == '\0')
		str_add(out, "%s", key);
	else
		add_scalar(out, mem_own(mem, json_string(key)));
}

static void add_value(void *mem, char **out, const json_t *value, int depth);

static void add_map(void *mem, char **out, const json_t *map, int depth, bool in_list)
{
	const char *key;
	json_t *value;
	bool first = in_list;

	json_object_foreach ((json_t *)map, key, value) {
		str_add(out, "%*s", first ? 0 : 2 * depth, "");
		first = false;
		add_key(mem, out, key);
		str_add(out, ":%s", is_branch(value) ? "\n" : " ");
		add_value(mem, out, value, depth + 1);
	}
}

static void add_list(void *mem, char **out, const json_t *list, int depth)
{
	size_t n;
	json_t *value;

	json_array_foreach (list, n, value) {
		bool map = json_is_object(value) && is_branch(value);
		str_add(out, "%*s-%s", 2 * depth, "", !map && is_branch(value) ? "\n" : " ");
		if (map)
			add_map(mem, out, value, depth + 1, true);
		else
			add_value(mem, out, value, depth + 1);
	}
}

static void add_value(void *mem, char **out, const json_t *value, int depth)
{
	if (!is_branch(value)) {
		add_scalar(out, value);
		str_add(out, "\n");
	} else if (json_is_array(value)) {
		add_list(mem, out, value, depth);
	} else {
		add_map(mem, out, value, depth, false);
	}
}

char *yaml_text(void *mem, const json_t *value)
{
	SCOPE(tmp);
	char *out = str_dup(tmp, "");

	add_value(tmp, &out, value, 0);
	return MOVE(mem, out);
}
