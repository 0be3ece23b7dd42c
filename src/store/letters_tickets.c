/*
 * Tickets of groups of dead letters. The lane that delivers incidents' tickets delivers these too;
 * its owner is the negative id of the row in failure_group, which stands for one spell of failures:
 * from the moment it became critical until none of its letters waits. All is derived from what is
 * on disk, in rounds: a crash at any moment is made good by the next round, and every operation is
 * decided in the transaction that remembers it.
 */
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/failure_group.h"
#include "store/letter_parts.h"

enum {
	GROUPS_OPEN_MAX =
		50, /* tickets at a time: many different failures at once are one matter too */
	RESCAN_MS = 60000, /* a letter may turn permanent later */
	COMMENT_EVERY_MS = 60000,
};

struct group {
	int64_t id, first_letter, told_replayed, told_ms;
	const char *key, *seed;
};

struct round {
	struct write op;
	const struct letter_ticket_rules *rules;
	const char *key;    /* open: of the candidate */
	struct group group; /* tell */
	int64_t now_ms;
	bool put_off; /* there is something to tell, but it is too soon */
};

/* Asked for at once, so that thousands are not counted to see that there are more than ten. */
static enum status is_critical(struct database *db, const struct round *r, bool *out)
{
	int64_t n = 0;

	/* one that belongs to an incident is on that incident's ticket already */
	TRY(database_number(db, &n,
			    "SELECT count(*) FROM (SELECT 1 FROM dead_letter INDEXED BY "
			    "dead_letter_hopeless WHERE group_key = ? AND"
			    " state <> 'resolved' AND permanent = 1 AND incident = 0 LIMIT 1)",
			    "s", r->key));
	*out = n > 0;
	if (*out)
		return OK;
	TRY(database_number(
		db, &n,
		"SELECT count(*) FROM (SELECT 1 FROM dead_letter WHERE group_key = ? AND"
		" state <> 'resolved' LIMIT ?)",
		"si", r->key, r->rules->above + 1));
	*out = n > r->rules->above;
	return OK;
}

static enum status read_group(void *mem, struct database *db, const char *key,
			      struct failure_group *g, int64_t *first_letter,
			      int64_t *first_failed_ms, int64_t *incident)
{
	sqlite3_stmt *row = NULL;
	bool more = false;

	*g = (struct failure_group){.key = key, .incident = ""};
	TRY(database_select(
		db, &row,
		"SELECT count(*), sum(permanent), min(failed_ms), max(failed_ms), min(id), max(id)"
		" FROM dead_letter WHERE group_key = ? AND state <> 'resolved'",
		"s", key));
	TRY(database_row(db, row, &more));
	g->count = column_int(row, 0);
	g->permanent = column_int(row, 1);
	g->first_ms = column_int(row, 2);
	g->last_ms = column_int(row, 3);
	*first_letter = column_int(row, 4);
	g->letter = column_int(row, 5);
	database_end(row);
	TRY(database_number(db, first_failed_ms, "SELECT failed_ms FROM dead_letter WHERE id = ?",
			    "i", *first_letter));
	TRY(database_select(
		db, &row,
		"SELECT stage, category, pattern, reason, event_id, event_type, event_source,"
		" correlation_id, incident FROM dead_letter WHERE id = ?",
		"i", g->letter));
	TRY(database_row(db, row, &more));
	g->stage = column_text(mem, row, 0);
	g->category = letter_category(column_text(mem, row, 1));
	g->pattern = column_text(mem, row, 2);
	g->reason = column_text(mem, row, 3);
	g->event_id = column_text(mem, row, 4);
	g->event_type = column_text(mem, row, 5);
	g->event_source = column_text(mem, row, 6);
	g->correlation_id = column_text(mem, row, 7);
	*incident = column_int(row, 8);
	if (*incident != 0)
		g->incident = incident_name(mem, *incident);
	database_end(row);
	return OK;
}

