/*
 * Documents are read in two passes, since an SLO may name an SLI of a later file: openslo_add
 * checks the shape and keeps what it found, openslo_finish makes definitions of it.
 */
#include "domain/openslo.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"

enum { NAME_BYTES = 63, QUERY_BYTES = 16384, SLOS_MAX = 10000 };

/* One document, or a place in it. */
struct place {
	void *mem;
	const char *file;
	const json_t *lines;
	const char *path; /* of the value, such as spec.objectives[0] */
	const json_t *value;
};

struct sli {
	const char *name;
	struct place spec;
};

struct pending {
	struct slo_definition d;
	struct place indicator; /* value NULL: by reference */
	const char *reference;
	struct place at; /* the document's root */
};

struct openslo {
	struct pending *slos;
	size_t count;
	struct sli *slis;
	size_t sli_count;
	const char **services;
	size_t service_count;
	struct slo_definition *definitions;
	const char **notes;
	size_t note_count;
};

struct openslo *openslo_new(void *mem)
{
	return NEW(mem, struct openslo);
}

static const char *path_of(const struct place *p, const char *key)
{
	if (*key == '\0')
		return p->path;
	return str_fmt(p->mem, "%s%s%s", p->path, *p->path == '\0' || *key == '[' ? "" : ".", key);
}

/* Of the value itself, or of the nearest one around it that is there. */
static long long line_of(const struct place *p, const char *key)
{
	char *path = str_dup(p->mem, path_of(p, key));

	while (*path != '\0') {
		long long line = json_int(p->lines, path, 0);
		if (line != 0)
			return line;
		size_t n = strlen(path);
		while (n > 0 && path[n - 1] != '.' && path[n - 1] != '[')
			n--;
		path[n > 0 ? n - 1 : 0] = '\0';
	}
	return json_int(p->lines, "kind", json_int(p->lines, "apiVersion", 1));
}

static enum status wrong(const struct place *p, const char *key, const char *what)
{
	const char *path = path_of(p, key);

	return failure(E_INVALID, "%s:%lld: %s%s%s", p->file, line_of(p, key), path,
		       *path == '\0' ? "" : ": ", what);
}

static void note(struct openslo *o, const struct place *p, const char *key, const char *what)
{
	o->notes = GROW(o, o->notes, const char *, o->note_count + 1);
	o->notes[o->note_count++] = str_fmt(o, "%s:%lld: %s", p->file, line_of(p, key), what);
}

/* `out->value` is NULL when there is no such member. */
static struct place member(const struct place *p, const char *key)
{
	struct place m = *p;

	m.path = path_of(p, key);
	m.value = json_object_get(p->value, key);
	if (json_is_null(m.value))
		m.value = NULL;
	return m;
}

static struct place element(const struct place *list, size_t n)
{
	struct place e = *list;

	e.path = path_of(list, str_fmt(list->mem, "[%zu]", n));
	e.value = json_array_get(list->value, n);
	return e;
}

static enum status want_map(const struct place *p)
{
	if (p->value == NULL)
		return wrong(p, "", "is missing");
	return json_is_object(p->value) ? OK : wrong(p, "", "must be a mapping");
}

/* NULL in *out when absent and not needed. */
static enum status read_text(const struct place *p, const char *key, bool needed, size_t most,
			     const char **out)
{
	struct place m = member(p, key);

	*out = NULL;
	if (m.value == NULL)
		return needed ? wrong(&m, "", "is missing") : OK;
	if (!json_is_string(m.value))
		return wrong(&m, "", "must be text");
	if (strlen(json_string_value(m.value)) > most)
		return wrong(&m, "", "is too long");
	if (needed && str_empty(json_string_value(m.value)))
		return wrong(&m, "", "is empty");
	*out = str_dup(p->mem, json_string_value(m.value));
	return OK;
}

/* Names become label values, and parts of others. */
static enum status check_name(const struct place *p, const char *key, const char *name)
{
	static const char ALLOWED[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

	if (name[strspn(name, ALLOWED)] != '\0')
		return wrong(p, key, "may hold only letters, digits, '-', '_' and '.'");
	return OK;
}

static enum status read_name(const struct place *doc, const char **name)
{
	struct place metadata = member(doc, "metadata");

