#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"
#include "domain/slo_rules.h"
#include "fuzz.h"

/* Whatever is taken as definitions becomes rules that read back as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	struct openslo *o = openslo_new(mem);
	json_t *back = NULL;

	if (openslo_add(o, "fuzz", (const char *)data, size) != OK || openslo_finish(o) != OK) {
		assert(str_starts(status_message(), "fuzz:"));
		return 0;
	}
	char *text = slo_rules_text(mem, o);
	assert(yaml_parse(mem, "rules", text, strlen(text), &back, NULL) == OK);
	assert(json_equal(back, slo_rules(mem, o)));
	return 0;
}
