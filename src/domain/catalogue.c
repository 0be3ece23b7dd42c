#include "domain/catalogue.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"

enum { TEXT_BYTES = 512, NAME_BYTES = 253 };

#define KIND_RULE "the kind of the label that gave the name"

static const char *const RISKS[] = {"low", "medium", "high"};
static const char *const EFFECTS[] = {"read", "reversible", "irreversible"};
static const char *const TYPES[] = {"string", "integer", "number", "boolean"};

const char *risk_name(enum risk r)
{
	return RISKS[r];
}

const char *effect_name(enum effect e)
{
	return EFFECTS[e];
}

static int word_in(const char *word, const char *const *words, int count)
{
	for (int n = 0; n < count; n++)
		if (str_eq(word, words[n]))
			return n;
	return -1;
}

enum status risk_parse(const char *word, enum risk *out)
{
	int n = word_in(word, RISKS, 3);

	if (n < 0)
		return failure(E_INVALID, "'%.40s' is not one of low, medium, high", word);
	*out = (enum risk)n;
	return OK;
}

struct reader {
	void *mem;
	const char *name;
	const json_t *lines;
	char path[256];
};

static enum status wrong(const struct reader *r, const char *key, const char *what)
{
	char path[320];

	str_print(path, sizeof(path), "%s%s%s", r->path,
		  *r->path != '\0' && *key != '\0' ? "." : "", key);
	return failure(E_INVALID, "%s:%lld: %s: %s", r->name,
		       (long long)json_int(r->lines, path, 1), path, what);
}

static enum status check_keys(const struct reader *r, const json_t *object,
			      const char *const *known)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return wrong(r, "", "must be a mapping");
	json_object_foreach ((json_t *)object, key, value) {
		bool found = false;
		for (int n = 0; known[n] != NULL; n++)
			found = found || str_eq(known[n], key);
		if (!found)
			return wrong(r, key, "unknown key");
	}
	return OK;
}

static enum status read_text(const struct reader *r, const json_t *object, const char *key,
			     const char *otherwise, const char **out)
{
	const json_t *value = json_object_get(object, key);

	*out = otherwise;
	if (value == NULL || json_is_null(value))
		return OK;
	if (!json_is_string(value))
		return wrong(r, key, "must be text");
	*out = str_dup(r->mem, json_string_value(value));
	return OK;
}

static enum status read_flag(const struct reader *r, const json_t *object, const char *key,
			     bool *out)
{
	const json_t *value = json_object_get(object, key);

	if (value != NULL && !json_is_boolean(value))
		return wrong(r, key, "must be true or false");
	*out = json_is_true(value);
	return OK;
}

static enum status read_word(const struct reader *r, const json_t *object, const char *key,
			     const char *const *words, int count, int otherwise, int *out)
{
	const char *word;

	TRY(read_text(r, object, key, NULL, &word));
	*out = word == NULL ? otherwise : word_in(word, words, count);
	return *out < 0 ? wrong(r, key, "is not one of the allowed words") : OK;
}

/* A scalar as text, whatever its YAML type. */
static const char *scalar_text(void *mem, const json_t *value)
{
	if (json_is_string(value))
		return str_dup(mem, json_string_value(value));
	if (json_is_integer(value) || json_is_real(value) || json_is_boolean(value))
		return json_text(mem, value);
	return NULL;
}

static enum status read_list(const struct reader *r, const json_t *object, const char *key,
			     const char ***out, size_t *count)
{
	const json_t *list = json_object_get(object, key);
	size_t n;
	json_t *value;

	*count = json_array_size(list);
	*out = NEW_ARRAY(r->mem, const char *, *count + 1);
	if (list != NULL && !json_is_array(list))
		return wrong(r, key, "must be a list");
	json_array_foreach (list, n, value) {
		(*out)[n] = scalar_text(r->mem, value);
		if (str_empty((*out)[n]))
			return wrong(r, key, "must hold only texts");
	}
	return OK;
}

static enum status read_bound(const struct reader *r, const json_t *object, const char *key,
			      double otherwise, double *out)
{
	const json_t *value = json_object_get(object, key);

	if (value != NULL && !json_is_number(value))
		return wrong(r, key, "must be a number");
	*out = value == NULL ? otherwise : json_number_value(value);
	return OK;
}

