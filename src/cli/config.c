#include "config/settings.h"

#include <stdio.h>

#include "base/json.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/load.h"

static const struct option_info OPTIONS[] = {
	{"config", "FILE", "the configuration file"},
	{"json", NULL, "print JSON"},
	{NULL, NULL, NULL},
};

static int run(const struct invocation *i)
{
	struct settings *settings = NULL;
	struct setting_source *sources = NULL;
	bool check = str_eq(i->operands[0], "check");

	if (!check && !str_eq(i->operands[0], "explain"))
		return command_misused(i, "what about it? explain or check");
	if (load_settings(i, false, &settings, &sources) != OK)
		return command_failed();
	if (check)
		printf("the configuration is valid\n");
	else if (option_value(i, "json") != NULL)
		printf("%s\n", json_text(i->mem, settings_explain_json(i->mem, sources)));
	else
		printf("%s", settings_explain(i->mem, sources));
	return EXIT_DONE;
}

const struct command command_config = {
	.name = "config",
	.operands = "explain|check",
	.least = 1,
	.most = 1,
	.summary = "explain every setting with its value and source, or check them",
	.description = "explain prints every key with its type, default, value (secrets hidden), "
		       "where the value comes from, and\n"
		       "what it means. check only says whether the configuration is valid, and "
		       "what is wrong with it.",
	.options = OPTIONS,
	.run = run,
};
