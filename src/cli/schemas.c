/* agent-sre schemas …: the versions of event data, of a running agent and in files. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/api.h"
#include "cli/command.h"
#include "cli/show.h"
#include "daemon/schema_files.h"

static const struct option_info OPTIONS[] = {
	{"type", "TYPE", "list, show: only this event type"},
	{"with", "PATH",
	 "check, convert: schema files that are there already (the setting schemas)"},
	{"event", "FILE", "check: a structured event, to be read as the agent would"},
	{"to", "VERSION", "convert: the version that is wanted"},
	{"by", "NAME", "add: who adds it (default: your login name)"},
	{"json", NULL, "print JSON"},
	API_OPTIONS,
	{NULL, NULL, NULL},
};

static bool wants_json(const struct invocation *i)
{
	return option_value(i, "json") != NULL;
}

static int print_json(const struct invocation *i, const json_t *value)
{
	printf("%s\n", json_text(i->mem, value));
	return EXIT_DONE;
}

static const struct show_column COLUMNS[] = {
	{"VERSION", "version", 10},
	{"TYPE", "type", 44},
	{"READ", "read", 30},
	{"USAGE", "usage", 12},
	{"ERRORS", "validation_errors", 12},
	{"SEEN", "last_seen", 0},
	{"STATE", "state", 32},
	{"ORIGIN", "origin", 40},
};

/* v3.0: "by v2.0, v1.0"; v1.0: "as it is"; with no way: "not at all" */
static const char *way_of(void *mem, const json_t *version)
{
	const json_t *path = json_object_get(version, "path");
	char *text = str_dup(mem, "");
	size_t n;
	json_t *name;

	if (json_is_true(json_object_get(version, "internal")))
		return "as it is";
	json_array_foreach (path, n, name)
		str_add(&text, "%s%s", n == 0 ? "by " : ", ", json_string_value(name));
	return json_array_size(path) > 0 ? text : "not at all";
}

static const char *state_of(void *mem, const json_t *version)
{
	if (!json_is_true(json_object_get(version, "deprecated")))
		return "supported";
	return str_fmt(mem, "deprecated, %lld days left",
		       (long long)json_int(version, "days_left", 0));
}

static void print_versions(const struct invocation *i, json_t *versions, bool counted)
{
	size_t n;
	json_t *v;

	show_clean(i->mem, versions);
	json_array_foreach (versions, n, v) {
		json_object_set_new(v, "read", json_string(way_of(i->mem, v)));
		json_object_set_new(v, "state", json_string(state_of(i->mem, v)));
	}
	if (counted)
		show_table(i->mem, COLUMNS, sizeof(COLUMNS) / sizeof(COLUMNS[0]), versions);
	else
		show_table(i->mem, COLUMNS, 3, versions);
}

static enum status get(const struct invocation *i, const char *version, json_t **reply)
{
	static const char *const PATH[] = {"schemas", NULL};
	const struct api_call call = {
		.method = "GET",
		.path = PATH,
		.query_names = {option_value(i, "type") == NULL ? NULL : "type", NULL},
		.query_values = {option_value(i, "type")},
	};
	json_t *versions;
	json_t *wanted = mem_own(i->mem, json_array());
	size_t n;
	json_t *v;

	TRY(api_request(i, &call, reply));
	versions = json_object_get(*reply, "versions");
	json_array_foreach (versions, n, v)
		if (version == NULL || str_eq(version, json_str(v, "version")))
			json_array_append(wanted, v);
	json_object_set(*reply, "versions", wanted);
	return OK;
}

static int list(const struct invocation *i)
{
	json_t *reply = NULL;
	size_t n;
	json_t *u;

	if (get(i, NULL, &reply) != OK)
		return command_failed();
	if (wants_json(i))
		return print_json(i, reply);
	print_versions(i, json_object_get(reply, "versions"), true);
	show_clean(i->mem, reply);
	json_array_foreach (json_object_get(reply, "unknown"), n, u)
		printf("%lld events of unknown versions of %s, the last one %s ago\n",
		       (long long)json_int(u, "validation_errors", 0), show_word(u, "type"),
		       show_age(i->mem, show_word(u, "last_seen")));
	if (json_str(reply, "trouble") != NULL)
		printf("not loaded: %s\n", json_str(reply, "trouble"));
	return EXIT_DONE;
}

static int show(const struct invocation *i)
{
	json_t *reply = NULL;

	if (get(i, i->operands[1], &reply) != OK)
		return command_failed();
	json_t *versions = json_object_get(reply, "versions");
	if (json_array_size(versions) == 0) {
		fprintf(stderr,
			"agent-sre: there is no version %s; 'agent-sre schemas list' lists "
			"them\n",
			i->operands[1]);
		return EXIT_FAILED;
	}
	if (wants_json(i))
		return print_json(i, versions);
	show_clean(i->mem, versions);
	char *text = json_dumps(versions, JSON_INDENT(2));
	printf("%s\n", text == NULL ? "" : text);
	free(text); /* jansson's own memory */
	return EXIT_DONE;
}

static enum status documents_in(void *mem, const char *path, json_t **out)
{
	struct schema_source *sources = NULL;
	size_t count = 0;

	TRY(schema_files_load(mem, path, &sources, &count));
	*out = mem_own(mem, json_array());
	for (size_t n = 0; n < count; n++)
		json_array_append(*out, (json_t *)sources[n].document);
	return OK;
}

