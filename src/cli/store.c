/* agent-sre store …: what may be done to a data directory by hand. */
#include "base/str.h"
#include "cli/command.h"
#include "cli/load.h"
#include "daemon/maintain.h"

static const struct option_info OPTIONS[] = {
	{"data", "DIR", "where the store lives"},
	{"config", "FILE", "the configuration that serve uses"},
	{"json", NULL, "print JSON"},
	{NULL, NULL, NULL},
};

static int run(const struct invocation *i)
{
	const char *verb = i->operands[0];
	struct settings *settings = NULL;

	if (!str_eq(verb, "check") && !str_eq(verb, "repair") && !str_eq(verb, "compact"))
		return command_misused(i, "check, repair or compact");
	if (load_settings(i, false, &settings, NULL) != OK)
		return command_failed();
	return daemon_maintain(settings, verb, option_value(i, "json") != NULL);
}

const struct command command_store = {
	.name = "store",
	.operands = "check|repair|compact",
	.least = 1,
	.most = 1,
	.summary = "check, repair or compact a data directory",
	.description =
		"check reads everything (database, relations, intake log, key) and changes "
		"nothing; a running agent may go on.\n"
		"repair copies what is there aside, saves every row that can be read into a new "
		"database and applies the\n"
		"intake log to it. compact gives unused space back to the disk. Both need the "
		"agent to be stopped.\n"
		"Exit code 1 when something is wrong (check), or was lost (repair).",
	.options = OPTIONS,
	.run = run,
};
