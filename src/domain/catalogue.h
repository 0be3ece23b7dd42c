/*
 * The remediation catalogue: which functions exist, what they need, what they risk (SHARED.15).
 * It is data, loaded at start from YAML; nothing here knows a function by name. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

enum risk { RISK_LOW, RISK_MEDIUM, RISK_HIGH };            /* unknown counts as medium */
enum effect { EFFECT_READ, EFFECT_REVERSIBLE, EFFECT_IRREVERSIBLE }; /* unknown counts as irreversible */
enum parameter_type { PARAMETER_STRING, PARAMETER_INTEGER, PARAMETER_NUMBER, PARAMETER_BOOLEAN };

struct parameter {
	const char *name;
	enum parameter_type type;
	bool required;
	const char **from;    /* label names that may carry the value, best first */
	size_t from_count;
	const char **choice;  /* allowed values; count 0 = any */
	size_t choice_count;
	const char **aliases; /* other names in lambda_parameters, e.g. pvc_name for name (P23) */
	size_t alias_count;
	const char *standard; /* default as text; NULL = none. Texts that describe a value ("current
				 plus one") are for people: `computed` is then true and the function
				 works it out itself */
	bool computed;
	double minimum, maximum; /* numbers; ±INFINITY = none */
	const char *kind_rule;   /* "rule: the kind of the label that gave the name" → the name of the
				    parameter whose source label decides this choice; NULL = none */
	const char *format;      /* "name" (DNS-1123 subdomain), "selector", "text" (default) */
};

struct function {
	const char *name; /* a DNS label */
	const char *namespace; /* where it runs; "ai" unless the catalogue says otherwise */
	const char *description;
	enum risk risk;
	enum effect effect;
	bool idempotent;        /* a repeat with the same idempotency key has no second effect */
	bool ask_always;        /* policy: ask; */
	bool disabled;          /* policy: never */
	int64_t timeout_ms;     /* of one call; default 60 s */
	int64_t cooldown_ms;    /* per (function, target); default 5 min */
	int per_hour;           /* calls per hour, all targets; default 30 */
	const char *undo;       /* text for people; NULL = none */
	struct parameter *parameters;
	size_t parameter_count;
};

struct catalogue {
	struct function *functions; /* sorted by name */
	size_t count;
	const char *digest; /* SHA-256 of the source text, hex */
};

/* From YAML text; `name` (file name) stands in messages "name:line: functions[3].risk: …". Unknown
 * keys, duplicate names and wrong values are errors. The form is documented in
 * etc/catalogue.yaml and docs/howto/add-a-function.md. Everything lives under mem. */
NODISCARD enum status catalogue_parse(void *mem, const char *name, const char *text, size_t n,
				      struct catalogue **out);

/* NULL when absent. */
const struct function *catalogue_find(const struct catalogue *c, const char *name);
const struct parameter *function_parameter(const struct function *f, const char *name); /* or alias */

/* Checks and completes parameters for one alert (SHARED.6, P23, P24, P47), as an object with every
 * parameter of the call in its declared type:
 * - `given` (may be NULL) are values from lambda_parameters: unknown keys are refused; "3" fits an
 *   integer; a string that has `from` must equal the value of one of those labels of this alert, or
 *   the declared default (label values can inject JSON keys); numbers are held by their bounds;
 * - missing ones are filled from labels (first of `from` that is present and not empty), then from
 *   the default; a choice with kind_rule takes the kind of the label that gave the other value;
 * - a required parameter that nothing provides, an empty string, a leading '-', control characters,
 *   a value out of choice, bounds or format, and a namespace in `protected` (NULL-terminated) are
 *   E_INVALID/E_DENIED with a sentence that names parameter and reason. Nothing is invented. */
NODISCARD enum status function_parameters(void *mem, const struct function *f, const json_t *given,
					  const json_t *labels, const char *const *protected_namespaces,
					  json_t **out);

const char *risk_name(enum risk r);     /* "low" … */
const char *effect_name(enum effect e); /* "read" … */
NODISCARD enum status risk_parse(const char *word, enum risk *out);
