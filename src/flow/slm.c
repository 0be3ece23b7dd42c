/* A source is two functions: one names its queries, the other makes a reading of their answers. All
 * queries of all sources go out together. */
#include "flow/slm.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "domain/promql.h"
#include "net/url.h"

enum {
	QUERIES_MAX = 32,
	REMEMBERED_MAX = 512,
	NAME_BYTES = 253,
	FAILURE_MS = 1000,
	GRACE_MS = 1000
};

/* The queries of one source, then their answers. */
struct inquiry {
	void *mem;
	const char *slo;
	const struct slo_definition *definition; /* or NULL */
	const char *exprs[QUERIES_MAX];
	size_t count;
	const struct query_answer *answers;
};

struct source {
	const char *name;
	void (*ask)(struct inquiry *q);
	struct slo_reading (*read)(const struct inquiry *q);
};

/* What is remembered of one SLO. */
struct entry {
	char *slo;
	struct slo_context *context; /* under the entry; NULL until the first answer */
	int64_t at_ms, used_ms;
	bool asking;
};

struct slm {
	struct slm_options o;
	const struct source *sources[8];
	size_t source_count;
	pthread_mutex_t lock; /* guards all below; never held over I/O */
	pthread_cond_t answered;
	struct entry *entries[REMEMBERED_MAX];
	size_t count;
};

static void add(struct inquiry *q, const char *metric, const char *label)
{
	json_t *labels = mem_own(q->mem, json_pack("{s:s}", label, q->slo));

	q->exprs[q->count++] = promql_selector(q->mem, metric, labels);
}

typedef double worse_fn(double a, double b);

/* The worst of all series of one query. */
static double worst(const struct inquiry *q, size_t n, worse_fn *worse)
{
	const struct query_result *r = q->answers[n].result;
	double found = NAN;

	for (size_t k = 0; r != NULL && k < r->count; k++)
		found = worse(found, r->samples[k].value);
	return found;
}

static void ask_series(struct inquiry *q)
{
	add(q, "slo:target", "slo_name");
	add(q, "sli:current", "slo_name");
	add(q, "slo:error_budget_remaining", "slo_name");
	add(q, "slo:error_budget_burn_rate", "slo_name");
}

static struct slo_reading read_series(const struct inquiry *q)
{
	struct slo_reading r = slo_reading_unknown();

	r.objective = worst(q, 0, slo_worse_high);
	r.sli = worst(q, 1, slo_worse_low);
	r.remaining = worst(q, 2, slo_worse_low);
	r.burn_rate = worst(q, 3, slo_worse_high);
	return r;
}

/* One selector brings all records of an SLO; which is which their names say. */
static void ask_sloth(struct inquiry *q)
{
	add(q, "", "sloth_slo");
	add(q, "", "sloth_id");
}

static const double DAY_S = 86400;
static const char SLOTH_ERRORS[] = "slo:sli_error:ratio_rate";

/* "5m" … "3d"; the period's own record, "30d", is told apart by its length. */
static void read_sloth_errors(const struct sample *s, const char *window, struct slo_reading *r,
			      double *days)
{
	long long n = 0;
	size_t digits = strspn(window, "0123456789");
	char text[16];

	for (int w = 0; w < SLO_WINDOW_COUNT; w++)
		if (str_eq(window, slo_window_name((enum slo_window)w)))
			r->errors[w] = slo_worse_high(r->errors[w], s->value);
	if (digits == 0 || digits > 4 || !str_eq(window + digits, "d"))
		return;
	str_print(text, sizeof(text), "%.*s", (int)digits, window);
	if (str_to_int(text, 4, 9999, &n) == OK) {
		r->sli = slo_worse_low(r->sli, 1 - s->value);
		*days = (double)n;
	}
}

static void read_sloth_sample(const struct sample *s, struct slo_reading *r, double *days)
{
	const char *name = json_str(s->labels, "__name__");

	if (name == NULL)
		return;
	if (str_starts(name, SLOTH_ERRORS))
		read_sloth_errors(s, name + strlen(SLOTH_ERRORS), r, days);
	else if (str_eq(name, "slo:objective:ratio"))
		r->objective = slo_worse_high(r->objective, s->value);
	else if (str_eq(name, "slo:period_error_budget_remaining:ratio"))
		r->remaining = slo_worse_low(r->remaining, s->value);
	else if (str_eq(name, "slo:time_period:days"))
		r->period_s = slo_worse_high(r->period_s, s->value * DAY_S);
}

