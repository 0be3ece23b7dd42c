#include <assert.h>

#include "base/mem.h"
#include "base/str.h"
#include "clients/prometheus.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	const char *body = (const char *)data;
	struct query_result *r = NULL;
	struct rule *rules = NULL;
	struct active_alert *alerts = NULL;
	size_t count = 0;

	enum status s = prometheus_decode_query(mem, body, size, &r);
	assert(s == OK ? r != NULL : s == E_INVALID && r == NULL);
	for (size_t n = 0; s == OK && n < r->count; n++)
		assert(json_is_object(r->samples[n].labels));
	s = prometheus_decode_rules(mem, body, size, "A", &rules, &count);
	assert(s == OK || s == E_INVALID);
	for (size_t n = 0; s == OK && n < count; n++)
		assert(str_eq(rules[n].name, "A") && rules[n].expr != NULL && rules[n].for_ms >= 0);
	s = prometheus_decode_alerts(mem, body, size, &alerts, &count);
	assert(s == OK || s == E_INVALID);
	for (size_t n = 0; s == OK && n < count; n++)
		assert(alerts[n].labels->kind == NODE_OBJECT);
	return 0;
}
