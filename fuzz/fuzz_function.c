#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/function.h"
#include "fuzz.h"

/* The first byte chooses the HTTP code and the content type, the rest is the body. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const long CODES[] = {200, 400, 401, 429, 500, 503, 302, 504};
	static const char *const TYPES[] = {"application/json", "application/cloudevents+json"};
	SCOPE(mem);
	unsigned char choice = size > 0 ? data[0] : 0;
	struct http_header header = {"content-type", TYPES[(choice >> 3) & 1]};
	char *body = str_ndup(mem, size > 0 ? (const char *)data + 1 : "", size > 0 ? size - 1 : 0);
	const struct http_reply r = {.status = OK,
				     .progress = HTTP_REPLIED,
				     .code = CODES[choice & 7],
				     .body = body,
				     .body_bytes = strlen(body),
				     .headers = &header,
				     .header_count = 1};
	struct function_reply *f = NULL;
	json_t *doc = NULL;

	function_decode(mem, &r, 1768474000000, &f);
	assert(f->message != NULL);
	assert(f->result == CALL_SUCCESS || f->result == CALL_FAILED || f->result == CALL_UNKNOWN);
	assert(f->result != CALL_SUCCESS || r.code == 200);
	if (f->result != CALL_SUCCESS)
		return 0;
	/* never without the very word in a body that can be read */
	assert(!f->retryable && !f->cannot_fix);
	assert(json_parse(mem, r.body, r.body_bytes, &doc) == OK);
	assert(strstr(json_text(mem, doc), "\"status\":\"success\"") != NULL);
	return 0;
}
