#include "base/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

/*
 * A series is made at its first use and stays for good, and only its numbers change after that: so
 * the exposition copies the numbers under the lock and writes its text without it.
 */

enum {
	LABEL_BYTES = 256, /* of one label value, with its NUL; longer ones are cut */
	KEY_BYTES = METRIC_LABELS_MAX * LABEL_BYTES,
	SLOTS = 2 * METRIC_SERIES_MAX,
	BUCKETS_MAX = 18,
};

struct description {
	enum metric_kind kind;
	const char *name, *labels, *help;
};

static const struct description METRIC[METRIC_COUNT] = {
#define METRIC_DESCRIPTION(id, kind, name, labels, help) {METRIC_##kind, name, labels, help},
	METRICS(METRIC_DESCRIPTION)
#undef METRIC_DESCRIPTION
};

/* Label values one after the other, each with its NUL. */
struct key {
	uint64_t hash;
	size_t n;
	char bytes[KEY_BYTES];
};

struct series {
	uint64_t hash;
	size_t n;
	const char *key;
	const char *labels; /* as they stand between the braces */
	double value;	    /* of a histogram: the sum */
	uint64_t *counts;   /* of a histogram: one for each bucket alone, the last for +Inf */
};

struct family {
	size_t count;
	struct series *series[METRIC_SERIES_MAX];
	struct series *slots[SLOTS]; /* by hash, open addressing */
};

static struct registry {
	pthread_mutex_t lock;
	void *mem;
	struct family families[METRIC_COUNT];
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct buckets {
	const double *bounds;
	size_t count;
};

static struct buckets buckets_of(enum metric m)
{
	static const double SECONDS[] = {.001, .0025, .005, .01, .025, .05, .1,	 .25, .5,
					 1,    2.5,   5,    10,	 30,   60,  120, 300, 600};
	static const double OPERATIONS[] = {1,	 2,   4,   8,	 16,   32,  64,
					    128, 256, 512, 1024, 2048, 4096};
	static_assert(sizeof(SECONDS) / sizeof(double) <= BUCKETS_MAX, "BUCKETS_MAX");

	if (m == M_INTAKE_GROUP || m == M_STORE_GROUP)
		return (struct buckets){OPERATIONS, sizeof(OPERATIONS) / sizeof(double)};
	return (struct buckets){SECONDS, sizeof(SECONDS) / sizeof(double)};
}

static size_t label_count(enum metric m)
{
	size_t n = METRIC[m].labels[0] == '\0' ? 0 : 1;

	for (const char *c = METRIC[m].labels; *c != '\0'; c++)
		n += *c == ',';
	assert(n <= METRIC_LABELS_MAX);
	return n;
}

static void add_to_key(struct key *k, const char *value)
{
	k->n += utf8_copy(k->bytes + k->n, LABEL_BYTES, value) + 1;
}

/* FNV-1a. Collisions made on purpose cost at most METRIC_SERIES_MAX comparisons. */
static void seal(struct key *k)
{
	k->hash = 0xcbf29ce484222325;
	for (size_t i = 0; i < k->n; i++)
		k->hash = (k->hash ^ (unsigned char)k->bytes[i]) * 0x100000001b3;
}

static void read_key(enum metric m, va_list values, struct key *k)
{
	k->n = 0;
	for (size_t i = label_count(m); i > 0; i--) {
		const char *value = va_arg(values, const char *);
		add_to_key(k, value == NULL ? "" : value);
	}
	seal(k);
}

static struct series **slot_of(struct family *f, const struct key *k)
{
	size_t i = k->hash % SLOTS;

