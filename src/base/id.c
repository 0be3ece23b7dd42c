#include "base/id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/evp.h>

#include "base/mem.h"
#include "base/str.h"

enum { POOL_BYTES = 1024 };

static void from_kernel(void *bytes, size_t n)
{
	unsigned char *at = bytes;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort();
		at += got;
		n -= (size_t)got;
	}
}

/* A system call for every span would cost more than the span. What was handed out is wiped. */
void id_random(void *bytes, size_t n)
{
	static _Thread_local unsigned char pool[POOL_BYTES];
	static _Thread_local size_t left;

	if (n > POOL_BYTES / 8) {
		from_kernel(bytes, n);
		return;
	}
	if (left < n) {
		from_kernel(pool, sizeof(pool));
		left = sizeof(pool);
	}
	left -= n;
	memcpy(bytes, pool + left, n);
	explicit_bzero(pool + left, n);
}

static char *hex(void *mem, const unsigned char *bytes, size_t n)
{
	static const char DIGITS[] = "0123456789abcdef";
	char *text = NEW_ARRAY(mem, char, 2 * n + 1);

	for (size_t i = 0; i < n; i++) {
		text[2 * i] = DIGITS[bytes[i] >> 4];
		text[2 * i + 1] = DIGITS[bytes[i] & 15];
	}
	return text;
}

char *id_random_hex(void *mem, size_t n)
{
	unsigned char *bytes = NEW_ARRAY(mem, unsigned char, n);

	id_random(bytes, n);
	char *text = hex(mem, bytes, n);
	talloc_free(bytes);
	return text;
}

static void sha256(const void *data, size_t n, unsigned char out[32])
{
	if (EVP_Digest(data, n, out, NULL, EVP_sha256(), NULL) != 1)
		abort();
}

char *id_sha256(void *mem, const void *data, size_t n)
{
	unsigned char digest[32];

	sha256(data, n, digest);
	return hex(mem, digest, sizeof(digest));
}

static char *uuid_text(void *mem, unsigned char b[16])
{
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	return str_fmt(mem, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		       b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
		       b[12], b[13], b[14], b[15]);
}

char *id_uuid_of(void *mem, const char *seed, const char *purpose)
{
	unsigned char digest[32];
	char *text = str_fmt(mem, "%s/%s", seed, purpose);

	sha256(text, strlen(text), digest);
	talloc_free(text);
	return uuid_text(mem, digest);
}

char *id_uuid(void *mem)
{
	unsigned char bytes[16];

	id_random(bytes, sizeof(bytes));
	return uuid_text(mem, bytes);
}

double id_fraction(void)
{
	uint32_t value;

	id_random(&value, sizeof(value));
	return value / 4294967296.0;
}
