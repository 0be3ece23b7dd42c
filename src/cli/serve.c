#include "daemon/serve.h"

#include "cli/command.h"
#include "cli/load.h"

static const struct option_info OPTIONS[] = {
	{"config", "FILE", "YAML configuration; see 'agent-sre config explain'"},
	{"listen", "ADDR:PORT", "where to listen (default 127.0.0.1:8000)"},
	{"data", "DIR", "where the store lives (default ./agent-sre-data)"},
	{"catalogue", "FILE", "the remediation functions"},
	{"mode", "MODE", "autopilot, supervised (ask before every action) or shadow (only report)"},
	{NULL, NULL, NULL},
};

static int run(const struct invocation *i)
{
	struct settings *settings = NULL;

	if (load_settings(i, true, &settings, NULL) != OK)
		return command_failed();
	return daemon_serve(settings);
}

const struct command command_serve = {
	.name = "serve",
	.operands = "",
	.summary = "run the daemon: take in alerts and see each through to a closed ticket",
	.description = "Takes in CloudEvents (POST /) and Alertmanager's webhook (POST /webhook), "
		       "opens a ticket for each\n"
		       "incident, calls the remediation function, proves the effect from "
		       "Prometheus and closes the ticket.\n"
		       "Configuration comes from the file, then the environment, then these "
		       "options; later ones win.\n"
		       "SIGTERM stops it: what was accepted is kept, running steps finish or run "
		       "again after the next start.",
	.options = OPTIONS,
	.run = run,
};