/* The incident's ticket, or else the letter itself. */
static enum status link_of(void *mem, struct database *db, const struct round *r,
			   const struct failure_group *g, int64_t incident, json_t **out)
{
	sqlite3_stmt *row = NULL;
	bool more = false;
	const char *url = str_fmt(mem, "%s/dlq/%lld", r->rules->base_url, (long long)g->letter);
	const char *title = str_fmt(mem, "Dead letter %lld", (long long)g->letter);

	TRY(database_select(db, &row,
			    "SELECT url, key FROM ticket_ref WHERE incident = ? AND slot = 0", "i",
			    incident));
	TRY(database_row(db, row, &more));
	if (more) {
		url = column_text(mem, row, 0);
		title = str_fmt(mem, "Alert ticket %s", column_text(mem, row, 1));
		database_end(row);
	}
	*out = mem_own(mem, json_pack("{s:s, s:s}", "url", url, "title", title));
	return OK;
}

static enum status add_ticket(void *mem, struct writer *w, struct database *db,
			      const struct round *r)
{
	struct failure_group g;
	int64_t first = 0;
	int64_t first_ms = 0;
	int64_t incident = 0;
	json_t *link = NULL;

	TRY(read_group(mem, db, r->key, &g, &first, &first_ms, &incident));
	TRY(link_of(mem, db, r, &g, incident, &link));
	/* the first letter's time too: a store that was put back to an older state gives numbers
	 * again */
	const char *seed =
		str_fmt(mem, "%s/%lld/%lld", r->key, (long long)first, (long long)first_ms);
	TRY(database_run(db,
			 "INSERT INTO failure_group (group_key, letter, seed, opened_ms, told_ms)"
			 " VALUES (?, ?, ?, ?, ?)",
			 "sisii", r->key, first, seed, r->now_ms, r->now_ms));
	const struct ticket_op ops[] = {
		{.slot = TICKET_ALERT,
		 .kind = TICKET_CREATE,
		 .uuid = id_uuid_of(mem, seed, "ticket"),
		 .payload = failure_group_ticket(mem, &g, r->rules->on_call)},
		{.slot = TICKET_ALERT,
		 .kind = TICKET_LINK,
		 .uuid = id_uuid_of(mem, seed, "link"),
		 .payload = link},
	};
	return ticket_ops_add(db, w, -database_last_id(db), ops, 2, r->now_ms);
}

static enum status open_group(struct write *op, struct writer *w, struct database *db)
{
	SCOPE(mem);
	const struct round *r = (const struct round *)op;
	int64_t open = 0;
	int64_t mine = 0;
	bool critical = false;

	TRY(database_number(db, &open, "SELECT count(*) FROM failure_group WHERE closed_ms = 0",
			    ""));
	TRY(database_number(
		db, &mine,
		"SELECT count(*) FROM failure_group WHERE closed_ms = 0 AND group_key = ?", "s",
		r->key));
	if (mine > 0 || open >= GROUPS_OPEN_MAX)
		return OK;
	TRY(is_critical(db, r, &critical));
	return critical ? add_ticket(mem, w, db, r) : OK;
}

static enum status add_op(void *mem, struct writer *w, struct database *db, const struct round *r,
			  enum ticket_kind kind, const char *purpose, json_t *payload)
{
	const struct ticket_op op = {.slot = TICKET_ALERT,
				     .kind = kind,
				     .uuid = id_uuid_of(mem, r->group.seed, purpose),
				     .payload = mem_own(mem, payload)};

	return ticket_ops_add(db, w, -r->group.id, &op, 1, r->now_ms);
}

