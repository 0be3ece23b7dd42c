/* The rules, one cause each: what diagnosis.c weighs against each other. */
#pragma once

#include "insight/diagnosis.h"

/* What several rules ask about, looked up once. */
struct scene {
	void *mem;
	const struct facts *f;
	int64_t start_ms, began_ms, alert_ms;
	struct hit requests, errors, latency, cpu, memory, disk; /* of the alert's object, and lasting (memory: also not) */
	bool retried;           /* what came more is no more than what failed: it may well have come again */
	const char *deployed;   /* the image that appeared nearest before the symptom; NULL = none */
	const struct series *deployed_series;
	int64_t deployed_ms;
	struct candidate *list; /* CAUSE_COUNT of them fit */
	size_t count;
};

void scene_look(void *mem, const struct facts *f, struct scene *out);

void rule_traffic_surge(struct scene *s);
void rule_memory_leak(struct scene *s);
void rule_bad_deploy(struct scene *s);
void rule_slow_dependency(struct scene *s);
void rule_disk_fill(struct scene *s);
void rule_noisy_neighbour(struct scene *s);
void rule_error_burst(struct scene *s);
