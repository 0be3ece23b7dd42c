#include "domain/death.h"

#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

/* What says which category a death is of. RabbitMQ's "rejected" says only that a consumer refused
 * the message, not that it always will: transient. */
#define DEATH_WORDS(W) \
	W("rejected", "poison_message", false) \
	W("delivery_limit", "poison_message", true) \
	W("expired", "timeout", false) \
	W("maxlen", "resource_exhaustion", false) \
	W("broker_auth", "broker_failure", true) \
	W("s3_access_denied", "dependency_failure", true) \
	W("service_misconfigured", "dependency_failure", true) \
	W("validation", "validation_failure", true) \
	W("validation_error", "validation_failure", true) \
	W("subscriber_down", "dependency_failure", false) \
	W("build_timeout", "timeout", false) \
	W("image_pull_error", "dependency_failure", false) \
	W("queue_full", "resource_exhaustion", false) \
	W("dependency_error", "dependency_failure", false) \
	W("poison_message", "poison_message", true) \
	W("consumer_crash", "consumer_crash", false) \
	W("timeout", "timeout", false) \
	W("dependency_failure", "dependency_failure", false) \
	W("resource_exhaustion", "resource_exhaustion", false) \
	W("schema_evolution", "schema_evolution", true) \
	W("network_partition", "network_partition", false) \
	W("validation_failure", "validation_failure", true) \
	W("partial_processing", "partial_processing", false) \
	W("broker_failure", "broker_failure", false)

struct kind {
	const char *word, *category;
	bool permanent;
};

static const struct kind WORDS[] = {
#define WORD_ROW(word, category, permanent) {word, category, permanent},
	DEATH_WORDS(WORD_ROW)
#undef WORD_ROW
};

enum { WORD_COUNT = sizeof(WORDS) / sizeof(WORDS[0]), HEADER_NAME_BYTES = 128 };

/* What the destination answered, by HTTP code (Knative). */
static const struct {
	int64_t least, most;
	struct kind kind;
} CODES[] = {
	{401, 401, {"", "dependency_failure", true}},
	{403, 403, {"", "dependency_failure", true}},
	{404, 404, {"", "dependency_failure", false}},
	{408, 408, {"", "timeout", false}},
	{409, 409, {"", "partial_processing", false}},
	{429, 429, {"", "resource_exhaustion", false}},
	{400, 499, {"", "validation_failure", true}},
	{502, 503, {"", "dependency_failure", false}},
	{504, 504, {"", "timeout", false}},
	{500, 599, {"", "consumer_crash", false}},
};

static const char *fit(void *mem, const char *text)
{
	return text == NULL ? NULL : str_fit(mem, text, LIMIT_ATTRIBUTE_BYTES);
}

static const char *scalar_text(void *mem, const json_t *value)
{
	if (json_is_string(value))
		return fit(mem, json_string_value(value));
	if (json_is_integer(value))
		return str_fmt(mem, "%lld", (long long)json_integer_value(value));
	return NULL;
}

static const char *header_text(void *mem, const json_t *headers, const char *name)
{
	return scalar_text(mem, json_object_get(headers, name));
}

static int64_t header_number(void *mem, const json_t *headers, const char *name, int64_t otherwise)
{
	const char *text = header_text(mem, headers, name);
	long long value;

	return text != NULL && str_to_int(text, 0, INT32_MAX, &value) == OK ? value : otherwise;
}

const char *death_attribute(void *mem, const json_t *headers, const char *name)
{
	static const char *const PREFIXES[] = {"ce-", "ce_", "cloudEvents:", "cloudEvents_"};
	char key[HEADER_NAME_BYTES];

	for (size_t n = 0; n < sizeof(PREFIXES) / sizeof(PREFIXES[0]); n++) {
		str_print(key, sizeof(key), "%s%s", PREFIXES[n], name);
		const char *text = header_text(mem, headers, key);
		if (text != NULL)
			return text;
	}
	return NULL;
}

/* The attribute from the headers (binary mode), else from the body (structured mode). */
static const char *attribute(void *mem, const json_t *headers, const json_t *body, const char *name)
{
	const char *text = death_attribute(mem, headers, name);

	if (text == NULL && json_is_object(body) && json_str(body, "specversion") != NULL)
		text = scalar_text(mem, json_object_get(body, name));
	return text;
}

static const char *or_empty(const char *text)
{
	return text == NULL ? "" : text;
}

static const char *first_of(const char *a, const char *b)
{
	return !str_empty(a) ? a : or_empty(b);
}

static void read_identity(void *mem, const json_t *headers, const json_t *body, struct death *d)
{
	d->event_id = or_empty(attribute(mem, headers, body, "id"));
	d->event_source = or_empty(attribute(mem, headers, body, "source"));
	d->event_type = first_of(attribute(mem, headers, body, "type"),
				 header_text(mem, headers, "amqp:type"));
	d->subject = or_empty(attribute(mem, headers, body, "subject"));
	const char *extension = first_of(attribute(mem, headers, body, "correlationid"),
					 header_text(mem, headers, "amqp:correlation-id"));
	d->correlation_id = first_of(header_text(mem, headers, "X-Correlation-ID"),
				     first_of(extension, d->event_id));
}

/* RabbitMQ puts the newest death first: the last entry is where the message was published to. */
static const json_t *first_death(const json_t *headers)
{
	const json_t *deaths = json_object_get(headers, "x-death");
	size_t n = json_array_size(deaths);
	const json_t *oldest = n == 0 ? NULL : json_array_get(deaths, n - 1);

	return json_is_object(oldest) ? oldest : NULL;
}

