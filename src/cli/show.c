#include "cli/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/api.h"
#include "cli/command.h"
#include "domain/slo.h"
#include "domain/story.h"

enum { FOLLOW_MS = 500, VANISHED_MS = 30000 };

static const struct option_info OPTIONS[] = {
	{"follow", NULL,
	 "print new rows of the timeline as they come, until the incident is closed"},
	{"ticket", NULL, "print the ticket's text (embedded tracker)"},
	{"json", NULL, "print JSON"},
	API_OPTIONS,
	{NULL, NULL, NULL},
};

static bool is_colourful(void)
{
	return isatty(STDOUT_FILENO) && str_empty(getenv("NO_COLOR"));
}

const char *show_colour(const char *word)
{
	static const struct {
		const char *word, *colour;
	} COLOURS[] = {{"closed", "\033[32m"},	     {"recovered", "\033[32m"},
		       {"success", "\033[32m"},	     {"escalated", "\033[31m"},
		       {"failed", "\033[31m"},	     {"resolved", "\033[32m"},
		       {"pending", "\033[33m"},	     {"approval", "\033[33m"},
		       {"asked", "\033[33m"},	     {"retry", "\033[33m"},
		       {"verifying", "\033[36m"},    {"remediating", "\033[36m"},
		       {"not_recovered", "\033[31m"}};

	for (size_t n = 0; n < sizeof(COLOURS) / sizeof(COLOURS[0]) && is_colourful(); n++)
		if (str_eq(COLOURS[n].word, word))
			return COLOURS[n].colour;
	return "";
}

const char *show_plain(void)
{
	return is_colourful() ? "\033[0m" : "";
}

char *show_age(void *mem, const char *time)
{
	static const struct {
		int64_t ms;
		const char *unit;
	} UNITS[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}};
	int64_t at = 0;

	if (time == NULL || clock_parse(time, &at) != OK)
		return str_dup(mem, "-");
	int64_t age = clock_now() > at ? clock_now() - at : 0;
	for (size_t n = 0; n < sizeof(UNITS) / sizeof(UNITS[0]); n++)
		if (age >= UNITS[n].ms)
			return str_fmt(mem, "%lld %s", (long long)(age / UNITS[n].ms),
				       UNITS[n].unit);
	return str_fmt(mem, "%lld s", (long long)(age / 1000));
}

const char *show_word(const json_t *row, const char *key)
{
	const char *value = json_str(row, key);
	return str_empty(value) ? "-" : value;
}

static char *cell(void *mem, const json_t *row, const struct show_column *c)
{
	const json_t *value = json_object_get(row, c->key);
	char *text;

	if (c->most == 0)
		return show_age(mem, json_string_value(value));
	if (json_is_integer(value))
		return str_fmt(mem, "%lld", (long long)json_integer_value(value));
	text = str_cut(mem, show_word(row, c->key), c->most);
	for (char *at = text; *at != '\0'; at++)
		if (*at == '\n' || *at == '\t')
			*at = ' ';
	return text;
}

