#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/api.h"
#include "cli/command.h"
#include "cli/load.h"
#include "daemon/investigate.h"

static const struct option_info OPTIONS[] = {
	{"alert", "FILE",
	 "a CloudEvent, an Alertmanager payload, or an alert {labels, startsAt}; - is standard "
	 "input"},
	{"incident", "ID", "an incident of the running agent, such as INC-12"},
	{"out", "DIR", "where the report goes (default ./investigation)"},
	{"config", "FILE", "the configuration that serve uses"},
	API_OPTIONS,
	{NULL, NULL, NULL},
};

/* As the file would hold it. */
static enum status read_incident(const struct invocation *i, const char *id, char **text)
{
	const char *const path[] = {"incidents", id, NULL};
	const struct api_call call = {.method = "GET", .path = path};
	json_t *reply = NULL;

	TRY(api_request(i, &call, &reply));
	json_t *alert =
		mem_own(i->mem, json_pack("{s:s, s:s, s:O*, s:O*, s:O*}", "status", "firing",
					  "alertname", json_str(reply, "alertname"), "labels",
					  json_object_get(reply, "labels"), "annotations",
					  json_object_get(reply, "annotations"), "startsAt",
					  json_object_get(reply, "started_at")));
	if (alert == NULL)
		return failure(E_INVALID, "the answer is not an incident");
	*text = json_text(i->mem, alert);
	return OK;
}

static enum status read_alert(const struct invocation *i, char **text, size_t *bytes)
{
	const char *file = option_value(i, "alert");

	if (file != NULL)
		return file_read(i->mem, str_eq(file, "-") ? "/dev/stdin" : file, LIMIT_FILE_BYTES,
				 text, bytes);
	TRY(read_incident(i, option_value(i, "incident"), text));
	assert(*text != NULL); /* read_incident sets it */
	*bytes = strlen(*text);
	return OK;
}

static int run(const struct invocation *i)
{
	struct settings *settings = NULL;
	struct investigate_result result = {0};
	char *text = NULL;
	size_t bytes = 0;
	const char *dir = option_value(i, "out");

	if ((option_value(i, "alert") == NULL) == (option_value(i, "incident") == NULL))
		return command_misused(i, "want either --alert FILE or --incident ID");
	if (load_settings(i, false, &settings, NULL) != OK || read_alert(i, &text, &bytes) != OK)
		return command_failed();
	fprintf(stderr, "asking Prometheus, Loki and Tempo …\n");
	if (daemon_investigate(i->mem, settings, text, bytes,
			       str_empty(dir) ? "investigation" : dir, &result) != OK)
		return command_failed();
	for (size_t n = 0; result.unavailable[n] != NULL; n++)
		fprintf(stderr, "%s\n", result.unavailable[n]);
	printf("%s\n%s (%zu files)\n", result.summary, result.report, result.files);
	return EXIT_DONE;
}

const struct command command_investigate = {
	.name = "investigate",
	.operands = "",
	.summary =
		"look at an alert's metrics, logs and traces, and write what they say, with charts",
	.description =
		"Asks Prometheus, Loki and Tempo about the hour before the alert and since, "
		"and writes report.md, each chart\n"
		"as PNG, SVG and Vega-Lite, findings.json (what was found, and what it rests "
		"on) and evidence.json (all\n"
		"that was looked at). The same as serve puts on the ticket. A source that "
		"does not answer is said; the rest\n"
		"is written. Exit code 1 when nothing could be written.",
	.options = OPTIONS,
	.run = run,
};