	TRY(want_map(&metadata));
	TRY(read_text(&metadata, "name", true, NAME_BYTES, name));
	return check_name(&metadata, "name", *name);
}

static enum status read_number(const struct place *p, const char *key, double *out)
{
	struct place m = member(p, key);

	*out = NAN;
	if (m.value == NULL)
		return OK;
	if (!json_is_number(m.value))
		return wrong(&m, "", "must be a number");
	*out = json_number_value(m.value);
	return OK;
}

static enum status read_target(const struct place *p, double *out)
{
	double percent;

	TRY(read_number(p, "target", out));
	TRY(read_number(p, "targetPercent", &percent));
	if (isnan(*out) == isnan(percent))
		return wrong(p, "target", "one of target and targetPercent is needed");
	if (isnan(*out))
		*out = percent / 100;
	if (!(*out > 0 && *out < 1))
		return wrong(p, isnan(percent) ? "target" : "targetPercent",
			     "must be more than none and less than all: without an error budget "
			     "there is nothing to reckon with");
	return OK;
}

static enum status read_condition(const struct place *p, struct slo_definition *d)
{
	static const char *const WORDS[][2] = {
		{"lte", "<="}, {"gte", ">="}, {"lt", "<"}, {"gt", ">"}};
	const char *op = NULL;

	TRY(read_text(p, "op", false, NAME_BYTES, &op));
	TRY(read_number(p, "value", &d->value));
	d->op = NULL;
	for (size_t n = 0; op != NULL && n < 4; n++)
		if (str_eq(WORDS[n][0], op))
			d->op = WORDS[n][1];
	if (op != NULL && d->op == NULL)
		return wrong(p, "op", "must be one of lte, gte, lt, gt");
	return OK;
}

static enum status read_objectives(struct openslo *o, const struct place *spec,
				   struct slo_definition *d)
{
	struct place list = member(spec, "objectives");
	size_t count = json_array_size(list.value);

	if (count == 0)
		return wrong(&list, "", "must be a list of one objective");
	d->objective = 0;
	for (size_t n = 0; n < count; n++) {
		struct place one = element(&list, n);
		double target;
		TRY(want_map(&one));
		TRY(read_target(&one, &target));
		if (target <= d->objective)
			continue;
		d->objective = target;
		TRY(read_condition(&one, d));
	}
	if (count > 1)
		note(o, &list, "", "of several objectives the strictest counts");
	return OK;
}

static enum status read_duration(struct openslo *o, const struct place *p, long long *out_s)
{
	static const struct {
		char unit;
		long long seconds;
	} UNITS[] = {{'m', 60},		  {'h', 3600},	       {'d', 86400},
		     {'w', 7LL * 86400},  {'M', 30LL * 86400}, {'Q', 90LL * 86400},
		     {'Y', 365LL * 86400}};
	const char *text = NULL;
	long long n;

	TRY(read_text(p, "duration", true, 16, &text));
	size_t digits = strspn(text, "0123456789");
	for (size_t u = 0; u < sizeof(UNITS) / sizeof(UNITS[0]); u++) {
		if (text[digits] != UNITS[u].unit || text[digits + 1] != '\0' ||
		    str_to_int(str_ndup(p->mem, text, digits), 1, 100000, &n) != OK)
			continue;
		*out_s = n * UNITS[u].seconds;
		if (strchr("MQY", UNITS[u].unit) != NULL)
			note(o, p, "duration",
			     "a month counts as 30 days, a quarter as 90, a year as 365");
		return OK;
	}
	return wrong(p, "duration", "must be a duration such as 30d or 4w");
}

static enum status read_window(struct openslo *o, const struct place *spec,
			       struct slo_definition *d)
{
	struct place list = member(spec, "timeWindow");

	if (json_array_size(list.value) != 1)
		return wrong(&list, "", "must be a list of one window");
	struct place one = element(&list, 0);
	TRY(want_map(&one));
	TRY(read_duration(o, &one, &d->period_s));
	if (d->period_s < 3600 || d->period_s > 366LL * 86400)
		return wrong(&one, "duration", "must be an hour to a year");
	if (json_object_get(one.value, "calendar") != NULL ||
	    json_is_false(json_object_get(one.value, "isRolling")))
		note(o, &one, "", "a calendar-aligned window is treated as a rolling one");
	return OK;
}

static enum status check_budgeting(const struct place *spec)
{
	const char *method = NULL;