static int64_t death_count(void *mem, const json_t *headers)
{
	const json_t *deaths = json_object_get(headers, "x-death");
	const json_t *death;
	size_t n;
	int64_t sum = 0;

	json_array_foreach (deaths, n, death)
		sum += header_number(mem, death, "count", 1);
	int64_t platform = header_number(mem, headers, "x-death-count", 0);
	int64_t count = platform > sum ? platform : sum;
	count = (count > 0 ? count : 1) + header_number(mem, headers, DEATH_COUNT_HEADER, 0);
	return count < INT32_MAX ? count : INT32_MAX;
}

static void read_origin(void *mem, const json_t *headers, struct death *d)
{
	const json_t *death = first_death(headers);
	const char *exchange = first_of(header_text(mem, headers, "x-original-exchange"), NULL);
	const char *key = header_text(mem, headers, "x-original-routing-key");

	d->has_exchange = *exchange != '\0';
	if (death != NULL && !d->has_exchange) {
		const char *named = header_text(mem, death, "exchange");
		d->has_exchange = named != NULL;
		exchange = or_empty(named);
	}
	if (str_empty(key))
		key = scalar_text(mem, json_array_get(json_object_get(death, "routing-keys"), 0));
	d->exchange = exchange;
	d->routing_key = or_empty(key);
	d->queue = first_of(death == NULL ? NULL : header_text(mem, death, "queue"),
			    header_text(mem, headers, "x-first-death-queue"));
	const json_t *at = death == NULL ? NULL : json_object_get(death, "time");
	int64_t seconds = json_int(at, "amqp:timestamp", 0);
	d->first_ms = seconds > 0 && seconds < INT64_MAX / 1000 ? seconds * 1000 : 0;
	d->replays = header_number(mem, headers, DEATH_REPLAY_HEADER, 0);
}

static const struct kind *kind_of(const char *word)
{
	for (size_t n = 0; n < WORD_COUNT; n++)
		if (word != NULL && strcasecmp(WORDS[n].word, word) == 0)
			return &WORDS[n];
	return NULL;
}

static bool set_kind(struct death *d, const struct kind *k)
{
	if (k != NULL) {
		d->category = k->category;
		d->permanent = k->permanent;
	}
	return k != NULL;
}

static bool by_platform(void *mem, const json_t *headers, struct death *d)
{
	const char *word = header_text(mem, headers, "x-death-reason");

	if (str_empty(word))
		return false;
	d->reason = word;
	return set_kind(d, kind_of(word));
}

static const struct kind *kind_of_code(int64_t code)
{
	static const struct kind UNREACHED = {"", "network_partition", false};

	for (size_t n = 0; n < sizeof(CODES) / sizeof(CODES[0]); n++)
		if (code >= CODES[n].least && code <= CODES[n].most)
			return &CODES[n].kind;
	return &UNREACHED;
}

static bool by_knative(void *mem, const json_t *headers, const json_t *body, struct death *d)
{
	const char *where = attribute(mem, headers, body, "knativeerrordest");
	const char *code = attribute(mem, headers, body, "knativeerrorcode");
	long long number = 0;

	if (where == NULL && code == NULL)
		return false;
	if (code != NULL && str_to_int(code, 0, 999, &number) != OK)
		number = 0;
	if (str_empty(d->reason) && number > 0)
		d->reason = str_fmt(mem, "%s answered %lld",
				    str_empty(where) ? "the subscriber" : where, number);
	else if (str_empty(d->reason))
		d->reason = str_fmt(mem, "%s did not answer",
				    str_empty(where) ? "the subscriber" : where);
	return set_kind(d, kind_of_code(number));
}

static void by_rabbitmq(void *mem, const json_t *headers, struct death *d)
{
	const json_t *death = first_death(headers);
	const char *word = first_of(header_text(mem, headers, "x-first-death-reason"),
				    death == NULL ? NULL : header_text(mem, death, "reason"));

	if (!set_kind(d, kind_of(word)))
		set_kind(d, kind_of("broker_failure"));
	if (!str_empty(d->reason))
		return;
	if (*word == '\0')
		d->reason = "dead-lettered without a reason";
	else if (*d->queue == '\0')
		d->reason = word;
	else
		d->reason = str_fmt(mem, "%s in queue %s", word, d->queue);
}

void death_read(void *mem, const json_t *headers, const json_t *body, struct death **out)
{
	struct death *d = NEW(mem, struct death);

	d->reason = "";
	read_identity(mem, headers, body, d);
	read_origin(mem, headers, d);
	d->count = death_count(mem, headers);
	if (!by_platform(mem, headers, d) && !by_knative(mem, headers, body, d))
		by_rabbitmq(mem, headers, d);
	*out = d;
}

static bool speaks_of_death(const char *name)
{
	static const char *const PREFIXES[] = {
		"x-death",
		"x-first-death-",
		"x-last-death-",
		"x-original-",
		"x-delivery-count",
		"x-exception-",
		"knativeerror",
		"ce-knativeerror",
		"ce_knativeerror",
		"cloudEvents:knativeerror",
		"cloudEvents_knativeerror",
		DEATH_REPLAY_HEADER,
		DEATH_COUNT_HEADER,
	};

	for (size_t n = 0; n < sizeof(PREFIXES) / sizeof(PREFIXES[0]); n++)
		if (str_starts(name, PREFIXES[n]))
			return true;
	return false;
}

json_t *death_strip(void *mem, const json_t *headers)
{
	json_t *out = mem_own(mem, json_object());
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)headers, name, value)
		if (!speaks_of_death(name))
			json_object_set(out, name, value);
	int64_t replays = header_number(mem, headers, DEATH_REPLAY_HEADER, 0);
	json_object_set_new(out, DEATH_REPLAY_HEADER, json_integer(replays + 1));
	json_object_set_new(out, DEATH_COUNT_HEADER, json_integer(death_count(mem, headers)));
	return out;
}
