/*
 * The evidence for an incident: all sources are asked at the same time about the same window, each with its own
 * deadline; what fails is noted and loses nothing else (AI-001.24, WORKFLOW-003.8). Blocks for the whole deadline at
 * most. Holds no lock and no database connection; starts two threads of its own and ends them.
 */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "clients/backend.h"
#include "clients/prometheus.h"
#include "domain/evidence.h"
#include "net/watch.h"

enum {
	GATHER_BEFORE_MS = 3600 * 1000, /* the window begins so long before the alert (WORKFLOW-003.2) */
	GATHER_POINTS = 300,            /* values of a series, at most: an hour and a quarter in steps of 15 s */
	GATHER_SERIES_OF_ROLE = 20,     /* the highest ones are kept */
	GATHER_LINES = 1000,
	GATHER_LINE_POINTS = 500,       /* code points of one line */
	GATHER_TRACES = 20,
	GATHER_SPANS = 2000
};

/* Bounds how many queries a second each source gets, from all threads together: a storm of incidents must not bring down
 * what they are looked into with. */
struct gather_gate;
struct gather_gate *gather_gate_new(void *mem, long long per_second);

struct sources {
	struct prometheus prometheus; /* url NULL = not configured */
	struct backend loki, tempo;   /* likewise */
	struct gather_gate *gate;     /* NULL = no bound */
	struct watch *watch;          /* who is away is not asked; NULL = every source is there */
	int64_t source_timeout_ms;    /* of one source; WORKFLOW-003.9: 8 s … */
	int64_t timeout_ms;           /* … within 10 s in all */
};

/* From an hour before the alert until now; an alert from the future counts as one of now. */
struct window gather_window(int64_t starts_ms, int64_t now_ms);

/* `labels`: the alert's, an object of strings, alertname among them. OK whatever became of the sources: see
 * (*out)->asked. E_CANCELED when the HTTP client was stopped. The evidence is a child of mem. */
NODISCARD enum status gather(void *mem, const struct sources *s, const json_t *labels, const struct window *window,
			     struct evidence **out);