static enum status read_duration(const struct reader *r, const json_t *object, const char *key,
				 int64_t otherwise, int64_t *out)
{
	const json_t *value = json_object_get(object, key);
	const char *text = scalar_text(r->mem, value);
	long long ms;

	*out = otherwise;
	if (value == NULL)
		return OK;
	if (text == NULL || str_to_duration(text, &ms) != OK)
		return wrong(r, key, "must be a duration such as 30s or 5m");
	*out = ms;
	return OK;
}

static enum status fits_type(const struct parameter *p, const char *text, json_t **out);

/* A default that is no value of the type describes one ("current plus one"): the function works it
 * out. */
static enum status read_default(const struct reader *r, const json_t *doc, struct parameter *p)
{
	const json_t *value = json_object_get(doc, "default");
	json_t *typed = NULL;

	if (value == NULL)
		return OK;
	p->standard = scalar_text(r->mem, value);
	if (p->standard == NULL)
		return wrong(r, "default", "must be a plain value");
	if (fits_type(p, p->standard, &typed) != OK) {
		p->computed = p->type != PARAMETER_STRING && json_is_string(value);
		if (!p->computed)
			return wrong(r, "default", "does not fit the parameter");
	}
	json_decref(typed);
	return OK;
}

static enum status read_parameter(struct reader *r, const char *name, const json_t *doc,
				  struct parameter *p)
{
	static const char *const KEYS[] = {"type",    "required", "from",	 "choice",
					   "aliases", "default",  "minimum",	 "maximum",
					   "rule",    "format",	  "description", NULL};
	static const char *const FORMATS[] = {"name", "selector", "text"};
	int type, format;
	const char *rule;

	TRY(check_keys(r, doc, KEYS));
	p->name = str_dup(r->mem, name);
	TRY(read_word(r, doc, "type", TYPES, 4, PARAMETER_STRING, &type));
	p->type = (enum parameter_type)type;
	TRY(read_word(r, doc, "format", FORMATS, 3, 2, &format));
	p->format = FORMATS[format];
	TRY(read_flag(r, doc, "required", &p->required));
	TRY(read_list(r, doc, "from", &p->from, &p->from_count));
	TRY(read_list(r, doc, "choice", &p->choice, &p->choice_count));
	TRY(read_list(r, doc, "aliases", &p->aliases, &p->alias_count));
	TRY(read_bound(r, doc, "minimum", -INFINITY, &p->minimum));
	TRY(read_bound(r, doc, "maximum", INFINITY, &p->maximum));
	TRY(read_text(r, doc, "rule", NULL, &rule));
	if (rule != NULL && !str_eq(rule, KIND_RULE))
		return wrong(r, "rule", "the one rule there is reads: " KIND_RULE);
	p->kind_rule = rule == NULL ? NULL : "name";
	return read_default(r, doc, p);
}

/* A name that stands for two parameters would send a value to the wrong one. */
static enum status check_aliases(const struct reader *r, const struct function *f)
{
	for (size_t n = 0; n < f->parameter_count; n++)
		for (size_t a = 0; a < f->parameters[n].alias_count; a++) {
			const char *alias = f->parameters[n].aliases[a];
			if (function_parameter(f, alias) != &f->parameters[n])
				return wrong(r, "parameters", "an alias names another parameter");
			if (str_eq(alias, f->parameters[n].name))
				return wrong(r, "parameters", "an alias repeats its parameter");
		}
	return OK;
}

static enum status read_parameters(struct reader *r, const json_t *doc, struct function *f)
{
	const json_t *parameters = json_object_get(doc, "parameters");
	const char *name;
	json_t *entry;
	size_t n = 0;
	size_t base = strlen(r->path);

	if (parameters != NULL && !json_is_object(parameters))
		return wrong(r, "parameters", "must be a mapping");
	f->parameters = NEW_ARRAY(r->mem, struct parameter, json_object_size(parameters) + 1);
	json_object_foreach ((json_t *)parameters, name, entry) {
		str_print(r->path + base, sizeof(r->path) - base, ".parameters.%s", name);
		TRY(read_parameter(r, name, entry, &f->parameters[n++]));
		r->path[base] = '\0';
	}
	f->parameter_count = n;
	return check_aliases(r, f);
}