	TRY(read_text(spec, "budgetingMethod", false, NAME_BYTES, &method));
	if (method != NULL && !str_eq(method, "Occurrences"))
		return wrong(spec, "budgetingMethod", "only Occurrences is understood");
	return OK;
}

static enum status read_indicator_place(const struct place *spec, struct pending *out)
{
	struct place indicator = member(spec, "indicator");

	TRY(read_text(spec, "indicatorRef", false, NAME_BYTES, &out->reference));
	if ((indicator.value == NULL) == (out->reference == NULL))
		return wrong(spec, "", "one of indicator and indicatorRef is needed");
	out->indicator = indicator;
	if (indicator.value == NULL)
		return OK;
	TRY(want_map(&indicator));
	out->indicator = member(&indicator, "spec");
	return want_map(&out->indicator);
}

static enum status read_slo(struct openslo *o, const struct place *doc, const char *name)
{
	struct pending p = {.at = *doc};
	struct slo_definition *d = &p.d;
	struct place spec = member(doc, "spec");
	struct place metadata = member(doc, "metadata");

	*d = (struct slo_definition){.name = name, .file = doc->file, .line = line_of(doc, "kind")};
	TRY(want_map(&spec));
	TRY(read_text(&metadata, "displayName", false, 256, &d->display));
	TRY(read_text(&spec, "service", true, NAME_BYTES, &d->service));
	TRY(check_name(&spec, "service", d->service));
	TRY(read_text(&spec, "description", false, 1050, &d->description));
	TRY(check_budgeting(&spec));
	TRY(read_window(o, &spec, d));
	TRY(read_objectives(o, &spec, d));
	TRY(read_indicator_place(&spec, &p));
	d->display = str_empty(d->display) ? name : d->display;
	d->description = d->description == NULL ? "" : d->description;
	if (o->count >= SLOS_MAX)
		return wrong(doc, "", "too many SLOs");
	o->slos = GROW(o, o->slos, struct pending, o->count + 1);
	o->slos[o->count++] = p;
	return OK;
}

static enum status read_sli(struct openslo *o, const struct place *doc, const char *name)
{
	struct place spec = member(doc, "spec");

	TRY(want_map(&spec));
	for (size_t n = 0; n < o->sli_count; n++)
		if (str_eq(o->slis[n].name, name))
			return wrong(doc, "metadata.name", "there is an SLI of that name already");
	o->slis = GROW(o, o->slis, struct sli, o->sli_count + 1);
	o->slis[o->sli_count++] = (struct sli){name, spec};
	return OK;
}

static enum status read_service(struct openslo *o, const char *name)
{
	o->services = GROW(o, o->services, const char *, o->service_count + 1);
	o->services[o->service_count++] = name;
	return OK;
}

static enum status read_document(struct openslo *o, const struct place *doc)
{
	const char *version = NULL;
	const char *kind = NULL;
	const char *name = NULL;

	if (!json_is_object(doc->value))
		return wrong(doc, "", "a document must be a mapping");
	TRY(read_text(doc, "apiVersion", true, NAME_BYTES, &version));
	TRY(read_text(doc, "kind", true, NAME_BYTES, &kind));
	if (!str_eq(version, "openslo/v1"))
		return wrong(doc, "apiVersion", "must be openslo/v1");
	bool known = str_eq(kind, "SLO") || str_eq(kind, "SLI") || str_eq(kind, "Service");
	if (!known) {
		note(o, doc, "kind", str_fmt(o, "kind %.60s is passed over", kind));
		return OK;
	}
	TRY(read_name(doc, &name));
	if (str_eq(kind, "SLO"))
		return read_slo(o, doc, name);
	return str_eq(kind, "SLI") ? read_sli(o, doc, name) : read_service(o, name);
}

enum status openslo_add(struct openslo *o, const char *name, const char *text, size_t n)
{
	json_t *docs = NULL;
	json_t *lines = NULL;
	size_t k;
	json_t *value;

