/*
 * The outside world of whole loops, on one port: Prometheus (rules, alerts, instant queries), the functions, and Linear.
 * A pod's errors are over the limit from peers_break until the function was called for it; only that makes it
 * well again. Everything may be called from any thread.
 */
#pragma once

#include <stdint.h>

enum { PODS_MAX = 2000000 };

struct peers;

struct peers *peers_start(void *mem);
unsigned short peers_port(const struct peers *p);

/* The errors of pods first … first + n - 1 rise above the limit. */
void peers_break(struct peers *p, unsigned long first, unsigned long n);

/* When the first call for that pod had arrived, on wire_now_ns's clock; 0 = not yet. */
int64_t peers_called_ns(struct peers *p, unsigned long pod);

struct peers_count {
	unsigned long calls, repeated_calls; /* of functions; repeated: for a pod that had its call */
	unsigned long queries;               /* all requests to Prometheus */
	unsigned long issues, comments, closed; /* at Linear */
};
struct peers_count peers_count(struct peers *p);
