/*
 * Where tickets live: Linear, or the tracker embedded in the store. One operation at a time; each
 * carries its own id, so that repeating one changes nothing.
 */
#pragma once

#include "base/status.h"
#include "clients/linear.h"
#include "domain/ticket.h"
#include "store/store.h"

struct tracker;

/* Steals nothing; `linear` and `store` must outlive it. Pictures are read from the store. */
struct tracker *tracker_linear(void *mem, struct linear *linear, struct store *store);
struct tracker *tracker_embedded(void *mem, struct store *store, const char *team, const char *base_url);

const char *tracker_name(const struct tracker *t); /* "linear", "embedded" */

/* `ref` is the slot's ticket (CREATE: id NULL). `*out` is set after CREATE, under mem. `*note` may
 * get a sentence for the timeline. Statuses as in clients/linear.h. */
NODISCARD enum status tracker_apply(void *mem, struct tracker *t, const struct ticket_op *op,
				    const struct ticket_ref *ref, struct ticket_ref *out, const char **note);

/* What a text on the ticket refers to the picture by. At Linear a placeholder, for which tracker_apply stores the picture
 * when it delivers the comment; its payload must then have "pictures": {incident, stage}. */
char *tracker_picture_url(void *mem, const struct tracker *t, int64_t incident, enum inquiry_stage stage,
			  const char *name);
