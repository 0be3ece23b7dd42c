#include "daemon/dlq.h"

#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "daemon/audit.h"
#include "daemon/reply.h"

enum { COUNT_STANDARD = 100 };

typedef const char *getter(void *arg, const char *name);

static const char *from_query(void *x, const char *name)
{
	return http_query(x, name);
}

static const char *from_object(void *object, const char *name)
{
	return json_str(object, name);
}

static enum status time_of(getter *get, void *arg, const char *name, int64_t *out)
{
	const char *text = get(arg, name);

	if (str_empty(text))
		return OK;
	if (clock_parse(text, out) != OK)
		return failure_in(E_INVALID, "%s", name);
	return OK;
}

static enum status number_of(getter *get, void *arg, const char *name, long long most,
			     long long standard, long long *out)
{
	const char *text = get(arg, name);

	*out = standard;
	if (str_empty(text))
		return OK;
	if (str_to_int(text, 1, most, out) != OK)
		return failure_in(E_INVALID, "%s", name);
	return OK;
}

static enum status filter_of(getter *get, void *arg, struct letter_filter *f)
{
	*f = (struct letter_filter){
		.state = get(arg, "state"),
		.reason = get(arg, "reason"),
		.category = get(arg, "category"),
		.type = get(arg, "type"),
		.correlation_id = get(arg, "correlation_id"),
		.group = get(arg, "group"),
		.text = get(arg, "text"),
		.archived = str_eq(get(arg, "archived"), "true"),
	};
	TRY(time_of(get, arg, "from", &f->from_ms));
	return time_of(get, arg, "to", &f->to_ms);
}

static enum status list(struct http_exchange *x, const struct dlq *d)
{
	struct letter_filter f;
	json_t *found = NULL;
	long long limit;
	long long before;

	TRY(filter_of(from_query, x, &f));
	TRY(number_of(from_query, x, "limit", LETTERS_MOST, 50, &limit));
	TRY(number_of(from_query, x, "before", INT64_MAX, 0, &before));
	f.limit = (size_t)limit;
	f.before = before;
	TRY(store_letters(http_mem(x), d->store, &f, &found));
	json_t *reply = json_pack("{s:O}", "dead_letters", found);
	if (json_array_size(found) == f.limit)
		json_object_set(reply, "next_before",
				json_object_get(json_array_get(found, f.limit - 1), "dlq_id"));
	reply_json(x, 200, reply);
	return OK;
}

static enum status groups(struct http_exchange *x, const struct dlq *d)
{
	json_t *found = NULL;
	long long limit;

	TRY(number_of(from_query, x, "limit", LETTERS_MOST, 50, &limit));
	TRY(store_letter_groups(http_mem(x), d->store, (size_t)limit, &found));
	reply_json(x, 200, json_pack("{s:O}", "groups", found));
	return OK;
}

static enum status show(struct http_exchange *x, const struct dlq *d, int64_t id)
{
	json_t *found = NULL;

	TRY(store_letter(http_mem(x), d->store, id, &found));
	reply_json(x, 200, json_incref(found));
	return OK;
}

/* The request's body; none at all is an empty object. */
static enum status body_of(struct http_exchange *x, json_t **out)
{
	size_t n;
	const char *text = http_body(x, &n);

	if (n == 0) {
		*out = mem_own(http_mem(x), json_object());
		return OK;
	}
	TRY(json_parse(http_mem(x), text, n, out));
	return json_is_object(*out) ? OK : failure(E_INVALID, "the body must be an object");
}

/* Who asks: what the caller says of itself, and where it called from. */
static enum status replay(struct http_exchange *x, const struct dlq *d, int64_t id)
{
	json_t *body = NULL;
	json_t *result = NULL;
	void *mem = http_mem(x);

	TRY(body_of(x, &body));
	const char *by = audit_who(x, json_str(body, "by"));
	enum status s = replay_one(mem, d->replay, id, by, &result);
	if (s != OK) {
		audit(by, "dlq.replay", str_fmt(mem, "dlq/%lld", (long long)id), status_message(),
		      NULL);
		return s;
	}
	reply_json(x, 200, json_incref(result));
	return OK;
}

static enum status filter_in(json_t *body, struct letter_filter *f)
{
	json_t *filter = json_object_get(body, "filter");

	if (filter == NULL)
		filter = body;
	if (!json_is_object(filter))
		return failure(E_INVALID, "filter must be an object");
	return filter_of(from_object, filter, f);
}

static enum status replay_some(struct http_exchange *x, const struct dlq *d)
{
	struct replay_request r = {0};
	json_t *body = NULL;
	json_t *result = NULL;
	void *mem = http_mem(x);

