/*
 * Dead letters that failed alike, as one ticket tells of them (SRE-010.7): its words, in Markdown. What others wrote
 * goes through text.h. Pure; results live under mem.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct failure_group {
	const char *key, *stage, *category, *pattern; /* as GET /dlq/groups shows them */
	int64_t count, permanent; /* letters that wait; of them those that no retry can heal */
	int64_t first_ms, last_ms;
	/* the newest as an example */
	int64_t letter;
	const char *reason, *event_id, *event_type, *event_source, *correlation_id;
	const char *incident; /* "INC-7", or "" */
};

/* The payload of TICKET_CREATE; `assignee` "" = nobody. */
json_t *failure_group_ticket(void *mem, const struct failure_group *g, const char *assignee);
/* `left` letters still wait. */
char *failure_group_replayed(void *mem, int64_t replayed, int64_t left);
char *failure_group_cleared(void *mem, int64_t replayed);
