/* agent-sre dlq …: the dead letters of a running agent. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/api.h"
#include "cli/command.h"
#include "cli/show.h"

static const struct option_info OPTIONS[] = {
	{"state", "STATE", "pending, replaying, resolved or all (default: what is not resolved)"},
	{"reason", "TEXT", "whose reason contains TEXT"},
	{"category", "NAME", "validation_failure, poison_message, … or parse, data, oversize, …"},
	{"type", "TYPE", "of this event type"},
	{"correlation-id", "ID", "with this correlation id"},
	{"group", "GROUP", "of this group ('dlq groups' lists them)"},
	{"text", "TEXT", "that contain TEXT in reason, ids, source, type or subject"},
	{"from", "TIME", "that failed then or later (RFC 3339)"},
	{"to", "TIME", "that failed before"},
	{"before", "ID", "older than this one: the next page"},
	{"limit", "N", "at most N (default 50; replay: 100)"},
	{"archived", NULL, "list the archive"},
	{"all", NULL, "replay or archive all that the other options choose"},
	{"rate", "N", "replay at most N a second (default 100)"},
	{"confirm", "TOKEN", "the token that 'dlq show' prints: drop deletes for ever"},
	{"by", "NAME", "who asks (default: your login name)"},
	{"json", NULL, "print JSON"},
	API_OPTIONS,
	{NULL, NULL, NULL},
};

/* option → query parameter or member of a filter */
static const struct {
	const char *option, *name;
} FILTERS[] = {
	{"state", "state"}, {"reason", "reason"}, {"category", "category"},
	{"type", "type"},   {"group", "group"},	  {"text", "text"},
	{"from", "from"},   {"to", "to"},	  {"correlation-id", "correlation_id"},
};

enum { FILTER_COUNT = sizeof(FILTERS) / sizeof(FILTERS[0]) };

static const char *by(const struct invocation *i)
{
	return option_value(i, "by") != NULL ? option_value(i, "by") : api_user(i->mem);
}

static bool wants_json(const struct invocation *i)
{
	return option_value(i, "json") != NULL;
}

static int print_json(const struct invocation *i, const json_t *value)
{
	printf("%s\n", json_text(i->mem, value));
	return EXIT_DONE;
}

static void add_query(struct api_call *call, int *count, const char *name, const char *value)
{
	if (value == NULL)
		return;
	call->query_names[*count] = name;
	call->query_values[(*count)++] = value;
}

static void add_filters(const struct invocation *i, struct api_call *call, int *count)
{
	for (int n = 0; n < FILTER_COUNT; n++)
		add_query(call, count, FILTERS[n].name, option_value(i, FILTERS[n].option));
}

static const struct show_column LETTER_COLUMNS[] = {
	{"ID", "dlq_id", 12},
	{"STATE", "state", 10},
	{"CATEGORY", "failure_category", 20},
	{"EVENT", "event_id", 36},
	{"TRIES", "attempts", 6},
	{"AGE", "failed_at", 0},
	{"REASON", "failure_reason", 80},
};

static const struct show_column GROUP_COLUMNS[] = {
	{"GROUP", "group", 12},
	{"COUNT", "count", 10},
	{"SHARE", "share", 8},
	{"STAGE", "stage", 12},
	{"CATEGORY", "failure_category", 20},
	{"FIRST", "first_seen", 0},
	{"LAST", "last_seen", 0},
	{"EXAMPLE", "example_id", 12},
	{"PATTERN", "pattern", 80},
};

static int list(const struct invocation *i)
{
	static const char *const PATH[] = {"dlq", NULL};
	struct api_call call = {.method = "GET", .path = PATH};
	json_t *reply = NULL;
	int count = 0;

	add_filters(i, &call, &count);
	add_query(&call, &count, "before", option_value(i, "before"));
	add_query(&call, &count, "limit", option_value(i, "limit"));
	if (option_value(i, "archived") != NULL)
		add_query(&call, &count, "archived", "true");
	if (api_request(i, &call, &reply) != OK)
		return command_failed();
	json_t *rows = json_object_get(reply, "dead_letters");
	if (wants_json(i))
		return print_json(i, rows);
	if (json_array_size(rows) == 0) {
		printf("no dead letters%s\n", count > 0 ? " that fit" : "");
		return EXIT_DONE;
	}
	show_clean(i->mem, rows);
	show_table(i->mem, LETTER_COLUMNS, sizeof(LETTER_COLUMNS) / sizeof(LETTER_COLUMNS[0]),
		   rows);
	if (json_object_get(reply, "next_before") != NULL)
		printf("there may be more: --before %lld\n",
		       (long long)json_int(reply, "next_before", 0));
	return EXIT_DONE;
}

