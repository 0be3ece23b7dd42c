#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/api.h"
#include "cli/command.h"
#include "cli/show.h"

static const struct option_info OPTIONS[] = {
	{"limit", "N", "at most N (default 50)"},
	{"json", NULL, "print JSON"},
	API_OPTIONS,
	{NULL, NULL, NULL},
};

static const struct show_column COLUMNS[] = {
	{"PEER", "peer", 48},	      {"STATE", "state", 8},
	{"KIND", "kind", 12},	      {"DETECTED", "detected_at", 28},
	{"LASTED", "lasted", 12},     {"BUFFERED", "buffered", 10},
	{"REPLAYED", "replayed", 10}, {"ERROR", "error", 60},
};

/* "12.3 s" is easier to read than 12.345. */
static void add_lasted(void *mem, json_t *rows)
{
	size_t n;
	json_t *row;

	json_array_foreach (rows, n, row) {
		double s = json_number_value(json_object_get(row, "seconds"));
		bool sane = isfinite(s) && s >= 0 && s < 1e12;
		json_object_set_new(
			row, "lasted",
			json_string(sane ? str_duration(mem, (long long)(s * 1000)) : "-"));
	}
}

static int run(const struct invocation *i)
{
	static const char *const PATH[] = {"partitions", NULL};
	const char *limit = option_value(i, "limit");
	const struct api_call call = {.method = "GET",
				      .path = PATH,
				      .query_names = {"limit"},
				      .query_values = {limit == NULL ? "50" : limit}};
	json_t *reply = NULL;

	if (api_request(i, &call, &reply) != OK)
		return command_failed();
	json_t *rows = json_object_get(reply, "partitions");
	if (!json_is_array(rows)) {
		fprintf(stderr, "agent-sre: the answer is not a list of partitions\n");
		return EXIT_FAILED;
	}
	if (option_value(i, "json") != NULL) {
		printf("%s\n", json_text(i->mem, rows));
	} else if (json_array_size(rows) == 0) {
		printf("no peer was ever away\n");
	} else {
		show_clean(i->mem, rows);
		add_lasted(i->mem, rows);
		show_table(i->mem, COLUMNS, sizeof(COLUMNS) / sizeof(COLUMNS[0]), rows);
	}
	return EXIT_DONE;
}

const struct command command_partitions = {
	.name = "partitions",
	.operands = "",
	.summary = "list when peers were away, active ones first",
	.description = "Lists when Prometheus, Alertmanager, the tracker, functions, the trace "
		       "collector and the broker were\naway, those that are away now first: how it "
		       "showed, how long it lasted, how many incidents\nwaited for it and went on.",
	.options = OPTIONS,
	.run = run,
};
