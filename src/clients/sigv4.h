/* AWS Signature Version 4, the header form. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "net/http_client.h"

struct sigv4_key {
	const char *id, *secret, *region, *service;
};

struct sigv4_request {
	const char *method;
	const char *url; /* absolute, percent-encoded as it is sent */
	const struct http_header *headers; /* all of them are signed: names in lower case, host among them */
	size_t header_count;
	const char *payload_sha256;        /* hex */
	int64_t now_ms;
};

enum { SIGV4_TIME_BYTES = 17 };
/* 20150830T123600Z, the value of x-amz-date. */
void sigv4_time(char out[SIGV4_TIME_BYTES], int64_t now_ms);

/* Spells the escapes of a URL that is going to be sent as they are signed: %2F, not %2f. Some servers compare what they
 * see, others what it should look like. */
void sigv4_spell(char *url);

/* The value of the Authorization header, under mem. */
char *sigv4_sign(void *mem, const struct sigv4_key *k, const struct sigv4_request *q);
