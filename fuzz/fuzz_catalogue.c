#include <string.h>

#include "base/mem.h"
#include "domain/catalogue.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	struct catalogue *c = NULL;
	json_t *labels =
		mem_own(mem, json_pack("{s:s, s:s}", "pod", "shop-0", "namespace", "store"));
	json_t *out = NULL;

	if (catalogue_parse(mem, "fuzz", (const char *)data, size, &c) != OK)
		return 0;
	for (size_t n = 0; n < c->count; n++)
		if (function_parameters(mem, &c->functions[n], NULL, labels, NULL, &out) != OK)
			continue;
	return 0;
}
