#include "store/schema.h"

#include "base/str.h"

static const char VERSION_1[] =
	/* an incident: one episode of one alert, its state and what its steps found (memory, JSON)
	 */
	"CREATE TABLE incident ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, uid TEXT NOT NULL, state INTEGER NOT NULL,"
	" signals INTEGER NOT NULL DEFAULT 0, fingerprint TEXT NOT NULL, alertname TEXT NOT NULL,"
	" labels TEXT NOT NULL, annotations TEXT NOT NULL, generator_url TEXT NOT NULL,"
	" truncated_alerts INTEGER NOT NULL, starts_ms INTEGER NOT NULL, last_starts_ms INTEGER "
	"NOT NULL,"
	" received_ms INTEGER NOT NULL, resolved_ms INTEGER NOT NULL DEFAULT 0, resolved_by TEXT "
	"NOT NULL DEFAULT '',"
	" closed_ms INTEGER NOT NULL DEFAULT 0, updated_ms INTEGER NOT NULL, fired_count INTEGER "
	"NOT NULL DEFAULT 1,"
	" previous INTEGER NOT NULL DEFAULT 0, correlation_id TEXT NOT NULL, event_id TEXT NOT "
	"NULL,"
	" event_source TEXT NOT NULL, trace_id TEXT NOT NULL, span_id TEXT NOT NULL, sampled "
	"INTEGER NOT NULL,"
	" approval TEXT NOT NULL DEFAULT '', approval_by TEXT NOT NULL DEFAULT '',"
	" approval_digest TEXT NOT NULL DEFAULT '', approval_expires_ms INTEGER NOT NULL DEFAULT 0,"
	" memory TEXT NOT NULL DEFAULT '{}') STRICT;"
	"CREATE INDEX incident_by_fingerprint ON incident(fingerprint, id);"
	"CREATE INDEX incident_open ON incident(state) WHERE state <> 6;"
	/* what was admitted, by CloudEvents identity */
	"CREATE TABLE event ("
	" source TEXT NOT NULL, id TEXT NOT NULL, incident INTEGER NOT NULL, received_ms INTEGER "
	"NOT NULL,"
	" correlation_id TEXT NOT NULL, outcome INTEGER NOT NULL, PRIMARY KEY (source, id)) "
	"STRICT, WITHOUT ROWID;"
	"CREATE INDEX event_by_time ON event(received_ms);"
	/* which incident an episode belongs to; 0 = only its end was seen */
	"CREATE TABLE episode ("
	" fingerprint TEXT NOT NULL, starts_ms INTEGER NOT NULL, incident INTEGER NOT NULL,"
	" ends_ms INTEGER NOT NULL DEFAULT 0, received_ms INTEGER NOT NULL,"
	" PRIMARY KEY (fingerprint, starts_ms)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX episode_by_time ON episode(received_ms);"
	"CREATE TABLE job ("
	" incident INTEGER PRIMARY KEY, step TEXT NOT NULL, attempt INTEGER NOT NULL, due_ms "
	"INTEGER NOT NULL) STRICT;"
	"CREATE TABLE journal ("
	" id INTEGER PRIMARY KEY, incident INTEGER NOT NULL, at_ms INTEGER NOT NULL, step TEXT NOT "
	"NULL,"
	" attempt INTEGER NOT NULL, outcome TEXT NOT NULL, duration_ms INTEGER NOT NULL, note TEXT "
	"NOT NULL) STRICT;"
	"CREATE INDEX journal_by_incident ON journal(incident, id);"
	/* function calls decided on: cooldown, hourly limits, flap guard */
	"CREATE TABLE call ("
	" id INTEGER PRIMARY KEY, function TEXT NOT NULL, target TEXT NOT NULL, fingerprint TEXT "
	"NOT NULL,"
	" at_ms INTEGER NOT NULL) STRICT;"
	"CREATE INDEX call_by_function ON call(function, at_ms);"
	"CREATE INDEX call_by_target ON call(target, at_ms);"
	"CREATE INDEX call_by_fingerprint ON call(fingerprint, at_ms);"
	/* the ticket lane: operations in order; state 0 waiting, 1 delivered, 2 buried */
	"CREATE TABLE ticket_op ("
	" seq INTEGER PRIMARY KEY AUTOINCREMENT, incident INTEGER NOT NULL, slot INTEGER NOT NULL,"
	" kind TEXT NOT NULL, uuid TEXT NOT NULL UNIQUE, payload TEXT NOT NULL, created_ms INTEGER "
	"NOT NULL,"
	" state INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 0, due_ms INTEGER NOT "
	"NULL) STRICT;"
	"CREATE INDEX ticket_op_waiting ON ticket_op(incident, seq) WHERE state = 0;"
	"CREATE INDEX ticket_op_buried ON ticket_op(incident, slot) WHERE state = 2;"
	"CREATE INDEX ticket_op_by_incident ON ticket_op(incident);"
	"CREATE TABLE ticket_ref ("
	" incident INTEGER NOT NULL, slot INTEGER NOT NULL, id TEXT NOT NULL, key TEXT NOT NULL, "
	"url TEXT NOT NULL,"
	" created_ms INTEGER NOT NULL, PRIMARY KEY (incident, slot)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX ticket_ref_by_key ON ticket_ref(key);"
	/* the embedded tracker */
	"CREATE TABLE ticket ("
	" number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL, "
	"title TEXT NOT NULL,"
	" body TEXT NOT NULL, priority INTEGER NOT NULL, state TEXT NOT NULL, labels TEXT NOT NULL,"
	" assignee TEXT NOT NULL, created_ms INTEGER NOT NULL, closed_ms INTEGER NOT NULL DEFAULT "
	"0) STRICT;"
	"CREATE INDEX ticket_by_key ON ticket(key);"
	"CREATE TABLE ticket_entry ("
	" id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, ticket TEXT NOT NULL, at_ms INTEGER "
	"NOT NULL,"
	" kind TEXT NOT NULL, body TEXT NOT NULL) STRICT;"
	"CREATE INDEX ticket_entry_by_ticket ON ticket_entry(ticket, id);"
	"CREATE TABLE dead_letter ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL, event_type TEXT NOT NULL,"
	" event_source TEXT NOT NULL, subject TEXT NOT NULL, correlation_id TEXT NOT NULL, reason "
	"TEXT NOT NULL,"
	" category TEXT NOT NULL, permanent INTEGER NOT NULL, stage TEXT NOT NULL, attempts "
	"INTEGER NOT NULL,"
	" origin TEXT NOT NULL, received_ms INTEGER NOT NULL, failed_ms INTEGER NOT NULL, incident "
	"INTEGER NOT NULL,"
	" state TEXT NOT NULL DEFAULT 'pending', body TEXT) STRICT;"
	"CREATE INDEX dead_letter_by_time ON dead_letter(failed_ms);";

