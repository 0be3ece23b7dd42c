/*
 * The third lane of an incident: its investigations, one for each stage, and the pictures that they leave. An inquiry is
 * taken up again until it is settled for good; what it says goes to the ticket in the same transaction that settles it, so
 * it is said once for each (incident, stage) (WORKFLOW-003.12).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "store/store.h"

const char *inquiry_stage_name(enum inquiry_stage s); /* "initial", "post-remediation" */
NODISCARD enum status inquiry_stage_parse(const char *name, enum inquiry_stage *out);

struct inquiry {
	enum inquiry_stage stage;
	int attempt;        /* looks so far that left something open */
	bool told;          /* a first, partial answer is on the ticket */
	int64_t asked_ms;   /* when it was decided on */
	int64_t due_ms;
};
/* The one that is due first; E_NOTFOUND when there is none. */
NODISCARD enum status store_inquiry_next(struct store *s, int64_t incident, struct inquiry *out);

struct picture {
	const char *name;       /* "cpu", unique in its stage; a file name without its ending */
	const char *media_type; /* image/png, image/svg+xml, application/json */
	const char *alt;        /* what it shows, in words */
	const void *bytes;
	size_t size;
};

/* What one look left behind. */
struct inquiry_answer {
	const struct picture *pictures; /* in place of those that the stage had */
	size_t picture_count;
	const struct ticket_op *ops; /* appended to the ticket lane */
	size_t op_count;
	int64_t again_ms;            /* when to look again for what is missing; 0 = settled for good */
	const char *outcome;         /* for the timeline: done, partial, failed */
	const char *note;            /* one sentence, or NULL */
	int64_t started_ms, now_ms;
};
/* One transaction; blocks until durable. */
NODISCARD enum status store_inquiry_settle(struct store *s, int64_t incident, const struct inquiry *q,
					   const struct inquiry_answer *a);

/* The bytes are under mem. E_NOTFOUND. */
NODISCARD enum status store_picture(void *mem, struct store *s, int64_t incident, enum inquiry_stage stage,
				    const char *name, const char *media_type, struct picture *out);
