/*
 * Are the peers there? One breaker per peer, fed by every call that names it (http_client_observe) and by looks of its
 * own: one thread makes a cheap request to each peer every two seconds. What fails once is looked at more closely at
 * once, on new connections; only when three looks in a row failed, or five calls within a minute, is the peer away. An
 * away peer is tried every half a second to three seconds with a request that shows that it does its work, and is back after two good
 * answers in a row. While it is away nobody else needs to try.
 *
 * Looks carry no event, and the cheap ones no credentials. All functions may be called from any thread; those that take
 * a watch accept NULL (nothing is watched: every peer is there).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/breaker.h"
#include "base/status.h"
#include "net/http_client.h"

enum {
	WATCH_NOBODY = -1,    /* a peer that is not watched: always there */
	WATCH_PEERS_MAX = 64, /* more hosts than this are not watched */
	WATCH_LOOK_MS = 1000  /* a look that takes longer has failed */
};

struct watch;

struct watch_peer {
	const char *component; /* the word that calls to it name as `peer` */
	/* The cheap look; its answer may have any code but 500, 502, 503 and 504. */
	struct http_request look;
	/* The proof: same rule. url NULL = as the look. */
	struct http_request proof;
	/* Looked at only while calls name it, or while it is away: of one that is never called nothing is told. */
	bool while_used;
};

struct watch_change {
	int peer;
	const char *component, *name;
	bool away;
	const char *kind;     /* refused, unreachable, dns, tls, reset, silent, slow, invalid, status */
	const char *error;    /* for people who are logged in: may name hosts, never a secret; valid in the call only */
	int64_t at_ms;        /* wall clock */
	int64_t lasted_ms;    /* away: from the first sign to the verdict; back: how long it was away */
};
/* On the watch's thread, in order, at most a look later than watch_is_here says it. The first good word after the
 * start is told too. May block: meanwhile nobody looks. */
typedef void watch_change_fn(const struct watch_change *c, void *arg);

/* Borrows `http`, and observes it. */
struct watch *watch_new(void *mem, struct http_client *http);
/* Before watch_start. Copies what it needs; the texts of the requests are copied too. */
void watch_add(struct watch *w, const struct watch_peer *p);
/* Calls that name `component` go to many hosts: each is a peer of its own, named "component:host", looked at by
 * connecting only, while it is in use or away. */
void watch_add_hosts(struct watch *w, const char *component, const char *ca_file);
NODISCARD enum status watch_start(struct watch *w, watch_change_fn *changed, void *arg);
/* No change is told any more. After http_client_stop, or it waits for the looks under way; before the client is freed.
 * NULL is legal. */
void watch_stop(struct watch *w);

/* The peer that a call with this word and URL goes to, or WATCH_NOBODY. */
int watch_find(struct watch *w, const char *component, const char *url);
/* False from the moment that it is known to be away until it is known to be back; also while one that was never seen
 * gives trouble. */
bool watch_is_here(struct watch *w, int peer);
/* For calls that are not HTTP: how one ended; `kind` and `error` as in watch_change when it was bad. */
void watch_report(struct watch *w, int peer, bool good, const char *kind, const char *error);

struct watch_view {
	const char *component;
	char name[128];
	bool known; /* an answer has come, or it is away */
	bool away;
	const char *kind;   /* of the newest trouble; "" = there never was any */
	int64_t since_ms;   /* of the present state, wall clock */
	int64_t looks, bad; /* of ours */
};
/* Those that are watched now; `peer` counts from 0. False at the end. */
bool watch_view(struct watch *w, int peer, struct watch_view *out);
