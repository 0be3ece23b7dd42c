/*
 * A command is data: what it is called, what it takes, what it does. Parsing, --help and the man
 * page are made from the same tables. Exit codes: 0 done, 1 failed, 2 wrong usage.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* argument NULL: a flag. */
struct option_info {
	const char *name;     /* "config" → --config */
	const char *argument; /* "FILE" */
	const char *help;
};

enum { OPTIONS_MAX = 24, OPERANDS_MAX = 16 };

struct invocation {
	void *mem;
	const struct command *command;
	/* by the option's place in the table; "" for a flag that is set */
	const char *values[OPTIONS_MAX];
	const char *operands[OPERANDS_MAX];
	int operand_count;
};

struct command {
	const char *name;
	const char *operands; /* "ID", "FILE|-", "" */
	int least, most;      /* operands */
	const char *summary;  /* one line */
	const char *description;
	const struct option_info *options; /* ended by a NULL name */
	int (*run)(const struct invocation *i);
};

extern const struct command command_serve, command_incidents, command_show, command_submit,
	command_approve, command_reject, command_doctor, command_config, command_dlq, command_schemas,
	command_partitions, command_investigate, command_slo, command_backup, command_restore, command_store,
	command_forward, command_man;

/* All of them, NULL-terminated, in the order of --help. */
extern const struct command *const commands[];

/* The value of an option, or NULL when it was not given. */
const char *option_value(const struct invocation *i, const char *name);

/* Prints "agent-sre: <the status' message>" to stderr and returns EXIT_FAILED. */
int command_failed(void);
/* The same for wrong usage, with where to look it up. */
int command_misused(const struct invocation *i, const char *what);

/* Runs argv[1…]. */
int command_main(int argc, char **argv);

/* Help of one command, or of all (NULL), to stdout. */
void command_help(const struct command *c);
