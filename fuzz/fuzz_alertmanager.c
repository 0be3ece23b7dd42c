#include "base/mem.h"
#include "clients/alertmanager.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	json_t *labels = mem_own(mem, json_pack("{s:s}", "alertname", "A"));
	bool active;

	if (alertmanager_decode_alerts(mem, (const char *)data, size, labels, &active) != OK)
		return 0;
	return 0;
}
