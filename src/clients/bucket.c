#include "clients/bucket.h"

#include <string.h>
#include <time.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"
#include "clients/sigv4.h"
#include "net/url.h"

enum {
	TRIES = 5,
	NAMES_MAX = 4 * 1024 * 1024,
	PAGES_MAX = 8192,
	SEGMENTS_MAX = 24,
	HEADERS_MAX = 6,
	QUERY_MAX = 4
};

static const struct backoff RETRY = {.base_ms = 200, .cap_ms = 10000};

/* Names. */

static bool fits(const char *text)
{
	static const char PLAIN[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";

	return text[strspn(text, PLAIN)] == '\0' && strstr(text, "//") == NULL &&
	       strstr(text, "..") == NULL && *text != '/';
}

enum status bucket_parse(void *mem, const char *text, const char **name, const char **prefix)
{
	const char *from = str_starts(text, "s3://") ? text + 5 : "";
	size_t n = strcspn(from, "/");
	char *rest = str_dup(mem, from[n] == '/' ? from + n + 1 : "");

	if (str_ends(rest, "/"))
		rest[strlen(rest) - 1] = '\0';
	*name = str_ndup(mem, from, n);
	*prefix = rest;
	if (n < 3 || n > 63 || !fits(*name) || !fits(rest) || strlen(rest) > 512)
		return failure(E_INVALID,
			       "'%.100s' is no bucket: want s3://BUCKET/PREFIX, of letters, "
			       "digits, dots, hyphens and slashes",
			       text);
	return OK;
}

static char *key_of(void *mem, const struct bucket *b, const char *name)
{
	return *b->prefix == '\0' ? str_dup(mem, name) : str_fmt(mem, "%s/%s", b->prefix, name);
}

/* XML. Keys hold no '<' in the clear, so a tag is a tag wherever it stands. */

static bool element(const char *from, const char *end, const char *name, const char **text,
		    size_t *n)
{
	SCOPE(tmp);
	const char *open = str_fmt(tmp, "<%s>", name);
	const char *close = str_fmt(tmp, "</%s>", name);
	const char *begin = memmem(from, (size_t)(end - from), open, strlen(open));

	if (begin == NULL)
		return false;
	begin += strlen(open);
	const char *stop = memmem(begin, (size_t)(end - begin), close, strlen(close));
	if (stop == NULL)
		return false;
	*text = begin;
	*n = (size_t)(stop - begin);
	return true;
}

static char *unescape(void *mem, const char *text, size_t n)
{
	static const struct {
		const char *entity;
		char c;
	} ENTITIES[] = {{"&amp;", '&'}, {"&lt;", '<'},	  {"&gt;", '>'},  {"&quot;", '"'},
			{"&#34;", '"'}, {"&apos;", '\''}, {"&#39;", '\''}};
	char *out = str_ndup(mem, text, n);
	char *to = out;

	for (const char *at = out; *at != '\0';) {
		size_t k = 0;
		while (k < sizeof(ENTITIES) / sizeof(ENTITIES[0]) &&
		       !str_starts(at, ENTITIES[k].entity))
			k++;
		bool found = k < sizeof(ENTITIES) / sizeof(ENTITIES[0]);
		*to++ = found ? ENTITIES[k].c : *at;
		at += found ? strlen(ENTITIES[k].entity) : 1;
	}
	*to = '\0';
	return out;
}

static void keep_key(void *mem, const char *key, const char *prefix, char ***names, size_t *count)
{
	size_t n = strlen(prefix);

	if (!str_starts(key, prefix) || (n > 0 && key[n] != '/'))
		return;
	if ((*count & (*count + 1)) == 0) /* room is the next power of two */
		*names = GROW(mem, *names, char *, 2 * (*count + 1));
	(*names)[(*count)++] = str_dup(mem, key + n + (n > 0 ? 1 : 0));
}

enum status bucket_decode_list(void *mem, const char *xml, size_t bytes, const char *prefix,
			       char ***names, size_t *count, char **next)
{
	SCOPE(tmp);
	const char *end = xml + bytes;
	const char *text = NULL;
	size_t n = 0;

	*next = NULL;
	if (memmem(xml, bytes, "<ListBucketResult", 17) == NULL)
		return failure(E_INVALID, "the answer is no list of a bucket");
	if (element(xml, end, "IsTruncated", &text, &n) && n == 4 && memcmp(text, "true", 4) == 0) {
		if (element(xml, end, "NextContinuationToken", &text, &n))
			*next = unescape(mem, text, n);
		if (str_empty(*next))
			return failure(E_INVALID, "a list of a bucket ends in the middle");
	}
	for (const char *at = xml; element(at, end, "Contents", &text, &n); at = text + n) {
		const char *key = NULL;
		size_t length = 0;
		if (element(text, text + n, "Key", &key, &length))
			keep_key(mem, unescape(tmp, key, length), prefix, names, count);
	}
	return *count <= NAMES_MAX ? OK : failure(E_INVALID, "too many objects");
}

/* One exchange. */

struct call {
	const char *method, *key; /* key "": the bucket itself */
	struct url_pair query[QUERY_MAX];
	size_t query_count;
	const void *body;
	size_t body_bytes, limit;
};

static enum status address_of(void *mem, const struct bucket *b, const struct call *c, char **url)
{
	const char *segments[SEGMENTS_MAX + 1] = {b->name};
	size_t count = 1;

	for (const char *at = c->key; *at != '\0';) {
		size_t n = strcspn(at, "/");
		if (count == SEGMENTS_MAX)
			return failure(E_INVALID, "the object's name has too many parts");
		segments[count++] = str_ndup(mem, at, n);
		at += n + (at[n] == '/');
	}
	TRY(url_build(mem, b->endpoint, segments, c->query, c->query_count, url));
	sigv4_spell(*url);
	return OK;
}

static enum status send(void *mem, const struct bucket *b, const struct call *c, const char *url,
			struct http_reply **reply)
{
	char when[SIGV4_TIME_BYTES];
	const char *origin = url_origin(mem, url);
	const char *digest = id_sha256(mem, c->body == NULL ? "" : c->body, c->body_bytes);
	const struct sigv4_key key = {b->key_id, b->secret, b->region, "s3"};
	int64_t now = clock_now();

	sigv4_time(when, now);
	struct http_header headers[HEADERS_MAX] = {{"host", strstr(origin, "://") + 3},
						   {"x-amz-content-sha256", digest},
						   {"x-amz-date", when}};
	size_t count = 3;
	if (!str_empty(b->token))
		headers[count++] = (struct http_header){"x-amz-security-token", b->token};
	const struct sigv4_request q = {.method = c->method,
					.url = url,
					.headers = headers,
					.header_count = count,
					.payload_sha256 = digest,
					.now_ms = now};
	headers[count] = (struct http_header){"Authorization", sigv4_sign(mem, &key, &q)};
	count++;
	headers[count++] = (struct http_header){"Content-Type", "application/octet-stream"};
	const struct http_request request = {.method = c->method,
					     .url = url,
					     .headers = headers,
					     .header_count = count,
					     .body = c->body,
					     .body_bytes = c->body_bytes,
					     .timeout_ms = b->timeout_ms,
					     .reply_limit_bytes = c->limit,
					     .ca_file = b->ca_file,
					     .peer = "s3"};
	return http_fetch(mem, b->http, &request, reply);
}

static enum status status_of(long code, const char *word)
{
	bool gone = code == 404 && !str_eq(word, "NoSuchBucket");
	enum status s = gone			     ? E_NOTFOUND
			: code == 429 || code == 503 ? E_RATE
			: code >= 500 || code == 408 ? E_TRANSIENT
			: code == 401 || code == 403 ? E_DENIED
						     : E_INVALID;

	return s;
}

static enum status judge(void *mem, const struct bucket *b, const struct http_reply *r)
{
	const char *end = r->body + r->body_bytes;
	const char *text = NULL;
	size_t n = 0;
	char *word = str_dup(mem, "");
	char *said = str_dup(mem, "");

	if (r->code >= 200 && r->code < 300)
		return OK;
	if (element(r->body, end, "Code", &text, &n))
		word = unescape(mem, text, n < 80 ? n : 80);
	if (element(r->body, end, "Message", &text, &n))
		said = unescape(mem, text, n < 200 ? n : 200);
	return failure_after(http_retry_after_ms(r, clock_now()), status_of(r->code, word),
			     "bucket %s: answered %ld %s%s%s", b->name, r->code, word,
			     *said == '\0' ? "" : ": ", said);
}

/* No stop ends it: never more than RETRY.cap_ms. */
static void pause_ms(int64_t ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static enum status exchange(void *mem, const struct bucket *b, const struct call *c,
			    struct http_reply **reply)
{
	char *url = NULL;
	enum status s = OK;

	TRY(address_of(mem, b, c, &url));
	for (int try = 1; try <= TRIES; try++) {
		s = send(mem, b, c, url, reply);
		if (s != OK)
			s = failure_in(s, "bucket %s at %s", b->name, url_origin(mem, url));
		else
			s = judge(mem, b, *reply);
		/* whoever asks for a longer pause is asked again when the caller's next try is due
		 */
		if (!status_is_retryable(s) || try == TRIES ||
		    status_retry_after_ms() > RETRY.cap_ms)
			return s;
		pause_ms(backoff_delay(RETRY, try, id_fraction(), status_retry_after_ms()));
	}
	return s;
}

enum status bucket_put(const struct bucket *b, const char *name, const void *bytes, size_t n)
{
	SCOPE(tmp);
	const struct call c = {.method = "PUT",
			       .key = key_of(tmp, b, name),
			       .body = n == 0 ? "" : bytes,
			       .body_bytes = n};
	struct http_reply *reply = NULL;

	return exchange(tmp, b, &c, &reply);
}

enum status bucket_get(void *mem, const struct bucket *b, const char *name, size_t limit,
		       char **out, size_t *n)
{
	SCOPE(tmp);
	const struct call c = {.method = "GET", .key = key_of(tmp, b, name), .limit = limit};
	struct http_reply *reply = NULL;

	TRY(exchange(tmp, b, &c, &reply));
	*out = talloc_move(mem, &reply->body);
	*n = reply->body_bytes;
	return OK;
}

enum status bucket_remove(const struct bucket *b, const char *name)
{
	SCOPE(tmp);
	const struct call c = {.method = "DELETE", .key = key_of(tmp, b, name)};
	struct http_reply *reply = NULL;

	enum status s = exchange(tmp, b, &c, &reply);
	return s == E_NOTFOUND ? OK : s;
}

enum status bucket_list(void *mem, const struct bucket *b, char ***names, size_t *count)
{
	SCOPE(tmp);
	char *prefix = *b->prefix == '\0' ? str_dup(tmp, "") : str_fmt(tmp, "%s/", b->prefix);
	char *next = NULL;
	int pages = 0;

	*names = NULL;
	*count = 0;
	do {
		SCOPE(page);
		struct call c = {.method = "GET", .key = ""};
		struct http_reply *reply = NULL;
		if (next != NULL)
			c.query[c.query_count++] = (struct url_pair){"continuation-token", next};
		c.query[c.query_count++] = (struct url_pair){"list-type", "2"};
		if (*prefix != '\0')
			c.query[c.query_count++] = (struct url_pair){"prefix", prefix};
		TRY(exchange(page, b, &c, &reply));
		TRY(bucket_decode_list(mem, reply->body, reply->body_bytes, b->prefix, names, count,
				       &next));
	} while (next != NULL && ++pages < PAGES_MAX);
	return next == NULL ? OK : failure(E_INVALID, "bucket %s: its list has no end", b->name);
}
