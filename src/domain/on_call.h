/*
 * Who is on call, from a schedule that people write. Pure. A shift begins at its minute and ends right before the next one's.
 *
 *   time_zone: "+02:00"            # of the times below that name none; default: UTC
 *   rotations:                     # the first one that has somebody at a time counts
 *     - name: primary
 *       people: [ana@example.com, ben@example.com]   # in turn
 *       start: 2026-01-05T09:00
 *       end: 2026-07-01T09:00      # optional
 *       shift: 7d
 *   overrides:                     # win over all rotations; the last one that fits counts
 *     - person: cleo@example.com
 *       from: 2026-01-10T00:00
 *       to: 2026-01-11T00:00
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct on_call_rotation {
	const char *name;
	const char *const *people; /* e-mail addresses */
	size_t count;
	int64_t start_ms, end_ms;  /* INT64_MAX = no end */
	int64_t shift_ms;
};

struct on_call_override {
	const char *person;
	int64_t from_ms, to_ms;
};

struct on_call_schedule {
	struct on_call_rotation *rotations;
	size_t rotation_count;
	struct on_call_override *overrides;
	size_t override_count;
};

/* E_INVALID names file, line and what is wrong. */
NODISCARD enum status on_call_parse(void *mem, const char *name, const char *text, size_t n,
				    struct on_call_schedule **out);

/* The e-mail address; NULL when nobody is. Borrowed. */
const char *on_call_at(const struct on_call_schedule *s, int64_t at_ms);

/* An HTTP source's answer {"email": "…"}; null or "" = nobody. E_INVALID for anything else. */
NODISCARD enum status on_call_decode(void *mem, const char *body, size_t n, const char **email);

/* E_INVALID unless it looks like an e-mail address: one @ between something, no spaces, no control characters. */
NODISCARD enum status on_call_check(const char *email);