	TRY(yaml_parse_all(o, name, text, n, &docs, &lines));
	json_array_foreach (docs, k, value) {
		const struct place doc = {.mem = o,
					  .file = str_dup(o, name),
					  .lines = json_array_get(lines, k),
					  .path = "",
					  .value = value};
		TRY(read_document(o, &doc));
	}
	return OK;
}

/* Without space around it; what ends with a remark keeps the end of that line, so that more may
 * follow. */
static char *trimmed(void *mem, const char *text)
{
	static const char SPACE[] = " \t\r\n";
	size_t n;

	text += strspn(text, SPACE);
	n = strlen(text);
	while (n > 0 && strchr(SPACE, text[n - 1]) != NULL)
		n--;
	return str_fmt(mem, "%.*s%s", (int)n, text, strchr(text, '#') == NULL ? "" : "\n");
}

/* metricSource: {type: Prometheus, spec: {query: …}}, in `p` itself or under `key`. */
static enum status read_query(const struct place *p, const char *key, const char **out)
{
	struct place metric = *key == '\0' ? *p : member(p, key);
	const char *type = NULL;

	TRY(want_map(&metric));
	struct place source = member(&metric, "metricSource");
	TRY(want_map(&source));
	TRY(read_text(&source, "type", false, NAME_BYTES, &type));
	if (type != NULL && !str_eq(str_lower(p->mem, type), "prometheus"))
		return wrong(&source, "type", "only Prometheus is understood");
	struct place spec = member(&source, "spec");
	const char *text = NULL;
	TRY(want_map(&spec));
	TRY(read_text(&spec, "query", true, QUERY_BYTES, &text));
	*out = trimmed(p->mem, text == NULL ? "" : text);
	return **out == '\0' ? wrong(&spec, "query", "is empty") : OK;
}

static enum status read_ratio(const struct place *ratio, struct slo_definition *d)
{
	bool good = json_object_get(ratio->value, "good") != NULL;
	bool bad = json_object_get(ratio->value, "bad") != NULL;
	const json_t *counter = json_object_get(ratio->value, "counter");

	TRY(want_map(ratio));
	if (good == bad)
		return wrong(ratio, "", "one of good and bad is needed");
	if (counter != NULL && !json_is_boolean(counter))
		return wrong(ratio, "counter", "must be true or false");
	d->counter = json_is_true(counter);
	d->indicator = good ? SLO_RATIO_GOOD : SLO_RATIO_BAD;
	TRY(read_query(ratio, good ? "good" : "bad", &d->part));
	return read_query(ratio, "total", &d->total);
}

static enum status read_indicator(const struct pending *p, const struct place *spec,
				  struct slo_definition *d)
{
	struct place ratio = member(spec, "ratioMetric");
	struct place threshold = member(spec, "thresholdMetric");

	if ((ratio.value == NULL) == (threshold.value == NULL))
		return wrong(spec, "", "one of ratioMetric and thresholdMetric is needed");
	if (ratio.value != NULL)
		return read_ratio(&ratio, d);
	if (d->op == NULL || isnan(d->value))
		return wrong(&p->at, "spec.objectives",
			     "a thresholdMetric needs op and value in the objective");
	d->indicator = SLO_THRESHOLD;
	d->total = "";
	return read_query(&threshold, "", &d->part);
}

static const struct sli *find_sli(const struct openslo *o, const char *name)
{
	for (size_t n = 0; n < o->sli_count; n++)
		if (str_eq(o->slis[n].name, name))
			return &o->slis[n];
	return NULL;
}

static enum status finish_slo(struct openslo *o, const struct pending *p,
			      struct slo_definition *out)
{
	const struct sli *sli = p->reference == NULL ? NULL : find_sli(o, p->reference);
	bool known = o->service_count == 0;

