#include "daemon/rates.h"

#include <pthread.h>
#include <string.h>

#include "base/token_bucket.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "daemon/reply.h"

enum { EVENTS, READS, CHANGES, FIXED_PROFILES, CALLER_BYTES = 64, HASH_SLOTS = 256 };

struct profile {
	char pattern[256]; /* of event sources; "" for the fixed ones */
	struct token_rate rate;
};

struct caller {
	char name[CALLER_BYTES];
	size_t profile;
	struct token_bucket bucket;
	uint64_t used; /* grows with each use */
	unsigned slot;
	struct caller *next; /* in its slot */
};

static struct {
	pthread_mutex_t lock;
	bool on, by_token;
	struct profile profiles[RATE_PROFILES_MAX];
	size_t profile_count;
	struct caller callers[RATE_CALLERS_MAX];
	size_t caller_count;
	struct caller *slots[HASH_SLOTS];
	uint64_t uses;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static enum status wrong(const char *text)
{
	return failure(E_INVALID,
		       "intake.rates: '%.100s': want SOURCE-PATTERN=EVENTS/s (or /m, /h)", text);
}

/* "legacy-*=100/m" */
static enum status parse(const char *text, struct profile *out)
{
	SCOPE(tmp);
	const char *sign = strrchr(text, '=');
	const char *slash = strrchr(text, '/');
	long long events = 0;

	if (sign == NULL || sign == text || slash == NULL || slash < sign ||
	    (size_t)(sign - text) >= sizeof(out->pattern) || strlen(slash) != 2)
		return wrong(text);
	const char *number = str_ndup(tmp, sign + 1, (size_t)(slash - sign - 1));
	if (str_to_int(number, 1, 1000000000, &events) != OK)
		return wrong(text);
	double seconds = slash[1] == 's' ? 1 : slash[1] == 'm' ? 60 : slash[1] == 'h' ? 3600 : 0;
	if (seconds == 0)
		return wrong(text);
	str_print(out->pattern, sizeof(out->pattern), "%s",
		  str_ndup(tmp, text, (size_t)(sign - text)));
	out->rate = (struct token_rate){.per_second = (double)events / seconds,
					.burst = (double)events};
	return OK;
}

enum status rates_check(const struct settings *s)
{
	struct profile ignored;
	size_t n = 0;