	TRY(body_of(x, &body));
	TRY(filter_in(body, &r.filter));
	int64_t count = json_int(body, "count", COUNT_STANDARD);
	r.rate = json_number_value(json_object_get(body, "rate"));
	if (count < 1 || count > LETTERS_MOST || r.rate < 0)
		return failure(E_INVALID, "count must be 1 to %d, and rate not negative",
			       LETTERS_MOST);
	r.filter.after = json_int(body, "after", 0);
	r.filter.archived = false;
	r.count = (size_t)count;
	r.by = audit_who(x, json_str(body, "by"));
	TRY(replay_many(mem, d->replay, &r, &result));
	audit(r.by, "dlq.replay", "dlq",
	      str_fmt(mem, "%lld succeeded, %lld failed, %lld refused",
		      (long long)json_int(result, "succeeded", 0),
		      (long long)json_int(result, "failed", 0),
		      (long long)json_int(result, "refused", 0)),
	      NULL);
	reply_json(x, 200, json_incref(result));
	return OK;
}

/* The letters that a body names, by id or by a filter. */
static enum status chosen(void *mem, const struct dlq *d, json_t *body, json_t **ids)
{
	struct letter_filter f;
	json_t *found = NULL;
	size_t n;
	json_t *letter;

	*ids = json_object_get(body, "ids");
	if (json_is_array(*ids) && json_array_size(*ids) <= LETTERS_MOST)
		return OK;
	if (*ids != NULL)
		return failure(E_INVALID, "ids must be an array of at most %d numbers",
			       LETTERS_MOST);
	if (!json_is_object(json_object_get(body, "filter")))
		return failure(E_INVALID,
			       "want ids or a filter: nothing is archived without being named");
	TRY(filter_in(body, &f));
	f.limit = LETTERS_MOST;
	f.archived = false;
	TRY(store_letters(mem, d->store, &f, &found));
	*ids = mem_own(mem, json_array());
	json_array_foreach (found, n, letter)
		json_array_append(*ids, json_object_get(letter, "dlq_id"));
	return OK;
}

static bool is_among(int64_t id, const int64_t *ids, size_t count)
{
	for (size_t n = 0; n < count; n++)
		if (ids[n] == id)
			return true;
	return false;
}

/* One that the bite left: moved now, or the reason why not. */
static enum status archive_alone(const struct dlq *d, int64_t id, json_t *refused,
				 const char **outcome)
{
	enum status s = store_letter_archive(d->store, id, clock_now());

	*outcome = s == OK ? "success" : status_message();
	if (s == E_TRANSIENT || s == E_INTERNAL)
		return s;
	if (s != OK)
		json_array_append_new(refused, json_pack("{s:I, s:s}", "dlq_id", (json_int_t)id,
							 "reason", status_message()));
	return OK;
}

static enum status archive_bite(const struct dlq *d, const json_t *ids, size_t from, const char *by,
				json_t *refused)
{
	int64_t moved[LETTERS_ARCHIVE_BITE];
	size_t count = 0;
	size_t end = from + LETTERS_ARCHIVE_BITE;

	for (size_t n = from; n < end && n < json_array_size(ids); n++)
		moved[count++] = json_integer_value(json_array_get(ids, n));
	TRY(store_letters_archive(d->store, moved, &count, clock_now()));
	for (size_t n = from; n < end && n < json_array_size(ids); n++) {
		SCOPE(tmp);
		int64_t id = json_integer_value(json_array_get(ids, n));
		const char *outcome = "success";
		if (!is_among(id, moved, count))
			TRY(archive_alone(d, id, refused, &outcome));
		audit(by, "dlq.archive", str_fmt(tmp, "dlq/%lld", (long long)id), outcome, NULL);
	}
	return OK;
}

static enum status archive(struct http_exchange *x, const struct dlq *d)
{
	json_t *body = NULL;
	json_t *ids = NULL;
	void *mem = http_mem(x);

	TRY(body_of(x, &body));
	TRY(chosen(mem, d, body, &ids));
	const char *by = audit_who(x, json_str(body, "by"));
	json_t *refused = mem_own(mem, json_array());
	for (size_t n = 0; n < json_array_size(ids); n += LETTERS_ARCHIVE_BITE)
		TRY(archive_bite(d, ids, n, by, refused));
	int archived = (int)(json_array_size(ids) - json_array_size(refused));
	reply_json(x, 200, json_pack("{s:i, s:O}", "archived", archived, "refused", refused));
	return OK;
}

