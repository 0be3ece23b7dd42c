#include "daemon/backups.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/str.h"
#include "daemon/depot.h"
#include "daemon/drill.h"
#include "domain/usual.h"
#include "store/backup.h"
#include "store/chain.h"

enum {
	LOOK_MS = 1000,
	LOOK_FAKE_MS = 50,
	AGAIN_MS = 60 * 1000,
	DRILL_AGAIN_MS = 3600 * 1000,
	PRUNE_EVERY_MS = 24 * 3600 * 1000
};

/* SRE-009.8 */
static const double SMALL = 0.5, LARGE = 1.5, LONG = 3;

/* One target. */
struct shipment {
	struct target target; /* as `inner`, but fails once we are stopping */
	struct target *inner;
	struct backups *owner;
	struct backup *backup;
	int64_t due_ms, last_ms; /* the next try; the last point, 0 = none */
	int64_t prune_ms, drill_ms, drilled_ms;
	bool failing; /* the last try */
	bool known;   /* what the target holds was looked up */
	bool ours;    /* and it took a point of this store since the start: it may be tidied */
	struct usual size, took_full, took_increment;
};

struct backups {
	const struct settings *settings;
	struct http_client *http;
	struct depot_keys keys;
	struct shipment *shipments;
	size_t count;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	atomic_bool stopping;
};

bool backups_are_configured(const struct settings *s)
{
	return s->backup_target[0] != NULL;
}

/* Targets that can be left. */

static enum status alive(const struct target *t)
{
	const struct shipment *s = (const struct shipment *)t;

	return atomic_load(&s->owner->stopping) ? failure(E_CANCELED, "stopping") : OK;
}

static enum status put(struct target *t, const char *name, const void *bytes, size_t n)
{
	struct target *inner = ((struct shipment *)t)->inner;

	TRY(alive(t));
	return inner->put(inner, name, bytes, n);
}

static enum status get(void *mem, struct target *t, const char *name, char **out, size_t *n)
{
	struct target *inner = ((struct shipment *)t)->inner;

	TRY(alive(t));
	return inner->get(mem, inner, name, out, n);
}

static enum status list(void *mem, struct target *t, char ***names, size_t *count)
{
	struct target *inner = ((struct shipment *)t)->inner;

	TRY(alive(t));
	return inner->list(mem, inner, names, count);
}

static enum status discard(struct target *t, const char *name)
{
	struct target *inner = ((struct shipment *)t)->inner;

	TRY(alive(t));
	return inner->remove(inner, name);
}

/* What is said about it. */

/* Of the targets that were looked up: the others do not hide how old these are. */
static void show_ages(const struct backups *b, int64_t now_ms)
{
	int64_t last = INT64_MAX;
	int64_t drilled = INT64_MAX;
	size_t known = 0;
	int failing = 0;

	for (size_t n = 0; n < b->count; n++) {
		const struct shipment *s = &b->shipments[n];
		failing += s->failing;
		if (!s->known)
			continue;
		known++;
		last = s->last_ms < last ? s->last_ms : last;
		drilled = s->drilled_ms < drilled ? s->drilled_ms : drilled;
	}
	metric_set(M_BACKUP_FAILING, failing);
	metric_set(M_BACKUP_UNKNOWN, (double)(b->count - known));
	if (known == 0)
		return;
	metric_set(M_BACKUP_LAST, (double)last / 1000.0);
	metric_set(M_DRILL_LAST, (double)drilled / 1000.0);
	if (last > 0)
		metric_set(M_RPO, now_ms > last ? (double)(now_ms - last) / 1000.0 : 0);
}

static void judge(struct shipment *s, const struct backup_result *r)
{
	SCOPE(tmp);
	bool full = r->parent[0] == '\0';
	struct usual *took = full ? &s->took_full : &s->took_increment;
	/* what changes in a quarter of an hour has no usual size */
	bool size = full && usual_is_far(&s->size, (double)r->bytes, SMALL, LARGE);
	bool duration = usual_is_far(took, (double)r->took_ms, 0, LONG);

	if (size)
		metric_add(M_BACKUP_UNUSUAL, 1, "size");
	if (duration)
		metric_add(M_BACKUP_UNUSUAL, 1, "duration");
	if (size || duration)
		log_event(LOG_WARN, "backup_unusual", "target", s->inner->name, "point", r->id,
			  "what", size ? "size" : "duration", "bytes",
			  str_fmt(tmp, "%lld", (long long)r->bytes), "took",
			  str_duration(tmp, r->took_ms), NULL);
	if (full)
		usual_add(&s->size, (double)r->bytes);
	usual_add(took, (double)r->took_ms);
}