static size_t points(const char *text)
{
	size_t count = 0;

	for (; *text != '\0'; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

static void print_line(void *mem, const struct show_column *columns, size_t count,
		       const json_t *row, const size_t *widths)
{
	for (size_t c = 0; c < count; c++) {
		const char *text = row == NULL ? columns[c].title : cell(mem, row, &columns[c]);
		const char *colour = row == NULL ? "" : show_colour(text);
		bool last = c + 1 == count;
		printf("%s%s%s%*s", colour, text, *colour == '\0' ? "" : show_plain(),
		       last ? 0 : (int)(widths[c] - points(text)) + 2, "");
	}
	printf("\n");
}

void show_table(void *mem, const struct show_column *columns, size_t count, const json_t *rows)
{
	size_t *widths = NEW_ARRAY(mem, size_t, count);
	size_t n;
	json_t *row;

	for (size_t c = 0; c < count; c++) {
		widths[c] = points(columns[c].title);
		json_array_foreach (rows, n, row) {
			size_t width = points(cell(mem, row, &columns[c]));
			widths[c] = width > widths[c] ? width : widths[c];
		}
	}
	print_line(mem, columns, count, NULL, widths);
	json_array_foreach (rows, n, row)
		print_line(mem, columns, count, row, widths);
}

static char *clean(void *mem, const char *text)
{
	char *copy = str_dup(mem, text);

	for (unsigned char *c = (unsigned char *)copy; *c != '\0'; c++) {
		if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
			c[0] = c[1] = '?';
		if ((*c < ' ' && *c != '\n' && *c != '\t') || *c == 0x7f)
			*c = '?';
	}
	return copy;
}

void show_clean(void *mem, json_t *answer)
{
	size_t n;
	const char *key;
	json_t *value;

	if (json_is_string(answer))
		json_string_set(answer, clean(mem, json_string_value(answer)));
	json_array_foreach (answer, n, value)
		show_clean(mem, value);
	json_object_foreach (answer, key, value)
		show_clean(mem, value);
}

static void line(const char *name, const char *value)
{
	if (!str_empty(value))
		printf("  %-14s %s\n", name, value);
}

static void print_slo(void *mem, const json_t *v)
{
	const json_t *doc = json_object_get(v, "slo");

	if (doc == NULL)
		return;
	const struct slo_context *c = slo_context_decode(mem, doc);
	if (slo_is_known(c))
		line("slo", str_fmt(mem, "%s: %s violation, SLI %s of %s, %s of the budget left",
				    c->slo, slo_violation_name(c->violation),
				    story_percent(mem, c->current), story_percent(mem, c->target),
				    story_percent(mem, c->budget_remaining)));
	else
		line("slo", str_fmt(mem, "%s: unavailable, %s", c->slo,
				    c->trouble == NULL ? "unknown why" : c->trouble));
}

static void print_head(void *mem, const json_t *v)
{
	const json_t *plan = json_object_get(v, "plan");
	const json_t *parameters = json_object_get(plan, "parameters");
	const char *state = show_word(v, "state");
	const char *resource = json_str(v, "resource");

	printf("%s  %s%s%s  %s%s%s\n", show_word(v, "id"), show_colour(state), state, show_plain(),
	       show_word(v, "alertname"), resource == NULL ? "" : " - ",
	       resource == NULL ? "" : resource);
	line("ticket", json_str(json_object_get(v, "ticket"), "url"));
	line("severity", json_str(v, "severity"));
	print_slo(mem, v);
	line("assignee", json_str(v, "assignee"));
	line("received", json_str(v, "received_at"));
	line("resolved by", json_str(v, "resolved_by"));
	line("correlation", json_str(v, "correlation_id"));
	if (plan != NULL) {
		line("function", str_fmt(mem, "%s %s", show_word(plan, "function"),
					 parameters == NULL ? "" : json_text(mem, parameters)));
		line("chosen by", str_fmt(mem, "%s, confidence %.2f", show_word(plan, "method"),
					  json_number_value(json_object_get(plan, "confidence"))));
		line("decision",
		     str_fmt(mem, "%s: %s", show_word(plan, "decision"), show_word(plan, "why")));
	}
	line("escalated", json_str(v, "escalation"));
	if (str_eq(state, "approval"))
		line("next", str_fmt(mem, "agent-sre approve %s --digest %.12s", show_word(v, "id"),
				     show_word(plan, "digest")));
}

static void print_row(void *mem, const json_t *row, int64_t received_ms)
{
	int64_t at = 0;
	const char *outcome = show_word(row, "outcome");
	const char *note = json_str(row, "note");

	if (clock_parse(show_word(row, "at"), &at) != OK)
		at = received_ms;
	printf("  %+9.3f s  %-10s %s%-14s%s %8s  %s\n", (double)(at - received_ms) / 1000.0,
	       show_word(row, "step"), show_colour(outcome), outcome, show_plain(),
	       str_duration(mem, json_int(row, "duration_ms", 0)), note == NULL ? "" : note);
}

static void print_checks(const json_t *verification)
{
	size_t n;
	json_t *c;

	if (verification == NULL)
		return;
	printf("\n  verification: %s\n", str_empty(json_str(verification, "verdict"))
						 ? "under way"
						 : json_str(verification, "verdict"));
	json_array_foreach (json_object_get(verification, "checks"), n, c) {
		const json_t *passed = json_object_get(c, "passed");
		const char *limit = json_str(c, "limit");
		printf("    %s %s: observed %s%s%s\n",
		       json_is_true(passed)    ? "✔"
		       : json_is_false(passed) ? "✘"
					       : "?",
		       show_word(c, "name"), show_word(c, "observed"),
		       str_empty(limit) ? "" : ", limit ", str_empty(limit) ? "" : limit);
	}
}

static int64_t received_of(const json_t *v)
{
	int64_t at = 0;
	const char *text = json_str(v, "received_at");

	return text != NULL && clock_parse(text, &at) == OK ? at : 0;
}

static size_t print_rows(void *mem, const json_t *v, size_t from)
{
	const json_t *rows = json_object_get(v, "timeline");

	for (size_t n = from; n < json_array_size(rows); n++)
		print_row(mem, json_array_get(rows, n), received_of(v));
	fflush(stdout);
	return json_array_size(rows);
}

static enum status fetch(const struct invocation *i, const char *id, json_t **out)
{
	const char *const path[] = {"incidents", id, NULL};
	const struct api_call call = {.method = "GET", .path = path};

	enum status s = api_request(i, &call, out);
	if (s == E_NOTFOUND && str_eq(id, "latest"))
		return failure(s, "no incidents yet; send an alert with 'agent-sre submit FILE'");
	TRY(s);
	if (json_str(*out, "id") == NULL || json_str(*out, "state") == NULL)
		return failure(E_INVALID, "the answer is not an incident");
	if (option_value(i, "json") == NULL)
		show_clean(i->mem, *out);
	return OK;
}

static void print_all(void *mem, const json_t *v)
{
	print_head(mem, v);
	printf("\n");
	print_rows(mem, v, 0);
	print_checks(json_object_get(v, "verification"));
}

static int print_ticket(const struct invocation *i, const json_t *v)
{
	const char *key = json_str(json_object_get(v, "ticket"), "key");
	const char *const path[] = {"tickets", key, NULL};
	const struct api_call call = {.method = "GET", .path = path};
	json_t *t = NULL;
	size_t n;
	json_t *entry;

	if (key == NULL) {
		fprintf(stderr, "agent-sre: the ticket of %s does not exist yet\n",
			json_str(v, "id"));
		return EXIT_FAILED;
	}
	if (api_request(i, &call, &t) != OK)
		return command_failed();
	if (option_value(i, "json") != NULL) {
		printf("%s\n", json_text(i->mem, t));
		return EXIT_DONE;
	}
	show_clean(i->mem, t);
	printf("%s  %s  [%s]\n\n%s\n", show_word(t, "key"), show_word(t, "title"),
	       show_word(t, "state"), show_word(t, "body"));
	json_array_foreach (json_object_get(t, "entries"), n, entry) {
		bool comment = str_eq(json_str(entry, "kind"), "comment");
		printf("―― %s ―― %s\n%s%s\n", show_word(entry, "at"), show_word(entry, "kind"),
		       show_word(entry, "body"), comment ? "" : "\n");
	}
	return EXIT_DONE;
}

static void sleep_ms(long ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	nanosleep(&t, NULL);
}

/* Prints what is new until the incident is closed; `*v` is the last answer, which the caller owns.
 */
static enum status follow(const struct invocation *i, json_t **v)
{
	char *id = str_dup(i->mem, json_str(*v, "id"));
	int64_t last_seen = clock_monotonic();
	size_t printed = print_rows(i->mem, *v, 0);

	while (!str_eq(json_str(*v, "state"), "closed")) {
		SCOPE(mem);
		struct invocation look = *i;
		json_t *now = NULL;

		sleep_ms(FOLLOW_MS);
		look.mem = mem;
		enum status s = fetch(&look, id, &now);
		if (s == E_TRANSIENT && clock_monotonic() - last_seen < VANISHED_MS)
			continue;
		TRY(s);
		last_seen = clock_monotonic();
		printed = print_rows(mem, now, printed);
		if (ferror(stdout))
			return failure(E_CANCELED, "nobody reads the output any more");
		json_decref(*v);
		*v = json_incref(now);
	}
	return OK;
}

static int run_follow(const struct invocation *i, json_t *first)
{
	json_t *v = json_incref(first);

	print_head(i->mem, v);
	printf("\n");
	enum status s = follow(i, &v);
	if (s == OK)
		print_checks(json_object_get(v, "verification"));
	json_decref(v);
	return s == OK ? EXIT_DONE : command_failed();
}

static int run(const struct invocation *i)
{
	json_t *v = NULL;
	bool json = option_value(i, "json") != NULL;

	if (json && option_value(i, "follow") != NULL)
		return command_misused(i, "--json shows the present state: it cannot --follow");
	if (fetch(i, i->operands[0], &v) != OK)
		return command_failed();
	if (option_value(i, "ticket") != NULL)
		return print_ticket(i, v);
	if (option_value(i, "follow") != NULL)
		return run_follow(i, v);
	if (json)
		printf("%s\n", json_text(i->mem, v));
	else
		print_all(i->mem, v);
	return EXIT_DONE;
}

const struct command command_show = {
	.name = "show",
	.operands = "ID|latest",
	.least = 1,
	.most = 1,
	.summary = "show one incident: what was decided, and its timeline",
	.description = "Prints the incident and its timeline: every step with its time since "
		       "receipt, its outcome and duration,\n"
		       "and the checks of the verification with observed value and limit.",
	.options = OPTIONS,
	.run = run,
};
