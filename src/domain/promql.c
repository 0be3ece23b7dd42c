/*
 * A tokenizer that knows where PromQL's strings, brackets, comments and words end, and on top of it
 * one search: the binary operator of lowest precedence outside all brackets.
 */
#include "domain/promql.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/selector.h"

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,
	TOKEN_COMPARE,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_OTHER,
	TOKEN_BROKEN
};

struct token {
	enum token_kind kind;
	const char *at;
	size_t n;
};

static size_t string_length(const char *s)
{
	size_t i = 1;

	for (; s[i] != '\0' && s[i] != s[0]; i++)
		if (s[i] == '\\' && s[0] != '`' && s[i + 1] != '\0')
			i++;
	return s[i] == '\0' ? 0 : i + 1;
}

static const char *skip_space(const char *s)
{
	for (;;) {
		s += strspn(s, " \t\r\n");
		if (*s != '#')
			return s;
		s += strcspn(s, "\n");
	}
}

static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == ':' || c == '.';
}

static struct token quoted(const char *s)
{
	size_t n = string_length(s);

	return n == 0 ? (struct token){TOKEN_BROKEN, s, 0} : (struct token){TOKEN_OTHER, s, n};
}

static struct token comparison_sign(const char *s)
{
	bool two = s[1] == '=';

	if ((*s == '!' || *s == '=') && !two)
		return (struct token){TOKEN_OTHER, s, s[1] == '~' ? 2 : 1};
	return (struct token){TOKEN_COMPARE, s, two ? 2 : 1};
}

static struct token next_token(const char *s)
{
	s = skip_space(s);
	if (*s == '\0')
		return (struct token){TOKEN_END, s, 0};
	if (*s == '"' || *s == '\'' || *s == '`')
		return quoted(s);
	if (strchr("([{", *s) != NULL)
		return (struct token){TOKEN_OPEN, s, 1};
	if (strchr(")]}", *s) != NULL)
		return (struct token){TOKEN_CLOSE, s, 1};
	if (strchr("=!<>", *s) != NULL)
		return comparison_sign(s);
	if (is_word_char(*s)) {
		size_t n = 1;
		while (is_word_char(s[n]) ||
		       ((s[n] == '+' || s[n] == '-') && isdigit((unsigned char)*s) &&
			(s[n - 1] | 0x20) == 'e'))
			n++;
		return (struct token){TOKEN_WORD, s, n};
	}
	return (struct token){TOKEN_OTHER, s, 1};
}

static bool word_is(const struct token *t, const char *word)
{
	return t->kind == TOKEN_WORD && t->n == strlen(word) && strncasecmp(t->at, word, t->n) == 0;
}

/* Calls it top level when no bracket is open; false at the end or where brackets do not match. */
struct walker {
	const char *at;
	int depth;
	bool broken;
};

static bool walk(struct walker *w, struct token *t)
{
	*t = next_token(w->at);
	w->at = t->at + t->n;
	if (t->kind == TOKEN_OPEN)
		w->depth++;
	if (t->kind == TOKEN_CLOSE && --w->depth < 0)
		w->broken = true;
	w->broken = w->broken || t->kind == TOKEN_BROKEN || (t->kind == TOKEN_END && w->depth != 0);
	return t->kind != TOKEN_END && !w->broken;
}

static char *trimmed(void *mem, const char *from, const char *to)
{
	from = skip_space(from);
	while (to > from && isspace((unsigned char)to[-1]))
		to--;
	return str_ndup(mem, from, (size_t)(to > from ? to - from : 0));
}

/* "(…)" as a whole → the inside; else NULL. */
static char *unwrapped(void *mem, const char *expr)
{
	struct walker w = {.at = expr};
	struct token t;
	const char *first = skip_space(expr);

	if (*first != '(')
		return NULL;
	while (walk(&w, &t))
		if (w.depth == 0)
			break;
	if (w.broken || w.depth != 0)
		return NULL;
	return *skip_space(w.at) == '\0' ? trimmed(mem, first + 1, t.at) : NULL;
}

/* The operand before the first top-level `and`; E_NOTFOUND with `or` and `unless`. */
static enum status first_operand(void *mem, const char *expr, char **out)
{
	struct walker w = {.at = expr};
	struct token t;
	const char *end = NULL;

