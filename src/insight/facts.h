/*
 * Everything that is computed from an evidence before anybody concludes anything: the changes of each series, when the
 * symptom began, and logs and traces before and after that. Pure; borrows from the evidence.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "domain/evidence.h"
#include "insight/change_point.h"
#include "insight/latency.h"
#include "insight/log_pattern.h"
#include "insight/service_map.h"

struct series_facts {
	const struct series *series;
	struct change *changes;
	size_t count;
};

/* A change of a series; change = NULL: none. */
struct hit {
	const struct series *series;
	const struct change *change;
};

/* What to look for. Spikes never count. */
struct wanted {
	enum series_role role;
	int64_t from_ms, to_ms; /* when it begins */
	bool up;
	double least_share;     /* of the level before */
	bool others;            /* of objects other than the alert's; false: of the alert's own */
	bool anybodys;          /* whichever object */
};

struct facts {
	const struct evidence *evidence;
	struct window window; /* that of the evidence, within the years that arithmetic survives */
	struct series_facts *series;
	size_t series_count;
	struct hit symptom;  /* what the alert saw and is still so; change = NULL: nothing that lasts */
	int64_t began_ms;    /* of the symptom; else when the alert fired */
	struct log_summary logs;         /* split at began_ms */
	struct service_map before, after; /* likewise */
	struct latency latency_before, latency_after; /* of the alert's service */
};

struct facts *facts_make(void *mem, const struct evidence *e);

/* The largest such change, in units of noise. */
struct hit facts_find(const struct facts *f, const struct wanted *w);

/* Is what began with the change still so when the alert fires? */
bool facts_lasts(const struct facts *f, const struct hit *h);

/* And also when the window ends? */
bool facts_lasts_to_end(const struct facts *f, const struct hit *h);

/* The one series of the alert's object in that role; NULL when there is none. */
const struct series *facts_series(const struct facts *f, enum series_role role);

/* Does `object` name what the alert is about: the pod, its service? */
bool facts_is_own(const struct facts *f, const char *object);

/* The level of a series after the symptom began, before it; NAN = no samples. */
double facts_level_before(const struct facts *f, const struct series *s);
double facts_level_after(const struct facts *f, const struct series *s);