static int groups(const struct invocation *i)
{
	static const char *const PATH[] = {"dlq", "groups", NULL};
	struct api_call call = {.method = "GET", .path = PATH};
	json_t *reply = NULL;
	int count = 0;
	size_t n;
	json_t *row;

	add_query(&call, &count, "limit", option_value(i, "limit"));
	if (api_request(i, &call, &reply) != OK)
		return command_failed();
	json_t *rows = json_object_get(reply, "groups");
	if (wants_json(i))
		return print_json(i, rows);
	if (json_array_size(rows) == 0) {
		printf("no dead letters\n");
		return EXIT_DONE;
	}
	show_clean(i->mem, rows);
	json_array_foreach (rows, n, row) {
		double share = json_number_value(json_object_get(row, "share"));
		json_object_set_new(row, "share",
				    json_string(str_fmt(i->mem, "%.0f %%", share * 100)));
		json_object_set(row, "example_id",
				json_object_get(json_object_get(row, "example"), "dlq_id"));
	}
	show_table(i->mem, GROUP_COLUMNS, sizeof(GROUP_COLUMNS) / sizeof(GROUP_COLUMNS[0]), rows);
	return EXIT_DONE;
}

static void field(const char *name, const json_t *letter, const char *key)
{
	const char *text = json_str(letter, key);

	if (!str_empty(text))
		printf("%-13s %s\n", name, text);
}

static void print_body(const json_t *event)
{
	const json_t *body = json_object_get(event, "body");
	char *pretty = NULL;

	printf("\n%s%s, %lld bytes%s:\n", json_str(event, "content_type") == NULL ? "" : "event ",
	       show_word(event, "content_type"), (long long)json_int(event, "bytes", 0),
	       json_is_true(json_object_get(event, "truncated")) ? " (only its head was kept)"
								 : "");
	if (json_is_string(body)) {
		printf("%s\n", json_string_value(body));
		return;
	}
	pretty = json_dumps(body, JSON_INDENT(2) | JSON_ENCODE_ANY);
	printf("%s\n", pretty == NULL ? "" : pretty);
	free(pretty);
}

static void print_history(const json_t *letter)
{
	size_t n;
	json_t *line;

	if (json_array_size(json_object_get(letter, "replay_history")) > 0)
		printf("\nreplays:\n");
	json_array_foreach (json_object_get(letter, "replay_history"), n, line) {
		printf("  %s  %-7s  %s  by %s\n", show_word(line, "at"),
		       json_is_true(json_object_get(line, "success")) ? "success" : "failed",
		       show_word(line, "outcome"), show_word(line, "by"));
	}
}

/* Which versions would have been read, and what did not fit. */
static void print_schema(const json_t *schema)
{
	size_t n;
	json_t *one;

	if (!json_is_object(schema))
		return;
	printf("%-13s %s of %s, supported:", "schema", show_word(schema, "detected_version"),
	       show_word(schema, "type"));
	json_array_foreach (json_object_get(schema, "supported"), n, one)
		printf(" %s", json_string_value(one));
	printf("\n");
	json_array_foreach (json_object_get(schema, "violations"), n, one)
		printf("%-13s %s at %s: %s\n", "", show_word(one, "rule"),
		       show_word(one, "pointer"), show_word(one, "message"));
}

static void print_letter(const json_t *letter)
{
	static const char *const FIELDS[][2] = {
		{"state", "state"},
		{"reason", "failure_reason"},
		{"category", "failure_category"},
		{"kind", "failure_kind"},
		{"permanence", "permanence"},
		{"stage", "stage"},
		{"group", "group"},
		{"event", "event_id"},
		{"type", "event_type"},
		{"source", "event_source"},
		{"subject", "subject"},
		{"correlation", "correlation_id"},
		{"incident", "incident"},
		{"failed", "failed_at"},
		{"kept until", "retention_until"},
		{"archived", "archived_at"},
		{"pending", "pending_action"},
		{"ticket", "linear_issue_id"},
		{"drop token", "drop_token"},
		{"unreadable", "event_unreadable"},
	};

	printf("dead letter   %lld\n", (long long)json_int(letter, "dlq_id", 0));
	for (size_t n = 0; n < sizeof(FIELDS) / sizeof(FIELDS[0]); n++)
		field(FIELDS[n][0], letter, FIELDS[n][1]);
	printf("%-13s %lld, %lld of them replays\n", "attempts",
	       (long long)json_int(letter, "attempts", 0),
	       (long long)json_int(letter, "replays", 0));
	print_schema(json_object_get(letter, "schema"));
	print_history(letter);
	if (json_is_object(json_object_get(letter, "event")))
		print_body(json_object_get(letter, "event"));
}