static enum status drop(struct http_exchange *x, const struct dlq *d, int64_t id)
{
	const char *token = http_query(x, "confirm");
	json_t *letter = NULL;
	void *mem = http_mem(x);
	const char *by = audit_who(x, http_query(x, "by"));

	if (str_empty(token))
		return failure(
			E_INVALID,
			"a drop is for ever: confirm it with confirm=<drop_token of GET /dlq/%lld>",
			(long long)id);
	TRY(store_letter(mem, d->store, id, &letter));
	enum status s = store_letter_drop(d->store, id, token);
	audit(by, "dlq.drop", str_fmt(mem, "dlq/%lld", (long long)id),
	      s == OK ? "success" : status_message(), json_str(letter, "correlation_id"));
	TRY(s);
	reply_json(x, 200, json_pack("{s:s, s:I}", "status", "dropped", "dlq_id", (json_int_t)id));
	return OK;
}

bool dlq_knows(const char *path)
{
	return str_eq(path, "/dlq") || (str_starts(path, "/dlq/") && path[5] != '\0');
}

static bool is_read(const struct http_exchange *x)
{
	return str_eq(http_method(x), "GET") || str_eq(http_method(x), "HEAD");
}

bool dlq_is_slow(const struct http_exchange *x)
{
	return !is_read(x);
}

static enum status wrong_method(struct http_exchange *x, const char *allowed)
{
	reply_error(x, 405, "method not allowed", allowed);
	return OK;
}

/* /dlq/{id} and /dlq/{id}/replay */
static enum status one(struct http_exchange *x, const struct dlq *d, const char *rest)
{
	const char *slash = strchr(rest, '/');
	const char *number =
		slash == NULL ? rest : str_ndup(http_mem(x), rest, (size_t)(slash - rest));
	long long id;

	if (str_to_int(number, 1, INT64_MAX, &id) != OK)
		return failure(E_NOTFOUND, "no dead letter %s", str_cut(http_mem(x), number, 20));
	if (slash != NULL && !str_eq(slash, "/replay"))
		return failure(E_NOTFOUND, "no such path");
	if (slash != NULL)
		return str_eq(http_method(x), "POST") ? replay(x, d, id) : wrong_method(x, "POST");
	if (is_read(x))
		return show(x, d, id);
	return str_eq(http_method(x), "DELETE") ? drop(x, d, id) : wrong_method(x, "GET, DELETE");
}

static enum status answer(struct http_exchange *x, const struct dlq *d)
{
	const char *path = http_path(x);
	bool post = str_eq(http_method(x), "POST");

	if (str_eq(path, "/dlq"))
		return is_read(x) ? list(x, d) : wrong_method(x, "GET");
	if (str_eq(path, "/dlq/groups"))
		return is_read(x) ? groups(x, d) : wrong_method(x, "GET");
	if (str_eq(path, "/dlq/replay"))
		return post ? replay_some(x, d) : wrong_method(x, "POST");
	if (str_eq(path, "/dlq/archive"))
		return post ? archive(x, d) : wrong_method(x, "POST");
	return one(x, d, path + strlen("/dlq/"));
}

void dlq_handle(struct http_exchange *x, void *dlq)
{
	const struct dlq *d = dlq;
	enum status s = answer(x, d);

	if (s == E_INTERNAL)
		log_event(LOG_ERROR, "api_failed", "path", http_path(x), "error", status_message(),
			  NULL);
	if (s != OK)
		reply_status(x, s);
}

void dlq_gauges(struct store *store)
{
	struct letter_counts c;

	if (store_letter_counts(store, &c) != OK)
		return;
	metric_set(M_DLQ_SIZE, (double)c.open);
	metric_set(M_DLQ_OLDEST_AGE,
		   c.oldest_ms == 0 ? 0 : (double)(clock_now() - c.oldest_ms) / 1000.0);
}

void dlq_tickets(struct store *store, const struct letter_ticket_rules *rules)
{
	static atomic_bool failing; /* said once, not every second of a full disk */
	bool failed = store_letter_tickets(store, rules, clock_now()) != OK;

	if (failed && !atomic_load(&failing))
		log_event(LOG_ERROR, "dead_letter_tickets_failed", "error", status_message(), NULL);
	atomic_store(&failing, failed);
}

void dlq_expire(struct store *store, int64_t retention_ms)
{
	size_t count = 1;

	if (store_letter_tickets_forget(store, clock_now() - retention_ms) != OK)
		log_event(LOG_ERROR, "expire_failed", "error", status_message(), NULL);
	while (count > 0) {
		if (store_letters_expire(store, clock_now(), &count) != OK) {
			log_event(LOG_ERROR, "archive_failed", "error", status_message(), NULL);
			return;
		}
	}
}
