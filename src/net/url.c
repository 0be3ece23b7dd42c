#include "net/url.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "base/mem.h"
#include "base/str.h"

static void url_drop(CURLU **u)
{
	curl_url_cleanup(*u);
}

static void text_drop(char **text)
{
	curl_free(*text);
}

#define HANDLE(name) __attribute__((cleanup(url_drop))) CURLU *name = mem_check(curl_url())
#define PART(name) __attribute__((cleanup(text_drop))) char *name = NULL

static enum status set_base(CURLU *u, const char *base)
{
	if (curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK)
		return failure(E_INVALID, "not an absolute http:// or https:// URL");
	PART(scheme);
	if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    (!str_eq(scheme, "http") && !str_eq(scheme, "https")))
		return failure(E_INVALID, "only http:// and https:// URLs are spoken");
	return OK;
}

static enum status add_path(void *mem, CURLU *u, const char *const *segments)
{
	PART(path);

	if (segments == NULL || curl_url_get(u, CURLUPART_PATH, &path, 0) != CURLUE_OK)
		return OK;
	char *whole = str_dup(mem, path);
	for (size_t n = 0; segments[n] != NULL; n++) {
		/* escaping leaves dots alone, and whoever reads the URL resolves them */
		if (str_eq(segments[n], ".") || str_eq(segments[n], ".."))
			return failure(E_INVALID, "'%s' cannot be a path segment", segments[n]);
		char *escaped = mem_check(curl_easy_escape(NULL, segments[n], 0));
		str_add(&whole, "%s%s", str_ends(whole, "/") ? "" : "/", escaped);
		curl_free(escaped);
	}
	return curl_url_set(u, CURLUPART_PATH, whole, 0) == CURLUE_OK
		       ? OK
		       : failure(E_INVALID, "the path cannot be encoded");
}

static enum status add_query(void *mem, CURLU *u, const struct url_pair *query, size_t count)
{
	for (size_t n = 0; n < count; n++) {
		char *name = mem_check(curl_easy_escape(NULL, query[n].name, 0));
		char *value = mem_check(curl_easy_escape(NULL, query[n].value, 0));
		char *pair = str_fmt(mem, "%s=%s", name, value);
		curl_free(name);
		curl_free(value);
		if (curl_url_set(u, CURLUPART_QUERY, pair, CURLU_APPENDQUERY) != CURLUE_OK)
			return failure(E_INVALID, "the query cannot be encoded");
	}
	return OK;
}

enum status url_build(void *mem, const char *base, const char *const *segments,
		      const struct url_pair *query, size_t query_count, char **out)
{
	HANDLE(u);
	PART(text);

	TRY(set_base(u, base));
	TRY(add_path(mem, u, segments));
	TRY(add_query(mem, u, query, query_count));
	if (curl_url_get(u, CURLUPART_URL, &text, 0) != CURLUE_OK)
		return failure(E_INVALID, "the URL cannot be built");
	*out = str_dup(mem, text);
	return OK;
}

static bool has_part(CURLU *u, CURLUPart part)
{
	PART(text);

	return curl_url_get(u, part, &text, 0) == CURLUE_OK;
}

enum status url_check(const char *text)
{
	HANDLE(u);

	TRY(set_base(u, text));
	if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD))
		return failure(E_INVALID,
			       "a URL must not carry credentials; there is a setting for them");
	if (strchr(text, '#') != NULL)
		return failure(E_INVALID, "a URL must not have a fragment (#)");
	return OK;
}

static bool is_loopback(const char *host)
{
	struct in_addr v4;

	if (strcasecmp(host, "localhost") == 0 || str_eq(host, "[::1]") || str_eq(host, "::1"))
		return true;
	/* an address, not a name such as 127.example.com */
	return str_starts(host, "127.") && inet_pton(AF_INET, host, &v4) == 1;
}

bool url_is_plaintext_remote(const char *text)
{
	HANDLE(u);
	PART(scheme);
	PART(host);

	if (set_base(u, text) != OK || curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		return false;
	return str_eq(scheme, "http") && !is_loopback(host);
}

char *url_origin(void *mem, const char *text)
{
	HANDLE(u);
	PART(scheme);
	PART(host);
	PART(port);

	if (set_base(u, text) != OK || curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		return str_dup(mem, "(not a URL)");
	bool explicit = curl_url_get(u, CURLUPART_PORT, &port, 0) == CURLUE_OK;
	return str_fmt(mem, "%s://%s%s%s", scheme, host, explicit ? ":" : "", explicit ? port : "");
}

enum status url_address(void *mem, const char *text, char **host, unsigned short *port)
{
	const char *colon = strrchr(text, ':');
	long long number;

	if (colon == NULL || colon == text)
		return failure(E_INVALID, "'%.80s' is not HOST:PORT", text);
	TRY(str_to_int(colon + 1, 0, 65535, &number));
	char *name = str_ndup(mem, text, (size_t)(colon - text));
	size_t n = strlen(name);
	if (n > 2 && name[0] == '[' && name[n - 1] == ']')
		name = str_ndup(mem, name + 1, n - 2);
	else if (strchr(name, ':') != NULL)
		return failure(E_INVALID, "'%.80s': write an IPv6 address in brackets, [::1]:8000",
			       text);
	if (strpbrk(name, "[]/@ ") != NULL)
		return failure(E_INVALID, "'%.80s' is not HOST:PORT", text);
	*host = name;
	*port = (unsigned short)number;
	return OK;
}
