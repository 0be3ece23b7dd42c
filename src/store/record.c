#include "store/record.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/ledger.h"

static const char CONTEXT[] = "intake record";

enum { VERSION = 1, TAG_EVENT = 1, TAG_REFUSAL = 2, SAMPLED = 1, KEYED = 2, RESOLVED = 4 };

/* The order on disk. (clang-format never settles on this list.) */
// clang-format off
#define EVENT_TEXTS(T) \
	T(id) T(source) T(type) T(subject) T(correlation_id) T(trace_id) T(span_id) T(key) \
	T(partition_key) T(sequence) T(fingerprint) T(name) T(labels) T(annotations) T(generator_url)
// clang-format on
#define REFUSAL_TEXTS(T) \
	T(id) T(source) T(type) T(error) T(category) T(body) T(partition_key) T(report)

/* Writes when there is a place to write to; counts in any case. */
struct pen {
	unsigned char *at;
	size_t bytes;
};

static void put(struct pen *p, const void *data, size_t n)
{
	if (p->at != NULL) {
		memcpy(p->at, data, n);
		p->at += n;
	}
	p->bytes += n;
}

static void put_byte(struct pen *p, unsigned char value)
{
	put(p, &value, 1);
}

static void put_number(struct pen *p, int64_t value)
{
	put(p, &value, sizeof(value));
}

static void put_text(struct pen *p, const char *text)
{
	uint32_t n = text == NULL ? 0 : (uint32_t)strlen(text);

	put(p, &n, sizeof(n));
	put(p, text == NULL ? "" : text, n + 1);
}

static struct record_event flat_event(void *mem, const struct event *e, bool keyed)
{
	const struct alert *a = e->alert;

	return (struct record_event){
		.id = e->id,
		.source = e->source,
		.type = e->type,
		.subject = e->subject,
		.correlation_id = e->correlation_id,
		.trace_id = e->trace.trace_id,
		.span_id = e->trace.span_id,
		.sampled = e->trace.sampled,
		.keyed = keyed,
		.key = e->key,
		.partition_key = e->partition_key,
		.sequence = e->sequence,
		.state = a->state,
		.fingerprint = a->fingerprint,
		.name = a->name,
		.labels = labels_text(mem, &a->labels),
		.annotations = labels_text(mem, &a->annotations),
		.generator_url = a->generator_url,
		.starts_ms = a->starts_ms,
		.ends_ms = a->ends_ms,
		.truncated_alerts = a->truncated_alerts,
	};
}

static void put_event(struct pen *p, const struct record_event *e)
{
	int flags = (e->sampled ? SAMPLED : 0) | (e->keyed ? KEYED : 0) |
		    (e->state == ALERT_RESOLVED ? RESOLVED : 0);

	put_byte(p, TAG_EVENT);
	put_byte(p, (unsigned char)flags);
	put_number(p, e->starts_ms);
	put_number(p, e->ends_ms);
	put_number(p, e->truncated_alerts);
#define PUT(field) put_text(p, e->field);
	EVENT_TEXTS(PUT)
#undef PUT
}

static void put_block(struct pen *p, const void *bytes, size_t n)
{
	uint32_t length = (uint32_t)n;

	put(p, &length, sizeof(length));
	put(p, bytes, n);
}

struct sealed {
	unsigned char *bytes;
	size_t n;
};

/* What the two passes over the members share. */
struct page {
	const struct event_set *set;
	struct record_event *flat; /* of the members that are events */
	struct sealed *sealed;	   /* of the others */
	const struct admission *from;
};

static void put_page(struct pen *p, const struct page *page)
{
	uint32_t count = (uint32_t)page->set->count;

	put_byte(p, VERSION);
	put_number(p, page->from->received_ms);
	put_number(p, page->from->letter);
	put_text(p, page->from->origin);
	put(p, &count, sizeof(count));
	for (size_t n = 0; n < page->set->count; n++) {
		if (page->set->members[n].event != NULL) {
			put_event(p, &page->flat[n]);
		} else {
			put_byte(p, TAG_REFUSAL);
			put_block(p, page->sealed[n].bytes, page->sealed[n].n);
		}
	}
}

static void put_refusal(struct pen *p, const struct record_refusal *r)
{
#define PUT(field) put_text(p, r->field);
	REFUSAL_TEXTS(PUT)
#undef PUT
}

static enum status seal_refusal(void *mem, const struct seal *seal, const struct event_member *m,
				struct sealed *out)
{
	const struct record_refusal r = {
		.id = m->id,
		.source = m->source,
		.type = m->type,
		.error = m->error,
		.category = m->category,
		.body = m->raw,
		.partition_key = m->partition_key,
		.report = m->report == NULL ? "" : json_text(mem, m->report),
	};
	struct pen size = {0};

