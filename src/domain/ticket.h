/* What is done to a ticket: operations that carry their own id, so that a retry does nothing twice. */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

/* T(id, name) */
#define TICKET_KINDS(T)            \
	T(CREATE, "create")        \
	T(COMMENT, "comment")      \
	T(LINK, "link")            \
	T(LABEL, "label")          \
	T(ASSIGN, "assign")        \
	T(STATE, "state")

enum ticket_kind {
#define TICKET_ENUM(id, name) TICKET_##id,
	TICKET_KINDS(TICKET_ENUM)
#undef TICKET_ENUM
};

/* The two tickets that an incident can have. */
enum ticket_slot { TICKET_ALERT, TICKET_FAILURE };

struct ticket_op {
	int64_t seq;       /* order within its incident, given by the store */
	enum ticket_slot slot;
	enum ticket_kind kind;
	const char *uuid;  /* client-generated; the ticket's own id for CREATE, the comment's for COMMENT */
	json_t *payload;   /* CREATE {title, body, priority, labels[], assignee?}
			      COMMENT {body}   LINK {url, title}   LABEL {names[]}
			      ASSIGN {email}   STATE {type: "unstarted"|"started"|"completed"} */
};

/* Where a ticket is at the tracker. */
struct ticket_ref {
	const char *id;  /* the tracker's id (UUID) */
	const char *key; /* "OPS-66": for people, never parsed */
	const char *url;
};

const char *ticket_kind_name(enum ticket_kind k);
NODISCARD enum status ticket_kind_parse(const char *word, enum ticket_kind *out);
