/* `agent-sre investigate`: one look at an alert, written to files in place of a ticket. */
#pragma once

#include <jansson.h>

#include "base/status.h"
#include "config/settings.h"

struct investigate_result {
	const char *report;  /* the path of report.md */
	const char *summary; /* one sentence */
	const char *const *unavailable; /* sentences about sources that did not answer; NULL-terminated */
	size_t files;
};

/* `alert`: {labels, annotations?, startsAt?, …} as in a CloudEvent's data, or Alertmanager's webhook, of which the first
 * alert counts. Writes report.md, findings.json, evidence.json and each chart as NAME.png, NAME.svg and NAME.vl.json into
 * `dir`, which is made when it is not there; files of those names are replaced. Sources that fail are told of in the
 * report. The store is not touched. */
NODISCARD enum status daemon_investigate(void *mem, const struct settings *settings, const char *alert, size_t bytes,
					 const char *dir, struct investigate_result *out);