/* event schemas that were added at run time */
static const char VERSION_2[] =
	/* in the order of the ids: the newest stands last */
	"CREATE TABLE event_schema ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, version TEXT NOT NULL,"
	" document TEXT NOT NULL, added_by TEXT NOT NULL, added_ms INTEGER NOT NULL,"
	" UNIQUE (type, version)) STRICT;"
	/* what came of each version, those that are unknown as one */
	"CREATE TABLE event_schema_usage ("
	" type TEXT NOT NULL, version TEXT NOT NULL, received INTEGER NOT NULL, errors INTEGER NOT "
	"NULL,"
	" last_seen_ms INTEGER NOT NULL, PRIMARY KEY (type, version)) STRICT, WITHOUT ROWID;";

/* dead letters: sealed originals, groups, replays, archive */
static const char VERSION_3[] =
	/* sealed: what came and how to decode it again; a letter from before has its body in the
	 * clear until the next start */
	"ALTER TABLE dead_letter ADD COLUMN partition_key TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE dead_letter ADD COLUMN pending_action TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE dead_letter ADD COLUMN issue TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE dead_letter ADD COLUMN replays INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE dead_letter ADD COLUMN replay_history TEXT NOT NULL DEFAULT '[]';"
	"ALTER TABLE dead_letter ADD COLUMN group_key TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE dead_letter ADD COLUMN pattern TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE dead_letter ADD COLUMN sealed BLOB;"
	"ALTER TABLE dead_letter ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX dead_letter_open ON dead_letter(id) WHERE state <> 'resolved';"
	"CREATE INDEX dead_letter_waiting ON dead_letter(failed_ms) WHERE state <> 'resolved';"
	"CREATE INDEX dead_letter_hopeless ON dead_letter(group_key) WHERE permanent = 1 AND "
	"incident = 0"
	" AND state <> 'resolved';"
	"CREATE INDEX dead_letter_unsealed ON dead_letter(id) WHERE body IS NOT NULL OR group_key "
	"= '';"
	"CREATE INDEX dead_letter_by_group ON dead_letter(group_key, id);"
	"CREATE INDEX dead_letter_by_event ON dead_letter(event_source, event_id);"
	"CREATE INDEX dead_letter_by_correlation ON dead_letter(correlation_id);"
	"CREATE INDEX dead_letter_in_work ON dead_letter(id) WHERE state = 'replaying' OR "
	"pending_action <> '';"
	/* one spell of failures that has a ticket; its lane in ticket_op is -id; seed: of the ids
	 * of what is done to the ticket */
	"CREATE TABLE failure_group ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, group_key TEXT NOT NULL, letter INTEGER NOT NULL, "
	"seed TEXT NOT NULL,"
	" opened_ms INTEGER NOT NULL, closed_ms INTEGER NOT NULL DEFAULT 0, told_replayed INTEGER "
	"NOT NULL DEFAULT 0,"
	" told_ms INTEGER NOT NULL) STRICT;"
	"CREATE UNIQUE INDEX failure_group_open ON failure_group(group_key) WHERE closed_ms = 0;"
	"CREATE INDEX failure_group_by_key ON failure_group(group_key, id);"
	/* what was moved to the archive files, and where it lies there */
	"CREATE TABLE archived_letter ("
	" id INTEGER PRIMARY KEY, event_id TEXT NOT NULL, event_type TEXT NOT NULL, event_source "
	"TEXT NOT NULL,"
	" subject TEXT NOT NULL, correlation_id TEXT NOT NULL, reason TEXT NOT NULL, category TEXT "
	"NOT NULL,"
	" permanent INTEGER NOT NULL, stage TEXT NOT NULL, attempts INTEGER NOT NULL, origin TEXT "
	"NOT NULL,"
	" received_ms INTEGER NOT NULL, failed_ms INTEGER NOT NULL, incident INTEGER NOT NULL,"
	" partition_key TEXT NOT NULL, group_key TEXT NOT NULL, pattern TEXT NOT NULL, issue TEXT "
	"NOT NULL,"
	" replays INTEGER NOT NULL, state TEXT NOT NULL, pending_action TEXT NOT NULL,"
	" file TEXT NOT NULL, at INTEGER NOT NULL, bytes INTEGER NOT NULL, archived_ms INTEGER NOT "
	"NULL) STRICT;"
	"CREATE INDEX archived_letter_by_event ON archived_letter(event_source, event_id);"
	"CREATE INDEX archived_letter_by_correlation ON archived_letter(correlation_id);";

