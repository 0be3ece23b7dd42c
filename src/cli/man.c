/* The man page, made from the tables that also parse and explain: it cannot drift. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/command.h"
#include "config/settings.h"

static const struct option_info OPTIONS[] = {{NULL, NULL, NULL}};

/* Text in roff: no line may begin with a dot or a quote, backslashes and dashes are escaped. */
static void text(const char *s)
{
	bool start = true;

	for (; *s != '\0'; s++) {
		if (start && (*s == '.' || *s == '\''))
			printf("\\&");
		start = *s == '\n';
		if (*s == '\\')
			printf("\\e");
		else if (*s == '-')
			printf("\\-");
		else
			putchar(*s);
	}
}

static void command_section(const struct command *c)
{
	printf(".SS ");
	text(c->name);
	printf("%s", *c->operands == '\0' ? "" : " ");
	text(c->operands);
	printf("\n");
	text(c->description);
	printf("\n");
	for (int n = 0; c->options[n].name != NULL; n++) {
		const struct option_info *o = &c->options[n];
		printf(".TP\n\\fB\\-\\-");
		text(o->name);
		printf("\\fR");
		if (o->argument != NULL) {
			printf(" \\fI");
			text(o->argument);
			printf("\\fR");
		}
		printf("\n");
		text(o->help);
		printf("\n");
	}
}

static void setting_entry(const struct setting_info *i)
{
	printf(".TP\n\\fB");
	text(i->key);
	printf("\\fR (");
	text(i->allowed);
	printf(")\n");
	text(i->meaning);
	printf(".\nDefault: ");
	text(str_empty(i->standard) ? "not set" : i->standard);
	printf(".\n");
	if (!str_empty(i->environment)) {
		printf("Environment: \\fB");
		text(i->environment);
		printf("\\fR%s%s%s.\n", i->secret ? " or \\fB" : "",
		       i->secret ? i->environment : "", i->secret ? "_FILE\\fR" : "");
	}
}

static void settings_section(void)
{
	size_t count;
	const struct setting_info *table = settings_table(&count);

	printf(".SH CONFIGURATION\nA YAML file; dots stand for nesting (\\fBpolicy.mode\\fR is "
	       "\\fBmode\\fR under \\fBpolicy\\fR).\n"
	       "The environment wins over the file, options win over the environment.\n");
	for (size_t n = 0; n < count; n++)
		setting_entry(&table[n]);
}

static void environment_section(void)
{
	static const struct {
		const char *name, *meaning;
	} VARIABLES[] = {
		{"AGENT_SRE_SERVER", "where the client commands find the agent, unless --server "
				     "says it"},
		{"AGENT_SRE_TOKEN, AGENT_SRE_TOKEN_FILE",
		 "the bearer token, or the file that holds it: serve wants it from callers, the "
		 "client commands and forward send it"},
		{"PORT", "for serve and forward: listen on this port, on all addresses, unless "
			 "--listen says otherwise"},
		{"K_SINK", "where forward sends events, unless --sink says it"},
		{"NO_COLOR", "when set, no colours on a terminal either"},
		{"SSL_CERT_FILE", "certificate authorities for https"},
	};

	printf(".SH ENVIRONMENT\nEach setting names its variable under CONFIGURATION; an empty "
	       "variable counts as not set.\n");
	for (size_t n = 0; n < sizeof(VARIABLES) / sizeof(VARIABLES[0]); n++) {
		printf(".TP\n\\fB");
		text(VARIABLES[n].name);
		printf("\\fR\n");
		text(VARIABLES[n].meaning);
		printf(".\n");
	}
}

static int run(const struct invocation *i)
{
	(void)i;
	printf(".TH AGENT\\-SRE 1 2026-11-24 \"agent-sre " AGENT_SRE_VERSION
	       "\"\n.SH NAME\nagent\\-sre \\- from a firing alert to a ticket, a remedy, a proof "
	       "and a closed ticket\n"
	       ".SH SYNOPSIS\n\\fBagent\\-sre\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR...]\n.br\n"
	       "\\fBagent\\-sre \\-\\-version\\fR | \\fB\\-\\-help\\fR\n.SH "
	       "DESCRIPTION\n"
	       "Takes a firing Prometheus alert and does what a good on\\-call engineer does: "
	       "opens a ticket, chooses a remedy,\n"
	       "carries it out through a function, proves from Prometheus that it helped, and "
	       "closes the ticket \\- or hands over\n"
	       "to a person with everything that is known.\n.SH COMMANDS\n");
	for (int n = 0; commands[n] != NULL; n++)
		command_section(commands[n]);
	settings_section();
	environment_section();
	printf(".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage.\n.SH "
	       "FILES\n.TP\n\\fIDIR\\fR/agent\\-sre.db\nthe store (SQLite), in the data directory\n"
	       ".SH EXAMPLES\n.nf\nagent\\-sre serve \\-\\-config agent\\-sre.yaml\nagent\\-sre "
	       "submit alert.json\nagent\\-sre show latest \\-\\-follow\nagent\\-sre dlq groups\n"
	       "agent\\-sre dlq replay \\-\\-all \\-\\-group 0123456789ab\n.fi\n"
	       ".SH SEE ALSO\n.BR prometheus (1)\n");
	return EXIT_DONE;
}

const struct command command_man = {
	.name = "man",
	.operands = "",
	.summary = "print the man page in roff ('agent-sre man | man -l -')",
	.description = "Prints agent-sre(1) in roff.",
	.options = OPTIONS,
	.run = run,
};
