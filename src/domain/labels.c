#include "domain/labels.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

const char *labels_get(const struct labels *l, const char *name)
{
	for (size_t n = 0; n < l->count; n++)
		if (str_eq(l->at[n].name, name))
			return l->at[n].value;
	return NULL;
}

/* By insertion: stable, and labels are few and mostly in order. */
void labels_sort(struct labels *l)
{
	size_t kept = 0;

	for (size_t n = 0; n < l->count; n++) {
		struct label one = l->at[n];
		size_t to = kept;
		int order = -1;
		while (to > 0 && (order = strcmp(l->at[to - 1].name, one.name)) > 0)
			to--;
		if (to > 0 && order == 0)
			continue;
		memmove(l->at + to + 1, l->at + to, (kept - to) * sizeof(one));
		l->at[to] = one;
		kept++;
	}
	l->count = kept;
}

char *labels_text(void *mem, const struct labels *l)
{
	struct json_out o;
	size_t room = 2;

	for (size_t n = 0; n < l->count; n++)
		room += strlen(l->at[n].name) + strlen(l->at[n].value) + 8;
	json_out_begin(&o, mem, room);
	json_out_raw(&o, "{");
	for (size_t n = 0; n < l->count; n++) {
		json_out_raw(&o, n == 0 ? "" : ",");
		json_out_string(&o, l->at[n].name);
		json_out_raw(&o, ":");
		json_out_string(&o, l->at[n].value);
	}
	json_out_raw(&o, "}");
	return o.text;
}

json_t *labels_json(void *mem, const struct labels *l)
{
	json_t *object = mem_own(mem, json_object());

	for (size_t n = 0; n < l->count; n++)
		json_object_set_new(object, l->at[n].name, json_string(l->at[n].value));
	return object;
}
