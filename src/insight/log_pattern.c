#include "insight/log_pattern.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum {
	WORDS_MAX = 48,
	TEMPLATES_MAX = 800,
	ALIKE_MAX = 48, /* templates of one length that begin alike */
	HEADS = 1024,	/* of the table; a power of two */
	CLASSES_MAX = 64,
	NEW_LEAST = 3,
	SIMILAR_PERCENT = 60,
};
static const char ANY[] = "<*>";

struct word {
	const char *text;
	uint32_t hash;
};

/* A template while it is being made. */
struct cluster {
	struct cluster *next; /* of the same head */
	size_t words;
	struct word *word;
	struct log_pattern pattern;
};

struct drain {
	void *mem;
	struct cluster *heads[HEADS];
	struct cluster *all[TEMPLATES_MAX];
	size_t count;
	uint32_t any;
};

static uint32_t hash_of(const char *s, size_t n)
{
	uint32_t h = 2166136261U; /* FNV-1a */

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619U;
	return h;
}

/* Cuts `text` at its blanks, in place. */
static size_t words_of(char *text, struct word *out)
{
	size_t n = 0;
	char *rest = text;
	char *one;

	while (n < WORDS_MAX && (one = strsep(&rest, " ")) != NULL)
		if (*one != '\0')
			out[n++] = (struct word){one, hash_of(one, strlen(one))};
	return n;
}

/* Length and beginning decide; a first word with a mask in it says nothing. */
static size_t head_of(const struct drain *d, const struct word *words, size_t n)
{
	uint32_t first = n == 0 || strchr(words[0].text, '<') != NULL ? d->any : words[0].hash;

	return (first ^ (uint32_t)(n * 2654435761U)) & (HEADS - 1);
}

static bool is_same(const struct word *a, const struct word *b)
{
	return a->hash == b->hash && str_eq(a->text, b->text);
}

static size_t alike(const struct cluster *c, const struct word *words)
{
	size_t same = 0;

	for (size_t i = 0; i < c->words; i++)
		same += is_same(&c->word[i], &words[i]);
	return same;
}

static struct cluster *most_alike(const struct drain *d, size_t head, const struct word *words,
				  size_t n, size_t *crowd)
{
	struct cluster *best = NULL;
	size_t most = 0;

	*crowd = 0;
	for (struct cluster *c = d->heads[head]; c != NULL; c = c->next) {
		++*crowd;
		size_t same = c->words == n ? alike(c, words) : 0;
		if (c->words == n && same * 100 >= n * SIMILAR_PERCENT &&
		    (best == NULL || same > most)) {
			best = c;
			most = same;
		}
	}
	return best;
}

static void generalise(const struct drain *d, struct cluster *c, const struct word *words)
{
	for (size_t i = 0; i < c->words; i++)
		if (!is_same(&c->word[i], &words[i]))
			c->word[i] = (struct word){ANY, d->any};
}

static struct cluster *begin_cluster(struct drain *d, size_t head, const struct word *words,
				     size_t n)
{
	struct cluster *c = NEW(d->mem, struct cluster);

	c->words = n;
	c->word = NEW_ARRAY(d->mem, struct word, n + 1);
	for (size_t i = 0; i < n; i++)
		c->word[i] = (struct word){str_dup(d->mem, words[i].text), words[i].hash};
	c->next = d->heads[head];
	d->heads[head] = c;
	d->all[d->count++] = c;
	return c;
}

static void count_line(struct cluster *c, const struct log_line *line, enum line_level level,
		       enum failure_kind failure, int64_t split_ms)
{
	struct log_pattern *p = &c->pattern;

	if (p->count++ == 0) {
		p->example = line->text;
		p->first_ms = p->last_ms = line->at_ms;
	}
	if (line->at_ms < p->first_ms)
		p->first_ms = line->at_ms;
	if (line->at_ms > p->last_ms)
		p->last_ms = line->at_ms;
	if (level > p->level)
		p->level = level;
	if (failure > p->failure)
		p->failure = failure;
	if (line->at_ms < split_ms)
		p->before++;
	else
		p->after++;
}

static struct cluster *place(struct drain *d, char *masked)
{
	struct word words[WORDS_MAX] = {0};
	size_t n = words_of(masked, words);
	size_t head = head_of(d, words, n);
	size_t crowd;
	struct cluster *c = most_alike(d, head, words, n, &crowd);

	if (c != NULL) {
		generalise(d, c, words);
		return c;
	}
	if (crowd >= ALIKE_MAX || d->count >= TEMPLATES_MAX)
		return NULL;
	return begin_cluster(d, head, words, n);
}