static struct slo_reading read_sloth(const struct inquiry *q)
{
	struct slo_reading r = slo_reading_unknown();
	double days = NAN;

	for (size_t n = 0; n < 2; n++) {
		const struct query_result *found = q->answers[n].result;
		for (size_t k = 0; found != NULL && k < found->count; k++)
			read_sloth_sample(&found->samples[k], &r, &days);
	}
	if (!isfinite(r.period_s))
		r.period_s = days * DAY_S;
	return r;
}

static void ask_pyrra(struct inquiry *q)
{
	add(q, "pyrra_objective", "slo");
	add(q, "pyrra_window", "slo");
	add(q, "pyrra_availability", "slo");
	add(q, "pyrra_errors:rate5m", "slo");
	add(q, "pyrra_requests:rate5m", "slo");
}

static struct slo_reading read_pyrra(const struct inquiry *q)
{
	struct slo_reading r = slo_reading_unknown();

	r.objective = worst(q, 0, slo_worse_high);
	r.period_s = worst(q, 1, slo_worse_high);
	r.sli = worst(q, 2, slo_worse_low);
	r.errors[SLO_5M] = worst(q, 3, slo_worse_high) / worst(q, 4, slo_worse_low);
	return r;
}

static void ask_openslo(struct inquiry *q)
{
	const struct slo_definition *d = q->definition;

	if (d == NULL)
		return;
	for (int w = 0; w < SLO_WINDOW_COUNT; w++)
		q->exprs[q->count++] =
			slo_definition_errors(q->mem, d, slo_window_name((enum slo_window)w));
	q->exprs[q->count++] = slo_definition_errors(q->mem, d, slo_definition_period(q->mem, d));
}

static struct slo_reading read_openslo(const struct inquiry *q)
{
	struct slo_reading r = slo_reading_unknown();

	r.objective = q->definition->objective;
	r.period_s = (double)q->definition->period_s;
	for (int w = 0; w < SLO_WINDOW_COUNT; w++)
		r.errors[w] = worst(q, (size_t)w, slo_worse_high);
	r.sli = 1 - worst(q, SLO_WINDOW_COUNT, slo_worse_high);
	return r;
}

static const struct source SOURCES[] = {
	{"openslo", ask_openslo, read_openslo},
	{"sloth", ask_sloth, read_sloth},
	{"pyrra", ask_pyrra, read_pyrra},
	{"series", ask_series, read_series},
};

enum { SOURCE_COUNT = sizeof(SOURCES) / sizeof(SOURCES[0]) };

static int drop(struct slm *s)
{
	pthread_cond_destroy(&s->answered);
	pthread_mutex_destroy(&s->lock);
	return 0;
}

static const struct source *find_source(const char *name)
{
	for (size_t n = 0; n < SOURCE_COUNT; n++)
		if (str_eq(SOURCES[n].name, name))
			return &SOURCES[n];
	return NULL;
}

enum status slm_new(void *mem, const struct slm_options *o, struct slm **out)
{
	struct slm *s = NEW(mem, struct slm);

	s->o = *o;
	for (size_t n = 0; o->sources[n] != NULL; n++) {
		const struct source *found = find_source(o->sources[n]);
		if (found == NULL || s->source_count == SOURCE_COUNT)
			return failure(E_INVALID,
				       "slo.sources: '%.40s' is not one of openslo, sloth, pyrra, "
				       "series, each once",
				       o->sources[n]);
		s->sources[s->source_count++] = found;
	}
	pthread_mutex_init(&s->lock, NULL);
	clock_condition_init(&s->answered);
	talloc_set_destructor(s, drop);
	*out = s;
	return OK;
}

static const char *sli_of(void *mem, const struct slm *s, const char *slo)
{
	size_t n = strlen(slo);

	for (const char *const *pair = s->o.sli_names; *pair != NULL; pair++)
		if (strncmp(*pair, slo, n) == 0 && (*pair)[n] == '=')
			return str_dup(mem, *pair + n + 1);
	return str_dup(mem, slo);
}

struct slo_context *slm_unavailable(void *mem, const struct slm *s, const char *slo,
				    const char *why)
{
	const struct slo_definition *d = s == NULL ? NULL : openslo_find(s->o.definitions, slo);
	struct slo_context *c = NEW(mem, struct slo_context);

	*c = slo_context_unavailable(str_dup(c, slo), s == NULL ? NULL : sli_of(c, s, slo),
				     str_dup(c, why));
	if (d != NULL) {
		c->target = d->objective;
		c->period_s = (double)d->period_s;
	}
	return c;
}