static enum status close_group(void *mem, struct writer *w, struct database *db,
			       const struct round *r, int64_t replayed)
{
	TRY(add_op(mem, w, db, r, TICKET_COMMENT, "cleared",
		   json_pack("{s:s}", "body", failure_group_cleared(mem, replayed))));
	TRY(add_op(mem, w, db, r, TICKET_STATE, "completed",
		   json_pack("{s:s}", "type", "completed")));
	return database_run(db, "UPDATE failure_group SET closed_ms = ? WHERE id = ?", "ii",
			    r->now_ms, r->group.id);
}

static enum status tell_group(struct write *op, struct writer *w, struct database *db)
{
	SCOPE(mem);
	struct round *r = (struct round *)op;
	const struct group *g = &r->group;
	int64_t left = 0;
	int64_t replayed = 0;

	TRY(database_number(
		db, &left,
		"SELECT count(*) FROM dead_letter WHERE group_key = ? AND state <> 'resolved'", "s",
		g->key));
	TRY(database_number(
		db, &replayed,
		"SELECT count(*) FROM dead_letter WHERE group_key = ? AND state = 'resolved'"
		" AND id >= ?",
		"si", g->key, g->first_letter));
	if (left == 0)
		return close_group(mem, w, db, r, replayed);
	if (replayed <= g->told_replayed)
		return OK;
	r->put_off = r->now_ms - g->told_ms < COMMENT_EVERY_MS;
	if (r->put_off)
		return OK;
	TRY(add_op(mem, w, db, r, TICKET_COMMENT,
		   str_fmt(mem, "replayed %lld", (long long)replayed),
		   json_pack("{s:s}", "body", failure_group_replayed(mem, replayed, left))));
	return database_run(db,
			    "UPDATE failure_group SET told_replayed = ?, told_ms = ? WHERE id = ?",
			    "iii", replayed, r->now_ms, g->id);
}

/* What a round looks at; read before it writes, so that a quiet round writes nothing. */
static enum status read_groups(void *mem, struct database *db, struct group *out, size_t *count)
{
	sqlite3_stmt *row = NULL;
	bool more = true;

	TRY(database_select(
		db, &row,
		"SELECT id, letter, told_replayed, told_ms, group_key, seed FROM failure_group"
		" WHERE closed_ms = 0 LIMIT ?",
		"i", (int64_t)GROUPS_OPEN_MAX));
	for (*count = 0;; (*count)++) {
		TRY(database_row(db, row, &more));
		if (!more)
			return OK;
		out[*count] = (struct group){column_int(row, 0),       column_int(row, 1),
					     column_int(row, 2),       column_int(row, 3),
					     column_text(mem, row, 4), column_text(mem, row, 5)};
	}
}

/* Those that want a ticket, as open_group will find again. */
static enum status read_candidates(void *mem, struct database *db, int64_t after, int64_t above,
				   int64_t limit, const char **out, size_t *count)
{
	sqlite3_stmt *row = NULL;
	bool more = true;

	/* the tracker itself refused what is of stage "ticket": one more ticket would not help */
	TRY(database_select(
		db, &row,
		"SELECT group_key FROM (SELECT DISTINCT group_key FROM dead_letter NOT INDEXED "
		"WHERE id > ?"
		" AND state <> 'resolved' AND stage <> 'ticket') k WHERE NOT EXISTS"
		" (SELECT 1 FROM failure_group g WHERE g.group_key = k.group_key AND"
		" g.closed_ms = 0) AND (EXISTS (SELECT 1 FROM dead_letter d INDEXED BY "
		"dead_letter_hopeless WHERE"
		" d.group_key = k.group_key AND d.state <> 'resolved' AND d.permanent = 1 AND"
		" d.incident = 0) OR (SELECT count(*) FROM (SELECT 1 FROM dead_letter d WHERE"
		" d.group_key = k.group_key AND d.state <> 'resolved' LIMIT ? + 1)) > ?) LIMIT ?",
		"iiii", after, above, above, limit));
	for (*count = 0;; (*count)++) {
		TRY(database_row(db, row, &more));
		if (!more)
			return OK;
		out[*count] = column_text(mem, row, 0);
	}
}

