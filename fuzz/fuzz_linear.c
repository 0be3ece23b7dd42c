#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "clients/linear.h"
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
	json_t *data_out = NULL;

	enum status s = linear_decode(mem, &r, 1768474000000, &data_out);
	assert((s == OK) == json_is_object(data_out));
	assert(s != OK || r.code == 200);
	assert(s != E_RATE || status_retry_after_ms() > 0);
	return 0;
}
