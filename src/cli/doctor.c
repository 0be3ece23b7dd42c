#include "daemon/doctor.h"

#include "cli/command.h"
#include "cli/load.h"

static const struct option_info OPTIONS[] = {
	{"config", "FILE", "the configuration that serve uses"},
	{"data", "DIR", "where the store lives"},
	{"catalogue", "FILE", "the remediation functions"},
	{"json", NULL, "print JSON"},
	{NULL, NULL, NULL},
};

static int run(const struct invocation *i)
{
	struct settings *settings = NULL;

	if (load_settings(i, false, &settings, NULL) != OK)
		return command_failed();
	return daemon_doctor(settings, option_value(i, "json") != NULL);
}

const struct command command_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "check configuration, store and every configured peer, and say what to do",
	.description = "Reads the configuration as serve does, opens the store (or sees that a "
		       "running agent has it), and makes\n"
		       "a real call to Prometheus, Alertmanager, the tracker and each function. "
		       "Each failure comes with advice.\n"
		       "Exit code 1 when something that is needed does not work.",
	.options = OPTIONS,
	.run = run,
};
