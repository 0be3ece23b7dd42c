/*
 * Parsed into a tree, compiled into a program for a machine that is in several states at once
 * (Thompson): each code point of the text is looked at once by each state at most.
 */
#include "domain/pattern.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { NEST_MAX = 32, REPEAT_MAX = 1000, WORK_MAX = 65536 };

#define NONE UINT32_MAX /* before the first and behind the last code point */
#define FOREVER UINT32_MAX

enum op { POINT, ANY, SET, BEGIN, END, EDGE, NOT_EDGE, SPLIT, JUMP, MATCH };

struct range {
	uint32_t first, last;
};

struct set {
	struct range *ranges;
	size_t count;
	bool negated;
};

struct instruction {
	enum op op;
	uint32_t point;
	uint32_t first, second; /* where to go on */
	const struct set *set;
};

struct pattern {
	struct instruction *program;
	size_t steps, cost;
};

enum kind { EMPTY, LEAF, BOTH, EITHER, REPEAT };

struct piece {
	enum kind kind;
	struct instruction leaf;
	const struct piece *left, *right;
	uint32_t least, most;
};

struct parser {
	struct pattern *pattern; /* what stays is allocated here */
	void *mem;
	uint32_t text[PATTERN_POINTS_MAX + 1];
	size_t count, at;
	int nested;
};

/* The next code point of valid UTF-8; NONE at the end. */
static uint32_t next_point(const char **at)
{
	const unsigned char *s = (const unsigned char *)*at;
	int more = s[0] < 0x80 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
	uint32_t point = more == 0 ? s[0] : s[0] & (0x3fu >> more);

	if (s[0] == '\0')
		return NONE;
	for (int n = 1; n <= more && s[n] != '\0'; n++)
		point = point << 6 | (s[n] & 0x3fu);
	for (*at += 1; more > 0 && **at != '\0'; more--)
		*at += 1;
	return point;
}

