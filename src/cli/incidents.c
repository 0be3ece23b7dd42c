#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/api.h"
#include "cli/command.h"
#include "cli/show.h"

static const struct option_info OPTIONS[] = {
	{"state", "STATE",
	 "open, approval, remediating, verifying, recovered, escalated, closed or active"},
	{"limit", "N", "at most N (default 50)"},
	{"json", NULL, "print JSON"},
	API_OPTIONS,
	{NULL, NULL, NULL},
};

static const struct show_column COLUMNS[] = {
	{"INCIDENT", "id", 12},	      {"STATE", "state", 12},	    {"ALERT", "alertname", 32},
	{"RESOURCE", "resource", 32}, {"SEVERITY", "severity", 10}, {"FUNCTION", "function", 28},
	{"TICKET", "ticket", 16},     {"AGE", "received_at", 0},
};

static void print_nothing(const char *state)
{
	if (str_empty(state))
		printf("no incidents yet; send an alert with 'agent-sre submit FILE'\n");
	else
		printf("no incidents in state %s; 'agent-sre incidents' lists all\n", state);
}

static int run(const struct invocation *i)
{
	static const char *const PATH[] = {"incidents", NULL};
	const char *limit = option_value(i, "limit");
	struct api_call call = {.method = "GET",
				.path = PATH,
				.query_names = {"limit"},
				.query_values = {limit == NULL ? "50" : limit}};
	json_t *reply = NULL;

	if (option_value(i, "state") != NULL) {
		call.query_names[1] = "state";
		call.query_values[1] = option_value(i, "state");
	}
	if (api_request(i, &call, &reply) != OK)
		return command_failed();
	json_t *rows = json_object_get(reply, "incidents");
	if (!json_is_array(rows)) {
		fprintf(stderr, "agent-sre: the answer is not a list of incidents\n");
		return EXIT_FAILED;
	}
	if (option_value(i, "json") != NULL)
		printf("%s\n", json_text(i->mem, rows));
	else if (json_array_size(rows) == 0)
		print_nothing(option_value(i, "state"));
	else {
		show_clean(i->mem, rows);
		show_table(i->mem, COLUMNS, sizeof(COLUMNS) / sizeof(COLUMNS[0]), rows);
	}
	return EXIT_DONE;
}

const struct command command_incidents = {
	.name = "incidents",
	.operands = "",
	.summary = "list incidents, newest first",
	.description = "Lists the incidents of a running agent, newest first.",
	.options = OPTIONS,
	.run = run,
};