/* keys, lanes and the position of the intake log */
static const char VERSION_4[] =
	/* the last record of the intake log that is applied; how often this store was opened */
	"CREATE TABLE intake ("
	" one INTEGER PRIMARY KEY CHECK (one = 1), applied INTEGER NOT NULL, epoch INTEGER NOT "
	"NULL, uid TEXT NOT NULL) STRICT;"
	"INSERT INTO intake VALUES (1, 0, 0, lower(hex(randomblob(16))));"
	/* event.id is the idempotency key; event_id the event's own id where that differs */
	"ALTER TABLE event ADD COLUMN event_id TEXT NOT NULL DEFAULT '';"
	"CREATE INDEX event_by_own_id ON event(source, event_id) WHERE event_id <> '';"
	/* of the opening that applied it */
	"ALTER TABLE event ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;"
	/* the newest sequence number of each ordered lane */
	"CREATE TABLE lane ("
	" source TEXT NOT NULL, key TEXT NOT NULL, sequence INTEGER NOT NULL, seen_ms INTEGER NOT "
	"NULL,"
	" PRIMARY KEY (source, key)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX lane_by_time ON lane(seen_ms);"
	"CREATE INDEX dead_letter_by_lane ON dead_letter(event_source, partition_key) WHERE state "
	"<> "
	"'resolved';";