	for (; f->slots[i] != NULL; i = (i + 1) % SLOTS) {
		const struct series *s = f->slots[i];
		if (s->hash == k->hash && s->n == k->n && memcmp(s->key, k->bytes, k->n) == 0)
			break;
	}
	return &f->slots[i];
}

static void add_label_value(char **text, const char *value)
{
	for (;; value++) {
		size_t n = strcspn(value, "\\\"\n");
		str_add(text, "%.*s", (int)n, value);
		value += n;
		if (*value == '\0')
			return;
		str_add(text, "\\%c", *value == '\n' ? 'n' : *value);
	}
}

static const char *label_text(void *mem, enum metric m, const struct key *k)
{
	char *text = str_dup(mem, "");
	const char *name = METRIC[m].labels;

	for (const char *value = k->bytes; value < k->bytes + k->n; value += strlen(value) + 1) {
		size_t n = strcspn(name, ",");
		str_add(&text, "%s%.*s=\"", *text == '\0' ? "" : ",", (int)n, name);
		add_label_value(&text, value);
		str_add(&text, "\"");
		name += n + 1;
	}
	return text;
}

static struct series *make(enum metric m, const struct key *k)
{
	if (registry.mem == NULL)
		registry.mem = mem_check(talloc_new(NULL));
	struct series *s = NEW(registry.mem, struct series);
	s->hash = k->hash;
	s->n = k->n;
	s->key = mem_check(talloc_memdup(s, k->bytes, k->n));
	s->labels = label_text(s, m, k);
	if (METRIC[m].kind == METRIC_HISTOGRAM)
		s->counts = NEW_ARRAY(s, uint64_t, buckets_of(m).count + 1);
	return s;
}

static void other_key(enum metric m, struct key *k)
{
	k->n = 0;
	for (size_t i = label_count(m); i > 0; i--)
		add_to_key(k, "other");
	seal(k);
}

/* The series of that key, or the one that stands for all the others. Under the lock. */
static struct series *obtain(enum metric m, const struct key *k)
{
	struct family *f = &registry.families[m];
	struct series **slot = slot_of(f, k);
	struct key other;

	if (*slot == NULL && f->count >= METRIC_SERIES_MAX - 1) {
		other_key(m, &other);
		k = &other;
		slot = slot_of(f, k);
	}
	if (*slot == NULL) {
		*slot = make(m, k);
		f->series[f->count++] = *slot;
	}
	return *slot;
}

void metric_add(enum metric m, double n, ...)
{
	struct key k;
	va_list values;

	assert(METRIC[m].kind == METRIC_GAUGE || (METRIC[m].kind == METRIC_COUNTER && n >= 0));
	va_start(values, n);
	read_key(m, values, &k);
	va_end(values);
	pthread_mutex_lock(&registry.lock);
	obtain(m, &k)->value += n;
	pthread_mutex_unlock(&registry.lock);
}

void metric_set(enum metric m, double value, ...)
{
	struct key k;
	va_list values;

	assert(METRIC[m].kind == METRIC_GAUGE);
	va_start(values, value);
	read_key(m, values, &k);
	va_end(values);
	pthread_mutex_lock(&registry.lock);
	obtain(m, &k)->value = value;
	pthread_mutex_unlock(&registry.lock);
}

void metric_observe(enum metric m, double value, ...)
{
	struct key k;
	va_list values;

	assert(METRIC[m].kind == METRIC_HISTOGRAM);
	va_start(values, value);
	read_key(m, values, &k);
	va_end(values);
	/* a wall clock that was set back must not make the sum of a histogram fall */
	if (!(value > 0))
		value = 0;
	struct buckets b = buckets_of(m);
	size_t at = 0;
	while (at < b.count && value > b.bounds[at])
		at++;
	pthread_mutex_lock(&registry.lock);
	struct series *s = obtain(m, &k);
	s->value += value;
	s->counts[at]++;
	pthread_mutex_unlock(&registry.lock);
}

double metric_value(enum metric m, ...)
{
	struct key k;
	va_list values;

	assert(METRIC[m].kind != METRIC_HISTOGRAM);
	va_start(values, m);
	read_key(m, values, &k);
	va_end(values);
	pthread_mutex_lock(&registry.lock);
	const struct series *s = *slot_of(&registry.families[m], &k);
	double value = s == NULL ? 0 : s->value;
	pthread_mutex_unlock(&registry.lock);
	return value;
}

static bool has_value(const struct series *s, const char *value)
{
	for (const char *at = s->key; at < s->key + s->n; at += strlen(at) + 1)
		if (strcmp(at, value) == 0)
			return true;
	return false;
}

double metric_sum(enum metric m, const char *value)
{
	double sum = 0;

	assert(METRIC[m].kind != METRIC_HISTOGRAM);
	pthread_mutex_lock(&registry.lock);
	const struct family *f = &registry.families[m];
	for (size_t i = 0; i < f->count; i++)
		if (value == NULL || has_value(f->series[i], value))
			sum += f->series[i]->value;
	pthread_mutex_unlock(&registry.lock);
	return sum;
}

/* The numbers of one series at one moment. */
struct reading {
	const char *labels;
	double value;
	uint64_t counts[BUCKETS_MAX + 1];
};

static size_t read_family(enum metric m, struct reading *out)
{
	const struct family *f = &registry.families[m];
	struct key no_labels = {.n = 0};

	seal(&no_labels);
	pthread_mutex_lock(&registry.lock);
	if (METRIC[m].labels[0] == '\0')
		obtain(m, &no_labels);
	for (size_t i = 0; i < f->count; i++) {
		const struct series *s = f->series[i];
		out[i].labels = s->labels;
		out[i].value = s->value;
		if (s->counts != NULL)
			memcpy(out[i].counts, s->counts,
			       (buckets_of(m).count + 1) * sizeof(uint64_t));
	}
	size_t count = f->count;
	pthread_mutex_unlock(&registry.lock);
	return count;
}

struct number {
	char text[32];
};

/* The shortest of two forms that reads back as the same value. */
static struct number number(double value)
{
	struct number n = {"NaN"};

