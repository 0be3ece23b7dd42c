#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

const char *option_value(const struct invocation *i, const char *name)
{
	for (int n = 0; i->command->options[n].name != NULL; n++)
		if (str_eq(i->command->options[n].name, name))
			return i->values[n];
	return NULL;
}

int command_failed(void)
{
	fprintf(stderr, "agent-sre: %s\n", status_message());
	return EXIT_FAILED;
}

int command_misused(const struct invocation *i, const char *what)
{
	fprintf(stderr, "agent-sre %s: %s\ntry 'agent-sre %s --help'\n", i->command->name, what,
		i->command->name);
	return EXIT_USAGE;
}

static void print_options(const struct command *c)
{
	for (int n = 0; c->options[n].name != NULL; n++) {
		const struct option_info *o = &c->options[n];
		char left[64];
		str_print(left, sizeof(left), "--%s%s%s", o->name, o->argument == NULL ? "" : " ",
			  o->argument == NULL ? "" : o->argument);
		printf("  %-26s %s\n", left, o->help);
	}
	printf("  %-26s %s\n", "--help", "this text");
}

static void help_all(void)
{
	printf("agent-sre " AGENT_SRE_VERSION
	       ": from a firing alert to a ticket, a remedy, a proof and a closed ticket\n\n"
	       "usage: agent-sre COMMAND [OPTION…]\n\n");
	for (int n = 0; commands[n] != NULL; n++)
		printf("  %-10s %s\n", commands[n]->name, commands[n]->summary);
	printf("\n'agent-sre COMMAND --help' says more; 'agent-sre serve' starts the daemon.\n");
}

void command_help(const struct command *c)
{
	if (c == NULL) {
		help_all();
		return;
	}
	printf("usage: agent-sre %s%s%s [OPTION…]\n\n%s\n\noptions:\n", c->name,
	       *c->operands == '\0' ? "" : " ", c->operands, c->description);
	print_options(c);
}

static int find_option(const struct command *c, const char *name, size_t n)
{
	for (int k = 0; c->options[k].name != NULL; k++)
		if (strlen(c->options[k].name) == n && strncmp(c->options[k].name, name, n) == 0)
			return k;
	return -1;
}

/* Reads one --option, maybe with the next argument as its value. Returns how many arguments it
 * used; 0 = wrong. */
static int take_option(struct invocation *i, char **argv, int left)
{
	const char *name = argv[0] + 2;
	size_t n = strcspn(name, "=");
	int k = find_option(i->command, name, n);

	if (k < 0) {
		command_misused(i, str_fmt(i->mem, "unknown option %s", argv[0]));
		return 0;
	}
	bool flag = i->command->options[k].argument == NULL;
	if (flag && name[n] == '=') {
		command_misused(
			i, str_fmt(i->mem, "--%s takes no value", i->command->options[k].name));
		return 0;
	}
	if (flag || name[n] == '=') {
		i->values[k] = flag ? "" : name + n + 1;
		return 1;
	}
	if (left < 2) {
		command_misused(i, str_fmt(i->mem, "--%s needs %s", i->command->options[k].name,
					   i->command->options[k].argument));
		return 0;
	}
	i->values[k] = argv[1];
	return 2;
}

static int take_operand(struct invocation *i, const char *text)
{
	if (i->operand_count == i->command->most) {
		command_misused(i, str_fmt(i->mem, "one argument too many: %s", text));
		return 0;
	}
	i->operands[i->operand_count++] = text;
	return 1;
}

static int run_command(const struct command *c, int argc, char **argv)
{
	SCOPE(mem);
	struct invocation i = {.mem = mem, .command = c};
	bool options = true;

	for (int n = 0; n < argc;) {
		int used;
		if (options && (str_eq(argv[n], "--help") || str_eq(argv[n], "-h"))) {
			command_help(c);
			return EXIT_DONE;
		}
		if (options && str_eq(argv[n], "--")) {
			options = false;
			used = 1;
		} else if (options && str_starts(argv[n], "--")) {
			used = take_option(&i, argv + n, argc - n);
		} else if (options && argv[n][0] == '-' && argv[n][1] != '\0') {
			return command_misused(&i, str_fmt(mem, "unknown option %s", argv[n]));
		} else {
			used = take_operand(&i, argv[n]);
		}
		if (used == 0)
			return EXIT_USAGE;
		n += used;
	}
	if (i.operand_count < c->least)
		return command_misused(&i, str_fmt(mem, "needs %s", c->operands));
	return c->run(&i);
}

static const struct command *find_command(const char *name)
{
	for (int n = 0; commands[n] != NULL; n++)
		if (str_eq(commands[n]->name, name))
			return commands[n];
	return NULL;
}

static int unknown(const char *name)
{
	fprintf(stderr, "agent-sre: unknown command '%s'\ntry 'agent-sre --help'\n", name);
	return EXIT_USAGE;
}

static int help_about(const char *name)
{
	const struct command *c = name == NULL ? NULL : find_command(name);

	if (name != NULL && c == NULL)
		return unknown(name);
	command_help(c);
	return EXIT_DONE;
}

int command_main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "agent-sre: which command? try 'agent-sre --help'\n");
		return EXIT_USAGE;
	}
	const char *name = argv[1];
	if (str_eq(name, "--help") || str_eq(name, "-h") || str_eq(name, "help"))
		return help_about(argc > 2 ? argv[2] : NULL);
	if (str_eq(name, "--version")) {
		printf("agent-sre " AGENT_SRE_VERSION "\n");
		return EXIT_DONE;
	}
	const struct command *c = find_command(name);
	return c == NULL ? unknown(name) : run_command(c, argc - 2, argv + 2);
}