static enum status read_limits(const struct reader *r, const json_t *doc, struct function *f)
{
	static const char *const POLICIES[] = {"auto", "ask", "never"};
	double per_hour = 0;
	int policy;

	TRY(read_duration(r, doc, "timeout", 60000, &f->timeout_ms));
	TRY(read_duration(r, doc, "cooldown", 300000, &f->cooldown_ms));
	TRY(read_bound(r, doc, "per_hour", 30, &per_hour));
	TRY(read_word(r, doc, "policy", POLICIES, 3, 0, &policy));
	if (f->timeout_ms < 1 || f->timeout_ms > 300000)
		return wrong(r, "timeout", "must be between 1ms and 5m");
	if (per_hour < 0 || per_hour > 100000)
		return wrong(r, "per_hour", "must be between 0 and 100000");
	f->per_hour = (int)per_hour;
	f->ask_always = policy == 1;
	f->disabled = policy == 2;
	return OK;
}

static enum status read_function(struct reader *r, const json_t *doc, struct function *f)
{
	static const char *const KEYS[] = {
		"name",	   "namespace", "description", "risk", "effect",     "idempotent", "policy",
		"timeout", "cooldown",	"per_hour",    "undo", "parameters", "platform",   NULL};
	int risk, effect;

	TRY(check_keys(r, doc, KEYS));
	TRY(read_text(r, doc, "name", "", &f->name));
	if (!str_is_dns_label(f->name))
		return wrong(r, "name",
			     "must be a DNS label: a-z, 0-9 and -, at most 63 characters");
	TRY(read_text(r, doc, "namespace", "ai", &f->namespace));
	if (!str_is_dns_label(f->namespace))
		return wrong(r, "namespace", "must be a DNS label");
	TRY(read_text(r, doc, "description", "", &f->description));
	TRY(read_text(r, doc, "undo", NULL, &f->undo));
	TRY(read_word(r, doc, "risk", RISKS, 3, RISK_MEDIUM, &risk));
	TRY(read_word(r, doc, "effect", EFFECTS, 3, EFFECT_IRREVERSIBLE, &effect));
	TRY(read_flag(r, doc, "idempotent", &f->idempotent));
	f->risk = (enum risk)risk;
	f->effect = (enum effect)effect;
	TRY(read_limits(r, doc, f));
	return read_parameters(r, doc, f);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct function *)a)->name, ((const struct function *)b)->name);
}

enum status catalogue_parse(void *mem, const char *name, const char *text, size_t n,
			    struct catalogue **out)
{
	static const char *const KEYS[] = {"functions", NULL};
	struct reader r = {.mem = mem, .name = name};
	json_t *doc = NULL;
	json_t *lines = NULL;

	TRY(yaml_parse(mem, name, text, n, &doc, &lines));
	r.lines = lines;
	TRY(check_keys(&r, doc, KEYS));
	const json_t *list = json_object_get(doc, "functions");
	if (!json_is_array(list))
		return wrong(&r, "functions", "must be a list of functions");
	struct catalogue *c = NEW(mem, struct catalogue);
	c->count = json_array_size(list);
	c->functions = NEW_ARRAY(mem, struct function, c->count + 1);
	c->digest = id_sha256(mem, text, n);
	for (size_t i = 0; i < c->count; i++) {
		str_print(r.path, sizeof(r.path), "functions[%zu]", i);
		TRY(read_function(&r, json_array_get(list, i), &c->functions[i]));
	}
	qsort(c->functions, c->count, sizeof(*c->functions), by_name);
	for (size_t i = 1; i < c->count; i++)
		if (str_eq(c->functions[i - 1].name, c->functions[i].name))
			return failure(E_INVALID, "%s: the function %s stands twice", name,
				       c->functions[i].name);
	*out = c;
	return OK;
}

const struct function *catalogue_find(const struct catalogue *c, const char *name)
{
	const struct function key = {.name = name};

	return name == NULL ? NULL : bsearch(&key, c->functions, c->count, sizeof(key), by_name);
}