	for (; s->intake_rates[n] != NULL; n++)
		TRY(parse(s->intake_rates[n], &ignored));
	if (n + FIXED_PROFILES > RATE_PROFILES_MAX)
		return failure(E_INVALID, "intake.rates: at most %d",
			       RATE_PROFILES_MAX - FIXED_PROFILES);
	return OK;
}

static struct token_rate rate_of(long long per_second, long long burst)
{
	return (struct token_rate){.per_second = (double)per_second, .burst = (double)burst};
}

enum status rates_configure(const struct settings *s)
{
	TRY(rates_check(s));
	pthread_mutex_lock(&table.lock);
	table.profiles[EVENTS].rate = rate_of(s->intake_rate, s->intake_burst);
	table.profiles[READS].rate = rate_of(s->api_rate, 2 * s->api_rate);
	table.profiles[CHANGES].rate = rate_of(s->api_change_rate, 2 * s->api_change_rate);
	table.profile_count = FIXED_PROFILES;
	enum status status = OK;
	for (size_t n = 0; status == OK && s->intake_rates[n] != NULL; n++)
		status = parse(s->intake_rates[n], &table.profiles[table.profile_count++]);
	table.by_token = !str_empty(s->token);
	table.caller_count = 0;
	memset(table.slots, 0, sizeof(table.slots));
	table.on = status == OK;
	pthread_mutex_unlock(&table.lock);
	return status;
}

static unsigned slot_of(const char *name, size_t profile)
{
	unsigned h = 2166136261U ^ (unsigned)profile;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 16777619U;
	return h % HASH_SLOTS;
}

static void unlink_caller(struct caller *c)
{
	struct caller **at = &table.slots[c->slot];

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

static struct caller *free_place(void)
{
	if (table.caller_count < RATE_CALLERS_MAX)
		return &table.callers[table.caller_count++];
	struct caller *oldest = &table.callers[0];
	for (size_t n = 1; n < RATE_CALLERS_MAX; n++)
		if (table.callers[n].used < oldest->used)
			oldest = &table.callers[n];
	unlink_caller(oldest);
	return oldest;
}

static struct caller *obtain(const char *name, size_t profile, int64_t now_ms)
{
	unsigned slot = slot_of(name, profile);
	struct caller *c = table.slots[slot];

	while (c != NULL && (c->profile != profile || !str_eq(c->name, name)))
		c = c->next;
	if (c == NULL) {
		c = free_place();
		str_print(c->name, sizeof(c->name), "%s", name);
		c->profile = profile;
		c->slot = slot;
		c->next = table.slots[slot];
		table.slots[slot] = c;
		token_bucket_init(&c->bucket, &table.profiles[profile].rate, now_ms);
	}
	c->used = ++table.uses;
	return c;
}

/* `wanted[profile]` of each profile: all of it is taken (0), or nothing, and the longest pause is
 * returned. */
static int64_t take(const char *name, const double *wanted)
{
	struct caller *callers[RATE_PROFILES_MAX] = {0};
	int64_t now = clock_monotonic();
	int64_t wait = 0;

	for (size_t p = 0; p < table.profile_count; p++) {
		if (wanted[p] == 0)
			continue;
		callers[p] = obtain(name, p, now);
		int64_t mine = token_bucket_wait(&callers[p]->bucket, &table.profiles[p].rate,
						 wanted[p], now);
		wait = mine > wait ? mine : wait;
	}
	for (size_t p = 0; wait == 0 && p < table.profile_count; p++)
		if (callers[p] != NULL)
			token_bucket_take(&callers[p]->bucket, wanted[p]);
	return wait;
}

static size_t profile_of(const char *source)
{
	for (size_t p = FIXED_PROFILES; source != NULL && p < table.profile_count; p++)
		if (str_glob(table.profiles[p].pattern, source))
			return p;
	return EVENTS;
}

static const char *name_of(const struct http_exchange *x)
{
	return table.by_token ? "token" : http_peer_address(x);
}

static bool settle(struct http_exchange *x, double count, int64_t wait_ms)
{
	if (wait_ms == 0)
		return true;
	metric_add(M_RATE_LIMITED, count, reply_endpoint(http_path(x)));
	reply_limited(x, wait_ms);
	return false;
}

bool rates_admit_events(struct http_exchange *x, const struct event_set *set)
{
	double wanted[RATE_PROFILES_MAX] = {0};
	size_t count = set == NULL || set->count == 0 ? 1 : set->count;

	pthread_mutex_lock(&table.lock);
	for (size_t n = 0; n < count; n++) {
		const struct event_member *m =
			set == NULL || set->count == 0 ? NULL : &set->members[n];
		const char *source = m == NULL		? NULL
				     : m->event != NULL ? m->event->source
							: m->source;
		wanted[profile_of(source)]++;
	}
	int64_t wait = table.on ? take(name_of(x), wanted) : 0;
	pthread_mutex_unlock(&table.lock);
	return settle(x, (double)count, wait);
}

bool rates_admit_call(struct http_exchange *x)
{
	double wanted[RATE_PROFILES_MAX] = {0};
	bool reads = str_eq(http_method(x), "GET") || str_eq(http_method(x), "HEAD");

	wanted[reads ? READS : CHANGES] = 1;
	pthread_mutex_lock(&table.lock);
	int64_t wait = table.on ? take(name_of(x), wanted) : 0;
	pthread_mutex_unlock(&table.lock);
	return settle(x, 1, wait);
}
