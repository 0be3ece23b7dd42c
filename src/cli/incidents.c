#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/api.h"
#include "cli/command.h"
#include "cli/show.h"

static const struct option_info OPTIONS[] = {
	{"state", "STATE",
	 "only these: open, approval, remediating, verifying, recovered, escalated, closed, "
	 "active"},
	{"limit", "N", "at most N (default 50)"},
	{"json", NULL, "print JSON"},
	API_OPTIONS,
	{NULL, NULL, NULL},
};

static const char *text(const json_t *row, const char *key)
{
	const char *value = json_str(row, key);
	return str_empty(value) ? "-" : value;
}

static void print_table(void *mem, const json_t *rows)
{
	size_t n;
	json_t *row;

	printf("%-9s %-12s %-28s %-26s %-9s %-22s %-9s %s\n", "INCIDENT", "STATE", "ALERT",
	       "RESOURCE", "SEVERITY", "FUNCTION", "TICKET", "AGE");
	json_array_foreach (rows, n, row) {
		const char *state = text(row, "state");
		printf("%-9s %s%-12s%s %-28s %-26s %-9s %-22s %-9s %s\n", text(row, "id"),
		       show_colour(state), state, show_plain(),
		       str_cut(mem, text(row, "alertname"), 28),
		       str_cut(mem, text(row, "resource"), 26), text(row, "severity"),
		       text(row, "function"), text(row, "ticket"),
		       show_age(mem, json_str(row, "received_at")));
	}
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
	const json_t *rows = json_object_get(reply, "incidents");
	if (option_value(i, "json") != NULL)
		printf("%s\n", json_text(i->mem, rows));
	else if (json_array_size(rows) == 0)
		printf("no incidents%s; send an alert with 'agent-sre submit FILE'\n",
		       option_value(i, "state") == NULL ? "" : " in this state");
	else
		print_table(i->mem, rows);
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
