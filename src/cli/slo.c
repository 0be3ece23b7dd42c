/* agent-sre slo …: Prometheus rules from OpenSLO definitions, and the state of SLOs. Works without
 * a running agent. */
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/show.h"
#include "daemon/openslo_files.h"
#include "daemon/slo.h"
#include "domain/slo_rules.h"
#include "domain/story.h"

static const struct option_info OPTIONS[] = {
	{"config", "FILE", "list, show: the configuration that serve uses"},
	{"json", NULL, "print JSON"},
	{NULL, NULL, NULL},
};

static bool wants_json(const struct invocation *i)
{
	return option_value(i, "json") != NULL;
}

static void print_notes(const struct openslo *o)
{
	size_t count = 0;
	const char *const *notes = openslo_notes(o, &count);

	for (size_t n = 0; n < count; n++)
		fprintf(stderr, "agent-sre: note: %s\n", notes[n]);
}

static int rules(const struct invocation *i)
{
	const char **paths = NEW_ARRAY(i->mem, const char *, OPERANDS_MAX + 1);
	struct openslo *o = NULL;
	size_t count = 0;

	for (int n = 1; n < i->operand_count; n++)
		paths[n - 1] = i->operands[n];
	if (openslo_files_load(i->mem, paths, &o) != OK)
		return command_failed();
	print_notes(o);
	openslo_all(o, &count);
	if (count == 0) {
		fprintf(stderr, "agent-sre: there is no document of kind SLO\n");
		return EXIT_FAILED;
	}
	printf("%s",
	       wants_json(i) ? json_text(i->mem, slo_rules(i->mem, o)) : slo_rules_text(i->mem, o));
	printf("%s", wants_json(i) ? "\n" : "");
	return EXIT_DONE;
}

static char *lasts(void *mem, double seconds)
{
	if (isinf(seconds))
		return str_dup(mem, "never");
	if (!isfinite(seconds))
		return str_dup(mem, "unknown");
	if (seconds <= 0)
		return str_dup(mem, "spent");
	return seconds < 1e12 ? str_duration(mem, (long long)(seconds * 1000))
			      : str_dup(mem, "never");
}

static char *times(void *mem, double multiple)
{
	return isfinite(multiple) ? str_fmt(mem, "%.3gx", multiple) : str_dup(mem, "unknown");
}

/* "14.4x/3x" of the pair 5m/1h. */
static char *pair_text(void *mem, const struct slo_context *c, const struct slo_pair *p)
{
	return str_fmt(mem, "%s/%s", times(mem, c->multiples[p->brief]),
		       times(mem, c->multiples[p->lengthy]));
}

static json_t *row_of(void *mem, const struct slo_context *c)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "slo", c->slo, "source",
			 c->source == NULL ? "none" : c->source, "objective",
			 story_percent(mem, c->target), "sli", story_percent(mem, c->current),
			 "remaining", story_percent(mem, c->budget_remaining), "page",
			 pair_text(mem, c, &slo_pairs[0]), "ticket",
			 pair_text(mem, c, &slo_pairs[2]), "spent_in", lasts(mem, c->exhaustion_s),
			 "violation", slo_violation_name(c->violation));
}

static const struct show_column COLUMNS[] = {
	{"SLO", "slo", 40},	      {"OBJECTIVE", "objective", 12},
	{"SLI", "sli", 14},	      {"BUDGET LEFT", "remaining", 14},
	{"BURN 5m/1h", "page", 20},   {"2h/1d", "ticket", 20},
	{"SPENT IN", "spent_in", 16}, {"VIOLATION", "violation", 10},
	{"SOURCE", "source", 8},
};

