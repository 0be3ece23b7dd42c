#include "domain/plan.h"

#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

static const char *const DECISIONS[] = {"auto", "ask", "never"};

static const char *text_of(const char *s)
{
	return s == NULL ? "" : s;
}

json_t *plan_encode(void *mem, const struct plan *p)
{
	return mem_own(mem,
		       json_pack("{s:s, s:s, s:O, s:s, s:f, s:s, s:s, s:s, s:s, s:s}", "function",
				 p->function, "namespace", p->namespace, "parameters",
				 p->parameters, "method", p->method, "confidence", p->confidence,
				 "reasoning", text_of(p->reasoning), "decision",
				 DECISIONS[p->decision], "why", text_of(p->why), "digest",
				 text_of(p->digest), "target", text_of(p->target)));
}

static enum status member(void *mem, const json_t *doc, const char *key, const char **out)
{
	const char *text = json_str(doc, key);

	if (text == NULL)
		return failure(E_INTERNAL, "a stored plan lacks %s", key);
	*out = str_dup(mem, text);
	return OK;
}

enum status plan_decode(void *mem, const json_t *doc, struct plan **out)
{
	struct plan *p = NEW(mem, struct plan);
	const char *decision = NULL;
	json_t *parameters = json_object_get(doc, "parameters");

	TRY(member(mem, doc, "function", &p->function));
	TRY(member(mem, doc, "namespace", &p->namespace));
	TRY(member(mem, doc, "method", &p->method));
	TRY(member(mem, doc, "reasoning", &p->reasoning));
	TRY(member(mem, doc, "why", &p->why));
	TRY(member(mem, doc, "digest", &p->digest));
	TRY(member(mem, doc, "target", &p->target));
	TRY(member(mem, doc, "decision", &decision));
	if (!json_is_object(parameters))
		return failure(E_INTERNAL, "a stored plan lacks parameters");
	p->parameters = mem_own(mem, json_incref(parameters));
	p->confidence = json_number_value(json_object_get(doc, "confidence"));
	p->decision = DECIDE_NEVER;
	for (int d = 0; d < 3; d++)
		if (str_eq(DECISIONS[d], decision))
			p->decision = (enum decision)d;
	*out = p;
	return OK;
}

struct flux_kind {
	const char *kind, *function;
};

static const struct flux_kind FLUX_KINDS[] = {
	{"kustomization", "flux-reconcile-kustomization"},
	{"gitrepository", "flux-reconcile-gitrepository"},
	{"helmrelease", "flux-reconcile-helmrelease"},
};

static const char *flux_function(const char *kind, size_t n)
{
	for (size_t i = 0; i < sizeof(FLUX_KINDS) / sizeof(FLUX_KINDS[0]); i++)
		if (strlen(FLUX_KINDS[i].kind) == n &&
		    strncasecmp(FLUX_KINDS[i].kind, kind, n) == 0)
			return FLUX_KINDS[i].function;
	return NULL;
}

struct choice {
	const char *function;
	const json_t *given;
	const char *reasoning;
};

static enum status given_parameters(void *mem, const json_t *annotations, const json_t **out)
{
	const char *text = json_str(annotations, "lambda_parameters");
	json_t *given = NULL;

	*out = NULL;
	if (str_empty(text))
		return OK;
	if (strlen(text) > LIMIT_PARAMETERS_BYTES)
		return failure(E_INVALID, "lambda_parameters is longer than %d bytes",
			       LIMIT_PARAMETERS_BYTES);
	if (strstr(text, "{{") != NULL)
		return failure(E_INVALID, "lambda_parameters still holds a template ({{)");
	if (json_parse(mem, text, strlen(text), &given) != OK)
		return failure_in(E_INVALID, "lambda_parameters is not JSON");
	if (!json_is_object(given))
		return failure(E_INVALID, "lambda_parameters must be a JSON object");
	*out = given;
	return OK;
}

/* P22: a Flux rule often names one function for every kind; the alert's own kind decides. */
static const char *right_flux_function(const char *named, const json_t *labels)
{
	const char *kind = json_str(labels, "kind");
	const char *fitting = kind == NULL ? NULL : flux_function(kind, strlen(kind));
	bool is_flux = false;

	for (size_t i = 0; i < sizeof(FLUX_KINDS) / sizeof(FLUX_KINDS[0]); i++)
		is_flux = is_flux || str_eq(named, FLUX_KINDS[i].function);
	return is_flux && fitting != NULL ? fitting : named;
}