	*out = p->d;
	if (p->reference != NULL && sli == NULL)
		return wrong(&p->at, "spec.indicatorRef",
			     str_fmt(o, "there is no SLI %s", p->reference));
	for (size_t n = 0; n < o->service_count && !known; n++)
		known = str_eq(o->services[n], p->d.service);
	if (!known)
		note(o, &p->at, "spec.service", "no document describes that service");
	return read_indicator(p, sli == NULL ? &p->indicator : &sli->spec, out);
}

enum status openslo_finish(struct openslo *o)
{
	o->definitions = NEW_ARRAY(o, struct slo_definition, o->count + 1);
	for (size_t n = 0; n < o->count; n++) {
		const struct pending *p = &o->slos[n];
		for (size_t k = 0; k < n; k++)
			if (str_eq(o->slos[k].d.name, p->d.name))
				return wrong(&p->at, "metadata.name",
					     str_fmt(o, "there is an SLO %s already, in %s:%lld",
						     p->d.name, o->slos[k].d.file,
						     o->slos[k].d.line));
		TRY(finish_slo(o, p, &o->definitions[n]));
	}
	return OK;
}

const struct slo_definition *openslo_all(const struct openslo *o, size_t *count)
{
	*count = o->count;
	return o->definitions;
}

const struct slo_definition *openslo_find(const struct openslo *o, const char *name)
{
	for (size_t n = 0; o != NULL && n < o->count; n++)
		if (str_eq(o->definitions[n].name, name))
			return &o->definitions[n];
	return NULL;
}

const char *const *openslo_notes(const struct openslo *o, size_t *count)
{
	*count = o->note_count;
	return o->notes;
}

static const char *const PLACES[] = {"{{.window}}", "{{ .window }}"};

/* `query` with the window in its places; NULL when it has none. */
static char *windowed(void *mem, const char *query, const char *window)
{
	char *out = str_dup(mem, "");
	bool found = false;

	while (*query != '\0') {
		size_t skip = 0;
		for (size_t n = 0; n < 2; n++)
			if (str_starts(query, PLACES[n]))
				skip = strlen(PLACES[n]);
		if (skip > 0) {
			str_add(&out, "%s", window);
			query += skip;
			found = true;
			continue;
		}
		size_t plain = 1 + strcspn(query + 1, "{");
		str_add(&out, "%.*s", (int)plain, query);
		query += plain;
	}
	return found ? out : NULL;
}

/* A metric, maybe with matchers, and nothing else: what rate() takes as it is. */
static bool is_selector(const char *query)
{
	static const char WORD[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:";
	size_t n = strspn(query, WORD);

	if (query[n] == '\0')
		return n > 0;
	if (query[n] != '{')
		return false;
	const char *close = strchr(query + n, '}');
	return close != NULL && close[1] == '\0';
}

/* A query's value over the window, summed over all series. */
static char *over(void *mem, const struct slo_definition *d, const char *query, const char *window)
{
	char *placed = windowed(mem, query, window);

	if (placed != NULL)
		return str_fmt(mem, "sum(%s)", placed);
	if (d->counter && is_selector(query))
		return str_fmt(mem, "sum(rate(%s[%s]))", query, window);
	if (d->counter)
		return str_fmt(mem, "sum(rate((%s)[%s:]))", query, window);
	return str_fmt(mem, "sum(avg_over_time((%s)[%s:]))", query, window);
}

char *slo_definition_errors(void *mem, const struct slo_definition *d, const char *window)
{
	if (d->indicator == SLO_THRESHOLD) {
		char *placed = windowed(mem, d->part, "5m");
		return str_fmt(mem, "1 - avg(avg_over_time(((%s) %s bool %.15g)[%s:]))",
			       placed == NULL ? d->part : placed, d->op, d->value, window);
	}
	char *ratio = str_fmt(mem, "(%s / %s)", over(mem, d, d->part, window),
			      over(mem, d, d->total, window));
	return d->indicator == SLO_RATIO_BAD ? ratio : str_fmt(mem, "1 - %s", ratio);
}

char *slo_definition_period(void *mem, const struct slo_definition *d)
{
	if (d->period_s % 86400 == 0)
		return str_fmt(mem, "%lldd", d->period_s / 86400);
	if (d->period_s % 3600 == 0)
		return str_fmt(mem, "%lldh", d->period_s / 3600);
	return str_fmt(mem, "%lldm", d->period_s / 60);
}
