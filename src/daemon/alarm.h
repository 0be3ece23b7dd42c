/*
 * Urgent alerts about the agent itself, posted to Alertmanager at once (DEC-43): Prometheus' own rules come later by a
 * scrape and an evaluation. Without Alertmanager nothing is posted. An alert that holds is repeated, or Alertmanager
 * would take it for resolved; one that could not be posted is posted as soon as Alertmanager answers. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clients/alertmanager.h"

enum { ALARMS_MAX = 64 };

struct alarm;

/* Borrows all; namespace tells agents apart. */
struct alarm *alarm_new(void *mem, const struct alertmanager *to, const char *namespace);
/* `alertname` (a literal) holds for `peer` since then, or holds no more. Posts nothing yet. */
void alarm_set(struct alarm *a, const char *alertname, const char *component, const char *peer, bool holds,
	       int64_t since_ms);
/* Posts what is new and repeats what is due. Blocks as long as a request may. `now_ms` wall clock. */
void alarm_post(struct alarm *a, int64_t now_ms);
