#include <assert.h>

#include "base/mem.h"
#include "base/str.h"
#include "domain/promql.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	struct comparison c;

	if (promql_comparison(mem, str_ndup(mem, (const char *)data, size), &c) == OK)
		assert(!str_empty(c.left) && !str_empty(c.right) && !str_empty(c.sign));
	return 0;
}
