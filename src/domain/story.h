/*
 * The words on the ticket, exactly as WORKFLOW-001 wants them: incident → Markdown. Every value that
 * comes from outside goes through text.h. Pure; `now_ms` is passed in. Results live under mem.
 */
#pragma once

#include <stdint.h>

#include "domain/catalogue.h"
#include "domain/incident.h"

/* `slo` NULL, or of no source: it is unknown (.11). */
char *story_title(void *mem, const struct incident *i, const struct slo_context *slo); /* .16, [Resolved] when it is over already */
char *story_description(void *mem, const struct incident *i, const struct slo_context *slo); /* .17-.19 */
int story_priority(void *mem, const struct incident *i, const struct slo_context *slo, const char **reason); /* .12-.15 */
const char *story_priority_name(int priority); /* Urgent, High, Normal, Low */
char *story_percent(void *mem, double fraction); /* "99.85%", "0.05%", "unknown" for NAN (.19) */
char *story_slo_title(void *mem, const struct slo_context *slo);  /* of the link to its dashboard (.23) */
char *story_slo_impact(void *mem, const struct slo_context *slo); /* the comment beside it (.23) */

char *story_selected(void *mem, const struct incident *i);        /* .29 **Remediation Selected** … */
char *story_rejected(void *mem, const char *what, const char *why); /* nothing executed, and why */
char *story_approval(void *mem, const struct incident *i, const struct function *f); /* how to approve or reject */
char *story_executed(void *mem, const struct incident *i);        /* the function's result, success or failure */
char *story_verified(void *mem, const struct incident *i);        /* .32, all three forms: recovered, not recovered, inconclusive */
char *story_escalated(void *mem, const struct incident *i);       /* **Needs a person** with everything known */
/* .33-.34; `now` is the SLO at the end, NULL = not looked at */
char *story_resolved(void *mem, const struct incident *i, const struct slo_context *now);
char *story_failure_title(void *mem, const struct incident *i);   /* [Remediation Failed] <alertname> */
char *story_failure_description(void *mem, const struct incident *i);
char *story_waiting(void *mem, const struct incident *i); /* the planned function cannot be reached */
char *story_dead_letter(void *mem, const struct incident *i, const char *step, int tries, const char *error);