	put_refusal(&size, &r);
	if (size.bytes > LEDGER_RECORD_LIMIT)
		return failure(E_INVALID, "the events of this request are too large together");
	unsigned char *plain = mem_check(talloc_size(mem, size.bytes));
	put_refusal(&(struct pen){.at = plain}, &r);
	return seal_lock(mem, seal, CONTEXT, plain, size.bytes, &out->bytes, &out->n);
}

static enum status prepare(void *mem, struct page *page, const struct seal *seal)
{
	const struct event_set *set = page->set;

	page->flat = NEW_ARRAY(mem, struct record_event, set->count + 1);
	page->sealed = NEW_ARRAY(mem, struct sealed, set->count + 1);
	for (size_t n = 0; n < set->count; n++) {
		const struct event_member *m = &set->members[n];
		if (m->event != NULL)
			page->flat[n] = flat_event(mem, m->event, set->mode != EVENT_WEBHOOK);
		else
			TRY(seal_refusal(mem, seal, m, &page->sealed[n]));
	}
	return OK;
}

enum status record_encode(void *mem, const struct admission *a, const struct seal *seal,
			  unsigned char **out, size_t *bytes)
{
	SCOPE(tmp);
	struct page page = {.set = a->set, .from = a};
	struct pen size = {0};

	TRY(prepare(tmp, &page, seal));
	put_page(&size, &page);
	if (size.bytes > LEDGER_RECORD_LIMIT)
		return failure(E_INVALID, "the events of this request are too large together");
	*out = mem_check(talloc_size(mem, size.bytes));
	*bytes = size.bytes;
	put_page(&(struct pen){.at = *out}, &page);
	return OK;
}

static enum status take(struct record *r, void *to, size_t n)
{
	if ((size_t)(r->end - r->at) < n)
		return failure(E_INTERNAL, "intake log: a record ends too early");
	memcpy(to, r->at, n);
	r->at += n;
	return OK;
}

static enum status take_text(struct record *r, const char **out)
{
	uint32_t n = 0;

	TRY(take(r, &n, sizeof(n)));
	if ((size_t)(r->end - r->at) <= n || r->at[n] != '\0')
		return failure(E_INTERNAL, "intake log: a text of a record is damaged");
	*out = (const char *)r->at;
	r->at += n + 1;
	return OK;
}

static enum status take_event(struct record *r, struct record_event *e)
{
	unsigned char flags = 0;

	TRY(take(r, &flags, 1));
	TRY(take(r, &e->starts_ms, sizeof(e->starts_ms)));
	TRY(take(r, &e->ends_ms, sizeof(e->ends_ms)));
	TRY(take(r, &e->truncated_alerts, sizeof(e->truncated_alerts)));
	e->sampled = (flags & SAMPLED) != 0;
	e->keyed = (flags & KEYED) != 0;
	e->state = (flags & RESOLVED) != 0 ? ALERT_RESOLVED : ALERT_FIRING;
#define TAKE(field) TRY(take_text(r, &e->field));
	EVENT_TEXTS(TAKE)
#undef TAKE
	return OK;
}

static enum status take_refusal(void *mem, struct record *r, const struct seal *seal,
				struct record_refusal *refusal)
{
	char *plain = NULL;
	uint32_t n = 0;
	size_t bytes = 0;

	TRY(take(r, &n, sizeof(n)));
	if ((size_t)(r->end - r->at) < n)
		return failure(E_INTERNAL, "intake log: a record ends too early");
	TRY(seal_unlock(mem, seal, CONTEXT, r->at, n, &plain, &bytes));
	r->at += n;
	struct record inner = {.at = (unsigned char *)plain, .end = (unsigned char *)plain + bytes};
#define TAKE(field) TRY(take_text(&inner, &refusal->field));
	REFUSAL_TEXTS(TAKE)
#undef TAKE
	return OK;
}

enum status record_begin(const unsigned char *payload, size_t bytes, struct record *out)
{
	unsigned char version = 0;

	*out = (struct record){.at = payload, .end = payload + bytes};
	TRY(take(out, &version, 1));
	if (version != VERSION)
		return failure(E_INTERNAL, "intake log: a record of version %d", version);
	TRY(take(out, &out->received_ms, sizeof(out->received_ms)));
	TRY(take(out, &out->letter, sizeof(out->letter)));
	TRY(take_text(out, &out->origin));
	return take(out, &out->count, sizeof(out->count));
}

enum status record_next(void *mem, struct record *r, const struct seal *seal,
			struct record_event *event, struct record_refusal *refusal, bool *refused)
{
	unsigned char tag = 0;

	TRY(take(r, &tag, 1));
	if (tag != TAG_EVENT && tag != TAG_REFUSAL)
		return failure(E_INTERNAL, "intake log: a member of a record is damaged");
	*refused = tag == TAG_REFUSAL;
	return *refused ? take_refusal(mem, r, seal, refusal) : take_event(r, event);
}