	while (walk(&w, &t)) {
		if (w.depth != 0)
			continue;
		if (word_is(&t, "or") || word_is(&t, "unless"))
			return failure(E_NOTFOUND, "the expression has no single threshold");
		if (word_is(&t, "and") && end == NULL)
			end = t.at;
	}
	if (w.broken)
		return failure(E_NOTFOUND, "the expression cannot be read");
	*out = end == NULL ? NULL : trimmed(mem, expr, end);
	return OK;
}

/* Past bool, on (…), ignoring (…), group_left (…), group_right (…). */
static const char *skip_modifiers(const char *s)
{
	for (;;) {
		struct token t = next_token(s);
		bool listed = word_is(&t, "on") || word_is(&t, "ignoring") ||
			      word_is(&t, "group_left") || word_is(&t, "group_right");
		if (!listed && !word_is(&t, "bool"))
			return s;
		s = t.at + t.n;
		const char *open = skip_space(s);
		if (!listed || *open != '(')
			continue;
		size_t n = strcspn(open, ")");
		s = open[n] == ')' ? open + n + 1 : open + n;
	}
}

static bool is_number(const char *s)
{
	double value;

	return str_to_double(s, &value) == OK;
}

static const char *flipped(const char *sign)
{
	static const char *const PAIRS[][2] = {{"<", ">"}, {">", "<"}, {"<=", ">="}, {">=", "<="}};

	for (size_t i = 0; i < 4; i++)
		if (str_eq(PAIRS[i][0], sign))
			return PAIRS[i][1];
	return sign;
}

static enum status split(void *mem, const char *expr, struct comparison *out)
{
	struct walker w = {.at = expr};
	struct token t;
	struct token found = {0};

	while (walk(&w, &t)) {
		if (w.depth != 0 || t.kind != TOKEN_COMPARE)
			continue;
		if (found.at != NULL)
			return failure(E_NOTFOUND, "the expression has more than one comparison");
		found = t;
	}
	if (found.at == NULL || w.broken)
		return failure(E_NOTFOUND, "the expression has no comparison");
	struct comparison c = {
		.left = trimmed(mem, expr, found.at),
		.sign = str_ndup(mem, found.at, found.n),
		.right = trimmed(mem, skip_modifiers(found.at + found.n), expr + strlen(expr)),
	};
	if (str_empty(c.left) || str_empty(c.right))
		return failure(E_NOTFOUND, "the comparison lacks an operand");
	if (is_number(c.left) && !is_number(c.right))
		c = (struct comparison){c.right, flipped(c.sign), c.left};
	*out = c;
	return OK;
}

enum status promql_comparison(void *mem, const char *expr, struct comparison *out)
{
	for (int rounds = 0; rounds < 32; rounds++) {
		char *inner = unwrapped(mem, expr);
		if (inner == NULL) {
			TRY(first_operand(mem, expr, &inner));
			if (inner == NULL)
				return split(mem, expr, out);
		}
		expr = inner;
	}
	return failure(E_NOTFOUND, "the expression is nested too deeply");
}

static bool is_label_name(const char *s)
{
	if (!isalpha((unsigned char)*s) && *s != '_')
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && *s != '_')
			return false;
	return true;
}

char *promql_selector(void *mem, const char *metric, const json_t *labels)
{
	char *out = str_fmt(mem, "%s{", metric);
	const char *name;
	json_t *value;
	bool more = false;

	json_object_foreach ((json_t *)labels, name, value) {
		if (!is_label_name(name))
			continue;
		str_add(&out, "%s%s=%s", more ? "," : "", name,
			selector_quote(mem, json_string_value(value)));
		more = true;
	}
	str_add(&out, "}");
	return out;
}

int promql_node_agrees(const struct node *labels, const json_t *of)
{
	NODE_MEMBERS(name, labels)
	{
		const char *other = json_str(of, name->text);
		if (other != NULL && !str_eq(name->text, "__name__") &&
		    !str_eq(name[1].text, other))
			return 0;
	}
	return 1;
}

int promql_labels_agree(const json_t *labels, const json_t *of)
{
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)labels, name, value) {
		const char *other = json_str(of, name);
		if (other != NULL && !str_eq(name, "__name__") &&
		    !str_eq(json_string_value(value), other))
			return 0;
	}
	return 1;
}
