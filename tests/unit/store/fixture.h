/* A store in a directory of its own, and events made of a few words. */
#pragma once

#include "store/store.h"

struct fixture {
	void *mem;
	char *dir;
	struct store *store;
};

int fixture_open(void **state);  /* cmocka setup: *state is the fixture */
int fixture_close(void **state);
void fixture_reopen(struct fixture *f);

struct fixture_result {
	enum admit_outcome outcome;
	int64_t incident; /* 0 = none */
};

/* Admits one event and waits until it is applied. `starts` and `ends` in seconds; ends 0 = firing. */
struct fixture_result fixture_admit(struct fixture *f, const char *id, const char *alert, int64_t starts, int64_t ends);

/* Firing when `ends` is 0; source "test". */
struct event *fixture_event(void *mem, const char *id, const char *alert, int64_t starts, int64_t ends);

/* The incident, or NULL. */
struct incident *fixture_incident(struct fixture *f, int64_t id);
