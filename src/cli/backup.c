/* agent-sre backup, agent-sre restore: they work on the files, no daemon is asked. */
#include "daemon/backup.h"

#include "base/str.h"
#include "cli/api.h"
#include "cli/command.h"
#include "cli/load.h"

static const struct option_info BACKUP_OPTIONS[] = {
	{"full", NULL, "all of it, not only what changed"},
	{"now", NULL, "also when the newest point is younger than backup.every"},
	{"key", "FILE", "the key that seals it (default: encryption.key, or seal.key of the data)"},
	{"work", "DIR", "drill: restore in DIR on trial (default: the data directory)"},
	{"json", NULL, "print JSON"},
	{"config", "FILE", "the configuration that serve uses"},
	{"data", "DIR", "where the store lives"},
	{NULL, NULL, NULL},
};

static const struct option_info RESTORE_OPTIONS[] = {
	{"from", "PLACE", "a directory or s3://BUCKET/PREFIX (default: the first backup.target)"},
	{"to", "TIME", "the newest point at or before TIME (RFC 3339), or latest (default)"},
	{"data", "DIR", "the new data directory: absent or empty"},
	{"key", "FILE", "the seal.key of the store that was backed up (default: encryption.key)"},
	{"json", NULL, "print JSON"},
	{"config", "FILE", "the configuration that serve uses"},
	{NULL, NULL, NULL},
};

static enum status prepare(const struct invocation *i, struct backup_command *c)
{
	struct settings *settings = NULL;

	TRY(load_settings(i, false, &settings, NULL));
	*c = (struct backup_command){
		.settings = settings,
		.key_file = option_value(i, "key"),
		.json = option_value(i, "json") != NULL,
		.by = api_user(i->mem),
	};
	return OK;
}

static int run_backup(const struct invocation *i)
{
	struct backup_command c;
	bool drill = i->operand_count > 0 && str_eq(i->operands[0], "drill");
	int place = drill ? 1 : 0;

	if (!drill && i->operand_count == 2)
		return command_misused(
			i, str_fmt(i->mem, "one argument too many: %s", i->operands[1]));
	if (drill && (option_value(i, "full") != NULL || option_value(i, "now") != NULL))
		return command_misused(i, "drill restores: it takes neither --full nor --now");
	if (!drill && option_value(i, "work") != NULL)
		return command_misused(i, "--work is for drill");
	if (prepare(i, &c) != OK)
		return command_failed();
	c.target = i->operand_count > place ? i->operands[place] : NULL;
	c.full = option_value(i, "full") != NULL;
	c.now = option_value(i, "now") != NULL;
	c.work = option_value(i, "work");
	return drill ? daemon_backup_drill(&c) : daemon_backup(&c);
}

static int run_restore(const struct invocation *i)
{
	struct backup_command c;
	bool list = i->operand_count > 0;

	if (list && !str_eq(i->operands[0], "list"))
		return command_misused(i,
				       str_fmt(i->mem,
					       "unknown action %s: want list, or none; the place "
					       "is named with --from",
					       i->operands[0]));
	if (!list && option_value(i, "data") == NULL)
		return command_misused(i, "needs --data DIR, a new directory");
	if (prepare(i, &c) != OK)
		return command_failed();
	c.target = option_value(i, "from");
	c.to = option_value(i, "to");
	return list ? daemon_restore_list(&c) : daemon_restore(&c);
}

const struct command command_backup = {
	.name = "backup",
	.operands = "[drill] [PLACE]",
	.least = 0,
	.most = 2,
	.summary = "back up the store, or try out whether its backup can be restored",
	.description =
		"Ships a sealed point of the store to PLACE, a directory or s3://BUCKET/PREFIX "
		"(default: backup.target):\n"
		"all of it, or what changed since the newest point there. Works beside a "
		"running agent and without one.\n"
		"backup drill [PLACE]: restores the newest point into a temporary directory, "
		"compares every page and\n"
		"table, opens it, and removes it again. Exit code 1 when that fails.\n"
		"Keep the key (seal.key of the data directory, or encryption.key) in another "
		"place: it is never part\nof a backup, and without it no backup opens.",
	.options = BACKUP_OPTIONS,
	.run = run_backup,
};

const struct command command_restore = {
	.name = "restore",
	.operands = "[list]",
	.least = 0,
	.most = 1,
	.summary = "put a backup back into a new data directory",
	.description =
		"Checks every part and every table, then makes DIR the data directory of what "
		"was there at TIME.\n"
		"A directory that is not empty, or in use, is refused; when anything fails it "
		"is left empty.\n"
		"restore list: the points that there are.",
	.options = RESTORE_OPTIONS,
	.run = run_restore,
};