	if (isinf(value)) {
		snprintf(n.text, sizeof(n.text), value > 0 ? "+Inf" : "-Inf");
	} else if (!isnan(value)) {
		snprintf(n.text, sizeof(n.text), "%.15g", value);
		if (strtod(n.text, NULL) != value)
			snprintf(n.text, sizeof(n.text), "%.17g", value);
	}
	return n;
}

static void add_histogram(char **text, enum metric m, const struct reading *r)
{
	struct buckets b = buckets_of(m);
	const char *name = METRIC[m].name;
	const char *comma = *r->labels == '\0' ? "" : ",";
	const char *open = *r->labels == '\0' ? "" : "{";
	const char *shut = *r->labels == '\0' ? "" : "}";
	uint64_t count = 0;

	for (size_t i = 0; i <= b.count; i++) {
		struct number bound = number(i < b.count ? b.bounds[i] : INFINITY);
		count += r->counts[i];
		str_add(text, "agent_sre_%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, r->labels,
			comma, bound.text, count);
	}
	str_add(text, "agent_sre_%s_sum%s%s%s %s\n", name, open, r->labels, shut,
		number(r->value).text);
	str_add(text, "agent_sre_%s_count%s%s%s %" PRIu64 "\n", name, open, r->labels, shut, count);
}

static void add_value(char **text, enum metric m, const struct reading *r)
{
	const char *open = *r->labels == '\0' ? "" : "{";
	const char *shut = *r->labels == '\0' ? "" : "}";

	str_add(text, "agent_sre_%s%s%s%s %s\n", METRIC[m].name, open, r->labels, shut,
		number(r->value).text);
}

/* Each addition may move all that is there already, so the text grows by whole series and families.
 */
static void add_series(char **text, enum metric m, const struct reading *r)
{
	SCOPE(tmp);
	char *lines = str_dup(tmp, "");

	if (METRIC[m].kind == METRIC_HISTOGRAM)
		add_histogram(&lines, m, r);
	else
		add_value(&lines, m, r);
	str_add(text, "%s", lines);
}

static void add_family(char **text, enum metric m, const struct reading *readings, size_t count)
{
	static const char *const KINDS[] = {"counter", "gauge", "histogram"};
	const struct description *d = &METRIC[m];
	SCOPE(tmp);
	char *lines = str_fmt(tmp, "# HELP agent_sre_%s %s\n# TYPE agent_sre_%s %s\n", d->name,
			      d->help, d->name, KINDS[d->kind]);

	for (size_t i = 0; i < count; i++)
		add_series(&lines, m, &readings[i]);
	str_add(text, "%s", lines);
}

char *metrics_text(void *mem)
{
	SCOPE(tmp);
	struct reading *readings = NEW_ARRAY(tmp, struct reading, METRIC_SERIES_MAX);
	char *text = str_dup(mem, "");

	for (int m = 0; m < METRIC_COUNT; m++)
		add_family(&text, (enum metric)m, readings, read_family((enum metric)m, readings));
	return text;
}
