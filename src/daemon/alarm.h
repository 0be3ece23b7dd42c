/*
 * The urgent alerts about the agent itself (DEC-43, names.md section 2): one table, and how one line of it is judged
 * from the program's own metrics, once a second. Pure: times are passed in. The same rules stand in
 * deploy/alerts.yaml for Prometheus as the second line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metrics.h"

enum alarm_kind {
	ALARM_LEVEL,  /* the metric's value */
	ALARM_GROWTH, /* by how much it grew within the window */
	ALARM_SHARE,  /* its growth over the growth of `of`, when `of` grew by ALARM_SHARE_LEAST or more */
};

/* A(name, severity, kind, metric, label value or NULL = all series (of a level it becomes the alert's label component), of, above, window in s, summary). To add one is to
 * add a line here and its rule to deploy/alerts.yaml. */
#define ALARMS(A) \
	A(DLQGrowingRapidly, "warning", GROWTH, DLQ_EVENTS, NULL, DLQ_EVENTS, 10, 60, \
	  "More than 10 dead letters were written within a minute") \
	A(DLQAboveThreshold, "warning", LEVEL, DLQ_SIZE, NULL, DLQ_SIZE, 1000, 0, "More than 1000 dead letters wait") \
	A(DLQAboveThreshold, "critical", LEVEL, DLQ_SIZE, NULL, DLQ_SIZE, 10000, 0, "More than 10000 dead letters wait") \
	A(PoisonMessageDetected, "warning", GROWTH, DLQ_PERMANENT, NULL, DLQ_PERMANENT, 0, 300, \
	  "An event failed for good: no retry can heal it") \
	A(HighEventFailureRate, "warning", SHARE, CLOUDEVENTS_RECEIVED, "rejected", CLOUDEVENTS_RECEIVED, 0.05, 300, \
	  "More than 5 % of the events are rejected") \
	A(SchemaCompatibilityFailure, "critical", GROWTH, SCHEMA_ERRORS, NULL, SCHEMA_ERRORS, 0, 300, \
	  "An event fits no supported schema version and no adapter") \
	A(EventOrderViolation, "warning", GROWTH, ORDER_VIOLATIONS, NULL, ORDER_VIOLATIONS, 0, 300, \
	  "A sequence number came late or twice") \
	A(DuplicateEventProcessing, "warning", SHARE, DUPLICATES, NULL, CLOUDEVENTS_RECEIVED, 0.05, 300, \
	  "More than 5 % of the events are duplicates; none of them took effect twice") \
	A(IdempotencyKeyRejected, "warning", GROWTH, IDEMPOTENCY_REJECTED, NULL, IDEMPOTENCY_REJECTED, 0, 300, \
	  "An event was refused because of a key that looks like an attack, or is none") \
	A(BackupFailed, "critical", LEVEL, BACKUP_FAILING, NULL, BACKUP_FAILING, 0, 0, \
	  "A backup of the agent's store failed; the log says why (backup_failed)") \
	A(BackupTooOld, "warning", LEVEL, RPO, NULL, RPO, 86400, 0, "The newest backup of the agent's store is older than a day") \
	A(NetworkPartitionDetected, "critical", LEVEL, PARTITION_ACTIVE, "prometheus", PARTITION_ACTIVE, 0, 0, PARTITION) \
	A(NetworkPartitionDetected, "critical", LEVEL, PARTITION_ACTIVE, "alertmanager", PARTITION_ACTIVE, 0, 0, PARTITION) \
	A(NetworkPartitionDetected, "critical", LEVEL, PARTITION_ACTIVE, "linear", PARTITION_ACTIVE, 0, 0, PARTITION) \
	A(NetworkPartitionDetected, "critical", LEVEL, PARTITION_ACTIVE, "function", PARTITION_ACTIVE, 0, 0, PARTITION) \
	A(NetworkPartitionDetected, "critical", LEVEL, PARTITION_ACTIVE, "broker", PARTITION_ACTIVE, 0, 0, PARTITION) \
	A(NetworkPartitionDetected, "warning", LEVEL, PARTITION_ACTIVE, "otlp", PARTITION_ACTIVE, 0, 0, PARTITION)

#define PARTITION "A peer is away; what needs it waits, look at GET /partitions"

struct alarm_rule {
	const char *name, *severity;
	enum alarm_kind kind;
	enum metric metric;
	const char *value; /* of any label; NULL = all series */
	enum metric of;
	double above;
	int64_t window_ms;
	const char *summary;
};

/* The table. */
const struct alarm_rule *alarm_rules(size_t *count);

enum { ALARM_SAMPLES = 320, ALARM_SHARE_LEAST = 20, ALARM_KEEP_MS = 30000 };

struct alarm {
	const struct alarm_rule *rule;
	bool firing;
	double value;         /* as last judged */
	int64_t over_ms;      /* when it was above the limit last */
	struct alarm_sample { /* a ring; the oldest is overwritten */
		int64_t at_ms;
		double metric, of;
	} samples[ALARM_SAMPLES];
	size_t next, count;
};

/* Takes one reading (about one a second; times never go back) and judges; counters have grown from 0 by the first one,
 * for they begin with the process. Fires at once; ends when it has not been
 * above its limit for ALARM_KEEP_MS, so that nothing flaps. True when `firing` changed. */
bool alarm_judge(struct alarm *a, double metric, double of, int64_t now_ms);
