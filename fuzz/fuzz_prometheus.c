#include "base/mem.h"
#include "clients/prometheus.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	const char *body = (const char *)data;
	struct query_result *r = NULL;
	struct rule *rules = NULL;
	struct active_alert *alerts = NULL;
	size_t count;
	int fine = 0;

	fine += prometheus_decode_query(mem, body, size, &r) == OK;
	fine += prometheus_decode_rules(mem, body, size, "A", &rules, &count) == OK;
	fine += prometheus_decode_alerts(mem, body, size, "A", &alerts, &count) == OK;
	return fine > 3;
}
