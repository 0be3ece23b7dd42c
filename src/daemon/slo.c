#include "daemon/slo.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "daemon/openslo_files.h"
#include "daemon/peers.h"

struct look {
	void *mem;
	const struct settings *settings;
	struct flow flow;
	json_t *names; /* an object: a set */
};

static void add_definitions(struct look *l, const struct openslo *o)
{
	size_t count = 0;
	const struct slo_definition *all = openslo_all(o, &count);

	for (size_t n = 0; n < count; n++)
		json_object_set_new(l->names, all[n].name, json_true());
}

/* Where each source names its SLOs. */
static const struct {
	const char *query, *label;
} NAMES[] = {
	{"slo:objective:ratio", "sloth_slo"},
	{"pyrra_objective", "slo"},
	{"slo:target", "slo_name"},
};

enum { NAMES_COUNT = sizeof(NAMES) / sizeof(NAMES[0]) };

static enum status add_recorded(struct look *l)
{
	const char *exprs[NAMES_COUNT];
	struct query_answer *answers = NULL;
	struct prometheus p = l->flow.prometheus;

	for (size_t n = 0; n < NAMES_COUNT; n++)
		exprs[n] = NAMES[n].query;
	p.timeout_ms = l->settings->slm_timeout;
	prometheus_query_all(l->mem, &p, exprs, NAMES_COUNT, &answers);
	for (size_t n = 0; n < NAMES_COUNT; n++) {
		const struct query_answer *a = &answers[n];
		if (a->status != OK)
			return failure(a->status, "%s", a->message);
		for (size_t k = 0; k < a->result->count; k++) {
			const char *name = json_str(a->result->samples[k].labels, NAMES[n].label);
			if (!str_empty(name) && json_object_size(l->names) < SLO_STATUS_MAX)
				json_object_set_new(l->names, name, json_true());
		}
	}
	return OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum status ask_all(struct look *l, json_t *rows)
{
	const char **names = NEW_ARRAY(l->mem, const char *, json_object_size(l->names) + 1);
	const char *name;
	json_t *unused;
	size_t count = 0;

	json_object_foreach (l->names, name, unused)
		names[count++] = name;
	qsort(names, count, sizeof(*names), by_name);
	for (size_t n = 0; n < count; n++) {
		struct slo_context *c = NULL;
		TRY(slm_ask(l->mem, l->flow.slm, names[n], &c));
		json_array_append_new(rows, slo_context_encode(c));
	}
	return OK;
}

static enum status find_names(struct look *l, const char *name)
{
	struct openslo *definitions = NULL;

	if (name != NULL) {
		json_object_set_new(l->names, name, json_true());
		return OK;
	}
	TRY(openslo_files_load(l->mem, l->settings->slm_definitions, &definitions));
	add_definitions(l, definitions);
	enum status s = add_recorded(l);
	return json_object_size(l->names) > 0 ? OK : s;
}

enum status slo_status(void *mem, const struct settings *s, const char *name, json_t **out)
{
	struct look l = {.mem = mem, .settings = s, .names = mem_own(mem, json_object())};

	TRY(peers_connect(mem, s, &l.flow));
	if (l.flow.slm == NULL)
		return failure(E_INVALID, "SLM is switched off: set slo.enabled (SLM_ENABLED)");
	TRY(find_names(&l, name));
	*out = mem_own(mem, json_array());
	return ask_all(&l, *out);
}