static int show(const struct invocation *i)
{
	const char *const path[] = {"dlq", i->operands[1], NULL};
	const struct api_call call = {.method = "GET", .path = path};
	json_t *letter = NULL;

	if (api_request(i, &call, &letter) != OK)
		return command_failed();
	if (wants_json(i))
		return print_json(i, letter);
	show_clean(i->mem, letter);
	print_letter(letter);
	return EXIT_DONE;
}

static void print_result(const struct invocation *i, json_t *result)
{
	show_clean(i->mem, result); /* replaces its strings */
	const char *incident = json_str(result, "incident");

	printf("%lld  %-8s %s%s%s\n", (long long)json_int(result, "dlq_id", 0),
	       json_is_true(json_object_get(result, "success")) ? "resolved" : "stays",
	       show_word(result, "outcome"), incident == NULL ? "" : " ",
	       incident == NULL ? "" : incident);
}

static struct api_call posting(const struct invocation *i, const char *const *path, json_t *body)
{
	json_object_set_new(body, "by", json_string(by(i)));
	return (struct api_call){.method = "POST",
				 .path = path,
				 .content_type = "application/json",
				 .body = json_text(i->mem, body)};
}

static int replay_one(const struct invocation *i)
{
	const char *const path[] = {"dlq", i->operands[1], "replay", NULL};
	const struct api_call call = posting(i, path, mem_own(i->mem, json_object()));
	json_t *result = NULL;

	if (api_request(i, &call, &result) != OK)
		return command_failed();
	bool success = json_is_true(json_object_get(result, "success"));
	if (wants_json(i))
		print_json(i, result);
	else
		print_result(i, result);
	return success ? EXIT_DONE : EXIT_FAILED;
}

static json_t *filter(const struct invocation *i)
{
	json_t *f = json_object();

	for (int n = 0; n < FILTER_COUNT; n++)
		if (option_value(i, FILTERS[n].option) != NULL)
			json_object_set_new(f, FILTERS[n].name,
					    json_string(option_value(i, FILTERS[n].option)));
	return f;
}

struct totals {
	long long succeeded, failed, refused, after;
	bool done;
};

/* The agent bounds the time of one call; the next one goes on behind the last letter that was
 * tried. */
static enum status replay_part(const struct invocation *i, long long count, double rate,
			       struct totals *t)
{
	static const char *const PATH[] = {"dlq", "replay", NULL};
	json_t *body = mem_own(i->mem, json_pack("{s:o, s:I, s:I}", "filter", filter(i), "count",
						 (json_int_t)count, "after", (json_int_t)t->after));
	json_t *reply = NULL;
	size_t n;
	json_t *result;

	if (rate > 0)
		json_object_set_new(body, "rate", json_real(rate));
	const struct api_call call = posting(i, PATH, body);
	TRY(api_request(i, &call, &reply));
	if (!wants_json(i))
		json_array_foreach (json_object_get(reply, "results"), n, result)
			print_result(i, result);
	t->succeeded += json_int(reply, "succeeded", 0);
	t->failed += json_int(reply, "failed", 0);
	t->refused += json_int(reply, "refused", 0);
	long long last = json_int(reply, "last", 0);
	t->done = json_is_true(json_object_get(reply, "done")) || last <= t->after;
	t->after = last > t->after ? last : t->after;
	return OK;
}

