/* Names with values, sorted by name: the labels, or the annotations, of one alert. Immutable once made. Pure. */
#pragma once

#include <stddef.h>

#include <jansson.h>

#include "base/json_out.h"

struct label {
	const char *name, *value;
};

struct labels {
	struct label *at;
	size_t count;
};

/* NULL when there is none. */
const char *labels_get(const struct labels *l, const char *name);
/* Sorts by name; of equal names the first one stays. */
void labels_sort(struct labels *l);
/* As an object of strings: JSON text as json_text would write it, and a value under mem. */
char *labels_text(void *mem, const struct labels *l);
json_t *labels_json(void *mem, const struct labels *l);
