/*
 * Prometheus rules for OpenSLO definitions: Sloth's records (so that its dashboards, and flow/slm.h's source "sloth", read them),
 * the plain series of WORKFLOW-001.3, and two multiwindow burn-rate alerts (Google's SRE Workbook, chapter 5) which carry the
 * label slo. Pure.
 */
#pragma once

#include "domain/openslo.h"

/* The whole rule file, as YAML; two groups of records and one of alerts for each definition. */
char *slo_rules_text(void *mem, const struct openslo *o);

/* The same as a value: {groups: […]}. */
json_t *slo_rules(void *mem, const struct openslo *o);