static int add(const struct invocation *i)
{
	static const char *const PATH[] = {"schemas", NULL};
	const char *by = option_value(i, "by");
	json_t *documents = NULL;
	json_t *reply = NULL;
	size_t n;
	json_t *doc;

	if (documents_in(i->mem, i->operands[1], &documents) != OK)
		return command_failed();
	const struct api_call call = {
		.method = "POST",
		.path = PATH,
		.query_names = {"by"},
		.query_values = {by != NULL ? by : api_user(i->mem)},
		.content_type = "application/json",
		.body = json_text(i->mem, documents),
	};
	if (api_request(i, &call, &reply) != OK)
		return command_failed();
	if (wants_json(i))
		return print_json(i, reply);
	show_clean(i->mem, reply);
	json_array_foreach (json_object_get(reply, "schemas"), n, doc)
		printf("added %s of %s\n", show_word(doc, "version"), show_word(doc, "type"));
	printf("events that were refused until now: agent-sre dlq replay --all --category "
	       "schema_evolution\n");
	return EXIT_DONE;
}

static enum status read_event(void *mem, const char *path, json_t **out)
{
	char *text = NULL;
	size_t n = 0;

	enum status s = file_read(mem, str_eq(path, "-") ? "/dev/stdin" : path, LIMIT_FILE_BYTES,
				  &text, &n);
	if (s == OK)
		s = json_parse(mem, text, n, out);
	if (s == OK && json_object_get(*out, "data") == NULL)
		s = failure(E_INVALID, "no structured CloudEvent: it has no data");
	return s == OK ? OK : failure_in(E_INVALID, "%s", path);
}

static int print_reading(const struct invocation *i, const struct schema_registry *r)
{
	const char *path = option_value(i, "event");
	struct schema_outcome found;
	json_t *event = NULL;

	if (read_event(i->mem, path, &event) != OK)
		return command_failed();
	const char *type = json_str(event, "type");
	enum status s =
		schema_apply(i->mem, r, type == NULL ? "" : type, json_str(event, "dataschema"),
			     json_object_get(event, "data"), &found);
	if (s != OK && found.report != NULL)
		printf("%s\n", json_text(i->mem, found.report));
	if (s != OK)
		return command_failed();
	printf("%s: %s, read as %s\n", path, found.version, json_text(i->mem, found.data));
	return EXIT_DONE;
}

static enum status registry_of(const struct invocation *i, const char *file,
			       struct schema_registry **out)
{
	const char *const paths[] = {option_value(i, "with"), file};

	return schema_files_registry(paths, 2, out);
}

/* Without an agent: what would it say? */
static int check(const struct invocation *i)
{
	const char *file = i->operands[1];
	struct schema_registry *r = NULL;
	json_t *new = NULL;
	int code = EXIT_DONE;

	if (documents_in(i->mem, file, &new) != OK || registry_of(i, file, &r) != OK)
		return command_failed();
	json_t *all = schema_list(i->mem, r, clock_now());
	if (option_value(i, "event") != NULL) {
		code = print_reading(i, r);
	} else if (wants_json(i)) {
		code = print_json(i, all);
	} else {
		printf("%s is valid (%zu documents); with it:\n", file, json_array_size(new));
		print_versions(i, all, false);
	}
	schema_registry_release(r);
	return code;
}

/* Without an agent: an event as one of another version. */
static int convert(const struct invocation *i)
{
	const char *to = option_value(i, "to");
	struct schema_registry *r = NULL;
	json_t *event = NULL;
	json_t *out = NULL;

	if (to == NULL)
		return command_misused(i, "convert needs --to VERSION");
	if (read_event(i->mem, i->operands[1], &event) != OK || registry_of(i, NULL, &r) != OK)
		return command_failed();
	enum status s = schema_transform(i->mem, r, event, to, &out);
	schema_registry_release(r);
	return s == OK ? print_json(i, out) : command_failed();
}

static int run(const struct invocation *i)
{
	static const struct {
		const char *name, *operand; /* NULL = none */
		int (*run)(const struct invocation *i);
	} ACTIONS[] = {
		{"list", NULL, list},	  {"show", "VERSION", show},	 {"add", "FILE", add},
		{"check", "FILE", check}, {"convert", "EVENT", convert},
	};

	for (size_t n = 0; n < sizeof(ACTIONS) / sizeof(ACTIONS[0]); n++) {
		if (!str_eq(ACTIONS[n].name, i->operands[0]))
			continue;
		bool given = i->operand_count == 2;
		if (given != (ACTIONS[n].operand != NULL))
			return command_misused(i, given ? "list takes no argument"
							: str_fmt(i->mem, "%s needs %s",
								  ACTIONS[n].name,
								  ACTIONS[n].operand));
		return ACTIONS[n].run(i);
	}
	return command_misused(
		i, str_fmt(i->mem, "unknown action %s: want list, show, add, check or convert",
			   i->operands[0]));
}

const struct command command_schemas = {
	.name = "schemas",
	.operands = "list|show|add|check|convert [VERSION|FILE|EVENT]",
	.least = 1,
	.most = 2,
	.summary = "list, show, check and add versions of event data",
	.description =
		"The versions of event data that an agent takes in. list: all of a running "
		"agent, with how often each\n"
		"came. show VERSION: its schema and adapters. add FILE: adds the documents "
		"of a YAML or JSON file\n"
		"to a running agent, for good. check FILE: the same without an agent, to see "
		"what it would say; with\n"
		"--event also how it would read that event. convert EVENT --to VERSION: the "
		"event (JSON) as one of\n"
		"another version, without an agent. docs/howto/evolve-a-schema.md explains "
		"the documents.",
	.options = OPTIONS,
	.run = run,
};