static int list(const struct invocation *i, const struct settings *s)
{
	json_t *found = NULL;
	json_t *rows = mem_own(i->mem, json_array());
	size_t n;
	json_t *one;

	if (slo_status(i->mem, s, NULL, &found) != OK)
		return command_failed();
	if (wants_json(i)) {
		printf("%s\n", json_text(i->mem, found));
		return EXIT_DONE;
	}
	if (json_array_size(found) == 0) {
		printf("no SLO is known: neither a definition (slo.definitions) nor a record in "
		       "Prometheus names one\n");
		return EXIT_DONE;
	}
	show_clean(i->mem, found);
	json_array_foreach (found, n, one)
		json_array_append_new(rows, row_of(i->mem, slo_context_decode(i->mem, one)));
	show_table(i->mem, COLUMNS, sizeof(COLUMNS) / sizeof(COLUMNS[0]), rows);
	return EXIT_DONE;
}

static void line(const char *name, const char *value)
{
	printf("%-22s %s\n", name, value);
}

static void print_pairs(void *mem, const struct slo_context *c)
{
	for (int n = 0; n < SLO_PAIR_COUNT; n++) {
		const struct slo_pair *p = &slo_pairs[n];
		bool burning = slo_pair_multiple(c, p) > p->factor;
		line(str_fmt(mem, "burn %s/%s", slo_window_name(p->brief),
			     slo_window_name(p->lengthy)),
		     str_fmt(mem, "%s (%s above %gx%s)", pair_text(mem, c, p),
			     p->page ? "page" : "ticket", p->factor, burning ? ": burning" : ""));
	}
}

static void print_one(void *mem, const struct slo_context *c)
{
	line("SLO", c->slo);
	line("SLI", str_empty(c->sli) ? "unknown" : c->sli);
	line("source", c->source == NULL ? "none" : c->source);
	if (c->trouble != NULL)
		line("unavailable", c->trouble);
	line("objective", story_percent(mem, c->target));
	line("period", lasts(mem, c->period_s));
	line("current", story_percent(mem, c->current));
	line("error budget left", story_percent(mem, c->budget_remaining));
	line("error budget used",
	     isfinite(c->consumed) ? str_fmt(mem, "%.4g times", c->consumed) : "unknown");
	line("burn rate", story_percent(mem, c->burn_rate));
	line("violation", slo_violation_name(c->violation));
	print_pairs(mem, c);
	line("spent in", lasts(mem, c->exhaustion_s));
}

static int show(const struct invocation *i, const struct settings *s)
{
	json_t *found = NULL;

	if (slo_status(i->mem, s, i->operands[1], &found) != OK)
		return command_failed();
	if (wants_json(i)) {
		printf("%s\n", json_text(i->mem, json_array_get(found, 0)));
	} else {
		show_clean(i->mem, found);
		print_one(i->mem, slo_context_decode(i->mem, json_array_get(found, 0)));
	}
	return EXIT_DONE;
}

static int run(const struct invocation *i)
{
	const char *action = i->operands[0];
	struct settings *s = NULL;

	if (str_eq(action, "rules"))
		return i->operand_count > 1
			       ? rules(i)
			       : command_misused(i, "rules needs a file or a directory");
	bool one = str_eq(action, "show");
	if (!one && !str_eq(action, "list"))
		return command_misused(
			i, str_fmt(i->mem, "unknown action %s: want rules, list or show", action));
	if (i->operand_count != (one ? 2 : 1))
		return command_misused(i, one ? "show needs the name of one SLO"
					      : "list takes no argument");
	if (load_settings(i, false, &s, NULL) != OK)
		return command_failed();
	return one ? show(i, s) : list(i, s);
}

const struct command command_slo = {
	.name = "slo",
	.operands = "rules|list|show [FILE…|DIR|NAME]",
	.least = 1,
	.most = OPERANDS_MAX,
	.summary = "make Prometheus rules from OpenSLO files; show the state of SLOs",
	.description =
		"rules FILE…|DIR: writes Prometheus rules for OpenSLO v1 definitions: records of "
		"the errors over several\n"
		"windows, of the objective and of the error budget, and alerts when the budget "
		"burns too fast.\n"
		"list, show NAME: asks Prometheus for the state of all SLOs or of one: objective, "
		"SLI, error budget,\n"
		"burn rates, when the budget is spent, and where that was found. What is not "
		"known is 'unknown'.\n"
		"docs/howto/slo.md tells more.",
	.options = OPTIONS,
	.run = run,
};