static void count_class(void *mem, struct log_summary *s, const struct log_line *line,
			const char *name, enum failure_kind kind, int64_t split_ms)
{
	struct failure_class *c = NULL;

	for (size_t n = 0; n < s->class_count && c == NULL; n++)
		if (s->classes[n].kind == kind && str_eq(s->classes[n].name, name))
			c = &s->classes[n];
	if (c == NULL && s->class_count == CLASSES_MAX)
		return;
	if (c == NULL) {
		c = &s->classes[s->class_count++];
		*c = (struct failure_class){.name = str_dup(mem, name),
					    .kind = kind,
					    .first_ms = line->at_ms,
					    .example = line->text};
	}
	if (line->at_ms < c->first_ms)
		c->first_ms = line->at_ms;
	if (line->at_ms < split_ms)
		c->before++;
	else
		c->after++;
}

/* More first; of as many, the one that was there earlier, then by text: the order is always the
 * same. */
static int by_count(const void *a, const void *b)
{
	const struct log_pattern *x = a;
	const struct log_pattern *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	if (x->first_ms != y->first_ms)
		return x->first_ms < y->first_ms ? -1 : 1;
	return strcmp(x->text, y->text);
}

static int by_after(const void *a, const void *b)
{
	const struct failure_class *x = a;
	const struct failure_class *y = b;

	if (x->after != y->after)
		return x->after > y->after ? -1 : 1;
	if (x->before != y->before)
		return x->before > y->before ? -1 : 1;
	return strcmp(x->name, y->name);
}

static char *template_of(void *mem, const struct cluster *c)
{
	char *text = str_dup(mem, "");

	for (size_t i = 0; i < c->words; i++)
		str_add(&text, "%s%s", i == 0 ? "" : " ", c->word[i].text);
	return text;
}

static double rate(size_t lines, double minutes)
{
	return minutes > 0 ? (double)lines / minutes : NAN;
}

static void finish(void *mem, const struct drain *d, struct log_summary *out)
{
	out->patterns = NEW_ARRAY(mem, struct log_pattern, d->count + 1);
	out->pattern_count = d->count;
	for (size_t n = 0; n < d->count; n++) {
		struct log_pattern *p = &out->patterns[n];
		*p = d->all[n]->pattern;
		p->text = template_of(mem, d->all[n]);
		p->rate_before = rate(p->before, out->minutes_before);
		p->rate_after = rate(p->after, out->minutes_after);
		p->is_new = p->before == 0 && p->after >= NEW_LEAST && out->minutes_before > 0;
	}
	qsort(out->patterns, out->pattern_count, sizeof(*out->patterns), by_count);
	qsort(out->classes, out->class_count, sizeof(*out->classes), by_after);
}

static double minutes(int64_t from_ms, int64_t to_ms)
{
	return to_ms > from_ms ? ((double)to_ms - (double)from_ms) / 60000.0 : 0;
}

void log_summarise(void *mem, const struct log_line *lines, size_t count,
		   const struct window *window, int64_t split_ms, struct log_summary *out)
{
	struct drain *d = NEW(mem, struct drain);

	d->mem = d;
	d->any = hash_of(ANY, sizeof(ANY) - 1);
	*out = (struct log_summary){.classes = NEW_ARRAY(mem, struct failure_class, CLASSES_MAX),
				    .minutes_before = minutes(window->start_ms, split_ms),
				    .minutes_after = minutes(split_ms, window->end_ms)};
	for (size_t n = 0; n < count; n++) {
		void *scratch = mem_check(talloc_new(mem));
		const char *name = NULL;
		enum line_level level = line_level_of(&lines[n]);
		/* what a debug or info line calls an error did no harm */
		bool harmless = level == LEVEL_DEBUG || level == LEVEL_INFO;
		enum failure_kind failure =
			harmless ? FAILURE_NONE : log_failure(scratch, lines[n].text, &name);
		if (failure != FAILURE_NONE)
			count_class(mem, out, &lines[n], name, failure, split_ms);
		if (level == LEVEL_ERROR)
			*(lines[n].at_ms < split_ms ? &out->errors_before : &out->errors_after) +=
				1;
		struct cluster *c = place(d, log_mask(scratch, lines[n].text));
		if (c != NULL)
			count_line(c, &lines[n], level, failure, split_ms);
		else
			out->ungrouped++;
		talloc_free(scratch);
	}
	finish(mem, d, out);
	talloc_free(d);
}