struct view {
	struct group groups[GROUPS_OPEN_MAX];
	const char *candidates[GROUPS_OPEN_MAX];
	size_t group_count, candidate_count;
	int64_t newest; /* letter that was looked at */
};

static enum status look_for_new(void *mem, struct database *db, int64_t after, int64_t above,
				struct view *v)
{
	int64_t open = 0;

	TRY(database_number(db, &v->newest, "SELECT coalesce(max(id), 0) FROM dead_letter", ""));
	if (v->newest <= after)
		return OK;
	TRY(database_number(db, &open, "SELECT count(*) FROM failure_group WHERE closed_ms = 0",
			    ""));
	int64_t room = GROUPS_OPEN_MAX - open;
	if (room > 0)
		TRY(read_candidates(mem, db, after, above, room, v->candidates,
				    &v->candidate_count));
	if (room <= 0 || (int64_t)v->candidate_count == room)
		v->newest = after; /* there may be more */
	return OK;
}

static enum status look(void *mem, struct store *s, const struct letter_ticket_rules *rules,
			bool groups_too, struct view *v)
{
	struct database *db = NULL;

	TRY(reader_take(s, &db));
	enum status status = look_for_new(mem, db, s->letter_watch.newest, rules->above, v);
	if (status == OK && groups_too)
		status = read_groups(mem, db, v->groups, &v->group_count);
	reader_give(s, db);
	return status;
}

enum status store_letter_tickets(struct store *s, const struct letter_ticket_rules *rules,
				 int64_t now_ms)
{
	struct letter_watch *watch = &s->letter_watch;
	SCOPE(mem);
	struct view v = {0};
	int64_t changes = atomic_load(&s->letter_changes);
	bool put_off = false;

	if (now_ms - watch->scanned_ms >= RESCAN_MS || now_ms < watch->scanned_ms) {
		watch->newest = 0;
		watch->scanned_ms = now_ms;
	}
	TRY(look(mem, s, rules, changes != watch->changes, &v));
	for (size_t n = 0; n < v.candidate_count; n++) {
		struct round r = {.op = {.run = open_group},
				  .rules = rules,
				  .key = v.candidates[n],
				  .now_ms = now_ms};
		TRY(writer_await(s->writer, &r.op));
	}
	for (size_t n = 0; n < v.group_count; n++) {
		struct round r = {.op = {.run = tell_group},
				  .rules = rules,
				  .group = v.groups[n],
				  .now_ms = now_ms};
		TRY(writer_await(s->writer, &r.op));
		put_off = put_off || r.put_off;
	}
	watch->newest = v.newest;
	if (!put_off)
		watch->changes = changes;
	return OK;
}

static enum status forget(struct write *op, struct writer *w, struct database *db)
{
	static const char *const STATEMENTS[] = {
		"DELETE FROM ticket_op WHERE state <> 0 AND -incident IN"
		" (SELECT id FROM failure_group WHERE closed_ms <> 0 AND closed_ms < ?)",
		"DELETE FROM journal WHERE -incident IN"
		" (SELECT id FROM failure_group WHERE closed_ms <> 0 AND closed_ms < ?)",
		"DELETE FROM failure_group WHERE closed_ms <> 0 AND closed_ms < ?"
		" AND NOT EXISTS (SELECT 1 FROM ticket_op t WHERE t.incident = -failure_group.id)",
	};
	const struct round *r = (const struct round *)op;

	(void)w;
	for (size_t n = 0; n < sizeof(STATEMENTS) / sizeof(STATEMENTS[0]); n++)
		TRY(database_run(db, STATEMENTS[n], "i", r->now_ms));
	return OK;
}

enum status store_letter_tickets_forget(struct store *s, int64_t older_than_ms)
{
	struct round r = {.op = {.run = forget}, .now_ms = older_than_ms};

	return writer_await(s->writer, &r.op);
}