char *slm_link(void *mem, const struct slm *s, const char *slo)
{
	const char *const path[] = {"d", str_fmt(mem, "slo-%s", slo), NULL};
	char *url = NULL;

	if (s == NULL || str_empty(s->o.link) ||
	    url_build(mem, s->o.link, path, NULL, 0, &url) != OK)
		return NULL;
	return url;
}

/* Why the first one that failed did; NULL = none did. */
static const char *failure_of(const struct query_answer *answers, size_t count)
{
	for (size_t n = 0; n < count; n++)
		if (answers[n].status != OK)
			return answers[n].message;
	return NULL;
}

static bool is_canceled(const struct query_answer *answers, size_t count)
{
	for (size_t n = 0; n < count; n++)
		if (answers[n].status == E_CANCELED)
			return true;
	return false;
}

/* The first source that knows the budget, else the first that measured anything, else NULL: a query
 * over a month of raw series may be the one that does not answer in time. */
static const struct source *choose(const struct slm *s, struct inquiry *inquiries,
				   const struct query_answer *answers, struct slo_reading *out)
{
	const struct source *best = NULL;

	for (size_t n = 0; n < s->source_count; n++) {
		inquiries[n].answers = answers;
		answers += inquiries[n].count;
		if (inquiries[n].count == 0)
			continue;
		struct slo_reading r = s->sources[n]->read(&inquiries[n]);
		bool whole = slo_reading_knows_budget(&r);
		if (!whole && (best != NULL || !slo_reading_measures(&r)))
			continue;
		*out = r;
		best = s->sources[n];
		if (whole)
			break;
	}
	return best;
}

static void tell(const char *slo, const struct slo_context *c, bool failed, int64_t took_ms)
{
	metric_add(M_SLM_QUERIES, 1,
		   slo_is_known(c) ? "answered"
		   : failed	   ? "unavailable"
				   : "empty");
	metric_observe(M_SLM_QUERY_SECONDS, (double)took_ms / 1000.0);
	if (!slo_is_known(c))
		log_event(LOG_WARN, "slm_unavailable", "slo", slo, "error", c->trouble, NULL);
}

/* All queries of all sources, each within the deadline. */
static enum status inquire(void *mem, struct slm *s, const char *slo, struct slo_context **out)
{
	struct inquiry *inquiries = NEW_ARRAY(mem, struct inquiry, s->source_count + 1);
	const char **exprs = NEW_ARRAY(mem, const char *, s->source_count *QUERIES_MAX + 1);
	struct query_answer *answers = NULL;
	struct slo_reading reading = slo_reading_unknown();
	size_t count = 0;
	int64_t began_ms = clock_monotonic();

	for (size_t n = 0; n < s->source_count; n++) {
		inquiries[n] = (struct inquiry){
			.mem = mem, .slo = slo, .definition = openslo_find(s->o.definitions, slo)};
		s->sources[n]->ask(&inquiries[n]);
		memcpy(exprs + count, inquiries[n].exprs, inquiries[n].count * sizeof(*exprs));
		count += inquiries[n].count;
	}
	prometheus_query_all(mem, &s->o.prometheus, exprs, count, &answers);
	if (is_canceled(answers, count))
		return failure(E_CANCELED, "stopping");
	const struct source *source = choose(s, inquiries, answers, &reading);
	const char *why = failure_of(answers, count);
	*out = slm_unavailable(mem, s, slo,
			       source != NULL ? NULL
			       : why != NULL  ? why
					      : "Prometheus has no data of this SLO");
	if (source != NULL) {
		(*out)->source = source->name;
		slo_assess(&reading, &s->o.thresholds, *out);
	}
	tell(slo, *out, why != NULL, clock_monotonic() - began_ms);
	return OK;
}

/* The lock is held. */
static struct entry *find_entry(struct slm *s, const char *slo)
{
	for (size_t n = 0; n < s->count; n++)
		if (str_eq(s->entries[n]->slo, slo))
			return s->entries[n];
	return NULL;
}

/* The lock is held. NULL when every place is taken by a question under way. */
static struct entry *new_entry(struct slm *s, const char *slo)
{
	size_t place = s->count;

