/* agent-sre store …: what may be done to a data directory by hand. */
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/show.h"
#include "store/maintain.h"

static const struct option_info OPTIONS[] = {
	{"data", "DIR", "where the store lives"},
	{"config", "FILE", "the configuration that serve uses"},
	{"json", NULL, "print JSON"},
	{NULL, NULL, NULL},
};

struct telling {
	json_t *findings; /* NULL: lines are printed as they come */
	bool progress;
};

static const char *const WORDS[] = {"step", "ok", "note", "bad"};

static void print(enum maintain_mark mark, const char *what, const char *detail)
{
	static const char *const COLOURS[] = {"", "recovered", "approval", "escalated"};

	printf("%s%-4s%s %-16s %s\n", show_colour(COLOURS[mark]), WORDS[mark], show_plain(), what,
	       detail);
	fflush(stdout);
}

static void tell(enum maintain_mark mark, const char *what, const char *detail, void *arg)
{
	struct telling *t = arg;

	if (t->progress)
		fprintf(stderr, "\r\033[K");
	if (mark == MAINTAIN_STEP) {
		if (t->progress)
			fprintf(stderr, "%s %s…", detail, what);
	} else if (t->findings == NULL) {
		print(mark, what, detail);
	} else {
		json_array_append_new(t->findings,
				      json_pack("{s:s, s:s, s:s}", "result", WORDS[mark], "what",
						what, "detail", detail));
	}
}

static enum status act(const struct maintenance *m, const char *verb, bool *good)
{
	*good = true;
	if (str_eq(verb, "check"))
		return store_check(m, good);
	if (str_eq(verb, "repair"))
		return store_repair(m, good);
	return store_compact(m);
}

static void conclude(const struct invocation *i, const struct telling *t, bool good)
{
	static const struct {
		const char *verb, *good, *bad;
	} WORDS_OF[] = {
		{"check", "the store is whole",
		 "the store is damaged: stop the agent, then run 'agent-sre store repair'"},
		{"repair", "the store is whole again, nothing was lost",
		 "the store works again; what is marked bad above is lost"},
		{"compact", "done", "done"},
	};

	if (t->findings != NULL) {
		json_t *all = mem_own(i->mem,
				      json_pack("{s:b, s:O}", "ok", good, "findings", t->findings));
		printf("%s\n", json_text(i->mem, all));
		return;
	}
	for (size_t n = 0; n < sizeof(WORDS_OF) / sizeof(WORDS_OF[0]); n++)
		if (str_eq(WORDS_OF[n].verb, i->operands[0]))
			printf("%s\n", good ? WORDS_OF[n].good : WORDS_OF[n].bad);
}

static int run(const struct invocation *i)
{
	const char *verb = i->operands[0];
	struct settings *settings = NULL;
	struct telling t = {.progress = isatty(STDERR_FILENO) == 1};
	bool good = false;

	if (!str_eq(verb, "check") && !str_eq(verb, "repair") && !str_eq(verb, "compact"))
		return command_misused(i, "check, repair or compact");
	if (load_settings(i, false, &settings, NULL) != OK)
		return command_failed();
	if (option_value(i, "json") != NULL)
		t.findings = mem_own(i->mem, json_array());
	const struct maintenance m = {.dir = settings->data,
				      .encryption_key = settings->encryption_key,
				      .previous_key = settings->encryption_previous_key,
				      .say = tell,
				      .arg = &t};
	enum status s = act(&m, verb, &good);
	if (t.progress)
		fprintf(stderr, "\r\033[K");
	if (s != OK)
		return command_failed();
	conclude(i, &t, good);
	return good ? EXIT_DONE : EXIT_FAILED;
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
