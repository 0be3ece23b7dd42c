#include "peers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alert.h"
#include "wire.h"
#include "base/mem.h"
#include "base/str.h"

enum { WELL_KEPT = 16, QUERY_MAX = 512 };

/* The pods of one rule: those over the limit, and the last ones that were treated. */
struct shard {
	unsigned long *bad;
	size_t bad_count;
	unsigned long well[WELL_KEPT];
	size_t well_count; /* ever; the ring holds the last ones */
};

struct peers {
	unsigned short port;
	pthread_mutex_t lock;
	struct shard shards[SHARDS];
	int64_t *called_ns; /* per pod */
	struct peers_count count;
};

void peers_break(struct peers *p, unsigned long first, unsigned long n)
{
	pthread_mutex_lock(&p->lock);
	for (unsigned long pod = first; pod < first + n; pod++) {
		struct shard *s = &p->shards[pod % SHARDS];
		if (s->bad_count == talloc_array_length(s->bad))
			s->bad = GROW(p, s->bad, unsigned long, 2 * s->bad_count);
		s->bad[s->bad_count++] = pod;
	}
	pthread_mutex_unlock(&p->lock);
}

int64_t peers_called_ns(struct peers *p, unsigned long pod)
{
	pthread_mutex_lock(&p->lock);
	int64_t at = p->called_ns[pod];
	pthread_mutex_unlock(&p->lock);
	return at;
}

struct peers_count peers_count(struct peers *p)
{
	pthread_mutex_lock(&p->lock);
	struct peers_count c = p->count;
	pthread_mutex_unlock(&p->lock);
	return c;
}

static void treat(struct peers *p, unsigned long pod, int64_t at)
{
	struct shard *s = &p->shards[pod % SHARDS];

	p->count.calls++;
	p->count.repeated_calls += p->called_ns[pod] != 0;
	if (p->called_ns[pod] == 0)
		p->called_ns[pod] = at;
	for (size_t n = 0; n < s->bad_count; n++) {
		if (s->bad[n] != pod)
			continue;
		s->bad[n] = s->bad[--s->bad_count];
		s->well[s->well_count++ % WELL_KEPT] = pod;
		return;
	}
}

/* The number behind `key` in the text; false when there is none. */
static bool number_after(const char *text, const char *key, unsigned long max, unsigned long *out)
{
	const char *at = strstr(text, key);
	char digits[12];
	long long n;

	if (at == NULL)
		return false;
	at += strlen(key);
	str_print(digits, sizeof(digits), "%.*s", (int)strspn(at, "0123456789"), at);
	if (str_to_int(digits, 0, (long long)max, &n) != OK)
		return false;
	*out = (unsigned long)n;
	return true;
}

static void call(struct peers *p, const char *body, int64_t at, FILE *out)
{
	unsigned long pod;

	if (!number_after(body, "\"name\":\"pod-", PODS_MAX - 1, &pod)) {
		fputs("{\"status\":\"error\",\"message\":\"no such pod\"}", out);
		return;
	}
	treat(p, pod, at);
	fputs("{\"status\":\"success\",\"message\":\"restarted\"}", out);
}

#define SERIES \
	"\"shard\":\"%zu\",\"pod\":\"pod-%lu\",\"namespace\":\"shop\",\"job\":\"shop\"," \
	"\"instance\":\"10.0.0.7:8080\""

static void sample(FILE *out, bool *more, size_t shard, unsigned long pod, int value)
{
	fprintf(out,
		"%s{\"metric\":{\"__name__\":\"bench_errors\"," SERIES
		"},\"value\":[1768474000,\"%d\"]}",
		*more ? "," : "", shard, pod, value);
	*more = true;
}

/* bench_errors{shard="7"}, the same with > 5, or up{…} */
static void query(struct peers *p, const char *text, FILE *out)
{
	unsigned long at = 0;
	bool more = false;

	fputs("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[", out);
	if (str_starts(text, "up{")) {
		fputs("{\"metric\":{\"__name__\":\"up\"},\"value\":[1768474000,\"1\"]}", out);
	} else if (number_after(text, "shard=\"", SHARDS - 1, &at)) {
		const struct shard *s = &p->shards[at];
		for (size_t n = 0; n < s->bad_count; n++)
			sample(out, &more, at, s->bad[n], 9);
		bool all = strchr(text, '>') == NULL;
		for (size_t n = 0; all && n < WELL_KEPT && n < s->well_count; n++)
			sample(out, &more, at, s->well[n], 0);
	}
	fputs("]}}", out);
}

static void rules(const char *line, FILE *out)
{
	unsigned long shard = 0;

	fputs("{\"status\":\"success\",\"data\":{\"groups\":[", out);
	if (number_after(line, "BenchErrors", SHARDS - 1, &shard))
		fprintf(out,
			"{\"name\":\"bench\",\"file\":\"bench.yml\",\"interval\":15,\"rules\":[{"
			"\"name\":\"BenchErrors%lu\","
			"\"query\":\"bench_errors{shard=\\\"%lu\\\"} > "
			"5\",\"duration\":0,\"labels\":{\"severity\":\"warning\"},"
			"\"annotations\":{},\"alerts\":[],\"health\":\"ok\",\"type\":\"alerting\","
			"\"state\":\"firing\"}]}",
			shard, shard);
	fputs("]}}", out);
}