/* partitions of peers, past and present */
static const char VERSION_5[] =
	"CREATE TABLE peer_partition ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, component TEXT NOT NULL, name TEXT NOT NULL, kind "
	"TEXT NOT NULL,"
	" error TEXT NOT NULL, detected_ms INTEGER NOT NULL, healed_ms INTEGER NOT NULL DEFAULT 0,"
	" buffered INTEGER NOT NULL DEFAULT 0, replayed INTEGER NOT NULL DEFAULT 0) STRICT;"
	"CREATE INDEX peer_partition_by_name ON peer_partition(name, id);"
	"CREATE UNIQUE INDEX peer_partition_open ON peer_partition(name) WHERE healed_ms = 0;"
	/* what waits for a peer beyond the bound of its outbox */
	"CREATE INDEX dead_letter_outbox ON dead_letter(incident) WHERE category = 'outbox' AND "
	"state = 'pending';";

/* investigations of incidents, and the pictures that they leave */
static const char VERSION_6[] =
	"CREATE TABLE inquiry ("
	" incident INTEGER NOT NULL, stage INTEGER NOT NULL, attempt INTEGER NOT NULL DEFAULT 0,"
	" told INTEGER NOT NULL DEFAULT 0, asked_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL,"
	" settled_ms INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (incident, stage)) STRICT, WITHOUT "
	"ROWID;"
	"CREATE INDEX inquiry_waiting ON inquiry(incident) WHERE settled_ms = 0;"
	"CREATE TABLE picture ("
	" id INTEGER PRIMARY KEY, incident INTEGER NOT NULL, stage INTEGER NOT NULL, name TEXT NOT "
	"NULL,"
	" media_type TEXT NOT NULL, alt TEXT NOT NULL, bytes BLOB NOT NULL) STRICT;"
	"CREATE UNIQUE INDEX picture_by_incident ON picture(incident, stage, name, media_type);";

static const char *const MIGRATIONS[] = {VERSION_1, VERSION_2, VERSION_3,
					 VERSION_4, VERSION_5, VERSION_6};

enum {
	NEWEST = sizeof(MIGRATIONS) / sizeof(MIGRATIONS[0]),
	APPLICATION_ID = 0x61535245 /* "aSRE" */
};

static enum status check_owner(struct database *db, int64_t version)
{
	int64_t owner = 0;
	int64_t tables = 0;

	TRY(database_number(db, &owner, "PRAGMA application_id", ""));
	TRY(database_number(db, &tables, "SELECT count(*) FROM sqlite_schema", ""));
	if (owner != APPLICATION_ID && (version != 0 || tables != 0))
		return failure(E_INVALID, "store: agent-sre.db belongs to another program");
	if (version > NEWEST)
		return failure(
			E_INVALID,
			"store: written by a newer agent-sre (schema %lld, this one knows %d)",
			(long long)version, NEWEST);
	return OK;
}

static enum status step_to(struct database *db, int version)
{
	char pragma[96];

	str_print(pragma, sizeof(pragma), "PRAGMA user_version = %d; PRAGMA application_id = %d;",
		  version, APPLICATION_ID);
	TRY(database_script(db, "BEGIN IMMEDIATE"));
	enum status s = database_script(db, MIGRATIONS[version - 1]);
	if (s == OK)
		s = database_script(db, pragma);
	if (s == OK)
		return database_script(db, "COMMIT");
	/* the reason of the failure is already in the message */
	enum status undone = database_in_transaction(db) ? database_script(db, "ROLLBACK") : OK;
	return undone == OK ? s : undone;
}

enum status schema_migrate(struct database *db)
{
	int64_t version = 0;

	TRY(database_number(db, &version, "PRAGMA user_version", ""));
	TRY(check_owner(db, version));
	for (int next = (int)version + 1; next <= NEWEST; next++)
		TRY(step_to(db, next));
	return OK;
}
