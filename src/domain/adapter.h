/*
 * Declarative transforms of event data from one schema version to another (SRE-013.5). Pure.
 *
 *   - rename: {path: /alert_name, to: alertname}     the member keeps its place and gets another name
 *   - move: {from: /meta/name, to: /alertname}       objects on the way to `to` are made
 *   - default: {path: /status, value: firing}        when there is no such member
 *   - drop: /internal
 *
 * Paths are JSON pointers into `data` that lead through objects. A member that is not there is not an error; a
 * member that is in the way of `to` is replaced.
 */
#pragma once

#include <jansson.h>

#include "base/status.h"

enum { ADAPTER_STEPS_MAX = 64, ADAPTER_DEPTH_MAX = 16 };

struct adapter; /* immutable; usable from any thread */

/* E_INVALID says which step is wrong. */
NODISCARD enum status adapter_compile(void *mem, const json_t *steps, struct adapter **out);

/* Leaves `data` as it is. E_INVALID: a path leads through what is not an object. Under mem. */
NODISCARD enum status adapter_run(void *mem, const struct adapter *a, const json_t *data, json_t **out);
