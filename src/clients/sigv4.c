#include "clients/sigv4.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"

enum { MAC_BYTES = 32 };

void sigv4_time(char out[SIGV4_TIME_BYTES], int64_t now_ms)
{
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm t;

	gmtime_r(&seconds, &t);
	strftime(out, SIGV4_TIME_BYTES, "%Y%m%dT%H%M%SZ", &t);
}

static void mac(unsigned char out[MAC_BYTES], const void *key, size_t key_bytes, const char *text)
{
	unsigned int n = 0;

	mem_check(HMAC(EVP_sha256(), key, (int)key_bytes, (const unsigned char *)text, strlen(text),
		       out, &n));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct http_header *)a)->name, ((const struct http_header *)b)->name);
}

void sigv4_spell(char *url)
{
	for (char *c = url; *c != '\0'; c++)
		for (int k = 1; *c == '%' && k <= 2 && c[k] != '\0'; k++)
			if (c[k] >= 'a' && c[k] <= 'f')
				c[k] = (char)(c[k] - 'a' + 'A');
}

static char *spelt(void *mem, const char *text, size_t n)
{
	char *out = str_ndup(mem, text, n);

	sigv4_spell(out);
	return out;
}

/* Pairs in order, each with its '='. */
static char *canonical_query(void *mem, const char *query)
{
	char **pairs = NEW_ARRAY(mem, char *, strlen(query) + 1);
	char *text = str_dup(mem, "");
	size_t count = 0;

	while (*query != '\0') {
		size_t n = strcspn(query, "&");
		char *pair = spelt(mem, query, n);
		pairs[count++] = strchr(pair, '=') == NULL ? str_fmt(mem, "%s=", pair) : pair;
		query += n + (query[n] == '&');
	}
	if (count > 1)
		qsort(pairs, count, sizeof(*pairs), by_text);
	for (size_t n = 0; n < count; n++)
		str_add(&text, "%s%s", n == 0 ? "" : "&", pairs[n]);
	return text;
}

static char *canonical_request(void *mem, const struct sigv4_request *q, char **signed_names)
{
	const char *host = strstr(q->url, "://");
	const char *path = host == NULL ? NULL : strchr(host + 3, '/');
	const char *query = strchr(q->url, '?');
	struct http_header *headers = NEW_ARRAY(mem, struct http_header, q->header_count);
	size_t path_bytes = path == NULL ? 0 : strcspn(path, "?");

	memcpy(headers, q->headers, q->header_count * sizeof(*headers));
	qsort(headers, q->header_count, sizeof(*headers), by_name);
	char *text = str_fmt(mem, "%s\n%s\n%s\n", q->method,
			     path == NULL ? "/" : spelt(mem, path, path_bytes),
			     query == NULL ? "" : canonical_query(mem, query + 1));
	*signed_names = str_dup(mem, "");
	for (size_t n = 0; n < q->header_count; n++) {
		str_add(&text, "%s:%s\n", headers[n].name, headers[n].value);
		str_add(signed_names, "%s%s", n == 0 ? "" : ";", headers[n].name);
	}
	str_add(&text, "\n%s\n%s", *signed_names, q->payload_sha256);
	return text;
}

static void signing_key(unsigned char out[MAC_BYTES], const struct sigv4_key *k, const char *date)
{
	SCOPE(tmp);
	char *seed = str_fmt(tmp, "AWS4%s", k->secret);

	mac(out, seed, strlen(seed), date);
	mac(out, out, MAC_BYTES, k->region);
	mac(out, out, MAC_BYTES, k->service);
	mac(out, out, MAC_BYTES, "aws4_request");
	OPENSSL_cleanse(seed, strlen(seed));
}

char *sigv4_sign(void *mem, const struct sigv4_key *k, const struct sigv4_request *q)
{
	SCOPE(tmp);
	char when[SIGV4_TIME_BYTES];
	unsigned char key[MAC_BYTES];
	unsigned char signature[MAC_BYTES];
	char *names = NULL;

	sigv4_time(when, q->now_ms);
	char *request = canonical_request(tmp, q, &names);
	char *scope = str_fmt(tmp, "%.8s/%s/%s/aws4_request", when, k->region, k->service);
	signing_key(key, k, str_fmt(tmp, "%.8s", when));
	mac(signature, key, sizeof(key),
	    str_fmt(tmp, "AWS4-HMAC-SHA256\n%s\n%s\n%s", when, scope,
		    id_sha256(tmp, request, strlen(request))));
	OPENSSL_cleanse(key, sizeof(key));
	char *text = str_fmt(mem, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=",
			     k->id, scope, names);
	for (int n = 0; n < MAC_BYTES; n++)
		str_add(&text, "%02x", signature[n]);
	return text;
}