static enum status choose_named(void *mem, const json_t *labels, const json_t *annotations,
				const char *named, struct choice *out)
{
	if (!str_is_dns_label(named))
		return failure(E_DENIED,
			       "lambda_function '%.60s' is not a function name (a-z, 0-9 and -)",
			       named);
	out->function = str_dup(mem, right_flux_function(named, labels));
	out->reasoning =
		str_eq(out->function, named)
			? "the alert rule names this function"
			: str_fmt(mem, "the alert rule names %s, but the alert's kind needs %s",
				  named, out->function);
	return given_parameters(mem, annotations, &out->given);
}

/* "kind:name:namespace" */
static enum status split_flux(void *mem, const char *text, struct choice *out)
{
	const char *first = strchr(text, ':');
	const char *second = first == NULL ? NULL : strchr(first + 1, ':');

	if (second == NULL || strchr(second + 1, ':') != NULL || second == first + 1 ||
	    second[1] == '\0')
		return failure(E_INVALID, "flux_reconcile must be kind:name:namespace");
	out->function = flux_function(text, (size_t)(first - text));
	if (out->function == NULL)
		return failure(E_INVALID, "flux_reconcile: the kind must be kustomization, "
					  "gitrepository or helmrelease");
	char *name = str_ndup(mem, first + 1, (size_t)(second - first - 1));
	out->given = mem_own(mem, json_pack("{s:s, s:s}", "name", name, "namespace", second + 1));
	return out->given == NULL ? failure(E_INVALID, "flux_reconcile is not UTF-8") : OK;
}

static bool is_truthy(const char *s)
{
	return strcasecmp(s, "true") == 0 || strcasecmp(s, "yes") == 0 || str_eq(s, "1");
}

static bool is_falsy(const char *s)
{
	return strcasecmp(s, "false") == 0 || strcasecmp(s, "no") == 0 || str_eq(s, "0");
}

static enum status choose_flux(void *mem, const json_t *annotations, const char *text,
			       struct choice *out)
{
	const char *kind = json_str(annotations, "flux_reconcile_kind");
	const char *namespace = json_str(annotations, "flux_reconcile_namespace");

	out->reasoning = "the alert rule asks Flux to reconcile";
	if (!is_truthy(text))
		return split_flux(mem, text, out);
	kind = str_empty(kind) ? "kustomization" : kind;
	out->function = flux_function(kind, strlen(kind));
	if (out->function == NULL)
		return failure(
			E_INVALID,
			"flux_reconcile_kind must be Kustomization, GitRepository or HelmRelease");
	if (!str_empty(namespace))
		out->given = mem_own(mem, json_pack("{s:s}", "namespace", namespace));
	return OK;
}

enum status plan_from_annotations(void *mem, const json_t *labels, const json_t *annotations,
				  const struct catalogue *c,
				  const char *const *protected_namespaces, struct plan **out)
{
	const char *named = json_str(annotations, "lambda_function");
	const char *flux = json_str(annotations, "flux_reconcile");
	struct choice choice = {0};
	json_t *parameters = NULL;

	if (named != NULL)
		TRY(choose_named(mem, labels, annotations, named, &choice));
	else if (!str_empty(flux) && !is_falsy(flux))
		TRY(choose_flux(mem, annotations, flux, &choice));
	else
		return failure(E_NOTFOUND, "no steering annotation");
	const struct function *f = catalogue_find(c, choice.function);
	if (f == NULL)
		return failure(E_DENIED, "the function '%s' is not in the catalogue",
			       choice.function);
	TRY(function_parameters(mem, f, choice.given, labels, protected_namespaces, &parameters));
	struct plan *p = NEW(mem, struct plan);
	*p = (struct plan){
		.function = f->name,
		.namespace = f->namespace,
		.parameters = parameters,
		.method = "annotation",
		.confidence = 1.0,
		.reasoning = choice.reasoning,
	};
	*out = p;
	return OK;
}
