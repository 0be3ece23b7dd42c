#include "flow/on_call.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/on_call.h"

/* How a file is told from the one that was read. */
struct stamp {
	struct timespec changed;
	off_t bytes;
	ino_t inode;
};

struct on_call {
	struct on_call_options o;
	bool remote;
	pthread_mutex_t lock; /* guards all below; never held over HTTP */
	struct stamp stamp;
	struct on_call_schedule *schedule; /* of a file that could be read, at least once */
	char *email;			   /* of the endpoint; NULL = none yet */
	int64_t asked_ms;
};

static int drop(struct on_call *c)
{
	pthread_mutex_destroy(&c->lock);
	return 0;
}

static enum status read_schedule(void *mem, const char *path, struct on_call_schedule **out)
{
	char *text = NULL;
	size_t n = 0;

	if (file_read(mem, path, LIMIT_FILE_BYTES, &text, &n) != OK)
		return failure_in(E_INVALID, "ticket.schedule");
	return on_call_parse(mem, path, text, n, out);
}

static bool has_changed(struct on_call *c)
{
	struct stat st;

	if (stat(c->o.schedule, &st) != 0)
		return false; /* what was read last still holds */
	const struct stamp now = {st.st_mtim, st.st_size, st.st_ino};
	bool same = now.changed.tv_sec == c->stamp.changed.tv_sec &&
		    now.changed.tv_nsec == c->stamp.changed.tv_nsec &&
		    now.bytes == c->stamp.bytes && now.inode == c->stamp.inode;
	c->stamp = now;
	return !same;
}

/* The lock is held. A file that became wrong is said once; the last good one still holds. */
static enum status refresh(struct on_call *c)
{
	SCOPE(tmp);
	struct on_call_schedule *fresh = NULL;

	if (!has_changed(c))
		return OK;
	TRY(read_schedule(tmp, c->o.schedule, &fresh));
	talloc_free(c->schedule);
	c->schedule = MOVE(c, fresh);
	return OK;
}

enum status on_call_new(void *mem, const struct on_call_options *o, struct on_call **out)
{
	struct on_call *c = NEW(mem, struct on_call);

	c->o = *o;
	c->remote = str_starts(o->schedule, "http://") || str_starts(o->schedule, "https://");
	pthread_mutex_init(&c->lock, NULL);
	talloc_set_destructor(c, drop);
	if (!c->remote && !str_empty(o->schedule)) {
		(void)has_changed(c);
		TRY(read_schedule(c, o->schedule, &c->schedule));
	}
	*out = c;
	return OK;
}

static const char *or_fallback(void *mem, const struct on_call *c, const char *email)
{
	return str_dup(mem, str_empty(email) ? c->o.fallback : email);
}

static void tell_unavailable(void)
{
	log_event(LOG_WARN, "on_call_unavailable", "error", status_message(), NULL);
}

/* The lock is held. */
static bool recall(void *mem, struct on_call *c, const char **email)
{
	int64_t now_ms = clock_now();

	if (c->remote) {
		bool fresh = c->email != NULL && now_ms >= c->asked_ms &&
			     now_ms - c->asked_ms < c->o.remember_ms;
		if (fresh)
			*email = or_fallback(mem, c, c->email);
		return fresh;
	}
	if (!str_empty(c->o.schedule) && refresh(c) != OK)
		tell_unavailable();
	*email = or_fallback(mem, c, c->schedule == NULL ? NULL : on_call_at(c->schedule, now_ms));
	return true;
}

bool on_call_recall(void *mem, struct on_call *c, const char **email)
{
	pthread_mutex_lock(&c->lock);
	bool known = recall(mem, c, email);
	pthread_mutex_unlock(&c->lock);
	return known;
}

static enum status ask(void *mem, const struct on_call *c, const char **email)
{
	static const struct http_header HEADERS[] = {{"Accept", "application/json"}};
	const struct http_request q = {.method = "GET",
				       .url = c->o.schedule,
				       .headers = HEADERS,
				       .header_count = 1,
				       .timeout_ms = c->o.timeout_ms,
				       .ca_file = c->o.ca_file,
				       .peer = "on_call"};
	struct http_reply *r = NULL;

	TRY(http_fetch(mem, c->o.http, &q, &r));
	if (r->code != 200)
		return failure(E_TRANSIENT, "the schedule's endpoint answered %ld", r->code);
	return on_call_decode(mem, r->body, r->body_bytes, email);
}

enum status on_call_ask(void *mem, struct on_call *c, const char **email)
{
	const char *found = NULL;

	if (on_call_recall(mem, c, email))
		return OK;
	enum status s = ask(mem, c, &found);
	if (s == E_CANCELED)
		return s;
	if (s != OK) {
		tell_unavailable();
		*email = or_fallback(mem, c, NULL);
		return OK;
	}
	pthread_mutex_lock(&c->lock);
	talloc_free(c->email);
	c->email = str_dup(c, found == NULL ? "" : found);
	c->asked_ms = clock_now();
	pthread_mutex_unlock(&c->lock);
	*email = or_fallback(mem, c, found);
	return OK;
}
