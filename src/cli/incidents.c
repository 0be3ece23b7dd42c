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
	 "open, approval, remediating, verifying, recovered, escalated, closed or active"},
	{"limit", "N", "at most N (default 50)"},
	{"json", NULL, "print JSON"},
	API_OPTIONS,
	{NULL, NULL, NULL},
};

static const struct column {
	const char *title, *key;
	size_t most; /* code points */
} COLUMNS[] = {
	{"INCIDENT", "id", 12},	      {"STATE", "state", 12},	    {"ALERT", "alertname", 32},
	{"RESOURCE", "resource", 32}, {"SEVERITY", "severity", 10}, {"FUNCTION", "function", 28},
	{"TICKET", "ticket", 16},     {"AGE", "received_at", 8},
};

enum { COLUMN_COUNT = sizeof(COLUMNS) / sizeof(COLUMNS[0]) };

static char *cell(void *mem, const json_t *row, const struct column *c)
{
	bool age = str_eq(c->key, "received_at");
	char *text = age ? show_age(mem, json_str(row, c->key))
			 : str_cut(mem, show_word(row, c->key), c->most);

	for (char *at = text; *at != '\0'; at++)
		if (*at == '\n' || *at == '\t')
			*at = ' ';
	return text;
}

static size_t points(const char *text)
{
	size_t count = 0;

	for (; *text != '\0'; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

static void print_line(void *mem, const json_t *row, const size_t *widths)
{
	for (size_t c = 0; c < COLUMN_COUNT; c++) {
		const char *text = row == NULL ? COLUMNS[c].title : cell(mem, row, &COLUMNS[c]);
		const char *colour = row == NULL ? "" : show_colour(text);
		bool last = c + 1 == COLUMN_COUNT;
		printf("%s%s%s%*s", colour, text, *colour == '\0' ? "" : show_plain(),
		       last ? 0 : (int)(widths[c] - points(text)) + 2, "");
	}
	printf("\n");
}

static void print_table(void *mem, const json_t *rows)
{
	size_t widths[COLUMN_COUNT];
	size_t n;
	json_t *row;

	for (size_t c = 0; c < COLUMN_COUNT; c++) {
		widths[c] = points(COLUMNS[c].title);
		json_array_foreach (rows, n, row) {
			size_t width = points(cell(mem, row, &COLUMNS[c]));
			widths[c] = width > widths[c] ? width : widths[c];
		}
	}
	print_line(mem, NULL, widths);
	json_array_foreach (rows, n, row)
		print_line(mem, row, widths);
}

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
		print_table(i->mem, rows);
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
