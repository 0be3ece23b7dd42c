/*
 * Just enough PromQL to take an alert expression apart: where its threshold comparison is, and how
 * to write a label matcher that no label value can break out of. Pure.
 */
#pragma once

#include <stddef.h>

#include <jansson.h>

#include "base/json_node.h"
#include "base/status.h"

struct comparison {
	const char *left;     /* text of the left operand */
	const char *sign;  /* == != > < >= <= */
	const char *right;    /* text of the right operand */
};

/* The top-level comparison of `expr`, or that of the first operand of a top-level `and`. Quoted
 * strings, brackets, comments, and the modifiers bool/on/ignoring/group_* are understood.
 * E_NOTFOUND when there is none, or when `or`/`unless` make "the" threshold ambiguous. */
NODISCARD enum status promql_comparison(void *mem, const char *expr, struct comparison *out);

/* name{a="…",b="…"} with every value escaped; `metric` must be a metric name, labels is an object of
 * strings; label names that are not [a-zA-Z_][a-zA-Z0-9_]* are left out. */
char *promql_selector(void *mem, const char *metric, const json_t *labels);

/* True when every label that both carry has the same value (__name__ aside). A label that only one side has
 * does not count: relabelling and vector matching drop labels on the way from a series to an alert. */
int promql_labels_agree(const json_t *labels, const json_t *of);
int promql_node_agrees(const struct node *labels, const json_t *of); /* the same; an object of strings */
