/*
 * One alert as Prometheus and Alertmanager know it, decoded from the `data` of a CloudEvent or from
 * one element of Alertmanager's webhook v4. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/json_node.h"
#include "base/status.h"
#include "domain/labels.h"

enum alert_state { ALERT_FIRING, ALERT_RESOLVED };

struct alert {
	enum alert_state state;   /* the alert's own status, never the group's (P25) */
	const char *name;         /* labels.alertname, else data.alertname (SHARED.3) */
	const char *fingerprint;  /* 16 hex digits, computed here from the labels */
	struct labels labels;     /* commonLabels merged in, alertname included */
	struct labels annotations; /* commonAnnotations merged in */
	int64_t starts_ms;        /* > 0 */
	int64_t ends_ms;          /* 0 while firing (null and the zero time read as 0) */
	const char *generator_url; /* "" when absent */
	const char *receiver;     /* "" when absent */
	const char *group_key;    /* "" when absent */
	int64_t truncated_alerts; /* of its group; 0 when unknown */
	bool names_disagree;      /* labels.alertname and data.alertname differ */
};

/* The alert in a CloudEvent's data. E_INVALID says which member is wrong and what is wanted:
 * status outside firing|resolved, no name, no startsAt, a label that is not a string, too many or
 * too long labels (limits.h), NUL or control characters in a label name, … `received_ms` stands in
 * for a missing startsAt. The alert lives under mem, its texts with `data`. */
NODISCARD enum status alert_decode(void *mem, const struct node *data, int64_t received_ms, struct alert **out);

struct webhook {
	const char *receiver;
	const char *group_status;
	const char *group_key;
	const char *external_url;
	int64_t truncated_alerts;
	const char *version;
	const struct node *group_labels, *common_labels, *common_annotations; /* as they came, maybe NULL */
	const struct node **raw; /* each element of alerts[], as it came */
	struct alert **alerts;   /* NULL where the element is malformed … */
	const char **errors;     /* … with the reason here */
	size_t count;
};

/* Alertmanager's webhook v4 body. E_INVALID when the frame is wrong (not an object, no alerts
 * array, a version other than "4" when present); a malformed member is reported in its place. The result lives under
 * mem, its texts with `body`. */
NODISCARD enum status webhook_decode(void *mem, const struct node *body, int64_t received_ms, struct webhook **out);

/* Prometheus' label fingerprint: FNV-1a 64 over name 0xFF value 0xFF in byte order of the names,
 * as 16 hex digits. Alertmanager computes the same. */
char *alert_fingerprint(void *mem, const struct labels *labels);

/* The same repeat has the same id (P27): "<fingerprint>-<startsAt in ms>-<status>". */
char *alert_event_id(void *mem, const char *fingerprint, int64_t starts_ms, enum alert_state state);
/* Which episode such an id speaks of; false when it is not one. */
bool alert_event_id_parse(const char *id, char fingerprint[17], int64_t *starts_ms);

/* First present, non-empty of pod, deployment, statefulset, persistentvolumeclaim, name, instance,
 * node, namespace (WORKFLOW-001.16); NULL when none. Borrowed. */
const char *alert_resource(const json_t *labels);

const char *alert_state_name(enum alert_state s); /* "firing", "resolved" */