const struct parameter *function_parameter(const struct function *f, const char *name)
{
	for (size_t n = 0; n < f->parameter_count; n++) {
		const struct parameter *p = &f->parameters[n];
		if (str_eq(p->name, name))
			return p;
		for (size_t a = 0; a < p->alias_count; a++)
			if (str_eq(p->aliases[a], name))
				return p;
	}
	return NULL;
}

/* A DNS-1123 subdomain. */
static bool is_name(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > NAME_BYTES || !isalnum((unsigned char)s[0]) ||
	    !isalnum((unsigned char)s[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) && s[i] != '-' &&
		    s[i] != '.')
			return false;
	return strstr(s, "..") == NULL && strstr(s, ".-") == NULL && strstr(s, "-.") == NULL;
}

static bool is_selector(const char *s)
{
	static const char ALLOWED[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=!, ()";
	return strspn(s, ALLOWED) == strlen(s);
}

static enum status check_string(const struct parameter *p, const char *text)
{
	if (*text == '\0')
		return failure(E_INVALID, "parameter %s is empty", p->name);
	if (*text == '-')
		return failure(E_DENIED, "parameter %s begins with '-'", p->name);
	if (strlen(text) > TEXT_BYTES)
		return failure(E_INVALID, "parameter %s is longer than %d bytes", p->name,
			       TEXT_BYTES);
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return failure(E_INVALID, "parameter %s holds a control character",
				       p->name);
	if (str_eq(p->format, "name") && !is_name(text))
		return failure(E_INVALID, "parameter %s is not a Kubernetes name", p->name);
	if (str_eq(p->format, "selector") && !is_selector(text))
		return failure(E_INVALID, "parameter %s is not a label selector", p->name);
	return OK;
}

static enum status check_choice(const struct parameter *p, const char *text)
{
	for (size_t n = 0; n < p->choice_count; n++)
		if (str_eq(p->choice[n], text))
			return OK;
	return p->choice_count == 0
		       ? OK
		       : failure(E_INVALID, "parameter %s is not one of its choices", p->name);
}

static enum status check_bounds(const struct parameter *p, double value)
{
	if (!isfinite(value) || value < p->minimum || value > p->maximum)
		return failure(E_INVALID, "parameter %s is out of its bounds", p->name);
	return OK;
}

/* `text` as a value of the parameter's type; a new reference. */
static enum status fits_type(const struct parameter *p, const char *text, json_t **out)
{
	long long whole;
	double number;

	TRY(check_choice(p, text));
	switch (p->type) {
	case PARAMETER_STRING:
		TRY(check_string(p, text));
		*out = json_string(text);
		return OK;
	case PARAMETER_INTEGER:
		if (str_to_int(text, -1000000000LL, 1000000000LL, &whole) != OK)
			return failure(E_INVALID, "parameter %s must be a whole number", p->name);
		TRY(check_bounds(p, (double)whole));
		*out = json_integer(whole);
		return OK;
	case PARAMETER_NUMBER:
		if (str_to_double(text, &number) != OK)
			return failure(E_INVALID, "parameter %s must be a number", p->name);
		TRY(check_bounds(p, number));
		*out = json_real(number);
		return OK;
	case PARAMETER_BOOLEAN: break;
	}
	if (!str_eq(text, "true") && !str_eq(text, "false"))
		return failure(E_INVALID, "parameter %s must be true or false", p->name);
	*out = json_boolean(str_eq(text, "true"));
	return OK;
}

struct filling {
	void *mem;
	const struct function *function;
	const json_t *given; /* by declared name, or NULL */
	const json_t *labels;
	json_t *out;
	const char *name_label; /* the label that gave `name` */
};

/* The label of `from` that carries this value; NULL when none does. */
static const char *label_with(const struct filling *f, const struct parameter *p, const char *value)
{
	for (size_t n = 0; n < p->from_count; n++)
		if (str_eq(json_str(f->labels, p->from[n]), value))
			return p->from[n];
	return NULL;
}

/* Label values can smuggle keys into lambda_parameters, so a value must be one that the alert's
 * labels hold. */
static enum status check_origin(struct filling *f, const struct parameter *p, const char *value)
{
	if (p->from_count == 0 || p->kind_rule != NULL || p->type != PARAMETER_STRING)
		return OK;
	const char *label = label_with(f, p, value);
	if (label == NULL && !str_eq(value, p->standard))
		return failure(
			E_DENIED,
			"parameter %s is '%.60s', which none of the alert's labels for it says",
			p->name, value);
	if (str_eq(p->name, "name"))
		f->name_label = label;
	return OK;
}

static const char *from_labels(struct filling *f, const struct parameter *p)
{
	for (size_t n = 0; n < p->from_count; n++) {
		const char *value = json_str(f->labels, p->from[n]);
		if (str_empty(value))
			continue;
		if (str_eq(p->name, "name"))
			f->name_label = p->from[n];
		return value;
	}
	return NULL;
}

/* "pod_name" names a pod; a label that is no choice (such as "name") says nothing. */
static const char *kind_of_name(const struct filling *f, const struct parameter *p)
{
	for (size_t n = 0; f->name_label != NULL && n < p->choice_count; n++) {
		size_t length = strlen(p->choice[n]);
		if (str_starts(f->name_label, p->choice[n]) &&
		    (f->name_label[length] == '\0' || str_eq(f->name_label + length, "_name")))
			return p->choice[n];
	}
	return NULL;
}

static enum status choose(struct filling *f, const struct parameter *p, const char **out)
{
	const json_t *given = json_object_get(f->given, p->name);

	if (given != NULL) {
		*out = scalar_text(f->mem, given);
		if (*out == NULL)
			return failure(E_INVALID, "parameter %s must be a plain value", p->name);
		if (**out == '\0')
			return failure(E_INVALID, "parameter %s is empty", p->name);
		return check_origin(f, p, *out);
	}
	*out = p->kind_rule != NULL ? kind_of_name(f, p) : from_labels(f, p);
	if (*out == NULL && !p->computed)
		*out = p->standard;
	return OK;
}

static enum status fill(struct filling *f, const struct parameter *p,
			const char *const *protected_namespaces)
{
	const char *text = NULL;
	json_t *value = NULL;

	TRY(choose(f, p, &text));
	if (text == NULL) {
		if (p->required && !p->computed)
			return failure(E_INVALID,
				       "parameter %s is missing: neither the annotation nor a "
				       "label gives it",
				       p->name);
		return OK;
	}
	TRY(fits_type(p, text, &value));
	json_object_set_new(f->out, p->name, value);
	for (size_t n = 0; str_eq(p->name, "namespace") && protected_namespaces != NULL &&
			   protected_namespaces[n] != NULL;
	     n++)
		if (str_eq(text, protected_namespaces[n]))
			return failure(E_DENIED, "namespace %s is protected", text);
	return OK;
}

/* Aliases become declared names; what is not declared is refused. */
static enum status by_declared_name(void *mem, const struct function *f, const json_t *given,
				    const json_t **out)
{
	json_t *named = mem_own(mem, json_object());
	const char *key;
	json_t *value;

	*out = named;
	if (given != NULL && !json_is_object(given))
		return failure(E_INVALID, "parameters must be an object");
	json_object_foreach ((json_t *)given, key, value) {
		const struct parameter *p = function_parameter(f, key);
		if (p == NULL)
			return failure(E_INVALID, "%s has no parameter '%.60s'", f->name, key);
		if (json_object_get(named, p->name) != NULL)
			return failure(E_INVALID, "parameter %s is given twice", p->name);
		json_object_set(named, p->name, value);
	}
	return OK;
}

enum status function_parameters(void *mem, const struct function *f, const json_t *given,
				const json_t *labels, const char *const *protected_namespaces,
				json_t **out)
{
	struct filling filling = {
		.mem = mem, .function = f, .labels = labels, .out = mem_own(mem, json_object())};

	TRY(by_declared_name(mem, f, given, &filling.given));
	/* what depends on the label that gave the name comes second */
	for (size_t n = 0; n < f->parameter_count; n++)
		if (f->parameters[n].kind_rule == NULL)
			TRY(fill(&filling, &f->parameters[n], protected_namespaces));
	for (size_t n = 0; n < f->parameter_count; n++)
		if (f->parameters[n].kind_rule != NULL)
			TRY(fill(&filling, &f->parameters[n], protected_namespaces));
	*out = filling.out;
	return OK;
}
