#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "fuzz.h"
#include "insight/finding.h"

/* An evidence as JSON: whatever it claims, there is a diagnosis, as JSON and as text, and the same
 * one twice. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SCOPE(mem);
	json_t *doc = NULL;
	struct evidence *e = NULL;

	if (json_parse(mem, (const char *)data, size, &doc) != OK ||
	    evidence_decode(mem, doc, &e) != OK)
		return 0;
	struct insight *i = insight_make(mem, e);
	if (i->finding_count > FINDINGS_MAX ||
	    !(i->diagnosis.confidence >= 0 && i->diagnosis.confidence <= 1))
		__builtin_trap();
	const char *text = json_text(mem, insight_encode(mem, i));
	if (!str_eq(text, json_text(mem, insight_encode(mem, insight_make(mem, e)))))
		__builtin_trap();
	insight_markdown(mem, i);
	remediation_markdown(mem, i);
	return 0;
}