static void report(struct shipment *s, const struct backup_result *r)
{
	SCOPE(tmp);
	bool full = r->parent[0] == '\0';

	metric_add(M_BACKUP_SUCCESS, 1);
	metric_observe(M_BACKUP_SECONDS, (double)r->took_ms / 1000.0);
	metric_set(M_BACKUP_SIZE, (double)r->bytes, full ? "store_full" : "store_increment");
	log_event(LOG_INFO, "backup_taken", "target", s->inner->name, "point", r->id, "kind",
		  full ? "full" : "increment", "bytes", str_fmt(tmp, "%lld", (long long)r->bytes),
		  "pages", str_fmt(tmp, "%lld", (long long)r->pages), "took",
		  str_duration(tmp, r->took_ms), "instead_of_an_increment",
		  r->why_full[0] == '\0' ? NULL : r->why_full, NULL);
	judge(s, r);
}

/* Turns. */

static void recall_one(struct shipment *s, const struct point_ref *ref)
{
	SCOPE(tmp);
	struct point *p = NULL;
	double bytes = 0;

	/* what cannot be read is no example; why not shows when it is needed */
	if (point_load(tmp, &s->target, s->owner->keys.seal, ref->series, ref->id, &p) != OK)
		return;
	for (size_t n = 0; n < p->part_count; n++)
		bytes += (double)p->parts[n].bytes;
	if (*p->parent == '\0')
		usual_add(&s->size, bytes);
	usual_add(*p->parent == '\0' ? &s->took_full : &s->took_increment, (double)p->took_ms);
}

/* Learns from the last points of each kind what is usual. */
static void recall_usual(struct shipment *s, const struct point_ref *refs, size_t count)
{
	for (int full = 0; full <= 1; full++) {
		size_t from = count;
		for (int found = 0; from > 0 && found < USUAL_MAX; from--)
			found += str_eq(refs[from - 1].id, refs[from - 1].series) == (full == 1);
		for (size_t n = from; n < count; n++)
			if (str_eq(refs[n].id, refs[n].series) == (full == 1))
				recall_one(s, &refs[n]);
	}
}

/* What is there from before this start: a restart makes no point before its time. */
static enum status look_up(struct shipment *s)
{
	SCOPE(tmp);
	struct point_ref *refs = NULL;
	size_t count = 0;

	TRY(points_list(tmp, &s->target, &refs, &count));
	TRY(depot_drilled(&s->target, s->owner->keys.seal, &s->drilled_ms));
	recall_usual(s, refs, count);
	s->last_ms = count == 0 ? 0 : refs[count - 1].time_ms;
	s->due_ms = count == 0 ? 0 : s->last_ms + s->owner->settings->backup_every;
	s->drill_ms =
		s->drilled_ms == 0 ? 0 : s->drilled_ms + s->owner->settings->backup_drill_every;
	s->known = true;
	return OK;
}

static void say_failed(const struct shipment *s, const char *event)
{
	log_event(LOG_ERROR, event, "target", s->inner->name, "error", status_message(), NULL);
}

static enum status ship(struct shipment *s, int64_t now_ms)
{
	const struct settings *set = s->owner->settings;
	struct backup_result r;

	if (!s->known)
		TRY(look_up(s));
	if (now_ms < s->due_ms)
		return OK;
	TRY(backup_take(s->backup, false, now_ms, &r));
	metric_add(M_BACKUP_ATTEMPTS, 1);
	s->last_ms = r.time_ms;
	s->ours = true;
	s->failing = false;
	s->due_ms = now_ms + set->backup_every;
	report(s, &r);
	return OK;
}

static void ship_or_say(struct shipment *s, int64_t now_ms)
{
	const int64_t every = s->owner->settings->backup_every;

	/* the clock was set back */
	if (s->due_ms > now_ms + every)
		s->due_ms = now_ms + every;
	if (now_ms < s->due_ms)
		return;
	enum status status = ship(s, now_ms);
	if (status == OK || status == E_CANCELED)
		return;
	metric_add(M_BACKUP_ATTEMPTS, 1);
	s->failing = true;
	s->due_ms = now_ms + (every < AGAIN_MS ? every : AGAIN_MS);
	say_failed(s, "backup_failed");
}

static void prune(struct shipment *s, int64_t now_ms)
{
	SCOPE(tmp);
	size_t removed = 0;

	if (now_ms < s->prune_ms || !s->ours)
		return;
	s->prune_ms = now_ms + PRUNE_EVERY_MS;
	enum status status =
		backup_prune(&s->target, s->owner->settings->backup_keep, now_ms, &removed);
	if (status != OK && status != E_CANCELED)
		say_failed(s, "backup_prune_failed");
	if (removed > 0)
		log_event(LOG_INFO, "backups_removed", "target", s->inner->name, "points",
			  str_fmt(tmp, "%zu", removed), NULL);
}

