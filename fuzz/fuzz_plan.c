#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/plan.h"
#include "fuzz.h"

static const char CATALOGUE[] =
	"functions:\n"
	"  - name: pod-restart\n    parameters:\n"
	"      name: {type: string, required: true, from: [pod]}\n"
	"      namespace: {type: string, required: true, from: [namespace]}\n"
	"      replicas: {type: integer, minimum: 1, maximum: 9}\n";

/* Input: {"labels": {…}, "annotations": {…}}. Whatever the annotations say, the target is one of
 * the labels'. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const PROTECTED[] = {"kube-system", NULL};
	SCOPE(mem);
	json_t *doc = NULL, *labels = NULL, *annotations = NULL;
	struct catalogue *c = NULL;
	struct plan *p = NULL;

	if (catalogue_parse(mem, "fuzz", CATALOGUE, strlen(CATALOGUE), &c) != OK ||
	    json_parse(mem, (const char *)data, size, &doc) != OK ||
	    json_string_map(mem, doc, "labels", &labels) != OK ||
	    json_string_map(mem, doc, "annotations", &annotations) != OK)
		return 0;
	if (plan_from_annotations(mem, labels, annotations, c, PROTECTED, &p) != OK)
		return 0;
	assert(str_eq(p->function, "pod-restart"));
	assert(str_eq(json_str(p->parameters, "name"), json_str(labels, "pod")));
	assert(str_eq(json_str(p->parameters, "namespace"), json_str(labels, "namespace")));
	assert(!str_eq(json_str(p->parameters, "namespace"), "kube-system"));
	return 0;
}
