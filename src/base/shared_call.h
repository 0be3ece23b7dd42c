/*
 * One call for all who want its result at the same time: who asks while one is under way waits for the next, which begins
 * after the question, so that nobody gets an answer older than his question. Any thread.
 */
#pragma once

struct shared_call;

/* Makes the result: a talloc object of its own, which nobody changes afterwards. One at a time. */
typedef void *shared_call_fn(const void *arg);

struct shared_call *shared_call_new(void *mem);

/* A result whose making began after this call did, by `make(arg)` on this thread or on another one's that asks for the
 * same. It stays until `mem` is freed, and must not outlive `c`. Blocks as long as `make` does, at most twice. */
const void *shared_call_get(void *mem, struct shared_call *c, shared_call_fn *make, const void *arg);