static void drill(struct shipment *s, int64_t now_ms)
{
	SCOPE(tmp);
	const struct settings *set = s->owner->settings;
	const struct drill_options o = {
		.settings = set, .target = &s->target, .keys = &s->owner->keys, .work = set->data};
	struct drill_result r;

	if (s->last_ms == 0 || now_ms < s->drill_ms)
		return;
	s->drill_ms = now_ms + DRILL_AGAIN_MS;
	enum status status = drill_run(tmp, &o, now_ms, &r);
	if (status == E_CANCELED)
		return;
	if (status != OK) {
		metric_add(M_DRILL_FAILURES, 1);
		say_failed(s, "backup_drill_failed");
		return;
	}
	s->drilled_ms = now_ms;
	s->drill_ms = now_ms + set->backup_drill_every;
	metric_observe(M_RESTORE_SECONDS, (double)r.took_ms / 1000.0);
	metric_set(M_RESTORE_BYTES, (double)r.restored.bytes);
	log_event(LOG_INFO, "backup_drill", "target", s->inner->name, "point", r.restored.point->id,
		  "bytes", str_fmt(tmp, "%lld", (long long)r.restored.bytes), "took",
		  str_duration(tmp, r.took_ms), NULL);
}

static void wait_a_moment(struct backups *b)
{
	const struct timespec until = clock_deadline(clock_is_fake() ? LOOK_FAKE_MS : LOOK_MS);

	pthread_mutex_lock(&b->lock);
	if (!atomic_load(&b->stopping))
		pthread_cond_timedwait(&b->wake, &b->lock, &until);
	pthread_mutex_unlock(&b->lock);
}

static void *run(void *arg)
{
	struct backups *b = arg;

	show_ages(b, clock_now()); /* the first look at a target may take long */
	drill_clean(b->settings->data, clock_now());
	while (!atomic_load(&b->stopping)) {
		for (size_t n = 0; n < b->count; n++) {
			ship_or_say(&b->shipments[n], clock_now());
			prune(&b->shipments[n], clock_now());
			drill(&b->shipments[n], clock_now());
			show_ages(b, clock_now());
		}
		wait_a_moment(b);
	}
	return NULL;
}

static enum status prepare(struct backups *b, struct shipment *s, const char *name)
{
	TRY(depot_open(b, b->settings, b->http, name, &s->inner));
	s->owner = b;
	s->target = (struct target){
		.name = s->inner->name, .put = put, .get = get, .list = list, .remove = discard};
	const struct backup_options o = {
		.data = b->settings->data,
		.target = &s->target,
		.seal = b->keys.seal,
		.full_every_ms = b->settings->backup_full_every,
	};
	s->backup = backup_new(b, &o);
	return OK;
}

static enum status start_thread(struct backups *b)
{

	clock_condition_init(&b->wake);
	pthread_mutex_init(&b->lock, NULL);
	if (pthread_create(&b->thread, NULL, run, b) != 0)
		return failure(E_INTERNAL, "backup: cannot start a thread");
	return OK;
}

enum status backups_start(void *mem, const struct settings *s, struct backups **out)
{
	struct backups *b = NEW(mem, struct backups);

	b->settings = s;
	while (s->backup_target[b->count] != NULL)
		b->count++;
	b->shipments = NEW_ARRAY(b, struct shipment, b->count);
	TRY(http_client_new(b, "agent-sre/" AGENT_SRE_VERSION, &b->http));
	TRY(depot_keys(b, s, NULL, &b->keys));
	for (size_t n = 0; n < b->count; n++)
		TRY(prepare(b, &b->shipments[n], s->backup_target[n]));
	if (b->keys.text != NULL)
		log_event(LOG_WARN, "backup_key_is_only_here", "advice",
			  "keep a copy of seal.key in another place: without it no backup opens",
			  NULL);
	TRY(start_thread(b));
	*out = talloc_move(NULL, &b); /* from here on it belongs to the thread */
	return OK;
}

void backups_stop(struct backups *b)
{
	if (b == NULL)
		return;
	pthread_mutex_lock(&b->lock);
	atomic_store(&b->stopping, true);
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
	http_client_stop(b->http);
	pthread_join(b->thread, NULL);
	pthread_cond_destroy(&b->wake);
	pthread_mutex_destroy(&b->lock);
	talloc_free(b);
}
