/*
 * The program's own Prometheus metrics: one table, text exposition 0.0.4. Names without the prefix
 * agent_sre_ (names.md, platform-contracts section 10). Everything is safe from any thread.
 *
 * Label values are copied. A family keeps at most METRIC_SERIES_MAX series; further label
 * combinations are counted under "other" in every label, so hostile alert names cannot grow memory.
 */
#pragma once

#include <stdint.h>

enum { METRIC_SERIES_MAX = 512, METRIC_LABELS_MAX = 5 };

/* M(id, kind, name, labels separated by commas, help) */
#define METRICS(M) \
	M(CLOUDEVENTS_RECEIVED, COUNTER, "cloudevents_received_total", "event_type,event_source,mode,schema_version,outcome", \
	  "Events received, by what became of them: admitted, duplicate, rejected, refused.") \
	M(CLOUDEVENT_PROCESSING, HISTOGRAM, "cloudevent_processing_seconds", "", \
	  "From the end of a request's body to its answer, the durable write included.") \
	M(DUPLICATES, COUNTER, "duplicates_total", "", "Events that had been admitted before.") \
	M(EVENT_STATUS_DISAGREES, COUNTER, "event_status_disagreements_total", "", \
	  "Events whose type and data.status disagree (data.status is trusted).") \
	M(ORPHAN_RESOLVED, COUNTER, "resolved_without_incident_total", "", \
	  "Resolved alerts for which no incident is known.") \
	M(HTTP_REQUESTS, COUNTER, "http_requests_total", "path,code", "Answers of our own HTTP server.") \
	M(HTTP_CUT, COUNTER, "http_connections_cut_total", "reason", "Connections cut off: slow, idle, too_large.") \
	M(ORDER_VIOLATIONS, COUNTER, "order_violations_total", "", "Events whose sequence number came late or twice.") \
	M(SEQUENCE_GAPS, COUNTER, "sequence_gaps_total", "", "Sequence numbers that were passed over.") \
	M(IDEMPOTENCY_CACHE, COUNTER, "idempotency_cache_total", "result", \
	  "Look-ups of keys: hit (answered from memory) or miss (the database was asked).") \
	M(IDEMPOTENCY_CHECK, HISTOGRAM, "idempotency_check_seconds", "", "Looking up all keys of one group of requests.") \
	M(IDEMPOTENCY_REJECTED, COUNTER, "idempotency_key_rejected_total", "reason", \
	  "Events refused because a key of theirs is none: format, length, injection.") \
	M(INTAKE_GROUP, HISTOGRAM, "intake_group_requests", "", "Requests that shared one fsync of the intake log.") \
	M(INTAKE_COMMIT, HISTOGRAM, "intake_commit_seconds", "", "One group of requests, to the end of its fsync.") \
	M(INTAKE_BACKLOG, GAUGE, "intake_backlog_bytes", "", "Accepted events that are not applied to the database yet.") \
	M(INTAKE_LOST, GAUGE, "intake_lost_records", "", "Accepted records that were damaged on disk before they were applied.") \
	M(STORE_GROUP, HISTOGRAM, "store_group_operations", "", "Operations that shared one transaction.") \
	M(STORE_COMMIT, HISTOGRAM, "store_commit_seconds", "", "One durable transaction.") \
	M(STORE_ERRORS, COUNTER, "store_errors_total", "", "Transactions that could not be made durable.") \
	M(DLQ_EVENTS, COUNTER, "dlq_events_total", "reason,category", "Dead letters written.") \
	M(DLQ_PERMANENT, COUNTER, "dlq_permanent_total", "", "Dead letters that no retry can heal.") \
	M(DLQ_SIZE, GAUGE, "dlq_size", "", "Dead letters that wait for a person.") \
	M(DLQ_OLDEST_AGE, GAUGE, "dlq_oldest_age_seconds", "", "Age of the oldest dead letter that waits.") \
	M(DLQ_CAPTURE, HISTOGRAM, "dlq_capture_seconds", "", "From the failure to its durable dead letter.") \
	M(DLQ_REPLAY, COUNTER, "dlq_replay_total", "outcome", "Replays: success, failure, refused.") \
	M(DLQ_ARCHIVED, COUNTER, "dlq_archived_total", "", "Dead letters moved to the archive.") \
	M(RATE_LIMITED, COUNTER, "rate_limited_total", "endpoint", "Events and API calls that were over their limit.") \
	M(INCIDENTS_ACTIVE, GAUGE, "incidents_active", "state", "Incidents that are not closed.") \
	M(STEP_SECONDS, HISTOGRAM, "step_duration_seconds", "step,outcome", "One run of one step.") \
	M(STEP_RETRIES, COUNTER, "step_retries_total", "step,reason", "Steps put back for another try.") \
	M(WORKFLOW_SECONDS, HISTOGRAM, "workflow_duration_seconds", "outcome", "Receipt of the alert to closure.") \
	M(WORKFLOW_SUCCESS, COUNTER, "workflow_success_total", "", "Incidents closed after a verified remedy.") \
	M(WORKFLOW_FAILURE, COUNTER, "workflow_failure_total", "reason", "Incidents handed to a person.") \
	M(ALERT_TO_ISSUE, HISTOGRAM, "alert_to_issue_seconds", "", "Receipt of the alert to its ticket.") \
	M(ALERT_TO_EXECUTION, HISTOGRAM, "alert_to_execution_seconds", "", "Receipt of the alert to the function call.") \
	M(ALERT_TO_CLOSE, HISTOGRAM, "alert_to_close_seconds", "", "Receipt of the alert to the closed ticket.") \
	M(REMEDIATION_ATTEMPTS, COUNTER, "remediation_attempts_total", "alertname,lambda_function,status", \
	  "Function calls, by result (success, error).") \
	M(REMEDIATION_SECONDS, HISTOGRAM, "remediation_duration_seconds", "lambda_function,status", "One function call.") \
	M(REMEDIATION_ACTIVE, GAUGE, "active_remediations", "alertname", "Function calls in flight.") \
	M(REMEDIATION_SUCCESS_RATE, GAUGE, "remediation_success_rate", "", \
	  "Verified remedies over finished remediations since start, 0 to 1.") \
	M(VERIFICATIONS, COUNTER, "verifications_total", "verdict", "recovered, not_recovered, inconclusive.") \
	M(TICKET_OPERATIONS, COUNTER, "ticket_operations_total", "operation,outcome", "Calls to the tracker.") \
	M(INVESTIGATIONS, COUNTER, "investigations_total", "stage,outcome", "Looks at an incident: done, partial.") \
	M(INVESTIGATION_SECONDS, HISTOGRAM, "investigation_seconds", "stage", "One look: queries, findings, charts.") \
	M(TICKET_BACKLOG, GAUGE, "ticket_operations_waiting", "", "Ticket operations not yet delivered.") \
	M(SLM_QUERIES, COUNTER, "slm_queries_total", "outcome", \
	  "Questions for the state of an SLO: answered, remembered (asked a moment ago), empty (nothing knows it), unavailable.") \
	M(SLM_QUERY_SECONDS, HISTOGRAM, "slm_query_duration_seconds", "", \
	  "All queries for the state of one SLO, which are made at once.") \
	M(APPROVALS, COUNTER, "approvals_total", "decision", "requested, approved, rejected, expired.") \
	M(PEER_REQUESTS, COUNTER, "peer_requests_total", "peer,outcome", "Calls to other services.") \
	M(SOURCE_SECONDS, HISTOGRAM, "source_query_seconds", "source,outcome", \
	  "Asking one source (metrics, logs, traces) for the evidence of one incident.") \
	M(SOURCE_FAILURES, COUNTER, "source_failures_total", "source,reason", "Queries for evidence that failed.") \
	M(SOURCE_CUT, COUNTER, "source_cut_total", "source", "Evidence that was more than is taken.") \
	M(SPANS_DROPPED, COUNTER, "spans_dropped_total", "", "Trace spans not delivered.") \
	M(JOBS_WAITING, GAUGE, "jobs", "", "Steps scheduled, due or not.") \
	M(WORKERS_BUSY, GAUGE, "workers_busy", "", "Workers in a step.") \
	M(SCHEMA_ERRORS, COUNTER, "schema_validation_errors_total", "type,version", \
	  "Events that no supported schema version and adapter could take in.") \
	M(SCHEMA_SECONDS, HISTOGRAM, "schema_validation_seconds", "", "One validation against a JSON Schema.") \
	M(SCHEMA_TRANSFORMS, COUNTER, "schema_transforms_total", "from,to,outcome", \
	  "Transformations of events: success, failure, missing (no adapter).") \
	M(SCHEMA_USAGE, COUNTER, "schema_usage_total", "type,version", "Events received, by their schema version.") \
	M(SCHEMA_DEPRECATED, GAUGE, "schema_deprecated", "type,schema_version", "1 for a deprecated version, else 0.") \
	M(SELF_ALERT, GAUGE, "self_alert_firing", "alertname,severity", "1 while the agent raises this alert about itself.") \
	M(PARTITION_ACTIVE, GAUGE, "partition_active", "component", "Peers of a kind that are away.") \
	M(PARTITION_DETECTION, HISTOGRAM, "partition_detection_seconds", "", \
	  "From the first sign of trouble with a peer to the verdict that it is away.") \
	M(PARTITION_DURATION, HISTOGRAM, "partition_duration_seconds", "", "How long a peer was away.") \
	M(PARTITION_RECOVERY, HISTOGRAM, "partition_recovery_seconds", "", \
	  "From a peer's return until all that waited for it was worked on.") \
	M(OUTBOX_BUFFERED, GAUGE, "outbox_buffered", "", "Lanes of incidents that wait for a peer that is away.") \
	M(OUTBOX_REPLAYED, COUNTER, "outbox_replayed_total", "", "Lanes that got on after their peer was back.") \
	M(LEADER, GAUGE, "leader", "", "1 while this process holds the store's lock, and with it the right to act.") \
	M(FENCING_EPOCH, GAUGE, "fencing_epoch", "", "How often the store was opened: the token of this process.") \
	M(BACKUP_ATTEMPTS, COUNTER, "backup_attempts_total", "", "Backups that ended, well or not, one for each target.") \
	M(BACKUP_SUCCESS, COUNTER, "backup_success_total", "", "Backups that ended well.") \
	M(BACKUP_FAILING, GAUGE, "backup_failing", "", "Targets whose last backup failed.") \
	M(BACKUP_UNKNOWN, GAUGE, "backup_targets_unknown", "", "Targets that could not be looked into since the start.") \
	M(BACKUP_SECONDS, HISTOGRAM, "backup_duration_seconds", "", "One backup that ended well.") \
	M(BACKUP_SIZE, GAUGE, "backup_size_bytes", "component", "Of the last backup: store_full, store_increment.") \
	M(BACKUP_LAST, GAUGE, "backup_last_success_timestamp_seconds", "", \
	  "The last backup, of the known target that is furthest behind; 0 = none, or no target is known yet.") \
	M(BACKUP_UNUSUAL, COUNTER, "backup_unusual_total", "what", \
	  "Backups far from the median of the last ones: size, duration (SRE-009.8).") \
	M(RPO, GAUGE, "rpo_seconds", "", "What losing the disk now would cost: the age of the last backup.") \
	M(RESTORE_SECONDS, HISTOGRAM, "restore_duration_seconds", "", "One restore on trial.") \
	M(RESTORE_BYTES, GAUGE, "restore_bytes", "", "Read by the last restore on trial.") \
	M(DRILL_LAST, GAUGE, "drill_last_success_timestamp_seconds", "", "The last restore on trial that went well; 0 = none, or no target is known yet.") \
	M(DRILL_FAILURES, COUNTER, "drill_failures_total", "", "Restores on trial that failed.") \
	M(BUILD_INFO, GAUGE, "build_info", "version", "Always 1.")

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum metric {
#define METRIC_ENUM(id, kind, name, labels, help) M_##id,
	METRICS(METRIC_ENUM)
#undef METRIC_ENUM
	METRIC_COUNT
};

/* The label values follow in the order of the table, each a const char *; their number must match
 * (checked by assert). metric_add is for counters (n ≥ 0) and gauges (either sign). */
void metric_add(enum metric m, double n, ...);
void metric_set(enum metric m, double value, ...);
void metric_observe(enum metric m, double value, ...); /* histograms, in the metric's unit */

/* The present value of a counter or gauge series (0 when it does not exist); for derived gauges. */
double metric_value(enum metric m, ...);

/* The sum of all series of a counter or gauge, or of those that have a label of that value. */
double metric_sum(enum metric m, const char *value);

/* The whole exposition, under mem. */
char *metrics_text(void *mem);