static int replay_all(const struct invocation *i)
{
	const char *limit = option_value(i, "limit");
	const char *rate_text = option_value(i, "rate");
	struct totals t = {0};
	long long left = 100;
	double rate = 0;

	if (limit != NULL && str_to_int(limit, 1, 1000000, &left) != OK)
		return command_misused(i, "--limit must be 1 to 1000000");
	if (rate_text != NULL && (str_to_double(rate_text, &rate) != OK || rate <= 0))
		return command_misused(i, "--rate must be a number above 0");
	for (long long tried = 0; !t.done && tried < left;
	     tried = t.succeeded + t.failed + t.refused) {
		long long part = left - tried > 1000 ? 1000 : left - tried;
		if (replay_part(i, part, rate, &t) != OK)
			return command_failed();
	}
	if (wants_json(i))
		print_json(i, mem_own(i->mem, json_pack("{s:I, s:I, s:I}", "succeeded", t.succeeded,
							"failed", t.failed, "refused", t.refused)));
	else
		printf("%lld resolved, %lld stay, %lld refused\n", t.succeeded, t.failed,
		       t.refused);
	return t.failed + t.refused == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int replay(const struct invocation *i)
{
	bool all = option_value(i, "all") != NULL;

	if (all == (i->operand_count == 2))
		return command_misused(i, "replay needs ID, or --all (with options that choose)");
	return all ? replay_all(i) : replay_one(i);
}

static int archive(const struct invocation *i)
{
	static const char *const PATH[] = {"dlq", "archive", NULL};
	bool all = option_value(i, "all") != NULL;
	json_t *body = mem_own(i->mem, json_object());
	json_t *reply = NULL;
	long long id = 0;
	size_t n;
	json_t *refused;

	if (all == (i->operand_count == 2))
		return command_misused(i, "archive needs ID, or --all (with options that choose)");
	if (!all && str_to_int(i->operands[1], 1, INT64_MAX, &id) != OK)
		return command_misused(i, "ID must be a number");
	if (all)
		json_object_set_new(body, "filter", filter(i));
	else
		json_object_set_new(body, "ids", json_pack("[I]", (json_int_t)id));
	const struct api_call call = posting(i, PATH, body);
	long long archived = 0;
	long long part;
	do { /* a call moves what it lists, and a list is bounded */
		if (api_request(i, &call, &reply) != OK)
			return command_failed();
		part = json_int(reply, "archived", 0);
		archived += part;
	} while (all && part > 0);
	json_object_set_new(reply, "archived", json_integer(archived));
	size_t left = json_array_size(json_object_get(reply, "refused"));
	if (wants_json(i)) {
		print_json(i, reply);
		return left == 0 ? EXIT_DONE : EXIT_FAILED;
	}
	printf("%lld archived\n", archived);
	json_array_foreach (json_object_get(reply, "refused"), n, refused)
		fprintf(stderr, "agent-sre: dead letter %lld stays: %s\n",
			(long long)json_int(refused, "dlq_id", 0), show_word(refused, "reason"));
	return left == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int drop(const struct invocation *i)
{
	const char *const path[] = {"dlq", i->operands[1], NULL};
	struct api_call call = {.method = "DELETE", .path = path};
	json_t *reply = NULL;
	int count = 0;

	if (option_value(i, "confirm") == NULL)
		return command_misused(
			i, str_fmt(i->mem,
				   "drop deletes for ever: confirm with the drop token of"
				   " 'agent-sre dlq show %s'",
				   i->operands[1]));
	add_query(&call, &count, "confirm", option_value(i, "confirm"));
	add_query(&call, &count, "by", by(i));
	if (api_request(i, &call, &reply) != OK)
		return command_failed();
	if (wants_json(i))
		return print_json(i, reply);
	printf("dead letter %lld is dropped\n", (long long)json_int(reply, "dlq_id", 0));
	return EXIT_DONE;
}

static int run(const struct invocation *i)
{
	static const struct {
		const char *name;
		int least, most; /* operands, the name included */
		int (*run)(const struct invocation *i);
	} ACTIONS[] = {
		{"list", 1, 1, list},	  {"show", 2, 2, show},	      {"groups", 1, 1, groups},
		{"replay", 1, 2, replay}, {"archive", 1, 2, archive}, {"drop", 2, 2, drop},
	};

	for (size_t n = 0; n < sizeof(ACTIONS) / sizeof(ACTIONS[0]); n++) {
		if (!str_eq(ACTIONS[n].name, i->operands[0]))
			continue;
		if (i->operand_count < ACTIONS[n].least)
			return command_misused(i, str_fmt(i->mem, "%s needs ID", ACTIONS[n].name));
		if (i->operand_count > ACTIONS[n].most)
			return command_misused(i,
					       str_fmt(i->mem, "%s takes no ID", ACTIONS[n].name));
		return ACTIONS[n].run(i);
	}
	return command_misused(
		i, str_fmt(i->mem,
			   "unknown action %s: want list, show, groups, replay, archive or drop",
			   i->operands[0]));
}

const struct command command_dlq = {
	.name = "dlq",
	.operands = "list|show|groups|replay|archive|drop [ID]",
	.least = 1,
	.most = 2,
	.summary = "find, show, replay, archive and drop dead letters",
	.description = "The dead letters of a running agent: events that were refused and work "
		       "that was given up.\n"
		       "list [filters]: newest first. show ID: one, with its event (secrets are "
		       "masked). groups: what\n"
		       "fails most. replay ID, or replay --all [filters]: takes the event in as if "
		       "it came now, oldest\n"
		       "first; what succeeds is resolved, what fails stays. archive ID, or archive "
		       "--all [filters]:\n"
		       "moves to the archive file. drop ID --confirm TOKEN: deletes for ever.",
	.options = OPTIONS,
	.run = run,
};
