#include "domain/failure_group.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "domain/text.h"

enum { PRIORITY_HIGH = 2, PRIORITY_NORMAL = 3, CELL_POINTS = 300 };

static void line(void *mem, char **out, const char *name, const char *value)
{
	if (!str_empty(value))
		str_add(out, "- %s: %s\n", name, text_code(mem, value, CELL_POINTS));
}

static char *description(void *mem, const struct failure_group *g)
{
	char *out = str_fmt(
		mem,
		"**Dead Letters**\n\n%s\n\n- Waiting: %lld, of them %lld that no retry can heal\n",
		text_markdown(mem, g->reason, LIMIT_TICKET_TEXT_POINTS), (long long)g->count,
		(long long)g->permanent);

	line(mem, &out, "Category", g->category);
	line(mem, &out, "Stage", g->stage);
	line(mem, &out, "First failure", clock_format(mem, g->first_ms));
	line(mem, &out, "Last failure", clock_format(mem, g->last_ms));
	line(mem, &out, "Group", g->key);
	str_add(&out, "\n**Newest of them**\n\n- Dead letter: %lld\n", (long long)g->letter);
	line(mem, &out, "Event", g->event_id);
	line(mem, &out, "Type", g->event_type);
	line(mem, &out, "Source", g->event_source);
	line(mem, &out, "Correlation id", g->correlation_id);
	line(mem, &out, "Incident", g->incident);
	str_add(&out,
		"\n**What to do**\n\n"
		"- Look: `agent-sre dlq list --group %s`, `agent-sre dlq show %lld`\n"
		"- When the reason is mended: `agent-sre dlq replay --all --group %s`\n"
		"- When they are of no use: `agent-sre dlq archive --all --group %s`\n"
		"\nThis ticket closes by itself when none of them waits any more.\n",
		g->key, (long long)g->letter, g->key, g->key);
	return out;
}

json_t *failure_group_ticket(void *mem, const struct failure_group *g, const char *assignee)
{
	const char *title = str_fmt(mem, "[Dead Letters] %s: %s", g->category, g->pattern);
	json_t *payload =
		json_pack("{s:s, s:s, s:i, s:s, s:[s, s]}", "title",
			  text_title(mem, title, LIMIT_TITLE_POINTS), "body", description(mem, g),
			  "priority", g->permanent > 0 ? PRIORITY_HIGH : PRIORITY_NORMAL, "reason",
			  g->permanent > 0 ? "permanent failures" : "many failures alike", "labels",
			  "dead-letter", "agent-sre");

	mem_own(mem, payload);
	if (!str_empty(assignee))
		json_object_set_new(payload, "assignee", json_string(assignee));
	return payload;
}

char *failure_group_replayed(void *mem, int64_t replayed, int64_t left)
{
	return str_fmt(mem, "**Replayed**\n\n%lld replayed successfully, %lld still wait.",
		       (long long)replayed, (long long)left);
}

char *failure_group_cleared(void *mem, int64_t replayed)
{
	return str_fmt(mem,
		       "**Cleared**\n\nNo dead letter of this group waits any more; %lld were "
		       "replayed successfully.",
		       (long long)replayed);
}
