#include <assert.h>

#include "base/json.h"
#include "base/mem.h"
#include "clients/alertmanager.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	json_t *labels = mem_own(mem, json_pack("{s:s}", "alertname", "A"));
	json_t *list = NULL;
	bool active = false;

	enum status s = alertmanager_decode_alerts(mem, (const char *)data, size, labels, &active);
	assert(s == OK || (s == E_INVALID && !active));
	if (active)
		assert(json_parse(mem, (const char *)data, size, &list) == OK &&
		       json_array_size(list) > 0);
	return 0;
}