static const struct range DIGITS[] = {{'0', '9'}};
static const struct range WORDS[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const struct range SPACES[] = {
	{0x09, 0x0d},	  {0x20, 0x20},	    {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a},
	{0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};

struct named_set {
	const struct range *ranges;
	size_t count;
};

static bool named_set_of(uint32_t letter, struct named_set *out)
{
	switch (letter | 0x20) {
	case 'd': *out = (struct named_set){DIGITS, 1}; return true;
	case 'w': *out = (struct named_set){WORDS, 4}; return true;
	case 's':
		*out = (struct named_set){SPACES, sizeof(SPACES) / sizeof(SPACES[0])};
		return true;
	default: return false;
	}
}

static bool is_upper(uint32_t letter)
{
	return letter >= 'A' && letter <= 'Z';
}

static void add_range(struct parser *p, struct set *s, uint32_t first, uint32_t last)
{
	s->ranges = GROW(p->pattern, s->ranges, struct range, s->count + 1);
	s->ranges[s->count++] = (struct range){first, last};
}

static void add_named(struct parser *p, struct set *s, const struct named_set *named, bool negated)
{
	uint32_t from = 0;

	for (size_t n = 0; n < named->count; n++) {
		const struct range *r = &named->ranges[n];
		if (!negated)
			add_range(p, s, r->first, r->last);
		else if (r->first > from)
			add_range(p, s, from, r->first - 1);
		from = r->last + 1;
	}
	if (negated)
		add_range(p, s, from, 0x10ffff);
}

static int by_first(const void *a, const void *b)
{
	uint32_t x = ((const struct range *)a)->first;
	uint32_t y = ((const struct range *)b)->first;

	return x < y ? -1 : x > y;
}

/* Sorted, and what overlaps or touches made one: each range costs at every code point. */
static void merge_ranges(struct parser *p, struct set *s)
{
	size_t last = 0;

	if (s->count == 0)
		return;
	qsort(s->ranges, s->count, sizeof(s->ranges[0]), by_first);
	for (size_t n = 1; n < s->count; n++) {
		const struct range next = s->ranges[n];
		if (next.first > s->ranges[last].last + 1)
			s->ranges[++last] = next;
		else if (next.last > s->ranges[last].last)
			s->ranges[last].last = next.last;
	}
	s->count = last + 1;
	s->ranges = GROW(p->pattern, s->ranges, struct range, s->count);
}

static bool set_holds(const struct set *s, uint32_t point)
{
	for (size_t n = 0; n < s->count; n++)
		if (point >= s->ranges[n].first && point <= s->ranges[n].last)
			return !s->negated;
	return s->negated;
}

static bool more(const struct parser *p)
{
	return p->at < p->count;
}

static uint32_t peek(const struct parser *p)
{
	return more(p) ? p->text[p->at] : NONE;
}

static bool take(struct parser *p, uint32_t point)
{
	bool there = peek(p) == point;

	p->at += there;
	return there;
}

static enum status hex(struct parser *p, int digits, uint32_t *out)
{
	*out = 0;
	for (int n = 0; n < digits; n++) {
		uint32_t c = peek(p);
		uint32_t low = c | 0x20;
		if (c >= '0' && c <= '9')
			*out = *out * 16 + (c - '0');
		else if (low >= 'a' && low <= 'f')
			*out = *out * 16 + (low - 'a' + 10);
		else
			return failure(E_INVALID, "\\x and \\u want %d hex digits", digits);
		p->at++;
	}
	return OK;
}

/* \uD83D\uDC32 is one code point. */
static enum status unicode(struct parser *p, uint32_t *out)
{
	uint32_t low;

	TRY(hex(p, 4, out));
	bool high = *out >= 0xd800 && *out < 0xdc00;
	if (high && p->at + 1 < p->count && p->text[p->at] == '\\' && p->text[p->at + 1] == 'u') {
		p->at += 2;
		TRY(hex(p, 4, &low));
		*out = 0x10000 + ((*out - 0xd800) << 10) + ((low - 0xdc00) & 0x3ff);
	}
	return OK;
}

/* What follows a backslash and stands for one code point. */
static enum status escaped_point(struct parser *p, uint32_t *out)
{
	static const char NAMES[] = "tnvfr";
	static const char VALUES[] = "\t\n\v\f\r";
	uint32_t c = peek(p);
	const char *name = c < 0x80 && c != 0 ? strchr(NAMES, (int)c) : NULL;

	p->at++;
	if (name != NULL) {
		*out = (uint32_t)VALUES[name - NAMES];
	} else if (c == 'x') {
		return hex(p, 2, out);
	} else if (c == 'u') {
		return unicode(p, out);
	} else if (c == '0') {
		*out = 0;
	} else if (c == 'c' && ((peek(p) | 0x20) >= 'a' && (peek(p) | 0x20) <= 'z')) {
		*out = p->text[p->at++] & 0x1f;
	} else if (c == NONE || (c | 0x20) - 'a' < 26 || c - '1' < 9) {
		return failure(E_INVALID, "an escape that is not supported");
	} else {
		*out = c;
	}
	return OK;
}

static struct piece *piece_new(struct parser *p, enum kind kind)
{
	struct piece *new = NEW(p->mem, struct piece);

	new->kind = kind;
	return new;
}

static struct piece *leaf(struct parser *p, enum op op, uint32_t point)
{
	struct piece *new = piece_new(p, LEAF);

	new->leaf = (struct instruction){.op = op, .point = point};
	return new;
}

static struct piece *leaf_set(struct parser *p, const struct set *set)
{
	struct piece *new = leaf(p, SET, 0);

	new->leaf.set = set;
	return new;
}

/* One member of [...]: a point, or a whole named set (then *named). */
static enum status set_member(struct parser *p, struct set *s, uint32_t *point, bool *named)
{
	struct named_set known;
	uint32_t c = peek(p);

	p->at++;
	*named = false;
	*point = c;
	if (c != '\\')
		return OK;
	c = peek(p);
	if (named_set_of(c, &known)) {
		p->at++;
		add_named(p, s, &known, is_upper(c));
		*named = true;
		return OK;
	}
	if (take(p, 'b')) {
		*point = '\b';
		return OK;
	}
	if (take(p, '-')) {
		*point = '-';
		return OK;
	}
	return escaped_point(p, point);
}

static enum status parse_set(struct parser *p, struct piece **out)
{
	struct set *s = NEW(p->pattern, struct set);
	uint32_t first;
	uint32_t last;
	bool named;
	bool named_end;

	s->negated = take(p, '^');
	while (more(p) && peek(p) != ']') {
		TRY(set_member(p, s, &first, &named));
		last = first;
		bool ranged = peek(p) == '-' && p->at + 1 < p->count && p->text[p->at + 1] != ']';
		if (ranged) {
			p->at++;
			TRY(set_member(p, s, &last, &named_end));
			if (named || named_end || last < first)
				return failure(E_INVALID, "a range in [] that is none");
		}
		if (!named)
			add_range(p, s, first, last);
	}
	if (!take(p, ']'))
		return failure(E_INVALID, "a [ without ]");
	merge_ranges(p, s);
	*out = leaf_set(p, s);
	return OK;
}

static enum status parse_escape(struct parser *p, struct piece **out)
{
	struct named_set known;
	uint32_t c = peek(p);
	uint32_t point = 0;

	if (named_set_of(c, &known)) {
		struct set *s = NEW(p->pattern, struct set);
		p->at++;
		add_named(p, s, &known, is_upper(c));
		*out = leaf_set(p, s);
		return OK;
	}
	if (take(p, 'b') || take(p, 'B')) {
		*out = leaf(p, c == 'b' ? EDGE : NOT_EDGE, 0);
		return OK;
	}
	TRY(escaped_point(p, &point));
	*out = leaf(p, POINT, point);
	return OK;
}

static enum status parse_choice(struct parser *p, struct piece **out);

static enum status parse_group(struct parser *p, struct piece **out)
{
	if (take(p, '?') && !take(p, ':'))
		return failure(E_INVALID, "look-around and named groups are not supported");
	if (++p->nested > NEST_MAX)
		return failure(E_INVALID, "groups nested deeper than %d", NEST_MAX);
	TRY(parse_choice(p, out));
	p->nested--;
	if (!take(p, ')'))
		return failure(E_INVALID, "a ( without )");
	return OK;
}

static enum status parse_atom(struct parser *p, struct piece **out)
{
	uint32_t c = p->text[p->at++];

	switch (c) {
	case '(': return parse_group(p, out);
	case '[': return parse_set(p, out);
	case '\\': return parse_escape(p, out);
	case '.': *out = leaf(p, ANY, 0); return OK;
	case '^': *out = leaf(p, BEGIN, 0); return OK;
	case '$': *out = leaf(p, END, 0); return OK;
	case '*':
	case '+':
	case '?':
	case '{': return failure(E_INVALID, "a repetition of nothing");
	default: *out = leaf(p, POINT, c); return OK;
	}
}

static bool number(struct parser *p, uint32_t *out)
{
	size_t from = p->at;

	for (*out = 0; peek(p) >= '0' && peek(p) <= '9' && *out <= REPEAT_MAX; p->at++)
		*out = *out * 10 + (peek(p) - '0');
	return p->at > from;
}

static enum status parse_counts(struct parser *p, struct piece *r)
{
	bool given = number(p, &r->least);

	r->most = r->least;
	if (given && take(p, ',') && !number(p, &r->most))
		r->most = FOREVER;
	bool large = r->least > REPEAT_MAX || (r->most != FOREVER && r->most > REPEAT_MAX);
	if (!given || large || r->most < r->least || !take(p, '}'))
		return failure(E_INVALID, "{} wants counts up to %d", REPEAT_MAX);
	return OK;
}

static enum status parse_repeated(struct parser *p, struct piece **out)
{
	struct piece *inner = NULL;

	TRY(parse_atom(p, &inner));
	uint32_t c = peek(p);
	if (c != '*' && c != '+' && c != '?' && c != '{') {
		*out = inner;
		return OK;
	}
	p->at++;
	struct piece *r = piece_new(p, REPEAT);
	r->left = inner;
	r->least = c == '+';
	r->most = c == '?' ? 1 : FOREVER;
	if (c == '{')
		TRY(parse_counts(p, r));
	(void)take(p, '?'); /* lazy or not makes no difference to whether there is a match */
	*out = r;
	return OK;
}

static enum status parse_sequence(struct parser *p, struct piece **out)
{
	struct piece *all = piece_new(p, EMPTY);

	while (more(p) && peek(p) != '|' && peek(p) != ')') {
		struct piece *both = piece_new(p, BOTH);
		struct piece *one = NULL;
		TRY(parse_repeated(p, &one));
		both->left = all;
		both->right = one;
		all = both;
	}
	*out = all;
	return OK;
}

static enum status parse_choice(struct parser *p, struct piece **out)
{
	struct piece *all = NULL;

	TRY(parse_sequence(p, &all));
	while (take(p, '|')) {
		struct piece *either = piece_new(p, EITHER);
		struct piece *other = NULL;
		TRY(parse_sequence(p, &other));
		either->left = all;
		either->right = other;
		all = either;
	}
	*out = all;
	return OK;
}

struct emitter {
	struct pattern *pattern;
	size_t room;
	int work;
};

static enum status add(struct emitter *e, struct instruction i, uint32_t *at)
{
	struct pattern *p = e->pattern;

	if (p->steps >= PATTERN_STEPS_MAX)
		return failure(E_INVALID, "the expression is too large");
	if (p->steps == e->room) {
		e->room = e->room == 0 ? 16 : 2 * e->room;
		p->program = GROW(p, p->program, struct instruction, e->room);
	}
	*at = (uint32_t)p->steps;
	p->program[p->steps++] = i;
	p->cost += 1 + (i.set == NULL ? 0 : i.set->count);
	return OK;
}

static uint32_t here(const struct emitter *e)
{
	return (uint32_t)e->pattern->steps;
}

static enum status emit(struct emitter *e, const struct piece *piece);

static enum status emit_either(struct emitter *e, const struct piece *piece)
{
	uint32_t split = 0;
	uint32_t jump = 0;

	TRY(add(e, (struct instruction){.op = SPLIT}, &split));
	TRY(emit(e, piece->left));
	TRY(add(e, (struct instruction){.op = JUMP}, &jump));
	e->pattern->program[split].first = split + 1;
	e->pattern->program[split].second = here(e);
	TRY(emit(e, piece->right));
	e->pattern->program[jump].first = here(e);
	return OK;
}

static enum status emit_repeat(struct emitter *e, const struct piece *piece)
{
	uint32_t at = 0;
	uint32_t split = 0;

	for (uint32_t n = 0; n < piece->least; n++)
		TRY(emit(e, piece->left));
	if (piece->most == FOREVER) {
		TRY(add(e, (struct instruction){.op = SPLIT}, &split));
		TRY(emit(e, piece->left));
		TRY(add(e, (struct instruction){.op = JUMP, .first = split}, &at));
		e->pattern->program[split].first = split + 1;
		e->pattern->program[split].second = here(e);
		return OK;
	}
	for (uint32_t n = piece->least; n < piece->most; n++) {
		TRY(add(e, (struct instruction){.op = SPLIT}, &split));
		TRY(emit(e, piece->left));
		e->pattern->program[split].first = split + 1;
		e->pattern->program[split].second = here(e);
	}
	return OK;
}

static enum status emit(struct emitter *e, const struct piece *piece)
{
	uint32_t at;

	if (++e->work > WORK_MAX)
		return failure(E_INVALID, "the expression repeats too much");
	switch (piece->kind) {
	case EMPTY: return OK;
	case LEAF: return add(e, piece->leaf, &at);
	case BOTH: TRY(emit(e, piece->left)); return emit(e, piece->right);
	case EITHER: return emit_either(e, piece);
	case REPEAT: return emit_repeat(e, piece);
	}
	return OK;
}

static enum status read_points(struct parser *p, const char *text)
{
	while (*text != '\0') {
		if (p->count == PATTERN_POINTS_MAX)
			return failure(E_INVALID, "the expression is longer than %d characters",
				       PATTERN_POINTS_MAX);
		p->text[p->count++] = next_point(&text);
	}
	return OK;
}

enum status pattern_compile(void *mem, const char *text, struct pattern **out)
{
	SCOPE(tmp);
	struct pattern *p = NEW(mem, struct pattern);
	struct parser *parser = NEW(tmp, struct parser);
	struct emitter e = {.pattern = p};
	struct piece *all = NULL;
	uint32_t at;

	parser->pattern = p;
	parser->mem = tmp;
	TRY(read_points(parser, text));
	TRY(parse_choice(parser, &all));
	if (more(parser))
		return failure(E_INVALID, "a ) without (");
	TRY(emit(&e, all));
	TRY(add(&e, (struct instruction){.op = MATCH}, &at));
	*out = p;
	return OK;
}

size_t pattern_steps(const struct pattern *p)
{
	return p->steps;
}

size_t pattern_cost(const struct pattern *p)
{
	return p->cost;
}

struct states {
	uint32_t *list;
	size_t count;
};

struct machine {
	const struct pattern *p;
	uint32_t *todo;
	uint32_t *seen; /* the round in which a state was entered last */
	uint32_t round;
	uint32_t before, after; /* the position between two code points */
	bool found;
};

static bool is_word(uint32_t point)
{
	const struct set words = {.ranges = (struct range *)WORDS, .count = 4};

	return point != NONE && set_holds(&words, point);
}

static bool holds_here(const struct machine *m, enum op op)
{
	bool edge = is_word(m->before) != is_word(m->after);

	switch (op) {
	case BEGIN: return m->before == NONE;
	case END: return m->after == NONE;
	case EDGE: return edge;
	default: return !edge;
	}
}

static void push(struct machine *m, size_t *depth, uint32_t state)
{
	if (m->seen[state] == m->round)
		return;
	m->seen[state] = m->round;
	m->todo[(*depth)++] = state;
}

/* Enters a state and all that can be reached from it without reading on. */
static void enter(struct machine *m, struct states *to, uint32_t state)
{
	size_t depth = 0;

	push(m, &depth, state);
	while (depth > 0) {
		uint32_t s = m->todo[--depth];
		const struct instruction *i = &m->p->program[s];
		switch (i->op) {
		case MATCH: m->found = true; break;
		case JUMP: push(m, &depth, i->first); break;
		case SPLIT:
			push(m, &depth, i->first);
			push(m, &depth, i->second);
			break;
		case BEGIN:
		case END:
		case EDGE:
		case NOT_EDGE:
			if (holds_here(m, i->op))
				push(m, &depth, s + 1);
			break;
		case POINT:
		case ANY:
		case SET: to->list[to->count++] = s; break;
		}
	}
}

static bool reads(const struct instruction *i, uint32_t point)
{
	if (i->op == POINT)
		return i->point == point;
	if (i->op == SET)
		return set_holds(i->set, point);
	return point != '\n' && point != '\r' && point != 0x2028 && point != 0x2029;
}

bool pattern_search(const struct pattern *p, const char *text)
{
	SCOPE(mem);
	uint32_t *room = NEW_ARRAY(mem, uint32_t, 4 * p->steps);
	struct machine m = {.p = p, .todo = room, .seen = room + p->steps, .round = 1};
	struct states now = {.list = room + 2 * p->steps};
	struct states next = {.list = room + 3 * p->steps};

	m.before = NONE;
	m.after = next_point(&text);
	enter(&m, &now, 0);
	while (!m.found && m.after != NONE) {
		m.before = m.after;
		m.after = next_point(&text);
		m.round++;
		next.count = 0;
		for (size_t n = 0; n < now.count; n++)
			if (reads(&p->program[now.list[n]], m.before))
				enter(&m, &next, now.list[n] + 1);
		enter(&m, &next, 0);
		struct states done = now;
		now = next;
		next = done;
	}
	return m.found;
}
