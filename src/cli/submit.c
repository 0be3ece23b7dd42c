#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/api.h"
#include "cli/command.h"
#include "cli/show.h"

static const struct option_info OPTIONS[] = {
	{"json", NULL, "print the answer as JSON"},
	API_OPTIONS,
	{NULL, NULL, NULL},
};

static enum status read_input(void *mem, const char *name, char **text, size_t *n)
{
	return file_read(mem, str_eq(name, "-") ? "/dev/stdin" : name, LIMIT_FILE_BYTES, text, n);
}

static const char *const ROOT[] = {NULL};
static const char *const WEBHOOK[] = {"webhook", NULL};

static enum status kind_of(const json_t *doc, struct api_call *call)
{
	call->method = "POST";
	if (json_is_array(doc) && json_object_get(json_array_get(doc, 0), "specversion") != NULL) {
		call->path = ROOT;
		call->content_type = "application/cloudevents-batch+json";
	} else if (json_object_get(doc, "specversion") != NULL) {
		call->path = ROOT;
		call->content_type = "application/cloudevents+json";
	} else if (json_is_array(json_object_get(doc, "alerts"))) {
		call->path = WEBHOOK;
		call->content_type = "application/json";
	} else {
		return failure(E_INVALID, "neither a CloudEvent (specversion), nor a list of them, "
					  "nor an Alertmanager payload (alerts)");
	}
	return OK;
}

static void print_event(const json_t *e)
{
	const char *detail = json_str(e, "detail");

	printf("%-10s %s%s%s%s\n", show_word(e, "status"), show_word(e, "event_id"),
	       json_is_true(json_object_get(e, "duplicate")) ? " (duplicate)" : "",
	       detail == NULL ? "" : ": ", detail == NULL ? "" : detail);
}

static void print_reply(const json_t *reply)
{
	const json_t *events = json_object_get(reply, "events");
	size_t n;
	json_t *e;

	if (events == NULL)
		print_event(reply);
	json_array_foreach (events, n, e)
		print_event(e);
}

static bool is_rejected(const json_t *reply)
{
	size_t n;
	json_t *e;

	json_array_foreach (json_object_get(reply, "events"), n, e)
		if (str_eq(json_str(e, "status"), "rejected"))
			return true;
	return false;
}

static int run(const struct invocation *i)
{
	char *text = NULL;
	size_t n = 0;
	json_t *doc = NULL;
	json_t *reply = NULL;
	struct api_call call = {0};

	if (read_input(i->mem, i->operands[0], &text, &n) != OK)
		return command_failed();
	if (json_parse(i->mem, text, n, &doc) != OK || kind_of(doc, &call) != OK) {
		fprintf(stderr, "agent-sre: %s: %s\n", i->operands[0], status_message());
		return EXIT_FAILED;
	}
	call.body = text;
	if (api_request(i, &call, &reply) != OK)
		return command_failed();
	int code = is_rejected(reply) ? EXIT_FAILED : EXIT_DONE;
	if (option_value(i, "json") != NULL) {
		printf("%s\n", json_text(i->mem, reply));
		return code;
	}
	show_clean(i->mem, reply);
	print_reply(reply);
	return code;
}

const struct command command_submit = {
	.name = "submit",
	.operands = "FILE|-",
	.least = 1,
	.most = 1,
	.summary = "send a CloudEvent, a batch of them, or an Alertmanager payload",
	.description = "Reads the file (- is standard input), sees what it is, sends it, and "
		       "prints what became of each event.\n"
		       "Exit code 1 when any of them was refused.",
	.options = OPTIONS,
	.run = run,
};
