#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "clients/bucket.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	char **names = NULL;
	char *next = NULL;
	size_t count = 0;
	size_t bytes = 0;

	enum status s =
		bucket_decode_list(mem, (const char *)data, size, "p", &names, &count, &next);
	assert(s == OK || s == E_INVALID);
	for (size_t n = 0; n < count; n++)
		bytes += strlen(names[n]);
	assert(bytes <= size);
	assert(s != OK || next == NULL || *next != '\0'); /* an empty one begins anew, for ever */
	return 0;
}