static void alerts(const struct peers *p, FILE *out)
{
	bool more = false;

	fputs("{\"status\":\"success\",\"data\":{\"alerts\":[", out);
	for (size_t s = 0; s < SHARDS; s++) {
		for (size_t n = 0; n < p->shards[s].bad_count; n++) {
			fprintf(out,
				"%s{\"labels\":{\"alertname\":\"BenchErrors%zu\",\"severity\":"
				"\"warning\"," SERIES
				"},\"annotations\":{},\"state\":\"firing\",\"activeAt\":\"2026-01-"
				"15T10:40:00Z\",\"value\":\"9e+00\"}",
				more ? "," : "", s, s, p->shards[s].bad[n]);
			more = true;
		}
	}
	fputs("]}}", out);
}

/* The text of a string member; client-made ids hold nothing that is escaped. */
static const char *member(const char *body, const char *key, int *bytes)
{
	const char *at = strstr(body, key);

	at = at == NULL ? "" : at + strlen(key);
	*bytes = (int)strcspn(at, "\"");
	return at;
}

/* What is looked up is always the same. */
static const char *look_up(const char *body)
{
	static const char *const KNOWN[][2] = {
		{"query Team(",
		 "{\"teams\":{\"nodes\":[{\"id\":\"team-1\",\"name\":\"SRE\",\"key\":\"SRE\"}]}}"},
		{"query States(",
		 "{\"workflowStates\":{\"nodes\":[{\"id\":\"state-unstarted\",\"type\":"
		 "\"unstarted\",\"position\":1},"
		 "{\"id\":\"state-completed\",\"type\":\"completed\",\"position\":2}]}}"},
		{"query Labels(", "{\"issueLabels\":{\"nodes\":[{\"id\":\"label-1\",\"name\":"
				  "\"any\",\"team\":null}]}}"},
	};

	for (size_t n = 0; n < sizeof(KNOWN) / sizeof(KNOWN[0]); n++)
		if (strstr(body, KNOWN[n][0]) != NULL)
			return KNOWN[n][1];
	return "null";
}

static void create_issue(struct peers *p, const char *body, FILE *out)
{
	int n;
	const char *id = member(body, "\"id\":\"", &n);

	p->count.issues++;
	fprintf(out,
		"{\"issueCreate\":{\"success\":true,\"issue\":{\"id\":\"%.*s\",\"identifier\":"
		"\"SRE-%lu\","
		"\"url\":\"http://127.0.0.1/SRE-%lu\"}}}",
		n, id, p->count.issues, p->count.issues);
}

static void linear(struct peers *p, const char *body, FILE *out)
{
	fputs("{\"data\":", out);
	if (strstr(body, "mutation IssueCreate(") != NULL) {
		create_issue(p, body, out);
	} else if (strstr(body, "mutation CommentCreate(") != NULL) {
		p->count.comments++;
		fputs("{\"commentCreate\":{\"success\":true,\"comment\":{\"id\":\"one\"}}}", out);
	} else if (strstr(body, "mutation IssueUpdate(") != NULL) {
		p->count.closed += strstr(body, "\"stateId\":\"state-completed\"") != NULL;
		fputs("{\"issueUpdate\":{\"success\":true,\"issue\":{\"id\":\"one\"}}}", out);
	} else {
		fputs(look_up(body), out);
	}
	fputs("}", out);
}

static int hex(char c)
{
	return c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

static void unescape(const char *from, size_t n, char *to, size_t room)
{
	const char *end = from + n;

	for (; from < end && room > 1; from++, room--) {
		bool escaped = *from == '%' && from + 2 < end;
		*to++ = escaped ? (char)(hex(from[1]) * 16 + hex(from[2])) : *from;
		from += escaped ? 2 : 0;
	}
	*to = '\0';
}

static void prometheus(struct peers *p, const struct message *m, FILE *out)
{
	char text[QUERY_MAX];

	p->count.queries++;
	if (strstr(m->line, "/api/v1/rules") != NULL) {
		rules(m->line, out);
	} else if (strstr(m->line, "/api/v1/alerts") != NULL) {
		alerts(p, out);
	} else {
		unescape(m->body, m->body_bytes, text, sizeof(text));
		query(p, strncmp(text, "query=", 6) == 0 ? text + 6 : text, out);
	}
}

static void answer(const struct message *m, int64_t received_ns, FILE *out, void *arg)
{
	struct peers *p = arg;
	char *body = m->body;
	char last = body[m->body_bytes];

	body[m->body_bytes] = '\0'; /* the next message may begin there */
	pthread_mutex_lock(&p->lock);
	if (strstr(m->line, " /api/v1/") != NULL)
		prometheus(p, m, out);
	else if (strstr(m->line, " /graphql ") != NULL)
		linear(p, body, out);
	else
		call(p, body, received_ns, out);
	pthread_mutex_unlock(&p->lock);
	body[m->body_bytes] = last;
}

struct peers *peers_start(void *mem)
{
	struct peers *p = NEW(mem, struct peers);

	pthread_mutex_init(&p->lock, NULL);
	p->called_ns = NEW_ARRAY(p, int64_t, PODS_MAX);
	for (int s = 0; s < SHARDS; s++)
		p->shards[s].bad = NEW_ARRAY(p, unsigned long, 64);
	p->port = wire_serve(p, answer, p);
	return p;
}

unsigned short peers_port(const struct peers *p)
{
	return p->port;
}