	if (place == REMEMBERED_MAX) {
		int64_t oldest = INT64_MAX;
		for (size_t n = 0; n < s->count; n++) {
			const struct entry *e = s->entries[n];
			if (e->asking || e->used_ms >= oldest)
				continue;
			oldest = e->used_ms;
			place = n;
		}
		if (place == REMEMBERED_MAX)
			return NULL;
		talloc_free(s->entries[place]);
	} else {
		s->count++;
	}
	s->entries[place] = NEW(s, struct entry);
	s->entries[place]->slo = str_dup(s->entries[place], slo);
	return s->entries[place];
}

/* A clock that was put back makes what is remembered old. */
static bool is_fresh(const struct slm *s, const struct entry *e, int64_t now_ms)
{
	if (e == NULL || e->context == NULL)
		return false;
	int64_t keep = slo_is_known(e->context) || s->o.remember_ms < FAILURE_MS ? s->o.remember_ms
										 : FAILURE_MS;
	return now_ms >= e->at_ms && now_ms - e->at_ms < keep;
}

/* The lock is held. */
static bool recall(void *mem, struct slm *s, const char *slo, struct slo_context **out)
{
	struct entry *e = find_entry(s, slo);
	int64_t now_ms = clock_now();

	if (!is_fresh(s, e, now_ms))
		return false;
	e->used_ms = now_ms;
	*out = slo_context_copy(mem, e->context);
	return true;
}

bool slm_recall(void *mem, struct slm *s, const char *slo, struct slo_context **out)
{
	pthread_mutex_lock(&s->lock);
	bool found = recall(mem, s, slo, out);
	pthread_mutex_unlock(&s->lock);
	if (found)
		metric_add(M_SLM_QUERIES, 1, "remembered");
	return found;
}

/* Waits for whoever asks already. The lock is held. False: he never came back. */
static bool await(struct slm *s, const char *slo)
{
	struct timespec latest = clock_deadline(s->o.prometheus.timeout_ms + GRACE_MS);
	struct entry *e;

	/* the entry may be another one each time */
	while ((e = find_entry(s, slo)) != NULL && e->asking)
		if (pthread_cond_timedwait(&s->answered, &s->lock, &latest) != 0)
			return false;
	return true;
}

/* What is to be done about a question: nothing, to ask, or to do without. */
enum claim { ANSWERED, MINE, CROWDED };

/* The lock is held. */
static enum claim claim(void *mem, struct slm *s, const char *slo, struct slo_context **out)
{
	struct entry *e = find_entry(s, slo);

	if (e != NULL && e->asking) {
		if (!await(s, slo))
			return CROWDED;
		e = find_entry(s, slo);
		/* that answer is younger than the question, or nearly: whatever it is, and however
		 * long it is kept */
		if (e != NULL && e->context != NULL) {
			*out = slo_context_copy(mem, e->context);
			return ANSWERED;
		}
	}
	if (recall(mem, s, slo, out))
		return ANSWERED;
	if (e == NULL)
		e = new_entry(s, slo);
	if (e == NULL)
		return CROWDED;
	e->asking = true;
	return MINE;
}

static void remember(struct slm *s, const char *slo, const struct slo_context *context)
{
	pthread_mutex_lock(&s->lock);
	struct entry *e = find_entry(s, slo); /* who is asking is not forgotten */
	e->asking = false;
	talloc_free(e->context);
	e->context = context == NULL ? NULL : slo_context_copy(e, context);
	e->at_ms = e->used_ms = clock_now();
	pthread_cond_broadcast(&s->answered);
	pthread_mutex_unlock(&s->lock);
}

enum status slm_ask(void *mem, struct slm *s, const char *slo, struct slo_context **out)
{
	if (strlen(slo) > NAME_BYTES) {
		*out = slm_unavailable(mem, s, slo, "the name of the SLO is too long");
		return OK;
	}
	pthread_mutex_lock(&s->lock);
	enum claim c = claim(mem, s, slo, out);
	pthread_mutex_unlock(&s->lock);
	if (c == ANSWERED)
		metric_add(M_SLM_QUERIES, 1, "remembered");
	if (c == CROWDED)
		*out = slm_unavailable(mem, s, slo, "too many questions are under way");
	if (c != MINE)
		return OK;
	enum status status = inquire(mem, s, slo, out);
	remember(s, slo, status == OK ? *out : NULL);
	return status;
}
