#include "daemon/maintain.h"

#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/maintain.h"

struct telling {
	json_t *findings; /* NULL: lines are printed as they come */
	bool progress;
};

static const char *const WORDS[] = {"step", "ok", "note", "bad"};

static void print(enum maintain_mark mark, const char *what, const char *detail)
{
	printf("%-4s %-16s %s\n", WORDS[mark], what, detail);
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

static void conclude(void *mem, const char *verb, const struct telling *t, bool good)
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
		json_t *all =
			mem_own(mem, json_pack("{s:b, s:O}", "ok", good, "findings", t->findings));
		printf("%s\n", json_text(mem, all));
		return;
	}
	for (size_t n = 0; n < sizeof(WORDS_OF) / sizeof(WORDS_OF[0]); n++)
		if (str_eq(WORDS_OF[n].verb, verb))
			printf("%s\n", good ? WORDS_OF[n].good : WORDS_OF[n].bad);
}

int daemon_maintain(const struct settings *settings, const char *verb, bool json)
{
	SCOPE(mem);
	struct telling t = {.findings = json ? mem_own(mem, json_array()) : NULL,
			    .progress = isatty(STDERR_FILENO) == 1};
	const struct maintenance m = {.dir = settings->data,
				      .encryption_key = settings->encryption_key,
				      .previous_key = settings->encryption_previous_key,
				      .say = tell,
				      .arg = &t};
	bool good = false;

	enum status s = act(&m, verb, &good);
	if (t.progress)
		fprintf(stderr, "\r\033[K");
	if (s != OK) {
		fprintf(stderr, "agent-sre: %s\n", status_message());
		return 1;
	}
	conclude(mem, verb, &t, good);
	return good ? 0 : 1;
}
